//! What came of an event, for schedulers, checkers, tables and pictures.

use tarn_proto::Refusal;

use crate::ids::{ClientId, EnvelopeId, ServerId};

use super::{Reply, RequestKind};

/// One thing that came of an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fact {
    /// Something is on its way now.
    Sent {
        /// Which.
        envelope: EnvelopeId,
    },
    /// A connection broke before the message got through.
    Broke {
        /// Which message.
        envelope: EnvelopeId,
    },
    /// A server handled a request.
    Served {
        /// Who.
        server: ServerId,
        /// Which request.
        envelope: EnvelopeId,
        /// What was asked.
        kind: RequestKind,
        /// What it said.
        said: Said,
    },
    /// A server's disk is to make a change durable.
    Writing {
        /// Whose.
        server: ServerId,
    },
    /// What a server holds durably changed, or may have.
    Durable {
        /// Whose.
        server: ServerId,
    },
    /// A machine made a step.
    Stepped {
        /// Whose.
        client: ClientId,
    },
    /// A caller was told how its task ended.
    Told {
        /// Which.
        client: ClientId,
    },
    /// A client's loop is over: nothing of it is left but what is still on its way.
    Over {
        /// Which.
        client: ClientId,
    },
}

/// What a server said, in one word.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Said {
    /// Its state.
    State,
    /// Sealed.
    Sealed,
    /// Extended.
    Extended,
    /// Written.
    Written,
    /// Refused, why.
    Refused(Refusal),
    /// Rows or blocks.
    Bytes,
    /// That the share is missing or damaged.
    NoShare,
    /// Nothing: it is dead, or the stream is gone.
    Dead,
    /// Something forged.
    Forged,
    /// Nothing yet: the slot is locked.
    Waiting,
    /// Nothing: the stream has ended.
    Ended,
}

impl From<&Reply> for Said {
    fn from(reply: &Reply) -> Self {
        match reply {
            Reply::State(_) => Self::State,
            Reply::Sealed { .. } => Self::Sealed,
            Reply::Extended { .. } => Self::Extended,
            Reply::Written => Self::Written,
            Reply::Refused { refusal, .. } => Self::Refused(*refusal),
            Reply::Rows | Reply::Blocks(_) => Self::Bytes,
            Reply::NoShare => Self::NoShare,
            Reply::Dead(_) => Self::Dead,
            Reply::Forged(_) => Self::Forged,
        }
    }
}
