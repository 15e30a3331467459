//! The simulated world: one file, its servers and clients, and everything on its way between them. It does what an
//! event says and nothing else: it draws no randomness and reads no clock, so the same setup and events give the same
//! world. What happens next is decided elsewhere: by a seed ([`crate::schedule`]), by exhaustive search
//! ([`crate::explore`]), or by a file ([`crate::trace`]).
//!
//! ```text
//!        Timed event                                    facts
//!   schedule ─┐      ┌──────────────────────────────┐
//!   explore  ─┼────▶ │ World::apply                 │ ──▶ Sent, Served, Heard, Told, …
//!   trace    ─┘      │  clients: Publish, Retrieve  │
//!                    │  servers: Slot over a disk   │ ──▶ promises look at all of it
//!                    └──────────────────────────────┘
//! ```
//!
//! The machines are the shipped ones. What the world adds is what is around them: drivers that spawn each action and
//! put its answer on the way, the lock of a slot while its disk syncs, streams that break.

mod act;
mod client;
mod envelope;
mod fact;
mod hear;
mod lie;
mod operations;
mod oracle;
mod send;
mod serve;
mod server;
#[cfg(test)]
mod tamper;

use std::collections::BTreeMap;
use std::sync::Arc;

use tarn_client::time::Millis;
use tarn_proto::{StoreId, VersionId};

use crate::event::{Event, Fate, Manner, Task, Timed};
use crate::ids::{ClientId, EnvelopeId, Leg, ServerId};
use crate::made::Made;
use crate::plant::Plant;
use crate::setup::Setup;

pub use client::{Client, Ended, Machine, MachineEvent, WriteMark};
pub use envelope::{Body, Envelope, Local, Reply, Request, RequestKind};
pub use fact::{Fact, Said};
pub use oracle::{Acknowledged, Oracle, ReadOutcome, TaskRecord, Told, UNCOORDINATED_WRITE};
pub use server::{Handled, Pending, Server, Stage};

/// Everything there is at one moment. Cheap to clone: the parts are shared until they change.
#[derive(Debug, Clone)]
pub struct World {
    setup: Arc<Setup>,
    now: u64,
    servers: BTreeMap<ServerId, Arc<Server>>,
    clients: BTreeMap<ClientId, Arc<Client>>,
    in_flight: BTreeMap<EnvelopeId, Arc<Envelope>>,
    made: Arc<BTreeMap<VersionId, Arc<Made>>>,
    oracle: Arc<Oracle>,
    plant: Option<Box<dyn Plant>>,
    facts: Vec<Fact>,
}

impl World {
    /// A world in which nothing has happened yet. `plant` is the planted bug, if there is one.
    pub fn new(setup: Setup, plant: Option<Box<dyn Plant>>) -> Self {
        let servers = (0..setup.servers).map(ServerId);
        let servers = servers.map(|id| (id, Arc::new(Server::empty(id, setup.promise)))).collect();
        Self {
            setup: Arc::new(setup),
            now: 0,
            servers,
            clients: BTreeMap::new(),
            in_flight: BTreeMap::new(),
            made: Arc::default(),
            oracle: Arc::default(),
            plant,
            facts: Vec::new(),
        }
    }

    /// Does what the event says, and says what came of it. False when it cannot happen to this world, which is
    /// unchanged then, but for the time.
    pub fn apply(&mut self, timed: &Timed) -> bool {
        self.facts.clear();
        self.now = self.now.max(timed.at);
        Arc::make_mut(&mut self.oracle).count_event();
        match &timed.event {
            Event::Began { client, task } => self.begin(*client, task),
            Event::Delivered { envelope } => self.deliver(*envelope),
            Event::Duplicated { envelope } => self.duplicate(*envelope),
            Event::Lost { envelope } => self.lose(*envelope),
            Event::Stalled { client, server, waited } => {
                self.report_stall(*client, *server, Some(*waited))
            }
            Event::Progressed { client, server } => self.report_stall(*client, *server, None),
            Event::SourceChanged { client, how } => self.change_source(*client, *how),
            Event::JournalFailed { client } => self.fail_journal(*client),
            Event::CancelRequested { client } => self.cancel(*client),
            Event::ClientKilled { client } => self.kill(*client),
            Event::DiskSynced { server } => self.sync(*server),
            Event::DiskFailed { server, kept } => self.fail_disk(*server, *kept),
            Event::ServerCrashed { server, unsynced } => self.crash(*server, *unsynced),
            Event::ServerRestarted { server } => self.restart(*server),
            Event::ServerReplaced { server } => self.replace(*server),
            Event::ClockStepped { server, forward, wall } => {
                self.with_server(*server, |server| server.step_clock(*forward, *wall))
            }
            Event::ShareRotted { server, share } => self.rot(*server, *share),
            Event::Turned { server, manner } => self.turn(*server, *manner),
            Event::Noted { .. } => true,
            Event::Healed => {
                Arc::make_mut(&mut self.oracle).heal();
                true
            }
        }
    }

    /// Milliseconds since the world began.
    pub const fn now(&self) -> u64 {
        self.now
    }

    /// What it is made of.
    pub fn setup(&self) -> &Setup {
        &self.setup
    }

    /// The servers that ever were, those whose disks are lost included.
    pub fn servers(&self) -> impl Iterator<Item = &Server> {
        self.servers.values().map(AsRef::as_ref)
    }

    /// One server.
    pub fn server(&self, id: ServerId) -> Option<&Server> {
        self.servers.get(&id).map(AsRef::as_ref)
    }

    /// The tasks that ever began.
    pub fn clients(&self) -> impl Iterator<Item = &Client> {
        self.clients.values().map(AsRef::as_ref)
    }

    /// One task.
    pub fn client(&self, id: ClientId) -> Option<&Client> {
        self.clients.get(&id).map(AsRef::as_ref)
    }

    /// What is on its way, in the order of the names.
    pub fn in_flight(&self) -> impl Iterator<Item = &Envelope> {
        self.in_flight.values().map(AsRef::as_ref)
    }

    /// Whether anything that this client waits for can still come: it is on its way, or at a server.
    pub fn is_awaiting(&self, client: ClientId) -> bool {
        let first = EnvelopeId { client, number: 0, leg: Leg::Request, copy: 0 };
        let under_way = self.in_flight.range(first..).next();
        under_way.is_some_and(|(id, _)| id.client == client)
            || self.servers.values().any(|server| {
                server.pending().is_some_and(|pending| pending.envelope.client == client)
                    || server.queue().any(|(id, _)| id.client == client)
            })
    }

    /// One thing on its way.
    pub fn envelope(&self, id: EnvelopeId) -> Option<&Arc<Envelope>> {
        self.in_flight.get(&id)
    }

    /// A version that was signed.
    pub fn made(&self, version: VersionId) -> Option<&Made> {
        self.made.get(&version).map(AsRef::as_ref)
    }

    /// Every version that was signed, committed anywhere or not.
    pub fn versions(&self) -> impl Iterator<Item = &Made> {
        self.made.values().map(AsRef::as_ref)
    }

    /// What callers were told, and servers have acknowledged.
    pub fn oracle(&self) -> &Oracle {
        &self.oracle
    }

    /// What came of the last event.
    pub fn facts(&self) -> &[Fact] {
        &self.facts
    }

    /// The time by the clock of a task's machine.
    pub fn elapsed(&self, client: ClientId) -> Millis {
        let began = self.clients.get(&client).map_or(self.now, |client| client.began);
        client::since(began, self.now)
    }

    /// The planted bug's own state.
    pub fn plant(&self) -> Option<&dyn Plant> {
        self.plant.as_deref()
    }

    /// Whether `ancestor` is this version or one that it was built on, however indirectly.
    pub fn descends(&self, version: VersionId, ancestor: VersionId) -> bool {
        let predecessor =
            |id: &VersionId| self.made(*id).and_then(|made| made.header.header().predecessor);
        std::iter::successors(Some(version), predecessor).any(|id| id == ancestor)
    }

    /// The same world, as if everything in it had come of the last event: nothing is left unlooked at.
    pub fn seen_whole(&self) -> Self {
        let servers = self.servers.keys().map(|&server| Fact::Durable { server });
        let steps = self.clients.keys().map(|&client| Fact::Stepped { client });
        let told = self.oracle.tasks().filter(|(_, task)| task.times_told > 0);
        let told = told.map(|(client, _)| Fact::Told { client });
        Self { facts: servers.chain(steps).chain(told).collect(), ..self.clone() }
    }

    fn fact(&mut self, fact: Fact) {
        self.facts.push(fact);
    }

    fn put(&mut self, envelope: Envelope) {
        self.fact(Fact::Sent { envelope: envelope.id });
        self.in_flight.insert(envelope.id, Arc::new(envelope));
    }

    /// Runs a hook of the planted bug. The bug is out of its place meanwhile.
    fn planted<T>(&mut self, hook: impl FnOnce(&mut dyn Plant, &mut Self) -> T) -> Option<T> {
        let mut plant = self.plant.take()?;
        let value = hook(plant.as_mut(), self);
        self.plant = Some(plant);
        Some(value)
    }

    fn with_server(&mut self, id: ServerId, change: impl FnOnce(&mut Server) -> bool) -> bool {
        self.servers.get_mut(&id).is_some_and(|server| change(Arc::make_mut(server)))
    }

    fn begin(&mut self, id: ClientId, task: &Task) -> bool {
        if self.clients.contains_key(&id) {
            return false;
        }
        let stores = self.servers.values().filter(|server| !server.is_destroyed());
        let mut roster: Vec<StoreId> = stores.map(|server| server.id().store()).collect();
        if self.setup.window_last {
            let window = self.setup.window();
            roster.sort_by_key(|store| window.contains(*store));
        }
        let mut plant = self.plant.take();
        let client = Client::begin(id, task, self, roster, |request| {
            if let Some(plant) = &mut plant {
                plant.begins(self, id, request);
            }
        });
        self.plant = plant;
        self.clients.insert(id, Arc::new(client));
        Arc::make_mut(&mut self.oracle).task_began(id, task);
        self.send_local(id, None, Local::Started);
        true
    }

    fn deliver(&mut self, id: EnvelopeId) -> bool {
        let Some(envelope) = self.in_flight.remove(&id) else { return false };
        match &envelope.body {
            Body::Request { server, request } => {
                self.arrive(*server, id, request.clone());
                true
            }
            Body::Answer { request, reply, .. } => self.answer(id, request, reply),
            Body::Local(local) => self.local(id, local),
        }
    }

    fn duplicate(&mut self, id: EnvelopeId) -> bool {
        let Some(envelope) = self.in_flight.get(&id) else { return false };
        let mut copy = Envelope::clone(envelope);
        let Some(number) = copy.id.copy.checked_add(1).filter(|_| id.leg != Leg::Local) else {
            return false;
        };
        copy.id.copy = number;
        if self.in_flight.contains_key(&copy.id) {
            return false;
        }
        self.put(copy);
        true
    }

    /// The message never arrives; its connection broke. Streams end at the server, and the client learns that no
    /// answer will come.
    fn lose(&mut self, id: EnvelopeId) -> bool {
        let Some(envelope) = self.in_flight.get(&id).cloned() else { return false };
        let (Body::Request { server, request } | Body::Answer { server, request, .. }) =
            &envelope.body
        else {
            return false;
        };
        if matches!(request.as_ref(), Request::End { .. }) {
            return false;
        }
        self.in_flight.remove(&id);
        self.fact(Fact::Broke { envelope: id });
        if let Some(conversation) = request.conversation() {
            self.send_request(id.client, *server, Request::End { conversation });
        }
        let reply = Reply::Dead("the connection broke".to_owned());
        self.reply(id, *server, request.clone(), reply);
        true
    }

    fn crash(&mut self, id: ServerId, unsynced: Fate) -> bool {
        let Some(server) = self.servers.get_mut(&id) else { return false };
        let Some(waiting) = Arc::make_mut(server).crash(unsynced) else { return false };
        self.fact(Fact::Durable { server: id });
        for (envelope, request) in waiting {
            let reply = Reply::Dead("the server died".to_owned());
            self.reply(envelope, id, request, reply);
        }
        true
    }

    fn restart(&mut self, id: ServerId) -> bool {
        let promise = self.setup.promise;
        let restarted = self.with_server(id, |server| server.restart(promise));
        if restarted {
            self.planted(|plant, world| {
                world.with_server(id, |server| {
                    plant.restarts(server);
                    true
                })
            });
            self.fact(Fact::Durable { server: id });
        }
        restarted
    }

    fn replace(&mut self, id: ServerId) -> bool {
        let kept = self.planted(|plant, _| plant.empties_in_place()).unwrap_or(false);
        let Some(server) = self.servers.get_mut(&id).filter(|server| !server.is_destroyed()) else {
            return false;
        };
        let waiting = Arc::make_mut(server).crash(Fate::Lost).unwrap_or_default();
        if kept {
            *server = Arc::new(Server::empty(id, self.setup.promise));
        } else {
            let Some(new) = u8::try_from(self.servers.len()).ok().filter(|n| *n < 250) else {
                return false;
            };
            let server = self.servers.get_mut(&id).expect("it was just there");
            Arc::make_mut(server).destroy();
            let new = ServerId(new);
            self.servers.insert(new, Arc::new(Server::empty(new, self.setup.promise)));
        }
        Arc::make_mut(&mut self.oracle).destroyed(id);
        self.fact(Fact::Durable { server: id });
        for (envelope, request) in waiting {
            let reply = Reply::Dead("the server died".to_owned());
            self.reply(envelope, id, request, reply);
        }
        true
    }

    fn rot(&mut self, id: ServerId, share: u8) -> bool {
        let rotted = self.with_server(id, |server| server.rot(share));
        if rotted {
            Arc::make_mut(&mut self.oracle).rotted();
        }
        rotted
    }

    fn turn(&mut self, id: ServerId, manner: Manner) -> bool {
        // A signature travels only with a commit: what was merely sealed, no server can show.
        let heard_of = |made: &&Arc<Made>| self.oracle.was_signed(made.version());
        let newest = self.made.values().filter(heard_of);
        let newest = newest.max_by_key(|made| made.header.order()).cloned();
        if manner.is_lying() {
            Arc::make_mut(&mut self.oracle).lied();
        }
        self.with_server(id, |server| server.turn(manner, newest))
    }
}
