//! The registrar: the one thread that steps the queue and changes the record. Whatever waits for it is taken together: one
//! transaction, one wait for the disk. Publishes nothing.
//!
//! This is the critical section of DESIGN §8: what a task is called, what it follows and its place in line are looked up
//! and fixed here, where nobody else changes anything.
//!
//! Nobody is answered and nothing is begun before it is durable, with two exceptions that spare a task its waits for the
//! disk. Whoever runs as it arrives begins meanwhile: nothing of it can be seen before its decision is journalled, here,
//! and thus after its arrival. And that a task was published is told once that is written, which outlives this program; if
//! the power fails before it is durable too, the task is run again and finds what it published.

mod change;
mod desk;

use std::sync::mpsc;
use std::thread::JoinHandle;
use std::time::Duration;

use tarn_proto::gateway as wire;
use tokio::sync::{mpsc as channel, oneshot};

use super::board::Board;
use super::submission::{Named, Submission};
use super::tasks::{FileRow, Journalled, Tasks, TasksError, Work};
use crate::publish::Follows;
use crate::queue::{End, Limits, TaskId};
use desk::Desk;

/// What the registrar is asked for.
pub(super) enum Request {
    /// Take a task.
    Submit(Box<Submission>, Answer<Result<Submitted, SubmitError>>),
    /// A run of a task has ended. `content_lasts` says whether its content is lost only with its row.
    Ended { task: TaskId, end: End, outcome: Box<wire::Outcome>, content_lasts: bool },
    /// Make a decision durable.
    Journal { task: TaskId, entry: Box<Journalled>, answer: mpsc::SyncSender<()> },
    /// Call a task off.
    Cancel(TaskId, Answer<Result<(), Refused>>),
    /// Forget a task that has ended.
    Delete(TaskId, Answer<Result<(), Refused>>),
    /// Remember a file.
    Know(Box<FileRow>, Answer<Result<(), Refused>>),
    /// Start nothing more, and end once all before this is done.
    Stop,
}

/// Where an answer goes.
pub(super) type Answer<T> = oneshot::Sender<T>;

/// A task that is accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Submitted {
    pub(super) task: TaskId,
    /// Whether it was there already.
    pub(super) repeated: bool,
}

/// Why a submission was not accepted. Nothing is left of it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum SubmitError {
    #[error("the idempotency key was used for another content or ticket, by task {0}")]
    KeyReused(TaskId),
    #[error("there is no task {0} to follow")]
    NoSuchTask(TaskId),
    #[error("task {0} publishes another file")]
    OtherFile(TaskId),
    #[error(transparent)]
    Refused(#[from] Refused),
}

/// Why nothing was done.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum Refused {
    #[error("there is no such task")]
    NoSuchTask,
    #[error("the task has not ended")]
    Pending,
    #[error("the gateway is stopping, or its record cannot be changed")]
    Unavailable,
}

/// What is to be done about tasks that run.
#[derive(Debug)]
pub(super) enum Order {
    /// `work` is what it needs, if that is not on record yet.
    Run {
        task: TaskId,
        follows: Follows,
        work: Option<Box<Work>>,
    },
    Cancel {
        task: TaskId,
    },
    /// Its content is not needed any more, of which the record held so many bytes.
    Drop {
        task: TaskId,
        inline: u64,
    },
}

/// A handle to the registrar. Clones are the same.
#[derive(Debug, Clone)]
pub(super) struct Registrar {
    requests: mpsc::Sender<Request>,
}

impl Registrar {
    /// Takes up what is on record, and starts the thread. `orders` go to whoever runs tasks.
    pub(super) fn start(
        tasks: Tasks,
        limits: Limits,
        keep: Duration,
        board: Board,
        orders: channel::UnboundedSender<Order>,
    ) -> Result<(Self, JoinHandle<()>), TasksError> {
        let (requests, queue) = mpsc::channel();
        let mut desk = Desk::new(tasks, limits, keep, board, orders);
        desk.take_up()?;
        let thread = std::thread::spawn(move || desk.serve(&queue));
        Ok((Self { requests }, thread))
    }

    /// Asks, and waits for the answer.
    pub(super) async fn ask<T, E: From<Refused>>(
        &self,
        request: impl FnOnce(Answer<Result<T, E>>) -> Request,
    ) -> Result<T, E> {
        let (answer, answered) = oneshot::channel();
        self.tell(request(answer));
        answered.await.unwrap_or_else(|_gone| Err(Refused::Unavailable.into()))
    }

    /// Tells without waiting.
    pub(super) fn tell(&self, request: Request) {
        // A registrar that is gone does nothing more, and whoever waits for it is told so.
        let _ = self.requests.send(request);
    }

    /// Makes a publish's decision durable. Blocks.
    pub(super) fn journal(&self, task: TaskId, entry: Journalled) -> Result<(), Refused> {
        let (answer, answered) = mpsc::sync_channel(1);
        self.tell(Request::Journal { task, entry: Box::new(entry), answer });
        answered.recv().map_err(|_gone| Refused::Unavailable)
    }
}

#[cfg(test)]
mod tests;
