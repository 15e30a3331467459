//! What a publish is doing, for whoever watches it. Shows; decides nothing.

use std::collections::BTreeSet;

use tarn_proto::StoreId;

use super::{Phase, Publish};

/// What a publish is doing, for whoever watches.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Progress {
    /// What.
    pub step: Step,
    /// Who has not answered yet.
    pub awaited: BTreeSet<StoreId>,
    /// Which round it is in, from 1.
    pub round: u32,
}

/// A publish's phase, for people.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// Learning what is there.
    Mapping,
    /// Giving way to another writer.
    BackingOff,
    /// Sending shares; nothing is visible yet.
    Preparing,
    /// Making the version visible.
    Committing,
    /// Bringing an earlier try of ours to a quorum.
    Bringing,
    /// Done, but for courtesies.
    Ended,
}

impl Publish {
    /// What it is doing, and whom it waits for.
    pub fn progress(&self) -> Progress {
        let awaited = self.outstanding.values().map(|message| message.server).collect();
        let step = match &self.phase {
            Phase::Idle | Phase::Mapping(_) => Step::Mapping,
            Phase::BackingOff { .. } => Step::BackingOff,
            Phase::Preparing { .. } | Phase::Journaling { .. } => Step::Preparing,
            Phase::Committing { .. } => Step::Committing,
            Phase::Bringing { .. } => Step::Bringing,
            Phase::Ended => Step::Ended,
        };
        Progress { step, awaited, round: self.rounds }
    }
}
