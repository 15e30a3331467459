//! The clients' side of a world: a machine hears an answer, or itself, or what befalls it.

use std::collections::BTreeMap;
use std::sync::Arc;

use tarn_client::fetch::RunFailure;
use tarn_client::publish::action::MessageId;
use tarn_client::publish::event::{Event as PublishEvent, SourceFailure};
use tarn_client::retrieve::event::Event as ReadEvent;
use tarn_client::servermap::Failure;
use tarn_client::time::Millis;

use crate::event::{Edit, Task};
use crate::ids::{ClientId, EnvelopeId, Leg, ServerId};
use crate::made::Made;

use super::{Body, Local, Machine, MachineEvent, Reply, Request, RequestKind, World};

impl World {
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
                let mut events = vec![MachineEvent::Read(read_event(message, request, reply))];
                events.extend(self.rows_arrived(id, request, reply));
                events
            }
            (false, None) => self.blocks_arrived(id, request, reply),
            (true, None) => Vec::new(),
        };
        for event in events {
            self.step(id, event);
        }
        true
    }

    /// Rows came, if they did: blocks that waited for them are verified now.
    fn rows_arrived(
        &mut self,
        id: ClientId,
        request: &Request,
        reply: &Reply,
    ) -> Vec<MachineEvent> {
        let (Request::ReadRows { version, segments }, Reply::Rows) = (request, reply) else {
            return Vec::new();
        };
        let mut waiting = BTreeMap::new();
        self.with_client(id, |client| {
            let reading = &mut client.reading;
            if reading.header.as_ref().is_some_and(|header| header.version() == *version) {
                reading.rows_until = reading.rows_until.max(segments.end);
                waiting = std::mem::take(&mut reading.waiting);
            }
        });
        let blocks = waiting.into_values();
        blocks.flat_map(|(request, reply)| self.blocks_arrived(id, &request, &reply)).collect()
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
        let rows_until = self.clients.get(&id).map_or(0, |client| client.rows_until());
        if matches!(reply, Reply::Blocks(_)) && segments.end > rows_until {
            self.with_client(id, |client| {
                client.reading.waiting.insert(*run, (request.clone(), reply.clone()));
            });
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
        let content = match self.oracle.task(id).map(|record| &record.task) {
            Some(Task::Publish(task)) => task.content(),
            Some(Task::Read(_)) | None => return,
        };
        let length = pass.draft.cut.length().unwrap_or(content);
        let geometry = match pass.draft.geometry(length) {
            Ok(geometry) => geometry,
            Err(error) => {
                let failure = SourceFailure::Unreadable { cause: error.to_string() };
                return self.step(id, MachineEvent::Publish(PublishEvent::SourceFailed(failure)));
            }
        };
        let made = Arc::new(Made::encode(&pass.draft, geometry, pass.edited));
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
                base: lane.base,
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

    pub(super) fn change_source(&mut self, id: ClientId, how: Edit) -> bool {
        let Some(client) = self.clients.get_mut(&id).map(Arc::make_mut) else { return false };
        if client.passes.is_empty() || !client.is_running() {
            return false;
        }
        let failure = match how {
            Edit::Noticed => SourceFailure::Changed,
            Edit::Unreadable => SourceFailure::Unreadable { cause: "an error of its disk".into() },
            Edit::BetweenPasses => return client.edit_between_passes(),
        };
        client.passes.clear();
        self.step(id, MachineEvent::Publish(PublishEvent::SourceFailed(failure)));
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
