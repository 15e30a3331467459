//! The Merkle tree over a table's rows, in the shape of RFC 6962 (section 2.1) with tarn's tagged hashes: leaf
//! T("leaf", row), node T("node", left ‖ right), empty root T("table-empty").

use crate::hash::{Digest32, Tagged, tagged};

/// The leaf of one row.
pub fn leaf(row: &[u8]) -> Digest32 {
    tagged("leaf", &[row])
}

/// The root of a table without rows.
pub fn empty_root() -> Digest32 {
    tagged("table-empty", &[])
}

/// The root over these leaves.
pub fn root(leaves: &[Digest32]) -> Digest32 {
    match leaves {
        [] => empty_root(),
        [only] => *only,
        _ => {
            let (left, right) = leaves.split_at(split(leaves.len()));
            node(&root(left), &root(right))
        }
    }
}

/// The siblings of leaf `index` from the leaf up; none when there is no such leaf.
pub fn proof(leaves: &[Digest32], index: usize) -> Option<Vec<Digest32>> {
    if index >= leaves.len() {
        return None;
    }
    let mut siblings = Vec::new();
    let (mut leaves, mut index) = (leaves, index);
    while leaves.len() > 1 {
        let (left, right) = leaves.split_at(split(leaves.len()));
        if index < left.len() {
            siblings.push(root(right));
            leaves = left;
        } else {
            siblings.push(root(left));
            index -= left.len();
            leaves = right;
        }
    }
    siblings.reverse();
    Some(siblings)
}

/// Whether `leaf` stands at `index` of the `count` leaves under `root`. The proof's length must be exactly what
/// the tree's shape asks for.
pub fn verify(
    root: &Digest32,
    count: usize,
    index: usize,
    leaf: &Digest32,
    proof: &[Digest32],
) -> bool {
    if index >= count {
        return false;
    }
    let siblings = siblings(count, index);
    if siblings.len() != proof.len() {
        return false;
    }
    let computed =
        siblings.iter().zip(proof).fold(*leaf, |hash, (sibling, root)| match sibling.side {
            Side::Left => node(root, &hash),
            Side::Right => node(&hash, root),
        });
    computed == *root
}

/// A subtree next to the way from a leaf to the root.
pub(crate) struct Sibling {
    pub(crate) side: Side,
    pub(crate) leaves: usize,
}

/// On which side of the way it is.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Side {
    Left,
    Right,
}

/// The subtrees that a proof of leaf `index` of `count` names, from the leaf up.
pub(crate) fn siblings(mut count: usize, mut index: usize) -> Vec<Sibling> {
    let mut siblings = Vec::new();
    while count > 1 {
        let left = split(count);
        if index < left {
            siblings.push(Sibling { side: Side::Right, leaves: count - left });
            count = left;
        } else {
            siblings.push(Sibling { side: Side::Left, leaves: left });
            index -= left;
            count -= left;
        }
    }
    siblings.reverse();
    siblings
}

pub(crate) fn node(left: &Digest32, right: &Digest32) -> Digest32 {
    Tagged::new("node").part(&[left, right]).finish()
}

/// Leaves of the left subtree: the largest power of two below `count`, which is at least 2.
fn split(count: usize) -> usize {
    count.next_power_of_two() / 2
}

#[cfg(test)]
mod tests {
    use super::*;

    fn leaves(count: usize) -> Vec<Digest32> {
        (0..count).map(|i| leaf(&i.to_be_bytes())).collect()
    }

    #[test]
    fn every_leaf_of_every_small_tree_is_proved_and_no_other_place() {
        for count in 1..=33 {
            let leaves = leaves(count);
            let root = root(&leaves);
            for index in 0..count {
                let proof = proof(&leaves, index).unwrap();
                for place in 0..count + 2 {
                    let good = verify(&root, count, place, &leaves[index], &proof);
                    assert_eq!(good, place == index, "{count} {index} {place}");
                }
            }
        }
    }

    #[test]
    fn a_changed_or_cut_proof_is_refused() {
        let leaves = leaves(13);
        let root = root(&leaves);
        let good = proof(&leaves, 5).unwrap();
        assert!(!verify(&root, 13, 5, &leaves[5], &good[1..]));
        let mut bent = good.clone();
        bent[2][7] ^= 1;
        assert!(!verify(&root, 13, 5, &leaves[5], &bent));
        assert!(!verify(&root, 12, 5, &leaves[5], &good[..3]));
    }

    #[test]
    fn roots_of_different_counts_differ() {
        let roots: std::collections::BTreeSet<_> =
            (0..40).map(|count| root(&leaves(count))).collect();
        assert_eq!(roots.len(), 40);
        assert_eq!(proof(&leaves(3), 3), None);
    }
}
