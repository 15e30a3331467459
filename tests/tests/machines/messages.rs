//! What is on its way between writers and servers.

use std::collections::BTreeSet;

use tarn_client::publish::action::MessageId;
use tarn_client::publish::event::Event;
use tarn_client::publish::outcome::Outcome;
use tarn_proto::state::Tests;
use tarn_proto::{
    Certificate, ConversationId, HistoryQuery, ShareNumber, SignedHeader, StoreId, VersionId,
};

#[derive(Debug, Clone)]
pub(crate) enum Message {
    To(usize, Event),
    Ask(usize, StoreId, Box<Ask>),
    End(StoreId, ConversationId),
}

#[derive(Debug, Clone)]
pub(crate) enum Ask {
    Query {
        message: MessageId,
        history: HistoryQuery,
        conversation: Option<ConversationId>,
    },
    Seal {
        message: MessageId,
        conversation: ConversationId,
        shares: BTreeSet<ShareNumber>,
        tests: Tests,
        /// What the rest is taken from; none for a further Seal, whose Open has pinned it.
        base: Option<VersionId>,
        header: SignedHeader,
        ancestors: Vec<SignedHeader>,
    },
    Commit {
        message: MessageId,
        conversation: ConversationId,
        header: SignedHeader,
    },
    Extend {
        message: MessageId,
        conversation: ConversationId,
    },
    Bring {
        message: MessageId,
        header: SignedHeader,
        shares: BTreeSet<ShareNumber>,
        certificate: Option<Certificate>,
        ancestors: Vec<SignedHeader>,
    },
    Finalize {
        message: MessageId,
        certificate: Certificate,
    },
}

impl Ask {
    /// The message, and the conversation that breaks when it is lost.
    pub(crate) const fn names(&self) -> (MessageId, Option<ConversationId>) {
        match self {
            Self::Query { message, .. }
            | Self::Bring { message, .. }
            | Self::Finalize { message, .. } => (*message, None),
            Self::Seal { message, conversation, .. }
            | Self::Commit { message, conversation, .. }
            | Self::Extend { message, conversation } => (*message, Some(*conversation)),
        }
    }
}

pub(crate) fn brief(event: &Event) -> String {
    format!("{event:?}").chars().take(200).collect()
}

pub(crate) const fn name(outcome: &Outcome) -> &'static str {
    match outcome {
        Outcome::Published(_) => "published",
        Outcome::UncoordinatedWrite { .. } => "uncoordinated write",
        Outcome::Stale { .. } => "stale",
        Outcome::Contended => "contended",
        Outcome::NotEnoughServers(_) => "not enough servers",
        Outcome::BaseMissing(_) => "base missing",
        Outcome::InputUsedUp => "input used up",
        Outcome::Undecided(_) => "undecided",
        Outcome::Partial(_) => "partial",
        Outcome::Unknown(_) => "unknown",
        Outcome::Cancelled => "cancelled",
        Outcome::SourceChanged => "source changed",
        Outcome::Failed { .. } => "failed",
    }
}
