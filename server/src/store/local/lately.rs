//! Slots changed lately, as they are stored. The committer is the only one that changes them, so it need not read again
//! what it wrote itself. Does not know what is durable: after a failure, nothing of this is to be believed.

use quick_cache::Weighter;
use quick_cache::unsync::Cache;
use tarn_proto::StorageIndex;

use super::tables::Stored;

/// They are remembered in at most so many bytes.
const BYTES_MAX: u64 = 4 << 20;
/// What remembering a slot weighs beside its rows.
const SLOT_BYTES: u64 = 2 << 10;

/// Slots and their rows.
pub(super) type StoredLately = Cache<StorageIndex, Stored, ByBytes>;

/// Nothing yet.
pub(super) fn none() -> StoredLately {
    let slots = usize::try_from(BYTES_MAX / SLOT_BYTES).unwrap_or(usize::MAX);
    Cache::with_weighter(slots, BYTES_MAX, ByBytes)
}

pub(super) struct ByBytes;

impl Weighter<StorageIndex, Stored> for ByBytes {
    fn weight(&self, _: &StorageIndex, stored: &Stored) -> u64 {
        SLOT_BYTES + stored.weight()
    }
}
