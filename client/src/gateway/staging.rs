//! Contents that wait for their task's turn: small ones in its row, long ones each in a file of its own, durable before
//! the task is accepted. Bounded in sum. They lie there as they came: whoever runs a gateway is trusted with them.

use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::{Bytes, BytesMut};
use sha2::{Digest, Sha256};
use tokio::fs::File;
use tokio::io::AsyncWriteExt;

use super::submission::Staged;
use crate::encode::source::Source;
use crate::encode::spool::Spool;
use crate::queue::TaskId;

/// Up to so many bytes are kept in the task's row, and cost no file.
const INLINE_MAX: usize = 64 << 10;
/// Bytes handed to the file at a time.
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
        Upload {
            staging: self.clone(),
            task,
            length: 0,
            digest: Sha256::new(),
            gathered: BytesMut::new(),
            file: None,
            reserved: 0,
            accepted: false,
        }
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

    fn reserve(&self, bytes: u64) -> Result<(), StageError> {
        let reserved = self.staged.fetch_add(bytes, Ordering::Relaxed) + bytes;
        if reserved > self.staged_bytes_max {
            self.staged.fetch_sub(bytes, Ordering::Relaxed);
            return Err(StageError::Full { limit: self.staged_bytes_max });
        }
        Ok(())
    }
}

/// A content on its way in. Dropped before it is accepted, nothing is left of it.
pub(super) struct Upload {
    staging: Staging,
    task: TaskId,
    length: u64,
    digest: Sha256,
    gathered: BytesMut,
    file: Option<File>,
    reserved: u64,
    accepted: bool,
}

impl Upload {
    /// Takes the next piece.
    pub(super) async fn take(&mut self, piece: &Bytes) -> Result<(), StageError> {
        self.length += piece.len() as u64;
        let limit = self.staging.body_bytes_max;
        if self.length > limit {
            return Err(StageError::TooLong { limit });
        }
        self.digest.update(piece);
        self.gathered.extend_from_slice(piece);
        if self.gathered.len() >= GATHERED {
            self.write_out().await?;
        }
        Ok(())
    }

    /// All has come: makes it durable.
    pub(super) async fn finish(&mut self) -> Result<Staged, StageError> {
        let sha256 = self.digest.finalize_reset().into();
        if self.file.is_none() && self.gathered.len() <= INLINE_MAX {
            let inline = Some(self.gathered.split().freeze());
            self.staging.reserve(self.length)?;
            self.reserved += self.length;
            return Ok(Staged { length: self.length, sha256, inline });
        }
        self.write_out().await?;
        if let Some(file) = &mut self.file {
            file.flush().await?;
            file.sync_all().await?;
        }
        File::open(&self.staging.folder).await?.sync_all().await?;
        Ok(Staged { length: self.length, sha256, inline: None })
    }

    /// The task is accepted: the content is its own.
    pub(super) fn accepted(mut self) {
        self.accepted = true;
    }

    async fn write_out(&mut self) -> Result<(), StageError> {
        let bytes = self.gathered.split();
        if self.file.is_none() {
            let mut options = std::fs::File::options();
            options.write(true).create_new(true).mode(0o600);
            let path = self.staging.path(self.task);
            self.file = Some(tokio::fs::OpenOptions::from(options).open(path).await?);
        }
        self.staging.reserve(bytes.len() as u64)?;
        self.reserved += bytes.len() as u64;
        if let Some(file) = &mut self.file {
            file.write_all(&bytes).await?;
        }
        Ok(())
    }
}

impl Drop for Upload {
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
