//! What a [`MemoryStore`](super::MemoryStore) keeps: manifests and chunks, and those of them not synced yet.

use std::collections::{BTreeMap, BTreeSet};

use bytes::{Bytes, BytesMut};
use rand::{Rng, RngExt};
use tarn_proto::StorageIndex;
use tokio::sync::oneshot;

use super::{Operation, crashed};
use crate::manifest::{ChunkId, Extent, Manifest};
use crate::store::{Revision, StoreError};

/// Counts crashes: what was begun before one fails after it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Boot(u64);

pub(super) struct Disk {
    rng: Box<dyn Rng + Send>,
    capacity: u64,
    boot: Boot,
    slots: BTreeMap<StorageIndex, (Manifest, Revision)>,
    chunks: BTreeMap<ChunkId, Chunk>,
    unsynced: Vec<Replacement>,
    holds: usize,
    failures: Vec<Operation>,
}

struct Chunk {
    bytes: BytesMut,
    synced: bool,
    pins: usize,
    named: usize,
}

struct Replacement {
    slot: StorageIndex,
    expected: Option<Revision>,
    manifest: Manifest,
    answer: oneshot::Sender<Result<Revision, StoreError>>,
}

impl Disk {
    pub(super) fn new(capacity: u64, rng: Box<dyn Rng + Send>) -> Self {
        Self {
            rng,
            capacity,
            boot: Boot(0),
            slots: BTreeMap::new(),
            chunks: BTreeMap::new(),
            unsynced: Vec::new(),
            holds: 0,
            failures: Vec::new(),
        }
    }

    pub(super) fn load(
        &mut self,
        slot: StorageIndex,
    ) -> Result<Option<(Manifest, Revision)>, StoreError> {
        self.sync();
        self.may_fail(Operation::Load, "load")?;
        Ok(self.slots.get(&slot).cloned())
    }

    pub(super) fn begin(
        &mut self,
        slot: StorageIndex,
        expected: Option<Revision>,
        manifest: Manifest,
        answer: oneshot::Sender<Result<Revision, StoreError>>,
    ) -> Result<(), StoreError> {
        self.may_fail(Operation::Replace, "replace")?;
        self.unsynced.push(Replacement { slot, expected, manifest, answer });
        Ok(())
    }

    /// Makes what was begun durable, unless it is held back.
    pub(super) fn sync(&mut self) {
        if self.holds == 0 {
            for replacement in std::mem::take(&mut self.unsynced) {
                self.apply(replacement);
            }
            self.collect();
        }
    }

    pub(super) const fn begun(&self) -> usize {
        self.unsynced.len()
    }

    pub(super) fn hold(&mut self) {
        self.sync();
        self.holds += 1;
    }

    pub(super) fn release(&mut self) {
        self.holds = self.holds.saturating_sub(1);
        self.sync();
    }

    fn apply(&mut self, replacement: Replacement) {
        let Replacement { slot, expected, manifest, answer } = replacement;
        let found = self.slots.get(&slot).map(|(_, revision)| *revision);
        let result = if found == expected {
            let revision = Revision(expected.map_or(0, |Revision(number)| number) + 1);
            self.name_chunks(&manifest, 1);
            if let Some((before, _)) = self.slots.insert(slot, (manifest, revision)) {
                self.name_chunks(&before, -1);
            }
            Ok(revision)
        } else {
            Err(StoreError::Changed)
        };
        // Nobody may be waiting any more: the change was made all the same.
        let _ = answer.send(result);
    }

    fn name_chunks(&mut self, manifest: &Manifest, times: isize) {
        for id in manifest.chunks() {
            if let Some(chunk) = self.chunks.get_mut(&id) {
                chunk.named = chunk.named.saturating_add_signed(times);
            }
        }
    }

    /// Removes the chunks that nobody pins and no manifest names, nor one that is on its way.
    fn collect(&mut self) {
        let unsynced = &self.unsynced;
        let awaited = |id: ChunkId| {
            unsynced.iter().any(|change| change.manifest.chunks().any(|named| named == id))
        };
        self.chunks.retain(|id, chunk| chunk.pins > 0 || chunk.named > 0 || awaited(*id));
    }

    pub(super) fn crash(&mut self) {
        self.boot.0 += 1;
        self.holds = 0;
        for replacement in std::mem::take(&mut self.unsynced) {
            if self.rng.random() {
                self.apply(replacement);
            }
        }
        let rng = &mut self.rng;
        for chunk in self.chunks.values_mut().filter(|chunk| !chunk.synced) {
            let left = match rng.random_range(0..3) {
                0 => 0,
                1 => rng.random_range(0..=chunk.bytes.len()),
                _ => chunk.bytes.len(),
            };
            chunk.bytes.truncate(left);
        }
        for chunk in self.chunks.values_mut() {
            chunk.pins = 0;
        }
        self.collect();
    }

    pub(super) fn create_chunk(&mut self) -> (ChunkId, Boot) {
        let id = ChunkId(self.rng.random());
        let chunk = Chunk { bytes: BytesMut::new(), synced: false, pins: 1, named: 0 };
        self.chunks.insert(id, chunk);
        (id, self.boot)
    }

    pub(super) fn append(
        &mut self,
        boot: Boot,
        id: ChunkId,
        bytes: &Bytes,
    ) -> Result<(), StoreError> {
        self.may_fail(Operation::Append, "append")?;
        if self.free_bytes() < bytes.len() as u64 {
            return Err(StoreError::NoSpace);
        }
        self.unfinished(boot, id, "append")?.bytes.extend_from_slice(bytes);
        Ok(())
    }

    pub(super) fn finish(&mut self, boot: Boot, id: ChunkId) -> Result<(), StoreError> {
        self.may_fail(Operation::Finish, "finish")?;
        self.unfinished(boot, id, "finish")?.synced = true;
        Ok(())
    }

    fn unfinished(
        &mut self,
        boot: Boot,
        id: ChunkId,
        operation: &'static str,
    ) -> Result<&mut Chunk, StoreError> {
        let same_boot = boot == self.boot;
        self.chunks.get_mut(&id).filter(|_| same_boot).ok_or_else(|| crashed(operation))
    }

    /// Pins chunks once more, for as long as the disk does not crash.
    pub(super) fn pin(&mut self, ids: &BTreeSet<ChunkId>) -> Boot {
        for id in ids {
            if let Some(chunk) = self.chunks.get_mut(id) {
                chunk.pins += 1;
            }
        }
        self.boot
    }

    /// One pin of the chunk less.
    pub(super) fn unpin(&mut self, boot: Boot, id: ChunkId) {
        // A change that was begun while the pin was held may name it.
        self.sync();
        if boot == self.boot {
            if let Some(chunk) = self.chunks.get_mut(&id) {
                chunk.pins = chunk.pins.saturating_sub(1);
            }
            self.collect();
        }
    }

    pub(super) fn chunk(&self, id: ChunkId) -> Result<&[u8], StoreError> {
        let chunk = self.chunks.get(&id).ok_or(StoreError::Damaged)?;
        Ok(&chunk.bytes)
    }

    pub(super) fn chunk_ids(&self) -> Vec<ChunkId> {
        self.chunks.keys().copied().collect()
    }

    pub(super) fn free_bytes(&self) -> u64 {
        let chunks: usize = self.chunks.values().map(|chunk| chunk.bytes.len()).sum();
        let inline: u64 = self.slots.values().map(|(manifest, _)| inline_bytes(manifest)).sum();
        self.capacity.saturating_sub(chunks as u64 + inline)
    }

    pub(super) fn fail_next(&mut self, operation: Operation) {
        self.failures.push(operation);
    }

    pub(super) fn mend(&mut self) {
        self.failures.clear();
    }

    pub(super) fn may_fail(
        &mut self,
        operation: Operation,
        name: &'static str,
    ) -> Result<(), StoreError> {
        match self.failures.iter().position(|fails| *fails == operation) {
            None => Ok(()),
            Some(at) => {
                self.failures.remove(at);
                Err(StoreError::Io {
                    operation: name,
                    source: std::io::Error::other("the disk was told to fail"),
                })
            }
        }
    }

    pub(super) fn slots(&self, after: Option<StorageIndex>, most: usize) -> Vec<StorageIndex> {
        let above = |slot: &&StorageIndex| Some(**slot) > after;
        self.slots.keys().filter(above).take(most).copied().collect()
    }

    pub(super) fn tamper(&mut self, slot: StorageIndex, change: impl FnOnce(&mut Manifest)) {
        self.sync();
        if let Some((manifest, _)) = self.slots.get_mut(&slot) {
            change(manifest);
        }
    }

    pub(super) fn tamper_chunk(&mut self, id: ChunkId, change: impl FnOnce(&mut BytesMut)) {
        if let Some(chunk) = self.chunks.get_mut(&id) {
            change(&mut chunk.bytes);
        }
    }
}

/// The bytes `from..to`; what is not there was damaged.
pub(super) fn part(bytes: &[u8], from: u64, to: u64) -> Result<&[u8], StoreError> {
    let range = usize::try_from(from).ok().zip(usize::try_from(to).ok());
    range.and_then(|(from, to)| bytes.get(from..to)).ok_or(StoreError::Damaged)
}

fn inline_bytes(manifest: &Manifest) -> u64 {
    let held = manifest.generations.iter();
    let contents = held.flat_map(|held| {
        let shares = held.shares.values().map(|share| &share.content);
        shares.chain([&held.table])
    });
    contents
        .flat_map(|content| &content.0)
        .map(|extent| match extent {
            Extent::Inline(bytes) => bytes.len() as u64,
            Extent::Chunk { .. } => 0,
        })
        .sum()
}
