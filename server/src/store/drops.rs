//! No caller of a store is trusted to stay: every operation of both engines, dropped at its every poll. Afterwards the
//! disk has no chunk that nobody names, the next change succeeds, and it is there when the store is opened again.
#![expect(
    clippy::async_yields_async,
    reason = "operations are made here, and polled by what drops them"
)]

use std::cell::RefCell;
use std::sync::Arc;

use tarn_drops::{Table, runtime, until};
use tarn_proto::Origin;

use super::*;
use crate::manifest::{Extent, INLINE_MAX, StoredGeneration, StoredShare};
use crate::store::local::LocalStore;
use crate::store::memory::MemoryStore;
use crate::testing::{Engine, Writer, inline, share};

#[test]
fn a_dropped_operation_leaves_nothing_behind_in_memory() {
    runtime().block_on(every_operation::<MemoryStore>());
}

#[test]
fn a_dropped_operation_leaves_nothing_behind_on_a_disk() {
    runtime().block_on(every_operation::<LocalStore>());
}

async fn every_operation<E: Engine>() {
    let mut table = Table::new(format!("operations of the {} store", E::NAME));
    asked::<E>(&mut table).await;
    written::<E>(&mut table).await;
}

async fn asked<E: Engine>(table: &mut Table) {
    drop_each::<E, _>(table, "space", |store, _| async move {
        assert!(store.space().await.unwrap().free_bytes > 0);
    })
    .await;
    drop_each::<E, _>(table, "load", |store, held| async move {
        assert_eq!(store.load(slot()).await.unwrap(), Some(held));
        assert_eq!(store.load(Writer::new(8).storage_index()).await.unwrap(), None);
    })
    .await;
    drop_each::<E, _>(table, "slots", |store, _| async move {
        assert_eq!(store.slots(None, 10).await.unwrap(), [slot()]);
    })
    .await;
    drop_each::<E, _>(table, "read", |store, (manifest, _)| async move {
        let content = &manifest.generations[0].shares[&share(0)].content;
        assert_eq!(store.read(content, 1, CHUNK_BYTES - 1).await.unwrap(), chunk_bytes()[1..]);
    })
    .await;
}

async fn written<E: Engine>(table: &mut Table) {
    drop_each::<E, _>(table, "replace", |store, (_, revision)| async move {
        store.replace(slot(), Some(revision), manifest(2, inline("more".into()))).await.unwrap();
    })
    .await;
    drop_each::<E, _>(table, "pin, of what is dropped meanwhile", |store, held| async move {
        let (manifest, revision) = held;
        let content = manifest.generations[0].shares[&share(0)].content.clone();
        let pin = store.pin(&manifest.chunks().collect());
        store.replace(slot(), Some(revision), Manifest::default()).await.unwrap();
        assert_eq!(store.read(&content, 0, CHUNK_BYTES).await.unwrap(), chunk_bytes());
        drop(pin);
    })
    .await;
    drop_each::<E, _>(table, "replace, too late", |store, _| async move {
        let refused = store.replace(slot(), None, Manifest::default()).await;
        assert!(matches!(refused, Err(StoreError::Changed)));
    })
    .await;
    drop_each::<E, _>(table, "chunk, appended to and left", |store, _| async move {
        let mut chunk = store.chunk().await.unwrap();
        chunk.append(chunk_bytes()).await.unwrap();
        chunk.append(chunk_bytes()).await.unwrap();
    })
    .await;
    drop_each::<E, _>(table, "chunk, finished and let go", |store, _| async move {
        drop(write_chunk(&*store).await);
    })
    .await;
    drop_each::<E, _>(table, "chunk, finished and named", |store, (_, revision)| async move {
        let chunk = write_chunk(&*store).await;
        let naming = manifest(2, whole(&chunk));
        store.replace(slot(), Some(revision), naming).await.unwrap();
        drop(chunk);
    })
    .await;
}

/// Drops an operation, each time on a store of its own with one slot, whose share lies in a chunk.
async fn drop_each<E: Engine, F: Future>(
    table: &mut Table,
    operation: &str,
    begin: impl Fn(Arc<E>, (Manifest, Revision)) -> F,
) {
    let used = RefCell::new(None);
    let make = async || {
        let (store, disk) = E::fresh();
        let chunk = write_chunk(&store).await;
        let held = manifest(1, whole(&chunk));
        let revision = store.replace(slot(), None, held.clone()).await.unwrap();
        drop(chunk);
        let store = Arc::new(store);
        used.replace(Some((Arc::clone(&store), disk)));
        begin(store, (held, revision))
    };
    let after = async |_: Option<F::Output>| {
        let (store, disk) = used.take().unwrap();
        goes_on(Arc::into_inner(store).expect("the operation has it no more"), &disk).await;
    };
    table.polls(operation, make, after).await;
}

/// Nothing is left but what the slot names, and it can be changed for good.
async fn goes_on<E: Engine>(store: E, disk: &E::Disk) {
    until(async || {
        let (held, _) = store.load(slot()).await.unwrap().unwrap();
        E::chunks(disk) == held.chunks().count()
    })
    .await;
    let next = manifest(3, inline("the next".into()));
    until(async || {
        let (_, revision) = store.load(slot()).await.unwrap().unwrap();
        match store.replace(slot(), Some(revision), next.clone()).await {
            Ok(_) => true,
            // The change that was dropped was queued before ours.
            Err(StoreError::Changed) => false,
            Err(error) => panic!("{error}"),
        }
    })
    .await;
    drop(store);
    let again = E::again(disk);
    assert_eq!(again.load(slot()).await.unwrap().unwrap().0, next);
    until(async || E::chunks(disk) == 0).await;
}

/// More than is gathered before it is written.
const CHUNK_BYTES: usize = 300 << 10;

fn chunk_bytes() -> Bytes {
    Bytes::from_static(&[7; CHUNK_BYTES])
}

async fn write_chunk<E: Engine>(store: &E) -> PinnedChunk {
    let mut chunk = store.chunk().await.unwrap();
    chunk.append(chunk_bytes()).await.unwrap();
    chunk.finish().await.unwrap()
}

fn whole(chunk: &PinnedChunk) -> Content {
    const { assert!(CHUNK_BYTES > INLINE_MAX) }
    Content(vec![Extent::Chunk { id: chunk.id, offset: 0, length: CHUNK_BYTES as u64 }])
}

fn slot() -> StorageIndex {
    Writer::new(7).storage_index()
}

/// A slot with one version, whose share 0 has this content.
fn manifest(sequence_number: u64, content: Content) -> Manifest {
    let version = Writer::new(7).version(1, sequence_number, None);
    Manifest {
        floor: Some(version.signed.clone()),
        generations: vec![StoredGeneration {
            header: version.signed,
            origin: Origin::Brought,
            table: inline(Bytes::new()),
            page_roots: Bytes::new(),
            shares: [(share(0), StoredShare::whole(content))].into(),
        }],
        ..Manifest::default()
    }
}
