//! All inclusion proofs of one table at the cost of hashing its tree once. The tree is that of
//! [`tarn_proto::merkle`]: pairs are joined from the left, and one that is left over moves up as it is.

use bytes::{BufMut, Bytes, BytesMut};
use tarn_proto::hash::Digest32;
use tarn_proto::merkle;

/// A table's Merkle tree, level by level from the leaves to the root.
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
