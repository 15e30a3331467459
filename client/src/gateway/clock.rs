//! The wall clock, read here and nowhere else in the gateway.

/// Milliseconds since 1970, for people and for what expires.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct UnixMillis(pub(super) u64);

impl UnixMillis {
    #[allow(clippy::disallowed_methods, reason = "the one place that reads the wall clock")]
    pub(super) fn now() -> Self {
        let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
        Self(since.map_or(0, |since| u64::try_from(since.as_millis()).unwrap_or(u64::MAX)))
    }

    /// So much earlier.
    pub(super) fn before(self, age: std::time::Duration) -> Self {
        Self(self.0.saturating_sub(u64::try_from(age.as_millis()).unwrap_or(u64::MAX)))
    }
}

/// The same for whoever hedges randomness with it.
impl From<UnixMillis> for std::time::Duration {
    fn from(time: UnixMillis) -> Self {
        Self::from_millis(time.0)
    }
}
