//! Nobody who waits for a slot is trusted to stay: every operation on slots, dropped at its every poll. A change is
//! begun by tasks that the server owns, and is dropped here all the same.
#![expect(
    clippy::async_yields_async,
    reason = "operations are made here, and polled by what drops them"
)]

use std::cell::RefCell;
use std::sync::atomic::{AtomicUsize, Ordering};

use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use tarn_drops::{Table, runtime, until_tasks_are};
use tarn_proto::SequenceNumber;
use tokio::task::yield_now;

use super::*;
use crate::store::memory::MemoryStore;
use crate::testing::{STORE, Writer, conversation};

type Shared = Arc<Slots<MemoryStore>>;

#[test]
fn a_dropped_user_of_a_slot_leaves_it_free_and_as_the_store_has_it() {
    runtime().block_on(async {
        let mut table = Table::new("slots");
        drop_each(&mut table, "lock, while somebody has it", |slots| async move {
            let handle = slots.get(index());
            let (locked, waited_for) = tokio::sync::oneshot::channel();
            tokio::spawn(async move {
                let handle = slots.get(index());
                let lock = handle.lock().await.unwrap();
                let _ = locked.send(());
                yield_now().await;
                drop(lock);
            });
            let _ = waited_for.await;
            drop(handle.lock().await.unwrap());
        })
        .await;
        drop_each(&mut table, "lock, and load once more", |slots| async move {
            let handle = slots.get(index());
            let mut locked = handle.lock().await.unwrap();
            yield_now().await;
            locked.load().await.unwrap();
            yield_now().await;
        })
        .await;
        drop_each(&mut table, "change", |slots| async move {
            let handle = slots.get(index());
            let mut locked = handle.lock().await.unwrap();
            locked.change(|slot, _| Ok(raised(slot))).await.unwrap();
        })
        .await;
        drop_each(&mut table, "begin to serve", |slots| async move {
            let served = Served::begin(slots.get(index()), conversation(1)).await.unwrap();
            assert!(served.is_some());
            yield_now().await;
        })
        .await;
    });
}

async fn drop_each<F: Future>(table: &mut Table, operation: &str, begin: impl Fn(Shared) -> F) {
    let used = RefCell::new(None);
    let make = async || {
        let store = MemoryStore::new(STORE, 1 << 20, ChaCha8Rng::seed_from_u64(1));
        let slots = Slots::new(Arc::new(store), Clock::start(), Millis::new(30_000), 1 << 20);
        used.replace(Some(Arc::clone(&slots)));
        begin(slots)
    };
    let after = async |_: Option<F::Output>| {
        until_tasks_are(0).await;
        is_free(used.take().unwrap()).await;
    };
    table.polls(operation, make, after).await;
}

/// Nobody uses the slot, nobody is being served in it, and what is known of it is what the store says, before and after
/// another change.
async fn is_free(slots: Shared) {
    assert_eq!(slots.in_use(), 0);
    for _ in 0..2 {
        let handle = slots.get(index());
        let mut locked = handle.lock().await.unwrap();
        assert_eq!(locked.slot().conversations().count(), 0);
        let stored = slots.store.load(index()).await.unwrap().map(|(manifest, _)| manifest);
        assert_eq!(locked.slot().manifest(), &stored.unwrap_or_default());
        assert_eq!(locked.change(|slot, _| Ok(raised(slot))).await, Ok(Outcome::Changed));
    }
    assert_eq!(slots.in_use(), 0);
}

/// A slot that has sealed once more.
fn raised(slot: &Slot) -> Change {
    let last = slot.manifest().sealed.map_or(0, SequenceNumber::get);
    let sealed = SequenceNumber::new(last + 1);
    Change::Becomes(Manifest { sealed, ..slot.manifest().clone() })
}

fn index() -> StorageIndex {
    Writer::new(7).storage_index()
}

#[test]
fn of_two_users_who_leave_at_once_one_is_the_last() {
    let store = MemoryStore::new(STORE, 1 << 20, ChaCha8Rng::seed_from_u64(1));
    let slots = Slots::new(Arc::new(store), Clock::start(), Millis::new(30_000), 1 << 20);
    let (arrived, left_behind) = (AtomicUsize::new(0), AtomicUsize::new(0));
    // Both come here before either goes on.
    let together = |times: usize| {
        arrived.fetch_add(1, Ordering::SeqCst);
        while arrived.load(Ordering::SeqCst) < 2 * times {
            std::thread::yield_now();
        }
    };
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                for round in 0..20_000 {
                    let handle = slots.get(index());
                    together(3 * round + 1);
                    drop(handle);
                    together(3 * round + 2);
                    left_behind.fetch_add(slots.in_use(), Ordering::SeqCst);
                    together(3 * round + 3);
                }
            });
        }
    });
    assert_eq!(left_behind.into_inner(), 0);
}
