//! What a certificate does.

use super::*;

#[test]
fn everything_older_than_the_certified_version_is_dropped_and_the_certificate_kept() {
    let first = writer().version(1, 1, None);
    let second = writer().version(2, 2, Some(first.id()));
    let third = writer().version(3, 3, Some(second.id()));
    let slot = holding(&[&first, &second, &third]);
    let manifest = next(slot.finalize(second.certificate()).unwrap());
    assert_eq!(held_versions(&manifest), [third.id(), second.id()]);
    assert_eq!(manifest.certificates, [second.certificate()]);
    assert_eq!(manifest.floor, slot.manifest().floor);
    assert_eq!(manifest.history, slot.manifest().history);
}

#[test]
fn a_version_that_is_not_held_is_not_finalized() {
    let (first, other) = (writer().version(1, 1, None), writer().version(2, 2, None));
    let slot = holding(&[&first]);
    assert_eq!(slot.finalize(other.certificate()), Err(Refusal::NotHeld));
}

#[test]
fn a_certificate_that_gives_the_version_another_place_is_bad() {
    let first = writer().version(1, 1, None);
    let slot = holding(&[&first]);
    let place = SequenceNumber::new(9).unwrap();
    let certificate = Certificate::sign(&writer().key, place, first.id());
    assert_eq!(slot.finalize(certificate), Err(Refusal::BadSignature));
}

#[test]
fn a_certificate_by_another_key_is_bad() {
    let first = writer().version(1, 1, None);
    let slot = holding(&[&first]);
    let place = first.header().sequence_number;
    let certificate = Certificate::sign(&Writer::new(8).key, place, first.id());
    assert_eq!(slot.finalize(certificate), Err(Refusal::BadSignature));
}

#[test]
fn finalizing_twice_changes_nothing() {
    let first = writer().version(1, 1, None);
    let mut slot = holding(&[&first]);
    let change = slot.finalize(first.certificate()).unwrap();
    accept(&mut slot, change);
    assert_eq!(slot.finalize(first.certificate()), Ok(Change::AlreadySo));
}

#[test]
fn finalizing_runs_under_a_promise_and_does_not_end_it() {
    let first = writer().version(1, 1, None);
    let second = writer().version(2, 2, Some(first.id()));
    let third = writer().version(3, 3, Some(second.id()));
    let mut slot = holding(&[&first, &second]);
    seal(&mut slot, 1, &third, &[0]).unwrap();
    let change = slot.finalize(second.certificate()).unwrap();
    accept(&mut slot, change);
    let manifest = next(commit(&slot, 1, &third).unwrap());
    assert_eq!(held_versions(&manifest), [third.id(), second.id()]);
}

#[test]
fn certificates_are_kept_for_held_versions_and_the_newest() {
    let first = writer().version(1, 1, None);
    let second = writer().version(2, 2, Some(first.id()));
    let third = writer().version(3, 3, Some(second.id()));
    let mut slot = holding(&[&first, &second, &third]);
    for version in [&first, &second, &third] {
        let change = slot.finalize(version.certificate()).unwrap();
        accept(&mut slot, change);
    }
    assert_eq!(slot.manifest().certificates, [third.certificate()]);
}

#[test]
fn the_newest_certificate_outlives_its_version() {
    let first = writer().version(1, 1, None);
    let second = writer().version(2, 2, Some(first.id()));
    let mut slot = holding(&[&first]);
    let change = slot.finalize(first.certificate()).unwrap();
    accept(&mut slot, change);
    slot.manifest.generations.clear();
    publish(&mut slot, 1, &second, &[0]);
    assert_eq!(slot.manifest().certificates, [first.certificate()]);
}

#[test]
fn what_was_noted_is_recorded_with_the_next_commit() {
    let first = writer().version(1, 1, None);
    let second = writer().version(2, 2, Some(first.id()));
    let third = writer().version(3, 3, Some(second.id()));
    let mut slot = holding(&[&first, &second]);
    assert_eq!(slot.note(second.certificate()), Ok(false));
    seal(&mut slot, 1, &third, &[0]).unwrap();
    let change = commit(&slot, 1, &third).unwrap();
    let manifest = next(change.clone());
    assert_eq!(held_versions(&manifest), [third.id(), second.id()]);
    assert_eq!(manifest.certificates, [second.certificate()]);
    accept(&mut slot, change);
    assert_eq!(slot.finalize(second.certificate()), Ok(Change::AlreadySo));
    assert_eq!(slot.note(second.certificate()), Ok(true));
}

#[test]
fn what_is_noted_is_not_recorded_yet() {
    let first = writer().version(1, 1, None);
    let mut slot = holding(&[&first]);
    assert_eq!(slot.note(first.certificate()), Ok(false));
    assert!(slot.manifest().certificates.is_empty());
    assert!(matches!(slot.finalize(first.certificate()), Ok(Change::Becomes(_))));
}

#[test]
fn what_may_not_be_recorded_is_not_noted() {
    let (first, other) = (writer().version(1, 1, None), writer().version(2, 2, None));
    let mut slot = holding(&[&first]);
    assert_eq!(slot.note(other.certificate()), Err(Refusal::NotHeld));
}

#[test]
fn what_was_noted_of_versions_that_are_gone_is_forgotten() {
    let versions: Vec<_> = (1_u8..8)
        .scan(None, |below, number| {
            let version = writer().version(number, number.into(), *below);
            *below = Some(version.id());
            Some(version)
        })
        .collect();
    let mut slot = holding(&versions.iter().collect::<Vec<_>>());
    let [older @ .., newest] = &versions[..] else { panic!("there are some") };
    for version in &older[..4] {
        assert_eq!(slot.note(version.certificate()), Ok(false));
    }
    let change = slot.finalize(older[5].certificate()).unwrap();
    accept(&mut slot, change);
    assert_eq!(slot.note(newest.certificate()), Ok(false));
    let next_version = writer().version(8, 8, Some(newest.id()));
    seal(&mut slot, 1, &next_version, &[0]).unwrap();
    let manifest = next(commit(&slot, 1, &next_version).unwrap());
    assert_eq!(manifest.certificates, [newest.certificate()]);
}
