//! What becomes of a state by a move: its events, and whatever follows from them at once.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use tarn_proto::ConversationId;

use super::identity::{Parts, tests_digest};
use super::moves::{Budgeted, Move, is_read};
use super::search::{Node, act};
use super::{Begins, Scope, UNLIMITED};
use crate::event::{Event, Fate, Task, Timed};
use crate::ids::{ClientId, EnvelopeId, Leg, ServerId};
use crate::plant::Plant;
use crate::promises::{Broken, check_at_rest};
use crate::world::{Body, Client, Envelope, Fact, Local, Reply, Request, Said, World};

type Watch<'a> = &'a mut dyn FnMut(&World, &Timed);

impl Node {
    pub(super) fn first(scope: &Scope, plant: Option<Box<dyn Plant>>) -> Result<Self, Broken> {
        Self::first_recorded(scope, plant, &mut |_, _| {})
    }

    /// The opening, and the tasks that begin with the search.
    pub(super) fn first_recorded(
        scope: &Scope,
        plant: Option<Box<dyn Plant>>,
        watch: Watch<'_>,
    ) -> Result<Self, Broken> {
        let world = World::new(scope.setup.clone(), plant);
        let budget = Budgeted {
            left: scope.faults,
            waits: BTreeMap::new(),
            resumed: BTreeSet::new(),
            sealed: Arc::default(),
        };
        let mut node = Self { parts: Parts::default(), world, budget };
        for Timed { at, event } in &scope.opening {
            act(scope, &mut node.world, event.clone(), *at, watch)?;
        }
        for (id, planned) in scope.planned() {
            if planned.begins == Begins::AtOnce {
                node.act(scope, Event::Began { client: id, task: planned.task.clone() }, watch)?;
            }
        }
        node.settle(scope, watch)?;
        node.parts = Parts::of(&node, None);
        Ok(node)
    }

    /// The state after a move.
    pub(super) fn after(&self, scope: &Scope, by: Move, watch: Watch<'_>) -> Result<Self, Broken> {
        let mut node = self.clone();
        node.make(scope, by, watch)?;
        node.settle(scope, watch)?;
        node.parts = Parts::of(&node, Some(self));
        Ok(node)
    }

    fn act(&mut self, scope: &Scope, event: Event, watch: Watch<'_>) -> Result<bool, Broken> {
        act(scope, &mut self.world, event, 0, watch)
    }

    fn make(&mut self, scope: &Scope, by: Move, watch: Watch<'_>) -> Result<(), Broken> {
        match by {
            Move::Serve(id) => {
                self.serve(scope, id, watch)?;
                self.act(scope, Event::Delivered { envelope: id.on(Leg::Answer) }, watch)?;
            }
            Move::ServeLate(id) => {
                spend(&mut self.budget.left.delays);
                self.serve(scope, id, watch)?;
            }
            Move::ServeLost(id) => {
                spend(&mut self.budget.left.losses);
                self.serve(scope, id, watch)?;
                self.act(scope, Event::Lost { envelope: id.on(Leg::Answer) }, watch)?;
            }
            Move::Lose(id) => {
                spend(&mut self.budget.left.losses);
                self.act(scope, Event::Lost { envelope: id }, watch)?;
            }
            Move::Double(id) => {
                spend(&mut self.budget.left.duplicates);
                self.act(scope, Event::Duplicated { envelope: id }, watch)?;
            }
            Move::Hear(id) => {
                self.act(scope, Event::Delivered { envelope: id }, watch)?;
            }
            Move::Fire(id) => self.fire(scope, id, watch)?,
            Move::FireEarly(id) => {
                spend(&mut self.budget.left.early_timers);
                self.fire(scope, id, watch)?;
            }
            Move::Lapse(server) => {
                spend(&mut self.budget.left.lapses);
                let forward = scope.setup.promise;
                self.act(scope, Event::ClockStepped { server, forward, wall: 0 }, watch)?;
            }
            Move::Restart(server) => {
                spend(&mut self.budget.left.restarts);
                let crash = Event::ServerCrashed { server, unsynced: Fate::Lost };
                self.act(scope, crash, watch)?;
                self.act(scope, Event::ServerRestarted { server }, watch)?;
            }
            Move::Empty(server) => {
                spend(&mut self.budget.left.emptied);
                self.act(scope, Event::ServerReplaced { server }, watch)?;
            }
            Move::Kill(client) => {
                spend(&mut self.budget.left.kills);
                self.act(scope, Event::ClientKilled { client }, watch)?;
            }
            Move::Resume(killed) => {
                spend(&mut self.budget.left.resumes);
                self.budget.resumed.insert(killed);
                self.resume(scope, killed, watch)?;
            }
            Move::Begin(client) => {
                if let Some((_, planned)) = scope.planned().find(|(id, _)| *id == client) {
                    let task = planned.task.clone();
                    self.act(scope, Event::Began { client, task }, watch)?;
                }
            }
            Move::Rest => {
                self.act(scope, Event::Healed, watch)?;
                let left: Vec<_> = self.world.in_flight().map(|envelope| envelope.id).collect();
                for envelope in left {
                    self.act(scope, Event::Delivered { envelope }, watch)?;
                    let answer = envelope.on(Leg::Answer);
                    self.act(scope, Event::Delivered { envelope: answer }, watch)?;
                }
                check_at_rest(&self.world)?;
            }
        }
        Ok(())
    }

    /// Hands a request to its server, and remembers what a Seal tested.
    fn serve(&mut self, scope: &Scope, id: EnvelopeId, watch: Watch<'_>) -> Result<(), Broken> {
        let tested = match self.world.envelope(id).map(|envelope| &envelope.body) {
            Some(Body::Request { server, request }) => match request.as_ref() {
                Request::Seal { conversation, tests, .. } => {
                    Some((*server, *conversation, tests_digest(tests)))
                }
                Request::Query { .. }
                | Request::Extend { .. }
                | Request::Commit { .. }
                | Request::Bring { .. }
                | Request::Finalize { .. }
                | Request::End { .. }
                | Request::ReadRows { .. }
                | Request::ReadBlocks { .. } => None,
            },
            Some(Body::Answer { .. } | Body::Local(_)) | None => None,
        };
        self.act(scope, Event::Delivered { envelope: id }, watch)?;
        let sealed = |fact: &Fact| matches!(fact, Fact::Served { said: Said::Sealed, .. });
        if let Some((server, stream, tests)) = tested
            && self.world.facts().iter().any(sealed)
        {
            Arc::make_mut(&mut self.budget.sealed).insert((server, stream), tests);
        }
        Ok(())
    }

    fn fire(&mut self, scope: &Scope, id: EnvelopeId, watch: Watch<'_>) -> Result<(), Broken> {
        let due = self.world.envelope(id).and_then(|envelope| envelope.due).unwrap_or(0);
        if self.world.client(id.client).is_some_and(is_read) {
            *self.budget.waits.entry(id.client).or_default() += 1;
        }
        act(scope, &mut self.world, Event::Delivered { envelope: id }, due, watch)?;
        Ok(())
    }

    fn resume(&mut self, scope: &Scope, killed: ClientId, watch: Watch<'_>) -> Result<(), Broken> {
        let task = self.world.oracle().task(killed).map(|record| record.task.clone());
        let begun = self.world.clients().map(Client::id).max().map_or(0, |last| last.0 + 1);
        let planned = scope.planned().map(|(id, _)| id.0 + 1).max().unwrap_or(0);
        if let Some(mut task) = task {
            let client = ClientId(begun.max(planned));
            if let Task::Publish(task) = &mut task {
                // Streams of one name would be taken for those of the killed writer.
                task.seed = 1_000 + u64::from(client.0);
            }
            self.act(scope, Event::Began { client, task }, watch)?;
        }
        Ok(())
    }

    /// Does everything whose moment makes no difference.
    fn settle(&mut self, scope: &Scope, watch: Watch<'_>) -> Result<(), Broken> {
        loop {
            let next = self.world.in_flight().find(|envelope| self.is_at_once(scope, envelope));
            if let Some(Envelope { id, body, .. }) = next.cloned() {
                if matches!(body, Body::Request { .. }) {
                    self.serve(scope, id, watch)?;
                    self.act(scope, Event::Delivered { envelope: id.on(Leg::Answer) }, watch)?;
                } else {
                    self.act(scope, Event::Delivered { envelope: id }, watch)?;
                }
                continue;
            }
            let Some((client, task)) = self.follow_up(scope) else { break };
            self.act(scope, Event::Began { client, task }, watch)?;
        }
        if !self.budget.sealed.is_empty() {
            let world = &self.world;
            let lives = |(server, stream): &(ServerId, ConversationId)| {
                world.server(*server).is_some_and(|server| server.streams().any(|s| s == *stream))
            };
            if !self.budget.sealed.keys().all(lives) {
                Arc::make_mut(&mut self.budget.sealed).retain(|key, _| lives(key));
            }
        }
        Ok(())
    }

    fn is_at_once(&self, scope: &Scope, envelope: &Envelope) -> bool {
        let running = self.world.client(envelope.id.client).is_some_and(Client::is_running);
        match &envelope.body {
            Body::Local(Local::TimedOut(_)) => false,
            Body::Local(
                Local::Started | Local::Encoded { .. } | Local::Journaled | Local::Consumed { .. },
            ) => running,
            Body::Answer { reply, .. } => running && matches!(**reply, Reply::Dead(_)),
            Body::Request { server, request } => match request.as_ref() {
                Request::ReadRows { .. } | Request::ReadBlocks { .. } => running,
                Request::End { conversation } => {
                    let ended = |s: &crate::world::Server| s.has_ended(*conversation);
                    !scope.linger || self.world.server(*server).is_none_or(ended)
                }
                Request::Query { .. }
                | Request::Seal { .. }
                | Request::Extend { .. }
                | Request::Commit { .. }
                | Request::Bring { .. }
                | Request::Finalize { .. } => false,
            },
        }
    }

    /// A task whose turn has come.
    fn follow_up(&self, scope: &Scope) -> Option<(ClientId, Task)> {
        scope.planned().find_map(|(id, planned)| {
            let Begins::After(earlier) = planned.begins else { return None };
            let ended = self.world.oracle().task(earlier)?.ended.is_some();
            (ended && self.world.client(id).is_none()).then(|| (id, planned.task.clone()))
        })
    }
}

const fn spend(budget: &mut u8) {
    if *budget != UNLIMITED {
        *budget -= 1;
    }
}
