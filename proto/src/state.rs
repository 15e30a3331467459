//! What a server says of a slot, in verified form, and the words in which writes are tested and refused. These are
//! the nouns that the client's and the server's machines speak; nothing here knows of protobuf.

use std::collections::BTreeMap;

use crate::header::SignedHeader;
use crate::ids::{AttemptId, ConversationId, SequenceNumber, ShareNumber, StoreId, VersionId};
use crate::signing::Certificate;

/// Most generations a slot holds; at this number only a Seal with Discard is accepted.
pub const GENERATIONS_MAX: usize = 16;
/// Most certificates a slot's state lists.
pub const CERTIFICATES_MAX: usize = 2 * GENERATIONS_MAX;
/// Most versions not held that a slot's state, or an Open, lists as what others were built on.
pub const ANCESTORS_MAX: usize = 64;
/// Most history entries a slot's state lists.
pub const HISTORY_MAX: usize = 16_384;

/// All that a client may know of one slot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SlotState {
    /// The store that answered.
    pub store: StoreId,
    /// The header of the highest (sequence number, version id) ever committed here.
    pub floor: Option<SignedHeader>,
    /// The versions held, newest first; the first is the current one.
    pub generations: Vec<Generation>,
    /// Versions known here to have been Published.
    pub certificates: Vec<Certificate>,
    /// Versions not held, which one held was built on, back to one known here to have been Published.
    pub ancestors: Vec<SignedHeader>,
    /// From the asked attempt upward, ascending; the newest few if the slot does not remember it; empty when none was
    /// asked.
    pub history: Vec<HistoryEntry>,
    /// Of the asked conversation.
    pub conversation: Option<ConversationStatus>,
    /// How much longer somebody's promise holds this slot, in milliseconds.
    pub promised_ms: Option<u64>,
}

impl SlotState {
    /// The state of a slot never written.
    pub const fn empty(store: StoreId) -> Self {
        Self {
            store,
            floor: None,
            generations: Vec::new(),
            certificates: Vec::new(),
            ancestors: Vec::new(),
            history: Vec::new(),
            conversation: None,
            promised_ms: None,
        }
    }

    /// The current generation.
    pub fn current(&self) -> Option<&Generation> {
        self.generations.first()
    }

    /// The generation of this version, if the slot holds it.
    pub fn generation(&self, version: VersionId) -> Option<&Generation> {
        self.generations.iter().find(|generation| generation.header.version() == version)
    }

    /// Every signed header in the state: the floor's, those of the generations, and of what they were built on.
    pub fn headers(&self) -> impl Iterator<Item = &SignedHeader> {
        let held = self.generations.iter().map(|generation| &generation.header);
        self.floor.iter().chain(held).chain(&self.ancestors)
    }
}

/// One version with the shares of it that a slot keeps.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Generation {
    /// The version.
    pub header: SignedHeader,
    /// The shares held.
    pub shares: BTreeMap<ShareNumber, ShareHealth>,
    /// How they came.
    pub origin: Origin,
}

/// Whether a held share is as its table says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ShareHealth {
    /// It was when it was last looked at.
    Whole,
    /// It is not. It counts as held, never as recoverable, and is never served.
    Damaged,
}

/// How a generation came to a slot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// By the Commit of this conversation.
    Committed(ConversationId),
    /// By somebody who brought a version that was signed already.
    Brought,
}

/// One version that was committed to a slot once, or that such a one was built on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HistoryEntry {
    /// The submission that made it.
    pub attempt: AttemptId,
    /// The version.
    pub version: VersionId,
    /// What it was built on.
    pub predecessor: Option<VersionId>,
    /// Its place.
    pub sequence_number: SequenceNumber,
}

/// Which of the versions that a slot remembers are asked for, up to the newest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HistoryQuery {
    /// From the first that this submission made.
    pub attempt: AttemptId,
    /// From the first of this number or above.
    pub since: Option<SequenceNumber>,
}

impl From<AttemptId> for HistoryQuery {
    fn from(attempt: AttemptId) -> Self {
        Self { attempt, since: None }
    }
}

/// What a server knows of a conversation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ConversationStatus {
    /// Being served.
    Open,
    /// Being served, and the last to seal the slot: it may still commit.
    SealedLast,
    /// It can never commit any more.
    Closed,
}

/// What must be in a slot's first generation for a write to go through.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tests {
    /// For each share, what must be there.
    pub shares: BTreeMap<ShareNumber, Expected>,
    /// Whether the generation must hold no share beyond those named.
    pub no_others: bool,
}

/// What must be there of one share.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expected {
    /// Nothing.
    Absent,
    /// The share of this version.
    Version(VersionId),
    /// A damaged share, of whatever version.
    Damaged,
}

/// Why a write was refused. A refusal changed nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// Map again: the slot is not as the writer thought.
    #[error("a test failed: the slot holds something else")]
    Conflict,
    /// Map again: the slot has seen a higher sequence number.
    #[error("the sequence number is too low for this slot")]
    Stale,
    /// Release everything, wait, try again.
    #[error("the slot is promised to another writer for {wait_ms} ms")]
    Busy {
        /// How long the promise still holds.
        wait_ms: u64,
    },
    /// Map again: another writer sealed since, or the server restarted.
    #[error("the promise is lost")]
    PromiseLost,
    /// Map again: the version is held, but newer ones came after it.
    #[error("the version is held here only as an older generation")]
    Superseded,
    /// Send whole columns.
    #[error("the base of the update is not here")]
    BaseMissing,
    /// Discard generations that were never Published, or let their writer finish.
    #[error("the slot is full of unfinished versions")]
    TooManyGenerations,
    /// The writer is at fault.
    #[error("a signature does not verify")]
    BadSignature,
    /// The writer, or the network between, is at fault.
    #[error("a block or row does not match the version's table")]
    BadShare,
    /// Use another server, or make room.
    #[error("the server has no space left")]
    NoSpace,
    /// Use another server, or raise the quota.
    #[error("the quota is used up")]
    OverQuota,
    /// Use another server.
    #[error("the server is read-only")]
    ReadOnly,
    /// Get a token.
    #[error("the token is not admitted")]
    Unauthenticated,
    /// Use larger blocks, fewer shares, or another server.
    #[error("the write is beyond the server's limits")]
    TooLarge,
    /// Use a newer server.
    #[error("the server does not know this format or feature")]
    Unsupported,
    /// Look at the server's disk.
    #[error("the server's store failed")]
    StoreFailed,
    /// Nothing to finalize here.
    #[error("the version is not held here")]
    NotHeld,
}

/// Why a read was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ReadRefusal {
    /// Map again.
    #[error("the version is no longer held")]
    VersionGone,
    /// Take another share.
    #[error("the share is not held")]
    ShareMissing,
    /// Take another share.
    #[error("the share is damaged")]
    ShareDamaged,
    /// The reader is at fault.
    #[error("the version has no such segment")]
    OutOfRange,
    /// Get a token.
    #[error("the token is not admitted")]
    Unauthenticated,
}
