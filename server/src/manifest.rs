//! What a slot keeps durably. A manifest is changed as a whole, in one atomic step of the store: that step is the
//! only commit point there is. Holds no rules; those are the slot's.

mod content;
mod history;
mod relocation;

use std::collections::BTreeMap;

use bytes::Bytes;
use tarn_proto::{
    Certificate, Origin, SequenceNumber, ShareHealth, ShareNumber, SignedHeader, VersionId,
};

pub use content::{ChunkId, Content, Extent, INLINE_MAX, INLINE_TOTAL_MAX, Joined, Slices};
pub use history::{History, HistoryChange, HistoryRecord};
pub use relocation::Relocation;

/// The durable state of one slot.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Manifest {
    /// The header of the highest (sequence number, version id) ever committed. Never goes down.
    pub floor: Option<SignedHeader>,
    /// The highest sequence number ever sealed, whether or not it was committed, where it lies more than one above
    /// the floor of that time: else the floor says as much. Never goes down. A slot may have this and nothing else: it
    /// is as empty as one never written.
    pub sealed: Option<SequenceNumber>,
    /// The versions held, newest first; the first is the current one.
    pub generations: Vec<StoredGeneration>,
    /// Versions known to have been Published.
    pub certificates: Vec<Certificate>,
    /// Versions that are not held, which one held was built on, back to one known here to have been Published; the
    /// newest, ascending. They go along with whatever is built on what is held here.
    pub ancestors: Vec<SignedHeader>,
    /// Versions committed here in the last 7 days, at least 64, and what they were built on; ascending sequence number.
    pub history: History,
}

/// One version with the shares of it kept here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredGeneration {
    /// The version.
    pub header: SignedHeader,
    /// How it came.
    pub origin: Origin,
    /// Its whole table, once for all shares.
    pub table: Content,
    /// The roots of the table's pages, as [`tarn_proto::PageRoots`] gives them. Empty if they are not known, which is no
    /// damage. Believed only as far as they hash to the table root of the header.
    pub page_roots: Bytes,
    /// The shares held.
    pub shares: BTreeMap<ShareNumber, StoredShare>,
}

/// One share: the blocks of all its segments, concatenated.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredShare {
    /// Whether its bytes were as the table says when they were last looked at.
    pub health: ShareHealth,
    /// Its bytes.
    pub content: Content,
}

impl Manifest {
    /// The chunks that some generation lies in. A chunk that no manifest names is garbage.
    pub fn chunks(&self) -> impl Iterator<Item = ChunkId> {
        self.generations.iter().flat_map(|generation| {
            let shares = generation.shares.values().flat_map(|share| share.content.chunks());
            generation.table.chunks().chain(shares)
        })
    }

    /// About how many bytes of memory it takes.
    pub fn weight(&self) -> u64 {
        let headers = self.floor.iter().chain(&self.ancestors);
        let headers = headers.map(|header| 2 * header.bytes().len() as u64).sum::<u64>();
        let generations = self.generations.iter().map(StoredGeneration::weight).sum::<u64>();
        let history = self.history.len() * size_of::<HistoryRecord>();
        let records = size_of_val(&*self.certificates) + history;
        headers + generations + records as u64
    }

    /// The generation of this version, if it is held.
    pub fn generation(&self, version: VersionId) -> Option<&StoredGeneration> {
        self.generations.iter().find(|generation| generation.header.version() == version)
    }

    /// Whether this version is the current one.
    pub fn is_current(&self, version: VersionId) -> bool {
        self.generations.first().is_some_and(|current| current.header.version() == version)
    }
}

impl StoredGeneration {
    fn weight(&self) -> u64 {
        let contents = self.shares.values().map(|share| share.content.weight()).sum::<u64>();
        let own = 2 * self.header.bytes().len() + self.page_roots.len();
        own as u64 + self.table.weight() + contents
    }

    /// Whether the share is held and not known to be damaged.
    pub fn is_whole(&self, share: ShareNumber) -> bool {
        self.shares.get(&share).is_some_and(|stored| stored.health == ShareHealth::Whole)
    }
}

impl StoredShare {
    /// A share whose bytes were just checked.
    pub const fn whole(content: Content) -> Self {
        Self { health: ShareHealth::Whole, content }
    }
}
