//! What a Seal may and may not do.

use tarn_proto::state::{Expected, Tests};
use tarn_proto::{ShareHealth, SlotState};

use super::*;
use crate::testing::{share, tests, tests_only};

fn answer(slot: &mut Slot, version: &Version, tests: Tests) -> Result<Millis, Refusal> {
    seal_at(slot, at(0), 1, version.claim(tests), version, &[0])
}

#[test]
fn a_seal_on_an_empty_slot_is_a_promise_for_t_and_changes_nothing_durable() {
    let (mut slot, first) = (slot(), writer().version(1, 1, None));
    assert_eq!(seal(&mut slot, 1, &first, &[0, 1]), Ok(PROMISE));
    assert_eq!(slot.manifest(), &Manifest::default());
    assert_eq!(slot.state(at(10_000), None, None).promised_ms, Some(20_000));
}

#[test]
fn a_number_one_above_the_floor_need_not_be_remembered_and_a_higher_one_is() {
    let base = writer().version(1, 1, None);
    let sealing = |slot: &Slot, number| {
        let version = writer().version(9, number, None);
        slot.sealing(&version.claim(Tests::default()))
    };
    let (empty, held) = (slot(), holding(&[&base]));
    assert_eq!((sealing(&empty, 1), sealing(&held, 2)), (Change::AlreadySo, Change::AlreadySo));
    for (slot, number) in [(empty, 2), (held, 3)] {
        assert_eq!(next(sealing(&slot, number)).sealed, SequenceNumber::new(number));
    }
}

#[test]
fn a_prepare_signature_for_another_store_is_bad() {
    let first = writer().version(1, 1, None);
    let other = StoreId::new([9; 16]);
    let signed = first.signed.clone();
    let bytes = signed.bytes().clone();
    let signature = first.prepare_signature(other);
    let verify = |store| {
        PreparedHeader::verify(store, signed.verify_key(), bytes.clone(), &signature)
            .map(|header| header.version())
    };
    assert_eq!(verify(STORE), Err(Refusal::BadSignature));
    assert_eq!(verify(other), Ok(first.id()));

    let claim = Claim {
        header: PreparedHeader::verify(other, signed.verify_key(), bytes.clone(), &signature)
            .unwrap(),
        ..first.claim(Tests::default())
    };
    let refused = seal_at(&mut slot(), at(0), 1, claim, &first, &[0]);
    assert_eq!(refused, Err(Refusal::BadSignature));
}

#[test]
fn a_header_signature_is_no_prepare_signature() {
    let first = writer().version(1, 1, None);
    let bytes = first.signed.bytes().clone();
    let key = first.signed.verify_key();
    let refused = PreparedHeader::verify(STORE, key, bytes, &first.signature());
    assert_eq!(refused.err(), Some(Refusal::BadSignature));
}

#[test]
fn a_header_of_another_file_is_bad() {
    let foreign = Writer::new(8).version(1, 1, None);
    let refused = seal(&mut slot(), 1, &foreign, &[0]);
    assert_eq!(refused, Err(Refusal::BadSignature));

    let stolen = PreparedHeader::verify(
        STORE,
        writer().verify_key(),
        foreign.signed.bytes().clone(),
        &foreign.prepare_signature(STORE),
    );
    assert_eq!(stolen.err(), Some(Refusal::BadSignature));
}

#[test]
fn a_header_of_a_newer_format_is_unsupported_and_any_other_nonsense_bad() {
    let first = writer().version(1, 1, None);
    let refused = |at: usize, value: u8| {
        let mut bytes = first.signed.bytes().to_vec();
        bytes[at] = value;
        let signature = first.prepare_signature(STORE);
        PreparedHeader::verify(STORE, writer().verify_key(), bytes.into(), &signature).err()
    };
    assert_eq!(refused(4, 2), Some(Refusal::Unsupported));
    assert_eq!(refused(0, b'X'), Some(Refusal::BadSignature));
}

#[test]
fn shares_of_one_version_are_not_sealed_under_the_header_of_another() {
    let (first, other) = (writer().version(1, 1, None), writer().version(2, 1, None));
    let refused = seal_at(&mut slot(), at(0), 1, first.claim(Tests::default()), &other, &[0]);
    assert_eq!(refused, Err(Refusal::BadShare));
}

#[test]
fn a_test_for_absence_fails_once_the_share_is_held() {
    let first = writer().version(1, 1, None);
    let second = writer().version(2, 2, Some(first.id()));
    let mut slot = holding(&[&first]);
    let refused = answer(&mut slot, &second, tests(&[(0, Expected::Absent)]));
    assert_eq!(refused, Err(Refusal::Conflict));
    assert_eq!(slot.state(at(0), None, None).promised_ms, None);
}

#[test]
fn a_test_names_the_version_that_must_be_there() {
    let first = writer().version(1, 1, None);
    let second = writer().version(2, 2, Some(first.id()));
    let wrong =
        answer(&mut holding(&[&first]), &second, tests(&[(0, Expected::Version(second.id()))]));
    assert_eq!(wrong, Err(Refusal::Conflict));
    let right =
        answer(&mut holding(&[&first]), &second, tests(&[(0, Expected::Version(first.id()))]));
    assert_eq!(right, Ok(PROMISE));
}

#[test]
fn a_test_for_a_version_fails_on_a_slot_that_holds_nothing() {
    let first = writer().version(1, 1, None);
    let second = writer().version(2, 2, Some(first.id()));
    let refused = answer(&mut slot(), &second, tests(&[(0, Expected::Version(first.id()))]));
    assert_eq!(refused, Err(Refusal::Conflict));
}

#[test]
fn a_test_for_damage_passes_on_a_damaged_share_only() {
    let first = writer().version(1, 1, None);
    let second = writer().version(2, 2, Some(first.id()));
    let mut slot = holding(&[&first]);
    let damage = tests(&[(0, Expected::Damaged)]);
    assert_eq!(slot.judge_tests(&damage), Err(Refusal::Conflict));
    let change = slot.damaged(first.id(), Damage::Share(share(0)));
    accept(&mut slot, change);
    assert_eq!(answer(&mut slot, &second, damage), Ok(PROMISE));
}

#[test]
fn no_others_fails_on_a_share_that_is_not_named() {
    let first = writer().version(1, 1, None);
    let second = writer().version(2, 2, Some(first.id()));
    let absent = [(1, Expected::Absent)];
    let mut slot = holding(&[&first]);
    assert_eq!(slot.judge_tests(&tests_only(&absent)), Err(Refusal::Conflict));
    assert_eq!(answer(&mut slot, &second, tests(&absent)), Ok(PROMISE));
}

#[test]
fn tests_look_at_the_first_generation_only() {
    let first = writer().version(1, 1, None);
    let second = writer().version(2, 2, Some(first.id()));
    let third = writer().version(3, 3, Some(second.id()));
    let mut slot = slot();
    publish(&mut slot, 9, &first, &[3]);
    publish(&mut slot, 9, &second, &[0]);
    let only_second = tests_only(&[(0, Expected::Version(second.id())), (3, Expected::Absent)]);
    assert_eq!(answer(&mut slot, &third, only_second), Ok(PROMISE));
}

#[test]
fn a_share_of_the_very_version_passes_any_test_but_a_missing_one_does_not() {
    let first = writer().version(1, 1, None);
    let elsewhere = VersionId::new([9; 32]);
    let mut slot = holding(&[&first]);
    let held = tests_only(&[(0, Expected::Version(elsewhere))]);
    let not_held = tests(&[(1, Expected::Version(elsewhere))]);
    assert_eq!(answer(&mut slot, &first, held), Ok(PROMISE));
    slot.end(conversation(1));
    assert_eq!(answer(&mut slot, &first, not_held), Err(Refusal::Conflict));
}

#[test]
fn a_sequence_number_not_above_the_floor_is_stale() {
    let first = writer().version(1, 4, None);
    let same = writer().version(2, 4, None);
    let refused = seal(&mut holding(&[&first]), 1, &same, &[0]);
    assert_eq!(refused, Err(Refusal::Stale));
    let above = writer().version(2, 5, None);
    assert_eq!(seal(&mut holding(&[&first]), 1, &above, &[0]), Ok(PROMISE));
}

#[test]
fn the_floor_refuses_even_when_nothing_else_is_left() {
    let first = writer().version(1, 4, None);
    let mut emptied = holding(&[&first]);
    emptied.manifest.generations.clear();
    let refused = seal(&mut emptied, 1, &first, &[0]);
    assert_eq!(refused, Err(Refusal::Stale));
}

#[test]
fn a_version_held_only_as_an_older_generation_is_superseded() {
    let first = writer().version(1, 1, None);
    let second = writer().version(2, 2, Some(first.id()));
    let mut slot = holding(&[&first, &second]);
    assert_eq!(seal(&mut slot, 1, &first, &[1]), Err(Refusal::Superseded));
}

#[test]
fn while_a_promise_lives_another_seal_is_told_how_long() {
    let (first, other) = (writer().version(1, 1, None), writer().version(2, 1, None));
    let mut slot = slot();
    seal(&mut slot, 1, &first, &[0]).unwrap();
    let claim = other.claim(Tests::default());
    let refused = seal_at(&mut slot, at(29_999), 2, claim, &other, &[0]);
    assert_eq!(refused, Err(Refusal::Busy { wait_ms: 1 }));
}

#[test]
fn a_promise_that_ran_out_holds_nobody_off() {
    let (first, other) = (writer().version(1, 1, None), writer().version(2, 1, None));
    let mut slot = slot();
    seal(&mut slot, 1, &first, &[0]).unwrap();
    let claim = other.claim(Tests::default());
    let sealed = seal_at(&mut slot, at(30_000), 2, claim, &other, &[0]);
    assert_eq!(sealed, Ok(PROMISE));
}

#[test]
fn a_stream_that_ends_releases_its_promise() {
    let (first, other) = (writer().version(1, 1, None), writer().version(2, 1, None));
    let mut slot = slot();
    seal(&mut slot, 1, &first, &[0]).unwrap();
    slot.end(conversation(1));
    assert_eq!(seal(&mut slot, 2, &other, &[0]), Ok(PROMISE));
}

#[test]
fn a_stream_that_ends_leaves_the_promise_of_another_alone() {
    let first = writer().version(1, 1, None);
    let mut slot = slot();
    assert!(slot.open(conversation(2)));
    seal(&mut slot, 1, &first, &[0]).unwrap();
    slot.end(conversation(2));
    assert_eq!(slot.state(at(0), None, None).promised_ms, Some(30_000));
}

#[test]
fn an_extended_promise_counts_from_now() {
    let (first, other) = (writer().version(1, 1, None), writer().version(2, 1, None));
    let mut slot = slot();
    seal(&mut slot, 1, &first, &[0]).unwrap();
    assert_eq!(slot.extend(at(20_000), conversation(1)), Ok(PROMISE));
    let claim = other.claim(Tests::default());
    let refused = seal_at(&mut slot, at(40_000), 2, claim, &other, &[0]);
    assert_eq!(refused, Err(Refusal::Busy { wait_ms: 10_000 }));
}

#[test]
fn a_promise_that_ran_out_with_no_seal_since_is_renewed() {
    let first = writer().version(1, 1, None);
    let mut slot = slot();
    seal(&mut slot, 1, &first, &[0]).unwrap();
    assert_eq!(slot.extend(at(90_000), conversation(1)), Ok(PROMISE));
}

#[test]
fn nothing_is_extended_that_another_has_sealed_since_or_that_never_was_sealed() {
    let (first, other) = (writer().version(1, 1, None), writer().version(2, 1, None));
    let mut slot = slot();
    seal(&mut slot, 1, &first, &[0]).unwrap();
    let claim = other.claim(Tests::default());
    seal_at(&mut slot, at(30_000), 2, claim, &other, &[0]).unwrap();
    assert_eq!(slot.extend(at(90_000), conversation(1)), Err(Refusal::PromiseLost));
    assert!(slot.open(conversation(3)));
    assert_eq!(slot.extend(at(90_000), conversation(3)), Err(Refusal::PromiseLost));
}

#[test]
fn a_seal_refused_for_conflict_may_be_repeated_with_other_tests() {
    let first = writer().version(1, 1, None);
    let second = writer().version(2, 2, Some(first.id()));
    let mut slot = holding(&[&first]);
    let refused = answer(&mut slot, &second, tests(&[(0, Expected::Absent)]));
    assert_eq!(refused, Err(Refusal::Conflict));
    let claim = second.claim(tests(&[(0, Expected::Version(first.id()))]));
    let sealed = slot.seal(at(1), conversation(1), claim, second.verified(&[0]));
    assert_eq!(sealed, Ok(PROMISE));
}

#[test]
fn a_refused_seal_is_no_seal_for_the_last_sealer_rule() {
    let (first, other) = (writer().version(1, 1, None), writer().version(2, 1, None));
    let mut slot = slot();
    seal(&mut slot, 1, &first, &[0]).unwrap();
    let never = tests(&[(0, Expected::Damaged)]);
    let refused = seal_at(&mut slot, at(40_000), 2, other.claim(never), &other, &[0]);
    assert_eq!(refused, Err(Refusal::Conflict));
    assert!(matches!(commit(&slot, 1, &first), Ok(Change::Becomes(_))));
}

#[test]
fn a_conversation_that_is_not_served_seals_nothing() {
    let first = writer().version(1, 1, None);
    let refused =
        slot().seal(at(0), conversation(1), first.claim(Tests::default()), first.verified(&[0]));
    assert_eq!(refused, Err(Refusal::PromiseLost));
}

#[test]
fn a_conversation_id_is_served_once_at_a_time() {
    let mut slot = slot();
    assert!(slot.open(conversation(1)));
    assert!(!slot.open(conversation(1)));
    slot.end(conversation(1));
    assert!(slot.open(conversation(1)));
}

#[test]
fn the_seventeenth_generation_is_refused_until_one_is_discarded() {
    let mut slot = slot();
    let mut versions: Vec<Version> = Vec::new();
    for number in 1..=16 {
        let predecessor = versions.last().map(Version::id);
        let version = writer().version(number, number.into(), predecessor);
        publish(&mut slot, 9, &version, &[0]);
        versions.push(version);
    }
    let next = writer().version(17, 17, None);
    assert_eq!(seal(&mut slot, 1, &next, &[0]), Err(Refusal::TooManyGenerations));
    let newest = versions[15].id();
    let claim = next.claim_discarding(Tests::default(), &[newest]);
    let sealed = seal_at(&mut slot, at(0), 2, claim, &next, &[0]);
    assert_eq!(sealed, Ok(PROMISE));
    // What is held already needs no room.
    slot.end(conversation(2));
    assert_eq!(seal(&mut slot, 3, &versions[15], &[1]), Ok(PROMISE));
}

#[test]
fn a_damaged_share_of_the_very_version_still_passes_any_test() {
    let first = writer().version(1, 1, None);
    let mut slot = holding(&[&first]);
    let change = slot.damaged(first.id(), Damage::Share(share(0)));
    accept(&mut slot, change);
    let health = slot.manifest().generations[0].shares[&share(0)].health;
    assert_eq!(health, ShareHealth::Damaged);
    let sealed = answer(&mut slot, &first, tests(&[(0, Expected::Absent)]));
    assert_eq!(sealed, Ok(PROMISE));
}

#[test]
fn the_highest_sequence_number_sealed_is_remembered_by_every_change_and_never_goes_down() {
    let base = writer().version(1, 1, None);
    let (low, high) =
        (writer().version(2, 2, Some(base.id())), writer().version(3, 3, Some(base.id())));
    let mut slot = holding(&[&base]);
    assert_eq!(slot.manifest().sealed, None);
    let change = slot.sealing(&high.claim(Tests::default()));
    let raised = Manifest { sealed: SequenceNumber::new(3), ..slot.manifest().clone() };
    assert_eq!(change, Change::Becomes(raised));
    accept(&mut slot, change);
    for claim in [&low, &high].map(|version| version.claim(Tests::default())) {
        assert_eq!(slot.sealing(&claim), Change::AlreadySo);
    }
    publish(&mut slot, 2, &low, &[0]);
    for change in [slot.finalize(low.certificate()).unwrap(), slot.damaged(low.id(), Damage::Table)]
    {
        assert_eq!(next(change).sealed, SequenceNumber::new(3));
    }
}

#[test]
fn a_slot_sealed_but_never_committed_is_as_empty_as_one_never_written() {
    let mut slot = slot();
    seal(&mut slot, 1, &writer().version(1, 2, None), &[0]).unwrap();
    slot.end(conversation(1));
    assert_eq!(slot.manifest().sealed, SequenceNumber::new(2));
    assert_eq!(slot.state(at(0), None, None), SlotState::empty(STORE));
    let absent = tests(&[(0, Expected::Absent)]);
    assert_eq!(slot.judge_tests(&absent), Ok(()));
}
