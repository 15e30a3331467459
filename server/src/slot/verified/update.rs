//! The check of an update: what was sent of a version, and the rest of it from its base. It costs the pages that were
//! touched and the list of page roots, never the whole table, and reads no block of the base.
//!
//! ```text
//!   begin ──▶ missing? ──Some(page)──▶ the page of the base's table ──▶ page ──▶ missing? …
//!                │ None
//!                ▼
//!             verdict
//! ```

use std::ops::Range;
use std::sync::Arc;

use tarn_proto::hash::Digest32;
use tarn_proto::{Geometry, Header, Page, PageRoots, ShareNumber, VersionId, merkle, pages};

use super::runs::Runs;
use super::{Column, Columns, Mismatch, TableDigest, Verdict};
use crate::manifest::{Content, Joined, Slices};
use crate::slot::Base;

/// An update that is being checked.
pub struct UpdateCheck<'a> {
    header: &'a Header,
    version: VersionId,
    sent: &'a TableDigest,
    shares: Vec<ShareNumber>,
    base: &'a Arc<Base>,
    base_roots: &'a PageRoots,
    /// The new page roots, as far as they are known.
    roots: Vec<Digest32>,
    /// Pages of which some rows were sent and others are the base's, the next one last.
    missing: Vec<u32>,
}

impl<'a> UpdateCheck<'a> {
    /// Checks what can be told without reading: that enough was sent, and that the blocks sent are those of the rows sent.
    pub fn begin(
        header: &'a Header,
        version: VersionId,
        sent: &'a TableDigest,
        columns: &Columns,
        base: &'a Arc<Base>,
        base_roots: &'a PageRoots,
    ) -> Result<Self, Mismatch> {
        let before = base.header();
        if !header.geometry.is_cut_as(&before.geometry) {
            return Err(Mismatch::Geometry);
        }
        if base_roots.root() != before.table_root {
            return Err(Mismatch::Table);
        }
        touches_enough(&before.geometry, &header.geometry, &sent.runs)?;
        let shares: Vec<_> = columns.0.keys().copied().collect();
        for (&share, column) in &columns.0 {
            let expected = sent.expected.get(&share).map_or(&[][..], Vec::as_slice);
            let is_held = base.generation().shares.contains_key(&share);
            if !is_held || !is_of(column, expected, &sent.runs, &header.geometry) {
                return Err(Mismatch::Share { share });
            }
        }
        let mut check = Self {
            header,
            version,
            sent,
            shares,
            base,
            base_roots,
            roots: Vec::new(),
            missing: Vec::new(),
        };
        check.find_roots();
        Ok(check)
    }

    /// The next page of the base's table that is needed.
    pub fn missing(&self) -> Option<u32> {
        self.missing.last().copied()
    }

    /// Takes the page that is needed. Any other means nothing.
    pub fn page(&mut self, page: &Page) {
        let number = page.number();
        let is_the_bases = self.base_roots.get(number) == Some(page.root());
        if self.missing() != Some(number) || !is_the_bases {
            return;
        }
        let leaves = self.leaves(number).into_iter().enumerate();
        let joined = leaves.map(|(at, sent)| sent.or_else(|| page.leaves().get(at).copied()));
        let joined: Option<Vec<Digest32>> = joined.collect();
        if let (Some(leaves), Some(root)) = (joined, self.roots.get_mut(number as usize)) {
            *root = merkle::root(&leaves);
            self.missing.pop();
        }
    }

    /// Whether all of it together is the version. Every page must have been given.
    pub fn verdict(self) -> Result<Verdict, Mismatch> {
        let Self { header, version, sent, shares, base, roots, missing, .. } = self;
        let geometry = header.geometry;
        let page_roots = PageRoots::verify(&geometry, &header.table_root, roots.as_flattened());
        let page_roots = page_roots.map_err(|_| Mismatch::Table)?;
        if !missing.is_empty() {
            return Err(Mismatch::Table);
        }
        let splice = Splice { base: Arc::clone(base), geometry, touched: sent.runs.clone() };
        Ok(Verdict {
            version,
            page_roots,
            table_length: sent.runs.count() as u64 * geometry.row_length() as u64,
            share_length: sent_length(&geometry, &sent.runs),
            shares,
            splice: Some(splice),
        })
    }

    /// Pages nobody touched have the base's roots, pages that were sent have those of what was sent.
    fn find_roots(&mut self) {
        let before = self.base.header().geometry.segments();
        let rows = self.header.geometry.segments();
        for number in 0..pages::count(rows) {
            let of_page = pages::rows(number, rows);
            let untouched =
                of_page == pages::rows(number, before) && !self.sent.runs.meet(&of_page);
            let known = if untouched {
                self.base_roots.get(number).copied()
            } else {
                let sent: Option<Vec<_>> = self.leaves(number).into_iter().collect();
                sent.map(|leaves| merkle::root(&leaves))
            };
            if known.is_none() {
                self.missing.push(number);
            }
            self.roots.push(known.unwrap_or_default());
        }
        self.missing.reverse();
    }

    /// The leaves of a page's rows, as far as they were sent.
    fn leaves(&self, page: u32) -> Vec<Option<Digest32>> {
        let sent = |row| self.sent.runs.position(row).map(|at| self.sent.leaves[at]);
        pages::rows(page, self.header.geometry.segments()).map(sent).collect()
    }
}

/// Every segment that the base does not have, and the last that both have if its blocks are longer or shorter than the
/// base's, must have been sent; nothing beyond the end may have been.
fn touches_enough(before: &Geometry, after: &Geometry, touched: &Runs) -> Result<(), Mismatch> {
    if touched.end() > after.segments() {
        return Err(Mismatch::PastEnd { what: "rows" });
    }
    let common = before.segments().min(after.segments());
    let last =
        common.checked_sub(1).filter(|&last| before.block_length(last) != after.block_length(last));
    let needed = [last.map_or(0..0, |last| last..common), common..after.segments()];
    match needed.into_iter().find(|needed| !touched.cover(needed)) {
        Some(needed) => Err(Mismatch::Untouched { first: needed.start, end: needed.end }),
        None => Ok(()),
    }
}

/// Whether the blocks are those of the rows, of all segments whose rows were sent and no others.
fn is_of(column: &Column, expected: &[Digest32], touched: &Runs, geometry: &Geometry) -> bool {
    column.runs == *touched
        && column.bytes == sent_length(geometry, touched)
        && column.hashes == expected
}

/// Bytes of one share's blocks in these segments.
fn sent_length(geometry: &Geometry, touched: &Runs) -> u64 {
    let length =
        |run: Range<u32>| block_offset(geometry, run.end) - block_offset(geometry, run.start);
    touched.iter().map(length).sum()
}

/// Where a segment's block begins in a share; at its end beyond the last.
fn block_offset(geometry: &Geometry, segment: u32) -> u64 {
    let offset = u64::from(segment) * u64::from(geometry.block_size());
    offset.min(geometry.share_length())
}

/// How contents of an update are joined from what was sent and what the base has.
#[derive(Debug, Clone)]
pub(super) struct Splice {
    base: Arc<Base>,
    geometry: Geometry,
    touched: Runs,
}

impl Splice {
    /// The whole table; none if the contents are too short.
    pub(super) fn table(&self, sent: &Content) -> Option<Content> {
        let row_length = self.geometry.row_length() as u64;
        let at = |segment: u32| u64::from(segment) * row_length;
        self.join(&self.base.generation().table, sent, at)
    }

    /// A whole share; none if the contents are too short, or the base does not have it.
    pub(super) fn share(&self, share: ShareNumber, sent: &Content) -> Option<Content> {
        let base = self.base.generation().shares.get(&share)?;
        self.join(&base.content, sent, |segment| block_offset(&self.geometry, segment))
    }

    /// What is not touched lies in the base where it lies in the update.
    fn join(&self, base: &Content, sent: &Content, at: impl Fn(u32) -> u64) -> Option<Content> {
        let (mut base, mut sent) = (Slices::of(base), Slices::of(sent));
        let (mut joined, mut taken, mut from) = (Joined::default(), 0, 0);
        for run in self.touched.iter() {
            base.copy(from..at(run.start), &mut joined)?;
            from = at(run.end);
            let next = taken + from - at(run.start);
            sent.copy(taken..next, &mut joined)?;
            taken = next;
        }
        base.copy(from..at(self.geometry.segments()), &mut joined)?;
        Some(joined.finish())
    }
}
