//! The store as one life of a server's process sees it: the memory store, until the process is dead. What still runs of
//! a dead process reaches no disk any more, so that nothing it does can be seen. Every change of a manifest is logged
//! and shown to the checkers.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use tarn_proto::{StorageIndex, StoreId};
use tarn_server::manifest::{ChunkId, Content, Manifest};
use tarn_server::store::memory::{MemoryChunk, MemoryStore};
use tarn_server::store::{ChunkWriter, Pin, PinnedChunk, Revision, Space, Store, StoreError};

use super::options::Planted;
use super::world::{ServerId, World};

/// How long the planted bug takes to make durable what it has acknowledged.
const LATE_SYNC: Duration = Duration::from_secs(1);

/// Counts the lives of one server's process.
#[derive(Debug, Clone, Default)]
pub(super) struct Lives(Arc<AtomicU64>);

impl Lives {
    /// The present life ends.
    pub(super) fn end(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    fn present(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// Acknowledged by the planted bug, and not durable yet.
type Late = BTreeMap<StorageIndex, (Manifest, Revision)>;

/// A store in the hands of one life of a process.
pub(super) struct Disk {
    server: ServerId,
    memory: MemoryStore,
    lives: Lives,
    life: u64,
    world: Arc<World>,
    planted: Option<Planted>,
    late: Arc<Mutex<Late>>,
}

impl Disk {
    pub(super) fn new(
        server: ServerId,
        memory: MemoryStore,
        lives: &Lives,
        world: Arc<World>,
        planted: Option<Planted>,
    ) -> Self {
        let (life, lives) = (lives.present(), lives.clone());
        Self { server, memory, lives, life, world, planted, late: Arc::default() }
    }

    fn alive(&self, operation: &'static str) -> Result<(), StoreError> {
        require_life(&self.lives, self.life, operation)
    }

    /// The planted bug: says that a change is durable, and makes it so later, if the process lives until then.
    fn acknowledge_early(
        &self,
        slot: StorageIndex,
        expected: Option<Revision>,
        manifest: Manifest,
    ) -> Revision {
        let revision = Revision(expected.map_or(0, |revision| revision.0) + 1);
        let (memory, lives, life) = (self.memory.clone(), self.lives.clone(), self.life);
        let late = Arc::clone(&self.late);
        lock(&late).insert(slot, (manifest.clone(), revision));
        tokio::spawn(async move {
            tokio::time::sleep(LATE_SYNC).await;
            if require_life(&lives, life, "replace").is_ok() {
                drop(memory.replace(slot, expected, manifest).await);
            }
            let mut late = lock(&late);
            if late.get(&slot).is_some_and(|(_, newest)| *newest == revision) {
                late.remove(&slot);
            }
        });
        revision
    }
}

fn lock(late: &Mutex<Late>) -> MutexGuard<'_, Late> {
    late.lock().unwrap_or_else(PoisonError::into_inner)
}

fn require_life(lives: &Lives, life: u64, operation: &'static str) -> Result<(), StoreError> {
    if lives.present() == life {
        Ok(())
    } else {
        Err(StoreError::Io { operation, source: std::io::Error::other("the process is dead") })
    }
}

impl Store for Disk {
    type Chunk = Chunk;

    fn id(&self) -> StoreId {
        self.memory.id()
    }

    async fn space(&self) -> Result<Space, StoreError> {
        self.alive("space")?;
        self.memory.space().await
    }

    async fn load(&self, slot: StorageIndex) -> Result<Option<(Manifest, Revision)>, StoreError> {
        self.alive("load")?;
        if let Some(late) = lock(&self.late).get(&slot) {
            return Ok(Some(late.clone()));
        }
        self.memory.load(slot).await
    }

    async fn slots(
        &self,
        after: Option<StorageIndex>,
        most: usize,
    ) -> Result<Vec<StorageIndex>, StoreError> {
        self.alive("slots")?;
        self.memory.slots(after, most).await
    }

    async fn replace(
        &self,
        slot: StorageIndex,
        expected: Option<Revision>,
        manifest: Manifest,
    ) -> Result<Revision, StoreError> {
        self.alive("replace")?;
        let newest = manifest.generations.first();
        let newest = newest.map(|held| held.header.header().sequence_number.get());
        let replaced = match self.planted {
            Some(Planted::AcknowledgedBeforeSync) => {
                Ok(self.acknowledge_early(slot, expected, manifest.clone()))
            }
            None => self.memory.replace(slot, expected, manifest.clone()).await,
        };
        let how = if replaced.is_ok() { "changes" } else { "fails to change" };
        self.world.log(self.server, format_args!("{how} {slot:?}, newest {newest:?}"));
        if replaced.is_ok() {
            self.world.require(self.world.oracle(|oracle| oracle.changed(&manifest)));
        }
        replaced
    }

    async fn chunk(&self) -> Result<Chunk, StoreError> {
        self.alive("create")?;
        let (lives, life) = (self.lives.clone(), self.life);
        Ok(Chunk { memory: self.memory.chunk().await?, lives, life })
    }

    fn pin(&self, chunks: &BTreeSet<ChunkId>) -> Pin {
        self.memory.pin(chunks)
    }

    async fn read(
        &self,
        content: &Content,
        offset: u64,
        length: usize,
    ) -> Result<Bytes, StoreError> {
        self.alive("read")?;
        self.memory.read(content, offset, length).await
    }
}

/// A chunk that one life of a process writes.
pub(super) struct Chunk {
    memory: MemoryChunk,
    lives: Lives,
    life: u64,
}

impl ChunkWriter for Chunk {
    async fn append(&mut self, bytes: Bytes) -> Result<(), StoreError> {
        require_life(&self.lives, self.life, "append")?;
        self.memory.append(bytes).await
    }

    async fn finish(self) -> Result<PinnedChunk, StoreError> {
        require_life(&self.lives, self.life, "finish")?;
        self.memory.finish().await
    }
}
