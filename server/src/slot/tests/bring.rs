//! What bringing a version that is signed already may and may not do.

use tarn_proto::ShareHealth;

use super::*;
use crate::testing::share;

fn bring(slot: &Slot, version: &Version, shares: &[u8]) -> Result<Change, Refusal> {
    slot.bring(at(0), version.signed.clone(), version.verified(shares), None, &[])
}

fn bring_certified(slot: &Slot, version: &Version) -> Result<Change, Refusal> {
    let certificate = Some(version.certificate());
    slot.bring(at(0), version.signed.clone(), version.verified(&[0]), certificate, &[])
}

#[test]
fn a_version_is_brought_where_nothing_was() {
    let version = writer().version(1, 5, Some(VersionId::new([3; 32])));
    let manifest = next(bring(&slot(), &version, &[1]).unwrap());
    assert_eq!(held_versions(&manifest), [version.id()]);
    assert_eq!(manifest.generations[0].origin, Origin::Brought);
    assert_eq!(manifest.floor, Some(version.signed.clone()));
    assert_eq!(first_record(&manifest).entry.attempt, version.header().attempt);
}

#[test]
fn a_version_is_brought_over_its_own_predecessor() {
    let first = writer().version(1, 1, None);
    let second = writer().version(2, 2, Some(first.id()));
    let manifest = next(bring(&holding(&[&first]), &second, &[0]).unwrap());
    assert_eq!(held_versions(&manifest), [second.id(), first.id()]);
}

#[test]
fn a_version_is_not_brought_over_a_stranger() {
    let first = writer().version(1, 1, None);
    let grandchild = writer().version(3, 3, Some(VersionId::new([9; 32])));
    let refused = bring(&holding(&[&first]), &grandchild, &[0]);
    assert_eq!(refused, Err(Refusal::Conflict));
}

#[test]
fn a_certified_version_is_brought_over_anything_older_and_the_certificate_kept() {
    let first = writer().version(1, 1, None);
    let grandchild = writer().version(3, 3, Some(VersionId::new([9; 32])));
    let manifest = next(bring_certified(&holding(&[&first]), &grandchild).unwrap());
    assert_eq!(held_versions(&manifest), [grandchild.id(), first.id()]);
    assert_eq!(manifest.certificates, [grandchild.certificate()]);
}

#[test]
fn a_certificate_does_not_bring_a_version_over_a_newer_one() {
    let first = writer().version(1, 1, None);
    let newer = writer().version(2, 2, Some(first.id()));
    let refused = bring_certified(&holding(&[&newer]), &first);
    assert_eq!(refused, Err(Refusal::Stale));
}

#[test]
fn another_versions_certificate_is_bad() {
    let first = writer().version(1, 1, None);
    let other = writer().version(2, 1, None);
    let certificate = Some(other.certificate());
    let refused = slot().bring(at(0), first.signed.clone(), first.verified(&[0]), certificate, &[]);
    assert_eq!(refused, Err(Refusal::BadSignature));
}

#[test]
fn another_files_version_is_bad() {
    let foreign = Writer::new(8).version(1, 1, None);
    assert_eq!(bring(&slot(), &foreign, &[0]), Err(Refusal::BadSignature));
}

#[test]
fn shares_of_another_version_are_not_brought() {
    let (first, other) = (writer().version(1, 1, None), writer().version(2, 1, None));
    let refused = slot().bring(at(0), first.signed, other.verified(&[0]), None, &[]);
    assert_eq!(refused, Err(Refusal::BadShare));
}

#[test]
fn nothing_is_brought_under_a_promise_not_even_what_is_held() {
    let first = writer().version(1, 1, None);
    let second = writer().version(2, 2, Some(first.id()));
    let mut slot = holding(&[&first]);
    seal(&mut slot, 1, &second, &[0]).unwrap();
    let busy = Err(Refusal::Busy { wait_ms: 30_000 });
    assert_eq!(bring(&slot, &second, &[0]), busy);
    assert_eq!(bring(&slot, &first, &[0]), busy);
    slot.end(conversation(1));
    assert_eq!(bring(&slot, &first, &[0]), Ok(Change::AlreadySo));
}

#[test]
fn a_share_brought_to_the_current_version_is_added_and_the_origin_stays() {
    let first = writer().version(1, 1, None);
    let manifest = next(bring(&holding(&[&first]), &first, &[0, 2]).unwrap());
    assert_eq!(held_shares(&manifest, 0), [0, 2]);
    assert_eq!(manifest.generations[0].origin, Origin::Committed(conversation(99)));
    assert_eq!(manifest.history.len(), 1);
}

#[test]
fn a_damaged_share_of_the_same_version_is_replaced() {
    let first = writer().version(1, 1, None);
    let mut slot = holding(&[&first]);
    let change = slot.damaged(first.id(), Damage::Table);
    accept(&mut slot, change);
    let manifest = next(bring(&slot, &first, &[0]).unwrap());
    let health = manifest.generations[0].shares[&share(0)].health;
    assert_eq!(health, ShareHealth::Whole);
}

#[test]
fn a_share_brought_to_an_older_generation_changes_only_that_one() {
    let first = writer().version(1, 1, None);
    let second = writer().version(2, 2, Some(first.id()));
    let slot = holding(&[&first, &second]);
    let manifest = next(bring(&slot, &first, &[3]).unwrap());
    assert_eq!(held_versions(&manifest), [second.id(), first.id()]);
    assert_eq!(held_shares(&manifest, 1), [0, 3]);
    assert_eq!(manifest.generations[0], slot.manifest().generations[0]);
    assert_eq!(manifest.floor, slot.manifest().floor);
}

#[test]
fn an_older_generation_held_whole_is_already_so() {
    let first = writer().version(1, 1, None);
    let second = writer().version(2, 2, Some(first.id()));
    let slot = holding(&[&first, &second]);
    assert_eq!(bring(&slot, &first, &[0]), Ok(Change::AlreadySo));
}

#[test]
fn a_version_not_above_the_floor_is_stale() {
    let first = writer().version(1, 2, None);
    let rival = writer().version(2, 2, None);
    assert_eq!(bring(&holding(&[&first]), &rival, &[0]), Err(Refusal::Stale));
}

#[test]
fn a_full_slot_takes_no_new_version_that_is_brought() {
    let mut slot = slot();
    let mut last = writer().version(1, 1, None);
    publish(&mut slot, 9, &last, &[0]);
    for number in 2..=16 {
        last = writer().version(number, number.into(), Some(last.id()));
        publish(&mut slot, 9, &last, &[0]);
    }
    let child = writer().version(17, 17, Some(last.id()));
    assert_eq!(bring(&slot, &child, &[0]), Err(Refusal::TooManyGenerations));
    assert!(matches!(bring(&slot, &last, &[1]), Ok(Change::Becomes(_))));
}

#[test]
fn bringing_is_no_seal_for_the_last_sealer_rule() {
    let first = writer().version(1, 1, None);
    let second = writer().version(2, 2, Some(first.id()));
    let mut slot = holding(&[&first]);
    seal(&mut slot, 1, &second, &[0]).unwrap();
    let brought = slot.bring(at(30_000), first.signed.clone(), first.verified(&[1]), None, &[]);
    accept(&mut slot, brought.unwrap());
    let committed = slot.commit(at(30_001), conversation(1), second.signature());
    assert!(matches!(committed, Ok(Change::Becomes(_))));
}

/// A slot of a base with sequence number 1, where one with sequence number 3 was sealed on it and never committed. The
/// promise lapsed, and nothing is left of it but what is durable.
fn sealed_above(base: &Version) -> Slot {
    let mut slot = holding(&[base]);
    seal(&mut slot, 1, &writer().version(30, 3, Some(base.id())), &[0]).unwrap();
    Slot::new(STORE, slot.storage_index, PROMISE, slot.manifest)
}

#[test]
fn a_bring_below_what_was_sealed_is_stale_also_when_the_promise_lapsed() {
    let base = writer().version(1, 1, None);
    let sibling = writer().version(2, 2, Some(base.id()));
    let mut slot = holding(&[&base]);
    seal(&mut slot, 1, &writer().version(30, 3, Some(base.id())), &[0]).unwrap();
    let lapsed = at(PROMISE.get());
    let refused = slot.bring(lapsed, sibling.signed.clone(), sibling.verified(&[0]), None, &[]);
    assert_eq!(refused, Err(Refusal::Stale));
    slot.end(conversation(1));
    assert_eq!(bring(&slot, &sibling, &[0]), Err(Refusal::Stale));
    assert_eq!(bring(&sealed_above(&base), &sibling, &[0]), Err(Refusal::Stale));
}

#[test]
fn a_bring_below_what_was_sealed_is_stale_also_in_an_empty_slot() {
    let mut slot = slot();
    seal(&mut slot, 1, &writer().version(30, 3, None), &[0]).unwrap();
    slot.end(conversation(1));
    let version = writer().version(2, 2, None);
    assert_eq!(bring(&slot, &version, &[0]), Err(Refusal::Stale));
}

#[test]
fn a_bring_not_below_what_was_sealed_is_accepted() {
    let base = writer().version(1, 1, None);
    for sequence_number in [3, 4] {
        let version = writer().version(2, sequence_number, Some(base.id()));
        let manifest = next(bring(&sealed_above(&base), &version, &[0]).unwrap());
        assert_eq!(held_versions(&manifest), [version.id(), base.id()]);
        assert_eq!(manifest.sealed, SequenceNumber::new(3));
    }
}

#[test]
fn a_bring_below_what_was_sealed_is_stale_but_a_held_version_is_completed() {
    let base = writer().version(1, 1, None);
    let manifest = next(bring(&sealed_above(&base), &base, &[1]).unwrap());
    assert_eq!(held_shares(&manifest, 0), [0, 1]);
}

#[test]
fn a_bring_below_what_was_sealed_is_stale_but_with_its_certificate_it_replaces() {
    let base = writer().version(1, 1, None);
    let sibling = writer().version(2, 2, Some(base.id()));
    let manifest = next(bring_certified(&sealed_above(&base), &sibling).unwrap());
    assert_eq!(held_versions(&manifest), [sibling.id(), base.id()]);
    assert_eq!(manifest.sealed, SequenceNumber::new(3));
}

#[test]
fn bringing_what_is_held_whole_records_a_certificate_that_is_new() {
    let first = writer().version(1, 1, None);
    let mut slot = holding(&[&first]);
    let bring = |slot: &Slot| {
        slot.bring(
            at(0),
            first.signed.clone(),
            first.verified(&[0]),
            Some(first.certificate()),
            &[],
        )
    };
    let manifest = next(bring(&slot).unwrap());
    assert_eq!(manifest.certificates, [first.certificate()]);
    slot.became(manifest);
    assert_eq!(bring(&slot), Ok(Change::AlreadySo));
}
