//! A version's table: one row of salt and block hashes for every segment. Every server of a version has the whole
//! table, so that any one server can prove any block of any share.
//!
//! A [`Table`] or [`Row`] is only made by computing it or by checking it against a root.

use bytes::Bytes;

use crate::geometry::Geometry;
use crate::hash::{Digest32, Tagged};
use crate::ids::ShareNumber;
use crate::merkle;

/// Bytes of a segment's salt.
pub const SALT_LENGTH: usize = 32;

/// The hash of one block: T("block", segment ‖ share ‖ block).
pub fn block_hash(segment: u32, share: ShareNumber, block: &[u8]) -> Digest32 {
    Tagged::new("block")
        .part(&[&segment.to_be_bytes(), &u16::from(share.get()).to_be_bytes(), block])
        .finish()
}

/// One row: salt ‖ h_0 ‖ … ‖ h_{n−1}.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row(Bytes);

impl Row {
    /// A row from its parts, for whoever computes them.
    pub fn new(salt: &[u8; SALT_LENGTH], hashes: &[Digest32]) -> Self {
        let mut bytes = Vec::with_capacity(SALT_LENGTH + 32 * hashes.len());
        bytes.extend_from_slice(salt);
        for hash in hashes {
            bytes.extend_from_slice(hash);
        }
        Self(bytes.into())
    }

    /// A row of a page that was checked.
    pub(crate) const fn checked(bytes: Bytes) -> Self {
        Self(bytes)
    }

    /// Checks one row that came with its proof.
    pub fn verify(
        geometry: &Geometry,
        root: &Digest32,
        segment: u32,
        bytes: Bytes,
        proof: &[Digest32],
    ) -> Result<Self, TableError> {
        if bytes.len() != geometry.row_length() {
            return Err(TableError::Length { expected: geometry.row_length(), got: bytes.len() });
        }
        let count = geometry.segments() as usize;
        if merkle::verify(root, count, segment as usize, &merkle::leaf(&bytes), proof) {
            Ok(Self(bytes))
        } else {
            Err(TableError::Root)
        }
    }

    /// The segment's salt.
    pub fn salt(&self) -> &[u8; SALT_LENGTH] {
        self.0.first_chunk().expect("a row begins with its salt")
    }

    /// The hash of this share's block; none for a share the version does not have.
    pub fn hash(&self, share: ShareNumber) -> Option<&Digest32> {
        self.0[SALT_LENGTH..].as_chunks::<32>().0.get(share.index())
    }

    /// Whether these bytes are the block of `share` in `segment`.
    pub fn matches(&self, segment: u32, share: ShareNumber, block: &[u8]) -> bool {
        self.hash(share).is_some_and(|hash| *hash == block_hash(segment, share, block))
    }

    /// The row as it is stored and sent.
    pub fn bytes(&self) -> &Bytes {
        &self.0
    }
}

/// A whole table that hashes to the root its version names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Table {
    row_length: usize,
    bytes: Bytes,
}

/// Why bytes are not the table, or a row, of a version.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TableError {
    /// Too few or too many bytes.
    #[error("expected {expected} bytes of rows, got {got}")]
    Length {
        /// What the version's geometry asks for.
        expected: usize,
        /// What came.
        got: usize,
    },
    /// The rows are not those of the version.
    #[error("the rows do not hash to the table root of the version")]
    Root,
}

impl Table {
    /// Checks a whole table that came from outside.
    pub fn verify(geometry: &Geometry, root: &Digest32, bytes: Bytes) -> Result<Self, TableError> {
        if bytes.len() != geometry.table_length() {
            return Err(TableError::Length { expected: geometry.table_length(), got: bytes.len() });
        }
        let table = Self { row_length: geometry.row_length(), bytes };
        if table.root() == *root { Ok(table) } else { Err(TableError::Root) }
    }

    /// A table from computed rows, all of `n` shares.
    pub fn from_rows(n: u8, rows: impl IntoIterator<Item = Row>) -> Self {
        let row_length = SALT_LENGTH + 32 * usize::from(n);
        let rows = rows.into_iter();
        let mut bytes = Vec::with_capacity(rows.size_hint().0 * row_length);
        for row in rows {
            debug_assert_eq!(row.0.len(), row_length);
            bytes.extend_from_slice(&row.0);
        }
        Self { row_length, bytes: bytes.into() }
    }

    /// How many rows there are.
    pub fn len(&self) -> usize {
        self.bytes.len() / self.row_length
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// The row of this segment.
    pub fn row(&self, segment: u32) -> Option<Row> {
        let start = (segment as usize).checked_mul(self.row_length)?;
        let end = start.checked_add(self.row_length)?;
        (end <= self.bytes.len()).then(|| Row(self.bytes.slice(start..end)))
    }

    /// All rows, concatenated as they are stored and sent.
    pub fn bytes(&self) -> &Bytes {
        &self.bytes
    }

    /// The leaves of the table's Merkle tree.
    pub fn leaves(&self) -> Vec<Digest32> {
        self.bytes.chunks_exact(self.row_length).map(merkle::leaf).collect()
    }

    /// The Merkle root.
    pub fn root(&self) -> Digest32 {
        merkle::root(&self.leaves())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::geometry::Shape;

    fn geometry(segments: u64) -> Geometry {
        Geometry::new(Shape::new(2, 2, 3).unwrap(), 4, segments * 8).unwrap()
    }

    fn table(segments: u8) -> Table {
        Table::from_rows(3, (0..segments).map(|j| Row::new(&[j; 32], &[[1; 32], [2; 32], [j; 32]])))
    }

    #[test]
    fn a_table_is_checked_against_its_root() {
        let table = table(5);
        let (cut, root) = (geometry(5), table.root());
        assert_eq!(Table::verify(&cut, &root, table.bytes().clone()), Ok(table.clone()));
        let mut bent = table.bytes().to_vec();
        bent[40] ^= 1;
        assert_eq!(Table::verify(&cut, &root, bent.into()), Err(TableError::Root));
        assert!(matches!(
            Table::verify(&geometry(4), &root, table.bytes().clone()),
            Err(TableError::Length { .. })
        ));
    }

    #[test]
    fn a_row_is_checked_by_its_proof() {
        let table = table(5);
        let (cut, root, leaves) = (geometry(5), table.root(), table.leaves());
        for segment in 0..5_u32 {
            let row = table.row(segment).unwrap();
            let proof = merkle::proof(&leaves, segment as usize).unwrap();
            assert_eq!(
                Row::verify(&cut, &root, segment, row.bytes().clone(), &proof),
                Ok(row.clone())
            );
            let other = (segment + 1) % 5;
            assert_eq!(
                Row::verify(&cut, &root, other, row.bytes().clone(), &proof),
                Err(TableError::Root)
            );
        }
        assert_eq!(table.row(5), None);
    }

    #[test]
    fn a_block_matches_only_its_own_place() {
        let share = |number| ShareNumber::new(number).unwrap();
        let row =
            Row::new(&[0; 32], &[block_hash(7, share(0), b"a"), block_hash(7, share(1), b"b")]);
        assert!(row.matches(7, share(1), b"b"));
        assert!(!row.matches(8, share(1), b"b"));
        assert!(!row.matches(7, share(0), b"b"));
        assert!(!row.matches(7, share(2), b"b"));
    }
}
