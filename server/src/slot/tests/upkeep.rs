//! What is learnt of stored bytes changes how they are kept.

use tarn_proto::PageRoots;

use super::*;
use crate::manifest::{ChunkId, Content, Extent, Relocation};
use crate::testing::{inline, share};

fn chunk(id: u128, offset: u64, length: u64) -> Extent {
    Extent::Chunk { id: ChunkId(id), offset, length }
}

/// Two versions of one share each, the newer of which has its first bytes from the older.
fn scattered() -> Slot {
    let first = writer().version(1, 1, None);
    let second = writer().version(2, 2, Some(first.id()));
    let mut slot = holding(&[&first, &second]);
    let mut manifest = slot.manifest().clone();
    let contents = [vec![chunk(1, 0, 5), chunk(2, 0, 5)], vec![chunk(1, 0, 5), chunk(3, 0, 5)]];
    for (held, extents) in manifest.generations.iter_mut().zip(contents) {
        held.shares.get_mut(&share(0)).unwrap().content = Content(extents);
    }
    slot.became(manifest);
    slot
}

fn contents(manifest: &Manifest) -> Vec<Content> {
    let held = manifest.generations.iter();
    held.map(|held| held.shares[&share(0)].content.clone()).collect()
}

#[test]
fn what_was_copied_is_kept_there_in_every_version_that_has_it() {
    let slot = scattered();
    let before = contents(slot.manifest());
    let after = next(slot.relocated(&Relocation::new(before[0].clone(), ChunkId(9))));
    let expected = [vec![chunk(9, 0, 10)], vec![chunk(9, 0, 5), chunk(3, 0, 5)]];
    assert_eq!(contents(&after), expected.map(Content));
}

#[test]
fn a_copy_of_what_nothing_names_any_more_changes_nothing() {
    let slot = scattered();
    let gone = Content(vec![chunk(7, 0, 5), chunk(8, 0, 5)]);
    assert_eq!(slot.relocated(&Relocation::new(gone, ChunkId(9))), Change::AlreadySo);
}

#[test]
fn page_roots_are_kept_with_the_version_that_they_are_of() {
    let first = writer().sized(1, 1, None, 4, 8 * 65);
    let second = writer().sized(2, 2, Some(first.id()), 4, 8 * 65);
    let mut slot = holding(&[&first, &second]);
    let roots = |version: &Version| PageRoots::of(&version.table.leaves());
    assert_eq!(slot.paged(first.id(), &roots(&first)), Change::AlreadySo);
    let mut manifest = slot.manifest().clone();
    manifest.generations[1].page_roots = bytes::Bytes::new();
    slot.became(manifest);
    assert_eq!(slot.paged(first.id(), &roots(&second)), Change::AlreadySo);
    let after = next(slot.paged(first.id(), &roots(&first)));
    assert_eq!(after.generations[1].page_roots, roots(&first).bytes());
}

#[test]
fn a_base_is_held_whole_by_its_length_too() {
    let first = writer().version(1, 1, None);
    let mut slot = holding(&[&first]);
    let geometry = first.header().geometry;
    let base = slot.base(first.id(), &geometry, &[share(0)]).unwrap();
    assert_eq!(slot.judge_base(&base), Ok(()));
    let whole = slot.manifest().clone();
    for cut in [0, 9] {
        let mut manifest = whole.clone();
        let content = &mut manifest.generations[0].shares.get_mut(&share(0)).unwrap().content;
        *content = inline(first.column(share(0)).slice(..cut));
        slot.became(manifest);
        let missing = slot.base(first.id(), &geometry, &[share(0)]);
        assert_eq!(missing, Err(Refusal::BaseMissing));
    }
}

#[test]
fn a_base_that_was_dropped_is_good_and_one_that_is_damaged_is_not() {
    let first = writer().version(1, 1, None);
    let second = writer().version(2, 2, Some(first.id()));
    let mut slot = holding(&[&first, &second]);
    let base = slot.base(first.id(), &first.header().geometry, &[share(0)]).unwrap();
    let damaged = next(slot.damaged(first.id(), Damage::Share(share(0))));
    let dropped = next(slot.finalize(second.certificate()).unwrap());
    slot.became(damaged);
    assert_eq!(slot.judge_base(&base), Err(Refusal::BaseMissing));
    slot.became(dropped);
    assert_eq!(slot.judge_base(&base), Ok(()));
}
