//! The store trait: the same for every engine and for the simulator. A store keeps a *manifest* per slot, changed
//! atomically under a revision, and immutable *chunks*, durable before the manifest that names them. It knows
//! nothing of tests, promises or signatures.

pub mod local;
pub mod memory;

use std::collections::BTreeSet;
use std::future::Future;

use bytes::Bytes;
use tarn_proto::{StorageIndex, StoreId};

use crate::manifest::{ChunkId, Content, Manifest};

/// Where a server keeps its slots.
pub trait Store: Send + Sync + 'static {
    /// Bytes on their way into a chunk.
    type Chunk: ChunkWriter;

    /// The store's id, drawn when its folder was initialised.
    fn id(&self) -> StoreId;

    /// How much room there is.
    fn space(&self) -> impl Future<Output = Result<Space, StoreError>> + Send;

    /// A slot's manifest and its revision; `None` for a slot never written.
    fn load(
        &self,
        slot: StorageIndex,
    ) -> impl Future<Output = Result<Option<(Manifest, Revision)>, StoreError>> + Send;

    /// Slots that were ever written, ascending: at most so many, those above `after`.
    fn slots(
        &self,
        after: Option<StorageIndex>,
        most: usize,
    ) -> impl Future<Output = Result<Vec<StorageIndex>, StoreError>> + Send;

    /// Replaces a slot's manifest if its revision is still `expected` (`None`: never written). When this returns
    /// `Ok`, the change is durable. When it returns [`StoreError::Changed`], nothing changed; after any other error
    /// the change may be durable all the same, and [`Store::load`] tells, or fails until that is settled. Dropping
    /// the future does not interrupt a change that has begun. Chunks that no generation names any more are deleted afterwards.
    fn replace(
        &self,
        slot: StorageIndex,
        expected: Option<Revision>,
        manifest: Manifest,
    ) -> impl Future<Output = Result<Revision, StoreError>> + Send;

    /// Begins a chunk. A writer that is dropped unfinished leaves nothing behind.
    fn chunk(&self) -> impl Future<Output = Result<Self::Chunk, StoreError>> + Send;

    /// Keeps chunks from being collected until the pin is dropped, whether or not a manifest names them still. They are sure
    /// to be there if the slot's manifest names them and nobody changes it meanwhile: call it under the slot's lock.
    fn pin(&self, chunks: &BTreeSet<ChunkId>) -> Pin;

    /// Reads `length` bytes of a content from `offset`. Reading past the end is [`StoreError::Damaged`].
    fn read(
        &self,
        content: &Content,
        offset: u64,
        length: usize,
    ) -> impl Future<Output = Result<Bytes, StoreError>> + Send;
}

/// A chunk being written.
pub trait ChunkWriter: Send + 'static {
    /// Appends bytes. Not durable yet.
    fn append(&mut self, bytes: Bytes) -> impl Future<Output = Result<(), StoreError>> + Send;

    /// Makes the chunk durable and names it. Until a manifest names it, the returned pin keeps it from being
    /// collected; dropping the pin of a chunk that no manifest names deletes the chunk.
    fn finish(self) -> impl Future<Output = Result<PinnedChunk, StoreError>> + Send;
}

/// A durable chunk that no manifest may name yet. Keep it until the manifest that names the chunk is durable.
#[derive(Debug)]
pub struct PinnedChunk {
    /// The chunk.
    pub id: ChunkId,
    /// Keeps the store from collecting it.
    pub pin: Pin,
}

/// Runs a closure when it is dropped: how engines learn that nobody holds a chunk any more.
pub struct Pin(Option<Box<dyn FnOnce() + Send + Sync>>);

impl Pin {
    /// A pin that calls `released` when it is dropped.
    pub fn new(released: impl FnOnce() + Send + Sync + 'static) -> Self {
        Self(Some(Box::new(released)))
    }
}

impl Drop for Pin {
    fn drop(&mut self) {
        if let Some(released) = self.0.take() {
            released();
        }
    }
}

impl std::fmt::Debug for Pin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Pin")
    }
}

/// Counts the changes of one slot's manifest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Revision(pub u64);

/// Room for more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Space {
    /// Bytes that may still be written, reserved space left out.
    pub free_bytes: u64,
}

/// Why a store could not do it. What a failed [`Store::replace`] has changed, [`Store::load`] tells.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Another change came first: load again.
    #[error("the slot was changed meanwhile")]
    Changed,
    /// The disk is full.
    #[error("no space is left")]
    NoSpace,
    /// Stored bytes are missing or too short: what they belong to is damaged.
    #[error("stored bytes are missing or cut short")]
    Damaged,
    /// The operating system or database failed.
    #[error("{operation} failed")]
    Io {
        /// What was being done.
        operation: &'static str,
        /// What went wrong.
        #[source]
        source: std::io::Error,
    },
    /// The database failed.
    #[error("{operation} failed")]
    Database {
        /// What was being done.
        operation: &'static str,
        /// What went wrong.
        #[source]
        source: rusqlite::Error,
    },
    /// The store was written by a newer tarn, or is no store at all.
    #[error("the store cannot be used: {reason}")]
    Unusable {
        /// Why, for people.
        reason: String,
    },
}

#[cfg(test)]
mod drops;
