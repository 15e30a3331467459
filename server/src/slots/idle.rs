//! Slots that nobody uses right now, in bounded memory, for whoever comes next. Keeps none of which only the store knows
//! what it holds.

use std::sync::Arc;

use quick_cache::Weighter;
use quick_cache::unsync::Cache;
use tarn_proto::StorageIndex;

use super::Entry;

/// What a slot weighs beside what its manifest holds.
const SLOT_BYTES: u64 = 2 << 10;

pub(super) struct Idle {
    slots: Cache<StorageIndex, Weighed, ByBytes>,
}

struct Weighed {
    entry: Arc<Entry>,
    bytes: u64,
}

struct ByBytes;

impl Weighter<StorageIndex, Weighed> for ByBytes {
    fn weight(&self, _: &StorageIndex, slot: &Weighed) -> u64 {
        slot.bytes
    }
}

impl Idle {
    /// None yet; later as many as weigh so much together.
    pub(super) fn in_bytes(bytes_max: u64) -> Self {
        let slots = usize::try_from(bytes_max / SLOT_BYTES).unwrap_or(usize::MAX);
        Self { slots: Cache::with_weighter(slots, bytes_max, ByBytes) }
    }

    /// Keeps a slot that nobody uses any more, if it is worth it.
    pub(super) fn keep(&mut self, storage_index: StorageIndex, entry: Arc<Entry>) {
        if let Some(bytes) = weight(&entry) {
            self.slots.insert(storage_index, Weighed { entry, bytes });
        }
    }

    /// A slot that somebody uses again, if it is still here.
    pub(super) fn take(&mut self, storage_index: StorageIndex) -> Option<Arc<Entry>> {
        self.slots.remove(&storage_index).map(|(_, slot)| slot.entry)
    }

    /// Forgets all of them.
    #[cfg(test)]
    pub(super) fn forget(&mut self) {
        self.slots.clear();
    }
}

/// None for a slot that is not loaded, or of which only the store knows what became of its last change. Whoever talked to
/// it is gone by now, and what they had sealed goes too.
fn weight(entry: &Entry) -> Option<u64> {
    let mut loaded = entry.slot.try_lock().ok()?;
    let loaded = loaded.as_mut().filter(|loaded| loaded.fresh)?;
    loaded.end_all(&entry.ended);
    Some(SLOT_BYTES + loaded.slot.manifest().weight())
}
