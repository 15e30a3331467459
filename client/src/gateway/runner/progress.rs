//! What a running publish is doing, in the protocol's words.

use bytes::Bytes;
use tarn_proto::gateway::{Phase, Progress};

use crate::publish::Step;
use crate::publish::publishing::Status;

pub(super) fn of(status: &Status) -> Progress {
    let phase = match status.progress.step {
        Step::Mapping => Phase::Mapping,
        Step::BackingOff => Phase::BackingOff,
        Step::Preparing => Phase::Preparing,
        Step::Committing | Step::Ended => Phase::Committing,
        Step::Bringing => Phase::Bringing,
    };
    let awaited = status.progress.awaited.iter();
    Progress {
        phase: phase.into(),
        round: status.progress.round,
        acknowledged_bytes: status.acknowledged,
        // Contents that are staged have a length.
        total_bytes: status.total.unwrap_or_default(),
        awaited: awaited.map(|store| Bytes::copy_from_slice(store.as_bytes())).collect(),
    }
}
