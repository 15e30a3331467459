//! Small worlds for the promises' own tests: three servers, 2 of 3, and a network that loses nothing.

use std::collections::BTreeSet;

use tarn_client::publish::action::{Cut, Draft};
use tarn_proto::{Geometry, SequenceNumber, Shape, ShareNumber, VersionId};
use tarn_server::manifest::StoredGeneration;

use super::Promise;
use crate::event::{Event, Follow, PublishTask, ReadTask, Task, Timed};
use crate::ids::{ClientId, EnvelopeId, ServerId, Submission};
use crate::made::Made;
use crate::setup::{Setup, file};
use crate::world::{Fact, Told, World};

/// A world, and whoever drives it.
pub(super) struct Scene {
    pub(super) world: World,
    /// Of what is published from here on.
    pub(super) length: u64,
    next: u16,
}

impl Default for Scene {
    fn default() -> Self {
        Self::of(Setup::default())
    }
}

impl Scene {
    pub(super) fn of(setup: Setup) -> Self {
        Self { world: World::new(setup, None), length: 100, next: 0 }
    }

    /// Something happens, now.
    pub(super) fn apply(&mut self, event: Event) {
        let timed = event.at(self.world.now());
        assert!(self.world.apply(&timed), "{timed:?}");
    }

    /// A publish begins.
    pub(super) fn begin(&mut self, submission: Submission) -> ClientId {
        let Task::Publish(task) = publish_task(submission) else { unreachable!() };
        self.begin_task(Task::Publish(PublishTask { length: self.length, ..task }))
    }

    /// A publish begins and ends, well.
    pub(super) fn publish(&mut self, submission: Submission) -> VersionId {
        let client = self.begin(submission);
        self.settle();
        let told = &self.world.oracle().task(client).unwrap().told;
        assert!(matches!(told, Told::Published { .. }), "{told:?}");
        told.version().unwrap()
    }

    /// A read begins and ends.
    pub(super) fn read(&mut self) -> (ClientId, Told) {
        let client = self.begin_task(read_task());
        self.settle();
        (client, self.world.oracle().task(client).unwrap().told.clone())
    }

    /// A version that nobody makes.
    pub(super) fn make(
        &self,
        number: u64,
        predecessor: Option<VersionId>,
        submission: Submission,
    ) -> Made {
        let shape = Shape::new(2, 2, 3).unwrap();
        let geometry = Geometry::choose(shape, self.length).unwrap();
        let draft = Draft {
            storage_index: file(),
            sequence_number: SequenceNumber::new(number).unwrap(),
            predecessor,
            shape,
            cut: Cut::Known(geometry),
            tombstone: false,
            attempt: submission.attempt(),
            window: self.world.setup().window(),
            joint: None,
        };
        Made::encode(&draft, geometry, false)
    }

    /// Every generation on every disk.
    pub(super) fn generations(&self) -> Vec<(ServerId, StoredGeneration)> {
        let held = self.world.servers().flat_map(|server| {
            server.disk().generations.iter().map(|held| (server.id(), held.clone()))
        });
        held.collect()
    }

    /// Everything that is on its way arrives, until nothing is.
    pub(super) fn settle(&mut self) {
        self.run_until(|world| world.in_flight().next().is_none());
    }

    /// What is on its way arrives, timers last, until it is so.
    pub(super) fn run_until(&mut self, so: impl Fn(&World) -> bool) {
        for _ in 0..100_000 {
            if so(&self.world) {
                return;
            }
            let (envelope, at) = self.next().expect("something is on its way");
            self.world.apply(&Event::Delivered { envelope }.at(at));
        }
        panic!("it never is");
    }

    fn next(&self) -> Option<(EnvelopeId, u64)> {
        let now = self.world.now();
        let first = self.world.in_flight().min_by_key(|envelope| (envelope.due, envelope.id))?;
        Some((first.id, first.due.unwrap_or(now).max(now)))
    }

    fn begin_task(&mut self, task: Task) -> ClientId {
        let client = ClientId(self.next);
        self.next += 1;
        self.apply(Event::Began { client, task });
        client
    }
}

impl Event {
    /// The event, at this time.
    pub(super) const fn at(self, at: u64) -> Timed {
        Timed { at, event: self }
    }
}

/// A publish of 100 bytes, 2 of 3.
pub(super) const fn publish_task(submission: Submission) -> Task {
    Task::Publish(PublishTask {
        caller: 0,
        submission,
        shape: Some((2, 2, 3)),
        length: 100,
        tombstone: false,
        follows: Follow::Whatever,
        part: false,
        once: false,
        cap_holder: false,
        spent: None,
        resumes: None,
        seed: submission.0 as u64,
    })
}

/// A read.
pub(super) const fn read_task() -> Task {
    Task::Read(ReadTask { caller: 0, strict: false, cap_holder: false, seed: 7 })
}

/// These shares.
pub(super) fn shares(numbers: &[u8]) -> BTreeSet<ShareNumber> {
    numbers.iter().map(|&number| ShareNumber::new(number).unwrap()).collect()
}

/// What a promise says of a world of which these facts came last, if it is looked at then at all.
pub(super) fn judge(world: &mut World, promise: &Promise, facts: &[Fact]) -> Result<(), String> {
    world.set_facts(facts);
    let concerned = facts.is_empty() || facts.iter().any(promise.concerns);
    assert!(concerned, "{} does not look at {facts:?}", promise.id);
    (promise.check)(world)
}
