//! The tasks of one file that wait for their turn, in order of arrival, and the one whose turn it is.

use std::collections::BTreeMap;

use super::task::TaskId;

/// The line of one file.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Line {
    queued: BTreeMap<u64, TaskId>,
    occupied: Option<TaskId>,
}

impl Line {
    /// Whoever arrived as the `number`th waits.
    pub(super) fn enqueue(&mut self, number: u64, task: TaskId) {
        self.queued.insert(number, task);
    }

    /// It waits no longer, and nobody runs until it is gone.
    pub(super) fn occupy(&mut self, number: u64, task: TaskId) {
        self.queued.remove(&number);
        self.occupied = Some(task);
    }

    /// It does not wait, and does not run.
    pub(super) fn leave(&mut self, number: u64, task: TaskId) {
        self.queued.remove(&number);
        if self.occupied == Some(task) {
            self.occupied = None;
        }
    }

    /// Whose turn it is, if nobody has it.
    pub(super) fn first(&self) -> Option<TaskId> {
        match self.occupied {
            Some(_) => None,
            None => self.queued.first_key_value().map(|(_, &task)| task),
        }
    }

    /// Who waits, in order of arrival.
    pub(super) fn waiting(&self) -> impl Iterator<Item = TaskId> {
        self.queued.values().copied()
    }

    /// Whether nobody waits and nobody runs.
    pub(super) fn is_empty(&self) -> bool {
        self.queued.is_empty() && self.occupied.is_none()
    }
}
