//! Writing, pinning, reading and losing chunks.

use std::fs::{self, OpenOptions};

use bytes::Bytes;
use futures::{FutureExt, poll};
use tempfile::TempDir;

use super::support::{
    Author, folder, in_chunk, inline, names, open, outsider, share, whole, write_chunk,
};
use crate::manifest::{ChunkId, Content, Extent, Manifest};
use crate::store::local::LocalStore;
use crate::store::{ChunkWriter, Store, StoreError};

/// Ends the store, and with it all deleting that was asked for, and lists what is left.
fn left_after(store: LocalStore, folder: &TempDir) -> (usize, usize) {
    drop(store);
    let count = |below| names(folder.path(), below).len();
    (count("staging"), count("chunks"))
}

#[tokio::test]
async fn a_chunk_holds_what_was_appended_in_small_and_large_pieces() {
    let folder = folder();
    let store = open(&folder);
    let mut chunk = store.chunk().await.unwrap();
    let mut expected = Vec::new();
    for (number, length) in (0_u8..).zip([1, 0, 70_000, 300_000, 5, 262_144, 100_000, 200_000]) {
        let piece = vec![number; length];
        expected.extend_from_slice(&piece);
        chunk.append(piece.into()).await.unwrap();
    }
    let chunk = chunk.finish().await.unwrap();
    let content = in_chunk(&chunk, expected.len() as u64);
    let read = store.read(&content, 0, expected.len()).await.unwrap();
    assert!(read == expected);
    let middle = store.read(&content, 69_990, 400).await.unwrap();
    assert!(middle == expected[69_990..70_390]);
}

#[tokio::test]
async fn a_chunk_that_is_pinned_outlives_the_manifest_that_named_it() {
    let (folder, author) = (folder(), Author::new(1));
    let store = open(&folder);
    let chunk = write_chunk(&store, b"bytes").await;
    let content = in_chunk(&chunk, 5);
    let manifest = author.manifest(1, content.clone());
    let revision = store.replace(author.slot(), None, manifest).await.unwrap();
    let pin = store.pin(&[chunk.id].into());
    drop(chunk);
    let revision = store.replace(author.slot(), Some(revision), Manifest::default()).await.unwrap();
    // Every change is followed by a look for garbage: after another, the chunk would be gone.
    store.replace(author.slot(), Some(revision), Manifest::default()).await.unwrap();
    assert_eq!(store.read(&content, 0, 5).await.unwrap().as_ref(), b"bytes");
    drop(pin);
    assert_eq!(left_after(store, &folder), (0, 0));
}

#[tokio::test]
async fn a_content_is_read_across_its_extents() {
    let folder = folder();
    let store = open(&folder);
    let chunk = write_chunk(&store, b"..cdef..").await;
    let extent = |offset, length| Extent::Chunk { id: chunk.id, offset, length };
    let content = Content(vec![
        Extent::Inline(Bytes::from_static(b"ab")),
        extent(2, 3),
        Extent::Inline(Bytes::new()),
        extent(5, 1),
        Extent::Inline(Bytes::from_static(b"gh")),
    ]);
    let whole = b"abcdefgh";
    for from in 0..=whole.len() {
        for to in from..=whole.len() {
            let read = store.read(&content, from as u64, to - from).await.unwrap();
            assert_eq!(read.as_ref(), &whole[from..to]);
        }
        let past = store.read(&content, from as u64, whole.len() - from + 1).await;
        assert!(matches!(past, Err(StoreError::Damaged)));
    }
    assert!(matches!(store.read(&content, 9, 0).await, Err(StoreError::Damaged)));
    let endless = Content(vec![extent(u64::MAX, u64::MAX)]);
    assert!(matches!(store.read(&endless, 0, 8).await, Err(StoreError::Damaged)));
}

#[tokio::test]
async fn an_unfinished_chunk_leaves_nothing_behind() {
    let folder = folder();
    let store = open(&folder);
    let mut chunk = store.chunk().await.unwrap();
    chunk.append(vec![1; 1 << 20].into()).await.unwrap();
    assert_eq!(names(folder.path(), "staging").len(), 1);
    drop(chunk);
    assert_eq!(left_after(store, &folder), (0, 0));
}

#[test]
fn a_chunk_whose_write_was_dropped_half_way_cannot_be_finished() {
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    let runtime = runtime.max_blocking_threads(1).build().unwrap();
    let folder = folder();
    let store = open(&folder);
    runtime.block_on(async {
        let mut chunk = store.chunk().await.unwrap();
        // The one thread that writes is busy until it is let go: the write cannot have ended when it is dropped.
        let (let_go, busy) = std::sync::mpsc::channel::<()>();
        let held = tokio::task::spawn_blocking(move || busy.recv());
        let mut append = chunk.append(vec![1; 1 << 20].into()).boxed_local();
        assert!(poll!(&mut append).is_pending());
        drop(append);
        let_go.send(()).unwrap();
        held.await.unwrap().unwrap();
        let append = chunk.append(Bytes::new()).await;
        assert!(matches!(append, Err(StoreError::Io { .. })));
        assert!(matches!(chunk.finish().await, Err(StoreError::Io { .. })));
    });
}

#[tokio::test]
async fn a_pinned_chunk_that_nobody_names_goes_with_its_pin() {
    let folder = folder();
    let store = open(&folder);
    let chunk = write_chunk(&store, b"bytes").await;
    let content = in_chunk(&chunk, 5);
    // A change that has nothing to do with the chunk goes by: the pin is what keeps it.
    let author = Author::new(1);
    let manifest = author.manifest(1, inline(b"other"));
    store.replace(author.slot(), None, manifest).await.unwrap();
    assert_eq!(store.read(&content, 0, 5).await.unwrap().as_ref(), b"bytes");
    drop(chunk);
    assert_eq!(left_after(store, &folder), (0, 0));
}

#[tokio::test]
async fn a_chunk_lives_as_long_as_a_manifest_names_it() {
    let (folder, author) = (folder(), Author::new(1));
    let store = open(&folder);
    let chunk = write_chunk(&store, b"bytes").await;
    let content = in_chunk(&chunk, 5);
    let manifest = author.manifest(1, content.clone());
    let revision = store.replace(author.slot(), None, manifest).await.unwrap();
    drop(chunk);
    assert_eq!(left_after(store, &folder), (0, 1));

    let store = open(&folder);
    assert_eq!(store.read(&content, 0, 5).await.unwrap().as_ref(), b"bytes");
    let without = author.manifest(2, inline(b"small"));
    store.replace(author.slot(), Some(revision), without).await.unwrap();
    assert_eq!(left_after(store, &folder), (0, 0));
}

#[tokio::test]
async fn a_chunk_dropped_by_its_manifest_while_pinned_goes_when_the_pin_does() {
    let (folder, author) = (folder(), Author::new(1));
    let store = open(&folder);
    let chunk = write_chunk(&store, b"bytes").await;
    let content = in_chunk(&chunk, 5);
    let manifest = author.manifest(1, content.clone());
    let revision = store.replace(author.slot(), None, manifest).await.unwrap();
    let revision = store.replace(author.slot(), Some(revision), Manifest::default()).await.unwrap();
    // Another change makes sure that the committer is through with collecting after the one before.
    store.replace(author.slot(), Some(revision), Manifest::default()).await.unwrap();
    assert_eq!(store.read(&content, 0, 5).await.unwrap().as_ref(), b"bytes");
    drop(chunk);
    assert_eq!(left_after(store, &folder), (0, 0));
}

#[tokio::test]
async fn a_chunk_two_slots_name_outlives_one_of_them() {
    let (folder, one, other) = (folder(), Author::new(1), Author::new(2));
    let store = open(&folder);
    let chunk = write_chunk(&store, b"bytes").await;
    let content = in_chunk(&chunk, 5);
    let mut revisions = Vec::new();
    for author in [&one, &other] {
        let manifest = author.manifest(1, content.clone());
        revisions.push(store.replace(author.slot(), None, manifest).await.unwrap());
    }
    drop(chunk);
    store.replace(one.slot(), Some(revisions[0]), Manifest::default()).await.unwrap();
    assert_eq!(left_after(store, &folder), (0, 1));
}

#[tokio::test]
async fn a_change_queued_before_its_pin_is_dropped_still_finds_its_chunk() {
    let (folder, author) = (folder(), Author::new(1));
    let store = open(&folder);
    let chunk = write_chunk(&store, b"bytes").await;
    let manifest = author.manifest(1, in_chunk(&chunk, 5));
    let mut outsider = outsider(folder.path());
    let busy =
        outsider.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate).unwrap();
    let mut change = store.replace(author.slot(), None, manifest).boxed_local();
    assert!(poll!(&mut change).is_pending());
    drop(chunk);
    busy.commit().unwrap();
    change.await.unwrap();
    assert_eq!(left_after(store, &folder), (0, 1));
}

#[tokio::test]
async fn a_chunk_of_a_change_that_was_refused_goes() {
    let (folder, author) = (folder(), Author::new(1));
    let store = open(&folder);
    let first = author.manifest(1, inline(b"first"));
    store.replace(author.slot(), None, first).await.unwrap();
    let chunk = write_chunk(&store, b"bytes").await;
    let late = author.manifest(1, in_chunk(&chunk, 5));
    let refused = store.replace(author.slot(), None, late).await;
    assert!(matches!(refused, Err(StoreError::Changed)));
    drop(chunk);
    assert_eq!(left_after(store, &folder), (0, 0));
}

#[tokio::test]
async fn a_manifest_cannot_name_a_chunk_that_is_not_there() {
    let (folder, author) = (folder(), Author::new(1));
    let store = open(&folder);
    let ghost = Content(vec![Extent::Chunk { id: ChunkId(7), offset: 0, length: 5 }]);
    let refused = store.replace(author.slot(), None, author.manifest(1, ghost)).await;
    assert!(matches!(refused, Err(StoreError::Damaged)));
    assert_eq!(store.load(author.slot()).await.unwrap(), None);
}

#[tokio::test]
async fn missing_and_short_files_are_damage_and_stay_nameable() {
    let (folder, author) = (folder(), Author::new(1));
    let store = open(&folder);
    let (gone, short) = (write_chunk(&store, b"gone!").await, write_chunk(&store, b"short").await);
    let contents = [in_chunk(&gone, 5), in_chunk(&short, 5)];
    let mut manifest = author.manifest(1, contents[0].clone());
    let shares = &mut manifest.generations[0].shares;
    shares.insert(share(1), whole(contents[1].clone()));
    let slot = author.slot();
    let revision = store.replace(slot, None, manifest.clone()).await.unwrap();

    let path = |id: ChunkId| folder.path().join(format!("chunks/{:032x}", id.0));
    fs::remove_file(path(gone.id)).unwrap();
    let file = OpenOptions::new().write(true).open(path(short.id)).unwrap();
    file.set_len(4).unwrap();
    for content in &contents {
        let read = store.read(content, 0, 5).await;
        assert!(matches!(read, Err(StoreError::Damaged)));
    }
    assert_eq!(store.read(&contents[1], 0, 4).await.unwrap().as_ref(), b"shor");
    // Other changes of a slot with a lost chunk still go through.
    store.replace(slot, Some(revision), manifest).await.unwrap();
}

#[tokio::test]
async fn chunks_finish_side_by_side() {
    let folder = folder();
    let store = open(&folder);
    let chunks = futures::future::join_all((0..16).map(|_| write_chunk(&store, b"bytes"))).await;
    let mut ids: Vec<ChunkId> = chunks.iter().map(|chunk| chunk.id).collect();
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), 16);
    assert_eq!(names(folder.path(), "chunks").len(), 16);
    drop(chunks);
    assert_eq!(left_after(store, &folder), (0, 0));
}
