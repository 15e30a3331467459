//! Everything a retrieve can ask for.

use std::collections::BTreeSet;
use std::ops::Range;

use tarn_proto::{Certificate, ConversationId, ShareNumber, SignedHeader, StoreId};

use super::outcome::{Found, Report};
use crate::fetch::{Run, RunId};
use crate::publish::action::{MessageId, Timer, Why};
use crate::quorum::Placement;
use crate::time::Millis;

/// Something to be done. Each is spawned as a task of its own, and all but those marked *silent* end by putting at
/// least one event on the queue.
#[derive(Debug, Clone, PartialEq)]
#[allow(
    clippy::large_enum_variant,
    reason = "there are few actions at a time, and each is moved once"
)]
pub enum Action {
    /// Ask a server for its slot. Ends in Mapped or Failed.
    Query {
        /// Names the message.
        message: MessageId,
        /// Whom to ask.
        server: StoreId,
    },
    /// Regenerate shares of a version that is signed already and bring them to a server. Ends in Brought, Refused or
    /// Failed.
    Bring {
        /// Names the message.
        message: MessageId,
        /// Where to.
        server: StoreId,
        /// The conversation to use.
        conversation: ConversationId,
        /// The version.
        header: SignedHeader,
        /// Its certificate, if it has one.
        certificate: Option<Certificate>,
        /// Which of its shares.
        shares: BTreeSet<ShareNumber>,
        /// What it was built on, back to a version known to be Published.
        ancestors: Vec<SignedHeader>,
        /// Who has shares of it that can be read.
        sources: Placement,
    },
    /// Read the rows of these segments. Ends in RowsArrived or Failed. Rows and blocks kept of another version are
    /// worth nothing from here on.
    ReadRows {
        /// Names the message.
        message: MessageId,
        /// Whom to ask.
        server: StoreId,
        /// The version.
        header: SignedHeader,
        /// The segments that are to be read.
        segments: Range<u32>,
    },
    /// Read these blocks of the version whose rows were asked for, and check each when its row is there. Each ends in BlockArrived, or the run in RunFailed.
    ReadBlocks(Run),
    /// Stop reading this run. *Silent.*
    Abandon(RunId),
    /// Tell the caller what is being read; the segments follow. Given once at most. *Silent.*
    Announce(Found),
    /// Decode this segment, which is the next one, and hand it to the caller. Ends in Consumed or Undecodable.
    Deliver {
        /// The segment.
        segment: u32,
    },
    /// Come back later. Ends in TimedOut.
    WaitUntil {
        /// Names the moment; a later one of the same machine replaces it.
        timer: Timer,
        /// When.
        when: Millis,
        /// What for.
        why: Why,
    },
    /// Tell the caller that it is over. Exactly one is ever given. *Silent.*
    Finish(Report),
}
