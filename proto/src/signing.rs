//! Keys and the statements that are signed with them. Verification is strict: canonical scalars, no small-order
//! points, no batching. Does not keep signing keys: whoever holds a write cap does.

use std::fmt;

use ed25519_dalek::{Signer, SigningKey, VerifyingKey};

use crate::hash::Tagged;
use crate::header::SUITE;
use crate::ids::{SequenceNumber, StorageIndex, StoreId, VersionId};

/// Something that is signed with a file's key. Each kind begins with words of its own, so that a signature on one
/// can never be shown as a signature on another.
#[derive(Debug, Clone, Copy)]
pub enum Statement<'a> {
    /// "This is a version": makes a header a version.
    Header(&'a [u8]),
    /// "Hold this slot for this header": good for a promise on one store and nothing else.
    Prepare {
        /// The store asked for its promise.
        store: StoreId,
        /// The header's bytes.
        header: &'a [u8],
    },
    /// "This version was Published".
    Finalize {
        /// The file.
        storage_index: StorageIndex,
        /// The version's place.
        sequence_number: SequenceNumber,
        /// The version.
        version: VersionId,
    },
    /// "Drop these generations when you commit that version".
    Discard {
        /// The file.
        storage_index: StorageIndex,
        /// The store that is to drop them.
        store: StoreId,
        /// The version being sealed.
        sealed: VersionId,
        /// The generations to drop.
        dropped: &'a [VersionId],
    },
}

impl Statement<'_> {
    /// The bytes that are signed.
    pub fn message(&self) -> Vec<u8> {
        match self {
            Self::Header(header) => [b"tarn/v1/header", *header].concat(),
            Self::Prepare { store, header } => {
                [b"tarn/v1/prepare", store.as_bytes().as_slice(), header].concat()
            }
            Self::Finalize { storage_index, sequence_number, version } => [
                b"tarn/v1/finalize".as_slice(),
                storage_index.as_bytes(),
                &sequence_number.get().to_be_bytes(),
                version.as_bytes(),
            ]
            .concat(),
            Self::Discard { storage_index, store, sealed, dropped } => {
                let mut message = [
                    b"tarn/v1/discard".as_slice(),
                    storage_index.as_bytes(),
                    store.as_bytes(),
                    sealed.as_bytes(),
                ]
                .concat();
                for version in *dropped {
                    message.extend_from_slice(version.as_bytes());
                }
                message
            }
        }
    }

    /// Signs the statement. Ed25519 is deterministic: the same statement gives the same signature.
    pub fn sign(&self, key: &SigningKey) -> Signature {
        Signature(key.sign(&self.message()).to_bytes())
    }
}

/// Why a key or signature is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SigningError {
    /// Not 32 bytes, not a point of the curve, or a point of small order.
    #[error("the verification key is not a usable Ed25519 key")]
    Key,
    /// Not 64 bytes.
    #[error("a signature has 64 bytes, got {0}")]
    SignatureLength(usize),
    /// The signature does not belong to the key and statement.
    #[error("the signature does not verify")]
    Signature,
    /// The key is another file's.
    #[error("the key does not belong to this storage index")]
    OtherFile,
}

/// A file's verification key: it can check every statement made about the file, and is enough to repair it.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct VerifyKey(VerifyingKey);

impl VerifyKey {
    /// Parses a key, refusing points of small order.
    pub fn parse(bytes: &[u8]) -> Result<Self, SigningError> {
        let bytes: &[u8; 32] = bytes.try_into().map_err(|_| SigningError::Key)?;
        VerifyingKey::from_bytes(bytes)
            .ok()
            .filter(|key| !key.is_weak())
            .map(Self)
            .ok_or(SigningError::Key)
    }

    /// The key that belongs to a signing key.
    pub fn of(key: &SigningKey) -> Self {
        Self(key.verifying_key())
    }

    /// The key's bytes.
    pub fn as_bytes(&self) -> &[u8; 32] {
        self.0.as_bytes()
    }

    /// The file this key belongs to: T("storage-index", suite ‖ vk).
    pub fn storage_index(&self) -> StorageIndex {
        StorageIndex::new(Tagged::new("storage-index").part(&[&[SUITE], self.as_bytes()]).finish())
    }

    /// Checks a signature strictly.
    pub fn verify(
        &self,
        statement: &Statement<'_>,
        signature: &Signature,
    ) -> Result<(), SigningError> {
        self.0
            .verify_strict(
                &statement.message(),
                &ed25519_dalek::Signature::from_bytes(&signature.0),
            )
            .map_err(|_| SigningError::Signature)
    }
}

impl fmt::Debug for VerifyKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "VerifyKey({})", hex::encode(&self.as_bytes()[..4]))
    }
}

/// An Ed25519 signature, not yet checked against anything.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Signature([u8; 64]);

impl Signature {
    /// A signature of these bytes.
    pub const fn new(bytes: [u8; 64]) -> Self {
        Self(bytes)
    }

    /// The signature's bytes.
    pub const fn as_bytes(&self) -> &[u8; 64] {
        &self.0
    }
}

impl TryFrom<&[u8]> for Signature {
    type Error = SigningError;

    fn try_from(bytes: &[u8]) -> Result<Self, SigningError> {
        bytes.try_into().map(Self).map_err(|_| SigningError::SignatureLength(bytes.len()))
    }
}

impl fmt::Debug for Signature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Signature({})", hex::encode(&self.0[..4]))
    }
}

/// The writer's verified word that a version was Published.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Certificate {
    sequence_number: SequenceNumber,
    version: VersionId,
    verify_key: VerifyKey,
    signature: Signature,
}

impl Certificate {
    /// Signs that `version` was Published.
    pub fn sign(key: &SigningKey, sequence_number: SequenceNumber, version: VersionId) -> Self {
        let verify_key = VerifyKey::of(key);
        let storage_index = verify_key.storage_index();
        let signature = Statement::Finalize { storage_index, sequence_number, version }.sign(key);
        Self { sequence_number, version, verify_key, signature }
    }

    /// Checks a certificate that came from outside against the file it is to be about.
    pub fn verify(
        storage_index: StorageIndex,
        sequence_number: SequenceNumber,
        version: VersionId,
        verify_key: VerifyKey,
        signature: Signature,
    ) -> Result<Self, SigningError> {
        if verify_key.storage_index() != storage_index {
            return Err(SigningError::OtherFile);
        }
        verify_key
            .verify(&Statement::Finalize { storage_index, sequence_number, version }, &signature)?;
        Ok(Self { sequence_number, version, verify_key, signature })
    }

    /// The version's place in the file's order.
    pub const fn sequence_number(&self) -> SequenceNumber {
        self.sequence_number
    }

    /// The version that was Published.
    pub const fn version(&self) -> VersionId {
        self.version
    }

    /// The file's key.
    pub const fn verify_key(&self) -> VerifyKey {
        self.verify_key
    }

    /// The signature.
    pub const fn signature(&self) -> Signature {
        self.signature
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_small_order_key_is_refused() {
        let mut identity = [0_u8; 32];
        identity[0] = 1;
        assert_eq!(VerifyKey::parse(&identity), Err(SigningError::Key));
        assert_eq!(VerifyKey::parse(&[0; 31]), Err(SigningError::Key));
    }

    #[test]
    fn a_signature_on_one_kind_is_none_on_another() {
        let key = SigningKey::from_bytes(&[7; 32]);
        let vk = VerifyKey::of(&key);
        let store = StoreId::new([1; 16]);
        let prepared = Statement::Prepare { store, header: b"header" }.sign(&key);
        let other = Statement::Prepare { store: StoreId::new([2; 16]), header: b"header" };
        assert!(vk.verify(&Statement::Prepare { store, header: b"header" }, &prepared).is_ok());
        assert_eq!(vk.verify(&other, &prepared), Err(SigningError::Signature));
        assert_eq!(
            vk.verify(&Statement::Header(b"header"), &prepared),
            Err(SigningError::Signature)
        );
    }

    #[test]
    fn a_certificate_is_about_one_file_and_version() {
        let key = SigningKey::from_bytes(&[7; 32]);
        let version = VersionId::new([9; 32]);
        let made = Certificate::sign(&key, SequenceNumber::FIRST, version);
        let si = VerifyKey::of(&key).storage_index();
        let again = |si, version| {
            Certificate::verify(
                si,
                SequenceNumber::FIRST,
                version,
                made.verify_key(),
                made.signature(),
            )
        };
        assert_eq!(again(si, version), Ok(made));
        assert_eq!(again(si, VersionId::new([8; 32])), Err(SigningError::Signature));
        assert_eq!(again(StorageIndex::new([0; 32]), version), Err(SigningError::OtherFile));
    }
}
