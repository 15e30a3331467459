//! What a slot says of itself.

use tarn_proto::state::ConversationStatus;
use tarn_proto::{AttemptId, HistoryQuery, ShareHealth, SlotState};

use super::*;
use crate::testing::share;

#[test]
fn a_slot_never_written_has_an_empty_state() {
    assert_eq!(slot().state(at(0), None, None), SlotState::empty(STORE));
}

#[test]
fn a_state_lists_what_is_held_and_who_committed_it() {
    let first = writer().version(1, 1, None);
    let mut slot = holding(&[&first]);
    let change = slot.finalize(first.certificate()).unwrap();
    accept(&mut slot, change);
    let state = slot.state(at(0), None, None);
    assert_eq!(state.floor, Some(first.signed.clone()));
    assert_eq!(state.certificates, [first.certificate()]);
    let held = state.current().unwrap();
    assert_eq!(held.origin, Origin::Committed(conversation(99)));
    assert_eq!(held.shares.get(&share(0)), Some(&ShareHealth::Whole));
}

#[test]
fn damage_is_told_of_one_share_or_of_all() {
    let first = writer().version(1, 1, None);
    let mut slot = slot();
    publish(&mut slot, 1, &first, &[0, 1]);
    let change = slot.damaged(first.id(), Damage::Share(share(1)));
    accept(&mut slot, change);
    let health = |slot: &Slot| -> Vec<_> {
        let state = slot.state(at(0), None, None);
        state.generations[0].shares.values().copied().collect()
    };
    assert_eq!(health(&slot), [ShareHealth::Whole, ShareHealth::Damaged]);
    assert_eq!(slot.damaged(first.id(), Damage::Share(share(1))), Change::AlreadySo);
    let change = slot.damaged(first.id(), Damage::Table);
    accept(&mut slot, change);
    assert_eq!(health(&slot), [ShareHealth::Damaged; 2]);
}

#[test]
fn history_begins_at_the_asked_attempt_or_number() {
    let first = writer().version(1, 1, None);
    let second = writer().version(2, 2, Some(first.id()));
    let third = writer().version(3, 3, Some(second.id()));
    let slot = holding(&[&first, &second, &third]);
    let versions = |history| -> Vec<_> {
        let history = slot.state(at(0), history, None).history;
        history.iter().map(|entry| entry.version).collect()
    };
    assert_eq!(versions(None), []);
    let since = |attempt, number: u64| {
        versions(Some(HistoryQuery { attempt, since: Some(number.try_into().unwrap()) }))
    };
    let (nobody, asked) = (AttemptId::new([77; 16]), second.header().attempt);
    assert_eq!(versions(Some(nobody.into())), []);
    assert_eq!(versions(Some(asked.into())), [second.id(), third.id()]);
    assert_eq!(since(nobody, 2), [second.id(), third.id()], "links for what others remember");
    assert_eq!(since(nobody, 4), []);
    assert_eq!(since(asked, 1), [first.id(), second.id(), third.id()]);
    assert_eq!(since(asked, 3), [second.id(), third.id()], "its own are told in any case");
}

#[test]
fn a_conversation_is_open_then_sealed_last_then_closed() {
    let first = writer().version(1, 1, None);
    let mut slot = slot();
    let status = |slot: &Slot| slot.state(at(0), None, Some(conversation(1))).conversation;
    assert_eq!(status(&slot), Some(ConversationStatus::Closed));
    assert!(slot.open(conversation(1)));
    assert_eq!(status(&slot), Some(ConversationStatus::Open));
    let claim = first.claim(Default::default());
    slot.seal(at(0), conversation(1), claim, first.verified(&[0])).unwrap();
    assert_eq!(status(&slot), Some(ConversationStatus::SealedLast));
    slot.end(conversation(1));
    assert_eq!(status(&slot), Some(ConversationStatus::Closed));
}

#[test]
fn a_conversation_that_another_has_sealed_after_is_open_but_not_sealed_last() {
    let (first, other) = (writer().version(1, 1, None), writer().version(2, 1, None));
    let mut slot = slot();
    seal(&mut slot, 1, &first, &[0]).unwrap();
    let claim = other.claim(Default::default());
    seal_at(&mut slot, at(30_000), 2, claim, &other, &[0]).unwrap();
    slot.end(conversation(2));
    let state = slot.state(at(30_000), None, Some(conversation(1)));
    assert_eq!(state.conversation, Some(ConversationStatus::Open));
}

#[test]
fn a_promise_that_ran_out_is_not_told_of() {
    let first = writer().version(1, 1, None);
    let mut slot = slot();
    seal(&mut slot, 1, &first, &[0]).unwrap();
    assert_eq!(slot.state(at(30_000), None, None).promised_ms, None);
}
