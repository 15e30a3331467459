//! Puts a run into words, event by event: what it was, and what came of it by the world's facts. Keeps what the world
//! has already let go of: what was on its way, who opened which conversation, which writes have an unknown fate.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::sync::Arc;

use crate::event::Event;
use crate::ids::{ClientId, EnvelopeId, Leg, ServerId};
use crate::trace::Step;
use crate::world::{Body, Envelope, Fact, Reply, Request, RequestKind, Said, World};

use super::headline::Headline;
use super::names::Names;
use super::story::{Caller, Kind, Message, MessageEnd, Moment, Place, Sort};
use super::view::{self, ClientView, Known, ServerView};
use super::words;

#[derive(Debug, Default)]
pub(super) struct Teller {
    pub(super) messages: Vec<Message>,
    pub(super) callers: Vec<Caller>,
    names: Names,
    known: Known,
    /// What is on its way; and where it is among the messages, unless a client tells it to itself.
    under_way: BTreeMap<EnvelopeId, (Arc<Envelope>, Option<usize>)>,
    /// Requests that were really sent.
    requested: BTreeSet<(ClientId, u32)>,
    servers: BTreeMap<ServerId, ServerView>,
    versions: usize,
}

impl Teller {
    /// Tells an event that was just applied to this world.
    pub(super) fn moment(&mut self, world: &World, step: &Step) -> Moment {
        if world.versions().count() > self.versions {
            self.names.learn(world.versions());
            self.versions = world.versions().count();
        }
        let headline = self.headline(step);
        let told = self.told(world, step);
        let mut detail = headline.detail;
        if step.applied {
            self.add_served(world, headline.envelope, &mut detail);
            self.add_sent(world, step.index, &mut detail);
        } else {
            detail.push_str(" (cannot happen now: ignored)");
        }
        let servers = view::servers(world, &self.names, &self.known);
        add_changes(&self.servers, &servers, &mut detail);
        for client in &told {
            if let Some((_, words)) = self.caller(*client).and_then(|caller| caller.told.as_ref()) {
                let _ = write!(detail, "; {client} is told: {words}");
            }
        }
        self.servers.clone_from(&servers);
        Moment {
            at: world.now(),
            own: step.own,
            applied: step.applied,
            sort: headline.sort,
            what: headline.what,
            envelope: headline.envelope,
            place: headline.place,
            detail,
            servers,
            clients: view::clients(world),
            told,
        }
    }

    fn caller(&self, client: ClientId) -> Option<&Caller> {
        self.callers.iter().find(|caller| caller.client == client)
    }

    fn headline(&mut self, step: &Step) -> Headline {
        match &step.timed.event {
            Event::Began { client, task } if step.applied => self.callers.push(Caller {
                client: *client,
                asked: words::task(task, &mut self.names),
                began: step.index,
                told: None,
                view: ClientView::Running,
            }),
            Event::Delivered { envelope } => return self.delivered(*envelope, step.index),
            Event::Lost { envelope } => return self.lost(*envelope, step),
            Event::Duplicated { envelope } => {
                let detail = self.describe(*envelope);
                return Headline::of_message(Sort::Copied, "copy", *envelope, detail);
            }
            Event::Began { .. }
            | Event::Stalled { .. }
            | Event::Progressed { .. }
            | Event::SourceChanged { .. }
            | Event::JournalFailed { .. }
            | Event::CancelRequested { .. }
            | Event::ClientKilled { .. }
            | Event::DiskSynced { .. }
            | Event::DiskFailed { .. }
            | Event::ServerCrashed { .. }
            | Event::ServerRestarted { .. }
            | Event::ServerReplaced { .. }
            | Event::ClockStepped { .. }
            | Event::ShareRotted { .. }
            | Event::Turned { .. }
            | Event::Noted { .. }
            | Event::Healed => {}
        }
        Headline::of(&step.timed.event, &mut self.names)
    }

    fn delivered(&mut self, id: EnvelopeId, index: usize) -> Headline {
        let Some((envelope, message)) = self.under_way.remove(&id) else {
            return Headline::of_message(Sort::Local, "deliver", id, self.describe(id));
        };
        if let Some(message) = message {
            self.messages[message].end = MessageEnd::Arrived(index);
        }
        let (sort, what, place) = match &envelope.body {
            Body::Request { server, request } => {
                (Sort::Arrived, words::kind(request.kind()).to_owned(), Place::Server(*server))
            }
            Body::Answer { server, request, reply } => {
                let mark = (id.client, *server);
                match reply.as_ref() {
                    Reply::Dead(_) if settles(request.kind()) => {
                        self.known.unknown.insert(mark);
                    }
                    Reply::Dead(_) | Reply::Forged(_) => {}
                    Reply::State(_)
                    | Reply::Sealed { .. }
                    | Reply::Extended { .. }
                    | Reply::Written
                    | Reply::Refused { .. }
                    | Reply::Rows
                    | Reply::Blocks(_)
                    | Reply::NoShare => {
                        self.known.unknown.remove(&mark);
                    }
                }
                let what = words::reply_kind(reply).to_owned();
                (Sort::Answered, what, Place::Client(id.client))
            }
            Body::Local(local) => (Sort::Local, words::local(local), Place::Client(id.client)),
        };
        let detail = self.describe_body(&envelope);
        Headline { sort, what, envelope: Some(id), place, detail }
    }

    fn lost(&mut self, id: EnvelopeId, step: &Step) -> Headline {
        let detail = self.describe(id);
        if step.applied
            && let Some((_, Some(message))) = self.under_way.remove(&id)
        {
            self.messages[message].end = MessageEnd::Lost(step.index);
        }
        Headline::of_message(Sort::Lost, "lost", id, detail)
    }

    fn describe(&self, id: EnvelopeId) -> String {
        self.under_way.get(&id).map_or_else(
            || "nothing of that name is on its way".to_owned(),
            |(envelope, _)| self.describe_body(envelope),
        )
    }

    fn describe_body(&self, envelope: &Envelope) -> String {
        let client = envelope.id.client;
        match &envelope.body {
            Body::Request { server, request } => {
                format!("{client}→{server} {}", words::request(request, &self.names))
            }
            Body::Answer { reply, .. } if !self.was_sent(envelope.id) => {
                format!("{client}: {}", words::reply(reply, &self.names))
            }
            Body::Answer { server, request, reply } => format!(
                "{server}→{client} to {}: {}",
                words::request(request, &self.names),
                words::reply(reply, &self.names)
            ),
            Body::Local(local) => format!("{client}: {}", words::local(local)),
        }
    }

    /// Whether an answer's request ever left: a client also tells itself of what it could not even send.
    fn was_sent(&self, id: EnvelopeId) -> bool {
        self.requested.contains(&(id.client, id.number))
    }

    /// What servers said, in the one word that the facts have.
    fn add_served(&self, world: &World, about: Option<EnvelopeId>, detail: &mut String) {
        for fact in world.facts() {
            let Fact::Served { server, envelope, kind, said } = fact else { continue };
            let words = said_words(*said);
            if about == Some(*envelope) {
                let _ = write!(detail, ": {words}");
            } else {
                let kind = words::kind(*kind);
                let _ = write!(detail, "; {server} to {}'s {kind}: {words}", envelope.client);
            }
        }
    }

    /// What is on its way now. A fan of like requests is told once.
    fn add_sent(&mut self, world: &World, index: usize, detail: &mut String) {
        let mut fans: Vec<(ClientId, String, BTreeSet<ServerId>)> = Vec::new();
        for fact in world.facts() {
            let Fact::Sent { envelope } = fact else { continue };
            let Some(envelope) = world.envelope(*envelope).cloned() else { continue };
            let client = envelope.id.client;
            if let Body::Request { server, request } = &envelope.body {
                self.requested.insert((client, envelope.id.number));
                if let Request::Seal { conversation, .. } = request.as_ref() {
                    self.known.openers.insert(*conversation, client);
                }
                let text = words::request(request, &self.names);
                let text = text.split('{').next().unwrap_or_default().to_owned();
                match fans.iter_mut().find(|(who, what, _)| *who == client && *what == text) {
                    Some((_, _, servers)) => {
                        servers.insert(*server);
                    }
                    None => fans.push((client, text, BTreeSet::from([*server]))),
                }
            }
            let message = self.message(&envelope, index);
            self.under_way.insert(envelope.id, (envelope, message));
        }
        for (client, text, servers) in fans {
            let _ = write!(detail, "; {client} sends {text} to {}", words::servers(&servers));
        }
    }

    /// Notes a new message, unless a client tells it to itself.
    fn message(&mut self, envelope: &Envelope, index: usize) -> Option<usize> {
        let (server, kind, says, brief) = match &envelope.body {
            Body::Request { server, request } => {
                let says = words::request(request, &self.names);
                let brief = [says.clone(), words::kind(request.kind()).to_owned()];
                (*server, request_kind(request.kind()), says, brief)
            }
            Body::Answer { server, request, reply } if self.was_sent(envelope.id) => {
                let asked = words::request(request, &self.names);
                let says = format!("to {asked}: {}", words::reply(reply, &self.names));
                let brief = words::reply_brief(reply, &self.names);
                let brief = [brief, words::reply_kind(reply).to_owned()];
                (*server, answer_kind(reply), says, brief)
            }
            Body::Answer { .. } | Body::Local(_) => return None,
        };
        self.messages.push(Message {
            id: envelope.id,
            server,
            kind,
            says,
            brief,
            is_answer: envelope.id.leg == Leg::Answer,
            sent: index,
            end: MessageEnd::UnderWay,
        });
        Some(self.messages.len() - 1)
    }

    fn told(&mut self, world: &World, step: &Step) -> Vec<ClientId> {
        let mut told = Vec::new();
        for fact in world.facts() {
            match fact {
                Fact::Told { client } => {
                    let Some(record) = world.oracle().task(*client) else { continue };
                    let words = words::told(&record.told, &self.names);
                    let caller = self.callers.iter_mut().find(|caller| caller.client == *client);
                    if let Some(caller) = caller {
                        caller.told = Some((step.index, words));
                    }
                    told.push(*client);
                }
                Fact::Over { client } => self.known.unknown.retain(|(who, _)| who != client),
                Fact::Sent { .. }
                | Fact::Broke { .. }
                | Fact::Served { .. }
                | Fact::Writing { .. }
                | Fact::Durable { .. }
                | Fact::Stepped { .. } => {}
            }
        }
        told
    }
}

fn add_changes(
    before: &BTreeMap<ServerId, ServerView>,
    after: &BTreeMap<ServerId, ServerView>,
    detail: &mut String,
) {
    for (server, now) in after {
        let then = before.get(server);
        if now.holds != then.and_then(|then| then.holds.clone()) {
            let holds = now.holds.as_deref().unwrap_or("nothing");
            let _ = write!(detail, "; {server} holds {holds}");
        }
    }
}

/// Whether a lost answer to it leaves its fate unknown.
const fn settles(kind: RequestKind) -> bool {
    match kind {
        RequestKind::Commit | RequestKind::Bring => true,
        RequestKind::Query
        | RequestKind::Seal
        | RequestKind::Extend
        | RequestKind::Finalize
        | RequestKind::End
        | RequestKind::ReadRows
        | RequestKind::ReadBlocks => false,
    }
}

const fn request_kind(kind: RequestKind) -> Kind {
    match kind {
        RequestKind::Query => Kind::Query,
        RequestKind::Seal => Kind::Seal,
        RequestKind::Extend => Kind::Extend,
        RequestKind::Commit => Kind::Commit,
        RequestKind::Bring => Kind::Bring,
        RequestKind::Finalize => Kind::Finalize,
        RequestKind::End => Kind::End,
        RequestKind::ReadRows | RequestKind::ReadBlocks => Kind::Read,
    }
}

const fn answer_kind(reply: &Reply) -> Kind {
    match reply {
        Reply::State(_)
        | Reply::Sealed { .. }
        | Reply::Extended { .. }
        | Reply::Written
        | Reply::Rows
        | Reply::Blocks(_) => Kind::Answer,
        Reply::Refused { .. } | Reply::NoShare | Reply::Forged(_) => Kind::Refused,
        Reply::Dead(_) => Kind::Dead,
    }
}

fn said_words(said: Said) -> String {
    match said {
        Said::State => "state".to_owned(),
        Said::Sealed => "sealed".to_owned(),
        Said::Extended => "extended".to_owned(),
        Said::Written => "written".to_owned(),
        Said::Refused(why) => format!("refused, {}", words::refusal(why)),
        Said::Bytes => "bytes".to_owned(),
        Said::NoShare => "no share".to_owned(),
        Said::Dead => "nobody answers".to_owned(),
        Said::Forged => "forged".to_owned(),
        Said::Waiting => "waits for the slot".to_owned(),
        Said::Ended => "ended".to_owned(),
    }
}
