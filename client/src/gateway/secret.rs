//! Write caps at rest: sealed under a key that only the gateway's user can read, for as long as a task needs them. Says
//! nothing of contents, which wait as they are.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use chacha20poly1305::aead::{Aead, KeyInit, Payload};
use chacha20poly1305::{XChaCha20Poly1305, XNonce};
use rand::CryptoRng;
use zeroize::Zeroizing;

use crate::caps::WriteCap;
use crate::queue::TaskId;

const KEY_LENGTH: usize = 32;
const NONCE_LENGTH: usize = 24;

/// Seals write caps. The key is wiped when dropped.
pub(super) struct SealingKey(XChaCha20Poly1305);

/// Why there is no key.
#[derive(Debug, thiserror::Error)]
pub enum KeyFileError {
    /// The system does not let us have it.
    #[error("the key in {} cannot be read or made", file.display())]
    Io {
        /// The file.
        file: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Others could read what it seals: `chmod 600` it, if nobody has.
    #[error("{} can be read by others than its owner: chmod 600 it", file.display())]
    Exposed {
        /// The file.
        file: PathBuf,
    },
    /// It is not what was written: restore it; tasks that wait cannot be run without it.
    #[error("{} is not a key", file.display())]
    Damaged {
        /// The file.
        file: PathBuf,
    },
}

/// A sealed cap that does not open: it was sealed under another key, or changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the write cap of this task cannot be opened with this gateway's key")]
pub(super) struct SealBroken;

impl SealingKey {
    /// The key in this file, drawn and made durable if there is none.
    pub(super) fn load_or_make(
        path: &Path,
        rng: &mut impl CryptoRng,
    ) -> Result<Self, KeyFileError> {
        let failed = |source| KeyFileError::Io { file: path.to_owned(), source };
        let key = match File::open(path) {
            Ok(file) => {
                if file.metadata().map_err(failed)?.mode() & 0o077 != 0 {
                    return Err(KeyFileError::Exposed { file: path.to_owned() });
                }
                read(file).map_err(failed)?
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let mut key = Zeroizing::new(vec![0; KEY_LENGTH]);
                rng.fill_bytes(&mut key);
                write(path, &key).map_err(failed)?;
                key
            }
            Err(error) => return Err(failed(error)),
        };
        let cipher = XChaCha20Poly1305::new_from_slice(&key);
        cipher.map(Self).map_err(|_| KeyFileError::Damaged { file: path.to_owned() })
    }

    /// The cap, sealed for this task alone.
    pub(super) fn seal(&self, task: TaskId, cap: &WriteCap, rng: &mut impl CryptoRng) -> Vec<u8> {
        let mut nonce = [0; NONCE_LENGTH];
        rng.fill_bytes(&mut nonce);
        let text = cap.to_text();
        let payload = Payload { msg: text.as_bytes(), aad: task.as_bytes() };
        let sealed = self.0.encrypt(&XNonce::from(nonce), payload);
        let sealed =
            sealed.unwrap_or_else(|_| unreachable!("a cap is shorter than the cipher allows"));
        [nonce.as_slice(), &sealed].concat()
    }

    /// The cap that was sealed for this task.
    pub(super) fn open(&self, task: TaskId, sealed: &[u8]) -> Result<WriteCap, SealBroken> {
        let (nonce, sealed) = sealed.split_first_chunk::<NONCE_LENGTH>().ok_or(SealBroken)?;
        let payload = Payload { msg: sealed, aad: task.as_bytes() };
        let text = self.0.decrypt(&XNonce::from(*nonce), payload).map_err(|_| SealBroken)?;
        let text = Zeroizing::new(text);
        let text = std::str::from_utf8(&text).map_err(|_| SealBroken)?;
        text.parse().map_err(|_| SealBroken)
    }
}

impl std::fmt::Debug for SealingKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SealingKey")
    }
}

fn read(file: File) -> io::Result<Zeroizing<Vec<u8>>> {
    let mut key = Zeroizing::new(Vec::with_capacity(KEY_LENGTH + 1));
    file.take(KEY_LENGTH as u64 + 1).read_to_end(&mut key)?;
    Ok(key)
}

/// All of it or nothing, whenever the program is killed.
fn write(path: &Path, key: &[u8]) -> io::Result<()> {
    let draft = path.with_extension("draft");
    let mut options = File::options();
    let mut file = options.write(true).create(true).truncate(true).mode(0o600).open(&draft)?;
    file.write_all(key)?;
    file.sync_all()?;
    std::fs::rename(&draft, path)?;
    File::open(path.parent().unwrap_or(Path::new(".")))?.sync_all()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use rand::SeedableRng;
    use rand_chacha::ChaCha8Rng;

    use super::*;

    const TASK: TaskId = TaskId::new([1; 16]);

    #[test]
    fn what_is_sealed_opens_after_a_restart_and_for_its_task_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key");
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        let key = SealingKey::load_or_make(&path, &mut rng).unwrap();
        let cap = WriteCap::generate(&mut rng);
        let sealed = key.seal(TASK, &cap, &mut rng);
        assert_ne!(sealed, key.seal(TASK, &cap, &mut rng));
        let text = cap.to_text();
        assert!(!sealed.windows(8).any(|part| text.as_bytes().windows(8).any(|p| p == part)));
        let again = SealingKey::load_or_make(&path, &mut rng).unwrap();
        assert_eq!(again.open(TASK, &sealed), Ok(cap));
        assert_eq!(again.open(TaskId::new([2; 16]), &sealed), Err(SealBroken));
        for length in 0..sealed.len() {
            assert_eq!(again.open(TASK, &sealed[..length]), Err(SealBroken));
        }
    }

    #[test]
    fn a_key_that_others_can_read_or_that_is_none_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key");
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        SealingKey::load_or_make(&path, &mut rng).unwrap();
        std::fs::set_permissions(&path, PermissionsExt::from_mode(0o640)).unwrap();
        let load = |rng: &mut ChaCha8Rng| SealingKey::load_or_make(&path, rng);
        assert!(matches!(load(&mut rng), Err(KeyFileError::Exposed { .. })));
        std::fs::set_permissions(&path, PermissionsExt::from_mode(0o600)).unwrap();
        for length in [31, 33] {
            std::fs::write(&path, vec![0; length]).unwrap();
            assert!(matches!(load(&mut rng), Err(KeyFileError::Damaged { .. })));
        }
    }
}
