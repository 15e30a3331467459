//! What a queue is told.

use tarn_proto::{StorageIndex, VersionId};

use super::task::{Caller, Key, TaskId};

/// Something that happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// A task was submitted; its content is staged.
    Arrived(Arrival),
    /// A task that ran has ended.
    Ended {
        /// The task.
        task: TaskId,
        /// How, as far as its followers are concerned.
        end: End,
    },
    /// Somebody wants it called off.
    CancelRequested {
        /// The task.
        task: TaskId,
    },
    /// The time of [`Queue::wakes_at`](super::Queue::wakes_at) has come.
    TimePassed,
    /// Nothing more is to be started.
    Stopping,
}

/// A task as it comes in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Arrival {
    /// The task.
    pub task: TaskId,
    /// The file it publishes.
    pub file: StorageIndex,
    /// Who submitted it.
    pub caller: Caller,
    /// What followers may call it by, unique among the file's tasks.
    pub key: Option<Key>,
    /// What it follows.
    pub ticket: Ticket,
}

/// What a task is to follow.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ticket {
    /// Whatever is there when its turn comes.
    Whatever,
    /// Nothing: the file must not have any version yet.
    Nothing,
    /// This version and no other.
    Version(VersionId),
    /// The version that another task of the file makes.
    After(Predecessor),
}

/// The task that another follows, as it is on record when that one arrives.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Predecessor {
    /// It has not ended.
    Pending(TaskId),
    /// It was published, and this is what it became.
    Published(VersionId),
    /// It ended without success.
    Fruitless(TaskId),
    /// No task with this key has arrived.
    Awaited(Key),
}

/// How a run of a task ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// It is published.
    Published {
        /// The version.
        version: VersionId,
        /// Whether an earlier try of the same submission had made it, so that others may have followed it long since.
        repeated: bool,
    },
    /// It changed nothing, then or later.
    Fruitless,
    /// It may or may not take effect, or others were in its way: to be run again.
    Unsettled,
}
