//! Staleness that is told at once, and is not true.

use std::collections::{BTreeMap, BTreeSet};

use tarn_client::queue::{Action, Because, End, Event, State, TaskId, Verdict};
use tarn_proto::VersionId;

use super::super::plant::Plant;
use super::super::record::{Outcome, Record, Row};
use super::super::submission::After;
use super::Bug;

pub(super) static BUGS: &[Bug] = &[
    Bug {
        name: "stale-though-later",
        hazard: Some("H4"),
        sentence: "a version makes whoever waits stale, also who came while it was made and had seen it",
        found: ("stale", 868),
        plant: || Box::new(Replaces { whom: Whom::Later, ..Replaces::default() }),
    },
    Bug {
        name: "stale-though-repeated",
        hazard: Some("H2"),
        sentence: "a version that had been there for long makes whoever waits stale as if it were new",
        found: ("stale", 492),
        plant: || Box::new(RepeatedAsNew),
    },
    Bug {
        name: "stale-though-named",
        hazard: Some("H2"),
        sentence: "whoever has a key is stale at once, though another gateway may have published it before",
        found: ("P14", 205),
        plant: || Box::new(Replaces { whom: Whom::Named, ..Replaces::default() }),
    },
];

#[derive(Debug)]
struct RepeatedAsNew;

impl Plant for RepeatedAsNew {
    fn ends(&self, end: End) -> End {
        match end {
            End::Published { version, .. } => End::Published { version, repeated: false },
            End::Fruitless | End::Unsettled => end,
        }
    }
}

/// Calls off whoever is wrongly held to be stale, and records that as staleness.
#[derive(Debug, Default)]
struct Replaces {
    whom: Whom,
    count: u64,
    /// At which count a task was known to be queued, and to run.
    queued: BTreeMap<TaskId, u64>,
    started: BTreeMap<TaskId, u64>,
    /// Who is to be stale by this step, and because of whom.
    replaced: BTreeSet<TaskId>,
    because: Option<Because>,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Whom {
    /// Whoever has no key, also if it came while the other ran.
    #[default]
    Later,
    /// Whoever has a key, if it came before.
    Named,
}

impl Replaces {
    fn is_replaced(&self, record: &Record, by: TaskId, version: VersionId, task: TaskId) -> bool {
        let Some(row) = record.row(task).filter(|row| row.state == State::Queued) else {
            return false;
        };
        let is_meant = match self.whom {
            Whom::Later => row.submission.key.is_none(),
            Whom::Named => {
                row.submission.key.is_some() && self.queued.get(&task) < self.started.get(&by)
            }
        };
        let is_of_file = record.row(by).is_some_and(|by| by.submission.file == row.submission.file);
        let follows = follows(record, row);
        is_meant && is_of_file && follows.is_some_and(|follows| follows != version)
    }
}

impl Plant for Replaces {
    fn hears(&mut self, record: &Record, event: Event) -> Vec<Event> {
        let Event::Ended { task: by, end: End::Published { version, repeated: false } } = event
        else {
            return vec![event];
        };
        let queued = self.queued.keys().copied();
        self.replaced =
            queued.filter(|&task| self.is_replaced(record, by, version, task)).collect();
        self.because = Some(Because::Replaced { by, version });
        let cancelled = self.replaced.iter().map(|&task| Event::CancelRequested { task });
        cancelled.chain([event]).collect()
    }

    fn does(&mut self, _: &Record, _: bool, mut actions: Vec<Action>) -> Vec<Action> {
        for action in &mut actions {
            self.count += 1;
            match action {
                Action::Move { task, to: State::Queued, .. } => {
                    self.queued.insert(*task, self.count);
                }
                Action::Move { task, to: to @ State::Ended(Verdict::Cancelled), .. } => {
                    if let Some(because) =
                        self.because.clone().filter(|_| self.replaced.remove(task))
                    {
                        *to = State::Ended(Verdict::Stale(because));
                    }
                }
                Action::Run { task, .. } => {
                    self.started.insert(*task, self.count);
                }
                Action::Move { .. } | Action::CancelRun { .. } => {}
            }
        }
        actions
    }
}

/// The version that a task in line is to follow.
fn follows(record: &Record, row: &Row) -> Option<VersionId> {
    let predecessor = match &row.submission.after {
        After::Whatever | After::Nothing => return None,
        After::Version(version) => return Some(*version),
        After::Task(task) => *task,
        After::Key(key) => record.named(row.submission.file, key)?,
    };
    match record.row(predecessor)?.outcome? {
        Outcome::Published(version) => Some(version),
        Outcome::Fruitless | Outcome::Unsettled => None,
    }
}
