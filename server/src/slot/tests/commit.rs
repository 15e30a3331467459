//! What a Commit may and may not do.

use tarn_proto::ShareHealth;
use tarn_proto::state::{Expected, HISTORY_MAX};

use super::*;
use crate::testing::{share, tests};

#[test]
fn a_commit_makes_the_version_current_with_all_its_shares_at_once() {
    let (mut slot, first) = (slot(), writer().version(1, 1, None));
    seal(&mut slot, 1, &first, &[0, 2]).unwrap();
    let manifest = next(commit(&slot, 1, &first).unwrap());
    assert_eq!(held_versions(&manifest), [first.id()]);
    assert_eq!(held_shares(&manifest, 0), [0, 2]);
    assert_eq!(manifest.generations[0].origin, Origin::Committed(conversation(1)));
    assert_eq!(manifest.floor, Some(first.signed.clone()));
    assert_eq!(first_record(&manifest).entry.version, first.id());
    assert_eq!(first_record(&manifest).committed_at, at(0).unix_seconds);
}

#[test]
fn a_decision_alone_changes_nothing() {
    let (mut slot, first) = (slot(), writer().version(1, 1, None));
    seal(&mut slot, 1, &first, &[0]).unwrap();
    let before = slot.manifest().clone();
    let change = commit(&slot, 1, &first).unwrap();
    assert_eq!(slot.manifest(), &before);
    accept(&mut slot, change);
    assert!(slot.manifest().is_current(first.id()));
}

#[test]
fn older_generations_stay_behind_the_new_one() {
    let first = writer().version(1, 1, None);
    let second = writer().version(2, 2, Some(first.id()));
    let mut slot = holding(&[&first]);
    publish(&mut slot, 1, &second, &[0]);
    assert_eq!(held_versions(slot.manifest()), [second.id(), first.id()]);
}

#[test]
fn a_commit_whose_signature_does_not_verify_over_the_sealed_header_is_bad() {
    let (mut slot, first) = (slot(), writer().version(1, 1, None));
    seal(&mut slot, 1, &first, &[0]).unwrap();
    let other = writer().version(2, 1, None).signature();
    let refused = slot.commit(at(0), conversation(1), other);
    assert_eq!(refused, Err(Refusal::BadSignature));
    let prepare = first.prepare_signature(STORE);
    let refused = slot.commit(at(0), conversation(1), prepare);
    assert_eq!(refused, Err(Refusal::BadSignature));
}

#[test]
fn a_commit_after_the_promise_ran_out_is_good_when_nobody_sealed_since() {
    let (mut slot, first) = (slot(), writer().version(1, 1, None));
    seal(&mut slot, 1, &first, &[0]).unwrap();
    let late = slot.commit(at(900_000), conversation(1), first.signature());
    assert!(matches!(late, Ok(Change::Becomes(_))));
}

#[test]
fn a_commit_after_anothers_seal_is_promise_lost() {
    let (first, other) = (writer().version(1, 1, None), writer().version(2, 1, None));
    let mut slot = slot();
    seal(&mut slot, 1, &first, &[0]).unwrap();
    let claim = other.claim(Default::default());
    seal_at(&mut slot, at(30_000), 2, claim, &other, &[0]).unwrap();
    let refused = slot.commit(at(30_001), conversation(1), first.signature());
    assert_eq!(refused, Err(Refusal::PromiseLost));
}

#[test]
fn a_commit_after_anothers_seal_is_promise_lost_even_when_that_promise_lapsed_too() {
    let (first, other) = (writer().version(1, 1, None), writer().version(2, 1, None));
    let mut slot = slot();
    seal(&mut slot, 1, &first, &[0]).unwrap();
    let claim = other.claim(Default::default());
    seal_at(&mut slot, at(30_000), 2, claim, &other, &[0]).unwrap();
    let refused = slot.commit(at(90_000), conversation(1), first.signature());
    assert_eq!(refused, Err(Refusal::PromiseLost));
}

#[test]
fn a_commit_after_anothers_seal_is_promise_lost_even_when_the_other_has_gone() {
    let (first, other) = (writer().version(1, 1, None), writer().version(2, 1, None));
    let mut slot = slot();
    seal(&mut slot, 1, &first, &[0]).unwrap();
    let claim = other.claim(Default::default());
    seal_at(&mut slot, at(30_000), 2, claim, &other, &[0]).unwrap();
    slot.end(conversation(2));
    let refused = slot.commit(at(30_001), conversation(1), first.signature());
    assert_eq!(refused, Err(Refusal::PromiseLost));
}

#[test]
fn a_commit_after_a_restart_is_promise_lost() {
    let (mut before, first) = (slot(), writer().version(1, 1, None));
    seal(&mut before, 1, &first, &[0]).unwrap();
    let after = Slot::new(STORE, before.storage_index, PROMISE, before.manifest);
    assert_eq!(commit(&after, 1, &first), Err(Refusal::PromiseLost));
}

#[test]
fn a_commit_without_a_seal_is_promise_lost() {
    let (mut slot, first) = (slot(), writer().version(1, 1, None));
    assert!(slot.open(conversation(1)));
    assert_eq!(commit(&slot, 1, &first), Err(Refusal::PromiseLost));
}

#[test]
fn a_commit_of_what_is_held_whole_is_already_so() {
    let first = writer().version(1, 1, None);
    let mut slot = slot();
    publish(&mut slot, 9, &first, &[0, 1]);
    seal(&mut slot, 1, &first, &[0]).unwrap();
    assert_eq!(commit(&slot, 1, &first), Ok(Change::AlreadySo));
}

#[test]
fn already_held_obeys_the_last_sealer_rule_too() {
    let first = writer().version(1, 1, None);
    let second = writer().version(2, 2, Some(first.id()));
    let mut slot = holding(&[&first]);
    seal(&mut slot, 1, &first, &[0]).unwrap();
    let claim = second.claim(Default::default());
    seal_at(&mut slot, at(30_000), 2, claim, &second, &[0]).unwrap();
    let refused = slot.commit(at(60_001), conversation(1), first.signature());
    assert_eq!(refused, Err(Refusal::PromiseLost));
}

#[test]
fn a_commit_of_the_current_version_adds_the_shares_it_lacked() {
    let first = writer().version(1, 1, None);
    let mut slot = holding(&[&first]);
    seal(&mut slot, 1, &first, &[0, 3]).unwrap();
    let manifest = next(commit(&slot, 1, &first).unwrap());
    assert_eq!(held_versions(&manifest), [first.id()]);
    assert_eq!(held_shares(&manifest, 0), [0, 3]);
    assert_eq!(manifest.generations[0].origin, Origin::Committed(conversation(1)));
    assert_eq!(manifest.history.len(), 1);
}

#[test]
fn a_commit_replaces_a_damaged_share_of_the_same_version() {
    let first = writer().version(1, 1, None);
    let mut slot = holding(&[&first]);
    let change = slot.damaged(first.id(), Damage::Share(share(0)));
    accept(&mut slot, change);
    seal(&mut slot, 1, &first, &[0]).unwrap();
    let manifest = next(commit(&slot, 1, &first).unwrap());
    let health = manifest.generations[0].shares[&share(0)].health;
    assert_eq!(health, ShareHealth::Whole);
}

#[test]
fn a_version_brought_under_a_lapsed_promise_fails_the_tests_of_the_commit() {
    let first = writer().version(1, 1, None);
    let ours = writer().version(2, 2, Some(first.id()));
    let theirs = writer().version(3, 2, Some(first.id()));
    let mut slot = holding(&[&first]);
    let claim = ours.claim(tests(&[(0, Expected::Version(first.id()))]));
    seal_at(&mut slot, at(0), 1, claim, &ours, &[0]).unwrap();
    let brought = slot.bring(at(30_000), theirs.signed.clone(), theirs.verified(&[0]), None, &[]);
    accept(&mut slot, brought.unwrap());
    let refused = slot.commit(at(30_001), conversation(1), ours.signature());
    assert_eq!(refused, Err(Refusal::Conflict));
}

#[test]
fn our_own_version_brought_under_a_lapsed_promise_makes_the_commit_already_so() {
    let first = writer().version(1, 1, None);
    let ours = writer().version(2, 2, Some(first.id()));
    let mut slot = holding(&[&first]);
    let claim = ours.claim(tests(&[(0, Expected::Version(first.id()))]));
    seal_at(&mut slot, at(0), 1, claim, &ours, &[0]).unwrap();
    let brought = slot.bring(at(30_000), ours.signed.clone(), ours.verified(&[0]), None, &[]);
    accept(&mut slot, brought.unwrap());
    let answer = slot.commit(at(30_001), conversation(1), ours.signature());
    assert_eq!(answer, Ok(Change::AlreadySo));
}

#[test]
fn a_floor_raised_under_a_lapsed_promise_makes_the_commit_stale() {
    let first = writer().version(1, 1, None);
    let ours = writer().version(2, 2, Some(first.id()));
    let theirs = writer().version(3, 3, Some(first.id()));
    let mut slot = holding(&[&first]);
    seal(&mut slot, 1, &ours, &[0]).unwrap();
    let brought = slot.bring(at(30_000), theirs.signed.clone(), theirs.verified(&[0]), None, &[]);
    accept(&mut slot, brought.unwrap());
    let refused = slot.commit(at(30_001), conversation(1), ours.signature());
    assert_eq!(refused, Err(Refusal::Stale));
}

#[test]
fn a_version_that_became_an_older_generation_meanwhile_is_superseded() {
    let first = writer().version(1, 1, None);
    let second = writer().version(2, 2, Some(first.id()));
    let mut slot = holding(&[&first]);
    seal(&mut slot, 1, &first, &[1]).unwrap();
    let brought = slot.bring(at(30_000), second.signed.clone(), second.verified(&[0]), None, &[]);
    accept(&mut slot, brought.unwrap());
    let refused = slot.commit(at(30_001), conversation(1), first.signature());
    assert_eq!(refused, Err(Refusal::Superseded));
}

#[test]
fn generations_brought_under_a_lapsed_promise_leave_no_room_for_the_commit() {
    let mut slot = slot();
    let mut last = writer().version(1, 1, None);
    publish(&mut slot, 9, &last, &[0]);
    for number in 2..=15 {
        last = writer().version(number, number.into(), Some(last.id()));
        publish(&mut slot, 9, &last, &[0]);
    }
    let ours = writer().version(99, 99, Some(last.id()));
    seal(&mut slot, 1, &ours, &[0]).unwrap();
    let sixteenth = writer().version(16, 16, Some(last.id()));
    let (signed, certificate) = (sixteenth.signed.clone(), Some(sixteenth.certificate()));
    let brought = slot.bring(at(30_000), signed, sixteenth.verified(&[0]), certificate, &[]);
    accept(&mut slot, brought.unwrap());
    let refused = slot.commit(at(30_001), conversation(1), ours.signature());
    assert_eq!(refused, Err(Refusal::TooManyGenerations));
}

#[test]
fn history_keeps_a_week_and_at_least_64() {
    let mut slot = slot();
    let mut publish_at = |number: u8, unix_seconds: u64| {
        let version = writer().version(number, number.into(), None);
        let now = Now { elapsed: Millis::new(0), unix_seconds };
        slot.manifest.generations.clear();
        seal(&mut slot, 1, &version, &[0]).unwrap();
        let change = slot.commit(now, conversation(1), version.signature()).unwrap();
        accept(&mut slot, change);
        slot.end(conversation(1));
        slot.manifest().history.len()
    };
    for number in 1..=70 {
        assert_eq!(publish_at(number, WEEK_SECONDS), usize::from(number));
    }
    // A week later to the second they are all remembered; a second after that, 64 are left, the new one among them.
    assert_eq!(publish_at(71, 2 * WEEK_SECONDS), 71);
    assert_eq!(publish_at(72, 2 * WEEK_SECONDS + 1), 64);
    let sequence_numbers = slot.manifest().history.iter();
    let first = sequence_numbers.map(|record| record.entry.sequence_number.get()).next();
    assert_eq!(first, Some(9));
}

#[test]
fn history_never_outgrows_what_a_state_may_list() {
    let first = writer().version(1, 1, None);
    let second = writer().version(2, 2, Some(first.id()));
    let mut slot = holding(&[&first]);
    let record = *first_record(&slot.manifest);
    slot.manifest.history = vec![record; HISTORY_MAX].into_iter().collect();
    publish(&mut slot, 1, &second, &[0]);
    assert_eq!(slot.manifest().history.len(), HISTORY_MAX);
    let last = slot.manifest().history.iter().last().unwrap();
    assert_eq!(last.entry.version, second.id());
}
