//! Where a publish is, and what it waits for.

use tarn_proto::{SignedHeader, StoreId, VersionId};

use crate::bring::Bring;
use crate::servermap::Mapping;
use crate::time::Millis;

/// A message sent and not yet answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Outstanding {
    pub(super) server: StoreId,
    pub(super) kind: Kind,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Query,
    Prepare,
    Extend,
    Commit,
    /// A query that asks how a commit of ours ended.
    Settle,
    Bring,
    Finalize,
}

#[derive(Debug, Clone)]
pub(super) enum Phase {
    /// Not begun.
    Idle,
    /// Learning what is there.
    Mapping(Mapping),
    /// Giving way before mapping again.
    BackingOff { until: Millis },
    /// Staging and sealing: nothing is visible anywhere yet.
    Preparing { encoded: Option<Encoded>, renew_at: Option<Millis> },
    /// Making the decision durable.
    Journaling { header: SignedHeader },
    /// Making the version visible.
    Committing { header: SignedHeader, since: Millis, quorum_after: Option<Millis> },
    /// Bringing a version that carries our attempt to a quorum.
    Bringing { bring: Box<Bring>, ours: VersionId },
    /// The caller was told; what is left is a courtesy.
    Ended,
}

/// The header is complete: the first pass of the draft has ended.
#[derive(Debug, Clone)]
pub(super) struct Encoded {
    pub(super) header: SignedHeader,
    pub(super) at: Millis,
}
