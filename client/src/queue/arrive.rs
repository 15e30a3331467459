//! A task comes in: it is held, waits in line, or is stale already.

use tarn_proto::StorageIndex;

use super::Queue;
use super::action::{Because, State, Verdict};
use super::event::{Arrival, Predecessor, Ticket};
use super::task::{Entry, Key, Stage, TaskId};
use crate::publish::Follows;

impl Queue {
    /// `recorded` is the state in which it was on record before a crash.
    pub(super) fn arrived(&mut self, arrival: Arrival, recorded: Option<State>) {
        let Arrival { task, file, caller, key, ticket } = arrival;
        let number = self.tick();
        let stage = match ticket {
            Ticket::Whatever => Stage::Queued { follows: Follows::Whatever, since: number },
            Ticket::Nothing => Stage::Queued { follows: Follows::Nothing, since: number },
            Ticket::Version(version) | Ticket::After(Predecessor::Published(version)) => {
                Stage::Queued { follows: Follows::Version(version), since: number }
            }
            Ticket::After(Predecessor::Pending(predecessor)) => Stage::HeldFor(predecessor),
            Ticket::After(Predecessor::Awaited(key)) => {
                Stage::Awaiting { key, until: self.now + self.limits.awaited }
            }
            Ticket::After(Predecessor::Fruitless(predecessor)) => {
                let because = Because::PredecessorFailed(predecessor);
                return self.is_stale(task, file, key, recorded, because);
            }
        };
        let entry = Entry { file, caller, key, number, stage, cancelled: false };
        if self.closes_a_circle(&entry) {
            return self.is_stale(task, file, entry.key, recorded, Because::Circular);
        }
        let state = entry.stage.state();
        let runs = recorded == Some(State::Running);
        if !runs && recorded.as_ref() != Some(&state) {
            self.record(task, recorded, state);
        }
        self.admit(task, entry);
        if runs {
            self.start(task);
        }
    }

    fn is_stale(
        &mut self,
        task: TaskId,
        file: StorageIndex,
        key: Option<Key>,
        recorded: Option<State>,
        because: Because,
    ) {
        self.record(task, recorded, State::Ended(Verdict::Stale(because)));
        self.hold_those_awaiting(file, key, task);
        self.fail_followers(task);
    }

    fn admit(&mut self, task: TaskId, entry: Entry) {
        let (file, number, stage) = (entry.file, entry.number, entry.stage.clone());
        let key = entry.key.clone();
        self.tasks.insert(task, entry);
        match stage {
            Stage::HeldFor(predecessor) => {
                self.followers.entry(predecessor).or_default().insert(task);
            }
            Stage::Awaiting { key, until } => {
                self.awaiting.entry((file, key)).or_default().insert(task);
                self.alarms.insert((until, task));
            }
            Stage::Queued { .. } | Stage::Running { .. } | Stage::Unsettled { .. } => {
                self.lines.entry(file).or_default().enqueue(number, task);
                self.refresh(file);
            }
        }
        self.hold_those_awaiting(file, key, task);
    }

    /// Whoever was held for a task of this name is held for the task itself now.
    fn hold_those_awaiting(&mut self, file: StorageIndex, key: Option<Key>, task: TaskId) {
        let awaiting = key.and_then(|key| self.awaiting.remove(&(file, key))).unwrap_or_default();
        for follower in awaiting {
            if let Some(entry) = self.tasks.get_mut(&follower) {
                if let Stage::Awaiting { until, .. } = entry.stage {
                    self.alarms.remove(&(until, follower));
                }
                entry.stage = Stage::HeldFor(task);
                self.followers.entry(task).or_default().insert(follower);
            }
        }
    }

    /// Whether whoever arrives would wait, over others that wait, for itself.
    fn closes_a_circle(&self, arriving: &Entry) -> bool {
        let mut stage = &arriving.stage;
        loop {
            match stage {
                Stage::Awaiting { key, .. } => return Some(key) == arriving.key.as_ref(),
                Stage::HeldFor(predecessor) => match self.tasks.get(predecessor) {
                    Some(entry) => stage = &entry.stage,
                    None => return false,
                },
                Stage::Queued { .. } | Stage::Running { .. } | Stage::Unsettled { .. } => {
                    return false;
                }
            }
        }
    }
}
