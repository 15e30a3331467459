//! All inclusion proofs of one page of a table at the cost of hashing its tree once. A tree is that of
//! [`tarn_proto::merkle`]: pairs are joined from the left, and one that is left over moves up as it is.

use std::ops::Range;

use bytes::{BufMut, Bytes, BytesMut};
use tarn_proto::hash::Digest32;
use tarn_proto::{Page, merkle};

/// The proofs of rows of a page, which are siblings in the page and then those of the page among all.
pub(super) fn through(
    within: &ProofTree,
    above: &ProofTree,
    page: &Page,
    rows: Range<u32>,
) -> Vec<Bytes> {
    let above = above.proof(page.number() as usize);
    let proof = |row: u32| {
        let mut proof = BytesMut::from(within.proof((row - page.rows().start) as usize));
        proof.put_slice(&above);
        proof.freeze()
    };
    rows.map(proof).collect()
}

/// A Merkle tree, level by level from the leaves to the root.
pub(super) struct ProofTree {
    levels: Vec<Vec<Digest32>>,
}

impl ProofTree {
    /// The tree over these leaves.
    pub(super) fn new(leaves: Vec<Digest32>) -> Self {
        let mut levels = vec![leaves];
        while let Some(level) = levels.last().filter(|level| level.len() > 1) {
            levels.push(level.chunks(2).map(merkle::root).collect());
        }
        Self { levels }
    }

    /// The siblings of a leaf from the leaf up, as they travel.
    pub(super) fn proof(&self, leaf: usize) -> Bytes {
        let mut proof = BytesMut::with_capacity(32 * self.levels.len());
        let mut index = leaf;
        for level in &self.levels {
            if let Some(sibling) = level.get(index ^ 1) {
                proof.put_slice(sibling);
            }
            index /= 2;
        }
        proof.freeze()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn proofs_are_those_of_the_recursive_definition() {
        for count in 0..70_u8 {
            let leaves: Vec<_> = (0..count).map(|number| merkle::leaf(&[number])).collect();
            let tree = ProofTree::new(leaves.clone());
            for index in 0..usize::from(count) {
                let expected = merkle::proof(&leaves, index).unwrap().concat();
                assert_eq!(tree.proof(index), expected, "leaf {index} of {count}");
            }
        }
    }
}
