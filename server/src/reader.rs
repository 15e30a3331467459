//! Reading one version of one slot, page by page. Nothing is given out that was not checked against the version's table
//! just before; what is found to be damaged is marked so. A version that was dropped meanwhile is gone, never damaged.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use tarn_proto::state::ReadRefusal;
use tarn_proto::{Geometry, Page, PageRoots, ShareNumber, StorageIndex, VersionId, merkle, pages};
use tonic::Status;

use crate::hashing::{Hashing, Interrupted, Load};
use crate::manifest::{ChunkId, Content, Extent, StoredGeneration};
use crate::parse::unavailable;
use crate::server::Server;
use crate::slot::{Change, Damage, Slot};
use crate::slots::{SlotHandle, refusal_of};
use crate::store::{Store, StoreError};

/// About so many bytes are read, and travel in one message.
const AT_ONCE_BYTES: usize = 512 << 10;
/// So many chunks are looked at in one go.
const PROBED_AT_ONCE: usize = 64;

/// Why a read ends before all was read.
pub(crate) enum Halt {
    Refused(ReadRefusal),
    Failed(Status),
    /// What was being read is kept elsewhere now: look again and go on.
    Moved,
}

impl From<Interrupted> for Halt {
    fn from(stopping: Interrupted) -> Self {
        Self::Failed(Status::unavailable(stopping.to_string()))
    }
}

/// How many blocks are read at once.
pub(crate) fn blocks_at_once(geometry: &Geometry) -> usize {
    (AT_ONCE_BYTES / geometry.block_size() as usize).max(1)
}

/// Reads one version of one slot.
pub(crate) struct Reader<S: Store> {
    handle: SlotHandle<S>,
    store: Arc<S>,
    hashing: Hashing,
    version: VersionId,
}

impl<S: Store> Reader<S> {
    pub(crate) fn new(server: &Server<S>, slot: StorageIndex, version: VersionId) -> Self {
        Self {
            handle: server.slots.get(slot),
            store: Arc::clone(&server.store),
            hashing: server.hashing(),
            version,
        }
    }

    /// What is held of the version now.
    pub(crate) async fn generation(&self) -> Result<StoredGeneration, Halt> {
        let slot = self.handle.lock().await.map_err(|error| failed(&error))?;
        let held = slot.slot().manifest().generation(self.version).cloned();
        held.ok_or(Halt::Refused(ReadRefusal::VersionGone))
    }

    /// The page roots of the version's table: those that are kept if they are good, else found from its rows and kept.
    pub(crate) async fn page_roots(&self, of: &StoredGeneration) -> Result<PageRoots, Halt> {
        let header = of.header.header();
        match PageRoots::verify(&header.geometry, &header.table_root, &of.page_roots) {
            Ok(roots) => Ok(roots),
            Err(_) => self.find_page_roots(of).await,
        }
    }

    async fn find_page_roots(&self, of: &StoredGeneration) -> Result<PageRoots, Halt> {
        let header = of.header.header();
        let geometry = header.geometry;
        let mut roots = Vec::new();
        for page in 0..pages::count(geometry.segments()) {
            let bytes = self.page_bytes(of, page).await?;
            let (row_length, load) = (geometry.row_length(), load_of_page(bytes.len()));
            let root = self.hashing.run(load, move || {
                let leaves: Vec<_> = bytes.chunks_exact(row_length).map(merkle::leaf).collect();
                merkle::root(&leaves)
            });
            roots.extend_from_slice(&root.await?);
        }
        let Ok(roots) = PageRoots::verify(&geometry, &header.table_root, &roots) else {
            return Err(self.damaged(Damage::Table, &of.table).await);
        };
        self.tell(|slot| slot.paged(self.version, &roots)).await;
        Ok(roots)
    }

    /// One page of the version's table.
    pub(crate) async fn page(
        &self,
        of: &StoredGeneration,
        roots: &PageRoots,
        page: u32,
    ) -> Result<Page, Halt> {
        let bytes = self.page_bytes(of, page).await?;
        let (geometry, roots) = (of.header.header().geometry, roots.clone());
        let checked = self
            .hashing
            .run(load_of_page(bytes.len()), move || Page::verify(&geometry, &roots, page, bytes));
        match checked.await? {
            Ok(page) => Ok(page),
            Err(_) => Err(self.damaged(Damage::Table, &of.table).await),
        }
    }

    /// The blocks of a share in these segments, whose rows are in the page.
    pub(crate) async fn blocks(
        &self,
        of: &StoredGeneration,
        page: &Page,
        share: ShareNumber,
        segments: Range<u32>,
    ) -> Result<Bytes, Halt> {
        let content = match of.shares.get(&share) {
            Some(stored) => &stored.content,
            None => return Err(Halt::Refused(ReadRefusal::ShareMissing)),
        };
        let geometry = of.header.header().geometry;
        let offset = u64::from(segments.start) * u64::from(geometry.block_size());
        let length = segments.clone().map(|segment| geometry.block_length(segment)).sum();
        let data = self.read(Damage::Share(share), content, offset, length).await?;
        let (page, bytes) = (page.clone(), data.clone());
        let load = Load { bytes: length, hashes: segments.len() };
        let checked = self
            .hashing
            .run(load, move || are_blocks_of(&page, &geometry, share, segments, &bytes));
        if checked.await? {
            Ok(data)
        } else {
            Err(self.damaged(Damage::Share(share), content).await)
        }
    }

    /// Whether all chunks that a share lies in are there, and long enough: whoever takes blocks on without reading them
    /// asks this first.
    pub(crate) async fn probe(
        &self,
        of: &StoredGeneration,
        share: ShareNumber,
    ) -> Result<(), Halt> {
        let content = match of.shares.get(&share) {
            Some(stored) => &stored.content,
            None => return Err(Halt::Refused(ReadRefusal::ShareMissing)),
        };
        if content.length() != of.header.header().geometry.share_length() {
            return Err(self.damaged(Damage::Share(share), content).await);
        }
        let lasts = last_bytes(content);
        for some in lasts.chunks(PROBED_AT_ONCE) {
            match self.store.read(&Content(some.to_vec()), 0, some.len()).await {
                Ok(_) => {}
                Err(StoreError::Damaged) => {
                    return Err(self.damaged(Damage::Share(share), content).await);
                }
                Err(error) => return Err(failed(&error)),
            }
        }
        Ok(())
    }

    /// The rows of a page as the store has them: not checked yet.
    async fn page_bytes(&self, of: &StoredGeneration, page: u32) -> Result<Bytes, Halt> {
        let geometry = of.header.header().geometry;
        let (rows, row_length) = (pages::rows(page, geometry.segments()), geometry.row_length());
        let offset = u64::from(rows.start) * row_length as u64;
        self.read(Damage::Table, &of.table, offset, rows.len() * row_length).await
    }

    /// Bytes as the store has them: not checked yet.
    async fn read(
        &self,
        part: Damage,
        content: &Content,
        offset: u64,
        length: usize,
    ) -> Result<Bytes, Halt> {
        match self.store.read(content, offset, length).await {
            Ok(bytes) => Ok(bytes),
            Err(StoreError::Damaged) => Err(self.damaged(part, content).await),
            Err(error) => Err(failed(&error)),
        }
    }

    /// What was read is not what the table says. If it is still what the slot holds, the slot is told.
    async fn damaged(&self, part: Damage, read: &Content) -> Halt {
        let mut slot = match self.handle.lock().await {
            Ok(slot) => slot,
            Err(error) => return failed(&error),
        };
        if let Err(error) = slot.load().await {
            return failed(&error);
        }
        let Some(held) = slot.slot().manifest().generation(self.version) else {
            return Halt::Refused(ReadRefusal::VersionGone);
        };
        let held_content = match part {
            Damage::Table => Some(&held.table),
            Damage::Share(share) => held.shares.get(&share).map(|stored| &stored.content),
        };
        if held_content != Some(read) {
            return Halt::Moved;
        }
        let version = self.version;
        tracing::warn!(%version, ?part, "stored bytes are damaged");
        // A store that cannot take the mark has said so itself; the answer is the same.
        let _ = slot.change(|slot, _| Ok(slot.damaged(version, part))).await;
        Halt::Refused(ReadRefusal::ShareDamaged)
    }

    /// Has the slot remember what was found, which nobody need wait to be sure of.
    async fn tell(&self, change: impl Fn(&Slot) -> Change) {
        if let Ok(mut slot) = self.handle.lock().await {
            let _ = slot.change(|slot, _| Ok(change(slot))).await;
        }
    }
}

fn failed(error: &StoreError) -> Halt {
    Halt::Failed(unavailable(refusal_of(error)))
}

const fn load_of_page(bytes: usize) -> Load {
    Load { bytes, hashes: 2 * pages::PAGE_ROWS as usize }
}

/// Of every chunk that a content lies in, the last byte that it uses.
fn last_bytes(content: &Content) -> Vec<Extent> {
    let mut ends: BTreeMap<ChunkId, u64> = BTreeMap::new();
    for extent in &content.0 {
        if let Extent::Chunk { id, offset, length } = extent {
            let end = ends.entry(*id).or_default();
            *end = (*end).max(offset.saturating_add(*length));
        }
    }
    let used = ends.into_iter().filter(|(_, end)| *end > 0);
    used.map(|(id, end)| Extent::Chunk { id, offset: end - 1, length: 1 }).collect()
}

/// Whether these bytes are the blocks of a share in these segments.
fn are_blocks_of(
    page: &Page,
    geometry: &Geometry,
    share: ShareNumber,
    segments: Range<u32>,
    bytes: &[u8],
) -> bool {
    let mut rest = bytes;
    for segment in segments {
        let Some((block, after)) = rest.split_at_checked(geometry.block_length(segment)) else {
            return false;
        };
        let row = page.row(segment);
        if !row.is_some_and(|row| row.matches(segment, share, block)) {
            return false;
        }
        rest = after;
    }
    rest.is_empty()
}
