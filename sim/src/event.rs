//! Everything that can happen in a simulated world, as concrete values: a run is its setup and the list of these, and
//! nothing else. Whoever makes them, a seed, an exhaustive search or a file, the world does the same.

use serde::{Deserialize, Serialize};

use crate::ids::{ClientId, EnvelopeId, ServerId, Submission};

/// An event and when it happened, in milliseconds since the world began. Time never goes back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Timed {
    /// When.
    pub at: u64,
    /// What.
    #[serde(flatten)]
    pub event: Event,
}

/// Something that happened to the world. One that cannot happen to the world as it is changes nothing, so that events
/// can be left out of a trace.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Event {
    /// A caller asked for something.
    Began {
        /// Names the task; tasks are numbered as they begin.
        client: ClientId,
        /// What is to be done.
        task: Task,
    },
    /// A message reached whom it was for.
    Delivered {
        /// Which.
        envelope: EnvelopeId,
    },
    /// The network made a second copy of a message.
    Duplicated {
        /// Which.
        envelope: EnvelopeId,
    },
    /// A message was lost, and its connection broke: the client learns that no answer will come.
    Lost {
        /// Which.
        envelope: EnvelopeId,
    },
    /// An encoding pass told that a server holds it up.
    Stalled {
        /// Whose pass.
        client: ClientId,
        /// Who holds it up.
        server: ServerId,
        /// For how long already, in milliseconds.
        waited: u64,
    },
    /// A server told that it took in some bytes.
    Progressed {
        /// Whose.
        client: ClientId,
        /// The server.
        server: ServerId,
    },
    /// The source could not be encoded as it was meant.
    SourceChanged {
        /// Whose.
        client: ClientId,
        /// What became of it.
        #[serde(default, skip_serializing_if = "Edit::is_noticed")]
        how: Edit,
    },
    /// The journal could not be written.
    JournalFailed {
        /// Whose.
        client: ClientId,
    },
    /// The caller lost interest.
    CancelRequested {
        /// In which task.
        client: ClientId,
    },
    /// The client's process was killed.
    ClientKilled {
        /// Which.
        client: ClientId,
    },
    /// The disk made a server's pending change durable.
    DiskSynced {
        /// Whose.
        server: ServerId,
    },
    /// The disk failed a server's pending change.
    DiskFailed {
        /// Whose.
        server: ServerId,
        /// Whether it became durable all the same.
        kept: bool,
    },
    /// A server's process was killed, or its machine lost power.
    ServerCrashed {
        /// Which.
        server: ServerId,
        /// What became of the change that was not durable yet.
        unsynced: Fate,
    },
    /// A server's process came back on its disk.
    ServerRestarted {
        /// Which.
        server: ServerId,
    },
    /// A server lost its disk for good; an empty one with a new store id came in its place.
    ServerReplaced {
        /// Which was lost.
        server: ServerId,
    },
    /// A server's clocks jumped.
    ClockStepped {
        /// Whose.
        server: ServerId,
        /// By how much the monotonic clock went forward, in milliseconds: promises lapse.
        forward: u64,
        /// By how much the wall clock went forward or back, in seconds.
        wall: i64,
    },
    /// A share's bytes on a disk changed.
    ShareRotted {
        /// On whose disk.
        server: ServerId,
        /// Which share of the current version.
        share: u8,
    },
    /// A server began to behave otherwise.
    Turned {
        /// Which.
        server: ServerId,
        /// How it behaves now.
        manner: Manner,
    },
    /// Something happened to the network that shows only in what is lost and late; for people.
    Noted {
        /// What.
        text: String,
    },
    /// From here on nothing fails: what was begun must end.
    Healed,
}

/// What becomes of a source while it is being encoded.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Edit {
    /// It changed, and whoever reads it says so.
    #[default]
    Noticed,
    /// It changed after one pass and before another: it looks as it did, and comes out otherwise.
    BetweenPasses,
    /// It cannot be read any more.
    Unreadable,
}

impl Edit {
    const fn is_noticed(&self) -> bool {
        matches!(self, Self::Noticed)
    }
}

/// What a caller asks for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Task {
    /// Publish new content.
    Publish(PublishTask),
    /// Read the newest version.
    Read(ReadTask),
}

/// A publish.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PublishTask {
    /// Which program asks: its high-water mark is kept between tasks.
    pub caller: u8,
    /// Tries of one submission share its effect.
    pub submission: Submission,
    /// k, happy and n; none keeps those of the base.
    pub shape: Option<(u8, u8, u8)>,
    /// Bytes of content.
    pub length: u64,
    /// Whether it deletes the file.
    pub tombstone: bool,
    /// What it must follow.
    pub follows: Follow,
    /// Whether it changes a part of the version that it follows, if it follows one.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub part: bool,
    /// Whether its content can be read only once.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub once: bool,
    /// Whether the caller has only a cap, and may not begin from nothing.
    pub cap_holder: bool,
    /// A sequence number under which the same submission has sent commits long ago.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub spent: Option<u64>,
    /// The task of the same submission whose journal it found.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resumes: Option<ClientId>,
    /// Decides its conversation ids and jitter.
    pub seed: u64,
}

impl PublishTask {
    /// Bytes of the version's content.
    pub const fn content(&self) -> u64 {
        if self.tombstone { 0 } else { self.length }
    }

    /// Whether its content is gone when it has been read.
    pub const fn is_read_once(&self) -> bool {
        self.once && !self.tombstone
    }
}

/// Bytes of content that no version can have.
pub const TOO_LONG: u64 = 1 << 50;

/// A read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReadTask {
    /// Which program asks: its high-water mark is kept between tasks.
    pub caller: u8,
    /// Whether nothing unconfirmed is good enough.
    pub strict: bool,
    /// Whether the caller has only a cap.
    pub cap_holder: bool,
    /// Decides its conversation ids and jitter.
    pub seed: u64,
}

/// What a publish must follow.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Follow {
    /// Whatever is there.
    Whatever,
    /// Nothing: the file must not have a version yet.
    Nothing,
    /// The version that this task published or read; whatever is there if it did neither.
    ResultOf(ClientId),
}

/// What becomes of a change that was not durable when the power went.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Fate {
    /// It never was.
    Lost,
    /// It is there after all.
    Kept,
    /// Part of it is there: the manifest change is atomic, so it never was; bytes it was to name are garbage.
    Torn,
}

/// How a server behaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Manner {
    /// As it should.
    Honest,
    /// Its disk is full: it takes no new shares.
    Full,
    /// Its owner allows no writes.
    ReadOnly,
    /// It lies.
    Lying(Lie),
}

impl Manner {
    /// Whether it lies.
    pub const fn is_lying(self) -> bool {
        match self {
            Self::Honest | Self::Full | Self::ReadOnly => false,
            Self::Lying(_) => true,
        }
    }
}

/// A way of lying.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Lie {
    /// Says Sealed and Written to everything, and writes nothing.
    ClaimsWritten,
    /// Tells its state as it was when it began to lie.
    ServesOld,
    /// Claims to hold every share of the newest version it has heard of, and serves junk for them.
    ServesJunk,
    /// Tells a floor whose signature is not the owner's.
    ForgesFloor,
    /// Tells a certificate whose signature is not the owner's.
    ForgesCertificate,
    /// Tells a history that never was.
    InventsHistory,
    /// Answers what it was not asked.
    AnswersOutOfTurn,
}

impl Lie {
    /// All of them.
    pub const ALL: [Self; 7] = [
        Self::ClaimsWritten,
        Self::ServesOld,
        Self::ServesJunk,
        Self::ForgesFloor,
        Self::ForgesCertificate,
        Self::InventsHistory,
        Self::AnswersOutOfTurn,
    ];
}
