//! What a run gives back: counts and a log, or the promise that was broken.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

/// A run in which every promise held.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// Calls that reached a server.
    pub rpcs: u64,
    /// Connections that were made.
    pub connections: u64,
    /// Faults that happened, by kind.
    pub faults: BTreeMap<&'static str, u64>,
    /// What callers were told, by name.
    pub outcomes: BTreeMap<String, u64>,
    /// Virtual time from the beginning to the end.
    pub elapsed: Duration,
    /// The same, from healing to when the last operation had ended.
    pub settled_in: Duration,
    /// Every outcome, arrival and fault, one a line, with the virtual time.
    pub log: String,
}

/// A promise of the design, as it is checked here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Promise {
    /// Its id in DESIGN §10.
    pub id: &'static str,
    /// What is promised.
    pub sentence: &'static str,
}

impl Promise {
    /// It was broken, in this way.
    pub(super) fn broken(self, detail: impl Into<String>) -> Broken {
        Broken { promise: self, detail: detail.into() }
    }
}

/// A broken promise, before it is known what led to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Broken {
    /// Which.
    pub promise: Promise,
    /// How.
    pub detail: String,
}

/// A run in which a promise was broken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// The promise's id.
    pub promise: &'static str,
    /// What is promised.
    pub sentence: &'static str,
    /// How it was broken.
    pub detail: String,
    /// All that led to it.
    pub log: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} broken ({}): {}", self.promise, self.sentence, self.detail)
    }
}

impl std::error::Error for Violation {}
