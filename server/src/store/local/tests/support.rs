//! Folders, files and manifests to tell stories with.

use std::path::Path;
use std::time::Duration;

use bytes::Bytes;
use ed25519_dalek::SigningKey;
use rand_chacha::ChaCha12Rng;
use rand_chacha::rand_core::SeedableRng;
use tarn_proto::{
    AttemptId, Certificate, ConversationId, Geometry, Header, HistoryEntry, Origin, SequenceNumber,
    Shape, ShareHealth, ShareNumber, SignedHeader, StorageIndex, StoreId, VerifyKey, VersionId,
    Window,
};
use tempfile::TempDir;

use crate::manifest::{Content, Extent, HistoryRecord, Manifest, StoredGeneration, StoredShare};
use crate::store::local::LocalStore;
use crate::store::{ChunkWriter, PinnedChunk, Store};

pub(super) fn rng(seed: u64) -> ChaCha12Rng {
    ChaCha12Rng::seed_from_u64(seed)
}

/// A folder that goes when the test does, initialised.
pub(super) fn folder() -> TempDir {
    let folder = TempDir::new().unwrap();
    LocalStore::init(folder.path(), &mut rng(0)).unwrap();
    folder
}

/// Opens with a generator that repeats the ids it drew in earlier opens.
pub(super) fn open(folder: &TempDir) -> LocalStore {
    LocalStore::open(folder.path(), 0, rng(1)).unwrap()
}

/// A connection beside the store's own.
pub(super) fn outsider(folder: &Path) -> rusqlite::Connection {
    rusqlite::Connection::open(folder.join("slots.sqlite")).unwrap()
}

pub(super) fn names(folder: &Path, below: &str) -> Vec<String> {
    let entries = std::fs::read_dir(folder.join(below)).unwrap();
    let mut names: Vec<String> =
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

/// Waits for what other threads are bound to do, however slow the machine.
pub(super) async fn until(mut holds: impl AsyncFnMut() -> bool) {
    let waiting = async {
        while !holds().await {
            tokio::task::yield_now().await;
        }
    };
    // Only so that what never comes fails a test instead of hanging it.
    tokio::time::timeout(Duration::from_secs(60), waiting).await.expect("it came");
}

/// One file, with the key that writes it.
pub(super) struct Author(SigningKey);

impl Author {
    pub(super) fn new(seed: u8) -> Self {
        Self(SigningKey::from_bytes(&[seed; 32]))
    }

    pub(super) fn slot(&self) -> StorageIndex {
        VerifyKey::of(&self.0).storage_index()
    }

    pub(super) fn header(&self, sequence_number: u64) -> SignedHeader {
        let shape = Shape::new(1, 1, 5).unwrap();
        let header = Header {
            tombstone: false,
            storage_index: self.slot(),
            sequence_number: sequence(sequence_number),
            predecessor: None,
            shape,
            geometry: Geometry::new(shape, 1, 1).unwrap(),
            table_root: [9; 32],
            attempt: AttemptId::new([3; 16]),
            key_check: [4; 16],
            window: Window::new(vec![StoreId::new([5; 16])]).unwrap(),
            joint: None,
        };
        SignedHeader::sign(&self.0, header)
    }

    pub(super) fn certificate(&self, sequence_number: u64) -> Certificate {
        let version = self.header(sequence_number).version();
        Certificate::sign(&self.0, sequence(sequence_number), version)
    }

    /// A slot with one version, whose share 0 has this content.
    pub(super) fn manifest(&self, sequence_number: u64, content: Content) -> Manifest {
        let header = self.header(sequence_number);
        Manifest {
            floor: Some(header.clone()),
            sealed: Some(sequence(sequence_number)),
            generations: vec![StoredGeneration {
                header,
                origin: Origin::Committed(ConversationId::new([6; 16])),
                table: inline(b"table"),
                page_roots: Bytes::from_static(b"roots"),
                shares: [(share(0), whole(content))].into(),
            }],
            certificates: vec![self.certificate(sequence_number)],
            ancestors: vec![self.header(sequence_number + 1)],
            history: [record(sequence_number)].into_iter().collect(),
        }
    }
}

pub(super) fn sequence(number: u64) -> SequenceNumber {
    SequenceNumber::new(number).unwrap()
}

pub(super) fn share(number: u8) -> ShareNumber {
    ShareNumber::new(number).unwrap()
}

pub(super) fn whole(content: Content) -> StoredShare {
    StoredShare { health: ShareHealth::Whole, content }
}

pub(super) fn inline(bytes: &'static [u8]) -> Content {
    Content(vec![Extent::Inline(Bytes::from_static(bytes))])
}

/// All of a chunk.
pub(super) fn in_chunk(chunk: &PinnedChunk, length: u64) -> Content {
    Content(vec![Extent::Chunk { id: chunk.id, offset: 0, length }])
}

pub(super) fn record(sequence_number: u64) -> HistoryRecord {
    HistoryRecord {
        entry: HistoryEntry {
            attempt: AttemptId::new([3; 16]),
            version: VersionId::new([7; 32]),
            predecessor: (sequence_number > 1).then_some(VersionId::new([8; 32])),
            sequence_number: sequence(sequence_number),
        },
        committed_at: 1_700_000_000 + sequence_number,
    }
}

pub(super) async fn write_chunk(store: &LocalStore, bytes: &'static [u8]) -> PinnedChunk {
    let mut chunk = store.chunk().await.unwrap();
    chunk.append(Bytes::from_static(bytes)).await.unwrap();
    chunk.finish().await.unwrap()
}
