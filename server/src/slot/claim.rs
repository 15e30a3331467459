//! What a Seal claims, in checked form: rule 1 of a slot. The types here can only be made by verifying a signature.

use bytes::Bytes;
use tarn_proto::header::{HeaderError, version_id};
use tarn_proto::signing::Statement;
use tarn_proto::state::Tests;
use tarn_proto::{
    Header, Refusal, Signature, SignedHeader, StorageIndex, StoreId, VerifyKey, VersionId,
};

/// All that a Seal says, but for the shares themselves.
#[derive(Debug, Clone)]
pub struct Claim {
    /// The version that is to be written.
    pub header: PreparedHeader,
    /// What must be there.
    pub tests: Tests,
    /// What the Commit is to drop.
    pub discard: Option<Discard>,
    /// What the version was built on, as far as its writer says so.
    pub ancestors: Vec<SignedHeader>,
}

/// A header that its writer has prepared for one store. It is no version yet: that takes the signature that comes
/// with the Commit.
#[derive(Debug, Clone)]
pub struct PreparedHeader {
    header: Header,
    bytes: Bytes,
    version: VersionId,
    store: StoreId,
    verify_key: VerifyKey,
}

impl PreparedHeader {
    /// Checks a header that came with a prepare signature.
    pub fn verify(
        store: StoreId,
        verify_key: VerifyKey,
        bytes: Bytes,
        signature: &Signature,
    ) -> Result<Self, Refusal> {
        let header = Header::parse(&bytes).map_err(refusal_of_header)?;
        let statement = Statement::Prepare { store, header: &bytes };
        if verify_key.storage_index() != header.storage_index
            || verify_key.verify(&statement, signature).is_err()
        {
            return Err(Refusal::BadSignature);
        }
        Ok(Self { version: version_id(&bytes), header, bytes, store, verify_key })
    }

    /// A header that is signed already is prepared for every store: its writer has said more.
    pub fn of_signed(store: StoreId, signed: &SignedHeader) -> Self {
        Self {
            header: signed.header().clone(),
            bytes: signed.bytes().clone(),
            version: signed.version(),
            store,
            verify_key: signed.verify_key(),
        }
    }

    /// The signature that makes it a version.
    pub fn signed(&self, signature: Signature) -> Result<SignedHeader, Refusal> {
        SignedHeader::verify(
            self.header.storage_index,
            self.bytes.clone(),
            self.verify_key,
            signature,
        )
        .map_err(|_| Refusal::BadSignature)
    }

    /// What the version says of itself.
    pub const fn header(&self) -> &Header {
        &self.header
    }

    /// The id that the version will have.
    pub const fn version(&self) -> VersionId {
        self.version
    }

    pub(super) fn is_for(&self, store: StoreId, storage_index: StorageIndex) -> bool {
        self.store == store && self.header.storage_index == storage_index
    }
}

/// What a bad header is refused as: a newer tarn's is Unsupported, any other is its writer's fault.
pub(crate) const fn refusal_of_header(error: HeaderError) -> Refusal {
    match error {
        HeaderError::Unsupported { .. } => Refusal::Unsupported,
        HeaderError::Length(_)
        | HeaderError::Magic
        | HeaderError::SequenceNumber(_)
        | HeaderError::Shape(_)
        | HeaderError::Geometry(_)
        | HeaderError::Window(_)
        | HeaderError::TombstoneWithData
        | HeaderError::EmptyTable => Refusal::BadSignature,
    }
}

/// The writer's signed word that a Commit is to drop these generations.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Discard(Vec<VersionId>);

impl Discard {
    /// Checks a Discard that came with the Seal of `sealed`.
    pub fn verify(
        sealed: &PreparedHeader,
        versions: Vec<VersionId>,
        signature: &Signature,
    ) -> Result<Self, Refusal> {
        let statement = Statement::Discard {
            storage_index: sealed.header.storage_index,
            store: sealed.store,
            sealed: sealed.version,
            dropped: &versions,
        };
        sealed.verify_key.verify(&statement, signature).map_err(|_| Refusal::BadSignature)?;
        Ok(Self(versions))
    }

    pub(super) fn versions(&self) -> &[VersionId] {
        &self.0
    }
}
