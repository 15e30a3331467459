//! Chunks as files: written under `staging/`, synced, moved to `chunks/`, read at any place. Does not decide when a
//! chunk is deleted.

use std::collections::BTreeSet;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::{Bytes, BytesMut};
use rand::Rng;

use super::fault::{self, blocking};
use super::folder::Folder;
use super::holds::{Held, Holds};
use super::sweeper::Bin;
use crate::manifest::{ChunkId, Content, Extent};
use crate::store::{ChunkWriter, Pin, PinnedChunk, StoreError};

/// Bytes are gathered to writes of at least this many.
const WRITE_MIN: usize = 256 << 10;

/// What writing and reading chunks needs.
pub(super) struct Chunks {
    pub(super) folder: Folder,
    pub(super) holds: Arc<Holds>,
    pub(super) bin: Bin,
    pub(super) rng: Mutex<Box<dyn Rng + Send>>,
}

/// A chunk of the local engine being written.
pub struct LocalChunk {
    staged: Arc<Staged>,
    /// Bytes not yet written.
    gathered: BytesMut,
    /// Bytes written or being written.
    written: u64,
    /// A write failed or was dropped half way: nobody knows what is in the file.
    broken: bool,
}

/// A file under `staging/`. Dropped before it is placed, it is removed.
struct Staged {
    chunks: Arc<Chunks>,
    id: ChunkId,
    file: File,
    placed: bool,
}

impl Chunks {
    /// Creates the file of a new chunk.
    pub(super) fn begin(self: &Arc<Self>) -> Result<LocalChunk, StoreError> {
        let id = self.draw();
        let file = self.folder.stage(id).map_err(|error| fault::io("creating a chunk", error))?;
        Ok(LocalChunk {
            staged: Arc::new(Staged { chunks: Arc::clone(self), id, file, placed: false }),
            gathered: BytesMut::new(),
            written: 0,
            broken: false,
        })
    }

    /// An id that no chunk has.
    fn draw(&self) -> ChunkId {
        let mut rng = self.rng.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            let mut bytes = [0; 16];
            rng.fill_bytes(&mut bytes);
            let id = ChunkId(u128::from_be_bytes(bytes));
            if !self.folder.chunk(id).exists() && !self.folder.staged(id).exists() {
                return id;
            }
        }
    }

    /// Holds chunks until the pin is dropped.
    pub(super) fn pin(&self, ids: &BTreeSet<ChunkId>) -> Pin {
        let held: Vec<Held> = ids.iter().map(|id| self.holds.hold(*id)).collect();
        Pin::new(move || drop(held))
    }

    /// Reads `length` bytes of a content from `offset`.
    pub(super) async fn read(
        &self,
        content: &Content,
        offset: u64,
        length: usize,
    ) -> Result<Bytes, StoreError> {
        let pieces = pieces(content, offset, length)?;
        if let [Piece::Inline(bytes)] = pieces.as_slice() {
            return Ok(bytes.clone());
        }
        let held: Vec<Held> =
            pieces.iter().filter_map(Piece::chunk).map(|id| self.holds.hold(id)).collect();
        let folder = self.folder.clone();
        blocking(move || {
            let bytes = gather(&folder, &pieces, length);
            drop(held);
            bytes
        })
        .await
    }
}

impl ChunkWriter for LocalChunk {
    async fn append(&mut self, bytes: Bytes) -> Result<(), StoreError> {
        self.usable()?;
        if self.gathered.len() + bytes.len() < WRITE_MIN {
            self.gathered.extend_from_slice(&bytes);
            return Ok(());
        }
        let gathered = self.gathered.split().freeze();
        let at = self.written;
        self.written += (gathered.len() + bytes.len()) as u64;
        self.broken = true;
        let staged = Arc::clone(&self.staged);
        blocking(move || {
            staged.write(&gathered, at)?;
            staged.write(&bytes, at + gathered.len() as u64)
        })
        .await?;
        self.broken = false;
        Ok(())
    }

    async fn finish(self) -> Result<PinnedChunk, StoreError> {
        self.usable()?;
        let (rest, at) = (self.gathered.freeze(), self.written);
        let staged = self.staged;
        blocking(move || {
            staged.write(&rest, at)?;
            // Whole writes only end after their blocking part has: nobody else has the file by now.
            let staged = Arc::into_inner(staged).ok_or_else(interrupted)?;
            staged.place()
        })
        .await
    }
}

impl LocalChunk {
    fn usable(&self) -> Result<(), StoreError> {
        if self.broken { Err(interrupted()) } else { Ok(()) }
    }
}

impl Staged {
    fn write(&self, bytes: &[u8], at: u64) -> Result<(), StoreError> {
        self.file.write_all_at(bytes, at).map_err(|error| fault::io("writing a chunk", error))
    }

    /// Makes the chunk durable under its name.
    fn place(mut self) -> Result<PinnedChunk, StoreError> {
        let failed = |error| fault::io("making a chunk durable", error);
        self.file.sync_all().map_err(failed)?;
        // Held before it moves: there is no moment in which nobody answers for it.
        let held = self.chunks.holds.hold_fresh(self.id);
        self.chunks.folder.place(self.id).map_err(failed)?;
        self.placed = true;
        Ok(PinnedChunk { id: self.id, pin: Pin::new(move || drop(held)) })
    }
}

impl Drop for Staged {
    fn drop(&mut self) {
        if !self.placed {
            self.chunks.bin.throw(self.chunks.folder.staged(self.id));
        }
    }
}

fn interrupted() -> StoreError {
    StoreError::Io {
        operation: "writing a chunk",
        source: io::Error::other("an earlier write failed or was interrupted"),
    }
}

/// Part of a content: bytes, or where they are.
#[derive(Debug, PartialEq, Eq)]
enum Piece {
    Inline(Bytes),
    Chunk { id: ChunkId, at: u64, length: usize },
}

impl Piece {
    fn chunk(&self) -> Option<ChunkId> {
        match self {
            Self::Inline(_) => None,
            Self::Chunk { id, .. } => Some(*id),
        }
    }
}

/// The pieces of `length` bytes from `offset`; damaged if the content ends before.
fn pieces(content: &Content, offset: u64, length: usize) -> Result<Vec<Piece>, StoreError> {
    let mut skip = offset;
    let mut missing = length;
    let mut pieces = Vec::new();
    for extent in &content.0 {
        if missing == 0 {
            break;
        }
        let here = extent.length();
        if skip >= here {
            skip -= here;
            continue;
        }
        let taken = usize::try_from(here - skip).map_or(missing, |left| left.min(missing));
        pieces.push(match extent {
            Extent::Inline(bytes) => {
                let from = usize::try_from(skip).map_err(|_| StoreError::Damaged)?;
                Piece::Inline(bytes.slice(from..from + taken))
            }
            Extent::Chunk { id, offset, .. } => Piece::Chunk {
                id: *id,
                at: offset.checked_add(skip).ok_or(StoreError::Damaged)?,
                length: taken,
            },
        });
        skip = 0;
        missing -= taken;
    }
    if missing == 0 && (length > 0 || offset <= content.length()) {
        Ok(pieces)
    } else {
        Err(StoreError::Damaged)
    }
}

/// Reads the pieces. Every file is looked at before memory is taken on a manifest's word.
fn gather(folder: &Folder, pieces: &[Piece], length: usize) -> Result<Bytes, StoreError> {
    let mut files = Vec::with_capacity(pieces.len());
    for piece in pieces {
        files.push(match piece {
            Piece::Inline(_) => None,
            Piece::Chunk { id, at, length } => Some(open(folder, *id, *at, *length)?),
        });
    }
    let mut out = BytesMut::zeroed(length);
    let mut rest = out.as_mut();
    for (piece, file) in pieces.iter().zip(&files) {
        let taken = match piece {
            Piece::Inline(bytes) => bytes.len(),
            Piece::Chunk { length, .. } => *length,
        };
        let (here, after) = rest.split_at_mut(taken);
        match (piece, file) {
            (Piece::Chunk { at, .. }, Some(file)) => {
                file.read_exact_at(here, *at).map_err(unreadable)?;
            }
            (Piece::Inline(bytes), _) => here.copy_from_slice(bytes),
            (Piece::Chunk { .. }, None) => return Err(StoreError::Damaged),
        }
        rest = after;
    }
    Ok(out.freeze())
}

fn open(folder: &Folder, id: ChunkId, at: u64, length: usize) -> Result<File, StoreError> {
    let file = File::open(folder.chunk(id)).map_err(unreadable)?;
    let there = file.metadata().map_err(unreadable)?.len();
    match at.checked_add(length as u64) {
        Some(end) if end <= there => Ok(file),
        _ => Err(StoreError::Damaged),
    }
}

fn unreadable(error: io::Error) -> StoreError {
    use io::ErrorKind::{NotFound, UnexpectedEof};
    if matches!(error.kind(), NotFound | UnexpectedEof) {
        StoreError::Damaged
    } else {
        fault::io("reading a chunk", error)
    }
}
