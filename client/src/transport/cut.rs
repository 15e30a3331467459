//! Cuts the runs that a server streams into the blocks or rows that were asked for. Pure; what comes out has the
//! right place and length and is otherwise unverified.

use bytes::Bytes;
use tarn_proto::ShareNumber;

/// A block as a server sent it. Only [`tarn_proto::Row::matches`] tells whether it is the one its version has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnverifiedBlock {
    /// The share it is said to belong to.
    pub share: ShareNumber,
    /// The segment it is said to belong to.
    pub segment: u32,
    /// Its bytes: as many as the version's geometry gives a block of this segment.
    pub bytes: Bytes,
}

/// Why runs of blocks or rows are not what was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum RunError {
    /// Blocks of a share that was not asked for.
    #[error("blocks of share {got} came for share {expected}")]
    OtherShare {
        /// The share asked for.
        expected: ShareNumber,
        /// The share that came.
        got: u32,
    },
    /// A run begins somewhere else than the one before ended.
    #[error("segment {got} came where segment {expected} was due")]
    OutOfOrder {
        /// The segment due.
        expected: u32,
        /// The segment that came.
        got: u32,
    },
    /// A run without bytes, of which there could be any number.
    #[error("an empty run came")]
    Empty,
    /// A run ends within a block or row.
    #[error("{got} of {expected} bytes came for segment {segment}")]
    Short {
        /// The segment.
        segment: u32,
        /// Bytes that its block or row has.
        expected: usize,
        /// Bytes that came.
        got: usize,
    },
    /// More than was asked for.
    #[error("more came after segment {last}, the last one asked for")]
    TooMuch {
        /// The last segment asked for.
        last: u32,
    },
    /// Less than was asked for.
    #[error("the stream ended before segment {missing}")]
    TooLittle {
        /// The first segment that is missing.
        missing: u32,
    },
    /// Not one proof for each row, or a proof that is no list of hashes.
    #[error("the proofs of the rows from segment {first_segment} do not fit them")]
    Proofs {
        /// Where the run begins.
        first_segment: u32,
    },
}

/// The bytes of one segment's block or row.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Piece {
    pub(super) segment: u32,
    pub(super) bytes: Bytes,
}

/// Where a stream of runs stands.
#[derive(Debug)]
pub(super) struct Cutter {
    next: u32,
    end: u32,
}

impl Cutter {
    /// Expects the segments from `first` up to `end`, which is left out.
    pub(super) fn new(first: u32, end: u32) -> Self {
        Self { next: first, end }
    }

    /// Cuts one run. `length` gives the bytes of a segment's piece, never zero for a segment asked for.
    pub(super) fn cut(
        &mut self,
        first_segment: u32,
        mut data: Bytes,
        length: impl Fn(u32) -> usize,
    ) -> Result<Vec<Piece>, RunError> {
        if self.next >= self.end {
            return Err(self.too_much());
        }
        if first_segment != self.next {
            return Err(RunError::OutOfOrder { expected: self.next, got: first_segment });
        }
        if data.is_empty() {
            return Err(RunError::Empty);
        }
        let mut pieces = Vec::new();
        while !data.is_empty() {
            if self.next >= self.end {
                return Err(self.too_much());
            }
            let expected = length(self.next);
            if data.len() < expected {
                return Err(RunError::Short { segment: self.next, expected, got: data.len() });
            }
            pieces.push(Piece { segment: self.next, bytes: data.split_to(expected) });
            self.next += 1;
        }
        Ok(pieces)
    }

    /// Checks that a stream which ended brought everything.
    pub(super) fn finish(&self) -> Result<(), RunError> {
        if self.next < self.end { Err(RunError::TooLittle { missing: self.next }) } else { Ok(()) }
    }

    fn too_much(&self) -> RunError {
        RunError::TooMuch { last: self.end.saturating_sub(1) }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use tarn_proto::{Geometry, Shape};

    use super::*;

    proptest! {
        #[test]
        fn a_share_cut_at_any_segments_comes_back_whole(
            (length, k) in (1_u64..200, 1_u32..4),
            ends in prop::collection::btree_set(1_u32..100, 0..5),
        ) {
            let shape = Shape::with_default_happy(k, 5).unwrap();
            let cut = Geometry::new(shape, 4, length).unwrap();
            let share: Bytes = (0..).take(cut.share_length().try_into().unwrap()).collect();
            let mut cutter = Cutter::new(0, cut.segments());
            let mut pieces = Vec::new();
            let (mut rest, mut first) = (share.clone(), 0);
            for end in ends.into_iter().filter(|&end| end < cut.segments()).chain([cut.segments()]) {
                let run = (first..end).map(|j| cut.block_length(j)).sum();
                pieces.extend(cutter.cut(first, rest.split_to(run), |j| cut.block_length(j)).unwrap());
                first = end;
            }
            prop_assert_eq!(cutter.finish(), Ok(()));
            prop_assert!(pieces.iter().map(|piece| piece.segment).eq(0..cut.segments()));
            let joined: Vec<u8> = pieces.iter().flat_map(|piece| piece.bytes.to_vec()).collect();
            prop_assert_eq!(joined, share.to_vec());
        }
    }

    #[test]
    fn what_was_not_asked_for_is_refused() {
        let data = Bytes::from_static(&[0; 12]);
        let four = |_| 4;
        let cut = |first, length: usize| Cutter::new(2, 4).cut(first, data.slice(..length), four);
        assert_eq!(cut(3, 4), Err(RunError::OutOfOrder { expected: 2, got: 3 }));
        assert_eq!(cut(2, 0), Err(RunError::Empty));
        assert_eq!(cut(2, 6), Err(RunError::Short { segment: 3, expected: 4, got: 2 }));
        assert_eq!(cut(2, 12), Err(RunError::TooMuch { last: 3 }));
        assert_eq!(Cutter::new(2, 4).finish(), Err(RunError::TooLittle { missing: 2 }));
        let mut done = Cutter::new(2, 3);
        assert!(done.cut(2, data.slice(..4), four).is_ok());
        assert_eq!(done.cut(3, Bytes::new(), four), Err(RunError::TooMuch { last: 2 }));
    }
}
