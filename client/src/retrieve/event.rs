//! Everything that can happen to a retrieve.

use tarn_proto::{Refusal, SlotState};

use crate::fetch::{RunFailure, RunId};
use crate::publish::action::{MessageId, Timer};
use crate::servermap::Failure;

/// Something that happened. A driver puts it on the retrieve's queue, and never calls the machine from anywhere else.
/// The machine never sees a block: those that an event names were verified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// The caller wants it to begin.
    Started,
    /// A server told its slot's state.
    Mapped {
        /// The query.
        message: MessageId,
        /// The slot.
        state: SlotState,
    },
    /// A server has what it was brought.
    Brought {
        /// The bring message.
        message: MessageId,
    },
    /// A server refused what it was brought.
    Refused {
        /// The bring message.
        message: MessageId,
        /// Why.
        refusal: Refusal,
    },
    /// The rows asked for are here, verified. It comes before the blocks that it lets be checked.
    RowsArrived {
        /// The message that asked for them.
        message: MessageId,
    },
    /// No answer will come to this message.
    Failed {
        /// The message.
        message: MessageId,
        /// Why.
        failure: Failure,
    },
    /// A block that is as its row says.
    BlockArrived {
        /// The run it is of.
        run: RunId,
        /// Its segment.
        segment: u32,
    },
    /// No more blocks will come of this run; a block that is not as its row says ends it too.
    RunFailed {
        /// The run.
        run: RunId,
        /// Why.
        failure: RunFailure,
    },
    /// The caller took a segment.
    Consumed {
        /// The segment.
        segment: u32,
    },
    /// The blocks of a segment are as its row says, and yet no code word.
    Undecodable {
        /// Why, for people.
        cause: String,
    },
    /// A moment that was waited for has come, and every block that had come by then was told.
    TimedOut {
        /// Which.
        timer: Timer,
    },
}
