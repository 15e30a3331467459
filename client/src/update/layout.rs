//! How a change lies in a file: what stays before and behind it, how long the file is then, and, if a part of its
//! segments is enough, which. Pure arithmetic.

use std::ops::Range;

use tarn_proto::Geometry;
use tarn_proto::geometry::{GeometryError, Shape};

use super::{Place, Then};

/// The content after a change: what is kept before it, zeros, the change, what is kept behind it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Layout {
    /// Bytes that stay at the beginning.
    pub(super) kept_before: u64,
    /// Zeros between these and the change.
    pub(super) gap: u64,
    /// The bytes of the old content that stay behind the change.
    pub(super) kept_behind: Range<u64>,
    /// Bytes of the new content.
    pub(super) length: u64,
}

/// A change by which only some segments of a version are made anew.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct InPlace {
    /// The segments, of the new version.
    pub(super) segments: Range<u32>,
    /// The bytes of the old content at the beginning of the first of them.
    pub(super) head: Range<u64>,
    /// The bytes of the old content at the end of the last of them.
    pub(super) tail: Range<u64>,
    /// Which rows tell the new table's root.
    pub(super) edge: Edge,
}

/// What stays of the old table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Edge {
    /// Nothing.
    Nothing,
    /// The rows before this one.
    Before(u32),
    /// The rows up to this one, which is the last.
    Through(u32),
    /// All but the rows from one to the other.
    Around(u32, u32),
}

impl Layout {
    /// A change of `bytes` bytes in a file of `old` bytes. None if no length can say where it ends.
    pub(super) fn of(at: Place, bytes: u64, then: Then, old: u64) -> Option<Self> {
        let start = match at {
            Place::Offset(offset) => offset,
            Place::End => old,
        };
        let end = start.checked_add(bytes)?;
        let kept_before = start.min(old);
        let kept_behind = match then {
            Then::Keeps if end < old => end..old,
            Then::Keeps | Then::Ends => end..end,
        };
        let length = kept_behind.end;
        Some(Self { kept_before, gap: start - kept_before, kept_behind, length })
    }

    /// Which segments of a version that is cut like this are made anew. None if that is better published as a whole:
    /// either content fits in one segment, or the table would be too long.
    pub(super) fn in_place(&self, shape: Shape, old: &Geometry) -> Option<InPlace> {
        let new: Result<Geometry, GeometryError> =
            Geometry::new(shape, old.block_size(), self.length);
        let new = new.ok().filter(|new| new.segments().min(old.segments()) > 1)?;
        let size = old.segment_size();
        let narrow = |segment: u64| u32::try_from(segment).ok();
        let first = narrow(self.kept_before / size)?;
        let head = new.segment_offset(first)..self.kept_before;
        if self.kept_behind.is_empty() {
            let edge = match first {
                0 => Edge::Nothing,
                _ if first < old.segments() => Edge::Before(first),
                _ => Edge::Through(old.segments() - 1),
            };
            let tail = self.length..self.length;
            return Some(InPlace { segments: first..new.segments(), head, tail, edge });
        }
        let behind = self.kept_behind.start;
        // Of nothing to write, one segment: a change in the middle has two edges.
        let end = narrow(behind.div_ceil(size))?.max(first + 1);
        let tail = behind..new.segment_offset(end).min(self.length);
        Some(InPlace { segments: first..end, head, tail, edge: Edge::Around(first, end - 1) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Segments of 16 bytes.
    fn in_place(at: Place, bytes: u64, then: Then, old: u64) -> Option<InPlace> {
        let shape = Shape::new(2, 2, 3).unwrap();
        let geometry = Geometry::new(shape, 8, old).unwrap();
        Layout::of(at, bytes, then, old).unwrap().in_place(shape, &geometry)
    }

    fn touched(at: u64, bytes: u64, then: Then, old: u64) -> (Range<u32>, Range<u64>, Range<u64>) {
        let change = in_place(Place::Offset(at), bytes, then, old).unwrap();
        (change.segments, change.head, change.tail)
    }

    #[test]
    fn a_change_keeps_what_is_around_it_or_ends_the_file() {
        let of = |at, bytes, then| Layout::of(at, bytes, then, 100).unwrap();
        let expected = |kept_before, gap, kept_behind, length| Layout {
            kept_before,
            gap,
            kept_behind,
            length,
        };
        let keeps = Then::Keeps;
        assert_eq!(of(Place::Offset(10), 5, keeps), expected(10, 0, 15..100, 100));
        assert_eq!(of(Place::Offset(10), 5, Then::Ends), expected(10, 0, 15..15, 15));
        assert_eq!(of(Place::Offset(98), 5, keeps), expected(98, 0, 103..103, 103));
        assert_eq!(of(Place::Offset(110), 5, keeps), expected(100, 10, 115..115, 115));
        assert_eq!(of(Place::End, 5, keeps), expected(100, 0, 105..105, 105));
        assert_eq!(of(Place::Offset(120), 0, Then::Ends), expected(100, 20, 120..120, 120));
        assert_eq!(Layout::of(Place::End, u64::MAX, keeps, 1), None);
    }

    #[test]
    fn only_segments_that_change_are_touched() {
        let keeps = Then::Keeps;
        assert_eq!(touched(20, 4, keeps, 100), (1..2, 16..20, 24..32));
        assert_eq!(touched(16, 16, keeps, 100), (1..2, 16..16, 32..32));
        assert_eq!(touched(20, 20, keeps, 100), (1..3, 16..20, 40..48));
        assert_eq!(touched(97, 2, keeps, 100), (6..7, 96..97, 99..100), "the last one is short");
        assert_eq!(touched(32, 0, keeps, 100), (2..3, 32..32, 32..48), "nothing takes one too");
    }

    #[test]
    fn what_grows_takes_the_short_last_segment_along() {
        assert_eq!(touched(100, 4, Then::Keeps, 100), (6..7, 96..100, 104..104));
        assert_eq!(touched(100, 30, Then::Keeps, 100), (6..9, 96..100, 130..130));
        assert_eq!(touched(96, 4, Then::Keeps, 96), (6..7, 96..96, 100..100));
        assert_eq!(touched(130, 4, Then::Keeps, 100), (6..9, 96..100, 134..134));
    }

    #[test]
    fn what_is_cut_touches_its_last_segment_if_that_is_cut() {
        assert_eq!(touched(40, 0, Then::Ends, 100), (2..3, 32..40, 40..40));
        assert_eq!(touched(48, 0, Then::Ends, 100), (3..3, 48..48, 48..48));
        assert_eq!(touched(30, 10, Then::Ends, 100), (1..3, 16..30, 40..40));
    }

    #[test]
    fn the_edges_are_rows_that_are_there() {
        let edge =
            |at, bytes, then, old| in_place(Place::Offset(at), bytes, then, old).unwrap().edge;
        assert_eq!(edge(20, 20, Then::Keeps, 100), Edge::Around(1, 2));
        assert_eq!(edge(100, 4, Then::Keeps, 100), Edge::Before(6));
        assert_eq!(edge(96, 4, Then::Keeps, 96), Edge::Through(5));
        assert_eq!(edge(96, 0, Then::Ends, 100), Edge::Before(6));
        assert_eq!(edge(3, 90, Then::Ends, 100), Edge::Nothing);
    }

    #[test]
    fn small_contents_and_long_tables_are_published_as_a_whole() {
        let whole = |at, bytes, then, old| in_place(Place::Offset(at), bytes, then, old).is_none();
        assert!(whole(5, 1, Then::Keeps, 16) && whole(5, 100, Then::Keeps, 16));
        assert!(whole(5, 1, Then::Ends, 100) && whole(0, 0, Then::Ends, 100));
        assert!(whole(0, 30, Then::Keeps, 0));
        assert!(whole(16 * 16_384, 1, Then::Keeps, 100));
        assert!(!whole(16 * 16_384 - 1, 1, Then::Keeps, 100));
    }
}
