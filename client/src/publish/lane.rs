//! One server's part of a round: a conversation, and how far it has come. Decides nothing.

use std::collections::BTreeSet;

use tarn_proto::state::{Expected, Tests};
use tarn_proto::{ConversationId, Generation, ShareHealth, ShareNumber, SlotState};

use crate::time::Millis;

/// A conversation with one server. There is at most one with each server in a round.
#[derive(Debug, Clone)]
pub(super) struct Lane {
    pub(super) conversation: ConversationId,
    pub(super) shares: BTreeSet<ShareNumber>,
    /// How often its tests were put right after a conflict.
    pub(super) retests: u8,
    /// When the server last gave a sign of life.
    pub(super) alive_at: Millis,
    /// When it was last reported to hold up the encoding pass.
    pub(super) blocked_at: Option<Millis>,
    pub(super) state: LaneState,
}

/// How far a conversation has come.
#[derive(Debug, Clone)]
pub(super) enum LaneState {
    /// Blocks are on their way. `late` lanes are no longer waited for, but still count when they seal.
    Preparing { late: bool },
    /// The server holds its slot for us, as it was when it sealed it.
    Sealed(SlotState),
    /// The commit is on its way.
    Committing(SlotState),
    /// The commit's answer was lost; it is asked after.
    Unsettled { sealed: SlotState, asked: u8, ask_at: Millis },
    /// Durable.
    Accepted(SlotState),
    /// Refused for good.
    Refused,
    /// It could not be learnt whether the commit was accepted.
    Unknown,
}

impl Lane {
    pub(super) const fn is_preparing(&self) -> bool {
        matches!(self.state, LaneState::Preparing { .. })
    }

    /// Whether the lane is still waited for while preparing.
    pub(super) const fn is_awaited(&self) -> bool {
        matches!(self.state, LaneState::Preparing { late: false })
    }

    /// Whether it took far longer than the others and has not sealed yet.
    pub(super) const fn is_late(&self) -> bool {
        matches!(self.state, LaneState::Preparing { late: true })
    }

    /// The slot as it was sealed, if it is.
    pub(super) const fn sealed(&self) -> Option<&SlotState> {
        match &self.state {
            LaneState::Sealed(state) => Some(state),
            LaneState::Preparing { .. }
            | LaneState::Committing(_)
            | LaneState::Unsettled { .. }
            | LaneState::Accepted(_)
            | LaneState::Refused
            | LaneState::Unknown => None,
        }
    }

    /// The slot as it was sealed, if the commit was accepted.
    pub(super) const fn accepted(&self) -> Option<&SlotState> {
        match &self.state {
            LaneState::Accepted(state) => Some(state),
            LaneState::Preparing { .. }
            | LaneState::Sealed(_)
            | LaneState::Committing(_)
            | LaneState::Unsettled { .. }
            | LaneState::Refused
            | LaneState::Unknown => None,
        }
    }

    /// Whether the end of its commit is still awaited.
    pub(super) const fn is_open(&self) -> bool {
        matches!(self.state, LaneState::Committing(_) | LaneState::Unsettled { .. })
    }
}

/// The tests for writing these shares to a slot in this state: its first generation must be exactly as it is here.
pub(super) fn tests(state: Option<&SlotState>, shares: &BTreeSet<ShareNumber>) -> Tests {
    let mut expected: std::collections::BTreeMap<_, _> =
        shares.iter().map(|&share| (share, Expected::Absent)).collect();
    if let Some(Generation { header, shares, .. }) = state.and_then(SlotState::current) {
        for (&share, health) in shares {
            let held = match health {
                ShareHealth::Whole => Expected::Version(header.version()),
                ShareHealth::Damaged => Expected::Damaged,
            };
            expected.insert(share, held);
        }
    }
    Tests { shares: expected, no_others: true }
}
