//! The scopes that are explored: a suite that takes about a minute, and larger ones for hours.

use super::script::{Script, opening};
use super::{Begins, Faults, Order, Planned, Scope};
use crate::event::{Event, Follow, PublishTask, ReadTask, Task};
use crate::ids::{ClientId, ServerId, Submission};
use crate::setup::Setup;
use crate::world::RequestKind;

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
    small().into_iter().chain(suite()).chain(deep()).collect()
}

fn small() -> Vec<Named> {
    let size = Size::Small;
    vec![
        Named {
            name: "siblings",
            covers: "5 servers, 2 of 5: an older sibling on two of them may be brought to a third, where a younger \
                     one was sealed and the promise has run out",
            size,
            scope: siblings(true),
        },
        Named {
            name: "resume",
            covers: "a first publish killed at any moment and tried again, 3 servers, 2 of 3",
            size,
            scope: Scope::of(3, [publish(1, TWO_OF_THREE)]).with(Faults {
                kills: 1,
                resumes: 1,
                ..NONE
            }),
        },
        Named {
            name: "faults",
            covers: "a second publish while a message is lost, an answer late, one doubled, and a promise runs out",
            size,
            scope: Scope::of(3, [publish(2, TWO_OF_THREE)])
                .after(&[publish(1, TWO_OF_THREE)])
                .with(Faults { losses: 1, delays: 1, duplicates: 1, lapses: 1, ..NONE }),
        },
        Named {
            name: "emptied",
            covers: "a second publish and a reader after it, while a server loses its disk",
            size,
            scope: Scope::of(3, [publish(2, TWO_OF_THREE), read(3, false)])
                .after(&[publish(1, TWO_OF_THREE)])
                .with(Faults { emptied: 1, ..NONE }),
        },
    ]
}

fn suite() -> Vec<Named> {
    let size = Size::Suite;
    vec![
        Named {
            name: "race",
            covers: "two first publishes at once on 3 servers, 2 of 3",
            size,
            scope: Scope::of(3, pair(TWO_OF_THREE)),
        },
        Named {
            name: "shapes",
            covers: "1 of 3 on 3 servers, then 2 of 4: two shares on one server, k and happy changed, while a message \
                     is lost, the writer killed and tried again, and somebody reads",
            size,
            scope: Scope::of(3, [publish(2, (2, 3, 4)), read(3, false)])
                .after(&[publish(1, (1, 2, 3))])
                .with(Faults { losses: 1, kills: 1, resumes: 1, ..NONE }),
        },
        Named {
            name: "restart",
            covers: "a second publish, while a server restarts, two answers are late and a timer early, its streams \
                     ending late",
            size,
            scope: Scope {
                linger: true,
                ..Scope::of(3, [publish(2, TWO_OF_THREE)])
                    .after(&[publish(1, TWO_OF_THREE)])
                    .with(Faults { restarts: 1, delays: 2, early_timers: 1, ..NONE })
            },
        },
    ]
}

fn deep() -> Vec<Named> {
    let size = Size::Deep;
    let rough = Faults { losses: 1, lapses: 1, ..NONE };
    let deep = |name, covers, scope: Scope| Named {
        name,
        covers,
        size,
        scope: Scope { order: Order::Depth, ..scope },
    };
    vec![
        deep(
            "race-rough",
            "two first publishes on 3 servers, a message lost and a promise that runs out",
            Scope::of(3, pair(TWO_OF_THREE)).with(rough),
        ),
        deep(
            "race-read",
            "two first publishes and a reader on 3 servers",
            Scope::of(3, pair(TWO_OF_THREE).into_iter().chain([read(3, false)])),
        ),
        deep(
            "race-one",
            "two first publishes on 3 servers, any one share of which brings a version back, and a reader",
            Scope::of(3, pair((1, 2, 3)).into_iter().chain([read(3, false)])),
        ),
        deep(
            "race-linger",
            "two first publishes on 3 servers, streams ending late, one writer killed and tried again",
            Scope {
                linger: true,
                ..Scope::of(3, pair(TWO_OF_THREE)).with(Faults { kills: 1, resumes: 1, ..NONE })
            },
        ),
        deep(
            "three",
            "three publishes after a first on 3 servers, a promise that runs out",
            Scope::of(3, pair(TWO_OF_THREE).into_iter().chain([publish(4, TWO_OF_THREE)]))
                .after(&[publish(3, TWO_OF_THREE)])
                .with(Faults { lapses: 1, ..NONE }),
        ),
        deep(
            "four",
            "two publishes after a first on 4 servers, 2 of 4, a reader, a promise that runs out, a message lost",
            Scope::of(4, pair((2, 3, 4)).into_iter().chain([read(3, false)]))
                .after(&[publish(4, (2, 3, 4))])
                .with(rough),
        ),
        deep(
            "siblings-rough",
            "the siblings on 5 servers, two readers, a restart",
            Scope { rounds: 2, ..siblings(false).with(Faults { lapses: 2, restarts: 1, ..NONE }) },
        ),
        deep(
            "five",
            "two first publishes on 5 servers, 2 of 5, one killed and tried again, a promise that runs out",
            Scope::of(5, pair((2, 2, 5))).with(Faults { kills: 1, resumes: 1, lapses: 1, ..NONE }),
        ),
    ]
}

const TWO_OF_THREE: (u8, u8, u8) = (2, 2, 3);

fn pair(shape: (u8, u8, u8)) -> [Task; 2] {
    [publish(1, shape), publish(2, shape)]
}

/// Two siblings on 5 servers, any two shares of which bring a version back: the older is on two servers and its
/// writer dead; the younger saw it on one, could not reach the other, is sealed on the remaining four, and about to be
/// committed. A reader comes. `brief`: the younger one's writer is not followed beyond that round, and the promise on
/// the one server that neither holds has run out already.
fn siblings(brief: bool) -> Scope {
    let (older, younger) = (ClientId(0), ClientId(1));
    let shape = (2, 2, 5);
    let mut scope = Scope::of(5, [read(3, false)]);
    let mut script = Script::new(&scope.setup);
    let is_commit = |kind| kind == RequestKind::Commit;
    script.begin(older, publish(1, shape)).run(|kind, _| !is_commit(kind));
    script.run(|kind, server| is_commit(kind) && server <= ServerId(1));
    script.act(Event::ClientKilled { client: older }).run(|kind, _| !is_commit(kind));
    script.begin(younger, publish(2, shape)).run(|_, _| false);
    script.lose(ServerId(1)).run(|kind, _| !is_commit(kind));
    if brief {
        let forward = scope.setup.promise;
        script.act(Event::ClockStepped { server: ServerId(2), forward, wall: 0 });
        scope.rounds = 1;
    } else {
        let begins = Begins::AnyTime;
        scope.tasks.push(Planned { task: read(4, true), begins });
    }
    scope.opening = script.events();
    scope
}
