//! Submissions and decisions for tests.

use std::collections::BTreeSet;

use bytes::Bytes;
use ed25519_dalek::SigningKey;
use tarn_proto::{
    AttemptId, Geometry, Header, Shape, SignedHeader, StorageIndex, StoreId, VersionId, Window,
};

use super::submission::{Named, Staged, Submission};
use super::tasks::Journalled;
use crate::queue::{Caller, Key, TaskId};

pub(super) const FILE: StorageIndex = StorageIndex::new([7; 32]);

pub(super) fn task(number: u8) -> TaskId {
    TaskId::new([number; 16])
}

pub(super) fn version(number: u8) -> VersionId {
    VersionId::new([number; 32])
}

/// The publish of five bytes in [`FILE`], on top of the version of the same number.
pub(super) fn submission(number: u8, key: Option<&str>) -> Submission {
    Submission {
        task: task(number),
        file: FILE,
        sealed_cap: vec![number; 80],
        attempt: AttemptId::new([number; 16]),
        caller: Caller("ann".to_owned()),
        key: key.map(|key| Key::new(key.as_bytes()).unwrap()),
        ticket: Named::Version(version(number)),
        shape: Shape::new(2, 3, 4).ok(),
        origin: None,
        labels: [("of".to_owned(), "a test".to_owned())].into(),
        content: Staged {
            length: 5,
            sha256: [number; 32],
            inline: Some(Bytes::from_static(b"hello")),
        },
    }
}

/// An empty first version that is about to be committed on one server.
pub(super) fn decision() -> Journalled {
    let shape = Shape::new(1, 1, 1).unwrap();
    let store = StoreId::new([1; 16]);
    let header = Header {
        tombstone: false,
        storage_index: FILE,
        sequence_number: 1.try_into().unwrap(),
        predecessor: None,
        shape,
        geometry: Geometry::new(shape, 1, 0).unwrap(),
        table_root: tarn_proto::merkle::empty_root(),
        attempt: AttemptId::new([1; 16]),
        key_check: [0; 16],
        window: Window::new(vec![store]).unwrap(),
        joint: None,
    };
    let header = SignedHeader::sign(&SigningKey::from_bytes(&[1; 32]), header);
    Journalled { header, servers: BTreeSet::from([store]) }
}
