//! What was submitted, and by what name it is recognised wherever it comes again.

use std::collections::BTreeMap;

use bytes::Bytes;
use tarn_proto::hash::{Digest32, Tagged};
use tarn_proto::{AttemptId, Shape, StorageIndex, VersionId, Window};

use crate::caps::WriteCap;
use crate::queue::{Caller, Key, TaskId};

/// A publish as its caller submitted it; its content is staged.
pub(super) struct Submission {
    pub(super) task: TaskId,
    pub(super) file: StorageIndex,
    pub(super) sealed_cap: Vec<u8>,
    pub(super) attempt: AttemptId,
    pub(super) caller: Caller,
    pub(super) key: Option<Key>,
    pub(super) ticket: Named,
    pub(super) shape: Option<Shape>,
    /// How the file began, if its caller knows.
    pub(super) origin: Option<(Shape, Window)>,
    pub(super) labels: BTreeMap<String, String>,
    pub(super) content: Staged,
}

/// What a caller wants to follow, by the name the caller knows it by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Named {
    /// Whatever is there.
    Overwrite,
    /// Nothing.
    Create,
    /// This version.
    Version(VersionId),
    /// What this task makes.
    Task(TaskId),
    /// What the task with this key makes.
    Key(Key),
}

/// A content that is durable.
#[derive(Debug, Clone)]
pub(super) struct Staged {
    pub(super) length: u64,
    pub(super) sha256: [u8; 32],
    /// The content itself if it is small; else it is in the task's file.
    pub(super) inline: Option<Bytes>,
}

/// The attempt id of a submission that carries a key: the same on any gateway. `None` if it follows a task by an id that
/// only one gateway knows.
pub(super) fn keyed_attempt(
    cap: &WriteCap,
    key: &Key,
    ticket: &Named,
    content: &Staged,
) -> Option<AttemptId> {
    let (kind, name): (u8, &[u8]) = match ticket {
        Named::Overwrite => (0, &[]),
        Named::Create => (1, &[]),
        Named::Version(version) => (2, version.as_bytes()),
        Named::Key(key) => (3, key.as_bytes()),
        Named::Task(_) => return None,
    };
    let digest: Digest32 = Tagged::new("submission")
        .part(&[b"publish"])
        .part(&[&0_u64.to_be_bytes(), &content.length.to_be_bytes()])
        .part(&[&[kind], name])
        .part(&[&content.sha256])
        .finish();
    Some(cap.attempt_id_for(key.as_bytes(), &digest))
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;
    use rand_chacha::ChaCha8Rng;

    use super::*;

    #[test]
    fn whatever_differs_in_a_submission_gives_it_another_name() {
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        let cap = WriteCap::generate(&mut rng);
        let key = |name: &str| Key::new(name.as_bytes()).unwrap();
        let content = |length, byte| Staged { length, sha256: [byte; 32], inline: None };
        let name = |key: &Key, ticket: &Named, content: &Staged| {
            keyed_attempt(&cap, key, ticket, content).unwrap()
        };
        let version = |byte| Named::Version(VersionId::new([byte; 32]));
        let names = [
            name(&key("a"), &Named::Overwrite, &content(1, 1)),
            name(&key("b"), &Named::Overwrite, &content(1, 1)),
            name(&key("a"), &Named::Create, &content(1, 1)),
            name(&key("a"), &version(1), &content(1, 1)),
            name(&key("a"), &version(2), &content(1, 1)),
            name(&key("a"), &Named::Key(key("b")), &content(1, 1)),
            name(&key("a"), &Named::Overwrite, &content(2, 1)),
            name(&key("a"), &Named::Overwrite, &content(1, 2)),
        ];
        let distinct: std::collections::BTreeSet<_> = names.iter().collect();
        assert_eq!(distinct.len(), names.len());
        assert_eq!(names[0], name(&key("a"), &Named::Overwrite, &content(1, 1)));
        let by_id = Named::Task(TaskId::new([1; 16]));
        assert_eq!(keyed_attempt(&cap, &key("a"), &by_id, &content(1, 1)), None);
    }
}
