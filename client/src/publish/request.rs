//! What a publish is asked for: the file, what to follow, whom it may talk to. Decides nothing.

use std::collections::BTreeSet;

use tarn_proto::{AttemptId, SequenceNumber, Shape, StorageIndex, StoreId, VersionId};

use super::outcome::Landed;
use crate::base::{HighWater, Origin};

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
    /// The version of which only a part is changed: it is followed and no other, and keeps its k, happy, n and block
    /// size. None when all of the content is sent.
    pub changes: Option<VersionId>,
    /// Bytes of content, of all of it.
    pub length: u64,
    /// Whether the file is to be deleted.
    pub tombstone: bool,
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
