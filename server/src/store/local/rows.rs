//! A manifest as the rows it is stored in. Pure: rows in, a checked [`Manifest`] out, and back. Does not know SQL.
//!
//! Rows come from a disk and may hold anything. [`ManifestRows::parse`] verifies every header and certificate again,
//! so that a manifest in hand is as trustworthy as one that came over the wire.

mod generation;

use bytes::Bytes;
use tarn_proto::header::SignedHeaderError;
use tarn_proto::ids::IdError;
use tarn_proto::signing::SigningError;
use tarn_proto::{
    AttemptId, Certificate, HistoryEntry, SequenceNumber, Signature, SignedHeader, StorageIndex,
    VerifyKey, VersionId,
};

pub use self::generation::{ExtentRow, GenerationRow, ShareRow, TABLE};
use crate::manifest::{ChunkId, HistoryRecord, Manifest};

/// All rows of one slot, in stored order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ManifestRows {
    /// The floor.
    pub floor: Option<HeaderRow>,
    /// The highest sequence number ever sealed.
    pub sealed: Option<i64>,
    /// The generations, newest first.
    pub generations: Vec<GenerationRow>,
    /// The certificates.
    pub certificates: Vec<CertificateRow>,
    /// What was built on and is not held, ascending.
    pub ancestors: Vec<HeaderRow>,
    /// The history, ascending.
    pub history: Vec<HistoryRow>,
}

/// A signed header.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HeaderRow {
    /// The signed bytes.
    pub header: Bytes,
    /// The file's key.
    pub verify_key: Bytes,
    /// The signature.
    pub signature: Bytes,
}

/// A certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CertificateRow {
    /// The version's place.
    pub sequence_number: i64,
    /// The version.
    pub version: Bytes,
    /// The file's key.
    pub verify_key: Bytes,
    /// The signature.
    pub signature: Bytes,
}

/// A record of the history.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HistoryRow {
    /// The submission.
    pub attempt: Bytes,
    /// The version.
    pub version: Bytes,
    /// What it was built on.
    pub predecessor: Option<Bytes>,
    /// Its place.
    pub sequence_number: i64,
    /// When, in seconds since the Unix epoch.
    pub committed_at: i64,
}

/// Why rows are not a manifest, or a manifest cannot become rows.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RowError {
    /// A header does not verify.
    #[error(transparent)]
    Header(#[from] SignedHeaderError),
    /// A key or certificate does not verify.
    #[error(transparent)]
    Signing(#[from] SigningError),
    /// An id is malformed.
    #[error(transparent)]
    Id(#[from] IdError),
    /// A number does not fit its field.
    #[error("{field} {got} is out of range")]
    Range {
        /// Which field.
        field: &'static str,
        /// The number.
        got: i128,
    },
    /// A share stands twice, does not exist in its version, or has extents but no row.
    #[error("share {0} is repeated, missing or beyond its version")]
    Share(i64),
    /// An extent is neither inline nor in a chunk, or is both, or is too long to be inline.
    #[error("an extent is neither inline nor in a chunk")]
    Extent,
}

impl ManifestRows {
    /// The rows of a slot's manifest. Refuses what [`ManifestRows::parse`] would not give back.
    pub fn of(slot: StorageIndex, manifest: &Manifest) -> Result<Self, RowError> {
        let history = manifest.history.iter().map(HistoryRow::of).collect::<Result<_, _>>()?;
        Ok(Self { history, ..Self::without_history(slot, manifest)? })
    }

    /// All of them but those of the history, of which whoever writes them needs only what changed.
    pub(super) fn without_history(
        slot: StorageIndex,
        manifest: &Manifest,
    ) -> Result<Self, RowError> {
        let floor = manifest.floor.as_ref();
        let generations = manifest.generations.iter();
        let certificates = manifest.certificates.iter();
        Ok(Self {
            floor: floor.map(|floor| HeaderRow::of(slot, floor)).transpose()?,
            sealed: manifest.sealed.map(narrow_sequence).transpose()?,
            generations: generations
                .map(|generation| GenerationRow::of(slot, generation))
                .collect::<Result<_, _>>()?,
            certificates: certificates
                .map(|certificate| CertificateRow::of(slot, certificate))
                .collect::<Result<_, _>>()?,
            ancestors: manifest
                .ancestors
                .iter()
                .map(|header| HeaderRow::of(slot, header))
                .collect::<Result<_, _>>()?,
            history: Vec::new(),
        })
    }

    /// Checks the rows of a slot, signatures included.
    pub fn parse(self, slot: StorageIndex) -> Result<Manifest, RowError> {
        let mut generations = Vec::with_capacity(self.generations.len());
        let mut floor = None;
        for row in self.generations {
            let is_floor = self.floor.as_ref() == Some(&row.header);
            let generation = row.parse(slot)?;
            if is_floor {
                floor = Some(generation.header.clone());
            }
            generations.push(generation);
        }
        if floor.is_none() {
            floor = self.floor.map(|row| row.parse(slot)).transpose()?;
        }
        Ok(Manifest {
            floor,
            sealed: self.sealed.map(widen_sequence).transpose()?,
            generations,
            certificates: self
                .certificates
                .iter()
                .map(|row| row.parse(slot))
                .collect::<Result<_, _>>()?,
            ancestors: self
                .ancestors
                .into_iter()
                .map(|row| row.parse(slot))
                .collect::<Result<_, _>>()?,
            history: self.history.iter().map(HistoryRow::parse).collect::<Result<_, _>>()?,
        })
    }

    /// About how many bytes of memory they take.
    pub fn weight(&self) -> u64 {
        let header = |row: &HeaderRow| size_of::<HeaderRow>() + row.header.len();
        let inline = |row: &ExtentRow| row.inline.as_ref().map_or(0, Bytes::len);
        let extent = |row: &ExtentRow| size_of::<ExtentRow>() + inline(row);
        let generation = |row: &GenerationRow| {
            header(&row.header) + row.extents.iter().map(extent).sum::<usize>()
        };
        let headers = self.floor.iter().chain(&self.ancestors).map(header).sum::<usize>();
        let generations = self.generations.iter().map(generation).sum::<usize>();
        let records = size_of_val(&*self.certificates) + size_of_val(&*self.history);
        (headers + generations + records) as u64
    }

    /// The ids in the chunk column, well-formed ones only.
    pub fn chunks(&self) -> impl Iterator<Item = ChunkId> {
        let extents = self.generations.iter().flat_map(|row| &row.extents);
        extents.filter_map(|row| chunk_id(row.chunk.as_deref()?))
    }
}

impl HeaderRow {
    fn of(slot: StorageIndex, signed: &SignedHeader) -> Result<Self, RowError> {
        if signed.header().storage_index != slot {
            return Err(SigningError::OtherFile.into());
        }
        Ok(Self {
            header: signed.bytes().clone(),
            verify_key: Bytes::copy_from_slice(signed.verify_key().as_bytes()),
            signature: Bytes::copy_from_slice(signed.signature().as_bytes()),
        })
    }

    fn parse(self, slot: StorageIndex) -> Result<SignedHeader, RowError> {
        let verify_key = VerifyKey::parse(&self.verify_key)?;
        let signature = Signature::try_from(self.signature.as_ref())?;
        let signed = SignedHeader::verify(slot, self.header, verify_key, signature)?;
        Ok(signed)
    }
}

impl CertificateRow {
    fn of(slot: StorageIndex, certificate: &Certificate) -> Result<Self, RowError> {
        if certificate.verify_key().storage_index() != slot {
            return Err(SigningError::OtherFile.into());
        }
        Ok(Self {
            sequence_number: narrow_sequence(certificate.sequence_number())?,
            version: Bytes::copy_from_slice(certificate.version().as_bytes()),
            verify_key: Bytes::copy_from_slice(certificate.verify_key().as_bytes()),
            signature: Bytes::copy_from_slice(certificate.signature().as_bytes()),
        })
    }

    fn parse(&self, slot: StorageIndex) -> Result<Certificate, RowError> {
        Ok(Certificate::verify(
            slot,
            widen_sequence(self.sequence_number)?,
            VersionId::try_from(self.version.as_ref())?,
            VerifyKey::parse(&self.verify_key)?,
            Signature::try_from(self.signature.as_ref())?,
        )?)
    }
}

impl HistoryRow {
    pub(super) fn of(record: &HistoryRecord) -> Result<Self, RowError> {
        let entry = &record.entry;
        let predecessor = entry.predecessor;
        Ok(Self {
            attempt: Bytes::copy_from_slice(entry.attempt.as_bytes()),
            version: Bytes::copy_from_slice(entry.version.as_bytes()),
            predecessor: predecessor.map(|id| Bytes::copy_from_slice(id.as_bytes())),
            sequence_number: narrow_sequence(entry.sequence_number)?,
            committed_at: narrow("commit time", record.committed_at)?,
        })
    }

    pub(super) fn parse(&self) -> Result<HistoryRecord, RowError> {
        let predecessor = self.predecessor.as_deref();
        Ok(HistoryRecord {
            entry: HistoryEntry {
                attempt: AttemptId::try_from(self.attempt.as_ref())?,
                version: VersionId::try_from(self.version.as_ref())?,
                predecessor: predecessor.map(VersionId::try_from).transpose()?,
                sequence_number: widen_sequence(self.sequence_number)?,
            },
            committed_at: widen("commit time", self.committed_at)?,
        })
    }
}

fn chunk_id(bytes: &[u8]) -> Option<ChunkId> {
    bytes.try_into().ok().map(u128::from_be_bytes).map(ChunkId)
}

fn narrow_sequence(number: SequenceNumber) -> Result<i64, RowError> {
    narrow("sequence number", number.get())
}

fn widen_sequence(number: i64) -> Result<SequenceNumber, RowError> {
    Ok(SequenceNumber::try_from(widen("sequence number", number)?)?)
}

/// SQLite's integers are signed.
fn narrow(field: &'static str, number: u64) -> Result<i64, RowError> {
    i64::try_from(number).map_err(|_| RowError::Range { field, got: number.into() })
}

fn widen(field: &'static str, number: i64) -> Result<u64, RowError> {
    u64::try_from(number).map_err(|_| RowError::Range { field, got: number.into() })
}
