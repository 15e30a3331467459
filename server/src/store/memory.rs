//! A store in memory for tests and the simulator, with the semantics of a disk: what was not synced when it crashes
//! is lost, torn or kept, as a seeded generator decides. Nothing outlives the process.

mod disk;

use std::collections::BTreeSet;
use std::future::poll_fn;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Poll;

use bytes::{Bytes, BytesMut};
use rand::Rng;
use tarn_proto::{StorageIndex, StoreId};
use tokio::sync::oneshot;

use self::disk::{Boot, Disk};
use super::{ChunkWriter, Pin, PinnedChunk, Revision, Space, Store, StoreError};
use crate::manifest::{ChunkId, Content, Extent, Manifest};

/// A store whose disk is memory. Clones share the disk.
#[derive(Clone)]
pub struct MemoryStore {
    id: StoreId,
    disk: Arc<Mutex<Disk>>,
}

/// What can be made to fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Operation {
    /// [`Store::load`].
    Load,
    /// [`Store::replace`].
    Replace,
    /// The answer of [`Store::replace`]: the change is made, and whoever asked for it is told of a failure.
    Answer,
    /// [`ChunkWriter::append`].
    Append,
    /// [`ChunkWriter::finish`].
    Finish,
    /// [`Store::read`].
    Read,
}

impl MemoryStore {
    /// An empty store of `capacity` bytes. The generator names chunks, and decides what a crash leaves.
    pub fn new(id: StoreId, capacity: u64, rng: impl Rng + Send + 'static) -> Self {
        Self { id, disk: Arc::new(Mutex::new(Disk::new(capacity, Box::new(rng)))) }
    }

    /// The power fails and comes back: what was not synced is lost, torn or kept; whatever still runs from before
    /// the crash fails; chunks that no manifest names are removed, as at every start.
    pub fn crash(&self) {
        self.disk().crash();
    }

    /// The next operation of this kind fails, and changes nothing, but for [`Operation::Answer`].
    pub fn fail_next(&self, operation: Operation) {
        self.disk().fail_next(operation);
    }

    /// What was told to fail and has not failed yet will not.
    pub fn mend(&self) {
        self.disk().mend();
    }

    /// Until the answer is dropped, no change of a manifest becomes durable: they all wait.
    pub fn hold_changes(&self) -> Hold {
        self.disk().hold();
        Hold { disk: Arc::clone(&self.disk) }
    }

    /// Changes a manifest as no server does: a failing disk, or a hand at work.
    pub fn tamper(&self, slot: StorageIndex, change: impl FnOnce(&mut Manifest)) {
        self.disk().tamper(slot, change);
    }

    /// Changes a chunk's bytes as no server does.
    pub fn tamper_chunk(&self, chunk: ChunkId, change: impl FnOnce(&mut BytesMut)) {
        self.disk().tamper_chunk(chunk, change);
    }

    /// The chunks there are, finished or not.
    pub fn chunks(&self) -> Vec<ChunkId> {
        self.disk().chunk_ids()
    }

    /// How many changes have begun and are not durable yet.
    pub fn changes_begun(&self) -> usize {
        self.disk().begun()
    }

    fn disk(&self) -> MutexGuard<'_, Disk> {
        lock(&self.disk)
    }
}

/// Keeps changes from becoming durable while it lives.
pub struct Hold {
    disk: Arc<Mutex<Disk>>,
}

impl Drop for Hold {
    fn drop(&mut self) {
        lock(&self.disk).release();
    }
}

impl Store for MemoryStore {
    type Chunk = MemoryChunk;

    fn id(&self) -> StoreId {
        self.id
    }

    async fn space(&self) -> Result<Space, StoreError> {
        Ok(Space { free_bytes: self.disk().free_bytes() })
    }

    async fn load(&self, slot: StorageIndex) -> Result<Option<(Manifest, Revision)>, StoreError> {
        self.disk().load(slot)
    }

    async fn slots(
        &self,
        after: Option<StorageIndex>,
        most: usize,
    ) -> Result<Vec<StorageIndex>, StoreError> {
        Ok(self.disk().slots(after, most))
    }

    async fn replace(
        &self,
        slot: StorageIndex,
        expected: Option<Revision>,
        manifest: Manifest,
    ) -> Result<Revision, StoreError> {
        let (answer, durable) = oneshot::channel();
        self.disk().begin(slot, expected, manifest, answer)?;
        // A crash may come between a write and its sync.
        let_others_run().await;
        self.disk().sync();
        let revision = durable.await.unwrap_or_else(|_| Err(crashed("replace")))?;
        self.disk().may_fail(Operation::Answer, "replace")?;
        Ok(revision)
    }

    async fn chunk(&self) -> Result<MemoryChunk, StoreError> {
        let (id, boot) = self.disk().create_chunk();
        Ok(MemoryChunk { disk: Arc::clone(&self.disk), boot, id: Some(id) })
    }

    fn pin(&self, chunks: &BTreeSet<ChunkId>) -> Pin {
        let boot = self.disk().pin(chunks);
        let (disk, chunks) = (Arc::clone(&self.disk), chunks.clone());
        Pin::new(move || {
            let mut disk = lock(&disk);
            for id in chunks {
                disk.unpin(boot, id);
            }
        })
    }

    async fn read(
        &self,
        content: &Content,
        offset: u64,
        length: usize,
    ) -> Result<Bytes, StoreError> {
        let mut disk = self.disk();
        disk.may_fail(Operation::Read, "read")?;
        let end = offset
            .checked_add(length as u64)
            .filter(|&end| end <= content.length())
            .ok_or(StoreError::Damaged)?;
        let mut read = BytesMut::with_capacity(length);
        let mut at = 0;
        for extent in &content.0 {
            let (from, to) = (offset.max(at), end.min(at + extent.length()));
            if from < to {
                let (from, to) = (from - at, to - at);
                match extent {
                    Extent::Inline(bytes) => read.extend_from_slice(disk::part(bytes, from, to)?),
                    Extent::Chunk { id, offset, .. } => {
                        let bytes = disk.chunk(*id)?;
                        read.extend_from_slice(disk::part(bytes, offset + from, offset + to)?);
                    }
                }
            }
            at += extent.length();
        }
        Ok(read.freeze())
    }
}

/// A chunk on its way into a [`MemoryStore`].
pub struct MemoryChunk {
    disk: Arc<Mutex<Disk>>,
    boot: Boot,
    id: Option<ChunkId>,
}

impl ChunkWriter for MemoryChunk {
    async fn append(&mut self, bytes: Bytes) -> Result<(), StoreError> {
        let id = self.id.ok_or_else(|| crashed("append"))?;
        lock(&self.disk).append(self.boot, id, &bytes)
    }

    async fn finish(mut self) -> Result<PinnedChunk, StoreError> {
        let_others_run().await;
        let id = self.id.ok_or_else(|| crashed("finish"))?;
        lock(&self.disk).finish(self.boot, id)?;
        self.id = None;
        let (disk, boot) = (Arc::clone(&self.disk), self.boot);
        Ok(PinnedChunk { id, pin: Pin::new(move || lock(&disk).unpin(boot, id)) })
    }
}

impl Drop for MemoryChunk {
    fn drop(&mut self) {
        if let Some(id) = self.id {
            lock(&self.disk).unpin(self.boot, id);
        }
    }
}

fn lock(disk: &Mutex<Disk>) -> MutexGuard<'_, Disk> {
    disk.lock().unwrap_or_else(PoisonError::into_inner)
}

fn crashed(operation: &'static str) -> StoreError {
    StoreError::Io { operation, source: std::io::Error::other("the disk crashed meanwhile") }
}

async fn let_others_run() {
    let mut yielded = false;
    poll_fn(|context| {
        if yielded {
            return Poll::Ready(());
        }
        yielded = true;
        context.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

#[cfg(test)]
mod tests;
