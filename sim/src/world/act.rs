//! The drivers' side of a world: each thing that a machine asks for is put on its way. Nothing here calls a machine
//! back: answers come as events of their own.

use std::collections::BTreeSet;
use std::sync::Arc;

use tarn_client::fetch::RunId;
use tarn_client::publish::action::{Action, MessageId};
use tarn_client::publish::event::Event as PublishEvent;
use tarn_client::publish::outcome::Landed;
use tarn_client::retrieve::action::Action as ReadAction;
use tarn_client::retrieve::event::Event as ReadEvent;
use tarn_client::servermap::{Failure, ServerMap};
use tarn_proto::{Certificate, HistoryQuery, SequenceNumber, SignedHeader, StoreId, VersionId};

use crate::ids::{ClientId, Leg, ServerId};
use crate::setup::key;

use super::client::{LaneCopy, since};
use super::send::Brought;
use super::{Client, Ended, Fact, Local, Machine, MachineEvent, Request, Told, World};

impl World {
    /// One step of a machine, and everything it asks for put on its way.
    pub(super) fn step(&mut self, id: ClientId, event: MachineEvent) {
        match event {
            MachineEvent::Publish(event) => self.step_publish(id, event),
            MachineEvent::Read(event) => self.step_read(id, event),
        }
    }

    fn step_publish(&mut self, id: ClientId, event: PublishEvent) {
        let told = event.clone();
        let heard = self.planted(|plant, world| {
            let Some(mut client) = world.clients.get(&id).cloned() else { return vec![] };
            let Machine::Publish(machine) = &mut Arc::make_mut(&mut client).machine else {
                return vec![];
            };
            let events = plant.hears(world, id, machine, told);
            world.clients.insert(id, client);
            events
        });
        for event in heard.unwrap_or_else(|| vec![event]) {
            let now = self.now;
            let Some(client) = self.clients.get_mut(&id).map(Arc::make_mut) else { return };
            let began = client.began;
            let Machine::Publish(machine) = &mut client.machine else { return };
            let actions = machine.step(since(began, now), event);
            self.fact(Fact::Stepped { client: id });
            let changed = self.planted(|plant, world| plant.does(world, id, actions.clone()));
            for action in changed.unwrap_or(actions) {
                let aimed = self.dead_on_arrival(&action);
                self.act(id, action);
                if let Some(message) = aimed {
                    let failure = Failure::Dead("dead reference".to_owned());
                    self.step_publish(id, PublishEvent::Failed { message, failure });
                }
            }
        }
        let over = self.clients.get(&id).is_some_and(|client| match &client.machine {
            Machine::Publish(machine) => machine.is_over(),
            Machine::Read(_) | Machine::Over | Machine::Killed => false,
        });
        if over {
            self.end_loop(id, Machine::Over);
        }
    }

    /// The message of an action that fails at once, if a planted bug re-enters the loop on that.
    fn dead_on_arrival(&mut self, action: &Action) -> Option<MessageId> {
        if !self.plant.as_ref().is_some_and(|plant| plant.reenters()) {
            return None;
        }
        let down = |server: StoreId| {
            self.servers.get(&ServerId::of(server)).is_none_or(|server| !server.is_up())
        };
        match action {
            Action::Query { message, server, .. } | Action::Commit { message, server, .. } => {
                down(*server).then_some(*message)
            }
            Action::Prepare { lanes, .. } => {
                lanes.iter().find(|lane| down(lane.server)).map(|lane| lane.message)
            }
            Action::Retest { .. }
            | Action::Extend { .. }
            | Action::Release { .. }
            | Action::Journal { .. }
            | Action::Bring { .. }
            | Action::Finalize { .. }
            | Action::WaitUntil { .. }
            | Action::Finish(_) => None,
        }
    }

    fn step_read(&mut self, id: ClientId, event: ReadEvent) {
        let told = event.clone();
        let heard = self.planted(|plant, world| plant.reader_hears(world, id, told));
        let mut events = heard.unwrap_or_else(|| vec![event]);
        while !events.is_empty() {
            let event = events.remove(0);
            let now = self.now;
            let Some(client) = self.clients.get_mut(&id).map(Arc::make_mut) else { return };
            let began = client.began;
            let Machine::Read(machine) = &mut client.machine else { return };
            let mut actions = machine.step(since(began, now), event);
            self.fact(Fact::Stepped { client: id });
            let planted =
                self.planted(|plant, world| plant.reader_does(world, id, actions.clone()));
            if let Some((changed, more)) = planted {
                actions = changed;
                events.extend(more);
            }
            for action in actions {
                self.act_read(id, action);
            }
        }
    }

    /// Does one thing that a publish asks for.
    pub(super) fn act(&mut self, id: ClientId, action: Action) {
        let attempt = self.clients.get(&id).and_then(|client| client.attempt());
        match action {
            Action::Query { message, server, since, conversation } => {
                let history = attempt.map(|attempt| HistoryQuery { attempt, since });
                self.ask(id, Some(message), server, Request::Query { history, conversation });
            }
            Action::Prepare { draft, finalize, ancestors, lanes } => {
                let certificate =
                    finalize.map(|(number, version)| self.certificate(number, version));
                self.prepare(id, draft, certificate, &ancestors, lanes);
            }
            Action::Retest { message, conversation, tests, .. } => {
                let Some(lane) = self.lane(id, conversation) else {
                    return self.fail(id, message, "the conversation has ended");
                };
                let Some(made) = lane.made.clone() else {
                    return self.fail(id, message, "nothing is encoded yet");
                };
                let server = lane.server.store();
                let seal = Request::Seal {
                    conversation,
                    shares: lane.shares.clone(),
                    tests,
                    // Its Open has pinned it.
                    base: None,
                    finalize: None,
                    ancestors: lane.ancestors.clone(),
                    made,
                };
                self.ask(id, Some(message), server, seal);
            }
            Action::Extend { message, server, conversation } => {
                self.ask(id, Some(message), server, Request::Extend { conversation });
            }
            Action::Release { server, conversation } => self.release(id, server, conversation),
            Action::Journal { header, placement } => {
                let unknown = placement.into_keys().collect();
                let left = Landed { header, accepted: BTreeSet::new(), unknown };
                Arc::make_mut(&mut self.oracle).note_journal(id, left);
                self.send_local(id, None, Local::Journaled);
            }
            Action::Commit { message, server, conversation, header } => {
                Arc::make_mut(&mut self.oracle).note_signed(&header, id);
                self.ask(id, Some(message), server, Request::Commit { conversation, header });
            }
            Action::Bring {
                message,
                server,
                conversation: _,
                header,
                certificate,
                ancestors,
                shares,
                sources,
            } => {
                let brought = Brought { header, certificate, ancestors, shares, sources };
                self.bring(id, message, server, brought);
            }
            Action::Finalize { message, server, sequence_number, version } => {
                let certificate = self.certificate(sequence_number, version);
                self.ask(id, Some(message), server, Request::Finalize { certificate });
            }
            Action::WaitUntil { timer, when, .. } => {
                let began = self.clients.get(&id).map_or(0, |client| client.began);
                self.send_local(id, Some(began + when.0), Local::TimedOut(timer));
            }
            Action::Finish(report) => {
                let told = Told::from(&report.outcome);
                if let Some(caller) = self.caller(id).filter(|_| self.setup.remembers) {
                    Arc::make_mut(&mut self.oracle).heard(caller, &report.heard);
                }
                if let (Some(made), Some(caller)) = (
                    told.version().and_then(|version| self.made.get(&version)).cloned(),
                    self.caller(id),
                ) {
                    Arc::make_mut(&mut self.oracle).raise_high_water(caller, &made.header);
                }
                self.tell(id, told, Ended::Publish(report));
            }
        }
    }

    fn act_read(&mut self, id: ClientId, action: ReadAction) {
        match action {
            ReadAction::Query { message, server } => {
                let query = Request::Query { history: None, conversation: None };
                self.ask(id, Some(message), server, query);
            }
            ReadAction::Bring {
                message,
                server,
                conversation: _,
                header,
                certificate,
                ancestors,
                shares,
                sources,
            } => {
                let brought = Brought { header, certificate, ancestors, shares, sources };
                self.bring(id, message, server, brought);
            }
            ReadAction::ReadRows { message, server, header, segments } => {
                let version = header.version();
                self.with_client(id, |client| {
                    if client.reading.header.as_ref() != Some(&header) {
                        client.reading.header = Some(header);
                        client.reading.rows_until = 0;
                        client.reading.shelf.clear();
                        client.reading.waiting.clear();
                    }
                });
                self.ask(id, Some(message), server, Request::ReadRows { version, segments });
            }
            ReadAction::ReadBlocks(run) => {
                let Some(version) = self
                    .clients
                    .get(&id)
                    .and_then(|client| client.reading.header.as_ref().map(SignedHeader::version))
                else {
                    return;
                };
                let request = Request::ReadBlocks {
                    run: run.id,
                    version,
                    share: run.share,
                    segments: run.segments.clone(),
                };
                let server = run.server;
                self.with_client(id, |client| {
                    let ahead = run.segments.end.saturating_sub(client.reading.taken);
                    client.reading.furthest = client.reading.furthest.max(ahead);
                    client.reading.runs.insert(run.id, run);
                });
                self.ask(id, None, server, request);
            }
            ReadAction::Abandon(run) => self.with_client(id, |client| {
                client.reading.runs.remove(&run);
                client.reading.waiting.remove(&run);
            }),
            ReadAction::Announce(_) => {}
            ReadAction::Deliver { segment } => {
                self.with_client(id, |client| {
                    let need = client.reading.header.as_ref().map(|h| h.header().shape.k());
                    let have = client.reading.shelf.remove(&segment).map_or(0, |had| had.len());
                    client.reading.short |= need.is_none_or(|need| have < usize::from(need));
                });
                self.send_local(id, None, Local::Consumed { segment });
            }
            ReadAction::WaitUntil { timer, when, .. } => {
                let began = self.clients.get(&id).map_or(0, |client| client.began);
                self.send_local(id, Some(began + when.0), Local::TimedOut(timer));
            }
            ReadAction::Finish(report) => {
                let told = Told::from(&report.outcome);
                self.tell(id, told, Ended::Read(report));
                self.end_loop(id, Machine::Over);
            }
        }
    }

    /// A caller is told how its task ended.
    fn tell(&mut self, id: ClientId, told: Told, ended: Ended) {
        if let Some(caller) = self.caller(id).filter(|_| self.setup.hands_maps_on) {
            let map = self.map();
            Arc::make_mut(&mut self.oracle).note_map(caller, map);
        }
        Arc::make_mut(&mut self.oracle).task_told(id, told);
        self.with_client(id, |client| client.ended = Some(Box::new(ended)));
        self.fact(Fact::Told { client: id });
    }

    /// What every server would say now.
    fn map(&self) -> ServerMap {
        let mut map = ServerMap::default();
        for (id, server) in &self.servers {
            match server.state(self.now) {
                Some(state) => {
                    map.answers.insert(id.store(), state);
                }
                None => {
                    let failure = Failure::Dead("nobody listens there".to_owned());
                    map.failures.insert(id.store(), failure);
                }
            }
        }
        map
    }

    /// The driver's loop is over: its tasks are dropped, and with them the streams they held.
    pub(super) fn end_loop(&mut self, id: ClientId, machine: Machine) {
        let Some(client) = self.clients.get_mut(&id).map(Arc::make_mut) else { return };
        client.machine = machine;
        client.writes.clear();
        client.passes.clear();
        let lanes = std::mem::take(&mut client.lanes);
        self.in_flight.retain(|envelope, _| envelope.client != id || envelope.leg != Leg::Local);
        for (conversation, lane) in lanes {
            self.send_request(id, lane.server, Request::End { conversation });
        }
        self.fact(Fact::Over { client: id });
    }

    fn certificate(&self, number: SequenceNumber, version: VersionId) -> Certificate {
        self.made
            .get(&version)
            .map_or_else(|| Certificate::sign(key(), number, version), |made| made.certificate)
    }

    fn caller(&self, id: ClientId) -> Option<u8> {
        match &self.oracle.task(id)?.task {
            crate::event::Task::Publish(task) => Some(task.caller),
            crate::event::Task::Read(task) => Some(task.caller),
        }
    }

    fn lane(&self, id: ClientId, conversation: tarn_proto::ConversationId) -> Option<&LaneCopy> {
        self.clients.get(&id)?.lanes.get(&conversation)
    }

    pub(super) fn with_client(&mut self, id: ClientId, change: impl FnOnce(&mut Client)) {
        if let Some(client) = self.clients.get_mut(&id) {
            change(Arc::make_mut(client));
        }
    }

    /// The run that an answer is about, if it is still read.
    pub(super) fn is_reading(&self, id: ClientId, run: RunId) -> bool {
        self.clients.get(&id).is_some_and(|client| client.reading.runs.contains_key(&run))
    }
}
