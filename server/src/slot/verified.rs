//! Shares that were checked against their version's table: rule 2 of a slot. Blocks and rows are hashed run by run
//! as they arrive; what remains in memory is one hash for each of them, and the check at Seal compares hashes.

mod runs;
mod update;

use std::collections::BTreeMap;

use tarn_proto::hash::Digest32;
use tarn_proto::table::{SALT_LENGTH, block_hash};
use tarn_proto::{Header, PageRoots, ShareNumber, VersionId, merkle};

use crate::manifest::Content;

pub use update::UpdateCheck;

use runs::Runs;
use update::Splice;

/// Why blocks or rows are not what they should be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Mismatch {
    /// Send runs of whole blocks and rows, each following the one before; only an update may leave segments out.
    #[error(
        "a run of {what} does not follow the one before: expected segment {expected}, got {got}"
    )]
    Order {
        /// Blocks or rows.
        what: &'static str,
        /// The segment that should have come.
        expected: u32,
        /// The segment that came.
        got: u32,
    },
    /// Nothing may follow a block that is shorter than the others, and no version has more than 16,384 segments.
    #[error("a run of {what} goes on past the end of the version")]
    PastEnd {
        /// Blocks or rows.
        what: &'static str,
    },
    /// A run is cut in the middle of a row.
    #[error("a run of rows must hold whole rows of {row_length} bytes, got {got} bytes")]
    RowLength {
        /// Bytes of one row.
        row_length: usize,
        /// Bytes that came.
        got: usize,
    },
    /// Send what the base of an update does not have.
    #[error(
        "segments {first} up to {end} are not in the base as they are in the version, and were not sent"
    )]
    Untouched {
        /// The first such segment.
        first: u32,
        /// The segment after the last.
        end: u32,
    },
    /// The header is not of the shape, block size and length that were announced.
    #[error("the header does not have the shape, block size and length that were announced")]
    Geometry,
    /// The rows are incomplete, or not those of the version.
    #[error("the rows do not hash to the version's table root")]
    Table,
    /// The share is incomplete, or its blocks are not those of the version.
    #[error("the blocks of share {share} are not those of the version")]
    Share {
        /// The share.
        share: ShareNumber,
    },
}

/// A run of blocks of one share, hashed.
#[derive(Debug)]
pub struct HashedBlocks {
    share: ShareNumber,
    first_segment: u32,
    hashes: Vec<Digest32>,
    bytes: u64,
    ends_short: bool,
}

impl HashedBlocks {
    /// Hashes a run of blocks of `block_size` bytes, the last of which may be shorter.
    pub fn hash(share: ShareNumber, first_segment: u32, block_size: u32, data: &[u8]) -> Self {
        let block_size = block_size.max(1) as usize;
        // A run that begins beyond the last segment there can be is hashed like any other, and refused by `append`.
        let hashes = (first_segment..=u32::MAX)
            .zip(data.chunks(block_size))
            .map(|(segment, block)| block_hash(segment, share, block));
        Self {
            share,
            first_segment,
            hashes: hashes.collect(),
            bytes: data.len() as u64,
            ends_short: !data.len().is_multiple_of(block_size),
        }
    }
}

/// The hashes of the blocks of all shares being written.
#[derive(Debug)]
pub struct Columns(BTreeMap<ShareNumber, Column>);

#[derive(Debug, Default)]
struct Column {
    runs: Runs,
    hashes: Vec<Digest32>,
    bytes: u64,
    ended: bool,
}

impl Columns {
    /// No blocks yet of any of these shares.
    pub fn new(shares: &[ShareNumber]) -> Self {
        let empty = shares.iter().map(|&share| (share, Column::default()));
        Self(empty.collect())
    }

    /// The same for an update, which leaves segments out.
    pub fn of_update(shares: &[ShareNumber]) -> Self {
        let empty = || Column { runs: Runs::with_gaps(), ..Column::default() };
        Self(shares.iter().map(|&share| (share, empty())).collect())
    }

    /// Whether a run of so many blocks may follow in its share: to be asked before it is hashed.
    pub fn expect(
        &self,
        share: ShareNumber,
        first_segment: u32,
        blocks: usize,
    ) -> Result<(), Mismatch> {
        let column = self.0.get(&share).ok_or(Mismatch::Share { share })?;
        column.runs.expect("blocks", first_segment, blocks)?;
        if column.ended {
            return Err(Mismatch::PastEnd { what: "blocks" });
        }
        Ok(())
    }

    /// Adds the run that follows in its share.
    pub fn append(&mut self, run: HashedBlocks) -> Result<(), Mismatch> {
        let share = run.share;
        self.expect(share, run.first_segment, run.hashes.len())?;
        let column = self.0.get_mut(&share).ok_or(Mismatch::Share { share })?;
        column.runs.push(run.first_segment, run.hashes.len());
        column.hashes.extend(run.hashes);
        column.bytes += run.bytes;
        column.ended = run.ends_short;
        Ok(())
    }
}

/// A run of rows, hashed.
#[derive(Debug)]
pub struct HashedRows {
    first_segment: u32,
    leaves: Vec<Digest32>,
    expected: BTreeMap<ShareNumber, Vec<Digest32>>,
}

impl HashedRows {
    /// Hashes a run of rows of a version of `n` shares, and notes what they say of `shares`, which are below `n`.
    pub fn hash(
        n: u8,
        shares: &[ShareNumber],
        first_segment: u32,
        data: &[u8],
    ) -> Result<Self, Mismatch> {
        let row_length = SALT_LENGTH + 32 * usize::from(n);
        let rows = data.chunks_exact(row_length);
        if !rows.remainder().is_empty() || shares.iter().any(|share| share.get() >= n) {
            return Err(Mismatch::RowLength { row_length, got: data.len() });
        }
        let hash_in = |row: &[u8], share: ShareNumber| {
            let mut hash = Digest32::default();
            let start = SALT_LENGTH + 32 * share.index();
            hash.copy_from_slice(&row[start..start + 32]);
            hash
        };
        let expected = shares
            .iter()
            .map(|&share| (share, rows.clone().map(|row| hash_in(row, share)).collect()));
        Ok(Self {
            first_segment,
            expected: expected.collect(),
            leaves: rows.map(merkle::leaf).collect(),
        })
    }
}

/// What a table says of the shares being written, and the leaves of its Merkle tree.
#[derive(Debug, Default)]
pub struct TableDigest {
    runs: Runs,
    leaves: Vec<Digest32>,
    expected: BTreeMap<ShareNumber, Vec<Digest32>>,
}

impl TableDigest {
    /// No rows yet of an update, which leaves some out.
    pub fn of_update() -> Self {
        Self { runs: Runs::with_gaps(), ..Self::default() }
    }

    /// Whether a run of so many rows may follow: to be asked before it is hashed.
    pub fn expect(&self, first_segment: u32, rows: usize) -> Result<(), Mismatch> {
        self.runs.expect("rows", first_segment, rows)
    }

    /// Adds the run that follows.
    pub fn append(&mut self, run: HashedRows) -> Result<(), Mismatch> {
        self.expect(run.first_segment, run.leaves.len())?;
        self.runs.push(run.first_segment, run.leaves.len());
        self.leaves.extend(run.leaves);
        for (share, hashes) in run.expected {
            self.expected.entry(share).or_default().extend(hashes);
        }
        Ok(())
    }

    /// Rows so far.
    pub fn rows(&self) -> usize {
        self.leaves.len()
    }
}

/// Says that a table and columns are those of one version. Only [`Verdict::check`] makes it, and of an update
/// [`UpdateCheck`].
#[derive(Debug, Clone)]
pub struct Verdict {
    version: VersionId,
    page_roots: PageRoots,
    /// Bytes of the rows that were sent.
    table_length: u64,
    /// Bytes of the blocks that were sent of each share.
    share_length: u64,
    shares: Vec<ShareNumber>,
    /// Where the rest is, if not all was sent.
    splice: Option<Splice>,
}

impl Verdict {
    /// Checks everything that was hashed against a header.
    pub fn check(
        header: &Header,
        version: VersionId,
        table: &TableDigest,
        columns: &Columns,
    ) -> Result<Self, Mismatch> {
        let segments = header.geometry.segments();
        let page_roots = PageRoots::of(&table.leaves);
        if !table.runs.are_all(segments) || page_roots.root() != header.table_root {
            return Err(Mismatch::Table);
        }
        let share_length = header.geometry.share_length();
        for (&share, column) in &columns.0 {
            let expected = table.expected.get(&share).map_or(&[][..], Vec::as_slice);
            let fits = share.get() < header.shape.n()
                && column.bytes == share_length
                && column.runs.are_all(segments)
                && column.hashes == expected;
            if !fits {
                return Err(Mismatch::Share { share });
            }
        }
        Ok(Self {
            version,
            page_roots,
            table_length: header.geometry.table_length() as u64,
            share_length,
            shares: columns.0.keys().copied().collect(),
            splice: None,
        })
    }
}

/// Checked shares of one version, and where their bytes are kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerifiedWrite {
    version: VersionId,
    page_roots: PageRoots,
    table: Content,
    shares: BTreeMap<ShareNumber, Content>,
}

impl VerifiedWrite {
    /// Joins a verdict with where the bytes it was given on are kept, and those of an update with its base; none when the
    /// contents are not of that table and those shares.
    pub fn new(
        verdict: &Verdict,
        table: Content,
        shares: BTreeMap<ShareNumber, Content>,
    ) -> Option<Self> {
        let fits = table.length() == verdict.table_length
            && shares.keys().eq(&verdict.shares)
            && shares.values().all(|content| content.length() == verdict.share_length);
        if !fits {
            return None;
        }
        let (table, shares) = match &verdict.splice {
            None => (table, shares),
            Some(splice) => {
                let join = |(share, sent)| Some((share, splice.share(share, &sent)?));
                let shares: Option<_> = shares.into_iter().map(join).collect();
                (splice.table(&table)?, shares?)
            }
        };
        let page_roots = verdict.page_roots.clone();
        Some(Self { version: verdict.version, page_roots, table, shares })
    }

    /// The version.
    pub const fn version(&self) -> VersionId {
        self.version
    }

    pub(super) const fn shares(&self) -> &BTreeMap<ShareNumber, Content> {
        &self.shares
    }

    pub(super) const fn page_roots(&self) -> &PageRoots {
        &self.page_roots
    }

    pub(super) fn into_contents(self) -> (Content, BTreeMap<ShareNumber, Content>) {
        (self.table, self.shares)
    }
}

#[cfg(test)]
mod tests;
