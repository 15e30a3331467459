//! The command's one look at the wall clock. Nothing decides by it; it dates rows for people.

use std::time::{SystemTime, UNIX_EPOCH};

/// Seconds since 1970, UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct UnixSeconds(u64);

impl UnixSeconds {
    /// This second of the epoch.
    pub(crate) const fn new(seconds: u64) -> Self {
        Self(seconds)
    }

    /// Now. A clock before 1970 counts as 1970.
    #[expect(clippy::disallowed_methods, reason = "this is the clock module")]
    pub(crate) fn now() -> Self {
        let since = SystemTime::now().duration_since(UNIX_EPOCH);
        Self(since.map_or(0, |duration| duration.as_secs()))
    }

    /// The time since 1970 as finely as the clock has it.
    #[expect(clippy::disallowed_methods, reason = "this is the clock module")]
    pub(crate) fn since_epoch() -> std::time::Duration {
        SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
    }

    /// The number.
    pub(crate) const fn get(self) -> u64 {
        self.0
    }

    /// Seconds from this time to `now`; zero if it is still to come.
    pub(crate) const fn age(self, now: Self) -> std::time::Duration {
        std::time::Duration::from_secs(now.0.saturating_sub(self.0))
    }
}
