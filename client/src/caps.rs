//! Capabilities: the right to write, read or verify one file, and the keys that follow from each. Does not encrypt
//! or sign anything: [`crate::encode`] and whoever makes versions do.
//!
//! ```text
//! WriteCap (W) ──▶ ReadCap (RK ‖ vk) ──▶ VerifyCap (vk) ──▶ StorageIndex
//! ```
//!
//! Every arrow goes one way only. Secrets are wiped from memory when dropped, compare in constant time, do not show
//! in `Debug`, and have no `Display`: [`WriteCap::to_text`] and [`ReadCap::to_text`] are asked for by name.

mod attempt;
mod text;

use std::fmt;

use ed25519_dalek::SigningKey;
use rand::CryptoRng;
use subtle::ConstantTimeEq;
use tarn_proto::hash::derive;
use tarn_proto::table::SALT_LENGTH;
use tarn_proto::{StorageIndex, VerifyKey};
use zeroize::Zeroizing;

pub use attempt::fresh_attempt_id;
pub use text::{CapError, CapKind};

/// Bytes of a header's key check.
pub const KEY_CHECK_LENGTH: usize = 16;

/// The right to write one file, and so to read and verify it: 32 secret bytes, from which everything follows.
#[derive(Clone)]
pub struct WriteCap(Zeroizing<[u8; 32]>);

impl WriteCap {
    /// Draws the write cap of a new file.
    pub fn generate(rng: &mut impl CryptoRng) -> Self {
        let mut secret = Zeroizing::new([0; 32]);
        rng.fill_bytes(secret.as_mut_slice());
        Self(secret)
    }

    /// The write cap of this secret.
    pub const fn from_secret(secret: Zeroizing<[u8; 32]>) -> Self {
        Self(secret)
    }

    /// The key that signs the file's versions; wiped when dropped.
    pub fn signing_key(&self) -> SigningKey {
        SigningKey::from_bytes(&derive(&self.0, "sign", &[]))
    }

    /// The right to read that follows.
    pub fn read_cap(&self) -> ReadCap {
        ReadCap { read_key: derive(&self.0, "read", &[]), verify: self.verify_cap() }
    }

    /// The right to verify that follows.
    pub fn verify_cap(&self) -> VerifyCap {
        VerifyCap(VerifyKey::of(&self.signing_key()))
    }
}

impl PartialEq for WriteCap {
    fn eq(&self, other: &Self) -> bool {
        self.0.as_slice().ct_eq(other.0.as_slice()).into()
    }
}

impl Eq for WriteCap {}

impl fmt::Debug for WriteCap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "WriteCap({:?})", self.verify_cap().storage_index())
    }
}

/// The right to read one file, and so to verify it.
#[derive(Clone)]
pub struct ReadCap {
    read_key: Zeroizing<[u8; 32]>,
    verify: VerifyCap,
}

impl ReadCap {
    /// The right to verify that follows.
    pub const fn verify_cap(&self) -> VerifyCap {
        self.verify
    }

    /// What the headers of this file carry, so that a wrong read key is noticed before anything is decrypted.
    pub fn key_check(&self) -> [u8; KEY_CHECK_LENGTH] {
        let storage_index = self.verify.storage_index();
        first(&derive(&self.read_key, "check", storage_index.as_bytes()))
    }

    /// The key under which salts are made.
    pub fn salt_key(&self) -> Zeroizing<[u8; 32]> {
        derive(&self.read_key, "salt", &[])
    }

    /// The key that encrypts the one segment of this salt.
    pub fn segment_key(&self, salt: &[u8; SALT_LENGTH]) -> Zeroizing<[u8; 32]> {
        derive(&self.read_key, "segment", salt)
    }
}

impl PartialEq for ReadCap {
    fn eq(&self, other: &Self) -> bool {
        let same_key: bool = self.read_key.as_slice().ct_eq(other.read_key.as_slice()).into();
        same_key && self.verify == other.verify
    }
}

impl Eq for ReadCap {}

impl fmt::Debug for ReadCap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ReadCap({:?})", self.verify.storage_index())
    }
}

/// The right to verify one file: enough to check and to repair it, and no secret from its servers.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct VerifyCap(VerifyKey);

impl VerifyCap {
    /// The verify cap of a file's key.
    pub const fn new(verify_key: VerifyKey) -> Self {
        Self(verify_key)
    }

    /// The key that the file's versions are signed with.
    pub const fn verify_key(&self) -> VerifyKey {
        self.0
    }

    /// The file.
    pub fn storage_index(&self) -> StorageIndex {
        self.0.storage_index()
    }
}

impl fmt::Debug for VerifyCap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "VerifyCap({:?})", self.storage_index())
    }
}

/// A cap of any kind, for those who take what they are given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Cap {
    /// May write, read and verify.
    Write(WriteCap),
    /// May read and verify.
    Read(ReadCap),
    /// May verify.
    Verify(VerifyCap),
}

impl Cap {
    /// Which kind it is.
    pub const fn kind(&self) -> CapKind {
        match self {
            Self::Write(_) => CapKind::Write,
            Self::Read(_) => CapKind::Read,
            Self::Verify(_) => CapKind::Verify,
        }
    }

    /// The right to write, if this is one.
    pub const fn write_cap(&self) -> Option<&WriteCap> {
        match self {
            Self::Write(cap) => Some(cap),
            Self::Read(_) | Self::Verify(_) => None,
        }
    }

    /// The right to read, if it follows.
    pub fn read_cap(&self) -> Option<ReadCap> {
        match self {
            Self::Write(cap) => Some(cap.read_cap()),
            Self::Read(cap) => Some(cap.clone()),
            Self::Verify(_) => None,
        }
    }

    /// The right to verify, which always follows.
    pub fn verify_cap(&self) -> VerifyCap {
        match self {
            Self::Write(cap) => cap.verify_cap(),
            Self::Read(cap) => cap.verify_cap(),
            Self::Verify(cap) => *cap,
        }
    }
}

/// The first bytes of a derived secret: DESIGN's "cut".
fn first<const N: usize>(secret: &[u8; 32]) -> [u8; N] {
    const { assert!(N <= 32) };
    std::array::from_fn(|i| secret[i])
}

#[cfg(test)]
mod tests;
