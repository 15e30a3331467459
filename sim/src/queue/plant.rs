//! Where a planted bug takes hold of a gateway: hooks around the real queue and its record, never inside them. By default
//! each leaves everything as it is. The bugs themselves are in [`super::bugs`].

use std::fmt::Debug;

use tarn_client::publish::Follows;
use tarn_client::queue::{Action, Arrival, End, Event, Limits, State, TaskId};

use super::record::{Record, Row};
use super::submission::Attempt;

/// A planted bug, and what it remembers of one life of a gateway's process.
pub(super) trait Plant: Debug {
    /// What the queue is bounded by.
    fn limits(&self, limits: Limits) -> Limits {
        limits
    }

    /// What a submission is to the queue, also when that is restored.
    fn arrives(&self, arrival: Arrival) -> Arrival {
        arrival
    }

    /// What the queue is told of how a run ended.
    fn ends(&self, end: End) -> End {
        end
    }

    /// What the queue is restored from, in place of what is on record.
    fn restores(&mut self, recorded: Vec<(Arrival, State)>) -> Vec<(Arrival, State)> {
        recorded
    }

    /// What the queue hears in place of this event. The record is as it was before.
    fn hears(&mut self, _record: &Record, event: Event) -> Vec<Event> {
        vec![event]
    }

    /// What is done in place of what the queue decided, or what was restored decided, if `restored`.
    fn does(&mut self, _record: &Record, _restored: bool, actions: Vec<Action>) -> Vec<Action> {
        actions
    }

    /// Whether a submission's predecessor is looked up before its content is staged.
    fn looks_up_early(&self) -> bool {
        false
    }

    /// Whether a task that is on record is recognised by its key.
    fn recognises(&self, _task: TaskId) -> bool {
        true
    }

    /// Whole rows that are written over what a step has just recorded.
    fn writes(&mut self, _record: &Record) -> Vec<(TaskId, Row)> {
        Vec::new()
    }

    /// Whether what a step decided is carried out before it is recorded.
    fn carries_out_first(&self) -> bool {
        false
    }

    /// What a publish is told that it must follow.
    fn passes_on(&self, follows: Follows) -> Follows {
        follows
    }

    /// The attempt id that a task's publish bears in the `life`th life of the process.
    fn attempt(&self, _life: u32, _task: TaskId, attempt: Attempt) -> Attempt {
        attempt
    }
}

/// No bug.
#[derive(Debug)]
pub(super) struct Sound;

impl Plant for Sound {}
