//! The order of publishes that were submitted and have not ended: which may run, which is held, which is stale already.
//!
//! A task waits in its file's *line*, in order of arrival. One task of a file runs at a time, many files side by side,
//! and callers take turns. A task may carry a *ticket*: what it follows. While its predecessor is pending the task is
//! held; when the predecessor was published the task follows that version and no other; when it ended without success the
//! task is stale. [`Queue::step`] is the whole of it: an event in, actions out.
//!
//! ```text
//!            ┌───────────── predecessor published ───────────────┐
//! arrived ──▶│ Held                                              ▼
//!        └───┼─────────────────────────────────────────────▶ Queued ──▶ Running ──▶ Ended(Reported)
//!            │ predecessor ended otherwise, or never came        │  ▲          │
//!            └───────────────▶ Ended(Stale) ◀── replaced ────────┘  └ unsettled┘ (once more, after a while)
//! ```
//!
//! It publishes nothing and stores nothing: whoever steps it makes every [`Action::Move`] durable *before* it carries out
//! the other actions of the same step, and after a crash begins with [`Queue::restored`].

mod action;
mod arrive;
mod end;
mod event;
mod line;
mod task;
mod turns;

use std::collections::{BTreeMap, BTreeSet};

use tarn_proto::StorageIndex;

use crate::publish::Follows;
use crate::time::Millis;

pub use action::{Action, Because, State, Verdict};
pub use event::{Arrival, End, Event, Predecessor, Ticket};
use line::Line;
pub use task::{Caller, Key, KeyError, TaskId};
use task::{Entry, Stage};
use turns::Turns;

/// What bounds a queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// How many tasks may run at once.
    pub running: usize,
    /// How long a task is held for a predecessor that has not arrived.
    pub awaited: Millis,
    /// How often a task is run again whose outcome is not known.
    pub repeats: u32,
    /// How long it rests before it is run again for the first time; twice as long each further time.
    pub rest: Millis,
}

impl Default for Limits {
    fn default() -> Self {
        Self { running: 16, awaited: Millis(600_000), repeats: 8, rest: Millis(1_000) }
    }
}

/// Every task that has not ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Queue {
    limits: Limits,
    now: Millis,
    tasks: BTreeMap<TaskId, Entry>,
    lines: BTreeMap<StorageIndex, Line>,
    /// Who is held for this task.
    followers: BTreeMap<TaskId, BTreeSet<TaskId>>,
    /// Who is held for a task with this key, which has not arrived.
    awaiting: BTreeMap<(StorageIndex, Key), BTreeSet<TaskId>>,
    turns: Turns,
    /// What time alone changes, and when.
    alarms: BTreeSet<(Millis, TaskId)>,
    /// Who has rested, and is to be run again.
    rested: BTreeSet<TaskId>,
    running: usize,
    /// Counts arrivals, releases and starts, to tell which was first.
    count: u64,
    stopping: bool,
    actions: Vec<Action>,
}

impl Queue {
    /// An empty queue.
    pub const fn new(limits: Limits) -> Self {
        Self {
            limits,
            now: Millis(0),
            tasks: BTreeMap::new(),
            lines: BTreeMap::new(),
            followers: BTreeMap::new(),
            awaiting: BTreeMap::new(),
            turns: Turns::new(),
            alarms: BTreeSet::new(),
            rested: BTreeSet::new(),
            running: 0,
            count: 0,
            stopping: false,
            actions: Vec::new(),
        }
    }

    /// The queue as it was before a crash: the tasks on record that have not ended, in order of arrival, each with the
    /// state it had; their tickets say what is on record of their predecessors. What ran is run again.
    pub fn restored(
        limits: Limits,
        now: Millis,
        recorded: impl IntoIterator<Item = (Arrival, State)>,
    ) -> (Self, Vec<Action>) {
        let mut queue = Self::new(limits);
        queue.now = now;
        for (arrival, state) in recorded {
            queue.arrived(arrival, Some(state));
        }
        // Some are stale by what is known now, and others were held for them.
        let mut gone: Vec<TaskId> = queue.followers.keys().copied().collect();
        gone.retain(|task| !queue.tasks.contains_key(task));
        for task in gone {
            queue.fail_followers(task);
        }
        queue.dispatch();
        let actions = std::mem::take(&mut queue.actions);
        (queue, actions)
    }

    /// Takes in what happened, and says what is to be done, in order.
    pub fn step(&mut self, now: Millis, event: Event) -> Vec<Action> {
        self.now = self.now.max(now);
        match event {
            Event::Arrived(arrival) => self.arrived(arrival, None),
            Event::Ended { task, end } => self.ended(task, end),
            Event::CancelRequested { task } => self.cancel(task),
            Event::TimePassed => {}
            Event::Stopping => self.stopping = true,
        }
        self.heed_alarms();
        self.dispatch();
        std::mem::take(&mut self.actions)
    }

    /// When to step again although nothing happened.
    pub fn wakes_at(&self) -> Option<Millis> {
        self.alarms.first().map(|&(when, _)| when)
    }

    /// How many tasks have not ended.
    pub fn len(&self) -> usize {
        self.tasks.len()
    }

    /// Whether every task has ended.
    pub fn is_empty(&self) -> bool {
        self.tasks.is_empty()
    }

    /// What a task is to follow, once that is known: it waits for its turn, or runs.
    pub fn follows(&self, task: TaskId) -> Option<Follows> {
        match self.tasks.get(&task)?.stage {
            Stage::Queued { follows, .. }
            | Stage::Running { follows, .. }
            | Stage::Unsettled { follows, .. } => Some(follows),
            Stage::HeldFor(_) | Stage::Awaiting { .. } => None,
        }
    }

    /// How many tasks run.
    pub const fn running(&self) -> usize {
        self.running
    }

    /// Starts what may run: who ran before, then the first in line of files of which nothing runs, callers in turn.
    fn dispatch(&mut self) {
        while !self.stopping && self.running < self.limits.running {
            if let Some(task) = self.rested.pop_first() {
                self.start(task);
                continue;
            }
            let Some(file) = self.turns.next() else { return };
            let Some(task) = self.lines.get(&file).and_then(Line::first) else { return };
            self.record(task, Some(State::Queued), State::Running);
            self.start(task);
        }
    }

    /// The task runs, as it does on record already.
    fn start(&mut self, task: TaskId) {
        let started = self.tick();
        let Some(entry) = self.tasks.get_mut(&task) else { return };
        let (follows, runs) = match entry.stage {
            Stage::Queued { follows, .. } => (follows, 1),
            Stage::Unsettled { follows, runs, .. } => (follows, runs + 1),
            Stage::HeldFor(_) | Stage::Awaiting { .. } | Stage::Running { .. } => return,
        };
        entry.stage = Stage::Running { follows, started, runs };
        let (file, number) = (entry.file, entry.number);
        self.lines.entry(file).or_default().occupy(number, task);
        self.refresh(file);
        self.running += 1;
        self.actions.push(Action::Run { task, follows });
    }

    /// Whoever is now the first in line of this file may be the next that its caller has.
    fn refresh(&mut self, file: StorageIndex) {
        let Some(line) = self.lines.get(&file) else { return };
        let first = line.first().and_then(|task| self.tasks.get(&task));
        self.turns.set(file, first.map(|entry| (entry.caller.clone(), entry.number)));
        if line.is_empty() {
            self.lines.remove(&file);
        }
    }

    /// What time alone changes.
    fn heed_alarms(&mut self) {
        while let Some(&(when, task)) = self.alarms.first()
            && when <= self.now
        {
            self.alarms.pop_first();
            let Some(entry) = self.tasks.get(&task) else { continue };
            match &entry.stage {
                Stage::Awaiting { key, .. } => {
                    let missing = Because::PredecessorMissing(key.clone());
                    self.close_as_stale(task, missing);
                }
                Stage::Unsettled { .. } => {
                    self.rested.insert(task);
                }
                Stage::HeldFor(_) | Stage::Queued { .. } | Stage::Running { .. } => {}
            }
        }
    }

    fn record(&mut self, task: TaskId, from: Option<State>, to: State) {
        self.actions.push(Action::Move { task, from, to });
    }

    const fn tick(&mut self) -> u64 {
        self.count += 1;
        self.count
    }
}

#[cfg(test)]
mod tests;
