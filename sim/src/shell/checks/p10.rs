//! P10: dropping any future at any await leaves no lock, promise, transaction, temp file or task behind. (DESIGN §10.)

use std::collections::BTreeSet;

use tarn_server::manifest::{ChunkId, Manifest};

use crate::shell::report::{Broken, Promise};
use crate::shell::world::ServerId;

const PROMISE: Promise = Promise {
    id: "P10",
    sentence: "dropping any future at any await leaves no lock, promise, transaction, temp file or \
               task behind",
};

/// Checks how many tasks live when nobody calls any more and `expected` should.
pub(in crate::shell) fn check_tasks(alive: usize, expected: usize) -> Result<(), Broken> {
    if alive == expected {
        return Ok(());
    }
    Err(PROMISE.broken(format!("{alive} tasks live where {expected} should")))
}

/// Checks what a server says of its promise for a slot when nobody writes.
pub(in crate::shell) fn check_promise(
    server: ServerId,
    promised_ms: Option<u64>,
) -> Result<(), Broken> {
    match promised_ms {
        None => Ok(()),
        Some(ms) => Err(PROMISE.broken(format!("{server} holds a promise for another {ms} ms"))),
    }
}

/// Checks that every chunk of a store is named by one of its manifests.
pub(in crate::shell) fn check_chunks(
    server: ServerId,
    chunks: &[ChunkId],
    manifests: &[Manifest],
) -> Result<(), Broken> {
    let named: BTreeSet<ChunkId> = manifests.iter().flat_map(Manifest::chunks).collect();
    let left = chunks.iter().filter(|chunk| !named.contains(chunk)).count();
    if left == 0 {
        return Ok(());
    }
    Err(PROMISE.broken(format!("{server} keeps {left} chunks that no manifest names")))
}

#[cfg(test)]
mod tests {
    use tarn_server::manifest::{Content, Extent};

    use super::super::testing::{holding, version};
    use super::*;

    #[test]
    fn a_task_too_many_is_found() {
        assert_eq!(check_tasks(3, 3), Ok(()));
        assert_eq!(check_tasks(4, 3).unwrap_err().promise, PROMISE);
    }

    #[test]
    fn a_promise_that_is_still_held_is_found() {
        assert_eq!(check_promise(ServerId(0), None), Ok(()));
        assert_eq!(check_promise(ServerId(0), Some(1)).unwrap_err().promise, PROMISE);
    }

    #[test]
    fn a_chunk_without_a_manifest_is_found() {
        let mut manifest = holding(&version(1, 1, None));
        let extent = Extent::Chunk { id: ChunkId(1), offset: 0, length: 9 };
        manifest.generations[0].table = Content(vec![extent]);
        let manifests = [manifest];
        assert_eq!(check_chunks(ServerId(0), &[ChunkId(1)], &manifests), Ok(()));
        let broken = check_chunks(ServerId(0), &[ChunkId(1), ChunkId(2)], &manifests);
        assert_eq!(broken.unwrap_err().promise, PROMISE);
    }
}
