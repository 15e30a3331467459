//! Time as the slot sees it: numbers given in, never a clock.

/// Milliseconds: a length of time, or a moment counted from the server's start on a clock that only goes forward.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Millis(u64);

impl Millis {
    /// So many milliseconds.
    pub const fn new(milliseconds: u64) -> Self {
        Self(milliseconds)
    }

    /// How many.
    pub const fn get(self) -> u64 {
        self.0
    }

    /// The moment that much later.
    #[must_use]
    pub const fn plus(self, length: Self) -> Self {
        Self(self.0.saturating_add(length.0))
    }

    /// How long this moment is after `now`; none when it has come.
    pub const fn after(self, now: Self) -> Option<Self> {
        match self.0.checked_sub(now.0) {
            None | Some(0) => None,
            Some(rest) => Some(Self(rest)),
        }
    }
}

/// The moment at which a request is judged.
#[derive(Debug, Clone, Copy)]
pub struct Now {
    /// Since the server's start. Promises run on it.
    pub elapsed: Millis,
    /// Seconds since the Unix epoch by the server's wall clock. Only decides when history may be forgotten.
    pub unix_seconds: u64,
}
