//! What a publish is asked for: the file, what to follow, whom it may talk to. Decides nothing.

use std::collections::BTreeSet;

use tarn_proto::{AttemptId, SequenceNumber, Shape, StorageIndex, StoreId, VersionId};

use super::outcome::Landed;
use crate::base::{HighWater, Origin};
use crate::servermap::ServerMap;

/// What is to be published, and after what.
#[derive(Debug, Clone)]
pub struct Request {
    /// The file.
    pub storage_index: StorageIndex,
    /// The submission: a version that carries it is ours.
    pub attempt: AttemptId,
    /// Whether the caller may begin from nothing, and in which window.
    pub origin: Origin,
    /// What the new version must follow.
    pub follows: Follows,
    /// k, happy and n; `None` keeps those of the base.
    pub shape: Option<Shape>,
    /// k, happy and n of a first version, when `shape` says nothing.
    pub first_shape: Shape,
    /// The newest version that the caller has ever seen: nothing older is built on.
    pub high_water: Option<HighWater>,
    /// The highest sequence number under which an earlier try of this submission may have sent commits, as its journal
    /// says: a signed header gets one round, so this try makes another.
    pub spent: Option<SequenceNumber>,
    /// What that try may have left on servers: nothing is said to be unchanged while it may be there.
    pub left: Option<Landed>,
    /// Servers that kept an earlier publish waiting: they are asked too, and nobody waits for them while the others
    /// suffice.
    pub suspects: BTreeSet<StoreId>,
    /// What the caller knows of the servers: the first round begins with it, later ones ask. A map is no snapshot anyhow:
    /// one that is out of date costs that round.
    pub map: Option<Learnt>,
    /// What the new version is made of.
    pub input: Input,
    /// Whether the file is to be deleted.
    pub tombstone: bool,
}

/// What is known of the servers before a publish begins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Learnt {
    /// What they said when they were asked for this publish, with its attempt.
    Asked(ServerMap),
    /// What an earlier publish of the same caller left on them. Only what can be built on as it is counts, and nothing is
    /// concluded from it: what came since is no surprise.
    Remembered(ServerMap),
}

/// What a new version is made of, as far as a publish depends on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Input {
    /// All of the content, which is read again for shares that lose their server, and for every round.
    Whole {
        /// Bytes of it.
        length: u64,
    },
    /// A part of the content; the rest is that of another version.
    Part {
        /// That version: it is followed and no other, and keeps its k, happy, n and block size.
        of: VersionId,
        /// Bytes of the whole content.
        length: u64,
    },
    /// All of the content, which is read once, by the round that comes to it first: its length is not known before it has
    /// been read, and shares that lose their server meanwhile stay missing.
    Once,
}

impl Input {
    /// The version of which only a part is changed.
    pub const fn changes(&self) -> Option<VersionId> {
        match self {
            Self::Part { of, .. } => Some(*of),
            Self::Whole { .. } | Self::Once => None,
        }
    }

    /// Whether it can be read only once.
    pub const fn is_read_once(&self) -> bool {
        match self {
            Self::Once => true,
            Self::Whole { .. } | Self::Part { .. } => false,
        }
    }
}

/// What a new version must follow.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Follows {
    /// Whatever is there.
    Whatever,
    /// This version and no other.
    Version(VersionId),
    /// Nothing: the file must not have any version yet.
    Nothing,
}

/// Whom the machine may talk to, in the order in which this file prefers them.
#[derive(Debug, Clone)]
pub struct Roster(pub Vec<StoreId>);
