//! Memory for files that are published at once. A file takes what its publish may hold: segments in the making and on their
//! way, and the table; so many small ones fit, and few large ones.

use std::sync::Arc;

use tarn_proto::{Geometry, Shape};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// All there is, in units. A file that needs more is published alone.
const UNITS: u32 = 256;
/// Bytes of a unit.
const UNIT: u64 = 1 << 20;
/// Segments that one publish holds at once: in the making, waiting for a server, being sent.
const SEGMENTS_HELD: u64 = 8;

/// What is left.
#[derive(Debug)]
pub(super) struct Room(Arc<Semaphore>);

impl Default for Room {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(UNITS as usize)))
    }
}

impl Room {
    /// Waits for so many units, behind those who came before. None never comes: the room is never closed.
    pub(super) async fn take(&self, units: u32) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.0).acquire_many_owned(units).await.ok()
    }
}

/// How many units the publish of so many bytes takes.
pub(super) fn units(shape: Shape, length: u64) -> u32 {
    // What is too large for any table is refused before anything of it is read.
    let Ok(geometry) = Geometry::choose(shape, length) else { return 1 };
    let segment = u64::from(geometry.n()) * geometry.block_length(0) as u64;
    let held = segment * u64::from(geometry.segments()).min(SEGMENTS_HELD);
    let units = (held + geometry.table_length() as u64).div_ceil(UNIT);
    u32::try_from(units).unwrap_or(UNITS).clamp(1, UNITS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_files_take_one_unit_and_large_ones_what_they_hold() {
        let of = |length| units(Shape::default(), length);
        assert_eq!((of(0), of(1), of(100 << 10)), (1, 1, 1));
        assert_eq!(of(100 << 20), 6, "eight segments of ten blocks, and the table");
        assert!((of(64 << 30)..=UNITS).contains(&UNITS), "{}", of(64 << 30));
        assert_eq!(of(u64::MAX), 1, "it is refused");
    }

    #[tokio::test]
    async fn what_does_not_fit_waits_and_is_not_overtaken() {
        let room = Room::default();
        let first = room.take(UNITS - 1).await;
        let mut large = Box::pin(room.take(2));
        let mut small = Box::pin(room.take(1));
        assert!(futures::poll!(&mut large).is_pending());
        assert!(futures::poll!(&mut small).is_pending());
        drop(first);
        assert!(large.await.is_some() && small.await.is_some());
    }
}
