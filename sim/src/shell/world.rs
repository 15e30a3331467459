//! What every part of a run shares: the log with its virtual clock, the counts, the oracle, and the first promise that
//! was broken. Decides nothing.

use std::collections::BTreeMap;
use std::fmt::{self, Write};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;

use super::oracle::Oracle;
use super::report::Broken;

/// A server of the run, from zero.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct ServerId(pub(super) u8);

/// A process that calls servers, from zero.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct HostId(pub(super) u8);

impl fmt::Display for ServerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "s{}", self.0)
    }
}

impl fmt::Display for HostId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "c{}", self.0)
    }
}

/// What is counted for the report.
#[derive(Debug, Default)]
pub(super) struct Counts {
    pub(super) rpcs: u64,
    pub(super) connections: u64,
    pub(super) faults: BTreeMap<&'static str, u64>,
    pub(super) outcomes: BTreeMap<String, u64>,
}

#[derive(Debug, Default)]
struct State {
    log: String,
    counts: Counts,
    oracle: Oracle,
    broken: Option<Broken>,
}

/// One run's shared state.
#[derive(Debug)]
pub(super) struct World {
    began: Instant,
    state: Mutex<State>,
    /// Told when a promise was broken.
    pub(super) over: Notify,
}

impl World {
    pub(super) fn new() -> Arc<Self> {
        Arc::new(Self { began: Instant::now(), state: Mutex::default(), over: Notify::new() })
    }

    pub(super) fn elapsed(&self) -> Duration {
        self.began.elapsed()
    }

    /// Writes one line: when, who, what.
    pub(super) fn log(&self, who: impl fmt::Display, what: impl fmt::Display) {
        let at = self.elapsed();
        let log = &mut self.state().log;
        // Writing to a string does not fail.
        let _ = writeln!(log, "{:>8}.{:03} {who:<6} {what}", at.as_secs(), at.subsec_millis());
    }

    pub(super) fn count(&self, count: impl FnOnce(&mut Counts)) {
        count(&mut self.state().counts);
    }

    /// Looks at what callers were told, or adds to it.
    pub(super) fn oracle<T>(&self, use_it: impl FnOnce(&mut Oracle) -> T) -> T {
        use_it(&mut self.state().oracle)
    }

    /// Ends the run if a promise was broken. The first one stands.
    pub(super) fn require(&self, kept: Result<(), Broken>) {
        if let Err(broken) = kept {
            self.log("BROKEN", format_args!("{}: {}", broken.promise.id, broken.detail));
            self.state().broken.get_or_insert(broken);
            self.over.notify_one();
        }
    }

    /// The promise that was broken, if one was.
    pub(super) fn broken(&self) -> Option<Broken> {
        self.state().broken.clone()
    }

    pub(super) fn take_log(&self) -> String {
        std::mem::take(&mut self.state().log)
    }

    pub(super) fn take_counts(&self) -> Counts {
        std::mem::take(&mut self.state().counts)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
