//! What travels: requests to servers, their answers, and what a client is to hear of itself later. Holds no rules.

use std::collections::BTreeSet;
use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use tarn_client::fetch::RunId;
use tarn_client::publish::action::Timer;
use tarn_proto::state::Tests;
use tarn_proto::{
    Certificate, ConversationId, HistoryQuery, Refusal, ShareNumber, SignedHeader, SlotState,
    VersionId,
};

use crate::ids::{EnvelopeId, ServerId};
use crate::made::Made;

/// Something on its way.
#[derive(Debug, Clone)]
pub struct Envelope {
    /// Its name.
    pub id: EnvelopeId,
    /// When it was sent.
    pub sent: u64,
    /// Not to be delivered before this, for timers.
    pub due: Option<u64>,
    /// What it is.
    pub body: Body,
}

/// What an envelope holds.
#[derive(Debug, Clone)]
pub enum Body {
    /// To a server.
    Request {
        /// To whom.
        server: ServerId,
        /// What is asked.
        request: Arc<Request>,
    },
    /// From a server.
    Answer {
        /// From whom.
        server: ServerId,
        /// What was asked.
        request: Arc<Request>,
        /// What it said.
        reply: Box<Reply>,
    },
    /// From a client to itself.
    Local(Local),
}

/// What a client asks of a server.
#[derive(Debug, Clone)]
pub enum Request {
    /// What does the slot hold?
    Query {
        /// The history that is asked for.
        history: Option<HistoryQuery>,
        /// The conversation whose end is to be learnt.
        conversation: Option<ConversationId>,
    },
    /// Everything from Open to Seal.
    Seal {
        /// The stream.
        conversation: ConversationId,
        /// The shares that were sent.
        shares: BTreeSet<ShareNumber>,
        /// What must be there.
        tests: Tests,
        /// The version that the rest is taken from, which rides on Open.
        base: Option<VersionId>,
        /// The version.
        made: Arc<Made>,
        /// A certificate that rides on Open.
        finalize: Option<Certificate>,
        /// What the version was built on, which rides on Open too.
        ancestors: Vec<SignedHeader>,
    },
    /// Renew the promise.
    Extend {
        /// The stream.
        conversation: ConversationId,
    },
    /// Make it visible.
    Commit {
        /// The stream.
        conversation: ConversationId,
        /// The version, signed.
        header: SignedHeader,
    },
    /// Take shares of a version that is signed already.
    Bring {
        /// The version.
        made: Arc<Made>,
        /// Which shares.
        shares: BTreeSet<ShareNumber>,
        /// Its certificate, if it has one.
        certificate: Option<Certificate>,
        /// What it was built on.
        ancestors: Vec<SignedHeader>,
    },
    /// Record a certificate.
    Finalize {
        /// Which.
        certificate: Certificate,
    },
    /// The stream ends: let go, or broken.
    End {
        /// Which.
        conversation: ConversationId,
    },
    /// Give rows of a table.
    ReadRows {
        /// Of this version.
        version: VersionId,
        /// Of these segments.
        segments: Range<u32>,
    },
    /// Give blocks.
    ReadBlocks {
        /// Names the run.
        run: RunId,
        /// Of this version.
        version: VersionId,
        /// Of this share.
        share: ShareNumber,
        /// Of these segments.
        segments: Range<u32>,
    },
}

/// The kinds of request, for tables and traces.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum RequestKind {
    /// See [`Request::Query`]; and so on.
    Query,
    /// Everything from Open to Seal.
    Seal,
    /// Renew.
    Extend,
    /// Commit.
    Commit,
    /// Bring.
    Bring,
    /// Record a certificate.
    Finalize,
    /// End of a stream.
    End,
    /// Rows.
    ReadRows,
    /// Blocks.
    ReadBlocks,
}

impl Request {
    /// The stream that breaks when the message is lost.
    pub const fn conversation(&self) -> Option<ConversationId> {
        match self {
            Self::Seal { conversation, .. }
            | Self::Extend { conversation }
            | Self::Commit { conversation, .. }
            | Self::End { conversation } => Some(*conversation),
            Self::Query { .. }
            | Self::Bring { .. }
            | Self::Finalize { .. }
            | Self::ReadRows { .. }
            | Self::ReadBlocks { .. } => None,
        }
    }

    /// Its kind.
    pub const fn kind(&self) -> RequestKind {
        match self {
            Self::Query { .. } => RequestKind::Query,
            Self::Seal { .. } => RequestKind::Seal,
            Self::Extend { .. } => RequestKind::Extend,
            Self::Commit { .. } => RequestKind::Commit,
            Self::Bring { .. } => RequestKind::Bring,
            Self::Finalize { .. } => RequestKind::Finalize,
            Self::End { .. } => RequestKind::End,
            Self::ReadRows { .. } => RequestKind::ReadRows,
            Self::ReadBlocks { .. } => RequestKind::ReadBlocks,
        }
    }
}

/// What a server says, or what the network says in its place.
#[derive(Debug, Clone)]
pub enum Reply {
    /// The slot's state.
    State(SlotState),
    /// It holds its slot for the writer.
    Sealed {
        /// The slot as it was sealed.
        state: SlotState,
        /// How long the promise holds, in milliseconds.
        promise: u64,
    },
    /// The promise is renewed.
    Extended {
        /// How long it holds from now, in milliseconds.
        promise: u64,
    },
    /// Durable.
    Written,
    /// Refused; nothing was changed.
    Refused {
        /// Why.
        refusal: Refusal,
        /// The slot, as evidence.
        state: Option<SlotState>,
    },
    /// The rows asked for.
    Rows,
    /// The blocks asked for, in order, as far as they go.
    Blocks(Vec<Bytes>),
    /// The share is missing, or damaged.
    NoShare,
    /// No answer will come.
    Dead(String),
    /// It answered with what is not signed by whom it says.
    Forged(String),
}

/// What a client hears of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Local {
    /// Begin.
    Started,
    /// An encoding pass reached the end of the source.
    Encoded {
        /// Which.
        pass: u32,
    },
    /// The journal is written.
    Journaled,
    /// A moment that was waited for has come.
    TimedOut(Timer),
    /// The caller took a segment.
    Consumed {
        /// Which.
        segment: u32,
    },
}
