//! What a caller submits, and the attempt id by which every gateway and the grid recognise it.

use std::fmt;

use tarn_client::queue::{Caller, Key, TaskId};
use tarn_proto::{StorageIndex, VersionId};

use super::names::Short;

/// A publish as a caller submits it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Submission {
    pub(super) file: StorageIndex,
    pub(super) caller: Caller,
    pub(super) key: Option<Key>,
    pub(super) after: After,
    /// Stands for the digest of what is published.
    pub(super) content: u32,
}

/// The ticket, as its caller names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum After {
    Whatever,
    Nothing,
    Version(VersionId),
    Task(TaskId),
    Key(Key),
}

/// An attempt id: what a version bears of whoever made it. The real one is a digest of this.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Attempt {
    of: Of,
    salt: u32,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Of {
    Keyed { file: StorageIndex, key: Key, after: After, content: u32 },
    Task(TaskId),
}

impl Submission {
    /// Its attempt id, as task `task`: the same on every gateway if it has a key.
    pub(super) fn attempt(&self, task: TaskId) -> Attempt {
        let of = match &self.key {
            None => Of::Task(task),
            Some(key) => Of::Keyed {
                file: self.file,
                key: key.clone(),
                after: self.after.clone(),
                content: self.content,
            },
        };
        Attempt { of, salt: 0 }
    }

    /// Whether the other, which has the same key, is this one once more, whoever submits it.
    pub(super) fn is_repeated_by(&self, other: &Self) -> bool {
        let Self { file, caller: _, key, after, content } = self;
        (file, key, after, content) == (&other.file, &other.key, &other.after, &other.content)
    }
}

impl Attempt {
    /// Another one, which nobody recognises.
    pub(super) fn salted(self, salt: u32) -> Self {
        Self { salt, ..self }
    }
}

impl fmt::Display for Submission {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} of {}", self.content, Short(self.file))?;
        if let Some(key) = &self.key {
            write!(f, " as {key}")?;
        }
        match &self.after {
            After::Whatever => Ok(()),
            After::Nothing => write!(f, " after nothing"),
            After::Version(version) => write!(f, " after {}", Short(*version)),
            After::Task(task) => write!(f, " after {}", Short(*task)),
            After::Key(key) => write!(f, " after {key}"),
        }
    }
}
