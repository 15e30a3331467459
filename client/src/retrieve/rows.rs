//! Which rows of the version a reader has, and which to ask for next: all at once where the table is short, else
//! stretch by stretch ahead of the blocks, so that the first byte waits for no long table and no reader keeps one.
//! Decides neither whom to ask nor when somebody is late.

use std::collections::BTreeMap;
use std::ops::Range;

use tarn_proto::{Geometry, StoreId};

use crate::time::Millis;

/// A table of so many rows is read as a whole by whoever reads the whole file: without proofs, which cost as much again.
const WHOLE_TABLE_MAX: u32 = 1_024;
/// Otherwise so many rows are asked for at once, with proofs, unless a run has more.
const STRETCH_MAX: u32 = 256;

/// The rows of the segments that are to be read.
#[derive(Debug, Clone, Default)]
pub(super) struct Rows {
    segments: Range<u32>,
    /// How many are asked for at once; a run's segments lie within one stretch.
    stretch: u32,
    /// The first segment whose row is not here.
    until: u32,
    /// Who was asked for the next stretch, and when: whoever owes it, or failed since the servers were last asked what they
    /// hold.
    asked: BTreeMap<StoreId, Millis>,
    /// When to ask somebody else as well.
    ask_next_at: Option<Millis>,
}

impl Rows {
    /// None is here yet. `run_length` is what a run has at most.
    pub(super) fn of(geometry: &Geometry, segments: Range<u32>, run_length: u32) -> Self {
        let is_whole = segments == (0..geometry.segments());
        let stretch = if is_whole && geometry.segments() <= WHOLE_TABLE_MAX {
            geometry.segments()
        } else {
            (STRETCH_MAX / run_length.max(1)).max(1) * run_length.max(1)
        };
        let until = segments.start;
        Self { segments, stretch, until, ..Self::default() }
    }

    /// What to ask for next when blocks may be asked for up to the `horizon`: nothing before the rows that are here get
    /// short.
    pub(super) fn wanted(&self, horizon: u32) -> Option<Range<u32>> {
        let is_short = horizon.saturating_add(self.stretch / 2) >= self.until;
        let end = self.until.saturating_add(self.stretch).min(self.segments.end);
        (is_short && self.until < end).then_some(self.until..end)
    }

    /// Notes that a server is asked, and when to ask somebody else as well.
    pub(super) fn ask(&mut self, now: Millis, server: StoreId, ask_next_at: Millis) {
        self.asked.insert(server, now);
        self.ask_next_at = Some(ask_next_at);
    }

    /// Nobody else is left to be asked.
    pub(super) const fn wait_for_those_asked(&mut self) {
        self.ask_next_at = None;
    }

    /// The servers were asked again what they hold: whoever does not owe an answer may be asked again, and at once.
    pub(super) fn ask_anew(&mut self, now: Millis, owing: &[StoreId]) {
        self.asked.retain(|server, _| owing.contains(server));
        self.ask_next_at = (!self.asked.is_empty()).then_some(now);
    }

    /// The next stretch is here. Returns up to which segment the rows are here now.
    pub(super) fn came(&mut self) -> u32 {
        self.until = self.until.saturating_add(self.stretch).min(self.segments.end);
        self.asked.clear();
        self.ask_next_at = None;
        self.until
    }

    /// How long ago this server was asked for the next stretch.
    pub(super) fn waited_for(&self, now: Millis, server: StoreId) -> Millis {
        self.asked.get(&server).map_or(Millis(0), |&at| now.since(at))
    }

    pub(super) fn was_asked(&self, server: StoreId) -> bool {
        self.asked.contains_key(&server)
    }

    pub(super) const fn ask_next_at(&self) -> Option<Millis> {
        self.ask_next_at
    }
}

#[cfg(test)]
mod tests {
    use tarn_proto::Shape;

    use super::*;

    /// 1-of-1 in blocks of 64 KiB, of which a run has 16.
    fn rows(of: u32, segments: Range<u32>) -> Rows {
        let shape = Shape::new(1, 1, 1).unwrap();
        let geometry = Geometry::new(shape, 1 << 16, u64::from(of) << 16).unwrap();
        Rows::of(&geometry, segments, 16)
    }

    #[test]
    fn a_short_table_is_asked_for_as_a_whole() {
        let mut rows = rows(1_024, 0..1_024);
        assert_eq!(rows.wanted(32), Some(0..1_024));
        assert_eq!((rows.came(), rows.wanted(1_024)), (1_024, None));
    }

    #[test]
    fn a_long_table_is_asked_for_in_stretches_ahead_of_the_blocks() {
        let mut rows = rows(1_025, 0..1_025);
        assert_eq!(rows.wanted(32), Some(0..256));
        assert_eq!((rows.came(), rows.wanted(127)), (256, None));
        assert_eq!(rows.wanted(128), Some(256..512));
        assert_eq!((rows.came(), rows.came(), rows.came()), (512, 768, 1_024));
        assert_eq!(rows.wanted(1_025), Some(1_024..1_025));
        assert_eq!((rows.came(), rows.wanted(1_025)), (1_025, None));
    }

    #[test]
    fn of_a_part_only_its_rows_are_asked_for() {
        assert_eq!(rows(1_000, 10..20).wanted(20), Some(10..20));
        assert_eq!(rows(1_000, 10..900).wanted(42), Some(10..266));
    }
}
