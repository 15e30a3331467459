//! Progress and changes of tasks, for whoever watches. Keeps nothing of a task that nobody watches and that does not run.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use tarn_proto::gateway as wire;
use tokio::sync::watch;

use crate::queue::TaskId;

/// What is shown.
#[derive(Debug, Clone, Default)]
pub(super) struct Board(Arc<Mutex<BTreeMap<TaskId, Shown>>>);

#[derive(Debug)]
struct Shown {
    /// The last progress; counts up with every change of the record.
    latest: watch::Sender<Latest>,
    runs: bool,
}

/// What a watcher is woken by.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Latest {
    /// What the task is doing, while it runs.
    pub(super) progress: Option<wire::Progress>,
    /// How often its record changed since somebody began to look.
    pub(super) changes: u64,
}

impl Board {
    /// Whatever happens to the task from now on.
    pub(super) fn watch(&self, task: TaskId) -> watch::Receiver<Latest> {
        self.with(|shown| shown.entry(task).or_insert_with(Shown::new).latest.subscribe())
    }

    /// What it is doing now, if it runs.
    pub(super) fn progress(&self, task: TaskId) -> Option<wire::Progress> {
        self.with(|shown| shown.get(&task)?.latest.borrow().progress.clone())
    }

    /// A task runs and does this.
    pub(super) fn show(&self, task: TaskId, progress: wire::Progress) {
        self.with(|shown| {
            let entry = shown.entry(task).or_insert_with(Shown::new);
            entry.runs = true;
            entry.latest.send_modify(|latest| latest.progress = Some(progress));
        });
    }

    /// A task does not run any more.
    pub(super) fn hide(&self, task: TaskId) {
        self.with(|shown| {
            if let Some(entry) = shown.get_mut(&task) {
                entry.runs = false;
                entry.latest.send_modify(|latest| latest.progress = None);
            }
            sweep(shown);
        });
    }

    /// The record of these tasks has changed.
    pub(super) fn changed(&self, tasks: impl IntoIterator<Item = TaskId>) {
        self.with(|shown| {
            for task in tasks {
                if let Some(entry) = shown.get(&task) {
                    entry.latest.send_modify(|latest| latest.changes += 1);
                }
            }
            sweep(shown);
        });
    }

    fn with<T>(&self, look: impl FnOnce(&mut BTreeMap<TaskId, Shown>) -> T) -> T {
        look(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Shown {
    fn new() -> Self {
        Self { latest: watch::Sender::default(), runs: false }
    }
}

/// Few run and few are watched, so going through them costs nothing.
fn sweep(shown: &mut BTreeMap<TaskId, Shown>) {
    shown.retain(|_, entry| entry.runs || entry.latest.receiver_count() > 0);
}
