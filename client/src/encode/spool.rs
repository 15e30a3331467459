//! A spool: what came through a pipe, kept in a file so that it can be read more than once. Without a name the file is
//! gone with its last handle, also when the process is killed; under a name it stays until its owner removes it. Nobody
//! else can open it. Does not encrypt: it lies in the folder the caller trusts with plaintext.

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};

/// Bytes moved at a time.
const CHUNK: usize = 256 << 10;

/// The spooled bytes. Clones share them; each reader has a place of its own.
#[derive(Debug, Clone)]
pub struct Spool {
    file: Arc<File>,
    length: u64,
}

/// Why the input could not be spooled. Nothing is left of it.
#[derive(Debug, thiserror::Error)]
pub enum SpoolError {
    /// The input goes on past the limit.
    #[error("the input is longer than {limit} bytes")]
    TooLarge {
        /// The limit, in bytes.
        limit: u64,
    },
    /// The input cannot be read.
    #[error("the input cannot be read")]
    Read {
        /// What the system said.
        source: io::Error,
    },
    /// The folder for temporary files is full, or cannot be written.
    #[error("the input cannot be kept in a temporary file")]
    Write {
        /// What the system said.
        source: io::Error,
    },
}

impl Spool {
    /// Takes all of `input`, at most `limit` bytes, into a temporary file in `folder`.
    pub async fn fill(
        input: impl AsyncRead + Unpin,
        folder: &Path,
        limit: u64,
    ) -> Result<Self, SpoolError> {
        let folder = folder.to_owned();
        let create = move || Ok((tempfile::tempfile_in(folder)?, None));
        Self::fill_file(create, input, limit).await
    }

    /// The same into a new file of this name, which goes again when this fails or is dropped.
    pub async fn fill_named(
        input: impl AsyncRead + Unpin,
        path: &Path,
        limit: u64,
    ) -> Result<Self, SpoolError> {
        let path = path.to_owned();
        let create = move || {
            let mut options = File::options();
            let file = options.read(true).write(true).create_new(true).mode(0o600).open(&path)?;
            Ok((file, Some(Unfinished { path: Some(path) })))
        };
        Self::fill_file(create, input, limit).await
    }

    /// A spool that was kept under this name.
    pub fn open(path: &Path) -> io::Result<Self> {
        let file = File::open(path)?;
        let length = file.metadata()?.len();
        Ok(Self { file: Arc::new(file), length })
    }

    async fn fill_file(
        create: impl FnOnce() -> io::Result<(File, Option<Unfinished>)> + Send + 'static,
        mut input: impl AsyncRead + Unpin,
        limit: u64,
    ) -> Result<Self, SpoolError> {
        let write_failed = |source| SpoolError::Write { source };
        let (file, unfinished) = tokio::task::spawn_blocking(create)
            .await
            .map_err(io::Error::other)
            .flatten()
            .map_err(write_failed)?;
        let mut file = tokio::fs::File::from_std(file);
        let mut chunk = vec![0; CHUNK];
        let mut length = 0;
        loop {
            let count =
                input.read(&mut chunk).await.map_err(|source| SpoolError::Read { source })?;
            if count == 0 {
                break;
            }
            length += count as u64;
            if length > limit {
                return Err(SpoolError::TooLarge { limit });
            }
            file.write_all(&chunk[..count]).await.map_err(write_failed)?;
        }
        file.flush().await.map_err(write_failed)?;
        let file = Arc::new(file.into_std().await);
        if let Some(unfinished) = unfinished {
            unfinished.finish();
        }
        Ok(Self { file, length })
    }

    /// How many bytes there are.
    pub const fn length(&self) -> u64 {
        self.length
    }

    /// A reader from the start.
    pub fn reader(&self) -> SpoolReader {
        SpoolReader { file: Arc::clone(&self.file), position: 0 }
    }
}

/// The name of a file that is being filled. Dropped before it is finished, on whatever thread, it is removed.
struct Unfinished {
    path: Option<PathBuf>,
}

impl Unfinished {
    fn finish(mut self) {
        self.path = None;
    }
}

impl Drop for Unfinished {
    fn drop(&mut self) {
        if let Some(path) = &self.path {
            // What cannot be removed stays: nobody is left to be told.
            let _ = std::fs::remove_file(path);
        }
    }
}

/// Reads a spool from the start.
#[derive(Debug)]
pub struct SpoolReader {
    file: Arc<File>,
    position: u64,
}

impl Read for SpoolReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.file.read_at(buffer, self.position)?;
        self.position += count as u64;
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_spool_is_read_more_than_once_and_leaves_no_name() {
        let folder = tempfile::tempdir().unwrap();
        let input: Vec<u8> = (0..CHUNK + 5).map(|i| i.to_le_bytes()[0]).collect();
        let spool = Spool::fill(input.as_slice(), folder.path(), input.len() as u64).await.unwrap();
        assert_eq!(spool.length(), input.len() as u64);
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
        let (mut one, mut two) = (spool.reader(), spool.reader());
        let mut read = Vec::new();
        one.read_to_end(&mut read).unwrap();
        assert_eq!(read, input);
        read.clear();
        two.read_to_end(&mut read).unwrap();
        assert_eq!(read, input);
    }

    #[tokio::test]
    async fn a_spool_with_a_name_can_be_opened_again() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("input");
        drop(Spool::fill_named(&b"content"[..], &path, 10).await.unwrap());
        let spool = Spool::open(&path).unwrap();
        let mut read = String::new();
        spool.reader().read_to_string(&mut read).unwrap();
        assert_eq!((read.as_str(), spool.length()), ("content", 7));
        let again = Spool::fill_named(&b"other"[..], &path, 10).await;
        assert!(matches!(again, Err(SpoolError::Write { .. })), "it would be overwritten");
    }

    #[test]
    fn a_named_file_that_is_not_filled_goes_again_and_one_that_was_there_stays() {
        tarn_drops::runtime().block_on(async {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("input");
            let refused = Spool::fill_named(&b"too much"[..], &path, 4).await;
            assert!(matches!(refused, Err(SpoolError::TooLarge { limit: 4 })));
            assert!(!path.exists());

            let (_open, endless) = tokio::io::duplex(1);
            let mut filling = Box::pin(Spool::fill_named(endless, &path, 4));
            assert!(futures::poll!(&mut filling).is_pending());
            tarn_drops::until_blocking_is_done().await;
            assert!(path.exists() && futures::poll!(&mut filling).is_pending());
            drop(filling);
            assert!(!path.exists());
            let (_open, endless) = tokio::io::duplex(1);
            let mut filling = Box::pin(Spool::fill_named(endless, &path, 4));
            assert!(futures::poll!(&mut filling).is_pending());
            drop(filling);
            tarn_drops::until_blocking_is_done().await;
            assert!(!path.exists(), "its file was made after it was dropped");

            std::fs::write(&path, "another's").unwrap();
            assert!(Spool::fill_named(&b"content"[..], &path, 10).await.is_err());
            assert_eq!(std::fs::read(&path).unwrap(), b"another's");
        });
    }

    #[tokio::test]
    async fn an_input_longer_than_the_limit_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        assert!(Spool::fill(&[0; 10][..], folder.path(), 10).await.is_ok());
        assert!(matches!(
            Spool::fill(&[0; 11][..], folder.path(), 10).await,
            Err(SpoolError::TooLarge { limit: 10 })
        ));
        let missing = folder.path().join("missing");
        assert!(matches!(
            Spool::fill(&[0; 1][..], &missing, 10).await,
            Err(SpoolError::Write { .. })
        ));
    }
}
