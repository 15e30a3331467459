//! Compaction: what updates have scattered over many extents is copied into one chunk, and the slot is told where it is now.
//! That change takes nothing back from a commit that came first, and reads that are open look again. One content at a time
//! is copied, a few blocks at a time, each checked against its row. A copy that is given up leaves nothing.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};

use tarn_proto::{PageRoots, ShareHealth, ShareNumber, StorageIndex, pages};
use tokio::sync::Notify;

use crate::manifest::{Content, Manifest, Relocation, StoredGeneration};
use crate::reader::{Halt, Reader, blocks_at_once};
use crate::server::Server;
use crate::slots::refusal_of;
use crate::store::{ChunkWriter, PinnedChunk, Store, StoreError};

/// The slots whose current version is scattered.
#[derive(Debug, Default)]
pub(crate) struct Scattered {
    slots: Mutex<BTreeSet<StorageIndex>>,
    more: Notify,
}

impl Scattered {
    /// Notes a slot, if its current version is scattered.
    pub(crate) fn note(&self, slot: StorageIndex, manifest: &Manifest) {
        let is_scattered = |current: &StoredGeneration| {
            current.table.is_scattered()
                || current.shares.values().any(|stored| stored.content.is_scattered())
        };
        if manifest.generations.first().is_some_and(is_scattered) {
            self.slots.lock().unwrap_or_else(PoisonError::into_inner).insert(slot);
            self.more.notify_one();
        }
    }

    async fn next(&self) -> StorageIndex {
        loop {
            let noted = self.slots.lock().unwrap_or_else(PoisonError::into_inner).pop_first();
            if let Some(slot) = noted {
                return slot;
            }
            self.more.notified().await;
        }
    }
}

/// Compacts what is noted until the server stops.
pub(crate) async fn keep_compacting<S: Store>(server: Arc<Server<S>>) {
    loop {
        let slot = tokio::select! {
            biased;
            () = server.stopping.cancelled() => return,
            slot = server.scattered.next() => slot,
        };
        match compact(&server, slot).await {
            Ok(()) | Err(Stop::Stopping | Stop::Halted(Halt::Refused(_) | Halt::Moved)) => {}
            Err(Stop::Halted(Halt::Failed(status))) => {
                tracing::warn!(%slot, %status, "compacting ended early");
            }
            Err(Stop::Store(error)) => {
                refusal_of(&error);
            }
        }
    }
}

/// Why a slot is left as it is. Whoever changes it next notes it again.
enum Stop {
    Stopping,
    Halted(Halt),
    Store(StoreError),
}

impl From<Halt> for Stop {
    fn from(halt: Halt) -> Self {
        Self::Halted(halt)
    }
}

impl From<StoreError> for Stop {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

/// Compacts the current version of a slot.
async fn compact<S: Store>(server: &Server<S>, slot: StorageIndex) -> Result<(), Stop> {
    let handle = server.slots.get(slot);
    let current = handle.lock().await?.slot().manifest().generations.first().cloned();
    let Some(current) = current else { return Ok(()) };
    let reader = Reader::new(server, slot, current.header.version());
    let roots = reader.page_roots(&current).await?;
    let copying = Copying { server, reader: &reader, current: &current, roots: &roots };
    let geometry = current.header.header().geometry;
    let shares = current.shares.iter().filter(|(_, stored)| stored.health == ShareHealth::Whole);
    let share_length = geometry.share_length();
    let shares = shares.map(|(share, stored)| (Some(*share), &stored.content, share_length));
    let table = (None, &current.table, geometry.table_length() as u64);
    for (part, content, length) in shares.chain([table]) {
        if !content.is_scattered() || content.length() != length {
            continue;
        }
        let PinnedChunk { id, pin } = copying.copy(part, content).await?;
        let relocation = Relocation::new(content.clone(), id);
        let mut slot = handle.lock().await?;
        // Not interrupted: what was begun is known to be done, or to have failed, before the server ends.
        let outcome = slot.change(|slot, _| Ok(slot.relocated(&relocation))).await;
        drop((slot, pin));
        tracing::debug!(?outcome, extents = content.0.len(), "compacted");
    }
    Ok(())
}

/// Copies contents of one version, checked.
struct Copying<'a, S: Store> {
    server: &'a Server<S>,
    reader: &'a Reader<S>,
    current: &'a StoredGeneration,
    roots: &'a PageRoots,
}

impl<S: Store> Copying<'_, S> {
    /// A chunk of a whole share, or of the table.
    async fn copy(
        &self,
        part: Option<ShareNumber>,
        content: &Content,
    ) -> Result<PinnedChunk, Stop> {
        if self.server.require_space(content.length()).await.is_err() {
            return Err(StoreError::NoSpace.into());
        }
        let geometry = self.current.header.header().geometry;
        let (at_once, mut chunk) = (blocks_at_once(&geometry), self.server.store.chunk().await?);
        let step = u32::try_from(at_once).unwrap_or(u32::MAX);
        for page in 0..pages::count(geometry.segments()) {
            let page = self.reader.page(self.current, self.roots, page).await?;
            let rows = page.rows().clone();
            let Some(share) = part else {
                self.require_running()?;
                chunk.append(page.bytes_of(rows)).await?;
                continue;
            };
            for first in rows.clone().step_by(at_once) {
                self.require_running()?;
                let segments = first..first.saturating_add(step).min(rows.end);
                chunk
                    .append(self.reader.blocks(self.current, &page, share, segments).await?)
                    .await?;
            }
        }
        Ok(chunk.finish().await?)
    }

    fn require_running(&self) -> Result<(), Stop> {
        if self.server.stopping.is_cancelled() { Err(Stop::Stopping) } else { Ok(()) }
    }
}
