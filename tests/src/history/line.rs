//! The lines of a log: JSON, one object each. Versions and contents are text here, compared and never understood.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::told::Told;

/// One line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Line {
    /// An operation is about to begin.
    Begins(Begins),
    /// An operation has ended.
    Ended(Ended),
    /// What else happened, such as a server's death, for people.
    Note(String),
}

/// The number of an operation, of its log's own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Op(pub u64);

/// What an operation is about to do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Begins {
    /// Which one it is.
    pub op: Op,
    /// Whose it is.
    pub client: String,
    /// The file that it works on.
    pub file: String,
    /// What it does.
    pub doing: Doing,
}

/// What is done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Doing {
    /// This content is published. All publishes of one content are tries of one submission.
    Publish {
        /// The content's fingerprint.
        content: String,
        /// The version that it names as the newest, if it names one.
        follows: Option<String>,
    },
    /// The file is read.
    Read,
}

/// How an operation ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ended {
    /// Which one.
    pub op: Op,
    /// What its client was told.
    pub told: Said,
}

/// What a client was told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Said {
    /// It is published.
    Published {
        /// The version's id.
        version: String,
        /// Its sequence number; none if only its id is known, and then its base is not known either.
        seqnum: Option<u64>,
        /// The version that it was built on; none for a first.
        base: Option<String>,
    },
    /// It is not published, and nothing was changed.
    Refused {
        /// The outcome's name.
        outcome: String,
        /// The other version that is there, if one was named.
        version: Option<String>,
    },
    /// It may be published or not.
    Unsettled {
        /// The outcome's name.
        outcome: String,
        /// The version that it would be.
        version: Option<String>,
        /// What that is built on.
        base: Option<String>,
    },
    /// Nothing: it was killed.
    Killed,
    /// This was read.
    Read {
        /// The fingerprint of what came.
        content: String,
        /// The version's id.
        version: String,
        /// Whether enough servers confirmed it.
        confirmed: bool,
    },
    /// It could not be read.
    Unread {
        /// Why.
        why: String,
    },
}

impl From<&Told> for Said {
    fn from(told: &Told) -> Self {
        let (outcome, version) = (told.outcome.clone(), told.version.clone());
        match outcome.as_str() {
            "published" => Self::Published {
                version: told.id().to_owned(),
                seqnum: told.seqnum,
                base: told.base.clone(),
            },
            "partial" | "unknown" => Self::Unsettled { outcome, version, base: told.base.clone() },
            _ => {
                assert!(told.error().contains("nothing was changed"), "{told:#?}");
                Self::Refused { outcome, version }
            }
        }
    }
}

impl fmt::Display for Op {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
