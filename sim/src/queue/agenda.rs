//! What is going to happen, in order of time; of one moment, in the order in which it was put down.

use std::collections::BTreeMap;
use std::rc::Rc;

use tarn_client::queue::{TaskId, Ticket};
use tarn_proto::{StorageIndex, VersionId};

use super::submission::{Attempt, Submission};
use super::world::RunId;

/// Something that is going to happen.
#[derive(Debug)]
pub(super) enum Upcoming {
    /// A caller does something.
    Act { caller: u8 },
    /// A caller submits something.
    Send(Delivery),
    /// A submission reaches a gateway.
    Arrive(Delivery),
    /// Its content is staged, unless the process is not what it was.
    Staged { delivery: Delivery, life: u32, early: Option<Ticket> },
    /// A wish to call off a task reaches its gateway.
    Cancel { task: TaskId },
    /// A publish knows what is there.
    Decide(RunId),
    /// A publish has ended.
    End(RunId),
    /// A commit that was on its way takes effect, if it still can.
    Land { file: StorageIndex, base: Option<VersionId>, task: TaskId, attempt: Attempt },
    /// Time that a queue waits for has passed.
    Wake { gateway: u8, life: u32 },
    /// Somebody who uses no gateway writes.
    Outsider,
    /// A process is to stop.
    Stop,
    /// Some process dies.
    Death,
    /// A process dies, if it is still the same.
    Die { gateway: u8, life: u32 },
    /// A process begins again.
    Begin { gateway: u8 },
    /// From here on nothing fails.
    Heal,
}

/// A submission on its way.
#[derive(Debug, Clone)]
pub(super) struct Delivery {
    pub(super) caller: u8,
    pub(super) gateway: u8,
    pub(super) submission: Rc<Submission>,
    /// Whether the network made it of another: nobody waits for an answer to it.
    pub(super) is_copy: bool,
}

/// The order of what is going to happen.
#[derive(Debug, Default)]
pub(super) struct Agenda {
    entries: BTreeMap<(u64, u64), Upcoming>,
    count: u64,
}

impl Agenda {
    pub(super) fn put(&mut self, at: u64, what: Upcoming) {
        self.count += 1;
        self.entries.insert((at, self.count), what);
    }

    pub(super) fn next(&mut self) -> Option<(u64, Upcoming)> {
        self.entries.pop_first().map(|((at, _), what)| (at, what))
    }
}
