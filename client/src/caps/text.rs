//! Caps as text: bech32m with a human-readable part per kind, over u8 suite ‖ key bytes. The only place where text
//! from outside becomes a cap.

use std::fmt;
use std::str::FromStr;

use bech32::primitives::decode::CheckedHrpstring;
use bech32::{Bech32m, ByteIterExt, Fe32IterExt, Hrp};
use tarn_proto::VerifyKey;
use tarn_proto::header::SUITE;
use zeroize::Zeroizing;

use super::{Cap, ReadCap, VerifyCap, WriteCap};

/// The kinds of cap.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CapKind {
    /// `tarnw1…`
    Write,
    /// `tarnr1…`
    Read,
    /// `tarnv1…`
    Verify,
}

impl CapKind {
    const ALL: [Self; 3] = [Self::Write, Self::Read, Self::Verify];

    /// The human-readable part, before the separator `1`.
    pub const fn prefix(self) -> &'static str {
        match self {
            Self::Write => "tarnw",
            Self::Read => "tarnr",
            Self::Verify => "tarnv",
        }
    }

    /// Bytes of key after the suite.
    const fn key_length(self) -> usize {
        match self {
            Self::Write | Self::Verify => 32,
            Self::Read => 64,
        }
    }

    fn of_prefix(prefix: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| prefix.eq_ignore_ascii_case(kind.prefix()))
    }
}

impl fmt::Display for CapKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Write => "write cap",
            Self::Read => "read cap",
            Self::Verify => "verify cap",
        })
    }
}

/// Why text is not the cap asked for. Says nothing of what the text was: it may be a secret with one letter wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CapError {
    /// Nothing was given.
    #[error("the cap is empty")]
    Empty,
    /// Some other text.
    #[error("this is not a cap: caps begin with tarnw1, tarnr1 or tarnv1")]
    NotACap,
    /// A cap that was mistyped or cut: copy it again.
    #[error("a character of the cap is wrong or missing")]
    Checksum,
    /// A good cap of another kind.
    #[error("a {expected} is needed here, this is a {got}")]
    Kind {
        /// The kind asked for.
        expected: CapKind,
        /// The kind that came.
        got: CapKind,
    },
    /// A newer tarn made it.
    #[error("the cap is of suite {suite}, which is not known here; a newer tarn may read it")]
    UnknownSuite {
        /// The suite byte.
        suite: u8,
    },
    /// Its checksum is good and its length is not: whoever wrote it wrote something else.
    #[error("a {kind} holds {expected} bytes of key, this one holds {got}")]
    Length {
        /// The kind its beginning names.
        kind: CapKind,
        /// Bytes of key such a cap has.
        expected: usize,
        /// Bytes that came.
        got: usize,
    },
    /// The verification key in it is no point of the curve, or a weak one.
    #[error("the key in the cap is not a usable one")]
    UnusableKey,
}

impl WriteCap {
    /// The cap as text, a secret.
    pub fn to_text(&self) -> Zeroizing<String> {
        encode(CapKind::Write, &[self.0.as_slice()])
    }
}

impl ReadCap {
    /// The cap as text, a secret.
    pub fn to_text(&self) -> Zeroizing<String> {
        encode(CapKind::Read, &[self.read_key.as_slice(), self.verify.verify_key().as_bytes()])
    }
}

impl VerifyCap {
    /// The cap as text.
    pub fn to_text(&self) -> Zeroizing<String> {
        encode(CapKind::Verify, &[self.verify_key().as_bytes()])
    }
}

impl Cap {
    /// The cap as text, a secret unless it is a verify cap.
    pub fn to_text(&self) -> Zeroizing<String> {
        match self {
            Self::Write(cap) => cap.to_text(),
            Self::Read(cap) => cap.to_text(),
            Self::Verify(cap) => cap.to_text(),
        }
    }

    /// The error for whoever needed another kind.
    const fn not_a(&self, expected: CapKind) -> CapError {
        CapError::Kind { expected, got: self.kind() }
    }
}

impl FromStr for Cap {
    type Err = CapError;

    /// Reads a cap of any kind. White space around it is overlooked; upper case as a whole is as good as lower.
    fn from_str(text: &str) -> Result<Self, CapError> {
        let text = text.trim();
        if text.is_empty() {
            return Err(CapError::Empty);
        }
        let (prefix, _) = text.rsplit_once('1').ok_or(CapError::NotACap)?;
        let kind = CapKind::of_prefix(prefix).ok_or(CapError::NotACap)?;
        let payload = decode(text)?;
        let (&suite, key) = payload.split_first().ok_or(CapError::Length {
            kind,
            expected: kind.key_length(),
            got: 0,
        })?;
        if suite != SUITE {
            return Err(CapError::UnknownSuite { suite });
        }
        let wrong_length = CapError::Length { kind, expected: kind.key_length(), got: key.len() };
        match kind {
            CapKind::Write => Ok(Self::Write(WriteCap(secret(key).ok_or(wrong_length)?))),
            CapKind::Read => {
                let (read_key, verify_key) = key.split_at_checked(32).ok_or(wrong_length)?;
                Ok(Self::Read(ReadCap {
                    read_key: secret(read_key).ok_or(wrong_length)?,
                    verify: verify_cap(verify_key, wrong_length)?,
                }))
            }
            CapKind::Verify => verify_cap(key, wrong_length).map(Self::Verify),
        }
    }
}

impl FromStr for WriteCap {
    type Err = CapError;

    fn from_str(text: &str) -> Result<Self, CapError> {
        match text.parse()? {
            Cap::Write(cap) => Ok(cap),
            other @ (Cap::Read(_) | Cap::Verify(_)) => Err(other.not_a(CapKind::Write)),
        }
    }
}

impl FromStr for ReadCap {
    type Err = CapError;

    /// Reads exactly a read cap; parse a [`Cap`] to take a write cap for one.
    fn from_str(text: &str) -> Result<Self, CapError> {
        match text.parse()? {
            Cap::Read(cap) => Ok(cap),
            other @ (Cap::Write(_) | Cap::Verify(_)) => Err(other.not_a(CapKind::Read)),
        }
    }
}

impl FromStr for VerifyCap {
    type Err = CapError;

    /// Reads exactly a verify cap; parse a [`Cap`] to take a stronger one for it.
    fn from_str(text: &str) -> Result<Self, CapError> {
        match text.parse()? {
            Cap::Verify(cap) => Ok(cap),
            other @ (Cap::Write(_) | Cap::Read(_)) => Err(other.not_a(CapKind::Verify)),
        }
    }
}

/// Room for the longest cap, so that a secret is never copied to a larger buffer and left behind in the smaller:
/// 5 letters, the separator, 104 digits of 65 bytes, 6 of checksum.
const TEXT_LENGTH_MAX: usize = 5 + 1 + 104 + 6;

fn encode(kind: CapKind, key: &[&[u8]]) -> Zeroizing<String> {
    let prefix = Hrp::parse_unchecked(kind.prefix());
    let payload = std::iter::once(&SUITE).chain(key.iter().copied().flatten());
    let mut text = Zeroizing::new(String::with_capacity(TEXT_LENGTH_MAX));
    text.extend(payload.copied().bytes_to_fes().with_checksum::<Bech32m>(&prefix).chars());
    text
}

/// The payload of text that begins as a cap does.
fn decode(text: &str) -> Result<Zeroizing<Vec<u8>>, CapError> {
    let checked = CheckedHrpstring::new::<Bech32m>(text).map_err(|_| CapError::Checksum)?;
    // The rule of segwit, that left-over bits are few and zero, makes a cap's text the only one for its bytes.
    checked.validate_segwit_padding().map_err(|_| CapError::Checksum)?;
    let mut payload = Zeroizing::new(Vec::with_capacity(text.len()));
    payload.extend(checked.byte_iter());
    Ok(payload)
}

fn secret(key: &[u8]) -> Option<Zeroizing<[u8; 32]>> {
    let mut secret = Zeroizing::new([0; 32]);
    if key.len() != secret.len() {
        return None;
    }
    secret.copy_from_slice(key);
    Some(secret)
}

fn verify_cap(key: &[u8], wrong_length: CapError) -> Result<VerifyCap, CapError> {
    if key.len() != 32 {
        return Err(wrong_length);
    }
    VerifyKey::parse(key).map(VerifyCap).map_err(|_| CapError::UnusableKey)
}
