//! The signed header of a version. The bytes that are signed are the bytes that are stored and sent; parsing them
//! checks every limit before anything is allocated on a header's word.

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use ed25519_dalek::SigningKey;

use crate::geometry::{Geometry, GeometryError, Shape, ShapeError};
use crate::hash::{Digest32, tagged};
use crate::ids::{AttemptId, SequenceNumber, StorageIndex, StoreId, VersionId};
use crate::merkle;
use crate::signing::{Signature, SigningError, Statement, VerifyKey};
use crate::window::{WINDOW_MAX, Window, WindowError};

/// The share format this crate writes and reads.
pub const FORMAT: u8 = 1;
/// The suite of primitives this crate writes and reads: Ed25519, SHA-256, AES-256-CTR.
pub const SUITE: u8 = 1;

const MAGIC: &[u8; 4] = b"TARN";
const FLAG_TOMBSTONE: u8 = 1;
const FIXED_LENGTH: usize = 8 + 32 + 8 + 32 + 2 + 2 + 2 + 4 + 8 + 32 + 16 + 16;
/// The longest header there can be, in bytes: two full windows.
pub const HEADER_LENGTH_MAX: usize = FIXED_LENGTH + 2 * (2 + WINDOW_MAX * StoreId::WIDTH);

/// What a version says of itself. Fields that could contradict each other are checked in [`Header::parse`] and by
/// their types, so that a `Header` in hand is sane.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Header {
    /// Whether this version says that the file is deleted; its length is zero then.
    pub tombstone: bool,
    /// The file.
    pub storage_index: StorageIndex,
    /// The version's place in the file's order.
    pub sequence_number: SequenceNumber,
    /// The version this one was built on; none for a first version.
    pub predecessor: Option<VersionId>,
    /// k, happy and n.
    pub shape: Shape,
    /// Length, block size and all that follows from them.
    pub geometry: Geometry,
    /// The Merkle root of the version's table.
    pub table_root: Digest32,
    /// The submission that made this version.
    pub attempt: AttemptId,
    /// Tells a reader whether its key is the right one: D(RK, "check", SI), cut.
    pub key_check: [u8; 16],
    /// The stores in which this version's quorum is counted.
    pub window: Window,
    /// The window being left, while a file moves.
    pub joint: Option<Window>,
}

/// Why bytes are not a header.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum HeaderError {
    /// The bytes end early or go on too long.
    #[error("the header is {0} bytes long, which does not fit its fields")]
    Length(usize),
    /// It does not begin as a header does.
    #[error("the bytes are not a tarn header")]
    Magic,
    /// Written by another version of tarn.
    #[error(
        "format {format}, suite {suite}, flags {flags:#04x} are not known here; a newer tarn may read them"
    )]
    Unsupported {
        /// The format byte.
        format: u8,
        /// The suite byte.
        suite: u8,
        /// The flags byte.
        flags: u8,
    },
    /// The sequence number is zero or above 2^63 − 1.
    #[error("the sequence number {0} is out of range")]
    SequenceNumber(u64),
    /// k, happy and n are out of bounds.
    #[error(transparent)]
    Shape(#[from] ShapeError),
    /// Length and block size are out of bounds.
    #[error(transparent)]
    Geometry(#[from] GeometryError),
    /// A window is out of bounds.
    #[error(transparent)]
    Window(#[from] WindowError),
    /// A deleted file has no data.
    #[error("a tombstone must have length zero")]
    TombstoneWithData,
    /// A version without rows has the root of an empty table.
    #[error("an empty version must name the empty table")]
    EmptyTable,
}

impl Header {
    /// The bytes that are signed, stored and sent.
    pub fn encode(&self) -> Bytes {
        let mut out = Vec::with_capacity(FIXED_LENGTH + 4 + 16 * self.window.stores().len());
        out.extend_from_slice(MAGIC);
        out.extend_from_slice(&[FORMAT, SUITE, if self.tombstone { FLAG_TOMBSTONE } else { 0 }, 0]);
        out.extend_from_slice(self.storage_index.as_bytes());
        out.extend_from_slice(&self.sequence_number.get().to_be_bytes());
        out.extend_from_slice(
            self.predecessor.map_or(NO_PREDECESSOR, |id| *id.as_bytes()).as_slice(),
        );
        for number in [self.shape.k(), self.shape.happy(), self.shape.n()] {
            out.extend_from_slice(&u16::from(number).to_be_bytes());
        }
        out.extend_from_slice(&self.geometry.block_size().to_be_bytes());
        out.extend_from_slice(&self.geometry.length().to_be_bytes());
        out.extend_from_slice(&self.table_root);
        out.extend_from_slice(self.attempt.as_bytes());
        out.extend_from_slice(&self.key_check);
        encode_window(&mut out, self.window.stores());
        encode_window(&mut out, self.joint.as_ref().map_or(&[], Window::stores));
        out.into()
    }

    /// Parses untrusted bytes.
    pub fn parse(bytes: &[u8]) -> Result<Self, HeaderError> {
        let mut input = Input { rest: bytes, length: bytes.len() };
        if bytes.len() > HEADER_LENGTH_MAX {
            return Err(HeaderError::Length(bytes.len()));
        }
        if input.take::<4>()? != *MAGIC {
            return Err(HeaderError::Magic);
        }
        let [format, suite, flags, zero] = input.take()?;
        if format != FORMAT || suite != SUITE || flags & !FLAG_TOMBSTONE != 0 || zero != 0 {
            return Err(HeaderError::Unsupported { format, suite, flags });
        }
        let tombstone = flags & FLAG_TOMBSTONE != 0;
        let storage_index = StorageIndex::new(input.take()?);
        let sequence_number = u64::from_be_bytes(input.take()?);
        let sequence_number = SequenceNumber::new(sequence_number)
            .ok_or(HeaderError::SequenceNumber(sequence_number))?;
        let predecessor = match input.take()? {
            NO_PREDECESSOR => None,
            id => Some(VersionId::new(id)),
        };
        let [k, happy, n] = [input.take_u16()?, input.take_u16()?, input.take_u16()?];
        let shape = Shape::new(k.into(), happy.into(), n.into())?;
        let block_size = u32::from_be_bytes(input.take()?);
        let length = u64::from_be_bytes(input.take()?);
        let geometry = Geometry::new(shape, block_size, length)?;
        let table_root = input.take()?;
        let attempt = AttemptId::new(input.take()?);
        let key_check = input.take()?;
        let window = Window::new(input.take_stores()?)?;
        let joint = match input.take_stores()? {
            none if none.is_empty() => None,
            stores => Some(Window::new(stores)?),
        };
        if !input.rest.is_empty() {
            return Err(HeaderError::Length(bytes.len()));
        }
        if tombstone && length != 0 {
            return Err(HeaderError::TombstoneWithData);
        }
        if geometry.segments() == 0 && table_root != merkle::empty_root() {
            return Err(HeaderError::EmptyTable);
        }
        Ok(Self {
            tombstone,
            storage_index,
            sequence_number,
            predecessor,
            shape,
            geometry,
            table_root,
            attempt,
            key_check,
            window,
            joint,
        })
    }
}

/// The id of the version whose header is these bytes: T("version", header).
pub fn version_id(header: &[u8]) -> VersionId {
    VersionId::new(tagged("version", &[header]))
}

/// A header with a good signature by the file's own key. It can only be made by signing or by verifying, and is
/// cheap to clone.
#[derive(Clone)]
pub struct SignedHeader(Arc<Inner>);

struct Inner {
    header: Header,
    bytes: Bytes,
    version: VersionId,
    verify_key: VerifyKey,
    signature: Signature,
}

/// Why bytes are not a signed header of the file asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SignedHeaderError {
    /// The header's bytes are bad.
    #[error(transparent)]
    Header(#[from] HeaderError),
    /// Key or signature are bad.
    #[error(transparent)]
    Signing(#[from] SigningError),
}

impl SignedHeader {
    /// Signs a header. The key must be the file's own.
    pub fn sign(key: &SigningKey, header: Header) -> Self {
        let bytes = header.encode();
        let signature = Statement::Header(&bytes).sign(key);
        Self::assemble(header, bytes, VerifyKey::of(key), signature)
    }

    /// Checks a header that came from outside: its fields, that the key belongs to `storage_index`, its signature.
    pub fn verify(
        storage_index: StorageIndex,
        bytes: Bytes,
        verify_key: VerifyKey,
        signature: Signature,
    ) -> Result<Self, SignedHeaderError> {
        let header = Header::parse(&bytes)?;
        if header.storage_index != storage_index || verify_key.storage_index() != storage_index {
            return Err(SigningError::OtherFile.into());
        }
        verify_key.verify(&Statement::Header(&bytes), &signature)?;
        Ok(Self::assemble(header, bytes, verify_key, signature))
    }

    fn assemble(header: Header, bytes: Bytes, verify_key: VerifyKey, signature: Signature) -> Self {
        let version = version_id(&bytes);
        Self(Arc::new(Inner { header, bytes, version, verify_key, signature }))
    }

    /// What the version says of itself.
    pub fn header(&self) -> &Header {
        &self.0.header
    }

    /// The signed bytes.
    pub fn bytes(&self) -> &Bytes {
        &self.0.bytes
    }

    /// The version's id.
    pub fn version(&self) -> VersionId {
        self.0.version
    }

    /// The file's key.
    pub fn verify_key(&self) -> VerifyKey {
        self.0.verify_key
    }

    /// The signature over the header.
    pub fn signature(&self) -> Signature {
        self.0.signature
    }

    /// (sequence number, version id): the order of versions. The id breaks ties for display only.
    pub fn order(&self) -> (SequenceNumber, VersionId) {
        (self.0.header.sequence_number, self.0.version)
    }
}

impl PartialEq for SignedHeader {
    fn eq(&self, other: &Self) -> bool {
        self.0.version == other.0.version
    }
}

impl Eq for SignedHeader {}

/// The place and the id say all that the bytes do, and can be read.
impl fmt::Debug for SignedHeader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let id = hex::encode(&self.0.version.as_bytes()[..8]);
        write!(f, "SignedHeader(#{} {id})", self.0.header.sequence_number.get())
    }
}

const NO_PREDECESSOR: [u8; 32] = [0; 32];

fn encode_window(out: &mut Vec<u8>, stores: &[StoreId]) {
    let count = u16::try_from(stores.len()).expect("a window names at most 511 stores");
    out.extend_from_slice(&count.to_be_bytes());
    for store in stores {
        out.extend_from_slice(store.as_bytes());
    }
}

/// Bytes being read from the front.
struct Input<'a> {
    rest: &'a [u8],
    length: usize,
}

impl Input<'_> {
    fn take<const N: usize>(&mut self) -> Result<[u8; N], HeaderError> {
        let (taken, rest) =
            self.rest.split_first_chunk::<N>().ok_or(HeaderError::Length(self.length))?;
        self.rest = rest;
        Ok(*taken)
    }

    fn take_u16(&mut self) -> Result<u16, HeaderError> {
        self.take().map(u16::from_be_bytes)
    }

    fn take_stores(&mut self) -> Result<Vec<StoreId>, HeaderError> {
        let count = usize::from(self.take_u16()?);
        if count > WINDOW_MAX {
            return Err(WindowError::Size(count).into());
        }
        (0..count).map(|_| self.take().map(StoreId::new)).collect()
    }
}

#[cfg(test)]
mod tests;
