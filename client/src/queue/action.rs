//! What a queue wants done.

use super::task::{Key, TaskId};
use crate::publish::Follows;
use tarn_proto::VersionId;

/// Something to be done. Moves are made durable first, all of one step at once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// Record that the task is in another state, if it is on record in `from`; no state for one that has just arrived.
    /// If it is not, somebody else changed the record: stop.
    Move {
        /// The task.
        task: TaskId,
        /// What it was.
        from: Option<State>,
        /// What it is.
        to: State,
    },
    /// Publish it, and say [`Ended`](super::Event::Ended) when it has ended. If it ran before, take it up again.
    Run {
        /// The task.
        task: TaskId,
        /// What it must follow.
        follows: Follows,
    },
    /// Call off its publish. It still ends.
    CancelRun {
        /// The task.
        task: TaskId,
    },
}

/// Where a task is, on record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum State {
    /// Its predecessor has not ended, or has not arrived.
    Held,
    /// It waits for its turn.
    Queued,
    /// It is published, or will be tried again.
    Running,
    /// It has ended.
    Ended(Verdict),
}

/// Who says how a task ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// Its last run did.
    Reported,
    /// It never ran: what it was to follow is not, or no longer, what is there.
    Stale(Because),
    /// It never ran: it was called off.
    Cancelled,
}

/// Why a task is stale without having run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Because {
    /// Another task came between it and the version that it was to follow. Never said of a task with a key.
    Replaced {
        /// The task.
        by: TaskId,
        /// What that one made.
        version: VersionId,
    },
    /// The task that it was to follow ended without success.
    PredecessorFailed(TaskId),
    /// The task that it was to follow did not arrive in time.
    PredecessorMissing(Key),
    /// It was to follow a task that is to follow it.
    Circular,
}
