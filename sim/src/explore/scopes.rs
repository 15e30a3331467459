//! The scopes that are explored: a suite that takes about a minute, and larger ones for hours.

use super::{Begins, Faults, Order, Planned, Scope};
use crate::event::{Event, Follow, PublishTask, ReadTask, Task, Timed};
use crate::ids::{ClientId, EnvelopeId, Leg, Submission};
use crate::setup::Setup;
use crate::world::{Body, Envelope, Local, World};

/// A scope, and what it is for.
#[derive(Debug, Clone)]
pub struct Named {
    /// Its name.
    pub name: &'static str,
    /// What it covers, for people.
    pub covers: &'static str,
    /// How long it takes.
    pub size: Size,
    /// The scope.
    pub scope: Scope,
}

/// How long a scope takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Size {
    /// Moments: also in tests.
    Small,
    /// Together about a minute.
    Suite,
    /// By hand.
    Deep,
}

/// A setup in which no pause of a client brings it near the end of its patience, nor patience near the end of a
/// promise: all three are a thousand times as long as they are, the pauses are not.
pub fn calm(servers: u8) -> Setup {
    let usual = Setup::default();
    Setup {
        servers,
        window: servers,
        promise: 1_000 * usual.promise,
        patience_floor: 1_000 * usual.patience_floor,
        patience_limit: 1_000 * usual.patience_limit,
        ..usual
    }
}

/// A publish of one byte by a caller and in a submission of this number.
pub fn publish(number: u8, shape: (u8, u8, u8)) -> Task {
    Task::Publish(PublishTask {
        caller: number,
        submission: Submission(number.into()),
        shape: Some(shape),
        length: 1,
        tombstone: false,
        follows: Follow::Whatever,
        cap_holder: false,
        seed: number.into(),
    })
}

/// A read by a caller of this number.
pub fn read(number: u8, strict: bool) -> Task {
    Task::Read(ReadTask { caller: number, strict, cap_holder: false, seed: number.into() })
}

/// These tasks, one after the other, in a world where nothing goes wrong.
pub fn opening(setup: &Setup, tasks: &[Task]) -> Vec<Timed> {
    let mut world = World::new(setup.clone(), None);
    let mut events = Vec::new();
    let mut act = |world: &mut World, event| {
        let timed = Timed { at: world.now(), event };
        world.apply(&timed);
        events.push(timed);
    };
    for (client, task) in (0..).map(ClientId).zip(tasks) {
        act(&mut world, Event::Began { client, task: task.clone() });
        while let Some(envelope) = next_message(&world) {
            act(&mut world, Event::Delivered { envelope });
            let answer = envelope.on(Leg::Answer);
            if world.envelope(answer).is_some() {
                act(&mut world, Event::Delivered { envelope: answer });
            }
        }
    }
    events
}

fn next_message(world: &World) -> Option<EnvelopeId> {
    let is_timer = |envelope: &&Envelope| matches!(envelope.body, Body::Local(Local::TimedOut(_)));
    world.in_flight().find(|envelope| !is_timer(envelope)).map(|envelope| envelope.id)
}

impl Scope {
    /// These tasks on so many servers, all at once, with nothing going wrong.
    fn of(servers: u8, tasks: impl IntoIterator<Item = Task>) -> Self {
        let begins = Begins::AtOnce;
        Self {
            setup: calm(servers),
            opening: Vec::new(),
            tasks: tasks.into_iter().map(|task| Planned { task, begins }).collect(),
            faults: Faults::default(),
            rounds: 2,
            linger: false,
            one_line: true,
            order: Order::Breadth,
            limit: usize::MAX,
        }
    }

    /// The same, after these publishes have gone well.
    fn after(mut self, tasks: &[Task]) -> Self {
        self.opening = opening(&self.setup, tasks);
        self
    }

    const fn with(mut self, faults: Faults) -> Self {
        self.faults = faults;
        self
    }
}

const NONE: Faults = Faults {
    losses: 0,
    duplicates: 0,
    delays: 0,
    early_timers: 0,
    lapses: 0,
    restarts: 0,
    emptied: 0,
    kills: 0,
    resumes: 0,
};

/// Every scope.
pub fn named() -> Vec<Named> {
    let pair = || [publish(1, (2, 2, 3)), publish(2, (2, 2, 3))];
    vec![
        Named {
            name: "race",
            covers: "two first publishes at once on 3 servers, 2 of 3, nothing lost",
            size: Size::Small,
            scope: Scope::of(3, pair()),
        },
        Named {
            name: "lapse",
            covers: "the same with a promise that runs out",
            size: Size::Suite,
            scope: Scope::of(3, pair()).with(Faults { lapses: 1, ..NONE }),
        },
        Named {
            name: "loss",
            covers: "the same with a message lost",
            size: Size::Suite,
            scope: Scope::of(3, pair()).with(Faults { losses: 1, ..NONE }),
        },
        Named {
            name: "read",
            covers: "the same, and a reader",
            size: Size::Suite,
            scope: Scope::of(3, pair().into_iter().chain([read(3, false)])),
        },
    ]
}
