//! One task of a caller: the shipped machine, and what its driver keeps beside it. Decides nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use tarn_client::base::Origin;
use tarn_client::fetch::{Run, RunId};
use tarn_client::publish::action::{Draft, MessageId};
use tarn_client::publish::{self, Follows, Input, Learnt, Publish, Roster};
use tarn_client::retrieve::{self, Retrieve};
use tarn_client::time::Millis;
use tarn_proto::{
    AttemptId, Certificate, ConversationId, SequenceNumber, Shape, ShareNumber, SignedHeader,
    StoreId, VersionId,
};

use crate::event::{PublishTask, ReadTask, Task};
use crate::ids::{ClientId, ServerId};
use crate::made::Made;
use crate::setup::{Setup, file};

use super::{Oracle, Reply, Request, World};

/// A task, running or over.
#[derive(Debug, Clone)]
pub struct Client {
    id: ClientId,
    pub(super) began: u64,
    attempt: Option<AttemptId>,
    pub(super) machine: Machine,
    pub(super) next_number: u32,
    /// Encoding passes that have not reached the end of the source, by the number of their envelope.
    pub(super) passes: BTreeMap<u32, Pass>,
    /// How many were ever begun.
    pub(super) passes_begun: u32,
    pub(super) lanes: BTreeMap<ConversationId, LaneCopy>,
    /// Which machine message each number stands for.
    pub(super) messages: BTreeMap<u32, MessageId>,
    /// Write messages sent and not answered, by number.
    pub(super) writes: BTreeMap<u32, WriteMark>,
    pub(super) reading: Reading,
    pub(super) ended: Option<Box<Ended>>,
    pub(super) cancelled: bool,
}

/// The machine that a task runs on.
#[derive(Debug, Clone)]
pub enum Machine {
    /// A publish.
    Publish(Box<Publish>),
    /// A read.
    Read(Box<Retrieve>),
    /// Its loop is over.
    Over,
    /// Its process was killed.
    Killed,
}

/// Something a machine hears.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MachineEvent {
    /// A publish does.
    Publish(publish::event::Event),
    /// A read does.
    Read(retrieve::event::Event),
}

/// How a task ended, in its machine's own words.
#[derive(Debug, Clone, PartialEq)]
pub enum Ended {
    /// A publish did.
    Publish(publish::outcome::Report),
    /// A read did.
    Read(retrieve::outcome::Report),
}

/// An encoding pass under way.
#[derive(Debug, Clone)]
pub(super) struct Pass {
    pub(super) draft: Draft,
    pub(super) conversations: Vec<ConversationId>,
    /// Its bytes are not those of the passes before.
    pub(super) edited: bool,
}

/// The driver's side of a conversation.
#[derive(Debug, Clone)]
pub(super) struct LaneCopy {
    pub(super) server: ServerId,
    pub(super) shares: BTreeSet<ShareNumber>,
    pub(super) tests: tarn_proto::state::Tests,
    pub(super) base: Option<VersionId>,
    pub(super) message: MessageId,
    pub(super) number: u32,
    pub(super) made: Option<Arc<Made>>,
    pub(super) finalize: Option<Certificate>,
    pub(super) ancestors: Vec<SignedHeader>,
}

/// A write message that is outstanding: what P1 counts.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct WriteMark {
    /// To whom.
    pub server: ServerId,
    /// Which shares.
    pub shares: BTreeSet<ShareNumber>,
    /// Of which version, told before its bytes are known by its place and what it is built on.
    pub version: (SequenceNumber, Option<VersionId>, AttemptId),
    /// The stream, if it goes on one.
    pub conversation: Option<ConversationId>,
}

/// What a read's driver keeps.
#[derive(Debug, Clone, Default)]
pub(super) struct Reading {
    pub(super) header: Option<SignedHeader>,
    /// The first segment whose row has not come.
    pub(super) rows_until: u32,
    pub(super) runs: BTreeMap<RunId, Run>,
    /// Blocks that came before their rows: what was asked, and what came.
    pub(super) waiting: BTreeMap<RunId, (Request, Reply)>,
    /// Whose verified blocks of which segments have come.
    pub(super) shelf: BTreeMap<u32, BTreeSet<ShareNumber>>,
    /// Segments handed to the caller with too few blocks: never, unless P9 is broken.
    pub(super) short: bool,
    /// The first segment that the caller has not taken.
    pub(super) taken: u32,
    /// The most segments beyond that, to the end of a run, that blocks were ever asked for.
    pub(super) furthest: u32,
}

impl Client {
    pub(super) fn begin(
        id: ClientId,
        task: &Task,
        world: &World,
        stores: Vec<StoreId>,
        plant: impl FnOnce(&mut publish::Request),
    ) -> Self {
        let (now, setup, oracle) = (world.now(), world.setup(), world.oracle());
        let (machine, attempt) = match task {
            Task::Publish(task) => {
                let rng = ChaCha8Rng::seed_from_u64(task.seed);
                let mut request = publish_request(task, setup, oracle);
                let attempt = request.attempt;
                plant(&mut request);
                let machine = Publish::new(request, Roster(stores), setup.patience(), rng);
                (Machine::Publish(Box::new(machine)), Some(attempt))
            }
            Task::Read(task) => {
                let rng = ChaCha8Rng::seed_from_u64(task.seed);
                let request = read_request(task, setup, oracle);
                let machine = Retrieve::new(request, Roster(stores), setup.patience(), rng);
                (Machine::Read(Box::new(machine)), None)
            }
        };
        Self {
            id,
            began: now,
            attempt,
            machine,
            next_number: 0,
            passes: BTreeMap::new(),
            passes_begun: 0,
            lanes: BTreeMap::new(),
            messages: BTreeMap::new(),
            writes: BTreeMap::new(),
            reading: Reading::default(),
            ended: None,
            cancelled: false,
        }
    }

    /// Its name.
    pub const fn id(&self) -> ClientId {
        self.id
    }

    /// When it began, in the world's time.
    pub const fn began(&self) -> u64 {
        self.began
    }

    /// The machine.
    pub const fn machine(&self) -> &Machine {
        &self.machine
    }

    /// The submission it is a try of, for a publish.
    pub const fn attempt(&self) -> Option<AttemptId> {
        self.attempt
    }

    /// How it ended, once it has.
    pub fn ended(&self) -> Option<&Ended> {
        self.ended.as_deref()
    }

    /// Whether its loop still runs.
    pub const fn is_running(&self) -> bool {
        matches!(self.machine, Machine::Publish(_) | Machine::Read(_))
    }

    /// Whether its process was killed.
    pub const fn is_killed(&self) -> bool {
        matches!(self.machine, Machine::Killed)
    }

    /// Whether its caller is still to be told how it ends.
    pub const fn is_awaited(&self) -> bool {
        self.is_running() && self.ended.is_none()
    }

    /// Whether its caller has lost interest.
    pub const fn is_cancelled(&self) -> bool {
        self.cancelled
    }

    /// The machine's message that this number on the network stands for.
    pub fn message(&self, number: u32) -> Option<MessageId> {
        self.messages.get(&number).copied()
    }

    /// How often its content was begun to be read.
    pub const fn passes_begun(&self) -> u32 {
        self.passes_begun
    }

    /// Write messages sent and not answered.
    pub fn writes(&self) -> impl Iterator<Item = &WriteMark> {
        self.writes.values()
    }

    /// Whether a segment was handed over with fewer than k verified blocks.
    pub const fn was_short(&self) -> bool {
        self.reading.short
    }

    /// The most segments beyond what its caller has taken that blocks were ever asked for.
    pub const fn furthest_ahead(&self) -> u32 {
        self.reading.furthest
    }

    /// The version being read, once it is chosen.
    pub const fn reading(&self) -> Option<&SignedHeader> {
        self.reading.header.as_ref()
    }

    /// The first segment whose row has not come.
    pub const fn rows_until(&self) -> u32 {
        self.reading.rows_until
    }

    /// Blocks that wait for their rows: what was asked, and what came.
    pub fn waiting(&self) -> impl Iterator<Item = &(Request, Reply)> {
        self.reading.waiting.values()
    }

    /// Conversations that its driver believes to be open.
    pub fn conversations(&self) -> impl Iterator<Item = (ConversationId, ServerId)> {
        self.lanes.iter().map(|(&conversation, lane)| (conversation, lane.server))
    }

    /// The versions that go along in its open conversations as what its own is built on.
    pub fn ancestors(&self) -> impl Iterator<Item = VersionId> {
        self.lanes.values().flat_map(|lane| &lane.ancestors).map(SignedHeader::version)
    }

    /// A pass under way reads other bytes than the one of the same draft that has ended. False if none has.
    pub(super) fn edit_between_passes(&mut self) -> bool {
        let ended = |draft: &Draft| {
            let mut made = self.lanes.values().filter_map(|lane| lane.made.as_ref());
            made.any(|made| draft.is_of(made.header.header()))
        };
        let second = self.passes.values_mut().find(|pass| !pass.edited && ended(&pass.draft));
        second.map(|pass| pass.edited = true).is_some()
    }

    pub(super) const fn draw_number(&mut self) -> u32 {
        let number = self.next_number;
        self.next_number += 1;
        number
    }
}

fn origin(cap_holder: bool, setup: &Setup) -> Origin {
    if cap_holder { Origin::CapHolder } else { Origin::Creator(setup.window()) }
}

fn shape_of((k, happy, n): (u8, u8, u8)) -> Shape {
    let (n, k) = (n.max(1), k.clamp(1, n.max(1)));
    Shape::new(k.into(), happy.clamp(1, n).into(), n.into()).expect("1 ≤ k, happy ≤ n")
}

fn publish_request(task: &PublishTask, setup: &Setup, oracle: &Oracle) -> publish::Request {
    let whole = (1, setup.window / 2 + 1, setup.window);
    let left = task.resumes.and_then(|client| oracle.journal(client)).cloned();
    let left_number = left.as_ref().map(|left| left.header.header().sequence_number);
    let follows = oracle.resolve(task.follows);
    // Whoever repeats a submission asks what servers remember of it.
    let is_new = task.resumes.is_none() && oracle.tries(task.submission.attempt()).next().is_none();
    let map = oracle.map(task.caller).filter(|_| is_new).cloned();
    // A change of a part may have asked first; all else goes by what the caller remembers.
    let has_asked = task.part && task.seed.is_multiple_of(2);
    let learnt = if has_asked { Learnt::Asked } else { Learnt::Remembered };
    let length = task.content();
    let input = match follows {
        _ if task.is_read_once() => Input::Once,
        Follows::Version(of) if task.part && !task.tombstone => Input::Part { of, length },
        Follows::Version(_) | Follows::Whatever | Follows::Nothing => Input::Whole { length },
    };
    publish::Request {
        storage_index: file(),
        attempt: task.submission.attempt(),
        origin: origin(task.cap_holder, setup),
        follows,
        shape: task.shape.map(shape_of),
        first_shape: shape_of(whole),
        high_water: oracle.high_water(task.caller),
        spent: task.spent.and_then(SequenceNumber::new).max(left_number),
        left,
        suspects: oracle.suspects(task.caller),
        map: map.map(learnt),
        input,
        tombstone: task.tombstone,
    }
}

fn read_request(task: &ReadTask, setup: &Setup, oracle: &Oracle) -> retrieve::Request {
    retrieve::Request {
        key_check: [0; 16],
        origin: origin(task.cap_holder, setup),
        version: None,
        range: 0..u64::MAX,
        strict: task.strict,
        allow_rollback: false,
        high_water: oracle.high_water(task.caller),
        suspects: oracle.suspects(task.caller),
        map: None,
    }
}

/// The time since a task began.
pub(super) const fn since(began: u64, now: u64) -> Millis {
    Millis(now.saturating_sub(began))
}
