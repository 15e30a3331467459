//! What the memory engine promises, crashes included.

use futures::FutureExt;
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

use super::*;
use crate::manifest::{StoredGeneration, StoredShare};
use crate::testing::{STORE, Writer, inline, share};

fn store(seed: u64) -> MemoryStore {
    MemoryStore::new(STORE, 1 << 20, ChaCha8Rng::seed_from_u64(seed))
}

fn slot() -> StorageIndex {
    Writer::new(7).storage_index()
}

/// A manifest whose one share lies in this chunk.
fn naming(chunk: ChunkId, length: u64) -> Manifest {
    let version = Writer::new(7).version(1, 1, None);
    let content = Content(vec![Extent::Chunk { id: chunk, offset: 0, length }]);
    Manifest {
        generations: vec![StoredGeneration {
            header: version.signed,
            origin: tarn_proto::Origin::Brought,
            table: inline(Bytes::new()),
            page_roots: Bytes::new(),
            shares: [(share(0), StoredShare::whole(content))].into(),
        }],
        ..Manifest::default()
    }
}

async fn chunk(store: &MemoryStore, bytes: &'static [u8]) -> PinnedChunk {
    let mut writer = store.chunk().await.unwrap();
    writer.append(bytes.into()).await.unwrap();
    writer.finish().await.unwrap()
}

#[tokio::test]
async fn a_manifest_is_replaced_under_its_revision_only() {
    let store = store(1);
    assert!(store.load(slot()).await.unwrap().is_none());
    let first = store.replace(slot(), None, Manifest::default()).await.unwrap();
    let again = store.replace(slot(), None, Manifest::default()).await;
    assert!(matches!(again, Err(StoreError::Changed)));
    let second = store.replace(slot(), Some(first), Manifest::default()).await.unwrap();
    assert!(second > first);
    let (_, revision) = store.load(slot()).await.unwrap().unwrap();
    assert_eq!(revision, second);
}

#[tokio::test]
async fn a_chunk_lives_while_it_is_pinned_or_named() {
    let store = store(1);
    let PinnedChunk { id, pin } = chunk(&store, b"abcdef").await;
    let named = naming(id, 6);
    let content = named.generations[0].shares[&share(0)].content.clone();
    let revision = store.replace(slot(), None, named).await.unwrap();
    drop(pin);
    assert_eq!(store.read(&content, 2, 3).await.unwrap(), "cde");
    store.replace(slot(), Some(revision), Manifest::default()).await.unwrap();
    assert_eq!(store.chunks(), []);
    assert!(matches!(store.read(&content, 2, 3).await, Err(StoreError::Damaged)));
}

#[tokio::test]
async fn a_chunk_that_is_pinned_outlives_the_manifest_that_named_it() {
    let store = store(1);
    let PinnedChunk { id, pin: first } = chunk(&store, b"abc").await;
    let revision = store.replace(slot(), None, naming(id, 3)).await.unwrap();
    drop(first);
    let pins = [1, 2].map(|_| store.pin(&BTreeSet::from([id, ChunkId(99)])));
    store.replace(slot(), Some(revision), Manifest::default()).await.unwrap();
    for pin in pins {
        assert_eq!(store.chunks(), [id]);
        drop(pin);
    }
    assert_eq!(store.chunks(), []);
}

#[tokio::test]
async fn a_pin_from_before_a_crash_keeps_nothing_and_takes_nothing_from_one_after_it() {
    let store = store(1);
    let PinnedChunk { id, pin: first } = chunk(&store, b"abc").await;
    let revision = store.replace(slot(), None, naming(id, 3)).await.unwrap();
    let before = store.pin(&BTreeSet::from([id]));
    store.crash();
    let after = store.pin(&BTreeSet::from([id]));
    store.replace(slot(), Some(revision), Manifest::default()).await.unwrap();
    drop((first, before));
    assert_eq!(store.chunks(), [id]);
    drop(after);
    assert_eq!(store.chunks(), []);
}

#[tokio::test]
async fn a_chunk_that_nobody_names_goes_with_its_pin_or_writer() {
    let store = store(1);
    drop(chunk(&store, b"abc").await);
    let mut writer = store.chunk().await.unwrap();
    writer.append("abc".into()).await.unwrap();
    drop(writer);
    assert_eq!(store.chunks(), []);
}

#[tokio::test]
async fn reading_spans_extents_and_stops_at_the_end() {
    let store = store(1);
    let pinned = chunk(&store, b"0123456789").await;
    let content = Content(vec![
        Extent::Inline("ab".into()),
        Extent::Chunk { id: pinned.id, offset: 3, length: 4 },
        Extent::Inline("yz".into()),
    ]);
    assert_eq!(store.read(&content, 0, 8).await.unwrap(), "ab3456yz");
    assert_eq!(store.read(&content, 1, 4).await.unwrap(), "b345");
    assert_eq!(store.read(&content, 8, 0).await.unwrap(), "");
    for (offset, length) in [(1, 8), (9, 0), (u64::MAX, 1)] {
        let past = store.read(&content, offset, length).await;
        assert!(matches!(past, Err(StoreError::Damaged)));
    }
}

#[tokio::test]
async fn a_change_that_was_answered_survives_every_crash() {
    for seed in 0..20 {
        let store = store(seed);
        let pinned = chunk(&store, b"abc").await;
        let manifest = naming(pinned.id, 3);
        store.replace(slot(), None, manifest.clone()).await.unwrap();
        store.crash();
        let (found, _) = store.load(slot()).await.unwrap().unwrap();
        assert_eq!(found, manifest);
        assert_eq!(store.chunks(), [pinned.id]);
    }
}

#[tokio::test]
async fn a_change_that_was_not_answered_is_lost_or_kept_by_the_seed() {
    let mut outcomes = [0; 2];
    for seed in 0..64 {
        let store = store(seed);
        let mut change = Box::pin(store.replace(slot(), None, Manifest::default()));
        assert!(change.as_mut().now_or_never().is_none());
        store.crash();
        let kept = store.load(slot()).await.unwrap().is_some();
        assert_eq!(change.await.is_ok(), kept);
        outcomes[usize::from(kept)] += 1;
    }
    assert!(outcomes[0] > 0 && outcomes[1] > 0);
}

#[tokio::test]
async fn a_change_whose_caller_is_gone_is_made_all_the_same() {
    let store = store(1);
    let mut change = Box::pin(store.replace(slot(), None, Manifest::default()));
    assert!(change.as_mut().now_or_never().is_none());
    drop(change);
    assert!(store.load(slot()).await.unwrap().is_some());
}

#[tokio::test]
async fn what_was_begun_before_a_crash_fails_after_it() {
    let store = store(1);
    let mut writer = store.chunk().await.unwrap();
    let before = chunk(&store, b"abc").await;
    store.crash();
    assert!(writer.append("abc".into()).await.is_err());
    assert!(writer.finish().await.is_err());
    let after = chunk(&store, b"abc").await;
    drop(before);
    assert_eq!(store.chunks(), [after.id]);
}

#[tokio::test]
async fn a_torn_chunk_that_a_manifest_names_reads_as_damaged() {
    let mut lengths = BTreeSet::new();
    for seed in 0..64 {
        let store = store(seed);
        let mut writer = store.chunk().await.unwrap();
        writer.append("abcdef".into()).await.unwrap();
        let id = store.chunks()[0];
        // No server does this: it names a chunk it has not finished.
        let named = naming(id, 6);
        let content = named.generations[0].shares[&share(0)].content.clone();
        store.replace(slot(), None, named).await.unwrap();
        store.crash();
        let readable = (0..=6).rev().find(|&length| {
            let read = store.read(&content, 0, length).now_or_never();
            read.is_some_and(|read| read.is_ok())
        });
        lengths.insert(readable);
    }
    assert!(lengths.contains(&Some(0)) && lengths.contains(&Some(6)) && lengths.len() > 2);
}

#[tokio::test]
async fn a_held_change_waits_and_is_made_when_let_go() {
    let store = store(1);
    let hold = store.hold_changes();
    let waiting = tokio::spawn({
        let store = store.clone();
        async move { store.replace(slot(), None, Manifest::default()).await }
    });
    while store.changes_begun() == 0 {
        tokio::task::yield_now().await;
    }
    assert!(store.load(slot()).await.unwrap().is_none());
    drop(hold);
    assert!(waiting.await.unwrap().is_ok());
}

#[tokio::test]
async fn a_full_disk_takes_no_more() {
    let store = MemoryStore::new(STORE, 4, ChaCha8Rng::seed_from_u64(1));
    let mut writer = store.chunk().await.unwrap();
    writer.append("abc".into()).await.unwrap();
    assert_eq!(store.space().await.unwrap(), Space { free_bytes: 1 });
    let refused = writer.append("de".into()).await;
    assert!(matches!(refused, Err(StoreError::NoSpace)));
}

#[tokio::test]
async fn an_operation_fails_once_when_told_to() {
    let store = store(1);
    store.fail_next(Operation::Replace);
    assert!(store.replace(slot(), None, Manifest::default()).await.is_err());
    assert!(store.replace(slot(), None, Manifest::default()).await.is_ok());
}
