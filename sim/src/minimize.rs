//! Makes a trace that breaks a promise as short as it gets: leaves out events while the rest still breaks the same
//! promise. Events that no longer apply do nothing, so anything can be left out. It does not change events.

use std::collections::BTreeSet;

use crate::event::Event;
use crate::ids::{ClientId, ServerId};
use crate::plant::Plant;
use crate::trace::{Ending, Judge, Player, Trace};

/// A trace that breaks its promise, and what it took to find it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Minimized {
    /// What is left.
    pub trace: Trace,
    /// The promise that it breaks, as the longer one did.
    pub promise: &'static str,
    /// How many events were left out.
    pub dropped: usize,
    /// How often a trace was played.
    pub replays: usize,
    /// Whether nothing more can be left out; false when the replays ran out first.
    pub is_minimal: bool,
}

/// Why there is nothing to make shorter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the trace breaks no promise")]
pub struct NothingBroken;

/// Leaves out events while the rest breaks the same promise, playing a trace at most `replays_max` times. `ending` must
/// be the one that shows the broken promise. The same trace gives the same result.
pub fn minimize(
    trace: &Trace,
    plant: Option<&dyn Plant>,
    ending: Ending,
    replays_max: usize,
) -> Result<Minimized, NothingBroken> {
    minimize_judged(trace, plant, ending, replays_max, Judge::PROMISES)
}

pub(crate) fn minimize_judged(
    trace: &Trace,
    plant: Option<&dyn Plant>,
    ending: Ending,
    replays_max: usize,
    judge: Judge,
) -> Result<Minimized, NothingBroken> {
    let mut search =
        Search { trace: trace.clone(), plant, ending, judge, promise: None, replays: 0 };
    let (at, promise) = search.play(trace).ok_or(NothingBroken)?;
    search.promise = Some(promise);
    search.trace.events.truncate(at + 1);
    let mut is_minimal = false;
    while !is_minimal && search.replays < replays_max {
        let before = search.trace.events.len();
        search.drop_groups(replays_max);
        search.drop_chunks(replays_max);
        is_minimal = search.trace.events.len() == before && search.replays < replays_max;
    }
    Ok(Minimized {
        dropped: trace.events.len() - search.trace.events.len(),
        trace: search.trace,
        promise,
        replays: search.replays,
        is_minimal,
    })
}

struct Search<'a> {
    /// The shortest so far.
    trace: Trace,
    plant: Option<&'a dyn Plant>,
    ending: Ending,
    judge: Judge,
    promise: Option<&'static str>,
    replays: usize,
}

/// What may be left out in one piece, because its parts mean little alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Group {
    /// A whole task, with every message of it.
    Task(ClientId),
    /// Whatever befell one server of itself.
    FaultsOf(ServerId),
    /// All copies, or all losses.
    Copies,
    Losses,
    /// What only says something.
    Notes,
}

impl Search<'_> {
    /// Where and what the trace breaks, if anything.
    fn play(&mut self, trace: &Trace) -> Option<(usize, &'static str)> {
        self.replays += 1;
        let plant = self.plant.map(|plant| plant.boxed());
        let replay = Player::judged(trace, plant, self.ending, self.judge).finish();
        replay.broken.map(|(at, broken)| (at, broken.promise.id))
    }

    /// Keeps the events that are wanted, if they still break the promise; and nothing after the break.
    fn try_keeping(&mut self, wanted: impl Fn(usize, &Event) -> bool) -> bool {
        let events = self.trace.events.iter().enumerate();
        let kept: Vec<_> = events
            .filter(|(index, timed)| wanted(*index, &timed.event))
            .map(|(_, timed)| timed.clone())
            .collect();
        if kept.len() == self.trace.events.len() {
            return false;
        }
        let mut shorter = Trace { events: kept, ..self.trace.clone() };
        match self.play(&shorter) {
            Some((at, promise)) if self.promise == Some(promise) => {
                shorter.events.truncate(at + 1);
                self.trace = shorter;
                true
            }
            Some(_) | None => false,
        }
    }

    fn drop_groups(&mut self, replays_max: usize) {
        let groups: BTreeSet<Group> =
            self.trace.events.iter().flat_map(|timed| groups_of(&timed.event)).collect();
        for group in groups {
            if self.replays >= replays_max {
                return;
            }
            self.try_keeping(|_, event| !groups_of(event).contains(&group));
        }
    }

    /// Halves, quarters, and so on to single events; from the end, where least depends on them.
    fn drop_chunks(&mut self, replays_max: usize) {
        let mut size = (self.trace.events.len() / 2).max(1);
        loop {
            let mut end = self.trace.events.len();
            while end > 0 {
                if self.replays >= replays_max {
                    return;
                }
                let chunk = end.saturating_sub(size)..end;
                end = chunk.start;
                self.try_keeping(|index, _| !chunk.contains(&index));
                end = end.min(self.trace.events.len());
            }
            if size == 1 {
                return;
            }
            size /= 2;
        }
    }
}

fn groups_of(event: &Event) -> Vec<Group> {
    match event {
        Event::Delivered { envelope } => vec![Group::Task(envelope.client)],
        Event::Duplicated { envelope } => vec![Group::Task(envelope.client), Group::Copies],
        Event::Lost { envelope } => vec![Group::Task(envelope.client), Group::Losses],
        Event::Began { client, .. }
        | Event::SourceChanged { client, .. }
        | Event::JournalFailed { client }
        | Event::CancelRequested { client }
        | Event::ClientKilled { client }
        | Event::Stalled { client, .. }
        | Event::Progressed { client, .. } => vec![Group::Task(*client)],
        Event::DiskFailed { server, .. }
        | Event::ServerCrashed { server, .. }
        | Event::ServerRestarted { server }
        | Event::ServerReplaced { server }
        | Event::ClockStepped { server, .. }
        | Event::ShareRotted { server, .. }
        | Event::Turned { server, .. } => vec![Group::FaultsOf(*server)],
        Event::Noted { .. } => vec![Group::Notes],
        // Without it nothing is ever durable; alone it can still be left out.
        Event::DiskSynced { .. } | Event::Healed => vec![],
    }
}

#[cfg(test)]
mod tests;
