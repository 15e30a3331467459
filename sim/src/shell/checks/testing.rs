//! Versions for the checkers' own tests: real headers and signatures over no content.

use bytes::Bytes;
use ed25519_dalek::SigningKey;
use tarn_proto::hash::Digest32;
use tarn_proto::{
    AttemptId, ConversationId, Geometry, Header, HistoryEntry, Origin, SequenceNumber, Shape,
    SignedHeader, StoreId, VerifyKey, VersionId, Window,
};
use tarn_server::manifest::{Content, HistoryRecord, Manifest, StoredGeneration};

/// A version by the attempt of this number.
pub(in crate::shell) fn version(
    attempt: u8,
    number: u64,
    predecessor: Option<VersionId>,
) -> SignedHeader {
    let key = SigningKey::from_bytes(&[7; 32]);
    let shape = Shape::new(1, 1, 1).unwrap();
    let header = Header {
        tombstone: false,
        storage_index: VerifyKey::of(&key).storage_index(),
        sequence_number: SequenceNumber::new(number).unwrap(),
        predecessor,
        shape,
        geometry: Geometry::choose(shape, 0).unwrap(),
        table_root: Digest32::default(),
        attempt: AttemptId::new([attempt; 16]),
        key_check: [0; 16],
        window: Window::new(vec![StoreId::new([1; 16])]).unwrap(),
        joint: None,
    };
    SignedHeader::sign(&key, header)
}

/// A slot that holds this version.
pub(in crate::shell) fn holding(header: &SignedHeader) -> Manifest {
    Manifest {
        generations: vec![StoredGeneration {
            header: header.clone(),
            origin: Origin::Committed(ConversationId::new([1; 16])),
            table: Content::default(),
            page_roots: Bytes::new(),
            shares: [].into(),
        }],
        ..Manifest::default()
    }
}

/// A slot that once held this version.
pub(in crate::shell) fn remembering(signed: &SignedHeader) -> Manifest {
    let header = signed.header();
    let entry = HistoryEntry {
        attempt: header.attempt,
        version: signed.version(),
        predecessor: header.predecessor,
        sequence_number: header.sequence_number,
    };
    let history = [HistoryRecord { entry, committed_at: 0 }].into_iter().collect();
    Manifest { history, ..Manifest::default() }
}
