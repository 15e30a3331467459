//! The root of a table that is changed in part, from the rows at the edges of the change and their proofs: whoever
//! changes a few rows needs neither the others nor their hashes. Does not know blocks or bytes of content.
//!
//! ```text
//!   kept: before        replaced       kept: after
//!  ├───────┬───┬─┤├─────────────────┤├─┬───┬───────┤
//!   the left       first …   … last    the right
//!   siblings of first                  siblings of last
//! ```
//!
//! The left siblings of leaf i are the roots of the complete subtrees that [0, i) falls into, however many leaves
//! follow. So the end of a table may be replaced, grown or cut. What stays behind the change must stay in its place.

use bytes::Bytes;

use crate::geometry::Geometry;
use crate::hash::Digest32;
use crate::merkle::{self, Side};
use crate::table::{Row, TableError};

/// A row, and the proof that it is a version's. Only made by checking.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProvenRow {
    segment: u32,
    row: Row,
    /// The root it was checked against.
    root: Digest32,
    left: Vec<Subtree>,
    right: Vec<Subtree>,
}

/// So many consecutive leaves under one node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Subtree {
    leaves: usize,
    root: Digest32,
}

impl ProvenRow {
    /// Checks one row that came with its proof.
    ///
    /// # Errors
    ///
    /// When the bytes and the proof are not of that row of the version.
    pub fn verify(
        geometry: &Geometry,
        root: &Digest32,
        segment: u32,
        bytes: Bytes,
        proof: &[Digest32],
    ) -> Result<Self, TableError> {
        let row = Row::verify(geometry, root, segment, bytes, proof)?;
        let siblings = merkle::siblings(geometry.segments() as usize, segment as usize);
        let (mut left, mut right) = (Vec::new(), Vec::new());
        for (sibling, root) in siblings.iter().zip(proof) {
            let subtree = Subtree { leaves: sibling.leaves, root: *root };
            match sibling.side {
                Side::Left => left.push(subtree),
                Side::Right => right.push(subtree),
            }
        }
        // From the leaf up is from right to left.
        left.reverse();
        Ok(Self { segment, row, root: *root, left, right })
    }

    /// Which row it is.
    pub const fn segment(&self) -> u32 {
        self.segment
    }

    /// The row.
    pub const fn row(&self) -> &Row {
        &self.row
    }

    /// The row, for whoever needs no proof.
    pub fn into_row(self) -> Row {
        self.row
    }
}

/// What stays of a table when a stretch of its rows is replaced.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fringe {
    before: Vec<Subtree>,
    after: Option<After>,
}

/// What stays behind the stretch.
#[derive(Debug, Clone, PartialEq, Eq)]
struct After {
    /// How many rows the stretch has.
    replaced: usize,
    kept: Vec<Subtree>,
}

impl Fringe {
    /// Nothing stays.
    pub const fn empty() -> Self {
        Self { before: Vec::new(), after: None }
    }

    /// What is before this row stays.
    pub fn before(row: &ProvenRow) -> Self {
        Self { before: row.left.clone(), after: None }
    }

    /// What is before this row stays, and so does the row.
    pub fn through(row: &ProvenRow) -> Self {
        let mut before = row.left.clone();
        push(&mut before, Subtree { leaves: 1, root: merkle::leaf(row.row.bytes()) });
        Self { before, after: None }
    }

    /// What is before the first of these rows and what is after the last stays where it is. None if the rows are not
    /// of one table, or not in this order.
    pub fn around(first: &ProvenRow, last: &ProvenRow) -> Option<Self> {
        let replaced = last.segment.checked_sub(first.segment)? as usize + 1;
        let after = After { replaced, kept: last.right.clone() };
        (first.root == last.root).then(|| Self { before: first.left.clone(), after: Some(after) })
    }

    /// The root of the table that has these leaves where the stretch was. None if what is behind the stretch would
    /// not stay in its place.
    pub fn root(&self, leaves: &[Digest32]) -> Option<Digest32> {
        if self.after.as_ref().is_some_and(|after| after.replaced != leaves.len()) {
            return None;
        }
        let mut peaks = self.before.clone();
        for &root in leaves {
            push(&mut peaks, Subtree { leaves: 1, root });
        }
        for &kept in self.after.iter().flat_map(|after| &after.kept) {
            push(&mut peaks, kept);
        }
        let roots = peaks.iter().rev().map(|peak| peak.root);
        let root = roots.reduce(|right, left| merkle::node(&left, &right));
        Some(root.unwrap_or_else(merkle::empty_root))
    }
}

/// Adds a subtree on the right. Two complete ones of the same size are one of twice the size; the one that is not
/// complete, if there is one, is the last.
fn push(peaks: &mut Vec<Subtree>, mut added: Subtree) {
    while let Some(last) =
        peaks.pop_if(|last| last.leaves == added.leaves && added.leaves.is_power_of_two())
    {
        added = Subtree { leaves: 2 * last.leaves, root: merkle::node(&last.root, &added.root) };
    }
    peaks.push(added);
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::geometry::Shape;
    use crate::table::Table;

    /// Rows of one byte each: `mark` tells two tables apart.
    fn row(segment: u32, mark: u8) -> Row {
        let mut salt = [mark; 32];
        salt[..4].copy_from_slice(&segment.to_be_bytes());
        Row::new(&salt, &[[mark; 32]])
    }

    struct Old {
        table: Table,
        leaves: Vec<Digest32>,
        geometry: Geometry,
    }

    fn old(count: u32) -> Old {
        let table = Table::from_rows(1, (0..count).map(|segment| row(segment, 1)));
        let shape = Shape::new(1, 1, 1).unwrap();
        let geometry = Geometry::new(shape, 1, count.into()).unwrap();
        Old { leaves: table.leaves(), table, geometry }
    }

    impl Old {
        fn proven(&self, segment: u32) -> ProvenRow {
            let proof = merkle::proof(&self.leaves, segment as usize).unwrap();
            let bytes = self.table.row(segment).unwrap().bytes().clone();
            ProvenRow::verify(&self.geometry, &self.table.root(), segment, bytes, &proof).unwrap()
        }

        /// What stays before row `start`, which may be one beyond the last.
        fn kept_before(&self, start: u32) -> Fringe {
            match self.geometry.segments() {
                0 => Fringe::empty(),
                count if start == count => Fringe::through(&self.proven(count - 1)),
                _ => Fringe::before(&self.proven(start)),
            }
        }
    }

    fn fresh(segments: std::ops::Range<u32>) -> Vec<Digest32> {
        segments.map(|segment| merkle::leaf(row(segment, 2).bytes())).collect()
    }

    /// Replaces everything from `start` on, so that there are `count` rows.
    fn check_end_replaced(old: &Old, start: u32, count: u32) {
        let new = fresh(start..count);
        let whole = [&old.leaves[..start as usize], &new].concat();
        let expected = Some(merkle::root(&whole));
        let context = (old.geometry.segments(), start, count);
        assert_eq!(old.kept_before(start).root(&new), expected, "{context:?}");
    }

    #[test]
    fn the_end_of_every_small_table_is_replaced_grown_and_cut() {
        for before in 0..=18 {
            let old = old(before);
            for start in 0..=before {
                for count in start..=20 {
                    check_end_replaced(&old, start, count);
                }
            }
        }
    }

    #[test]
    fn tables_grow_and_shrink_over_pages_and_powers_of_two() {
        for before in [63, 64, 65, 127, 128, 129, 1024] {
            let old = old(before);
            for start in [before, before - 1, before / 2] {
                for count in [63, 64, 65, 128, 130, 192, 1025, 2048] {
                    if count >= start {
                        check_end_replaced(&old, start, count);
                    }
                }
            }
        }
    }

    #[test]
    fn a_stretch_in_the_middle_of_every_small_table_is_replaced() {
        for count in 1..=20 {
            let old = old(count);
            for first in 0..count {
                for last in first..count {
                    let fringe = Fringe::around(&old.proven(first), &old.proven(last)).unwrap();
                    let new = fresh(first..last + 1);
                    let mut whole = old.leaves.clone();
                    whole.splice(first as usize..=last as usize, new.iter().copied());
                    assert_eq!(fringe.root(&new), Some(merkle::root(&whole)));
                    assert_eq!(fringe.root(&new[1..]), None, "what follows would move");
                }
            }
        }
    }

    #[test]
    fn rows_that_do_not_enclose_a_stretch_of_one_table_are_refused() {
        let (one, two) = (old(5), old(6));
        assert_eq!(Fringe::around(&one.proven(3), &one.proven(2)), None);
        assert_eq!(Fringe::around(&one.proven(1), &two.proven(2)), None);
        assert_eq!((one.proven(1).segment(), one.proven(1).row()), (1, &row(1, 1)));
    }

    proptest! {
        #[test]
        fn changes_of_large_tables_come_out_as_if_the_table_was_there(
            count in 1_u32..3000,
            one in 0_u32..3000,
            two in 0_u32..3000,
            grown in 0_u32..3000,
        ) {
            let old = old(count);
            let (first, last) = ((one % count).min(two % count), (one % count).max(two % count));
            let new = fresh(first..last + 1);
            let mut whole = old.leaves.clone();
            whole.splice(first as usize..=last as usize, new.iter().copied());
            let fringe = Fringe::around(&old.proven(first), &old.proven(last)).unwrap();
            prop_assert_eq!(fringe.root(&new), Some(merkle::root(&whole)));
            check_end_replaced(&old, one % (count + 1), (one % (count + 1)).max(grown));
        }

        #[test]
        fn a_bent_proof_proves_nothing(count in 2_u32..200, index in 0_u32..200, at in 0_usize..8) {
            let old = old(count);
            let index = index % count;
            let mut proof = merkle::proof(&old.leaves, index as usize).unwrap();
            let at = at % proof.len();
            proof[at][0] ^= 1;
            let bytes = old.table.row(index).unwrap().bytes().clone();
            let root = old.table.root();
            prop_assert!(ProvenRow::verify(&old.geometry, &root, index, bytes, &proof).is_err());
        }
    }
}
