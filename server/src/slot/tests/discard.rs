//! What a Commit with Discard drops, and what it may not.

use super::*;

/// A chain of three from a first version, each built on the one before, and a rival of the third.
struct Family {
    first: Version,
    second: Version,
    third: Version,
    rival: Version,
    slot: Slot,
}

fn family() -> Family {
    let first = writer().version(1, 1, None);
    let second = writer().version(2, 2, Some(first.id()));
    let third = writer().version(3, 3, Some(second.id()));
    let rival = writer().version(4, 4, Some(second.id()));
    Family { slot: holding(&[&first, &second, &third, &rival]), first, second, third, rival }
}

fn discard(slot: &mut Slot, child: &Version, dropped: &[VersionId]) -> Result<Millis, Refusal> {
    let claim = child.claim_discarding(Default::default(), dropped);
    seal_at(slot, at(0), 1, claim, child, &[0])
}

#[test]
fn what_is_discarded_goes_in_the_same_change_as_the_commit_and_not_before() {
    let Family { first, second, third, rival, mut slot } = family();
    let child = writer().version(5, 5, Some(third.id()));
    discard(&mut slot, &child, &[rival.id()]).unwrap();
    assert_eq!(slot.manifest().generations.len(), 4);
    let manifest = next(commit(&slot, 1, &child).unwrap());
    let left = [child.id(), third.id(), second.id(), first.id()];
    assert_eq!(held_versions(&manifest), left);
}

#[test]
fn the_predecessor_and_its_ancestors_are_not_discarded() {
    let Family { first, second, third, mut slot, .. } = family();
    let child = writer().version(5, 5, Some(third.id()));
    for ancestor in [&first, &second, &third] {
        let refused = discard(&mut slot, &child, &[ancestor.id()]);
        assert_eq!(refused, Err(Refusal::Conflict));
        slot.end(conversation(1));
    }
}

#[test]
fn ancestors_are_protected_across_a_version_that_only_history_remembers() {
    let Family { first, third, mut slot, .. } = family();
    slot.manifest.generations.remove(2);
    let child = writer().version(5, 5, Some(third.id()));
    let refused = discard(&mut slot, &child, &[first.id()]);
    assert_eq!(refused, Err(Refusal::Conflict));
}

#[test]
fn what_is_older_than_the_newest_certificate_is_not_protected() {
    let Family { first, second, third, mut slot, .. } = family();
    slot.manifest.certificates.push(second.certificate());
    let child = writer().version(5, 5, Some(third.id()));
    assert_eq!(discard(&mut slot, &child, &[first.id()]), Ok(PROMISE));
}

#[test]
fn a_certified_version_is_not_discarded() {
    let Family { third, rival, mut slot, .. } = family();
    slot.manifest.certificates.push(rival.certificate());
    let child = writer().version(5, 5, Some(third.id()));
    let refused = discard(&mut slot, &child, &[rival.id()]);
    assert_eq!(refused, Err(Refusal::Conflict));
}

#[test]
fn a_version_certified_between_seal_and_commit_is_not_discarded() {
    let Family { third, rival, mut slot, .. } = family();
    let child = writer().version(5, 5, Some(third.id()));
    discard(&mut slot, &child, &[rival.id()]).unwrap();
    let change = slot.finalize(rival.certificate()).unwrap();
    accept(&mut slot, change);
    assert_eq!(commit(&slot, 1, &child), Err(Refusal::Conflict));
}

#[test]
fn the_sealed_version_does_not_discard_itself() {
    let Family { rival, mut slot, .. } = family();
    let refused = discard(&mut slot, &rival, &[rival.id()]);
    assert_eq!(refused, Err(Refusal::Conflict));
}

#[test]
fn the_floor_stays_when_its_version_is_discarded() {
    let Family { third, rival, mut slot, .. } = family();
    let child = writer().version(5, 5, Some(third.id()));
    discard(&mut slot, &child, &[rival.id()]).unwrap();
    let change = commit(&slot, 1, &child).unwrap();
    accept(&mut slot, change);
    slot.end(conversation(1));
    assert_eq!(slot.manifest().floor, Some(child.signed.clone()));
    assert_eq!(seal(&mut slot, 2, &rival, &[0]), Err(Refusal::Stale));
}

#[test]
fn a_discard_signed_for_another_seal_is_bad() {
    let Family { third, rival, .. } = family();
    let child = writer().version(5, 5, Some(third.id()));
    let other = writer().version(6, 5, Some(third.id()));
    let dropped = vec![rival.id()];
    let signature = other.discard_signature(STORE, &dropped);
    let refused = Discard::verify(&child.prepared(), dropped, &signature);
    assert_eq!(refused, Err(Refusal::BadSignature));
}
