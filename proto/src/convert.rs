//! Generated messages to checked types and back: the only place where bytes from outside become nouns. Every list
//! is held to its limit before it is walked.

use std::collections::BTreeMap;

use bytes::Bytes;

use crate::header::{SignedHeader, SignedHeaderError};
use crate::ids::{IdError, SequenceNumber, ShareNumber, StorageIndex, VersionId};
use crate::known::Known;
use crate::signing::{Certificate, SigningError};
use crate::state::{
    ANCESTORS_MAX, CERTIFICATES_MAX, ConversationStatus, Expected, GENERATIONS_MAX, Generation,
    HISTORY_MAX, HistoryEntry, Origin, ReadRefusal, Refusal, ShareHealth, SlotState, Tests,
};
use crate::wire;

/// Why a message is not what it should be. Whoever sent it is at fault: a broken or lying peer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConvertError {
    /// A field that must be there is not.
    #[error("the message lacks its {0}")]
    Missing(&'static str),
    /// A list is longer than it can be.
    #[error("the message lists {got} {what}, more than {max}")]
    TooMany {
        /// What is listed.
        what: &'static str,
        /// The limit.
        max: usize,
        /// What came.
        got: usize,
    },
    /// An enum has a value not known here.
    #[error("{value} is no {what}")]
    Unknown {
        /// The enum.
        what: &'static str,
        /// The value that came.
        value: i32,
    },
    /// A share is named twice, or does not exist in its version.
    #[error("share {0} is named twice or does not exist")]
    Share(u32),
    /// An id is malformed.
    #[error(transparent)]
    Id(#[from] IdError),
    /// A key, signature or statement is bad.
    #[error(transparent)]
    Signing(#[from] SigningError),
    /// A signed header is bad.
    #[error(transparent)]
    Header(#[from] SignedHeaderError),
}

impl From<&SignedHeader> for wire::SignedHeader {
    fn from(signed: &SignedHeader) -> Self {
        Self {
            header: signed.bytes().clone(),
            verify_key: Bytes::copy_from_slice(signed.verify_key().as_bytes()),
            signature: Bytes::copy_from_slice(signed.signature().as_bytes()),
        }
    }
}

impl From<&Certificate> for wire::Certificate {
    fn from(certificate: &Certificate) -> Self {
        Self {
            sequence_number: certificate.sequence_number().get(),
            version_id: Bytes::copy_from_slice(certificate.version().as_bytes()),
            verify_key: Bytes::copy_from_slice(certificate.verify_key().as_bytes()),
            signature: Bytes::copy_from_slice(certificate.signature().as_bytes()),
        }
    }
}

impl From<&SlotState> for wire::SlotState {
    fn from(state: &SlotState) -> Self {
        Self {
            store_id: Bytes::copy_from_slice(state.store.as_bytes()),
            floor: state.floor.as_ref().map(Into::into),
            generations: state.generations.iter().map(Into::into).collect(),
            certificates: state.certificates.iter().map(Into::into).collect(),
            ancestors: state.ancestors.iter().map(Into::into).collect(),
            history: state.history.iter().map(Into::into).collect(),
            conversation: match state.conversation {
                None => wire::ConversationState::Unspecified,
                Some(ConversationStatus::Open) => wire::ConversationState::Open,
                Some(ConversationStatus::SealedLast) => wire::ConversationState::SealedLast,
                Some(ConversationStatus::Closed) => wire::ConversationState::Closed,
            }
            .into(),
            promised_ms: state.promised_ms,
        }
    }
}

impl From<&Generation> for wire::Generation {
    fn from(generation: &Generation) -> Self {
        let shares = generation.shares.iter().map(|(share, health)| wire::HeldShare {
            share: share.get().into(),
            health: match health {
                ShareHealth::Whole => wire::ShareHealth::Whole,
                ShareHealth::Damaged => wire::ShareHealth::Damaged,
            }
            .into(),
        });
        Self {
            header: Some((&generation.header).into()),
            shares: shares.collect(),
            conversation_id: match generation.origin {
                Origin::Committed(conversation) => Bytes::copy_from_slice(conversation.as_bytes()),
                Origin::Brought => Bytes::new(),
            },
        }
    }
}

impl From<&HistoryEntry> for wire::HistoryEntry {
    fn from(entry: &HistoryEntry) -> Self {
        let predecessor = entry.predecessor.map_or([0; 32], |id| *id.as_bytes());
        Self {
            attempt_id: Bytes::copy_from_slice(entry.attempt.as_bytes()),
            version_id: Bytes::copy_from_slice(entry.version.as_bytes()),
            predecessor_id: Bytes::copy_from_slice(&predecessor),
            sequence_number: entry.sequence_number.get(),
        }
    }
}

/// Verifies a slot's state: every header and certificate in it is of this file and signed.
pub fn slot_state(
    known: &Known,
    storage_index: StorageIndex,
    message: wire::SlotState,
) -> Result<SlotState, ConvertError> {
    limit("generations", GENERATIONS_MAX, message.generations.len())?;
    limit("certificates", CERTIFICATES_MAX, message.certificates.len())?;
    limit("history entries", HISTORY_MAX, message.history.len())?;
    let conversation = wire::ConversationState::try_from(message.conversation).map_err(|_| {
        ConvertError::Unknown { what: "conversation state", value: message.conversation }
    })?;
    Ok(SlotState {
        store: message.store_id.as_ref().try_into()?,
        floor: message.floor.map(|floor| known.header(storage_index, &floor)).transpose()?,
        generations: message
            .generations
            .into_iter()
            .map(|generation| self::generation(known, storage_index, generation))
            .collect::<Result<_, _>>()?,
        certificates: message
            .certificates
            .iter()
            .map(|certificate| known.certificate(storage_index, certificate))
            .collect::<Result<_, _>>()?,
        ancestors: ancestors(known, storage_index, &message.ancestors)?,
        history: message.history.iter().map(history_entry).collect::<Result<_, _>>()?,
        conversation: match conversation {
            wire::ConversationState::Unspecified => None,
            wire::ConversationState::Open => Some(ConversationStatus::Open),
            wire::ConversationState::SealedLast => Some(ConversationStatus::SealedLast),
            wire::ConversationState::Closed => Some(ConversationStatus::Closed),
        },
        promised_ms: message.promised_ms,
    })
}

/// Verifies headers of versions that others were built on.
pub fn ancestors(
    known: &Known,
    storage_index: StorageIndex,
    messages: &[wire::SignedHeader],
) -> Result<Vec<SignedHeader>, ConvertError> {
    limit("ancestors", ANCESTORS_MAX, messages.len())?;
    messages.iter().map(|message| known.header(storage_index, message)).collect()
}

fn generation(
    known: &Known,
    storage_index: StorageIndex,
    message: wire::Generation,
) -> Result<Generation, ConvertError> {
    let header = message.header.ok_or(ConvertError::Missing("header"))?;
    let header = known.header(storage_index, &header)?;
    let n = header.header().shape.n();
    limit("shares", usize::from(n), message.shares.len())?;
    let mut shares = BTreeMap::new();
    for held in message.shares {
        let health = match wire::ShareHealth::try_from(held.health) {
            Ok(wire::ShareHealth::Whole) => ShareHealth::Whole,
            Ok(wire::ShareHealth::Damaged) => ShareHealth::Damaged,
            Ok(wire::ShareHealth::Unspecified) | Err(_) => {
                return Err(ConvertError::Unknown { what: "share health", value: held.health });
            }
        };
        let share = ShareNumber::try_from(held.share)?;
        if share.get() >= n || shares.insert(share, health).is_some() {
            return Err(ConvertError::Share(held.share));
        }
    }
    let origin = match message.conversation_id.as_ref() {
        [] => Origin::Brought,
        id => Origin::Committed(id.try_into()?),
    };
    Ok(Generation { header, shares, origin })
}

fn history_entry(message: &wire::HistoryEntry) -> Result<HistoryEntry, ConvertError> {
    let predecessor = VersionId::try_from(message.predecessor_id.as_ref())?;
    Ok(HistoryEntry {
        attempt: message.attempt_id.as_ref().try_into()?,
        version: message.version_id.as_ref().try_into()?,
        predecessor: (predecessor.as_bytes() != &[0; 32]).then_some(predecessor),
        sequence_number: SequenceNumber::try_from(message.sequence_number)?,
    })
}

impl From<&Tests> for wire::Tests {
    fn from(tests: &Tests) -> Self {
        let shares = tests.shares.iter().map(|(share, expected)| wire::ShareTest {
            share: share.get().into(),
            expected: Some(match expected {
                Expected::Absent => wire::share_test::Expected::Absent(wire::Absent {}),
                Expected::Version(version) => wire::share_test::Expected::VersionId(
                    Bytes::copy_from_slice(version.as_bytes()),
                ),
                Expected::Damaged => wire::share_test::Expected::Damaged(wire::DamagedShare {}),
            }),
        });
        Self { shares: shares.collect(), no_others: tests.no_others }
    }
}

impl TryFrom<&wire::Tests> for Tests {
    type Error = ConvertError;

    fn try_from(message: &wire::Tests) -> Result<Self, ConvertError> {
        let mut shares = BTreeMap::new();
        for test in &message.shares {
            let expected = match test.expected.as_ref().ok_or(ConvertError::Missing("test"))? {
                wire::share_test::Expected::Absent(_) => Expected::Absent,
                wire::share_test::Expected::VersionId(id) => {
                    Expected::Version(VersionId::try_from(id.as_ref())?)
                }
                wire::share_test::Expected::Damaged(_) => Expected::Damaged,
            };
            if shares.insert(ShareNumber::try_from(test.share)?, expected).is_some() {
                return Err(ConvertError::Share(test.share));
            }
        }
        Ok(Self { shares, no_others: message.no_others })
    }
}

/// The shares a message lists: each once, each below n.
pub fn shares(n: u8, numbers: &[u32]) -> Result<Vec<ShareNumber>, ConvertError> {
    limit("shares", usize::from(n), numbers.len())?;
    let mut shares = Vec::with_capacity(numbers.len());
    for &number in numbers {
        let share = ShareNumber::try_from(number)?;
        if share.get() >= n || shares.contains(&share) {
            return Err(ConvertError::Share(number));
        }
        shares.push(share);
    }
    Ok(shares)
}

impl Refusal {
    /// The refusal as it travels, with the slot's state as evidence.
    pub fn to_wire(self, detail: String, state: Option<&SlotState>) -> wire::Refused {
        let (reason, wait_ms) = match self {
            Self::Conflict => (wire::Refusal::Conflict, 0),
            Self::Stale => (wire::Refusal::Stale, 0),
            Self::Busy { wait_ms } => (wire::Refusal::Busy, wait_ms),
            Self::PromiseLost => (wire::Refusal::PromiseLost, 0),
            Self::Superseded => (wire::Refusal::Superseded, 0),
            Self::BaseMissing => (wire::Refusal::BaseMissing, 0),
            Self::TooManyGenerations => (wire::Refusal::TooManyGenerations, 0),
            Self::BadSignature => (wire::Refusal::BadSignature, 0),
            Self::BadShare => (wire::Refusal::BadShare, 0),
            Self::NoSpace => (wire::Refusal::NoSpace, 0),
            Self::OverQuota => (wire::Refusal::OverQuota, 0),
            Self::ReadOnly => (wire::Refusal::ReadOnly, 0),
            Self::Unauthenticated => (wire::Refusal::Unauthenticated, 0),
            Self::TooLarge => (wire::Refusal::TooLarge, 0),
            Self::Unsupported => (wire::Refusal::Unsupported, 0),
            Self::StoreFailed => (wire::Refusal::StoreFailed, 0),
            Self::NotHeld => (wire::Refusal::NotHeld, 0),
        };
        wire::Refused { reason: reason.into(), wait_ms, detail, state: state.map(Into::into) }
    }
}

impl TryFrom<&wire::Refused> for Refusal {
    type Error = ConvertError;

    fn try_from(message: &wire::Refused) -> Result<Self, ConvertError> {
        let unknown = ConvertError::Unknown { what: "refusal", value: message.reason };
        Ok(match wire::Refusal::try_from(message.reason).map_err(|_| unknown.clone())? {
            wire::Refusal::Unspecified => return Err(unknown),
            wire::Refusal::Conflict => Self::Conflict,
            wire::Refusal::Stale => Self::Stale,
            wire::Refusal::Busy => Self::Busy { wait_ms: message.wait_ms },
            wire::Refusal::PromiseLost => Self::PromiseLost,
            wire::Refusal::Superseded => Self::Superseded,
            wire::Refusal::BaseMissing => Self::BaseMissing,
            wire::Refusal::TooManyGenerations => Self::TooManyGenerations,
            wire::Refusal::BadSignature => Self::BadSignature,
            wire::Refusal::BadShare => Self::BadShare,
            wire::Refusal::NoSpace => Self::NoSpace,
            wire::Refusal::OverQuota => Self::OverQuota,
            wire::Refusal::ReadOnly => Self::ReadOnly,
            wire::Refusal::Unauthenticated => Self::Unauthenticated,
            wire::Refusal::TooLarge => Self::TooLarge,
            wire::Refusal::Unsupported => Self::Unsupported,
            wire::Refusal::StoreFailed => Self::StoreFailed,
            wire::Refusal::NotHeld => Self::NotHeld,
        })
    }
}

impl From<ReadRefusal> for wire::ReadRefused {
    fn from(refusal: ReadRefusal) -> Self {
        let reason = match refusal {
            ReadRefusal::VersionGone => wire::ReadRefusal::VersionGone,
            ReadRefusal::ShareMissing => wire::ReadRefusal::ShareMissing,
            ReadRefusal::ShareDamaged => wire::ReadRefusal::ShareDamaged,
            ReadRefusal::OutOfRange => wire::ReadRefusal::OutOfRange,
            ReadRefusal::Unauthenticated => wire::ReadRefusal::ReadUnauthenticated,
        };
        Self { reason: reason.into() }
    }
}

impl TryFrom<&wire::ReadRefused> for ReadRefusal {
    type Error = ConvertError;

    fn try_from(message: &wire::ReadRefused) -> Result<Self, ConvertError> {
        let unknown = ConvertError::Unknown { what: "read refusal", value: message.reason };
        Ok(match wire::ReadRefusal::try_from(message.reason).map_err(|_| unknown.clone())? {
            wire::ReadRefusal::Unspecified => return Err(unknown),
            wire::ReadRefusal::VersionGone => Self::VersionGone,
            wire::ReadRefusal::ShareMissing => Self::ShareMissing,
            wire::ReadRefusal::ShareDamaged => Self::ShareDamaged,
            wire::ReadRefusal::OutOfRange => Self::OutOfRange,
            wire::ReadRefusal::ReadUnauthenticated => Self::Unauthenticated,
        })
    }
}

fn limit(what: &'static str, max: usize, got: usize) -> Result<(), ConvertError> {
    if got > max { Err(ConvertError::TooMany { what, max, got }) } else { Ok(()) }
}

#[cfg(test)]
mod tests;
