//! What files, versions and tasks are called here: each id says what it names, so that a story needs no table.

use std::fmt;

use tarn_client::queue::TaskId;
use tarn_proto::{StorageIndex, VersionId};

/// The file of this number.
pub(super) fn file(number: u8) -> StorageIndex {
    StorageIndex::new([number; 32])
}

/// The version at this place in the chain of a file.
pub(super) fn version(file: StorageIndex, position: u32) -> VersionId {
    let mut bytes = [0; 32];
    bytes[0] = file.as_bytes()[0];
    bytes[1..5].copy_from_slice(&position.to_be_bytes());
    VersionId::new(bytes)
}

/// The task that a gateway was the `serial`th to be asked for. What is drawn stands first: the order of ids says nothing.
pub(super) fn task(drawn: u64, gateway: u8, serial: u32) -> TaskId {
    let mut bytes = [0; 16];
    bytes[..8].copy_from_slice(&drawn.to_be_bytes());
    bytes[8] = gateway;
    bytes[12..].copy_from_slice(&serial.to_be_bytes());
    TaskId::new(bytes)
}

/// The gateway on which a task is.
pub(super) const fn gateway_of(task: TaskId) -> u8 {
    task.as_bytes()[8]
}

/// An id, for people.
pub(super) struct Short<T>(pub(super) T);

impl fmt::Display for Short<StorageIndex> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "f{}", self.0.as_bytes()[0])
    }
}

impl fmt::Display for Short<VersionId> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bytes = self.0.as_bytes();
        let position = u32::from_be_bytes([bytes[1], bytes[2], bytes[3], bytes[4]]);
        write!(f, "f{}v{position}", bytes[0])
    }
}

impl fmt::Display for Short<TaskId> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bytes = self.0.as_bytes();
        let serial = u32::from_be_bytes([bytes[12], bytes[13], bytes[14], bytes[15]]);
        write!(f, "g{}#{serial}", bytes[8])
    }
}
