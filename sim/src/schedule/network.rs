//! How messages fare: how long each takes, whether it is lost or comes twice, whom a partition cuts off. Everything is
//! decided when a message is sent.

use std::collections::BTreeMap;

use rand::RngExt;
use rand_chacha::ChaCha8Rng;

use crate::event::{Event, Task};
use crate::ids::{ClientId, EnvelopeId, ServerId};
use crate::options::{Lingering, Network};
use crate::promises::Broken;
use crate::world::{Body, Local, Request, World};

use super::{Plan, Run};

/// Nothing is longer on its way than this, in milliseconds: a deadline ends every call.
const LATENCY_MAX: u64 = 60_000;

/// The links between callers and servers.
#[derive(Debug)]
pub(super) struct Links {
    network: Network,
    rng: ChaCha8Rng,
    lingering: ChaCha8Rng,
    partition: Option<Partition>,
    /// When the last message of a stream arrives: the next one comes after it, unless streams are reordered.
    streams: BTreeMap<(ClientId, ServerId, bool), u64>,
}

/// Some callers and some servers that cannot reach each other.
#[derive(Debug)]
struct Partition {
    servers: Vec<ServerId>,
    /// Every caller, or one only.
    caller: Option<u8>,
    until: u64,
    /// Whether messages wait for its end; else their connections break.
    holds: bool,
}

/// How a message fares.
pub(super) enum Fare {
    Arrives(u64),
    IsLost(u64),
    /// Its connection breaks, and it arrives all the same, after that.
    OutlivesItsConnection(u64, u64),
    ComesTwice(u64, u64),
}

impl Links {
    pub(super) fn new(network: &Network, rng: ChaCha8Rng, lingering: ChaCha8Rng) -> Self {
        Self { network: network.clone(), rng, lingering, partition: None, streams: BTreeMap::new() }
    }

    /// For how long a request that changes a slot lingers, if it does, and when its server's clock jumps meanwhile.
    fn lingers(&mut self) -> (u64, Option<u64>) {
        let Some(Lingering { often, longest, lapses }) = self.network.lingering else {
            return (0, None);
        };
        if self.lingering.random_range(0..1000) >= often {
            return (0, None);
        }
        let time = self.lingering.random_range(0..=longest);
        let lapse = self.lingering.random_range(0..1000) < lapses;
        (time, lapse.then(|| self.lingering.random_range(0..=time)))
    }

    /// Decides how a message between a caller and a server fares. One that cannot be lost is only late.
    fn fare(
        &mut self,
        now: u64,
        (client, caller): (ClientId, u8),
        (server, to_server): (ServerId, bool),
        (losable, refused): (bool, bool),
        lingers: u64,
    ) -> Fare {
        let mut at = now + self.latency(server) + lingers;
        // Nobody listens: the send fails at once, as often as not.
        if refused && self.rng.random_bool(0.5) {
            at = now;
        }
        if !self.network.reorders {
            let last = self.streams.entry((client, server, to_server)).or_default();
            at = at.max(*last);
            *last = at;
        }
        if let Some(partition) = &self.partition
            && partition.servers.contains(&server)
            && partition.caller.is_none_or(|only| only == caller)
            && now < partition.until
        {
            if partition.holds || !losable {
                return Fare::Arrives(at.max(partition.until + 1));
            }
            return Fare::IsLost(at);
        }
        if losable && self.rng.random_range(0..1000) < self.network.lost {
            return Fare::IsLost(at);
        }
        let outlived = self.network.outlived;
        if losable && to_server && outlived > 0 && self.rng.random_range(0..1000) < outlived {
            return Fare::OutlivesItsConnection(at, at + self.latency(server));
        }
        if losable && self.rng.random_range(0..1000) < self.network.duplicated {
            return Fare::ComesTwice(at, at + self.latency(server));
        }
        Fare::Arrives(at)
    }

    fn latency(&mut self, server: ServerId) -> u64 {
        let (least, most) = self.network.latency;
        if self.rng.random_range(0..1000) < self.network.instant {
            return 0;
        }
        let mut latency = self.rng.random_range(least..=most);
        if self.rng.random_range(0..1000) < self.network.delayed {
            latency = latency.max(1) * 20;
        }
        if let Some((slow, factor)) = self.network.slow
            && slow == server.0
        {
            latency = latency.max(1) * factor;
        }
        latency.min(LATENCY_MAX)
    }

    /// Begins a partition; says of whom.
    pub(super) fn begin_partition(
        &mut self,
        now: u64,
        lasts: u64,
        world: &World,
        callers: u8,
    ) -> String {
        let all: Vec<ServerId> = world.servers().map(|server| server.id()).collect();
        let cut = |rng: &mut ChaCha8Rng| rng.random_bool(0.5);
        let servers: Vec<ServerId> = all.into_iter().filter(|_| cut(&mut self.rng)).collect();
        let caller = cut(&mut self.rng).then(|| self.rng.random_range(0..callers.max(1)));
        let holds = cut(&mut self.rng);
        let whom = match caller {
            Some(caller) => format!("caller {caller}"),
            None => "everybody".to_owned(),
        };
        let names: Vec<String> = servers.iter().map(ToString::to_string).collect();
        let text = format!(
            "{} cut off from {whom} for {lasts} ms: messages {}",
            names.join(" "),
            if holds { "wait" } else { "are lost" }
        );
        self.partition = Some(Partition { servers, caller, until: now + lasts, holds });
        text
    }

    pub(super) fn end_partition(&mut self) {
        self.partition = None;
    }

    /// From now on nothing fails.
    pub(super) fn heal(&mut self) {
        self.partition = None;
        self.network.lost = 0;
        self.network.duplicated = 0;
        self.network.outlived = 0;
        self.network.delayed = 0;
        self.network.slow = None;
        self.network.lingering = None;
    }
}

impl Run {
    /// Plans how something that was just sent fares.
    pub(super) fn dispatch(&mut self, id: EnvelopeId) {
        let Some(envelope) = self.world.envelope(id).cloned() else { return };
        let now = self.world.now();
        let (server, to_server, request) = match &envelope.body {
            Body::Local(local) => return self.dispatch_local(id, envelope.due, local),
            Body::Request { server, request } => (*server, true, request),
            Body::Answer { server, request, .. } => (*server, false, request),
        };
        let losable = !matches!(request.as_ref(), Request::End { .. }) && id.copy == 0;
        let refused = self.world.server(server).is_none_or(|server| !server.is_up());
        let from = (id.client, self.caller_of(id.client));
        let writes = matches!(
            request.as_ref(),
            Request::Seal { .. } | Request::Commit { .. } | Request::Bring { .. }
        );
        let (lingers, lapse) = if writes && to_server { self.links.lingers() } else { (0, None) };
        if let Some(after) = lapse {
            self.plan(now + after, Plan::Lapse(server));
        }
        match self.links.fare(now, from, (server, to_server), (losable, refused), lingers) {
            Fare::Arrives(at) => self.plan(at, Plan::Deliver(id)),
            Fare::IsLost(at) => self.plan(at, Plan::Lose(id)),
            Fare::OutlivesItsConnection(at, late) => {
                self.plan(now, Plan::Duplicate(id));
                self.plan(at, Plan::Lose(id));
                self.plan(late, Plan::Deliver(EnvelopeId { copy: 1, ..id }));
            }
            Fare::ComesTwice(at, again) => {
                self.plan(now, Plan::Duplicate(id));
                self.plan(at, Plan::Deliver(id));
                self.plan(again, Plan::Deliver(EnvelopeId { copy: 1, ..id }));
            }
        }
        if let (Request::Seal { .. }, true) = (request.as_ref(), to_server) {
            self.plan_stalls(id.client, server);
        }
    }

    /// A server's clock jumps while something lingers on its way there.
    pub(super) fn lapse(&mut self, at: u64, server: ServerId) -> Result<(), Broken> {
        let forward = self.options.setup.promise;
        let event = Event::ClockStepped { server, forward, wall: 0 };
        self.inject(at, "clock stepped", event, !self.healed)
    }

    fn dispatch_local(&mut self, id: EnvelopeId, due: Option<u64>, local: &Local) {
        let now = self.world.now();
        let takes = match local {
            Local::Started => 0,
            Local::Encoded { .. } => {
                if let Some(how) = self.workload.source_changes() {
                    self.plan(now, Plan::ChangeSource(id.client, how));
                }
                self.links.rng.random_range(0..=20)
            }
            Local::Journaled => {
                if self.workload.journal_fails() {
                    self.plan(now, Plan::FailJournal(id.client));
                }
                self.links.rng.random_range(0..=10)
            }
            Local::TimedOut(_) | Local::Consumed { .. } => self.links.rng.random_range(0..=2),
        };
        self.plan(due.unwrap_or(now).max(now) + takes, Plan::Deliver(id));
    }

    pub(super) fn caller_of(&self, client: ClientId) -> u8 {
        match self.world.oracle().task(client).map(|record| &record.task) {
            Some(Task::Publish(task)) => task.caller,
            Some(Task::Read(task)) => task.caller,
            None => 0,
        }
    }
}
