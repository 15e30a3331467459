//! What can happen next in a state, and what becomes of it. A move is the smallest step whose order against others is
//! tried; it stands for one or several events.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use tarn_client::publish::Step;
use tarn_client::quorum::{Placement, is_quorum};
use tarn_proto::{ConversationId, VersionId};

use super::identity::{Identity, Parts, tests_digest};
use super::search::{Node, act};
use super::{Begins, Faults, Scope, UNLIMITED};
use crate::event::{Event, Fate, Task, Timed};
use crate::ids::{ClientId, EnvelopeId, Leg, ServerId};
use crate::plant::Plant;
use crate::promises::{Broken, Demanded, Promise, check_at_rest};
use crate::world::{
    Body, Client, Envelope, Fact, Local, Machine, Reply, Request, RequestKind, Said, World,
};

/// Something that can happen next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Move {
    /// A request is handled, and its answer heard.
    Serve(EnvelopeId),
    /// A request is handled; its answer comes later.
    ServeLate(EnvelopeId),
    /// A request is handled, and its answer lost.
    ServeLost(EnvelopeId),
    /// A request is lost.
    Lose(EnvelopeId),
    /// A request is doubled.
    Double(EnvelopeId),
    /// A late answer is heard.
    Hear(EnvelopeId),
    /// A timer fires, its client waiting for nothing else.
    Fire(EnvelopeId),
    /// A timer fires although its client waits for an answer.
    FireEarly(EnvelopeId),
    /// A promise runs out.
    Lapse(ServerId),
    /// A server crashes and comes back.
    Restart(ServerId),
    /// A server loses its disk.
    Empty(ServerId),
    /// A writer is killed.
    Kill(ClientId),
    /// The submission of a killed writer is tried again.
    Resume(ClientId),
    /// A task begins.
    Begin(ClientId),
    /// Nothing is left to be done: what is on its way arrives, and nothing may be left behind.
    Rest,
}

/// What may still go wrong, and what else bounds the search.
#[derive(Debug, Clone)]
pub(super) struct Budgeted {
    pub(super) left: Faults,
    /// How many timers of each reader have fired.
    pub(super) waits: BTreeMap<ClientId, u32>,
    /// Which killed writers were followed by another try.
    pub(super) resumed: BTreeSet<ClientId>,
    /// The tests of the last Seal that each stream made good: the slot tries them again at Commit, and keeps them to
    /// itself.
    pub(super) sealed: Arc<BTreeMap<(ServerId, ConversationId), Identity>>,
}

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

    /// Everything that can happen next, in a fixed order.
    pub(super) fn moves(&self, scope: &Scope) -> Vec<Move> {
        let mut moves = Vec::new();
        for envelope in self.world.in_flight() {
            match &envelope.body {
                Body::Request { server, request } => {
                    self.moves_of_request(envelope.id, *server, request, &mut moves);
                }
                Body::Answer { .. } => {
                    if self.world.client(envelope.id.client).is_some_and(Client::is_running) {
                        moves.push(Move::Hear(envelope.id));
                    }
                }
                Body::Local(_) => {}
            }
        }
        self.moves_of_timers(scope, &mut moves);
        self.moves_of_servers(&mut moves);
        self.moves_of_tasks(scope, &mut moves);
        if moves.is_empty() && !self.world.clients().any(Client::is_running) {
            moves.push(Move::Rest);
        }
        moves
    }

    fn moves_of_request(
        &self,
        id: EnvelopeId,
        server: ServerId,
        request: &Request,
        moves: &mut Vec<Move>,
    ) {
        if self.is_dead_letter(id, server, request) {
            return;
        }
        moves.push(Move::Serve(id));
        let running = self.world.client(id.client).is_some_and(Client::is_running);
        let left = &self.budget.left;
        let kind = request.kind();
        if kind == RequestKind::End {
            return;
        }
        if running && left.losses > 0 {
            moves.push(Move::Lose(id));
            if kind != RequestKind::Query {
                moves.push(Move::ServeLost(id));
            }
        }
        if running && left.delays > 0 {
            moves.push(Move::ServeLate(id));
        }
        if left.duplicates > 0 && id.copy == 0 && kind != RequestKind::Query {
            moves.push(Move::Double(id));
        }
    }

    /// Whether nobody would learn that the request was handled, and nothing would change by it.
    pub(super) fn is_dead_letter(&self, id: EnvelopeId, to: ServerId, request: &Request) -> bool {
        if self.world.client(id.client).is_some_and(Client::is_running) {
            return false;
        }
        let Some(server) = self.world.server(to).filter(|server| server.is_up()) else {
            return true;
        };
        match request {
            Request::Query { .. } | Request::ReadRows { .. } | Request::ReadBlocks { .. } => true,
            Request::Seal { conversation, .. } => server.has_ended(*conversation),
            Request::Extend { conversation } | Request::Commit { conversation, .. } => {
                !server.streams().any(|stream| stream == *conversation)
            }
            Request::Bring { .. } | Request::Finalize { .. } | Request::End { .. } => false,
        }
    }

    fn moves_of_timers(&self, scope: &Scope, moves: &mut Vec<Move>) {
        for client in self.world.clients() {
            let Some(timer) = self.timer(client.id()) else { continue };
            match client.machine() {
                Machine::Publish(machine) => {
                    let progress = machine.progress();
                    let backs_off = progress.step == Step::BackingOff;
                    if backs_off && progress.round >= scope.rounds {
                        continue;
                    }
                    if backs_off || progress.awaited.is_empty() {
                        moves.push(Move::Fire(timer));
                    } else if self.budget.left.early_timers > 0 {
                        moves.push(Move::FireEarly(timer));
                    }
                }
                Machine::Read(_) => {
                    let fired = self.budget.waits.get(&client.id()).copied().unwrap_or(0);
                    let is_awaited = |envelope: &Envelope| {
                        envelope.id.client == client.id() && envelope.id.leg != Leg::Local
                    };
                    if fired + 1 >= scope.rounds {
                        continue;
                    }
                    if !self.world.in_flight().any(is_awaited) {
                        moves.push(Move::Fire(timer));
                    } else if self.budget.left.early_timers > 0 {
                        moves.push(Move::FireEarly(timer));
                    }
                }
                Machine::Over | Machine::Killed => {}
            }
        }
    }

    /// The last timer that the client set: those before it no longer mean anything.
    pub(super) fn timer(&self, client: ClientId) -> Option<EnvelopeId> {
        let timers = self.world.in_flight().filter_map(|envelope| match &envelope.body {
            Body::Local(Local::TimedOut(timer)) if envelope.id.client == client => {
                Some((*timer, envelope.id))
            }
            Body::Local(_) | Body::Request { .. } | Body::Answer { .. } => None,
        });
        timers.max_by_key(|(timer, _)| *timer).map(|(_, id)| id)
    }

    fn moves_of_servers(&self, moves: &mut Vec<Move>) {
        let left = &self.budget.left;
        for server in self.world.servers().filter(|server| server.is_up()) {
            let now = server.now(self.world.now());
            let promised = server.slot().is_some_and(|slot| slot.promised_to(now).is_some());
            if left.lapses > 0 && promised {
                moves.push(Move::Lapse(server.id()));
            }
            if left.restarts > 0 && server.streams().next().is_some() {
                moves.push(Move::Restart(server.id()));
            }
            let held = !server.disk().generations.is_empty() || promised;
            if left.emptied > 0 && held && !server.is_destroyed() {
                moves.push(Move::Empty(server.id()));
            }
        }
    }

    fn moves_of_tasks(&self, scope: &Scope, moves: &mut Vec<Move>) {
        let left = &self.budget.left;
        for client in self.world.clients() {
            let id = client.id();
            if left.kills > 0 && client.is_awaited() && !is_read(client) {
                moves.push(Move::Kill(id));
            }
            let killed = client.is_killed() && !self.budget.resumed.contains(&id);
            if left.resumes > 0 && killed && client.attempt().is_some() {
                moves.push(Move::Resume(id));
            }
        }
        for (id, planned) in scope.planned() {
            if planned.begins == Begins::AnyTime && self.world.client(id).is_none() {
                moves.push(Move::Begin(id));
            }
        }
    }
}

impl Scope {
    /// The tasks, and the names they will have.
    pub(super) fn planned(&self) -> impl Iterator<Item = (ClientId, &super::Planned)> {
        let begun = |timed: &&Timed| matches!(timed.event, Event::Began { .. });
        let first = u16::try_from(self.opening.iter().filter(begun).count()).unwrap_or(u16::MAX);
        (first..).map(ClientId).zip(&self.tasks)
    }
}

const fn spend(budget: &mut u8) {
    if *budget != UNLIMITED {
        *budget -= 1;
    }
}

fn is_read(client: &Client) -> bool {
    matches!(client.machine(), Machine::Read(_))
}

/// What the design proves of its rules beyond what any caller is told: a stronger statement than P5, broken earlier.
static ONE_LINE: Promise = Promise {
    id: "P5",
    sentence: "of two versions, each told Published or held by a quorum, one descends from the other",
    source: "DESIGN 7.2; the model's COUNTFORK",
    against_liars: false,
    demanded: Demanded::Always,
    concerns: |fact| matches!(fact, Fact::Durable { .. } | Fact::Told { .. }),
    check: one_line,
};

pub(super) fn hold_one_line(world: &World) -> Result<(), Broken> {
    if world.facts().iter().any(ONE_LINE.concerns) {
        (ONE_LINE.check)(world).map_err(|detail| Broken { promise: &ONE_LINE, detail })?;
    }
    Ok(())
}

fn one_line(world: &World) -> Result<(), String> {
    let published = world.oracle().published().map(|(version, _)| version);
    let mut line: BTreeSet<VersionId> = published.collect();
    for made in world.versions() {
        let version = made.version();
        let held: Placement = world
            .servers()
            .filter(|server| !server.is_destroyed())
            .filter_map(|server| Some((server.id().store(), server.disk().generation(version)?)))
            .map(|(store, held)| (store, held.shares.keys().copied().collect()))
            .collect();
        if is_quorum(made.header.header().into(), &held) {
            line.insert(version);
        }
    }
    for (at, &one) in line.iter().enumerate() {
        for &other in line.iter().skip(at + 1) {
            if !world.descends(one, other) && !world.descends(other, one) {
                return Err(format!("{one} and {other} are unrelated"));
            }
        }
    }
    Ok(())
}
