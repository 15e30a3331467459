//! The one place that reads the wall clock. Everything else is told what time it is.

use std::time::{SystemTime, UNIX_EPOCH};

use tokio::time::Instant;

use crate::slot::{Millis, Now};

/// Tells the time since the server's start, and the wall clock's.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Clock {
    started: Instant,
}

impl Clock {
    /// A clock that starts now.
    pub(crate) fn start() -> Self {
        Self { started: Instant::now() }
    }

    /// The present moment.
    pub(crate) fn now(self) -> Now {
        Now { elapsed: millis(self.started.elapsed()), unix_seconds: unix_seconds() }
    }
}

/// A length of time in whole milliseconds.
pub(crate) fn millis(duration: std::time::Duration) -> Millis {
    Millis::new(u64::try_from(duration.as_millis()).unwrap_or(u64::MAX))
}

/// Zero before 1970: history is then kept longer than it need be, never shorter.
#[allow(
    clippy::disallowed_methods,
    reason = "history is forgotten by the calendar, across restarts"
)]
fn unix_seconds() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}
