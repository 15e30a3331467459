//! How a publish ends: exactly one [`Outcome`], with the evidence for it.

use std::collections::{BTreeMap, BTreeSet};

use tarn_proto::{ShareNumber, SignedHeader, StoreId, VersionId};

use crate::base::Undecided;
use crate::quorum::Placement;
use crate::servermap::Failure;
use crate::suspects::Heard;
use crate::time::Millis;

/// What the caller is told.
#[derive(Debug, Clone, PartialEq)]
pub struct Report {
    /// How it ended.
    pub outcome: Outcome,
    /// What went wrong with which server, whether or not it mattered.
    pub troubles: BTreeMap<StoreId, Trouble>,
    /// Which servers kept it waiting, and which did not.
    pub heard: Heard,
    /// How often it began anew.
    pub rounds: u32,
    /// How long it took.
    pub elapsed: Millis,
}

/// What went wrong with one server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trouble {
    /// What it was asked to do.
    pub during: During,
    /// What went wrong.
    pub failure: Failure,
    /// When, since the publish began.
    pub at: Millis,
}

/// The phase in which a server failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum During {
    /// Telling its slot's state.
    Map,
    /// Taking in blocks and sealing.
    Prepare,
    /// Committing.
    Commit,
    /// Being brought shares.
    Bring,
    /// Recording the certificate.
    Finalize,
}

/// How a publish ended.
#[derive(Debug, Clone, PartialEq)]
pub enum Outcome {
    /// Durable at a quorum.
    Published(Published),
    /// Another writer's version is there; nothing was changed.
    UncoordinatedWrite {
        /// The version that got in the way.
        theirs: Option<SignedHeader>,
    },
    /// What the caller named is not the newest version; nothing was changed.
    Stale {
        /// The newest version.
        now: Option<SignedHeader>,
    },
    /// Others kept writing; retries are exhausted; nothing was changed.
    Contended,
    /// No quorum can be sealed; nothing was changed.
    NotEnoughServers(Shortfall),
    /// Too few servers hold the version of which a part was to be changed; nothing was changed. Publish all of its
    /// content.
    BaseMissing(Shortfall),
    /// The input could be read only once, and servers or other writers came in between when it had been begun; nothing was
    /// changed. Publish it again from its beginning.
    InputUsedUp,
    /// It cannot be told which version is the newest; nothing was changed.
    Undecided(Undecided),
    /// Some commits were accepted, fewer than a quorum, and it cannot be completed: it may or may not be built on.
    Partial(Landed),
    /// The grid stopped answering in the middle; the journal allows to take it up again.
    Unknown(Landed),
    /// Called off before any commit; nothing was changed.
    Cancelled,
    /// The input changed while it was read; nothing was changed.
    SourceChanged,
    /// Anything else, before any commit.
    Failed {
        /// Why, for people.
        cause: String,
    },
}

/// A version that is durable at a quorum.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Published {
    /// The version; none when it is known only by its id, from the history of a newer one, and we did not commit it.
    pub header: Option<SignedHeader>,
    /// The version's id.
    pub version: VersionId,
    /// Where its shares are known to be.
    pub placement: Placement,
    /// What falls short of all n shares.
    pub missing: BTreeSet<ShareNumber>,
    /// Whether an earlier try of the same submission had made it.
    pub repeated: bool,
}

/// What a quorum lacks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shortfall {
    /// How many servers of the window could be used.
    pub usable: usize,
    /// How many it takes.
    pub quorum: usize,
    /// How many servers the window names.
    pub window: usize,
}

/// Where parts of a version are, or may be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Landed {
    /// The version.
    pub header: SignedHeader,
    /// Servers that accepted it.
    pub accepted: BTreeSet<StoreId>,
    /// Servers that may have.
    pub unknown: BTreeSet<StoreId>,
}

impl Outcome {
    /// What was published, if it was.
    pub const fn published(&self) -> Option<&Published> {
        match self {
            Self::Published(published) => Some(published),
            Self::UncoordinatedWrite { .. }
            | Self::Stale { .. }
            | Self::Contended
            | Self::NotEnoughServers(_)
            | Self::BaseMissing(_)
            | Self::InputUsedUp
            | Self::Undecided(_)
            | Self::Partial(_)
            | Self::Unknown(_)
            | Self::Cancelled
            | Self::SourceChanged
            | Self::Failed { .. } => None,
        }
    }

    /// Whether it is certain that nothing was changed, then or later.
    pub const fn nothing_changed(&self) -> bool {
        match self {
            Self::Published(_) | Self::Partial(_) | Self::Unknown(_) => false,
            Self::UncoordinatedWrite { .. }
            | Self::Stale { .. }
            | Self::Contended
            | Self::NotEnoughServers(_)
            | Self::BaseMissing(_)
            | Self::InputUsedUp
            | Self::Undecided(_)
            | Self::Cancelled
            | Self::SourceChanged
            | Self::Failed { .. } => true,
        }
    }
}
