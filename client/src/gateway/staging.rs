//! Contents that wait for their task's turn: small ones in its row, long ones each in a file of its own, durable before
//! the task is accepted. Bounded in sum. They lie there as they came: whoever runs a gateway is trusted with them.

use std::fs::File;
use std::future::ready;
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use futures::FutureExt;
use futures::future::BoxFuture;
use sha2::{Digest, Sha256};

use super::submission::Staged;
use crate::encode::source::Source;
use crate::encode::spool::Spool;
use crate::queue::TaskId;

/// Up to so many bytes are kept in the task's row, and cost no file.
const INLINE_MAX: usize = 64 << 10;
/// Bytes hashed and written at a time.
const GATHERED: usize = 1 << 20;

/// The folder of contents.
#[derive(Debug, Clone)]
pub(super) struct Staging {
    folder: Arc<Path>,
    body_bytes_max: u64,
    staged_bytes_max: u64,
    staged: Arc<AtomicU64>,
}

/// Why a content was not taken. Nothing is left of it.
#[derive(Debug, thiserror::Error)]
pub(super) enum StageError {
    #[error("the content is longer than {limit} bytes, which is the most that this gateway takes")]
    TooLong { limit: u64 },
    #[error("contents that wait take all of the {limit} bytes that this gateway keeps for them")]
    Full { limit: u64 },
    #[error("the content cannot be kept on the gateway's disk: {0}")]
    Disk(#[from] io::Error),
}

impl Staging {
    /// The folder, made if it is not there. `inline` is how much the record holds of contents that wait.
    pub(super) fn open(
        folder: PathBuf,
        body_bytes_max: u64,
        staged_bytes_max: u64,
        inline: u64,
    ) -> io::Result<Self> {
        std::fs::create_dir_all(&folder)?;
        let mut staged = inline;
        for entry in std::fs::read_dir(&folder)? {
            staged += entry?.metadata()?.len();
        }
        let staged = Arc::new(AtomicU64::new(staged));
        Ok(Self { folder: folder.into(), body_bytes_max, staged_bytes_max, staged })
    }

    /// Removes what belongs to no task: its caller, or this program, ended too early.
    pub(super) fn sweep(&self, is_needed: impl Fn(TaskId) -> bool) -> io::Result<usize> {
        let mut removed = 0;
        for entry in std::fs::read_dir(&self.folder)? {
            let entry = entry?;
            let task = entry.file_name().to_str().and_then(|name| name.parse().ok());
            if !task.is_some_and(&is_needed) {
                let length = entry.metadata()?.len();
                std::fs::remove_file(entry.path())?;
                self.staged.fetch_sub(length, Ordering::Relaxed);
                removed += 1;
            }
        }
        Ok(removed)
    }

    /// Begins to take the content of a task.
    pub(super) fn upload(&self, task: TaskId) -> Upload {
        let draft = Draft {
            staging: self.clone(),
            task,
            digest: Sha256::new(),
            file: None,
            reserved: 0,
            accepted: false,
        };
        let draft = Some(ready(Ok(draft)).boxed());
        let length_max = self.body_bytes_max;
        Upload { draft, gathered: Vec::new(), gathered_bytes: 0, length: 0, length_max }
    }

    /// A content that was staged, to be published.
    pub(super) fn source(&self, task: TaskId, staged: &Staged) -> io::Result<Source> {
        if let Some(bytes) = &staged.inline {
            return Ok(Source::Bytes(bytes.clone()));
        }
        let spool = Spool::open(&self.path(task))?;
        if spool.length() != staged.length {
            return Err(io::Error::other("it is not as long as it was"));
        }
        Ok(Source::Spool(spool))
    }

    /// Drops the file of a task, if it had one; else its record held so many bytes.
    pub(super) fn remove(&self, task: TaskId, inline: u64) {
        self.staged.fetch_sub(inline, Ordering::Relaxed);
        let path = self.path(task);
        let Ok(metadata) = std::fs::metadata(&path) else { return };
        match std::fs::remove_file(&path) {
            Ok(()) => {
                self.staged.fetch_sub(metadata.len(), Ordering::Relaxed);
            }
            Err(error) => tracing::warn!(%task, %error, "a content stays until the next start"),
        }
    }

    fn path(&self, task: TaskId) -> PathBuf {
        self.folder.join(task.to_string())
    }
}

/// A content on its way in. Dropped before it is finished, nothing is left of it.
pub(super) struct Upload {
    /// Comes once all that was handed over is hashed and written, which goes on while more comes in.
    draft: Option<BoxFuture<'static, Result<Draft, StageError>>>,
    gathered: Vec<Bytes>,
    gathered_bytes: usize,
    length: u64,
    length_max: u64,
}

impl Upload {
    /// Takes the next piece.
    pub(super) async fn take(&mut self, piece: Bytes) -> Result<(), StageError> {
        self.length += piece.len() as u64;
        if self.length > self.length_max {
            return Err(StageError::TooLong { limit: self.length_max });
        }
        self.gathered_bytes += piece.len();
        self.gathered.push(piece);
        if self.gathered_bytes >= GATHERED {
            let mut draft = self.draft().await?;
            let pieces = std::mem::take(&mut self.gathered);
            self.gathered_bytes = 0;
            self.draft = Some(on_a_thread(move || {
                draft.write(&pieces)?;
                Ok(draft)
            }));
        }
        Ok(())
    }

    /// Comes back when nothing is left of it.
    pub(super) async fn called_off(mut self) {
        // A draft that failed is gone already.
        drop(self.draft().await);
    }

    /// What was handed over, once it is written. After a failure there is nothing more.
    async fn draft(&mut self) -> Result<Draft, StageError> {
        match self.draft.take() {
            Some(draft) => draft.await,
            None => Err(io::Error::other("the content could not be taken").into()),
        }
    }

    /// All has come: makes it durable.
    pub(super) async fn finish(mut self) -> Result<(Staged, Draft), StageError> {
        let mut draft = self.draft().await?;
        let Self { gathered, length, .. } = self;
        if draft.file.is_none() && gathered.iter().map(Bytes::len).sum::<usize>() <= INLINE_MAX {
            let content = gathered.concat();
            draft.digest.update(&content);
            draft.reserve(length)?;
            let inline = Some(content.into());
            return Ok((Staged { length, sha256: draft.digest(), inline }, draft));
        }
        on_a_thread(move || {
            draft.write(&gathered)?;
            draft.sync()?;
            Ok((Staged { length, sha256: draft.digest(), inline: None }, draft))
        })
        .await
    }
}

/// Begins at once what may wait for the disk.
fn on_a_thread<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, StageError> + Send + 'static,
) -> BoxFuture<'static, Result<T, StageError>> {
    let job = tokio::task::spawn_blocking(work);
    async { job.await.map_err(io::Error::other)? }.boxed()
}

/// What is kept of a content for a task that is not accepted yet. Dropped before it is, on whatever thread, it is gone.
pub(super) struct Draft {
    staging: Staging,
    task: TaskId,
    digest: Sha256,
    file: Option<File>,
    reserved: u64,
    accepted: bool,
}

impl Draft {
    /// The task is accepted: the content is its own.
    pub(super) fn accepted(mut self) {
        self.accepted = true;
    }

    fn write(&mut self, pieces: &[Bytes]) -> Result<(), StageError> {
        self.reserve(pieces.iter().map(|piece| piece.len() as u64).sum())?;
        let mut file = match self.file.take() {
            Some(file) => file,
            None => File::options()
                .write(true)
                .create_new(true)
                .mode(0o600)
                .open(self.staging.path(self.task))?,
        };
        let written = pieces.iter().try_for_each(|piece| {
            self.digest.update(piece);
            file.write_all(piece)
        });
        self.file = Some(file);
        Ok(written?)
    }

    fn sync(&self) -> io::Result<()> {
        if let Some(file) = &self.file {
            file.sync_all()?;
        }
        File::open(&self.staging.folder)?.sync_all()
    }

    fn digest(&mut self) -> [u8; 32] {
        self.digest.finalize_reset().into()
    }

    fn reserve(&mut self, bytes: u64) -> Result<(), StageError> {
        let Staging { staged, staged_bytes_max, .. } = &self.staging;
        if staged.fetch_add(bytes, Ordering::Relaxed) + bytes > *staged_bytes_max {
            staged.fetch_sub(bytes, Ordering::Relaxed);
            return Err(StageError::Full { limit: *staged_bytes_max });
        }
        self.reserved += bytes;
        Ok(())
    }
}

impl Drop for Draft {
    fn drop(&mut self) {
        if self.accepted {
            return;
        }
        self.staging.staged.fetch_sub(self.reserved, Ordering::Relaxed);
        if self.file.is_some()
            && let Err(error) = std::fs::remove_file(self.staging.path(self.task))
        {
            tracing::warn!(task = %self.task, %error, "a content stays until the next start");
        }
    }
}
