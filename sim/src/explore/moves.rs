//! What can happen next in a state. A move is the smallest step whose order against others is tried; it stands for one
//! or several events.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use tarn_client::publish::Step;
use tarn_proto::ConversationId;

use super::identity::Identity;
use super::search::Node;
use super::{Begins, Faults, Scope};
use crate::event::{Event, Timed};
use crate::ids::{ClientId, EnvelopeId, Leg, ServerId};
use crate::world::{Body, Client, Envelope, Local, Machine, Request, RequestKind};

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

impl Node {
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

pub(super) fn is_read(client: &Client) -> bool {
    matches!(client.machine(), Machine::Read(_))
}
