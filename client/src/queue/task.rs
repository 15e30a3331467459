//! A task of the queue, and what it is called.

use std::fmt;

use tarn_proto::{StorageIndex, VersionId};

use super::action::State;
use crate::publish::Follows;
use crate::time::Millis;

/// Names a task on one gateway, forever.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TaskId([u8; 16]);

impl TaskId {
    /// The id of these bytes; drawn at random for a new task.
    pub const fn new(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    /// Its bytes.
    pub const fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }
}

impl fmt::Display for TaskId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

impl fmt::Debug for TaskId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TaskId({self})")
    }
}

impl std::str::FromStr for TaskId {
    type Err = hex::FromHexError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut bytes = [0; 16];
        hex::decode_to_slice(text, &mut bytes)?;
        Ok(Self(bytes))
    }
}

/// An idempotency key: what a caller calls a submission, unique among those of its file. 1 to [`Key::LENGTH_MAX`] bytes.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key(Box<[u8]>);

/// What cannot be a key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("an idempotency key has 1 to {max} bytes, not {length}", max = Key::LENGTH_MAX)]
pub struct KeyError {
    /// Its length, in bytes.
    pub length: usize,
}

impl Key {
    /// The longest.
    pub const LENGTH_MAX: usize = 255;

    /// The key of these bytes.
    pub fn new(bytes: &[u8]) -> Result<Self, KeyError> {
        if bytes.is_empty() || bytes.len() > Self::LENGTH_MAX {
            return Err(KeyError { length: bytes.len() });
        }
        Ok(Self(bytes.into()))
    }

    /// Its bytes.
    pub const fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0.escape_ascii())
    }
}

/// Among whom turns are taken.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Caller(pub String);

/// A task that has not ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) file: StorageIndex,
    pub(super) caller: Caller,
    pub(super) key: Option<Key>,
    /// Its place among all that ever arrived.
    pub(super) number: u64,
    pub(super) stage: Stage,
    /// Whether it was called off while it ran.
    pub(super) cancelled: bool,
}

/// Where a task is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Stage {
    /// Held for a task that has not ended.
    HeldFor(TaskId),
    /// Held for a task that has not arrived.
    Awaiting { key: Key, until: Millis },
    /// In line. `since` is the count at which it was known what it follows.
    Queued { follows: Follows, since: u64 },
    /// For the `runs`th time; `started` is the count at which this run began.
    Running { follows: Follows, started: u64, runs: u32 },
    /// Its outcome is not known; it keeps its place and is run again.
    Unsettled { follows: Follows, until: Millis, runs: u32 },
}

impl Stage {
    /// What is on record of it.
    pub(super) const fn state(&self) -> State {
        match self {
            Self::HeldFor(_) | Self::Awaiting { .. } => State::Held,
            Self::Queued { .. } => State::Queued,
            Self::Running { .. } | Self::Unsettled { .. } => State::Running,
        }
    }

    /// The version it is to follow, if it waits in line for its turn.
    pub(super) const fn queued_after(&self) -> Option<(VersionId, u64)> {
        match self {
            Self::Queued { follows: Follows::Version(version), since } => Some((*version, *since)),
            Self::Queued { follows: Follows::Whatever | Follows::Nothing, .. }
            | Self::HeldFor(_)
            | Self::Awaiting { .. }
            | Self::Running { .. }
            | Self::Unsettled { .. } => None,
        }
    }
}
