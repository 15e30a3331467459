//! Gathers consecutive blocks of one share, and consecutive rows, into messages of a good size. Pure.
//!
//! A message carries about 256 KiB, less where there are many conversations, and at most 1 MiB unless a single block is
//! larger. Blocks that fill a message by themselves are passed on without being copied.

use std::collections::BTreeMap;

use bytes::{Bytes, BytesMut};
use tarn_proto::ShareNumber;
use tarn_proto::wire::{self, write_request::Request};

/// A run of so many bytes is sent, unless there are many conversations.
const RUN_BYTES_TARGET: usize = 256 << 10;
/// A run is not cut smaller than this, however many there are.
const RUN_BYTES_MIN: usize = 64 << 10;
/// The runs that all conversations of a version gather, one each, hold about so many bytes together.
const RUNS_BYTES: usize = 4 << 20;
/// No run grows beyond this many bytes, unless it is one block.
const RUN_BYTES_MAX: usize = 1 << 20;
/// All runs are sent when together they hold so many bytes: with many shares, no single one may fill up soon.
const PENDING_BYTES_MAX: usize = 1 << 20;

/// What a run belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Column {
    /// The blocks of one share.
    Blocks(ShareNumber),
    /// The rows of the table.
    Rows,
}

/// Runs that are not sent yet.
#[derive(Debug)]
pub(super) struct Batch {
    /// Bytes at which a run is sent.
    target: usize,
    runs: BTreeMap<Column, Run>,
    bytes: usize,
}

#[derive(Debug)]
struct Run {
    first_segment: u32,
    next_segment: u32,
    parts: Vec<Bytes>,
    bytes: usize,
}

impl Batch {
    /// What one of so many conversations gathers.
    pub(super) fn of_one_in(conversations: usize) -> Self {
        let target = RUNS_BYTES / conversations.max(1);
        let target = target.clamp(RUN_BYTES_MIN, RUN_BYTES_TARGET);
        Self { target, runs: BTreeMap::new(), bytes: 0 }
    }

    /// Adds consecutive blocks or rows of `unit` bytes each (the last may be shorter) and returns the messages that
    /// are due now, in order.
    pub(super) fn push(
        &mut self,
        column: Column,
        unit: usize,
        first_segment: u32,
        mut bytes: Bytes,
    ) -> Vec<Request> {
        let unit = unit.max(1);
        let piece_bytes_max = (RUN_BYTES_MAX / unit).max(1) * unit;
        let mut due = Vec::new();
        let mut segment = first_segment;
        while !bytes.is_empty() {
            let piece = bytes.split_to(bytes.len().min(piece_bytes_max));
            let count = u32::try_from(piece.len().div_ceil(unit)).unwrap_or(u32::MAX);
            let next_segment = segment.saturating_add(count);
            due.extend(self.append(column, segment, next_segment, piece));
            segment = next_segment;
        }
        if self.bytes >= PENDING_BYTES_MAX {
            due.extend(self.flush());
        }
        due
    }

    /// All messages still held back.
    pub(super) fn flush(&mut self) -> Vec<Request> {
        self.bytes = 0;
        std::mem::take(&mut self.runs)
            .into_iter()
            .map(|(column, run)| run.into_request(column))
            .collect()
    }

    fn append(
        &mut self,
        column: Column,
        segment: u32,
        next_segment: u32,
        piece: Bytes,
    ) -> Vec<Request> {
        let mut due = Vec::new();
        let fits =
            |run: &Run| run.next_segment == segment && run.bytes + piece.len() <= RUN_BYTES_MAX;
        if self.runs.get(&column).is_some_and(|run| !fits(run)) {
            due.extend(self.take(column));
        }
        let run = self.runs.entry(column).or_insert(Run {
            first_segment: segment,
            next_segment: segment,
            parts: Vec::new(),
            bytes: 0,
        });
        run.next_segment = next_segment;
        run.bytes += piece.len();
        self.bytes += piece.len();
        run.parts.push(piece);
        if run.bytes >= self.target {
            due.extend(self.take(column));
        }
        due
    }

    fn take(&mut self, column: Column) -> Option<Request> {
        let run = self.runs.remove(&column)?;
        self.bytes -= run.bytes;
        Some(run.into_request(column))
    }
}

impl Run {
    fn into_request(mut self, column: Column) -> Request {
        let data = if self.parts.len() == 1 {
            self.parts.swap_remove(0)
        } else {
            let mut joined = BytesMut::with_capacity(self.bytes);
            for part in &self.parts {
                joined.extend_from_slice(part);
            }
            joined.freeze()
        };
        match column {
            Column::Blocks(share) => Request::Blocks(wire::BlockRun {
                share: share.get().into(),
                first_segment: self.first_segment,
                data,
            }),
            Column::Rows => Request::Rows(wire::RowRun {
                first_segment: self.first_segment,
                data,
                proofs: Vec::new(),
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const BLOCK: usize = 64 << 10;

    fn share(number: u8) -> Column {
        Column::Blocks(ShareNumber::new(number).unwrap())
    }

    fn run(request: &Request) -> &wire::BlockRun {
        let Request::Blocks(run) = request else {
            panic!("{request:?} is no run of blocks");
        };
        run
    }

    #[test]
    fn blocks_of_interleaved_shares_are_gathered_by_share() {
        let mut batch = Batch::of_one_in(10);
        let mut due = Vec::new();
        for segment in 0..4 {
            for number in [3, 1] {
                due.extend(batch.push(share(number), BLOCK, segment, vec![number; BLOCK].into()));
            }
        }
        let seen: Vec<_> = due.iter().map(run).collect();
        assert_eq!(seen.len(), 2);
        for (run, number) in seen.iter().zip([3_u8, 1]) {
            assert_eq!((run.share, run.first_segment), (number.into(), 0));
            assert_eq!(run.data, vec![number; 4 * BLOCK]);
        }
        assert!(batch.flush().is_empty());
    }

    #[test]
    fn a_block_that_fills_a_message_is_not_copied() {
        for bytes in [RUN_BYTES_TARGET, 4 << 20] {
            let block = Bytes::from(vec![7; bytes]);
            let due = Batch::of_one_in(10).push(share(0), bytes, 5, block.clone());
            assert_eq!(due.len(), 1);
            assert_eq!(run(&due[0]).data.as_ptr(), block.as_ptr());
        }
    }

    #[test]
    fn many_shares_do_not_pile_up() {
        let mut batch = Batch::of_one_in(10);
        let mut due = Vec::new();
        for number in 0..16 {
            assert!(due.is_empty());
            due = batch.push(share(number), BLOCK, 0, vec![0; BLOCK].into());
        }
        assert_eq!((due.len(), batch.bytes), (16, 0));
    }

    #[test]
    fn of_many_conversations_each_gathers_less() {
        for (conversations, blocks) in [(1, 4), (10, 4), (32, 2), (64, 1), (255, 1)] {
            let mut batch = Batch::of_one_in(conversations);
            let mut push = |segment| batch.push(share(0), BLOCK, segment, vec![0; BLOCK].into());
            let due = (0..).map(&mut push).position(|due| !due.is_empty()).unwrap();
            assert_eq!(due + 1, blocks, "{conversations}");
        }
    }

    proptest! {
        #[test]
        fn messages_keep_order_and_size_and_lose_nothing(
            unit in prop::sample::select(vec![1_usize, 4096, 100 << 10, 700 << 10, 1500 << 10]),
            counts in prop::collection::vec((0_usize..5, any::<bool>()), 1..5),
        ) {
            let mut batch = Batch::of_one_in(10);
            let mut due = Vec::new();
            let (mut segment, mut sent, mut mark) = (0_u32, Vec::new(), 0_u8);
            for (count, gap) in counts {
                segment += u32::from(gap);
                let bytes: Vec<u8> = (0..count)
                    .flat_map(|_| { mark += 1; std::iter::repeat_n(mark, unit) })
                    .collect();
                for (j, block) in bytes.chunks(unit).enumerate() {
                    sent.push((segment + u32::try_from(j).unwrap(), block.to_vec()));
                }
                due.extend(batch.push(share(0), unit, segment, bytes.into()));
                segment += u32::try_from(count).unwrap();
            }
            due.extend(batch.flush());
            let mut received = Vec::new();
            for run in due.iter().map(run) {
                prop_assert!(run.data.len() <= RUN_BYTES_MAX.max(unit));
                for (j, block) in run.data.chunks(unit).enumerate() {
                    received.push((run.first_segment + u32::try_from(j).unwrap(), block.to_vec()));
                }
            }
            prop_assert!(received == sent);
        }
    }
}
