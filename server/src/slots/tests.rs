use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

use super::*;
use crate::store::memory::{MemoryStore, Operation};
use crate::testing::{STORE, Writer, conversation};

/// Whether a slot that was used once is told again while the store tells nothing.
async fn is_remembered(idle_bytes_max: u64) -> bool {
    let store = MemoryStore::new(STORE, 1 << 30, ChaCha8Rng::seed_from_u64(1));
    let promise = Millis::new(30_000);
    let slots = Slots::new(Arc::new(store.clone()), Clock::start(), promise, idle_bytes_max);
    let file = Writer::new(7).storage_index();
    drop(slots.get(file).lock().await.unwrap());
    assert_eq!(slots.in_use(), 0);
    store.fail_next(Operation::Load);
    slots.get(file).lock().await.is_ok()
}

#[tokio::test]
async fn a_slot_that_nobody_uses_is_remembered_as_long_as_there_is_room() {
    assert!(is_remembered(1 << 20).await);
    assert!(!is_remembered(0).await);
}

#[tokio::test]
async fn a_slot_of_which_only_the_store_knows_is_not_remembered() {
    let store = MemoryStore::new(STORE, 1 << 30, ChaCha8Rng::seed_from_u64(1));
    let slots = Slots::new(Arc::new(store.clone()), Clock::start(), Millis::new(1), 1 << 20);
    let file = Writer::new(7).storage_index();
    store.fail_next(Operation::Load);
    assert!(slots.get(file).lock().await.is_err());
    assert!(slots.get(file).lock().await.is_ok());
}

#[tokio::test]
async fn what_a_conversation_sealed_goes_with_its_last_user() {
    let store = MemoryStore::new(STORE, 1 << 30, ChaCha8Rng::seed_from_u64(1));
    let slots = Slots::new(Arc::new(store), Clock::start(), Millis::new(30_000), 1 << 20);
    let file = Writer::new(7).storage_index();
    let served = Served::begin(slots.get(file), conversation(1)).await.unwrap().unwrap();
    let handle = slots.get(file);
    assert_eq!(handle.lock().await.unwrap().slot().conversations().count(), 1);
    drop((served, handle));
    let mut entries = lock(&slots.entries);
    let entry = entries.idle.take(file).unwrap();
    let loaded = entry.slot.try_lock().unwrap();
    assert_eq!(loaded.as_ref().unwrap().slot.conversations().count(), 0);
}
