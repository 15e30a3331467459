//! Bugs in what a writer makes of an answer, or of its absence.

use std::collections::{BTreeMap, BTreeSet};

use tarn_client::publish::Publish;
use tarn_client::publish::action::{Action, MessageId};
use tarn_client::publish::event::Event;
use tarn_client::publish::outcome::Outcome;
use tarn_proto::{Refusal, SignedHeader};

use super::identity::Messages;
use crate::ids::ClientId;
use crate::plant::Plant;
use crate::world::World;

/// The commits that a machine would send on hearing this.
fn commits_upon(
    world: &World,
    client: ClientId,
    machine: &Publish,
    event: &Event,
) -> Vec<MessageId> {
    let actions = machine.clone().step(world.elapsed(client), event.clone());
    commits(&actions).collect()
}

fn commits(actions: &[Action]) -> impl Iterator<Item = MessageId> {
    actions.iter().filter_map(|action| match action {
        Action::Commit { message, .. } => Some(*message),
        Action::Query { .. }
        | Action::Prepare { .. }
        | Action::Retest { .. }
        | Action::Extend { .. }
        | Action::Release { .. }
        | Action::Journal { .. }
        | Action::Bring { .. }
        | Action::Finalize { .. }
        | Action::WaitUntil { .. }
        | Action::Finish(_) => None,
    })
}

/// A share counts as placed when its server has sealed it.
#[derive(Debug, Clone)]
pub(super) struct PlacedOnSealed;

impl Plant for PlacedOnSealed {
    fn hears(
        &mut self,
        world: &World,
        client: ClientId,
        machine: &mut Publish,
        event: Event,
    ) -> Vec<Event> {
        if event != Event::Journaled {
            return vec![event];
        }
        let written = commits_upon(world, client, machine, &event);
        let written = written.into_iter().map(|message| Event::Written { message });
        std::iter::once(event).chain(written).collect()
    }
}

/// Whatever a server turns out to hold that the map did not show is another writer's doing.
#[derive(Debug, Clone, Default)]
pub(super) struct OlderIsConflict {
    /// What each writer builds on, and what came in its way.
    bases: BTreeMap<ClientId, Option<SignedHeader>>,
    conflicts: BTreeMap<ClientId, SignedHeader>,
}

impl Plant for OlderIsConflict {
    fn hears(&mut self, _: &World, client: ClientId, _: &mut Publish, event: Event) -> Vec<Event> {
        if let Event::Refused { refusal: Refusal::Conflict, state: Some(state), .. } = &event
            && let Some(current) = state.current()
            && let Some(Some(base)) = self.bases.get(&client)
            && current.header.order() < base.order()
        {
            self.conflicts.insert(client, current.header.clone());
            return vec![Event::CancelRequested];
        }
        vec![event]
    }

    fn does(&mut self, world: &World, client: ClientId, mut actions: Vec<Action>) -> Vec<Action> {
        for action in &mut actions {
            match action {
                Action::Prepare { draft, .. } => {
                    let base = draft.predecessor.and_then(|version| world.made(version));
                    self.bases.insert(client, base.map(|made| made.header.clone()));
                }
                Action::Finish(report) if report.outcome == Outcome::Cancelled => {
                    if let Some(theirs) = self.conflicts.remove(&client) {
                        report.outcome = Outcome::UncoordinatedWrite { theirs: Some(theirs) };
                    }
                }
                Action::Query { .. }
                | Action::Retest { .. }
                | Action::Extend { .. }
                | Action::Release { .. }
                | Action::Journal { .. }
                | Action::Commit { .. }
                | Action::Bring { .. }
                | Action::Finalize { .. }
                | Action::WaitUntil { .. }
                | Action::Finish(_) => {}
            }
        }
        actions
    }
}

/// An answer that is late by the machine's patience is thrown away.
#[derive(Debug, Clone, Default)]
pub(super) struct LateAnswersDropped {
    sent: BTreeMap<(ClientId, MessageId), u64>,
}

impl Plant for LateAnswersDropped {
    fn hears(
        &mut self,
        world: &World,
        client: ClientId,
        _: &mut Publish,
        event: Event,
    ) -> Vec<Event> {
        let answer = match &event {
            Event::Mapped { message, .. }
            | Event::Sealed { message, .. }
            | Event::Refused { message, .. }
            | Event::Extended { message, .. }
            | Event::Written { message } => Some(*message),
            Event::Started
            | Event::Encoded { .. }
            | Event::Progressed { .. }
            | Event::Stalled { .. }
            | Event::LeftToNext { .. }
            | Event::Journaled
            | Event::JournalFailed { .. }
            | Event::Failed { .. }
            | Event::SourceFailed(_)
            | Event::TimedOut { .. }
            | Event::CancelRequested => None,
        };
        let sent = answer.and_then(|message| self.sent.get(&(client, message)));
        let late = sent.is_some_and(|sent| world.now() > sent + world.setup().patience_floor);
        if late { Vec::new() } else { vec![event] }
    }

    fn does(&mut self, world: &World, client: ClientId, actions: Vec<Action>) -> Vec<Action> {
        let now = world.now();
        for action in &actions {
            match action {
                Action::Query { message, .. }
                | Action::Retest { message, .. }
                | Action::Extend { message, .. }
                | Action::Commit { message, .. } => {
                    self.sent.insert((client, *message), now);
                }
                Action::Prepare { lanes, .. } => {
                    self.sent.extend(lanes.iter().map(|lane| ((client, lane.message), now)));
                }
                Action::Release { .. }
                | Action::Journal { .. }
                | Action::Bring { .. }
                | Action::Finalize { .. }
                | Action::WaitUntil { .. }
                | Action::Finish(_) => {}
            }
        }
        actions
    }
}

/// A commit whose answer does not come has failed.
#[derive(Debug, Clone, Default)]
pub(super) struct TimeoutIsFailure {
    commits: Messages,
}

impl Plant for TimeoutIsFailure {
    fn hears(&mut self, _: &World, client: ClientId, _: &mut Publish, event: Event) -> Vec<Event> {
        if let Event::Failed { message, .. } = event
            && self.commits.contains(&(client, message))
        {
            return vec![Event::Refused { message, refusal: Refusal::PromiseLost, state: None }];
        }
        vec![event]
    }

    fn does(&mut self, _: &World, client: ClientId, actions: Vec<Action>) -> Vec<Action> {
        self.commits.extend(commits(&actions).map(|message| (client, message)));
        actions
    }
}

/// An answer that is there before the pass of commits has ended is handled within it. The others are not on record
/// yet, so the round is over for whoever handles it, and falls short; then the pass goes on and sends them.
#[derive(Debug, Clone, Default)]
pub(super) struct AnswerWithinPass {
    /// When each pass was sent, and what is on its way of it.
    passes: BTreeMap<ClientId, (u64, BTreeSet<MessageId>)>,
}

impl Plant for AnswerWithinPass {
    fn hears(
        &mut self,
        world: &World,
        client: ClientId,
        _: &mut Publish,
        event: Event,
    ) -> Vec<Event> {
        let (Event::Written { message }
        | Event::Refused { message, .. }
        | Event::Failed { message, .. }) = &event
        else {
            return vec![event];
        };
        let Some((sent, waiting)) = self.passes.get_mut(&client) else { return vec![event] };
        if !waiting.remove(message) || *sent != world.now() {
            return vec![event];
        }
        let unknown = std::mem::take(waiting).into_iter().map(|message| Event::Refused {
            message,
            refusal: Refusal::PromiseLost,
            state: None,
        });
        unknown.chain([event]).collect()
    }

    fn does(&mut self, world: &World, client: ClientId, actions: Vec<Action>) -> Vec<Action> {
        let sent: BTreeSet<MessageId> = commits(&actions).collect();
        if !sent.is_empty() {
            self.passes.insert(client, (world.now(), sent));
        }
        actions
    }
}
