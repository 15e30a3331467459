//! A table in pages of 64 rows. As the tree of RFC 6962 splits at powers of two, the tree over all leaves is the tree over
//! the roots of their pages: whoever keeps those roots beside a table checks, proves or changes a few rows at the cost of
//! their pages, never of the whole table.
//!
//! [`PageRoots`] and [`Page`] are only made by computing them or by checking them against a table root.

use std::ops::Range;

use bytes::Bytes;

use crate::geometry::Geometry;
use crate::hash::Digest32;
use crate::merkle;
use crate::table::{Row, TableError};

/// Rows in a page; the last page of a table may have fewer.
pub const PAGE_ROWS: u32 = 64;

/// How many pages a table of so many rows has.
pub const fn count(rows: u32) -> u32 {
    rows.div_ceil(PAGE_ROWS)
}

/// The rows of a page, in a table of so many rows; none beyond the last page.
pub fn rows(page: u32, rows: u32) -> Range<u32> {
    let first = page.saturating_mul(PAGE_ROWS).min(rows);
    first..first.saturating_add(PAGE_ROWS).min(rows)
}

/// The pages that these rows are in.
pub fn covering(rows: &Range<u32>) -> Range<u32> {
    if rows.is_empty() { 0..0 } else { rows.start / PAGE_ROWS..count(rows.end) }
}

/// The rows that both have.
pub fn common(a: &Range<u32>, b: &Range<u32>) -> Range<u32> {
    let start = a.start.max(b.start);
    start..a.end.min(b.end).max(start)
}

/// The roots of all pages of one table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PageRoots(Vec<Digest32>);

impl PageRoots {
    /// The page roots of a table with these leaves.
    pub fn of(leaves: &[Digest32]) -> Self {
        Self(leaves.chunks(PAGE_ROWS as usize).map(merkle::root).collect())
    }

    /// Checks page roots, concatenated, against the table root of a version. Those of a table that is no more than one
    /// page follow from that root, and may be left out.
    pub fn verify(geometry: &Geometry, root: &Digest32, bytes: &[u8]) -> Result<Self, TableError> {
        let pages = count(geometry.segments()) as usize;
        let (roots, rest) = bytes.as_chunks::<32>();
        let roots = Self(if bytes.is_empty() && pages == 1 { vec![*root] } else { roots.to_vec() });
        if roots.0.len() != pages || !rest.is_empty() {
            return Err(TableError::Length { expected: 32 * pages, got: bytes.len() });
        }
        if roots.root() == *root { Ok(roots) } else { Err(TableError::Root) }
    }

    /// The root of the whole table.
    pub fn root(&self) -> Digest32 {
        merkle::root(&self.0)
    }

    /// The root of one page.
    pub fn get(&self, page: u32) -> Option<&Digest32> {
        self.0.get(page as usize)
    }

    /// All of them, in order.
    pub fn roots(&self) -> &[Digest32] {
        &self.0
    }

    /// All of them as they are kept: concatenated, and left out if there is only one.
    pub fn bytes(&self) -> Bytes {
        if self.0.len() < 2 { Bytes::new() } else { self.0.concat().into() }
    }
}

/// The rows of one page that hash to its root.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page {
    rows: Range<u32>,
    row_length: usize,
    bytes: Bytes,
    leaves: Vec<Digest32>,
    root: Digest32,
}

impl Page {
    /// Checks all rows of a page, concatenated, against the page roots of a version of this geometry.
    pub fn verify(
        geometry: &Geometry,
        roots: &PageRoots,
        page: u32,
        bytes: Bytes,
    ) -> Result<Self, TableError> {
        let (rows, row_length) = (rows(page, geometry.segments()), geometry.row_length());
        let expected = rows.len() * row_length;
        if bytes.len() != expected {
            return Err(TableError::Length { expected, got: bytes.len() });
        }
        let leaves: Vec<_> = bytes.chunks_exact(row_length).map(merkle::leaf).collect();
        let root = merkle::root(&leaves);
        if roots.get(page) != Some(&root) {
            return Err(TableError::Root);
        }
        Ok(Self { rows, row_length, bytes, leaves, root })
    }

    /// Which rows of the table it has.
    pub const fn rows(&self) -> &Range<u32> {
        &self.rows
    }

    /// Its number.
    pub const fn number(&self) -> u32 {
        self.rows.start / PAGE_ROWS
    }

    /// The row of this segment, if it is in the page.
    pub fn row(&self, segment: u32) -> Option<Row> {
        self.rows.contains(&segment).then(|| Row::checked(self.bytes_of(segment..segment + 1)))
    }

    /// The rows of these segments, which are in the page, concatenated as they are stored and sent.
    pub fn bytes_of(&self, segments: Range<u32>) -> Bytes {
        let at = |segment: u32| {
            let within = segment.clamp(self.rows.start, self.rows.end) - self.rows.start;
            within as usize * self.row_length
        };
        self.bytes.slice(at(segments.start)..at(segments.end.max(segments.start)))
    }

    /// The leaves of its rows.
    pub fn leaves(&self) -> &[Digest32] {
        &self.leaves
    }

    /// Its root.
    pub const fn root(&self) -> &Digest32 {
        &self.root
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::geometry::Shape;
    use crate::table::Table;

    fn geometry(rows: u32) -> Geometry {
        Geometry::new(Shape::new(1, 1, 1).unwrap(), 1, rows.into()).unwrap()
    }

    fn table(rows: u32) -> Table {
        let hash = |row: u32| Digest32::from(std::array::from_fn(|_| row.to_le_bytes()[0]));
        Table::from_rows(1, (0..rows).map(|row| Row::new(&hash(row / 256), &[hash(row)])))
    }

    fn bytes_of(table: &Table, page: u32) -> Bytes {
        let rows = rows(page, u32::try_from(table.len()).unwrap());
        table.bytes().slice(64 * rows.start as usize..64 * rows.end as usize)
    }

    proptest! {
        #[test]
        fn the_tree_over_page_roots_is_the_tree_over_all_leaves(rows in 0_u32..1_100) {
            let leaves = table(rows).leaves();
            let roots = PageRoots::of(&leaves);
            prop_assert_eq!(roots.root(), merkle::root(&leaves));
            prop_assert_eq!(roots.roots().len(), count(rows) as usize);
            let again = PageRoots::verify(&geometry(rows), &roots.root(), &roots.bytes());
            prop_assert_eq!(again, Ok(roots));
        }

        #[test]
        fn a_rows_proof_is_that_of_its_page_and_then_that_of_the_page(
            (rows, row) in (1_u32..1_100).prop_flat_map(|rows| (Just(rows), 0..rows)),
        ) {
            let table = table(rows);
            let roots = PageRoots::of(&table.leaves());
            let (number, geometry) = (row / PAGE_ROWS, geometry(rows));
            let page = Page::verify(&geometry, &roots, number, bytes_of(&table, number)).unwrap();
            let within = (row % PAGE_ROWS) as usize;
            let mut proof = merkle::proof(page.leaves(), within).unwrap();
            proof.extend(merkle::proof(roots.roots(), number as usize).unwrap());
            prop_assert_eq!(merkle::proof(&table.leaves(), row as usize), Some(proof));
            prop_assert_eq!(page.row(row), table.row(row));
        }
    }

    #[test]
    fn rows_are_in_the_pages_that_cover_them() {
        assert_eq!(covering(&(63..65)), 0..2);
        assert_eq!(covering(&(64..128)), 1..2);
        assert_eq!(covering(&(64..64)), 0..0);
        assert_eq!(common(&(0..64), &(63..65)), 63..64);
        assert!(common(&(0..64), &(64..65)).is_empty());
    }

    #[test]
    fn bent_missing_and_surplus_page_roots_are_refused() {
        let (geometry, roots) = (geometry(129), PageRoots::of(&table(129).leaves()));
        let (root, bytes) = (roots.root(), roots.bytes());
        assert_eq!(PageRoots::verify(&geometry, &root, &bytes), Ok(roots));
        let mut bent = bytes.to_vec();
        bent[40] ^= 1;
        assert_eq!(PageRoots::verify(&geometry, &root, &bent), Err(TableError::Root));
        let longer = [&bytes[..], &bytes[..32]].concat();
        for wrong in [&bytes[..64], &bytes[..95], &longer[..], &[]] {
            let length = TableError::Length { expected: 96, got: wrong.len() };
            assert_eq!(PageRoots::verify(&geometry, &root, wrong), Err(length));
        }
    }

    #[test]
    fn a_page_is_checked_against_its_own_root_only() {
        let (geometry, table) = (geometry(129), table(129));
        let roots = PageRoots::of(&table.leaves());
        let page = |number| Page::verify(&geometry, &roots, number, bytes_of(&table, number));
        assert_eq!(page(2).unwrap().rows(), &(128..129));
        assert_eq!(page(1).unwrap().number(), 1);
        assert_eq!(page(1).unwrap().row(63), None);
        assert_eq!(page(1).unwrap().bytes_of(65..67), table.bytes().slice(65 * 64..67 * 64));
        let swapped = Page::verify(&geometry, &roots, 0, bytes_of(&table, 1));
        assert_eq!(swapped, Err(TableError::Root));
        let cut = Page::verify(&geometry, &roots, 1, bytes_of(&table, 2));
        assert!(matches!(cut, Err(TableError::Length { .. })));
        assert_eq!(Page::verify(&geometry, &roots, 3, Bytes::new()), Err(TableError::Root));
    }

    #[test]
    fn a_table_of_one_page_or_none_needs_no_page_roots() {
        for rows in [0, 1, 64] {
            let roots = PageRoots::of(&table(rows).leaves());
            assert!(roots.bytes().is_empty());
            assert_eq!(PageRoots::verify(&geometry(rows), &roots.root(), &[]), Ok(roots));
        }
        assert!(!PageRoots::of(&table(65).leaves()).bytes().is_empty());
    }
}
