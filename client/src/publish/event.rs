//! Everything that can happen to a publish.

use tarn_proto::{Refusal, SignedHeader, SlotState};

use super::action::{MessageId, Timer};
use crate::servermap::Failure;
use crate::time::Millis;

/// Something that happened. A driver puts one on the publish's queue for every action it was given, and never calls
/// the machine from anywhere else.
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
    /// The first encoding pass reached the end of the source: the header is complete.
    Encoded {
        /// The header, signed. The signature travels only with Commit.
        header: SignedHeader,
    },
    /// A server took in more of what it is sent.
    Progressed {
        /// The prepare message.
        message: MessageId,
    },
    /// A server blocks the encoding pass: everybody else waits for it.
    Stalled {
        /// The prepare message.
        message: MessageId,
        /// For how long.
        waited: Millis,
    },
    /// A server holds its slot for us.
    Sealed {
        /// The prepare message.
        message: MessageId,
        /// The slot as it was sealed.
        state: SlotState,
        /// How long the promise holds.
        promise: Millis,
    },
    /// A server renewed its promise.
    Extended {
        /// The extend message.
        message: MessageId,
        /// How long the promise holds from now.
        promise: Millis,
    },
    /// A server refused, changing nothing.
    Refused {
        /// The refused message.
        message: MessageId,
        /// Why.
        refusal: Refusal,
        /// The slot, as evidence.
        state: Option<SlotState>,
    },
    /// The signed header and its placement are durable on this side.
    Journaled,
    /// They could not be made durable.
    JournalFailed {
        /// Why, for people.
        cause: String,
    },
    /// A server made our shares durable, or had them.
    Written {
        /// The commit or bring message.
        message: MessageId,
    },
    /// The certificate goes along with the next publish of this file.
    LeftToNext {
        /// The finalize message.
        message: MessageId,
    },
    /// No answer will come to this message.
    Failed {
        /// The message.
        message: MessageId,
        /// Why.
        failure: Failure,
    },
    /// The source could not be read to its end, or changed while it was read.
    SourceFailed(SourceFailure),
    /// A moment that was waited for has come.
    TimedOut {
        /// Which.
        timer: Timer,
    },
    /// The caller lost interest.
    CancelRequested,
}

/// Why there is nothing to publish.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SourceFailure {
    /// Its length or bytes are not what they were.
    Changed,
    /// It cannot be read, or its bytes cannot be coded.
    Unreadable {
        /// Why, for people.
        cause: String,
    },
}
