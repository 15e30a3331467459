//! What a run gives back: counts and a story, and the check that it did not pass.

use std::collections::BTreeMap;

use tarn_client::queue::{Because, End, State, Verdict};

use super::checks::Broken;
use super::fact::Fact;
use super::gateway::Answer;
use super::record::Move;

/// A run.
#[derive(Debug, Clone, Default)]
pub struct Report {
    /// How many facts there were.
    pub facts: u64,
    /// How many of each kind that is counted, [`COUNTED`] in all.
    pub counts: BTreeMap<&'static str, u64>,
    /// How long it was, in simulated milliseconds.
    pub simulated: u64,
    /// Every fact, one a line, if it was asked for.
    pub story: Vec<String>,
    /// The check that it did not pass.
    pub broken: Option<Broken>,
}

/// Every kind of fact that is counted; a sweep that does not reach all of them is too short.
pub const COUNTED: &[&str] = &[
    "answers taken",
    "answers known",
    "answers refused",
    "runs",
    "runs restored",
    "runs published",
    "runs repeated",
    "runs fruitless",
    "runs unsettled",
    "ended cancelled",
    "ended replaced",
    "ended predecessor failed",
    "ended predecessor missing",
    "ended circular",
    "versions",
    "messages lost",
    "deaths",
    "stops",
];

impl Report {
    pub(super) fn add(&mut self, fact: &Fact) {
        self.facts += 1;
        if let Some(kind) = kind(fact) {
            *self.counts.entry(kind).or_default() += 1;
        }
    }
}

const fn kind(fact: &Fact) -> Option<&'static str> {
    Some(match fact {
        Fact::Answered { answer: Answer::Taken(_), .. } => "answers taken",
        Fact::Answered { answer: Answer::Known(_), .. } => "answers known",
        Fact::Answered { answer: Answer::Refused(_), .. } => "answers refused",
        Fact::Ran { restored: false, .. } => "runs",
        Fact::Ran { restored: true, .. } => "runs restored",
        Fact::RunEnded { end: End::Published { repeated: false, .. }, .. } => "runs published",
        Fact::RunEnded { end: End::Published { repeated: true, .. }, .. } => "runs repeated",
        Fact::RunEnded { end: End::Fruitless, .. } => "runs fruitless",
        Fact::RunEnded { end: End::Unsettled, .. } => "runs unsettled",
        Fact::Moved(Move { to: State::Ended(verdict), .. }) => match verdict {
            Verdict::Reported => return None,
            Verdict::Cancelled => "ended cancelled",
            Verdict::Stale(Because::Replaced { .. }) => "ended replaced",
            Verdict::Stale(Because::PredecessorFailed(_)) => "ended predecessor failed",
            Verdict::Stale(Because::PredecessorMissing(_)) => "ended predecessor missing",
            Verdict::Stale(Because::Circular) => "ended circular",
        },
        Fact::Appended { .. } => "versions",
        Fact::Lost { .. } => "messages lost",
        Fact::Died { .. } => "deaths",
        Fact::Stopped { .. } => "stops",
        Fact::Registered { .. }
        | Fact::Moved(_)
        | Fact::Clashed(_)
        | Fact::CancelRequested { .. }
        | Fact::Began { .. }
        | Fact::Healed
        | Fact::Rested => return None,
    })
}
