//! Versions that differ from an earlier one in some segments only.

use std::ops::Range;

use super::*;

impl Version {
    /// The next version, of `length` bytes: these segments are its own, and so is what this version does not have; all others
    /// are as they are here.
    pub(crate) fn updated(&self, label: u8, touched: &[Range<u32>], length: u64) -> Self {
        let old = self.header();
        let geometry = Geometry::new(old.shape, old.geometry.block_size(), length).unwrap();
        let is_kept = |segment: u32| {
            !touched.iter().any(|run| run.contains(&segment))
                && old.geometry.block_length(segment) == geometry.block_length(segment)
        };
        let columns = self.columns.iter().map(|(&share, blocks)| {
            let blocks = (0..geometry.segments()).map(|segment| {
                let length = geometry.block_length(segment);
                let kept = blocks.get(segment as usize).filter(|_| is_kept(segment));
                kept.cloned().unwrap_or_else(|| block(label, segment, share, length))
            });
            (share, blocks.collect())
        });
        let columns: BTreeMap<ShareNumber, Vec<Bytes>> = columns.collect();
        let rows = (0..geometry.segments()).map(|segment| {
            let kept = self.table.row(segment).filter(|_| is_kept(segment));
            kept.unwrap_or_else(|| row(label, segment, &columns))
        });
        let table = Table::from_rows(old.shape.n(), rows);
        let header = Header {
            sequence_number: old.sequence_number.next().unwrap(),
            predecessor: Some(self.id()),
            geometry,
            table_root: table.root(),
            attempt: AttemptId::new([label; 16]),
            ..old.clone()
        };
        let signed = SignedHeader::sign(&self.key, header);
        Self { signed, table, columns, key: self.key.clone() }
    }

    /// The rows of these segments, concatenated.
    pub(crate) fn rows_of(&self, run: &Range<u32>) -> Bytes {
        let rows = run.clone().map(|segment| self.table.row(segment).unwrap().bytes().to_vec());
        rows.collect::<Vec<_>>().concat().into()
    }

    /// The blocks of a share in these segments, concatenated.
    pub(crate) fn blocks_of(&self, share: ShareNumber, run: &Range<u32>) -> Bytes {
        self.columns[&share][run.start as usize..run.end as usize].concat().into()
    }
}
