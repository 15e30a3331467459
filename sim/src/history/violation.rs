//! What a history can contradict, as fields, with the promise it breaks and a sentence for people.

use std::fmt;

use tarn_proto::{AttemptId, VersionId};

use super::{Moment, OperationId, PublishId, ReadId};

/// Two things callers were told that cannot both be true.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Violation {
    /// Two versions that follow the same one both took effect.
    #[error(
        "{} and {} both took effect after {}: {} and {} show it",
        short(&siblings[0]),
        short(&siblings[1]),
        state(*predecessor),
        operations[0],
        operations[1]
    )]
    Forked {
        /// What both follow; none for the empty base.
        predecessor: Option<VersionId>,
        /// The two versions.
        siblings: [VersionId; 2],
        /// For each an operation that shows that it, or a descendant, took effect.
        operations: [OperationId; 2],
    },
    /// A publish was told that nothing was changed, and its version took effect.
    #[error(
        "{publish} was told that nothing was changed, but its {} took effect: {shown_by} shows it",
        short(version)
    )]
    ChangedAnyway {
        /// The publish.
        publish: PublishId,
        /// Its version.
        version: VersionId,
        /// An operation that shows that the version, or a descendant, took effect.
        shown_by: OperationId,
    },
    /// Two versions of one attempt took effect.
    #[error(
        "attempt {} took effect twice: as {} by {}, and as {} by {}",
        &attempt.to_string()[..8],
        short(&versions[0]),
        publishes[0],
        short(&versions[1]),
        publishes[1]
    )]
    TookEffectTwice {
        /// The attempt.
        attempt: AttemptId,
        /// The two versions.
        versions: [VersionId; 2],
        /// The publishes that signed them.
        publishes: [PublishId; 2],
    },
    /// A publish was told that a version of another attempt is what it published.
    #[error("{publish} was told that {} is its own, but {signed_by} signed it", short(version))]
    ForeignVersion {
        /// The publish.
        publish: PublishId,
        /// The version it was told of.
        version: VersionId,
        /// The publish of another attempt that signed the version.
        signed_by: PublishId,
    },
    /// A version took effect that follows something else than its caller allowed.
    #[error(
        "{publish} became {}, which follows {}: not what its caller named",
        short(version),
        state(*predecessor)
    )]
    TicketIgnored {
        /// The publish.
        publish: PublishId,
        /// Its version.
        version: VersionId,
        /// What the version follows; none for the empty base.
        predecessor: Option<VersionId>,
    },
    /// A caller was told of a version that nobody had signed, or that descends from one.
    #[error("{operation} was told of {}, or of a descendant; nobody had signed it", short(version))]
    NeverSigned {
        /// The version.
        version: VersionId,
        /// The operation.
        operation: OperationId,
    },
    /// An operation ended twice.
    #[error("{operation} ended twice")]
    EndedTwice {
        /// The operation.
        operation: OperationId,
    },
    /// A version had to be in effect before it, or one of its ancestors, can have been.
    #[error("at {by} {in_effect}; yet at {not_before}, which is later, {not_yet}")]
    OutOfOrder {
        /// Why the version had to be in effect.
        in_effect: InEffect,
        /// By when.
        by: Moment,
        /// Why it, or one of its ancestors, cannot have been in effect.
        not_yet: NotYet,
        /// Until when.
        not_before: Moment,
    },
}

impl Violation {
    /// The promise that is broken.
    pub const fn promise(&self) -> &'static str {
        match self {
            Self::ChangedAnyway { .. } => "P4",
            Self::Forked { .. } => "P5",
            Self::NeverSigned { .. } => "P9",
            Self::EndedTwice { .. } => "P11",
            Self::TookEffectTwice { .. }
            | Self::ForeignVersion { .. }
            | Self::OutOfOrder { not_yet: NotYet::Conflict { .. }, .. } => "P14",
            Self::TicketIgnored { .. }
            | Self::OutOfOrder { not_yet: NotYet::Began { .. } | NotYet::Read { .. }, .. } => "P15",
        }
    }

    /// The operations that contradict each other.
    pub fn operations(&self) -> Vec<OperationId> {
        match *self {
            Self::Forked { operations, .. } => operations.to_vec(),
            Self::ChangedAnyway { publish, shown_by, .. } => {
                vec![OperationId::Publish(publish), shown_by]
            }
            Self::TookEffectTwice { publishes, .. } => publishes.map(OperationId::Publish).to_vec(),
            Self::ForeignVersion { publish, signed_by, .. } => {
                [publish, signed_by].map(OperationId::Publish).to_vec()
            }
            Self::TicketIgnored { publish, .. } => vec![OperationId::Publish(publish)],
            Self::NeverSigned { operation, .. } | Self::EndedTwice { operation } => vec![operation],
            Self::OutOfOrder { in_effect, not_yet, .. } => {
                vec![in_effect.operation(), not_yet.operation()]
            }
        }
    }
}

/// Why a version was in effect by some moment: the end of an operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum InEffect {
    /// A publish was told that it is Published.
    Published {
        /// The publish.
        publish: PublishId,
        /// The version.
        version: VersionId,
    },
    /// A read confirmed it.
    Read {
        /// The read.
        read: ReadId,
        /// The version.
        version: VersionId,
    },
}

impl InEffect {
    const fn operation(self) -> OperationId {
        match self {
            Self::Published { publish, .. } => OperationId::Publish(publish),
            Self::Read { read, .. } => OperationId::Read(read),
        }
    }
}

impl fmt::Display for InEffect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Published { publish, version } => {
                write!(f, "{publish} was told that {} is Published", short(version))
            }
            Self::Read { read, version } => write!(f, "{read} confirmed {}", short(version)),
        }
    }
}

/// Why a version was not in effect before some moment: the beginning of an operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum NotYet {
    /// Its publish had not begun.
    Began {
        /// The publish.
        publish: PublishId,
        /// The version.
        version: VersionId,
    },
    /// A read that began then confirmed what comes before it.
    Read {
        /// The read.
        read: ReadId,
        /// What it confirmed; none for the empty base.
        found: Option<VersionId>,
    },
    /// A publish of the same attempt that began then was told that another's version is in the way.
    Conflict {
        /// The publish.
        publish: PublishId,
    },
}

impl NotYet {
    const fn operation(self) -> OperationId {
        match self {
            Self::Began { publish, .. } | Self::Conflict { publish } => {
                OperationId::Publish(publish)
            }
            Self::Read { read, .. } => OperationId::Read(read),
        }
    }
}

impl fmt::Display for NotYet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Began { publish, version } => {
                write!(f, "{publish} began, which signed {}, that or an ancestor", short(version))
            }
            Self::Read { read, found } => {
                write!(f, "{read} began, which confirmed {}, older than that", state(*found))
            }
            Self::Conflict { publish } => write!(
                f,
                "{publish} began, which was told that another's version is in the way, not its own"
            ),
        }
    }
}

/// A version's id as logs show it.
fn short(version: &VersionId) -> String {
    format!("version {}", &version.to_string()[..8])
}

/// What a register holds.
fn state(version: Option<VersionId>) -> String {
    version.map_or_else(|| "nothing".to_owned(), |version| short(&version))
}
