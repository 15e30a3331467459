//! What happens when something arrives: a server handles a request, a client's machine hears an answer or itself.

use std::sync::Arc;

use bytes::Bytes;
use tarn_client::fetch::RunFailure;
use tarn_client::publish::action::MessageId;
use tarn_client::publish::event::{Event as PublishEvent, SourceFailure};
use tarn_client::retrieve::event::Event as ReadEvent;
use tarn_client::servermap::Failure;
use tarn_client::time::Millis;
use tarn_proto::signing::Signature;
use tarn_proto::{
    Certificate, Generation, HistoryEntry, Origin, Refusal, ShareHealth, ShareNumber, SignedHeader,
    SlotState, VersionId,
};

use crate::event::Lie;
use crate::ids::{ClientId, EnvelopeId, Leg, ServerId};
use crate::made::Made;
use crate::setup::file;

use super::server::{Handled, Pending, Stage};
use super::{
    Body, Envelope, Fact, Local, Machine, MachineEvent, Reply, Request, RequestKind, Said, World,
};

impl World {
    /// A request reached its server.
    pub(super) fn arrive(&mut self, id: ServerId, envelope: EnvelopeId, request: Arc<Request>) {
        let Some(server) = self.servers.get_mut(&id).map(Arc::make_mut) else { return };
        if server.is_up() && server.is_locked() {
            self.served(id, envelope, &request, Said::Waiting);
            self.planted(|plant, world| {
                if let Some(server) = world.servers.get_mut(&id) {
                    plant.waits(Arc::make_mut(server), &request);
                }
            });
            if let Some(server) = self.servers.get_mut(&id) {
                Arc::make_mut(server).wait(envelope, request);
            }
            return;
        }
        self.serve(id, envelope, request, Stage::Arrived);
    }

    fn serve(
        &mut self,
        id: ServerId,
        envelope: EnvelopeId,
        mut request: Arc<Request>,
        mut stage: Stage,
    ) {
        let now = self.now;
        if stage == Stage::Arrived {
            let taken = self.planted(|plant, world| {
                let server = world.servers.get_mut(&id).map(Arc::make_mut)?;
                Some(plant.serves(now, server, Arc::make_mut(&mut request)))
            });
            if taken.flatten() == Some(false) {
                return self.served(id, envelope, &request, Said::Ended);
            }
        }
        loop {
            let planted = self.planted(|plant, world| {
                let server = world.servers.get_mut(&id).map(Arc::make_mut)?;
                plant.handles(now, server, &request, &stage)
            });
            let Some(server) = self.servers.get_mut(&id).map(Arc::make_mut) else { return };
            let handled = planted.flatten();
            match handled.unwrap_or_else(|| server.handle(now, &request, &stage)) {
                Handled::Say(reply) => return self.say(id, envelope, &request, *reply),
                Handled::Silent => return self.served(id, envelope, &request, Said::Ended),
                Handled::Write { mut manifest, then } => {
                    let old = server.disk().clone();
                    self.planted(|plant, _| plant.changes(id, &old, &mut manifest));
                    let early =
                        self.plant.as_ref().is_some_and(|plant| plant.acknowledges_before_sync());
                    let Some(server) = self.servers.get_mut(&id).map(Arc::make_mut) else { return };
                    if self.setup.instant_disk {
                        server.became(*manifest);
                        self.durable(id);
                    } else if early {
                        server.pretend(*manifest);
                        self.fact(Fact::Writing { server: id });
                    } else {
                        server.lock(Pending { manifest: *manifest, envelope, request, then });
                        return self.fact(Fact::Writing { server: id });
                    }
                    stage = then;
                }
            }
        }
    }

    /// A server says something, or something else if it lies.
    fn say(&mut self, id: ServerId, envelope: EnvelopeId, request: &Arc<Request>, reply: Reply) {
        let now = self.now;
        let Some(server) = self.servers.get(&id) else { return };
        let lying = server.manner().is_lying();
        let mut reply = server.lie(reply);
        self.planted(|plant, world| {
            if let Some(server) = world.servers.get_mut(&id) {
                plant.says(now, Arc::make_mut(server), request, &mut reply);
            }
        });
        if let (Reply::Written, false) = (&reply, lying) {
            self.acknowledge(id, envelope, request);
        }
        self.served(id, envelope, request, Said::from(&reply));
        self.reply(envelope, id, Arc::clone(request), reply);
    }

    /// The oracle keeps what was acknowledged.
    fn acknowledge(&mut self, id: ServerId, envelope: EnvelopeId, request: &Request) {
        let oracle = Arc::make_mut(&mut self.oracle);
        match request {
            Request::Bring { made, shares, .. } => oracle.acknowledge(id, made.version(), shares),
            Request::Commit { conversation, header } => {
                let lane = self
                    .clients
                    .get(&envelope.client)
                    .and_then(|client| client.lanes.get(conversation));
                if let Some(lane) = lane {
                    oracle.acknowledge(id, header.version(), &lane.shares);
                }
            }
            Request::Query { .. }
            | Request::Seal { .. }
            | Request::Extend { .. }
            | Request::Finalize { .. }
            | Request::End { .. }
            | Request::ReadRows { .. }
            | Request::ReadBlocks { .. } => {}
        }
    }

    fn served(&mut self, server: ServerId, envelope: EnvelopeId, request: &Request, said: Said) {
        self.fact(Fact::Served { server, envelope, kind: request.kind(), said });
    }

    fn durable(&mut self, id: ServerId) {
        if let Some(server) = self.servers.get(&id)
            && !server.is_destroyed()
        {
            Arc::make_mut(&mut self.oracle).note_floor(id, server.disk());
        }
        self.fact(Fact::Durable { server: id });
    }

    /// Puts an answer on its way. Nobody waits for an answer to the end of a stream.
    pub(super) fn reply(
        &mut self,
        id: EnvelopeId,
        server: ServerId,
        request: Arc<Request>,
        reply: Reply,
    ) {
        if request.kind() == RequestKind::End {
            return;
        }
        let body = Body::Answer { server, request, reply: Box::new(reply) };
        self.put(Envelope { id: id.on(Leg::Answer), sent: self.now, due: None, body });
    }

    pub(super) fn sync(&mut self, id: ServerId) -> bool {
        let Some(server) = self.servers.get_mut(&id).map(Arc::make_mut) else { return false };
        if !server.is_up() || !server.is_writing() {
            return false;
        }
        let pending = server.synced();
        if let Some(Pending { manifest, envelope, request, then }) = pending {
            server.became(manifest);
            self.durable(id);
            self.serve(id, envelope, request, then);
        } else {
            self.durable(id);
        }
        self.serve_waiting(id);
        true
    }

    pub(super) fn fail_disk(&mut self, id: ServerId, kept: bool) -> bool {
        let Some(server) = self.servers.get_mut(&id).map(Arc::make_mut) else { return false };
        if !server.is_up() {
            return false;
        }
        let Some(pending) = server.sync_failed(kept) else { return false };
        let state = server.state(self.now);
        self.durable(id);
        let reply = Reply::Refused { refusal: Refusal::StoreFailed, state };
        self.say(id, pending.envelope, &pending.request, reply);
        self.serve_waiting(id);
        true
    }

    fn serve_waiting(&mut self, id: ServerId) {
        while let Some((envelope, request)) =
            self.servers.get_mut(&id).and_then(|server| Arc::make_mut(server).next_waiting())
        {
            self.serve(id, envelope, request, Stage::Arrived);
        }
    }

    /// An answer reached its client.
    pub(super) fn answer(
        &mut self,
        envelope: EnvelopeId,
        request: &Request,
        reply: &Reply,
    ) -> bool {
        let id = envelope.client;
        let Some(client) = self.clients.get_mut(&id).map(Arc::make_mut) else { return false };
        if !client.is_running() {
            return true;
        }
        client.writes.remove(&envelope.number);
        let message = client.messages.get(&envelope.number).copied();
        let is_publish = matches!(client.machine, Machine::Publish(_));
        let events = match (is_publish, message) {
            (true, Some(message)) => publish_event(message, request, reply)
                .map(MachineEvent::Publish)
                .into_iter()
                .collect(),
            (false, Some(message)) => {
                vec![MachineEvent::Read(read_event(message, request, reply))]
            }
            (false, None) => self.blocks_arrived(id, request, reply),
            (true, None) => Vec::new(),
        };
        for event in events {
            self.step(id, event);
        }
        true
    }

    /// Blocks are verified against the rows before the machine hears of them.
    fn blocks_arrived(
        &mut self,
        id: ClientId,
        request: &Request,
        reply: &Reply,
    ) -> Vec<MachineEvent> {
        let Request::ReadBlocks { run, version, share, segments } = request else {
            return Vec::new();
        };
        if !self.is_reading(id, *run) {
            return Vec::new();
        }
        let failed = |failure| MachineEvent::Read(ReadEvent::RunFailed { run: *run, failure });
        let dead = |why: &str| RunFailure::Server(Failure::Dead(why.to_owned()));
        let bad = |why: &str| RunFailure::Share(Failure::Broken(why.to_owned()));
        let Some(made) = self.made.get(version).cloned() else { return Vec::new() };
        let mut events = Vec::new();
        match reply {
            Reply::Blocks(blocks) => {
                for (segment, block) in segments.clone().zip(blocks) {
                    let row = made.table.row(segment);
                    if !row.is_some_and(|row| row.matches(segment, *share, block)) {
                        events.push(failed(bad("the block is not as its row says")));
                        break;
                    }
                    self.with_client(id, |client| {
                        client.reading.shelf.entry(segment).or_default().insert(*share);
                    });
                    events.push(MachineEvent::Read(ReadEvent::BlockArrived { run: *run, segment }));
                }
                if blocks.len() < segments.len() {
                    events.push(failed(bad("the stream ended early")));
                }
            }
            Reply::NoShare => events.push(failed(bad("the share is not there"))),
            Reply::Dead(why) => events.push(failed(dead(why))),
            Reply::Forged(why) => {
                events.push(failed(RunFailure::Server(Failure::Broken(why.clone()))));
            }
            Reply::State(_)
            | Reply::Sealed { .. }
            | Reply::Extended { .. }
            | Reply::Written
            | Reply::Refused { .. }
            | Reply::Rows => events.push(failed(dead("out of turn"))),
        }
        events
    }

    /// A client hears itself.
    pub(super) fn local(&mut self, envelope: EnvelopeId, local: &Local) -> bool {
        let id = envelope.client;
        let Some(client) = self.clients.get(&id) else { return false };
        let is_publish = match client.machine() {
            Machine::Publish(_) => true,
            Machine::Read(_) => false,
            Machine::Over | Machine::Killed => return false,
        };
        let publish = MachineEvent::Publish;
        match (local, is_publish) {
            (Local::Started, true) => self.step(id, publish(PublishEvent::Started)),
            (Local::Started, false) => self.step(id, MachineEvent::Read(ReadEvent::Started)),
            (Local::Encoded { pass }, _) => self.encoded(id, *pass),
            (Local::Journaled, _) => self.step(id, publish(PublishEvent::Journaled)),
            (Local::TimedOut(timer), true) => {
                self.step(id, publish(PublishEvent::TimedOut { timer: *timer }));
            }
            (Local::TimedOut(timer), false) => {
                self.step(id, MachineEvent::Read(ReadEvent::TimedOut { timer: *timer }));
            }
            (Local::Consumed { segment }, _) => {
                self.with_client(id, |client| {
                    client.reading.taken = client.reading.taken.max(segment.saturating_add(1));
                });
                let event = ReadEvent::Consumed { segment: *segment };
                self.step(id, MachineEvent::Read(event));
            }
        }
        true
    }

    /// A pass reached the end of the source: the machine hears of the header before any lane can seal.
    fn encoded(&mut self, id: ClientId, number: u32) {
        let Some(client) = self.clients.get_mut(&id).map(Arc::make_mut) else { return };
        let Some(pass) = client.passes.remove(&number) else { return };
        let made = Arc::new(Made::encode(&pass.draft));
        let header = made.header.clone();
        Arc::make_mut(&mut self.oracle).note_made(made.version(), id);
        Arc::make_mut(&mut self.made).entry(made.version()).or_insert_with(|| Arc::clone(&made));
        self.step(id, MachineEvent::Publish(PublishEvent::Encoded { header }));
        for conversation in pass.conversations {
            // The step may have let go of it.
            let Some(client) = self.clients.get_mut(&id).map(Arc::make_mut) else { return };
            let Some(lane) = client.lanes.get_mut(&conversation) else { continue };
            lane.made = Some(Arc::clone(&made));
            let (server, number) = (lane.server, lane.number);
            let seal = Request::Seal {
                conversation,
                shares: lane.shares.clone(),
                tests: lane.tests.clone(),
                made: Arc::clone(&made),
                finalize: lane.finalize,
                ancestors: lane.ancestors.clone(),
            };
            let envelope = EnvelopeId { client: id, number, leg: Leg::Request, copy: 0 };
            self.put_request(envelope, server, seal);
        }
    }

    pub(super) fn report_stall(
        &mut self,
        id: ClientId,
        server: ServerId,
        waited: Option<u64>,
    ) -> bool {
        let Some(client) = self.clients.get(&id).filter(|client| client.is_running()) else {
            return false;
        };
        let unanswered = client
            .lanes
            .values()
            .find(|lane| lane.server == server && client.writes.contains_key(&lane.number));
        let Some(message) = unanswered.map(|lane| lane.message) else { return false };
        let event = match waited {
            Some(waited) => PublishEvent::Stalled { message, waited: Millis(waited) },
            None => PublishEvent::Progressed { message },
        };
        self.step(id, MachineEvent::Publish(event));
        true
    }

    pub(super) fn change_source(&mut self, id: ClientId) -> bool {
        let Some(client) = self.clients.get_mut(&id).map(Arc::make_mut) else { return false };
        if client.passes.is_empty() || !client.is_running() {
            return false;
        }
        client.passes.clear();
        let event = PublishEvent::SourceFailed(SourceFailure::Changed);
        self.step(id, MachineEvent::Publish(event));
        true
    }

    pub(super) fn fail_journal(&mut self, id: ClientId) -> bool {
        let journal = self
            .in_flight
            .iter()
            .find(|(at, envelope)| {
                at.client == id && matches!(envelope.body, Body::Local(Local::Journaled))
            })
            .map(|(at, _)| *at);
        let Some(journal) = journal else { return false };
        self.in_flight.remove(&journal);
        let event = PublishEvent::JournalFailed { cause: "the disk is full".to_owned() };
        self.step(id, MachineEvent::Publish(event));
        true
    }

    pub(super) fn cancel(&mut self, id: ClientId) -> bool {
        let Some(client) = self.clients.get_mut(&id).map(Arc::make_mut) else { return false };
        if !client.is_awaited() || client.cancelled {
            return false;
        }
        client.cancelled = true;
        match client.machine() {
            Machine::Publish(_) => {
                self.step(id, MachineEvent::Publish(PublishEvent::CancelRequested));
            }
            // Whoever lets go of a read hears no more of it, and neither does anybody else.
            Machine::Read(_) => self.kill_now(id),
            Machine::Over | Machine::Killed => return false,
        }
        true
    }

    pub(super) fn kill(&mut self, id: ClientId) -> bool {
        let running = self.clients.get(&id).is_some_and(|client| client.is_running());
        if running {
            self.kill_now(id);
        }
        running
    }

    fn kill_now(&mut self, id: ClientId) {
        Arc::make_mut(&mut self.oracle).task_killed(id);
        self.end_loop(id, Machine::Killed);
    }
}

fn publish_event(message: MessageId, request: &Request, reply: &Reply) -> Option<PublishEvent> {
    let failed = |failure| Some(PublishEvent::Failed { message, failure });
    match reply {
        Reply::State(state) => Some(PublishEvent::Mapped { message, state: state.clone() }),
        Reply::Sealed { state, promise } => {
            Some(PublishEvent::Sealed { message, state: state.clone(), promise: Millis(*promise) })
        }
        Reply::Extended { promise } => {
            Some(PublishEvent::Extended { message, promise: Millis(*promise) })
        }
        Reply::Written => Some(PublishEvent::Written { message }),
        // The finalize call has no refusal of its own kind: its driver tells a failure.
        Reply::Refused { refusal, .. } if request.kind() == RequestKind::Finalize => {
            failed(Failure::Refused(*refusal))
        }
        Reply::Refused { refusal, state } => {
            Some(PublishEvent::Refused { message, refusal: *refusal, state: state.clone() })
        }
        Reply::Dead(why) => failed(Failure::Dead(why.clone())),
        Reply::Forged(why) => failed(Failure::Broken(why.clone())),
        Reply::Rows | Reply::Blocks(_) | Reply::NoShare => None,
    }
}

fn read_event(message: MessageId, request: &Request, reply: &Reply) -> ReadEvent {
    let failed = |failure| ReadEvent::Failed { message, failure };
    match reply {
        Reply::State(state) => ReadEvent::Mapped { message, state: state.clone() },
        Reply::Written => ReadEvent::Brought { message },
        Reply::Refused { refusal, .. } => ReadEvent::Refused { message, refusal: *refusal },
        Reply::Rows => ReadEvent::RowsArrived { message },
        Reply::Dead(why) => failed(Failure::Dead(why.clone())),
        Reply::Forged(why) => failed(Failure::Broken(why.clone())),
        Reply::NoShare | Reply::Blocks(_) | Reply::Sealed { .. } | Reply::Extended { .. } => {
            failed(Failure::Broken(format!("out of turn: {:?}", request.kind())))
        }
    }
}

/// What a lying server says in place of a reply.
pub(super) fn lie(lie: Lie, then: &SlotState, newest: Option<&Made>, reply: Reply) -> Reply {
    if lie == Lie::AnswersOutOfTurn {
        return out_of_turn(then, reply);
    }
    let lied = |state: SlotState| match lie {
        Lie::ClaimsWritten | Lie::AnswersOutOfTurn => Ok(state),
        Lie::ServesOld => Ok(SlotState { conversation: state.conversation, ..then.clone() }),
        Lie::ServesJunk => Ok(claiming(state, newest)),
        Lie::ForgesFloor => match newest {
            Some(made) => Err(forged_header(made)),
            None => Ok(state),
        },
        Lie::ForgesCertificate => match newest {
            Some(made) => Err(forged_certificate(made)),
            None => Ok(state),
        },
        Lie::InventsHistory => Ok(inventing(state, newest)),
    };
    match reply {
        Reply::State(state) => lied(state).map_or_else(Reply::Forged, Reply::State),
        Reply::Sealed { state, promise } => match lied(state) {
            Ok(state) => Reply::Sealed { state, promise },
            Err(why) => Reply::Forged(why),
        },
        Reply::Refused { refusal, state } => match state.map(lied).transpose() {
            Ok(state) => Reply::Refused { refusal, state },
            Err(why) => Reply::Forged(why),
        },
        Reply::Blocks(blocks) if lie == Lie::ServesJunk => {
            Reply::Blocks(blocks.iter().map(|block| Bytes::from(vec![0xee; block.len()])).collect())
        }
        Reply::NoShare if lie == Lie::ServesJunk => {
            Reply::Blocks(vec![Bytes::from_static(b"junk")])
        }
        Reply::Extended { .. }
        | Reply::Written
        | Reply::Rows
        | Reply::Blocks(_)
        | Reply::NoShare
        | Reply::Dead(_)
        | Reply::Forged(_) => reply,
    }
}

/// What is said in a conversation, as the answer to something else.
fn out_of_turn(then: &SlotState, reply: Reply) -> Reply {
    match reply {
        Reply::Sealed { promise, .. } => Reply::Extended { promise },
        Reply::Extended { .. } => Reply::Written,
        Reply::Written => Reply::Sealed { state: then.clone(), promise: 30_000 },
        Reply::State(_)
        | Reply::Refused { .. }
        | Reply::Rows
        | Reply::Blocks(_)
        | Reply::NoShare
        | Reply::Dead(_)
        | Reply::Forged(_) => reply,
    }
}

/// Every share of the newest version, whole.
fn claiming(mut state: SlotState, newest: Option<&Made>) -> SlotState {
    let Some(made) = newest else { return state };
    let n = made.header.header().shape.n();
    state.generations = vec![Generation {
        header: made.header.clone(),
        shares: ShareNumber::all(n).map(|share| (share, ShareHealth::Whole)).collect(),
        origin: Origin::Brought,
    }];
    state
}

/// A header that the owner never signed is what the client's parser makes of it: an error.
fn forged_header(made: &Made) -> String {
    let signature = Signature::new([7; 64]);
    let bytes = made.header.bytes().clone();
    match SignedHeader::verify(file(), bytes, made.header.verify_key(), signature) {
        Ok(_) => "a forged header was believed".to_owned(),
        Err(error) => error.to_string(),
    }
}

fn forged_certificate(made: &Made) -> String {
    let (number, version) = made.header.order();
    let key = made.header.verify_key();
    match Certificate::verify(file(), number, version, key, Signature::new([7; 64])) {
        Ok(_) => "a forged certificate was believed".to_owned(),
        Err(error) => error.to_string(),
    }
}

/// Every attempt asked for was committed here, in a version nobody ever signed.
fn inventing(mut state: SlotState, newest: Option<&Made>) -> SlotState {
    let Some(made) = newest else { return state };
    let header = made.header.header();
    state.history.push(HistoryEntry {
        attempt: header.attempt,
        version: VersionId::new([9; 32]),
        predecessor: Some(made.version()),
        sequence_number: header.sequence_number,
    });
    state
}
