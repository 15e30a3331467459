//! The scopes that are explored: a suite that takes about a minute, and larger ones for hours.

use super::script::opening;
use super::{Begins, Faults, Order, Planned, Scope};
use crate::event::{Follow, PublishTask, ReadTask, Task};
use crate::ids::{ClientId, Submission};
use crate::setup::Setup;

mod staged;

use staged::{fell_short, leftover, overtaken, read_once, resealed, rotted, siblings, unlinked};

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
        part: false,
        once: false,
        cap_holder: false,
        spent: None,
        resumes: None,
        seed: number.into(),
    })
}

/// The same submission once more, by a caller of this number.
fn again(number: u8, task: Task) -> Task {
    match task {
        Task::Publish(task) => {
            Task::Publish(PublishTask { caller: number, seed: number.into(), ..task })
        }
        Task::Read(_) => task,
    }
}

/// A change of a part of what the first task of the world published.
fn part(number: u8) -> Task {
    match publish(number, TWO_OF_THREE) {
        Task::Publish(task) => Task::Publish(PublishTask {
            follows: Follow::ResultOf(ClientId(0)),
            part: true,
            ..task
        }),
        Task::Read(read) => Task::Read(read),
    }
}

/// A publish of what can be read only once.
fn once(number: u8, shape: (u8, u8, u8)) -> Task {
    match publish(number, shape) {
        Task::Publish(task) => Task::Publish(PublishTask { once: true, ..task }),
        Task::Read(read) => Task::Read(read),
    }
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
        Named {
            name: "leftover",
            covers: "3 servers, 1 of 3: two dead writers' versions, one built on the other, are on one of them; a publish \
                     that does not see them, and a reader that may bring the newer one where it is being committed",
            size,
            scope: leftover(),
        },
        Named {
            name: "overtaken",
            covers: "3 servers, 1 of 6: a version was brought where its own commit is late, and is about to be brought \
                     there what was built on it",
            size,
            scope: overtaken(),
        },
        Named {
            name: "fell-short",
            covers: "3 servers, 2 of 3: a version reached one of them, and its writer tries again without hearing of that, \
                     while another that has seen it publishes, and promises run out",
            size,
            scope: fell_short(),
        },
        Named {
            name: "unlinked",
            covers: "3 servers, 1 of 3: one of them remembers the version of a submission that is made again, another what \
                     came after that, and whoever remembers both is down",
            size,
            scope: unlinked(),
        },
        Named {
            name: "part",
            covers: "a change of a part of a version that 3 of 3 servers must have, while one of them loses its disk and \
                     the writer is killed and tries again",
            size,
            scope: Scope::of(3, [part(2)]).after(&[publish(1, (2, 3, 3))]).with(Faults {
                emptied: 1,
                kills: 1,
                resumes: 1,
                ..NONE
            }),
        },
        Named {
            name: "once",
            covers: "2 servers, 1 of 2: a publish of what can be read only once begins while the commits of another are on their \
                     way, a message is lost and a promise runs out",
            size,
            scope: read_once(2, (1, 2, 2)),
        },
        Named {
            name: "rotted",
            covers: "a second publish and a reader, while a share on one of 3 servers is damaged and nobody knows",
            size,
            scope: rotted(),
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
            name: "resealed",
            covers: "3 servers, 1 of 3: a version's commit is late on one of them; a publish that does not see it seals \
                     there, promises run out, and a reader brings the version",
            size,
            scope: resealed(),
        },
        Named {
            name: "siblings-restart",
            covers: "the siblings, while a server restarts: a commit is refused there, and the others are to suffice",
            size,
            scope: siblings(true).with(Faults { restarts: 1, ..NONE }),
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
            "once-three",
            "the publish of what can be read only once, on 3 servers",
            read_once(3, TWO_OF_THREE),
        ),
        deep(
            "five",
            "two first publishes on 5 servers, 2 of 5, one killed and tried again, a promise that runs out",
            Scope::of(5, pair((2, 2, 5))).with(Faults { kills: 1, resumes: 1, lapses: 1, ..NONE }),
        ),
    ]
}

const TWO_OF_THREE: (u8, u8, u8) = (2, 2, 3);
const ONE_OF_THREE: (u8, u8, u8) = (1, 2, 3);

fn pair(shape: (u8, u8, u8)) -> [Task; 2] {
    [publish(1, shape), publish(2, shape)]
}
