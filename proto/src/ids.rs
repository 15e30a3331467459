//! The newtypes that everything in tarn is named by. No id is ever a bare array or integer outside this file.
//!
//! Ids order and compare by their bytes; they print as lower-case hex in full ([`std::fmt::Display`]) or cut to
//! eight digits in `Debug`, which keeps logs readable.

use std::fmt;
use std::str::FromStr;

/// Why text or bytes are not an id.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum IdError {
    /// The bytes have the wrong length.
    #[error("a {kind} has {expected} bytes, got {got}")]
    Length {
        /// Which id was expected.
        kind: &'static str,
        /// Its width in bytes.
        expected: usize,
        /// The width that came.
        got: usize,
    },
    /// The text is not hex.
    #[error("a {kind} is written in hexadecimal digits")]
    NotHex {
        /// Which id was expected.
        kind: &'static str,
    },
    /// The number is outside the id's range.
    #[error("{kind} {got} is out of range ({range})")]
    OutOfRange {
        /// Which id was expected.
        kind: &'static str,
        /// The range allowed, for people.
        range: &'static str,
        /// The number that came.
        got: u64,
    },
}

macro_rules! byte_id {
    ($(#[$doc:meta])* $name:ident, $width:literal, $kind:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name([u8; $width]);

        impl $name {
            /// The id's width in bytes.
            pub const WIDTH: usize = $width;

            /// An id of these bytes.
            pub const fn new(bytes: [u8; $width]) -> Self {
                Self(bytes)
            }

            /// The id's bytes.
            pub const fn as_bytes(&self) -> &[u8; $width] {
                &self.0
            }
        }

        impl TryFrom<&[u8]> for $name {
            type Error = IdError;

            fn try_from(bytes: &[u8]) -> Result<Self, IdError> {
                bytes.try_into().map(Self).map_err(|_| IdError::Length {
                    kind: $kind,
                    expected: $width,
                    got: bytes.len(),
                })
            }
        }

        impl FromStr for $name {
            type Err = IdError;

            fn from_str(text: &str) -> Result<Self, IdError> {
                let bytes = hex::decode(text).map_err(|_| IdError::NotHex { kind: $kind })?;
                Self::try_from(bytes.as_slice())
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&hex::encode(self.0))
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}({})", stringify!($name), hex::encode(&self.0[..4]))
            }
        }
    };
}

byte_id!(
    /// Names a mutable file: the hash of its suite and verification key.
    StorageIndex, 32, "storage index"
);
byte_id!(
    /// Names one version of a file: the hash of its header.
    VersionId, 32, "version id"
);
byte_id!(
    /// Names one server's data folder. Drawn anew when a folder is initialised or restored from a copy.
    StoreId, 16, "store id"
);
byte_id!(
    /// Names one submission of a publish. A version is ours when it carries our attempt id.
    AttemptId, 16, "attempt id"
);
byte_id!(
    /// Names one test-and-write conversation with one server. Settles a lost answer.
    ConversationId, 16, "conversation id"
);

/// A share's number within its version, from 0 to n − 1; n is at most 255.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ShareNumber(u8);

impl ShareNumber {
    /// The share of this number; 255 is no share's number.
    pub const fn new(number: u8) -> Option<Self> {
        if number == u8::MAX { None } else { Some(Self(number)) }
    }

    /// The shares 0 to n − 1.
    pub fn all(n: u8) -> impl DoubleEndedIterator<Item = Self> + ExactSizeIterator + Clone {
        (0..n).map(Self)
    }

    /// The number.
    pub const fn get(self) -> u8 {
        self.0
    }

    /// The number as an index into columns.
    pub fn index(self) -> usize {
        usize::from(self.0)
    }
}

impl TryFrom<u32> for ShareNumber {
    type Error = IdError;

    fn try_from(number: u32) -> Result<Self, IdError> {
        u8::try_from(number).ok().and_then(Self::new).ok_or(IdError::OutOfRange {
            kind: "share number",
            range: "0 to 254",
            got: u64::from(number),
        })
    }
}

impl fmt::Display for ShareNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A version's place in its file's order, from 1 to 2^63 − 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SequenceNumber(u64);

impl SequenceNumber {
    /// The first version's.
    pub const FIRST: Self = Self(1);
    /// The last there can be.
    pub const LAST: Self = Self((1 << 63) - 1);

    /// The number, checked.
    pub const fn new(number: u64) -> Option<Self> {
        if number >= Self::FIRST.0 && number <= Self::LAST.0 { Some(Self(number)) } else { None }
    }

    /// The next one, unless the file is worn out.
    pub const fn next(self) -> Option<Self> {
        Self::new(self.0 + 1)
    }

    /// The number.
    pub const fn get(self) -> u64 {
        self.0
    }
}

impl TryFrom<u64> for SequenceNumber {
    type Error = IdError;

    fn try_from(number: u64) -> Result<Self, IdError> {
        Self::new(number).ok_or(IdError::OutOfRange {
            kind: "sequence number",
            range: "1 to 2^63 - 1",
            got: number,
        })
    }
}

impl fmt::Display for SequenceNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_read_back_what_they_print() {
        let id = VersionId::new([0xab; 32]);
        assert_eq!(id.to_string().parse::<VersionId>(), Ok(id));
        assert_eq!(format!("{id:?}"), "VersionId(abababab)");
    }

    #[test]
    fn wrong_widths_and_letters_are_refused() {
        assert!(matches!(
            StoreId::try_from(&[0_u8; 15][..]),
            Err(IdError::Length { expected: 16, got: 15, .. })
        ));
        assert!(matches!("zz".parse::<StoreId>(), Err(IdError::NotHex { .. })));
    }

    #[test]
    fn numbers_stay_in_their_range() {
        assert!(ShareNumber::try_from(254).is_ok());
        assert!(ShareNumber::try_from(255).is_err());
        assert!(SequenceNumber::try_from(0).is_err());
        assert!(SequenceNumber::try_from(1 << 63).is_err());
        assert_eq!(SequenceNumber::LAST.next(), None);
    }
}
