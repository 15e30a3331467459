//! Everything a publish can ask for.

use std::collections::BTreeSet;
use std::fmt;

use tarn_proto::geometry::GeometryError;
use tarn_proto::{
    AttemptId, Certificate, ConversationId, Geometry, Header, SequenceNumber, Shape, ShareNumber,
    SignedHeader, StorageIndex, StoreId, VersionId, Window,
};

use super::outcome::Report;
use crate::quorum::{Placement, Terms};
use crate::time::Millis;

/// Something to be done. Each is spawned as a task of its own, and all but those marked *silent* end by putting one
/// event on the queue.
#[derive(Debug, Clone, PartialEq)]
pub enum Action {
    /// Ask a server for its slot. Ends in Mapped or Failed.
    Query {
        /// Names the message.
        message: MessageId,
        /// Whom to ask.
        server: StoreId,
        /// From which number on its history is wanted, besides that of this submission.
        since: Option<SequenceNumber>,
        /// The conversation whose end is to be learnt, if any.
        conversation: Option<ConversationId>,
    },
    /// Encode the source once and hand each of these servers its blocks; then seal. Each lane ends in Sealed, Refused
    /// or Failed; the first pass of a draft ends in Encoded before that, or in SourceFailed. An input that can be read only
    /// once is asked for once.
    Prepare {
        /// The version to be made, but for what only its bytes tell.
        draft: Draft,
        /// A version known to be Published, whose certificate rides on each Open.
        finalize: Option<(SequenceNumber, VersionId)>,
        /// What the draft is built on, back to a version known to be Published.
        ancestors: Vec<SignedHeader>,
        /// Who gets what.
        lanes: Vec<PrepareLane>,
    },
    /// Seal again on the same stream, with other tests. Ends in Sealed, Refused or Failed.
    Retest {
        /// Names the message.
        message: MessageId,
        /// The server.
        server: StoreId,
        /// Its conversation.
        conversation: ConversationId,
        /// What must be there.
        tests: tarn_proto::state::Tests,
    },
    /// Renew a promise. Ends in Extended, Refused or Failed.
    Extend {
        /// Names the message.
        message: MessageId,
        /// The server.
        server: StoreId,
        /// Its conversation.
        conversation: ConversationId,
    },
    /// End a conversation before its commit; nothing stays behind. *Silent.*
    Release {
        /// The server.
        server: StoreId,
        /// Its conversation.
        conversation: ConversationId,
    },
    /// Make the signed header and its placement durable on this side. Ends in Journaled or JournalFailed.
    Journal {
        /// The version about to be committed.
        header: SignedHeader,
        /// Where it is sealed.
        placement: Placement,
    },
    /// Commit what was sealed. Ends in Written, Refused or Failed.
    Commit {
        /// Names the message.
        message: MessageId,
        /// The server.
        server: StoreId,
        /// Its conversation.
        conversation: ConversationId,
        /// The version.
        header: SignedHeader,
    },
    /// Regenerate shares of a version that is signed already and bring them to a server. Ends in Written, Refused or
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
    /// Send the writer's word that a version was Published. Ends in Mapped, Refused or Failed.
    Finalize {
        /// Names the message.
        message: MessageId,
        /// Whom to tell.
        server: StoreId,
        /// The version's place.
        sequence_number: SequenceNumber,
        /// The version.
        version: VersionId,
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
    /// Tell the caller. Exactly one is ever given. *Silent.*
    Finish(Report),
}

/// One server's part of an encoding pass.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PrepareLane {
    /// Names the message.
    pub message: MessageId,
    /// The server.
    pub server: StoreId,
    /// The conversation to open.
    pub conversation: ConversationId,
    /// The shares that go there.
    pub shares: BTreeSet<ShareNumber>,
    /// What must be there.
    pub tests: tarn_proto::state::Tests,
    /// The version that the server takes what it is not sent from; none if it is sent all.
    pub base: Option<VersionId>,
}

/// A version about to be made: its header, but for what only its bytes tell.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Draft {
    /// The file.
    pub storage_index: StorageIndex,
    /// Its place.
    pub sequence_number: SequenceNumber,
    /// What it is built on.
    pub predecessor: Option<VersionId>,
    /// k, happy and n.
    pub shape: Shape,
    /// How it is cut.
    pub cut: Cut,
    /// Whether it deletes the file.
    pub tombstone: bool,
    /// The submission it belongs to.
    pub attempt: AttemptId,
    /// The stores in which its quorum is counted.
    pub window: Window,
    /// The window being left, while a file moves.
    pub joint: Option<Window>,
}

/// How a version about to be made is cut into segments and blocks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cut {
    /// Its length is known, and all that follows from it.
    Known(Geometry),
    /// Its length shows when its input ends.
    Open {
        /// As it would be cut if it were as long as any version of such blocks can be.
        room: Geometry,
    },
}

impl Cut {
    /// What has room for the version: its own geometry, if that is known.
    pub const fn room(&self) -> &Geometry {
        match self {
            Self::Known(geometry) | Self::Open { room: geometry } => geometry,
        }
    }

    /// Bytes of data, if that is known yet.
    pub const fn length(&self) -> Option<u64> {
        match self {
            Self::Known(geometry) => Some(geometry.length()),
            Self::Open { .. } => None,
        }
    }
}

impl Draft {
    /// The version's geometry, now that its input turned out to have so many bytes.
    pub fn geometry(&self, length: u64) -> Result<Geometry, GeometryError> {
        Geometry::new(self.shape, self.cut.room().block_size(), length)
    }

    /// The header of the version, once its length and its table are known.
    pub fn complete(
        &self,
        geometry: Geometry,
        table_root: [u8; 32],
        key_check: [u8; 16],
    ) -> Header {
        Header {
            tombstone: self.tombstone,
            storage_index: self.storage_index,
            sequence_number: self.sequence_number,
            predecessor: self.predecessor,
            shape: self.shape,
            geometry,
            table_root,
            attempt: self.attempt,
            key_check,
            window: self.window.clone(),
            joint: self.joint.clone(),
        }
    }

    /// Whether this header is the draft's, completed.
    pub fn is_of(&self, header: &Header) -> bool {
        let geometry = header.geometry;
        let fits = match &self.cut {
            Cut::Known(known) => *known == geometry,
            Cut::Open { room } => room.is_cut_as(&geometry),
        };
        fits && self.complete(geometry, header.table_root, header.key_check) == *header
    }

    /// What its quorum is counted by.
    pub const fn terms(&self) -> Terms<'_> {
        Terms { shape: self.shape, window: &self.window, joint: self.joint.as_ref() }
    }
}

/// Names a message of one machine, in the order in which they were decided.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MessageId(pub u32);

impl fmt::Display for MessageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "#{}", self.0)
    }
}

/// Names a moment that was waited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timer(pub u32);

/// What a wait is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Why {
    /// Servers that have not answered become late.
    Lateness,
    /// Promises must be renewed.
    Promises,
    /// Another writer is given way.
    BackOff,
    /// A lost answer is asked after once more.
    Settlement,
}
