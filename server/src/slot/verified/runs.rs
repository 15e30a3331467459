//! Which segments came, in ascending runs. Whole columns and tables come without gaps; those of an update may leave some.

use std::ops::Range;

use tarn_proto::geometry::ROWS_MAX;

use super::Mismatch;

/// Ascending runs of segments. Of two that touch, one is made.
#[derive(Debug, Clone, Default)]
pub(super) struct Runs {
    runs: Vec<Run>,
    gaps: bool,
}

#[derive(Debug, Clone)]
struct Run {
    segments: Range<u32>,
    /// How many segments are in the runs before.
    before: usize,
}

impl Run {
    fn through(&self) -> usize {
        self.before + self.segments.len()
    }
}

impl Runs {
    /// None yet, and there may be gaps.
    pub(super) fn with_gaps() -> Self {
        Self { gaps: true, ..Self::default() }
    }

    /// How many segments there are.
    pub(super) fn count(&self) -> usize {
        self.runs.last().map_or(0, Run::through)
    }

    /// Where the last run ends.
    pub(super) fn end(&self) -> u32 {
        self.runs.last().map_or(0, |last| last.segments.end)
    }

    /// The runs.
    pub(super) fn iter(&self) -> impl Iterator<Item = Range<u32>> {
        self.runs.iter().map(|run| run.segments.clone())
    }

    /// Whether these are the first `segments` of a version, and no others.
    pub(super) fn are_all(&self, segments: u32) -> bool {
        self.end() == segments && self.count() == segments as usize
    }

    /// Whether a run of so many may follow.
    pub(super) fn expect(
        &self,
        what: &'static str,
        first: u32,
        count: usize,
    ) -> Result<(), Mismatch> {
        let expected = self.end();
        if first < expected || (first > expected && !self.gaps) {
            return Err(Mismatch::Order { what, expected, got: first });
        }
        if (first as usize).saturating_add(count) > ROWS_MAX as usize {
            return Err(Mismatch::PastEnd { what });
        }
        Ok(())
    }

    /// Adds a run that may follow.
    pub(super) fn push(&mut self, first: u32, count: usize) {
        let end = first.saturating_add(u32::try_from(count).unwrap_or(u32::MAX));
        let before = self.count();
        match self.runs.last_mut() {
            _ if first == end => {}
            Some(last) if last.segments.end == first => last.segments.end = end,
            Some(_) | None => self.runs.push(Run { segments: first..end, before }),
        }
    }

    /// Whether all of these segments are there.
    pub(super) fn cover(&self, segments: &Range<u32>) -> bool {
        let covers =
            |run: &Run| run.segments.start <= segments.start && segments.end <= run.segments.end;
        segments.is_empty() || self.at_or_after(segments.start).is_some_and(covers)
    }

    /// Whether any of these segments is there.
    pub(super) fn meet(&self, segments: &Range<u32>) -> bool {
        self.at_or_after(segments.start).is_some_and(|run| run.segments.start < segments.end)
    }

    /// How many segments are there before this one, if it is there itself.
    pub(super) fn position(&self, segment: u32) -> Option<usize> {
        let run = self.at_or_after(segment)?;
        let within = segment.checked_sub(run.segments.start)?;
        Some(run.before + within as usize)
    }

    /// The first run that does not end before this segment.
    fn at_or_after(&self, segment: u32) -> Option<&Run> {
        let at = self.runs.partition_point(|run| run.segments.end <= segment);
        self.runs.get(at)
    }
}

/// Which segments are there, however they came.
impl PartialEq for Runs {
    fn eq(&self, other: &Self) -> bool {
        self.iter().eq(other.iter())
    }
}

impl Eq for Runs {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_that_touch_become_one_and_each_segment_has_its_place() {
        let mut runs = Runs::with_gaps();
        for (first, count) in [(2, 2), (4, 1), (9, 3)] {
            runs.expect("rows", first, count).unwrap();
            runs.push(first, count);
        }
        assert!(runs.iter().eq([2..5, 9..12]));
        let places = [1, 2, 4, 5, 8, 9, 11, 12].map(|segment| runs.position(segment));
        assert_eq!(places, [None, Some(0), Some(2), None, None, Some(3), Some(5), None]);
        assert_eq!((runs.count(), runs.end()), (6, 12));
        assert!(runs.cover(&(2..5)) && runs.cover(&(7..7)) && !runs.cover(&(4..6)));
        assert!(runs.meet(&(4..9)) && !runs.meet(&(5..9)) && !runs.meet(&(12..99)));
        assert!(!runs.are_all(6) && !runs.are_all(12));
    }

    #[test]
    fn runs_ascend_and_leave_gaps_only_where_they_may() {
        for (gaps, allowed) in [(false, false), (true, true)] {
            let mut runs = Runs { gaps, ..Runs::default() };
            runs.push(0, 3);
            assert!(runs.are_all(3));
            assert_eq!(runs.expect("rows", 3, 1), Ok(()));
            assert_eq!(runs.expect("rows", 4, 1).is_ok(), allowed);
            assert!(runs.expect("rows", 2, 1).is_err());
        }
    }
}
