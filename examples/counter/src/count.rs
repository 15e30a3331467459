//! What the counter's file holds: how often it was reset, and how often it was raised since. Counts are ordered by time.

use std::fmt;
use std::num::ParseIntError;
use std::str::FromStr;

use bytes::Bytes;

/// A state of the counter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Count {
    resets: u64,
    bumps: u64,
}

/// Why a file is no counter.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum CountError {
    #[error("it does not hold two numbers with a space between")]
    Form,
    #[error("it holds something else than numbers: {0}")]
    Number(#[from] ParseIntError),
}

impl Count {
    /// The most bytes that a file with a count has.
    pub(crate) const BYTES_MAX: u64 = 42;

    /// Raised by one.
    pub(crate) const fn bumped(self) -> Self {
        Self { bumps: self.bumps.saturating_add(1), ..self }
    }

    /// Back at zero.
    pub(crate) const fn reset(self) -> Self {
        Self { resets: self.resets.saturating_add(1), bumps: 0 }
    }

    /// What a file holds.
    pub(crate) fn read(content: &[u8]) -> Result<Self, CountError> {
        str::from_utf8(content).map_err(|_| CountError::Form)?.parse()
    }

    /// What the file is to hold.
    pub(crate) fn written(self) -> Bytes {
        format!("{self}\n").into()
    }
}

impl fmt::Display for Count {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.resets, self.bumps)
    }
}

impl FromStr for Count {
    type Err = CountError;

    fn from_str(text: &str) -> Result<Self, CountError> {
        let (resets, bumps) = text.trim_end().split_once(' ').ok_or(CountError::Form)?;
        Ok(Self { resets: resets.parse()?, bumps: bumps.parse()? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_reads_the_same() {
        for count in [Count { resets: 0, bumps: 7 }, Count { resets: u64::MAX, bumps: u64::MAX }] {
            let written = count.written();
            assert!(written.len() as u64 <= Count::BYTES_MAX);
            assert_eq!(Count::read(&written), Ok(count));
        }
        for other in ["", "1", "1 2 3", "a b", "-1 0"] {
            assert!(Count::read(other.as_bytes()).is_err(), "{other}");
        }
    }

    #[test]
    fn a_reset_is_later_than_any_bump_before_it() {
        let count = Count { resets: 1, bumps: 9 };
        assert!(count.bumped() > count && count.reset() > count.bumped());
        assert_eq!(count.reset(), Count { resets: 2, bumps: 0 });
    }
}
