//! What a slot remembers of the versions that were committed to it. It is long where a file is written often, and nearly the
//! same after every change: records lie in pieces that copies share, so that a change costs the same however much is
//! remembered. Does not say what may be forgotten.

use std::sync::Arc;

use tarn_proto::{AttemptId, HistoryEntry, SequenceNumber, VersionId};

/// Records in one piece, as a rule.
const PIECE: usize = 64;

/// A version that was committed here, or that such a one was built on, and when that was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HistoryRecord {
    /// What was committed.
    pub entry: HistoryEntry,
    /// Seconds since the Unix epoch, by the server's clock. Decides only when the record may be forgotten.
    pub committed_at: u64,
}

impl HistoryRecord {
    const fn sequence_number(&self) -> SequenceNumber {
        self.entry.sequence_number
    }
}

/// Records by ascending sequence number, each version once. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct History {
    /// None of them empty.
    pieces: Vec<Arc<Vec<HistoryRecord>>>,
    length: usize,
}

/// How a history became another: of the one before, so many records were forgotten from the front, and so many after these
/// were kept. What followed them is gone, and what follows them now is new.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HistoryChange {
    /// Records forgotten from the front.
    pub forgotten: usize,
    /// Records kept after those.
    pub kept: usize,
}

impl History {
    /// How many records there are.
    pub const fn len(&self) -> usize {
        self.length
    }

    /// Whether nothing is remembered.
    pub const fn is_empty(&self) -> bool {
        self.length == 0
    }

    /// The records, from the oldest.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = &HistoryRecord> {
        self.pieces.iter().flat_map(|piece| piece.iter())
    }

    /// The records from the oldest one of this submission, or from this number on, whichever is older: none if neither is
    /// remembered.
    pub fn since(
        &self,
        attempt: AttemptId,
        number: Option<SequenceNumber>,
    ) -> impl Iterator<Item = &HistoryRecord> {
        let asked = self.iter().position(|record| record.entry.attempt == attempt);
        let number = number.map(|number| self.count_below(number));
        let from = asked.into_iter().chain(number).min().unwrap_or(self.length);
        self.from_index(from)
    }

    /// Whether this version, which has this number, is remembered.
    pub fn remembers(&self, number: SequenceNumber, version: VersionId) -> bool {
        let same = self.from_index(self.count_below(number));
        let mut same = same.take_while(|record| record.sequence_number() == number);
        same.any(|record| record.entry.version == version)
    }

    /// Adds a record at its place; one of the same version, which has the same number, goes.
    pub fn remember(&mut self, record: HistoryRecord) {
        let (number, version) = (record.sequence_number(), record.entry.version);
        if self.remembers(number, version) {
            self.remove(number, version);
        }
        // The last piece that begins at or below this number; a higher number than all others is the rule.
        let begins_above = |piece: &Arc<Vec<HistoryRecord>>| {
            piece.first().is_some_and(|first| first.sequence_number() > number)
        };
        let above = self.pieces.iter().rev().take_while(|piece| begins_above(piece)).count();
        let at = (self.pieces.len() - above).saturating_sub(1);
        let is_last = at + 1 == self.pieces.len();
        self.length += 1;
        match self.pieces.get_mut(at) {
            Some(piece) if !is_last || piece.len() < PIECE || piece_ends_above(piece, number) => {
                let piece = Arc::make_mut(piece);
                let place = piece.partition_point(|held| held.sequence_number() <= number);
                piece.insert(place, record);
            }
            Some(_) | None => {
                let mut piece = Vec::with_capacity(PIECE);
                piece.push(record);
                self.pieces.push(Arc::new(piece));
            }
        }
    }

    /// Forgets so many records from the front.
    pub fn forget(&mut self, count: usize) {
        let place = Place::of(self, count.min(self.length));
        let (whole, of_next) = (place.number, place.at);
        self.pieces.drain(..whole);
        if let Some(next) = self.pieces.first_mut().filter(|_| of_next > 0) {
            Arc::make_mut(next).drain(..of_next);
        }
        self.length -= count.min(self.length);
    }

    /// How this came of `old`. Quick where they share their pieces.
    pub fn change_from(&self, old: &Self) -> HistoryChange {
        let forgotten = match self.iter().next() {
            None => old.length,
            Some(first) if old.iter().next() == Some(first) => 0,
            Some(first) => {
                let below = old.count_below(first.sequence_number());
                let from = old.from_index(below).position(|record| record == first);
                from.map_or(old.length, |from| below + from)
            }
        };
        HistoryChange { forgotten, kept: self.common(old, forgotten) }
    }

    /// How many records at the front are those of `old` from this index on.
    fn common(&self, old: &Self, from: usize) -> usize {
        let (mut here, mut there) = (Place::of(self, 0), Place::of(old, from));
        let mut common = 0;
        loop {
            match (here.piece(), there.piece()) {
                (Some(ours), Some(theirs)) if here.at == there.at && Arc::ptr_eq(ours, theirs) => {
                    let rest = ours.len() - here.at;
                    common += rest;
                    here.skip(rest);
                    there.skip(rest);
                }
                (Some(ours), Some(theirs)) if ours[here.at] == theirs[there.at] => {
                    common += 1;
                    here.skip(1);
                    there.skip(1);
                }
                _ => return common,
            }
        }
    }

    /// The records from this index on.
    pub fn from_index(&self, index: usize) -> impl Iterator<Item = &HistoryRecord> {
        let place = Place::of(self, index);
        let pieces = self.pieces.get(place.number..).unwrap_or_default();
        pieces.iter().flat_map(|piece| piece.iter()).skip(place.at)
    }

    /// How many records have a lower number.
    fn count_below(&self, number: SequenceNumber) -> usize {
        let begins_below = |piece: &Arc<Vec<HistoryRecord>>| {
            piece.first().is_some_and(|first| first.sequence_number() < number)
        };
        let pieces = self.pieces.partition_point(begins_below);
        let Some((last, before)) = self.pieces[..pieces].split_last() else { return 0 };
        let in_last = last.partition_point(|record| record.sequence_number() < number);
        before.iter().map(|piece| piece.len()).sum::<usize>() + in_last
    }

    fn remove(&mut self, number: SequenceNumber, version: VersionId) {
        let is_it = |record: &HistoryRecord| {
            record.sequence_number() == number && record.entry.version == version
        };
        for piece in self.pieces.iter_mut().rev() {
            if let Some(at) = piece.iter().position(is_it) {
                Arc::make_mut(piece).remove(at);
                self.length -= 1;
                break;
            }
        }
        self.pieces.retain(|piece| !piece.is_empty());
    }
}

fn piece_ends_above(piece: &[HistoryRecord], number: SequenceNumber) -> bool {
    piece.last().is_some_and(|last| last.sequence_number() > number)
}

/// A place in a history.
struct Place<'a> {
    history: &'a History,
    /// Of the piece.
    number: usize,
    /// In the piece.
    at: usize,
}

impl<'a> Place<'a> {
    fn of(history: &'a History, index: usize) -> Self {
        let mut place = Self { history, number: 0, at: index };
        place.skip(0);
        place
    }

    fn piece(&self) -> Option<&'a Arc<Vec<HistoryRecord>>> {
        self.history.pieces.get(self.number)
    }

    fn skip(&mut self, records: usize) {
        self.at += records;
        while let Some(piece) = self.piece()
            && self.at >= piece.len()
        {
            self.at -= piece.len();
            self.number += 1;
        }
    }
}

impl PartialEq for History {
    fn eq(&self, other: &Self) -> bool {
        self.length == other.length && self.common(other, 0) == self.length
    }
}

impl Eq for History {}

impl FromIterator<HistoryRecord> for History {
    /// Of records in ascending order.
    fn from_iter<I: IntoIterator<Item = HistoryRecord>>(records: I) -> Self {
        let records: Vec<_> = records.into_iter().collect();
        let pieces = records.chunks(PIECE).map(|piece| Arc::new(piece.to_vec())).collect();
        Self { pieces, length: records.len() }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn record(number: u64, version: u8, at: u64) -> HistoryRecord {
        let entry = HistoryEntry {
            attempt: AttemptId::new([version; 16]),
            version: VersionId::new([version; 32]),
            predecessor: None,
            sequence_number: SequenceNumber::new(number).unwrap(),
        };
        HistoryRecord { entry, committed_at: at }
    }

    fn of(numbers: std::ops::Range<u64>) -> History {
        numbers.map(|number| record(number, 0, number)).collect()
    }

    fn numbers(history: &History) -> Vec<u64> {
        history.iter().map(|record| record.sequence_number().get()).collect()
    }

    /// The same, in one list.
    fn remember(list: &mut Vec<HistoryRecord>, record: HistoryRecord) {
        list.retain(|held| held.entry.version != record.entry.version);
        let number = record.sequence_number();
        let at = list.partition_point(|held| held.sequence_number() <= number);
        list.insert(at, record);
    }

    #[test]
    fn what_follows_is_added_without_touching_what_is_shared() {
        let before = of(1..1_001);
        let mut after = before.clone();
        after.remember(record(1_001, 1, 5));
        assert_eq!((before.len(), after.len()), (1_000, 1_001));
        let shared = before.pieces.iter().zip(&after.pieces).filter(|(a, b)| Arc::ptr_eq(a, b));
        assert_eq!(shared.count(), before.pieces.len() - 1);
        assert_eq!(after.change_from(&before), HistoryChange { forgotten: 0, kept: 1_000 });
        assert_eq!(before.change_from(&before), HistoryChange { forgotten: 0, kept: 1_000 });
    }

    #[test]
    fn what_is_forgotten_from_the_front_leaves_the_rest_shared() {
        for count in [0, 1, 63, 64, 130, 999, 1_000, 2_000] {
            let before = of(1..1_001);
            let mut after = before.clone();
            after.forget(count);
            assert_eq!(numbers(&after), (count.min(1_000) as u64 + 1..1_001).collect::<Vec<_>>());
            let forgotten = count.min(1_000);
            let change = HistoryChange { forgotten, kept: 1_000 - forgotten };
            assert_eq!(after.change_from(&before), change);
        }
    }

    #[test]
    fn what_is_told_begins_with_the_submission_or_the_number() {
        let record = |number: u8| record(number.into(), number, 0);
        let history: History = (1..=200).map(record).collect();
        let told = |attempt: u8, number: Option<u64>| {
            let number = number.and_then(SequenceNumber::new);
            history.since(AttemptId::new([attempt; 16]), number).count()
        };
        assert_eq!([told(250, None), told(200, None), told(1, None)], [0, 1, 200]);
        assert_eq!(
            [told(250, Some(151)), told(190, Some(151)), told(150, Some(151))],
            [50, 50, 51]
        );
        assert_eq!(told(250, Some(1_000)), 0);
    }

    proptest! {
        #[test]
        fn it_is_what_one_list_would_be_and_tells_how_it_came(
            steps in prop::collection::vec((0u8..=255, 0usize..100), 0..400),
            shares in any::<bool>(),
        ) {
            let (mut history, mut list) = (History::default(), Vec::new());
            for (time, (version, forget)) in (0..).zip(steps) {
                let before = history.clone();
                // A version has one number, which others may have, too.
                let new = record(1 + u64::from(version / 2), version, time);
                history.remember(new);
                remember(&mut list, new);
                if forget > 90 {
                    history.forget(forget - 90);
                    list.drain(..(forget - 90).min(list.len()));
                }
                prop_assert_eq!(history.iter().copied().collect::<Vec<_>>(), list.clone());
                let remembers = history.remembers(new.sequence_number(), new.entry.version);
                prop_assert_eq!(remembers, list.contains(&new));
                let old = if shares { before } else { before.iter().copied().collect() };
                let change = history.change_from(&old);
                let kept = old.iter().skip(change.forgotten).take(change.kept);
                let rest = history.from_index(change.kept);
                prop_assert_eq!(kept.chain(rest).copied().collect::<Vec<_>>(), list.clone());
            }
            prop_assert_eq!(numbers(&history).len(), history.len());
        }
    }
}
