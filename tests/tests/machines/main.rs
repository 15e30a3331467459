//! The shipped publish machines against the shipped slots, in random interleavings: messages and answers are lost,
//! promises lapse, writers vanish, servers restart. After every step P3, P4 and P5 are checked; at the end every
//! publish must have ended. One seed, one run: `TARN_MACHINES_SEED=n` repeats one, `TARN_MACHINES_RUNS=n` draws more.
#![allow(clippy::unwrap_used, reason = "a broken stage ends the run")]

use std::collections::{BTreeMap, BTreeSet};

use ed25519_dalek::SigningKey;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use tarn_client::publish::Publish;
use tarn_client::publish::action::{Action, Draft};
use tarn_client::publish::event::Event;
use tarn_client::publish::outcome::Outcome;
use tarn_client::servermap::Failure;
use tarn_client::time::Millis;
use tarn_proto::{
    AttemptId, Certificate, ConversationId, HistoryQuery, ShareNumber, SignedHeader, StorageIndex,
    StoreId, VerifyKey, VersionId, Window,
};
use tarn_server::manifest::Manifest;
use tarn_server::slot::Slot;

use crate::messages::{Ask, Message, brief, name};
use crate::servers::{slot, table};

const LENGTH: u64 = 8;
const PROMISE: u64 = 30_000;

mod checks;
mod messages;
mod servers;
mod writers;

#[test]
fn no_interleaving_forks_or_loses_a_published_version() {
    let one = std::env::var("TARN_MACHINES_SEED").ok().and_then(|seed| seed.parse::<u64>().ok());
    let runs = std::env::var("TARN_MACHINES_RUNS").ok().and_then(|runs| runs.parse().ok());
    let seeds = one.map_or(0..runs.unwrap_or(1_500), |seed| seed..seed + 1);
    let mut told = BTreeMap::<&str, usize>::new();
    for seed in seeds {
        for (outcome, count) in World::new(seed).run() {
            *told.entry(outcome).or_default() += count;
        }
    }
    println!("outcomes: {told:?}");
    if one.is_none() {
        assert!(told["published"] > 0 && told.len() > 3, "the runs exercise too little: {told:?}");
    }
}

/// One file, its servers and writers, and everything on its way between them.
struct World {
    seed: u64,
    rng: ChaCha8Rng,
    key: SigningKey,
    window: Window,
    servers: BTreeMap<StoreId, Server>,
    writers: BTreeMap<usize, Writer>,
    in_flight: Vec<Message>,
    now: u64,
    /// Every version that was signed, and the attempt it belongs to.
    signed: BTreeMap<VersionId, SignedHeader>,
    committed: BTreeSet<VersionId>,
    published: Vec<VersionId>,
    unchanged: Vec<AttemptId>,
    outcomes: BTreeMap<&'static str, usize>,
    /// Losses in a thousand messages; zero once the network has healed.
    losses: u32,
    log: Vec<String>,
}

struct Server {
    slot: Slot,
    /// Conversations whose stream is gone: what still arrives of them is dropped.
    gone: BTreeSet<ConversationId>,
}

struct Writer {
    machine: Publish,
    attempt: AttemptId,
    /// What each conversation is to write, and the header once it is encoded.
    lanes: BTreeMap<ConversationId, Lane>,
    ended: bool,
    killed: bool,
    began: u64,
}

/// What a writer's driver keeps of a conversation: with whom, which shares, of what, built on what.
type Lane = (StoreId, BTreeSet<ShareNumber>, SignedHeader, Vec<SignedHeader>);

impl World {
    fn new(seed: u64) -> Self {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let key = SigningKey::from_bytes(&[1; 32]);
        let count = rng.random_range(3..=5_u8);
        let stores: Vec<StoreId> = (0..count).map(|n| StoreId::new([n; 16])).collect();
        let window = Window::new(stores.clone()).unwrap();
        let si = VerifyKey::of(&key).storage_index();
        let servers = stores.iter().map(|&store| {
            let slot = slot(store, si, Manifest::default());
            (store, Server { slot, gone: BTreeSet::new() })
        });
        let losses = [0, 20, 80, 200][rng.random_range(0..4_usize)];
        let mut world = Self {
            seed,
            key,
            window,
            servers: servers.collect(),
            writers: BTreeMap::new(),
            in_flight: Vec::new(),
            now: 0,
            signed: BTreeMap::new(),
            committed: BTreeSet::new(),
            published: Vec::new(),
            unchanged: Vec::new(),
            outcomes: BTreeMap::new(),
            losses,
            log: Vec::new(),
            rng,
        };
        for _ in 0..world.rng.random_range(1..=4) {
            world.add_writer(None);
        }
        world
    }

    fn storage_index(&self) -> StorageIndex {
        VerifyKey::of(&self.key).storage_index()
    }

    fn run(mut self) -> BTreeMap<&'static str, usize> {
        for _ in 0..self.rng.random_range(100..900) {
            self.disturb();
            self.deliver();
            self.check();
        }
        self.losses = 0;
        for step in 0.. {
            if self.writers.values().all(|writer| writer.ended) && self.in_flight.is_empty() {
                break;
            }
            assert!(step < 20_000, "seed {}: a publish does not end\n{}", self.seed, self.tail());
            self.deliver();
            self.check();
        }
        self.outcomes
    }

    /// Delivers one message, or loses it.
    fn deliver(&mut self) {
        // A wait is over only when nothing else is on its way, or now and then before.
        let ready: Vec<usize> = (0..self.in_flight.len())
            .filter(|&i| !matches!(self.in_flight[i], Message::To(_, Event::TimedOut { .. })))
            .collect();
        if self.in_flight.is_empty() {
            return;
        }
        let index = if ready.is_empty() || self.rng.random_range(0..100) < 3 {
            self.rng.random_range(0..self.in_flight.len())
        } else {
            ready[self.rng.random_range(0..ready.len())]
        };
        match self.in_flight.swap_remove(index) {
            Message::To(writer, event) => self.tell(writer, event),
            Message::End(store, conversation) => {
                let server = self.servers.get_mut(&store).unwrap();
                server.gone.insert(conversation);
                server.slot.end(conversation);
            }
            Message::Ask(writer, store, ask) => {
                let lost = self.rng.random_range(0..1000) < self.losses;
                let (message, conversation) = ask.names();
                if !lost {
                    let answer = self.serve(store, *ask);
                    let answer_lost = self.rng.random_range(0..1000) < self.losses;
                    if !answer_lost {
                        if let Some(event) = answer {
                            self.in_flight.push(Message::To(writer, event));
                        }
                        return;
                    }
                }
                let failure = Failure::Dead("the connection broke".to_owned());
                self.in_flight.push(Message::To(writer, Event::Failed { message, failure }));
                if let Some(conversation) = conversation {
                    self.in_flight.push(Message::End(store, conversation));
                }
            }
        }
    }

    fn tell(&mut self, id: usize, event: Event) {
        let writer = self.writers.get_mut(&id).unwrap();
        if writer.killed {
            return;
        }
        if let Event::TimedOut { .. } = event {
            self.now += 600;
        }
        self.now += 1;
        self.log.push(format!("{:>7} writer {id} <- {}", self.now, brief(&event)));
        let now = Millis(self.now - writer.began);
        for action in writer.machine.step(now, event) {
            self.act(id, action);
        }
    }

    fn act(&mut self, id: usize, action: Action) {
        let attempt = self.writers[&id].attempt;
        let ask = |server, ask| Message::Ask(id, server, Box::new(ask));
        let message = match action {
            Action::Query { message, server, since, conversation } => {
                let history = HistoryQuery { attempt, since };
                ask(server, Ask::Query { message, history, conversation })
            }
            Action::Prepare { draft, ancestors, lanes, .. } => {
                let header = self.encode(&draft);
                let writer = self.writers.get_mut(&id).unwrap();
                for lane in lanes {
                    let kept =
                        (lane.server, lane.shares.clone(), header.clone(), ancestors.clone());
                    writer.lanes.insert(lane.conversation, kept);
                    let seal = Ask::Seal {
                        message: lane.message,
                        conversation: lane.conversation,
                        shares: lane.shares,
                        tests: lane.tests,
                        base: lane.base,
                        header: header.clone(),
                        ancestors: ancestors.clone(),
                    };
                    self.in_flight.push(ask(lane.server, seal));
                }
                // The real driver has Encoded in the queue before any lane can seal.
                return self.tell(id, Event::Encoded { header });
            }
            Action::Retest { message, server, conversation, tests } => {
                let (_, shares, header, ancestors) = self.writers[&id].lanes[&conversation].clone();
                let seal = Ask::Seal {
                    message,
                    conversation,
                    shares,
                    tests,
                    base: None,
                    header,
                    ancestors,
                };
                ask(server, seal)
            }
            Action::Extend { message, server, conversation } => {
                ask(server, Ask::Extend { message, conversation })
            }
            Action::Release { server, conversation } => Message::End(server, conversation),
            Action::Journal { .. } => Message::To(id, Event::Journaled),
            Action::Commit { message, server, conversation, header } => {
                ask(server, Ask::Commit { message, conversation, header })
            }
            Action::Bring { message, server, header, shares, certificate, ancestors, .. } => {
                ask(server, Ask::Bring { message, header, shares, certificate, ancestors })
            }
            Action::Finalize { message, server, sequence_number, version } => {
                let certificate = Certificate::sign(&self.key, sequence_number, version);
                ask(server, Ask::Finalize { message, certificate })
            }
            Action::WaitUntil { timer, .. } => Message::To(id, Event::TimedOut { timer }),
            Action::Finish(report) => return self.finished(id, report.outcome),
        };
        self.in_flight.push(message);
    }

    fn encode(&mut self, draft: &Draft) -> SignedHeader {
        let table = table(draft.shape, draft.attempt);
        let geometry = draft.geometry(LENGTH).unwrap();
        let header = draft.complete(geometry, table.root(), [0; 16]);
        let header = SignedHeader::sign(&self.key, header);
        self.signed.insert(header.version(), header.clone());
        header
    }

    fn finished(&mut self, id: usize, outcome: Outcome) {
        self.log.push(format!("writer {id} ends: {}", name(&outcome)));
        *self.outcomes.entry(name(&outcome)).or_default() += 1;
        let writer = self.writers.get_mut(&id).unwrap();
        assert!(!writer.ended, "seed {}: a publish ended twice", self.seed);
        writer.ended = true;
        let attempt = writer.attempt;
        if outcome.nothing_changed() {
            // Another try of the same submission may have changed something.
            let tries = self.writers.values().filter(|other| other.attempt == attempt).count();
            if tries == 1 {
                self.unchanged.push(attempt);
            }
        }
        if let Outcome::UncoordinatedWrite { theirs } = &outcome {
            let theirs = theirs.as_ref().expect("evidence");
            assert!(theirs.header().attempt != attempt, "seed {}: P2\n{}", self.seed, self.tail());
        }
        if let Outcome::Published(published) = outcome
            && !self.published.contains(&published.version)
        {
            self.published.push(published.version);
        }
    }
}
