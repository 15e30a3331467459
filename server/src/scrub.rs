//! Scrubbing: everything that is kept is read and held against its tables, at a pace that leaves the disk to others. What
//! is found to be damaged is marked so, as when somebody reads it. Repairs nothing: whoever publishes or repairs the file
//! replaces what is marked.

use std::collections::BTreeSet;
use std::num::NonZeroU64;
use std::sync::Arc;
use std::time::Duration;

use tarn_proto::{Page, ShareHealth, ShareNumber, StorageIndex, VersionId, pages};

use crate::config::ServerConfig;
use crate::manifest::StoredGeneration;
use crate::reader::{Halt, Reader, blocks_at_once};
use crate::server::Server;
use crate::store::{Store, StoreError};

/// How many slots are looked up at once.
const SLOTS_AT_ONCE: usize = 256;

/// How a server scrubs by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Scrubbing {
    /// How many bytes a second are read at most.
    pub pace: Pace,
    /// How long it rests when it has been through everything.
    pub rest: Duration,
}

impl Default for Scrubbing {
    fn default() -> Self {
        let pace = Pace { bytes_per_second: NonZeroU64::new(8 << 20) };
        Self { pace, rest: Duration::from_secs(24 * 60 * 60) }
    }
}

/// How fast to read.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Pace {
    /// At most so many bytes a second; none is as fast as the disk.
    pub bytes_per_second: Option<NonZeroU64>,
}

impl Pace {
    /// How long reading so many bytes is to take.
    fn takes(self, bytes: usize) -> Duration {
        let per_second = self.bytes_per_second.map(NonZeroU64::get);
        per_second.map_or(Duration::ZERO, |rate| {
            Duration::from_nanos((bytes as u64).saturating_mul(1_000_000_000) / rate)
        })
    }
}

/// What a scrub went through.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Scrubbed {
    /// Slots looked at.
    pub slots: u64,
    /// Shares read to their end, or to what is wrong with them.
    pub shares: u64,
    /// Bytes read.
    pub bytes: u64,
    /// Shares that are damaged, those included that were known to be.
    pub damaged: Vec<DamagedShare>,
    /// Slots that could not be looked at: their manifests are damaged, or the disk failed.
    pub unreadable: Vec<StorageIndex>,
}

/// A share that is not what its version's table says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DamagedShare {
    /// The file.
    pub slot: StorageIndex,
    /// The version.
    pub version: VersionId,
    /// The share.
    pub share: ShareNumber,
}

/// Scrubs a store that nobody serves, from end to end.
///
/// # Errors
///
/// When the store cannot list its slots. A slot that cannot be read is reported, and the others are gone on with.
pub async fn scrub<S: Store>(store: Arc<S>, pace: Pace) -> Result<Scrubbed, StoreError> {
    Scrub { server: Server::new(store, ServerConfig::default()), pace }.run().await
}

/// Scrubs over and over until the server stops.
pub(crate) async fn keep_scrubbing<S: Store>(server: Arc<Server<S>>, scrubbing: Scrubbing) {
    let stopping = server.stopping.clone();
    let scrub = Scrub { server, pace: scrubbing.pace };
    let over_and_over = async {
        loop {
            match scrub.run().await {
                Ok(Scrubbed { slots, shares, bytes, damaged, unreadable }) => {
                    let (damaged, unreadable) = (damaged.len(), unreadable.len());
                    tracing::info!(slots, shares, bytes, damaged, unreadable, "scrubbed");
                }
                Err(error) => {
                    let error = &error as &dyn std::error::Error;
                    tracing::warn!(error, "scrubbing ended early");
                }
            }
            tokio::time::sleep(scrubbing.rest).await;
        }
    };
    tokio::select! {
        biased;
        () = stopping.cancelled() => {}
        () = over_and_over => {}
    }
}

struct Scrub<S> {
    server: Arc<Server<S>>,
    pace: Pace,
}

/// Where a scrub of one version ends early.
enum Stop {
    /// It has changed meanwhile: look again.
    Changed,
    /// It cannot be read.
    Unreadable,
}

impl<S: Store> Scrub<S> {
    async fn run(&self) -> Result<Scrubbed, StoreError> {
        let mut scrubbed = Scrubbed::default();
        let mut after = None;
        loop {
            let slots = self.server.store.slots(after, SLOTS_AT_ONCE).await?;
            let Some(&last) = slots.last() else { return Ok(scrubbed) };
            after = Some(last);
            for slot in slots {
                self.slot(slot, &mut scrubbed).await;
            }
        }
    }

    /// Goes through one slot. One that changes all the time is left to those who change it: what they write is checked.
    async fn slot(&self, slot: StorageIndex, scrubbed: &mut Scrubbed) {
        scrubbed.slots += 1;
        for _ in 0..3 {
            let mut of_slot = Scrubbed::default();
            match self.versions(slot, &mut of_slot).await {
                Ok(()) => {
                    scrubbed.shares += of_slot.shares;
                    scrubbed.bytes += of_slot.bytes;
                    scrubbed.damaged.append(&mut of_slot.damaged);
                    return;
                }
                Err(Stop::Changed) => {}
                Err(Stop::Unreadable) => return scrubbed.unreadable.push(slot),
            }
        }
    }

    async fn versions(&self, slot: StorageIndex, scrubbed: &mut Scrubbed) -> Result<(), Stop> {
        let handle = self.server.slots.get(slot);
        let generations = {
            let locked = handle.lock().await.map_err(|_| Stop::Unreadable)?;
            locked.slot().manifest().generations.clone()
        };
        for generation in generations {
            let version = generation.header.version();
            let reader = Reader::new(&self.server, slot, version);
            for share in self.damaged_shares(&reader, &generation, scrubbed).await? {
                scrubbed.damaged.push(DamagedShare { slot, version, share });
            }
        }
        Ok(())
    }

    /// The shares of a version that are damaged.
    async fn damaged_shares(
        &self,
        reader: &Reader<S>,
        generation: &StoredGeneration,
        scrubbed: &mut Scrubbed,
    ) -> Result<Vec<ShareNumber>, Stop> {
        scrubbed.shares += generation.shares.len() as u64;
        let held = generation.shares.iter();
        let is_damaged = |health| health == ShareHealth::Damaged;
        let mut damaged: BTreeSet<ShareNumber> =
            held.filter(|(_, stored)| is_damaged(stored.health)).map(|(share, _)| *share).collect();
        let all = || generation.shares.keys().copied().collect();
        let roots = match reader.page_roots(generation).await {
            Ok(roots) => roots,
            Err(halt) => return is_damage(&halt).map(|()| all()),
        };
        for page in 0..pages::count(generation.header.header().geometry.segments()) {
            let page = match reader.page(generation, &roots, page).await {
                Ok(page) => page,
                Err(halt) => return is_damage(&halt).map(|()| all()),
            };
            self.took(page.bytes_of(page.rows().clone()).len(), scrubbed).await;
            for &share in generation.shares.keys() {
                if !damaged.contains(&share)
                    && !self.is_whole(reader, generation, &page, share, scrubbed).await?
                {
                    damaged.insert(share);
                }
            }
        }
        Ok(damaged.into_iter().collect())
    }

    /// Whether the blocks of a share are as a page of rows says.
    async fn is_whole(
        &self,
        reader: &Reader<S>,
        generation: &StoredGeneration,
        page: &Page,
        share: ShareNumber,
        scrubbed: &mut Scrubbed,
    ) -> Result<bool, Stop> {
        let at_once = blocks_at_once(&generation.header.header().geometry);
        let step = u32::try_from(at_once).unwrap_or(u32::MAX);
        for first in page.rows().clone().step_by(at_once) {
            let end = first.saturating_add(step).min(page.rows().end);
            match reader.blocks(generation, page, share, first..end).await {
                Ok(bytes) => self.took(bytes.len(), scrubbed).await,
                Err(halt) => return is_damage(&halt).map(|()| false),
            }
        }
        Ok(true)
    }

    /// Counts what was read, and leaves the disk to others for as long as that is to take.
    async fn took(&self, bytes: usize, scrubbed: &mut Scrubbed) {
        scrubbed.bytes += bytes as u64;
        tokio::time::sleep(self.pace.takes(bytes)).await;
    }
}

/// Whether it was damage that ended a read, rather than a change or a failure.
fn is_damage(halt: &Halt) -> Result<(), Stop> {
    use tarn_proto::state::ReadRefusal::{
        OutOfRange, ShareDamaged, ShareMissing, Unauthenticated, VersionGone,
    };
    match halt {
        Halt::Refused(ShareDamaged) => Ok(()),
        Halt::Refused(VersionGone | ShareMissing | OutOfRange | Unauthenticated) | Halt::Moved => {
            Err(Stop::Changed)
        }
        Halt::Failed(_) => Err(Stop::Unreadable),
    }
}
