//! The words of a fetch: runs, what becomes of them, and how long they are.

use std::ops::Range;

use tarn_proto::{Geometry, ShareNumber, StoreId};

use crate::servermap::Failure;

/// Bytes of one share that a run asks for, unless a single block is larger.
const RUN_BYTES: usize = 1 << 20;
/// Bytes of all k shares that a run of segments asks for, unless a single segment is larger.
const RUN_SEGMENT_BYTES: usize = 8 << 20;
/// Most segments of a run, however small.
const RUN_SEGMENTS_MAX: usize = 256;

/// Names a run of one fetch, in the order in which they were decided.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RunId(pub u32);

/// Consecutive segments of one share, to be read from one server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Run {
    /// Names it.
    pub id: RunId,
    /// Whom to ask.
    pub server: StoreId,
    /// Which share.
    pub share: ShareNumber,
    /// Which segments.
    pub segments: Range<u32>,
}

/// What is to be done for a fetch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Want {
    /// Read these blocks. Each is reported by `Fetch::arrived`; or else the run by `Fetch::failed`.
    Read(Run),
    /// Stop reading this run: nothing of it is needed any more.
    Abandon(RunId),
    /// k blocks of this segment have arrived, and it is the next one: hand it to the consumer, and report
    /// `Fetch::consumed` when there is room for another.
    Deliver {
        /// The segment.
        segment: u32,
    },
}

/// Why a run brings no more blocks.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RunFailure {
    /// The server is of no use for this version.
    #[error("{0}")]
    Server(Failure),
    /// This share of it is of no use: missing, damaged, or not what the table says.
    #[error("{0}")]
    Share(Failure),
}

impl RunFailure {
    /// What went wrong, whatever it says of the rest of the server.
    pub fn into_failure(self) -> Failure {
        match self {
            Self::Server(failure) | Self::Share(failure) => failure,
        }
    }
}

/// Too few shares are left to complete a segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("only {have} of the {need} shares needed can be read")]
pub struct NotEnoughShares {
    /// How many distinct shares can be read.
    pub have: usize,
    /// How many it takes.
    pub need: usize,
}

/// How many segments a run has.
pub(super) fn length(geometry: &Geometry) -> u32 {
    let block = (geometry.block_size() as usize).max(1);
    let by_share = RUN_BYTES / block;
    let by_segment = RUN_SEGMENT_BYTES / (block * usize::from(geometry.k()));
    let length = by_share.min(by_segment).clamp(1, RUN_SEGMENTS_MAX);
    u32::try_from(length).unwrap_or(1)
}
