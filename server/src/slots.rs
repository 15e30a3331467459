//! The slots in use: one lock each, under which the slot's state is loaded, judged and changed. Holds no rules. A
//! slot that nobody uses is kept for whoever comes next while there is room for it, then forgotten; what it knew beyond its
//! manifest concerned only those who used it.

use std::collections::{BTreeMap, btree_map};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tarn_proto::{ConversationId, HistoryQuery, Refusal, SlotState, StorageIndex};
use tokio::sync::watch;

mod idle;

use self::idle::Idle;
use crate::clock::Clock;
use crate::manifest::Manifest;
use crate::slot::{Change, Millis, Now, Slot};
use crate::store::{Revision, Store, StoreError};

/// How often a change that lost to another is judged again.
const ATTEMPTS_MAX: usize = 16;

/// The slots that somebody is using, or was lately.
pub(crate) struct Slots<S> {
    store: Arc<S>,
    clock: Clock,
    promise: Millis,
    entries: Mutex<Entries>,
}

struct Entries {
    in_use: BTreeMap<StorageIndex, InUse>,
    idle: Idle,
}

/// A slot that somebody is using, and how many are.
struct InUse {
    entry: Arc<Entry>,
    handles: usize,
}

#[derive(Default)]
struct Entry {
    slot: tokio::sync::Mutex<Option<Loaded>>,
    /// Conversations that ended while nobody held the lock.
    ended: Mutex<Vec<ConversationId>>,
    changes: watch::Sender<u64>,
}

struct Loaded {
    slot: Slot,
    revision: Option<Revision>,
    /// False while a change is under way, and after one that failed and may be durable all the same: whoever finds
    /// it so must load again.
    fresh: bool,
}

impl Loaded {
    /// Ends the conversations that ended while nobody held the lock.
    fn end_all(&mut self, ended: &Mutex<Vec<ConversationId>>) {
        for conversation in std::mem::take(&mut *lock(ended)) {
            self.slot.end(conversation);
        }
    }
}

impl<S: Store> Slots<S> {
    /// Slots that nobody uses are kept in at most `idle_bytes_max` bytes.
    pub(crate) fn new(
        store: Arc<S>,
        clock: Clock,
        promise: Millis,
        idle_bytes_max: u64,
    ) -> Arc<Self> {
        let idle = Idle::in_bytes(idle_bytes_max);
        let entries = Mutex::new(Entries { in_use: BTreeMap::new(), idle });
        Arc::new(Self { store, clock, promise, entries })
    }

    /// The slot of this file.
    pub(crate) fn get(self: &Arc<Self>, storage_index: StorageIndex) -> SlotHandle<S> {
        let mut entries = lock(&self.entries);
        let Entries { in_use, idle } = &mut *entries;
        let in_use = in_use.entry(storage_index).or_insert_with(|| InUse {
            entry: idle.take(storage_index).unwrap_or_default(),
            handles: 0,
        });
        in_use.handles += 1;
        let entry = Arc::clone(&in_use.entry);
        drop(entries);
        SlotHandle { slots: Arc::clone(self), storage_index, entry }
    }

    /// What time it is for slots.
    pub(crate) fn now(&self) -> Now {
        self.clock.now()
    }

    /// Forgets slots that nobody uses: for tests that change the store behind the server's back.
    #[cfg(test)]
    pub(crate) fn forget_idle(&self) {
        lock(&self.entries).idle.forget();
    }

    #[cfg(test)]
    pub(crate) fn in_use(&self) -> usize {
        lock(&self.entries).in_use.len()
    }
}

/// Keeps one slot in use.
pub(crate) struct SlotHandle<S: Store> {
    slots: Arc<Slots<S>>,
    storage_index: StorageIndex,
    entry: Arc<Entry>,
}

impl<S: Store> Drop for SlotHandle<S> {
    fn drop(&mut self) {
        // Counted under the lock: of two that leave at once, one is the last.
        let mut entries = lock(&self.slots.entries);
        let Entries { in_use, idle } = &mut *entries;
        if let btree_map::Entry::Occupied(mut in_use) = in_use.entry(self.storage_index) {
            in_use.get_mut().handles -= 1;
            if in_use.get().handles == 0 {
                idle.keep(self.storage_index, in_use.remove().entry);
            }
        }
    }
}

impl<S: Store> SlotHandle<S> {
    /// Waits for the slot's lock, and loads the slot if it is not known.
    pub(crate) async fn lock(&self) -> Result<LockedSlot<'_, S>, StoreError> {
        let mut locked = LockedSlot { handle: self, loaded: self.entry.slot.lock().await };
        if locked.loaded.as_ref().is_none_or(|loaded| !loaded.fresh) {
            locked.load().await?;
        }
        if let Some(loaded) = locked.loaded.as_mut() {
            loaded.end_all(&self.entry.ended);
        }
        Ok(locked)
    }

    /// Learns of every durable change from now on, and of those that may be durable.
    pub(crate) fn changes(&self) -> watch::Receiver<u64> {
        self.entry.changes.subscribe()
    }

    /// Waits until the slot, after some change, is as wanted. Never ends if it cannot be loaded.
    pub(crate) async fn changed_until(&self, is_wanted: impl Fn(&Slot) -> bool) {
        let mut changes = self.changes();
        loop {
            changes.mark_unchanged();
            if self.lock().await.is_ok_and(|slot| is_wanted(slot.slot())) {
                return;
            }
            if changes.changed().await.is_err() {
                return std::future::pending().await;
            }
        }
    }

    pub(crate) const fn storage_index(&self) -> StorageIndex {
        self.storage_index
    }

    pub(crate) fn now(&self) -> Now {
        self.slots.clock.now()
    }
}

/// One slot under its lock.
pub(crate) struct LockedSlot<'a, S: Store> {
    handle: &'a SlotHandle<S>,
    loaded: tokio::sync::MutexGuard<'a, Option<Loaded>>,
}

impl<S: Store> LockedSlot<'_, S> {
    /// The slot as it is.
    pub(crate) fn slot(&self) -> &Slot {
        &self.loaded.as_ref().expect("a locked slot is loaded").slot
    }

    pub(crate) fn slot_mut(&mut self) -> &mut Slot {
        &mut self.loaded.as_mut().expect("a locked slot is loaded").slot
    }

    pub(crate) fn now(&self) -> Now {
        self.handle.now()
    }

    /// The slot's state for an answer; none after a change that failed, until the slot is loaded again: of that only
    /// the store knows what came of it.
    pub(crate) fn state(
        &self,
        history: Option<HistoryQuery>,
        conversation: Option<ConversationId>,
    ) -> Option<SlotState> {
        let loaded = self.loaded.as_ref().filter(|loaded| loaded.fresh)?;
        Some(loaded.slot.state(self.now(), history, conversation))
    }

    /// Decides, and makes what was decided durable before it is told to anybody. A change that loses to another one
    /// is judged again on what that one left. After a refusal for the store's sake, the slot is not spoken of until
    /// it is loaded again. Must run to its end: call it from a task that the server owns.
    pub(crate) async fn change(
        &mut self,
        decide: impl Fn(&Slot, Now) -> Result<Change, Refusal>,
    ) -> Result<Outcome, Refusal> {
        for _ in 0..ATTEMPTS_MAX {
            let manifest = match decide(self.slot(), self.now())? {
                Change::AlreadySo => return Ok(Outcome::AlreadySo),
                Change::Becomes(manifest) => manifest,
            };
            match self.replace(manifest).await {
                Ok(()) => return Ok(Outcome::Changed),
                Err(StoreError::Changed) => {
                    self.load().await.map_err(|error| refusal_of(&error))?;
                }
                Err(error) => return Err(refusal_of(&error)),
            }
        }
        Err(refusal_of(&StoreError::Changed))
    }

    async fn replace(&mut self, manifest: Manifest) -> Result<(), StoreError> {
        let handle = self.handle;
        let loaded = self.loaded.as_mut().expect("a locked slot is loaded");
        loaded.fresh = false;
        // What a Seal alone changes, no state shows: those who watch are not woken.
        let shows = loaded.slot.manifest().sealed == manifest.sealed;
        let replaced = handle
            .slots
            .store
            .replace(handle.storage_index, loaded.revision, manifest.clone())
            .await;
        // A change that failed may be durable all the same: who watches must look again then, too.
        if shows || replaced.is_err() {
            handle.entry.changes.send_modify(|count| *count += 1);
        }
        loaded.revision = Some(replaced?);
        loaded.slot.became(manifest);
        loaded.fresh = true;
        Ok(())
    }

    /// Loads the manifest again; what is known beyond it stays.
    pub(crate) async fn load(&mut self) -> Result<(), StoreError> {
        let (slots, storage_index) = (&self.handle.slots, self.handle.storage_index);
        let stored = slots.store.load(storage_index).await?;
        let (manifest, revision) = match stored {
            Some((manifest, revision)) => (manifest, Some(revision)),
            None => (Manifest::default(), None),
        };
        match self.loaded.as_mut() {
            Some(loaded) => {
                loaded.slot.became(manifest);
                loaded.revision = revision;
                loaded.fresh = true;
            }
            None => {
                *self.loaded = Some(Loaded {
                    slot: Slot::new(slots.store.id(), storage_index, slots.promise, manifest),
                    revision,
                    fresh: true,
                });
            }
        }
        Ok(())
    }
}

/// What came of a change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// It is durable now.
    Changed,
    /// It was so before.
    AlreadySo,
}

/// Says that a conversation is being served; dropping it, wherever that happens, ends the conversation in its slot.
pub(crate) struct Served<S: Store> {
    handle: SlotHandle<S>,
    conversation: ConversationId,
}

impl<S: Store> Served<S> {
    /// Begins to serve a conversation; none when one of this id is being served already.
    pub(crate) async fn begin(
        handle: SlotHandle<S>,
        conversation: ConversationId,
    ) -> Result<Option<Self>, StoreError> {
        let fresh = handle.lock().await?.slot_mut().open(conversation);
        // Made only if it is ours to end: dropping it ends the conversation.
        Ok(fresh.then(|| Self { handle, conversation }))
    }

    /// The slot it is served in.
    pub(crate) const fn handle(&self) -> &SlotHandle<S> {
        &self.handle
    }
}

impl<S: Store> Drop for Served<S> {
    fn drop(&mut self) {
        lock(&self.handle.entry.ended).push(self.conversation);
    }
}

/// What a failing store is refused as; logged here, where it is learnt.
pub(crate) fn refusal_of(error: &StoreError) -> Refusal {
    tracing::warn!(error = error as &dyn std::error::Error, "the store failed");
    match error {
        StoreError::NoSpace => Refusal::NoSpace,
        StoreError::Changed
        | StoreError::Damaged
        | StoreError::Io { .. }
        | StoreError::Database { .. }
        | StoreError::Unusable { .. } => Refusal::StoreFailed,
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod drops;
#[cfg(test)]
mod tests;
