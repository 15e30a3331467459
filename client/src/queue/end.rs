//! A task ends: what that means for those behind it.

use tarn_proto::{StorageIndex, VersionId};

use super::Queue;
use super::action::{Action, Because, State, Verdict};
use super::event::End;
use super::task::{Stage, TaskId};
use crate::publish::Follows;

impl Queue {
    /// A run has ended.
    pub(super) fn ended(&mut self, task: TaskId, end: End) {
        let Some(entry) = self.tasks.get_mut(&task) else { return };
        let Stage::Running { follows, started, runs } = entry.stage else { return };
        self.running -= 1;
        if end == End::Unsettled && runs <= self.limits.repeats && !entry.cancelled {
            let rest = self.limits.rest.times(1 << (runs - 1).min(16));
            let until = self.now + rest;
            entry.stage = Stage::Unsettled { follows, until, runs };
            self.alarms.insert((until, task));
            return;
        }
        let file = entry.file;
        self.close(task, Verdict::Reported);
        match end {
            End::Published { version, repeated } => {
                if !repeated {
                    self.replace(file, task, version, started);
                }
                self.release_followers(task, version);
            }
            End::Fruitless | End::Unsettled => self.fail_followers(task),
        }
    }

    /// Calls a task off: at once if it does not run.
    pub(super) fn cancel(&mut self, task: TaskId) {
        let Some(entry) = self.tasks.get_mut(&task) else { return };
        match entry.stage {
            Stage::Running { .. } => {
                entry.cancelled = true;
                self.actions.push(Action::CancelRun { task });
            }
            Stage::Unsettled { .. } => {
                self.close(task, Verdict::Reported);
                self.fail_followers(task);
            }
            Stage::HeldFor(_) | Stage::Awaiting { .. } | Stage::Queued { .. } => {
                self.close(task, Verdict::Cancelled);
                self.fail_followers(task);
            }
        }
    }

    /// Ends a task that waits, and whoever follows it.
    pub(super) fn close_as_stale(&mut self, task: TaskId, because: Because) {
        self.close(task, Verdict::Stale(because));
        self.fail_followers(task);
    }

    /// Whoever is held for a task that ended without success is stale, and whoever is held for that one.
    pub(super) fn fail_followers(&mut self, task: TaskId) {
        let mut failed = vec![task];
        while let Some(predecessor) = failed.pop() {
            for follower in self.followers.remove(&predecessor).unwrap_or_default() {
                self.close(follower, Verdict::Stale(Because::PredecessorFailed(predecessor)));
                failed.push(follower);
            }
        }
    }

    /// Whoever is held for a task that was published follows its version.
    fn release_followers(&mut self, task: TaskId, version: VersionId) {
        let since = self.tick();
        for follower in self.followers.remove(&task).unwrap_or_default() {
            let Some(entry) = self.tasks.get_mut(&follower) else { continue };
            entry.stage = Stage::Queued { follows: Follows::Version(version), since };
            let (file, number) = (entry.file, entry.number);
            self.record(follower, Some(State::Held), State::Queued);
            self.lines.entry(file).or_default().enqueue(number, follower);
            self.refresh(file);
        }
    }

    /// A task was published whose run began at `started`. It was built on what was newest then or later, so whoever
    /// already waited to follow another version by that time will never follow the newest. Whoever has a key is not
    /// judged: another gateway may have published the same submission before, and only its own run finds that.
    fn replace(&mut self, file: StorageIndex, by: TaskId, version: VersionId, started: u64) {
        let Some(line) = self.lines.get(&file) else { return };
        let is_replaced = |task: &TaskId| {
            let unnamed = self.tasks.get(task).filter(|entry| entry.key.is_none());
            let after = unnamed.and_then(|entry| entry.stage.queued_after());
            after.is_some_and(|(follows, since)| since < started && follows != version)
        };
        let replaced: Vec<TaskId> = line.waiting().filter(is_replaced).collect();
        for task in replaced {
            self.close_as_stale(task, Because::Replaced { by, version });
        }
    }

    /// Takes a task out, and records how it ended.
    fn close(&mut self, task: TaskId, verdict: Verdict) {
        let Some(entry) = self.tasks.remove(&task) else { return };
        match &entry.stage {
            Stage::HeldFor(predecessor) => {
                if let Some(followers) = self.followers.get_mut(predecessor) {
                    followers.remove(&task);
                    if followers.is_empty() {
                        self.followers.remove(predecessor);
                    }
                }
            }
            Stage::Awaiting { key, until } => {
                self.alarms.remove(&(*until, task));
                let name = (entry.file, key.clone());
                if let Some(awaiting) = self.awaiting.get_mut(&name) {
                    awaiting.remove(&task);
                    if awaiting.is_empty() {
                        self.awaiting.remove(&name);
                    }
                }
            }
            Stage::Unsettled { until, .. } => {
                self.alarms.remove(&(*until, task));
                self.rested.remove(&task);
            }
            Stage::Queued { .. } | Stage::Running { .. } => {}
        }
        if let Some(line) = self.lines.get_mut(&entry.file) {
            line.leave(entry.number, task);
            self.refresh(entry.file);
        }
        self.record(task, Some(entry.stage.state()), State::Ended(verdict));
    }
}
