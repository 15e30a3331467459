//! The test-and-write conversation.

use tarn_proto::state::{ConversationStatus, Expected, Origin};

use super::*;
use crate::manifest::Extent;
use crate::store::memory::Operation;
use crate::store::{Revision, Store};
use crate::testing::{conversation, tests};

#[tokio::test]
async fn a_small_publish_is_sealed_and_written_in_two_round_trips() {
    let harness = Harness::start().await;
    let first = writer().version(1, 1, None);
    let mut talk = harness.talk(prepared(1, &first, &[0, 2])).await;
    let sealed = talk.sealed().await;
    assert_eq!(sealed.promise_ms, 30_000);
    let state = verified(sealed.state);
    assert_eq!(state.conversation, Some(ConversationStatus::SealedLast));
    assert_eq!(state.generations, []);

    talk.send(commit(&first)).await;
    let Ok(Some(Answer::Written(written))) = talk.answer().await else {
        panic!("expected Written");
    };
    let state = verified(written.state);
    let held = state.current().unwrap();
    assert_eq!(held.header, first.signed);
    assert_eq!(held.origin, Origin::Committed(conversation(1)));
    assert_eq!(held.shares.len(), 2);
    assert_eq!(state.promised_ms, None);
    assert_eq!(state.history[0].version, first.id());
    assert!(matches!(talk.answer().await, Ok(None)));
    harness.stop().await;
}

#[tokio::test]
async fn a_large_publish_is_staged_block_by_block_and_kept_in_chunks() {
    let harness = Harness::start().await;
    let first = writer().sized(1, 1, None, 64 << 10, 6_000_001);
    let mut messages = vec![open(1, &first, &[1, 3])];
    let pairs = single_blocks(&first, 1).into_iter().zip(single_blocks(&first, 3));
    messages.extend(pairs.flat_map(|(one, three)| [three, one]));
    messages.extend([rows(&first), seal(&first)]);
    let mut talk = harness.talk(messages).await;
    talk.sealed().await;
    let all = 2 * first.column(share(1)).len() as u64;
    assert!(talk.staged >= all - (1 << 20), "{} of {all}", talk.staged);
    assert_eq!(harness.store.chunks().len(), 2);
    talk.send(commit(&first)).await;
    assert!(matches!(talk.answer().await, Ok(Some(Answer::Written(_)))));
    assert_eq!(harness.store.chunks().len(), 2);
    let (manifest, _) = harness.store.load(writer().storage_index()).await.unwrap().unwrap();
    let kept = &manifest.generations[0];
    assert!(matches!(kept.table.0[..], [Extent::Inline(_)]));
    for (share, stored) in &kept.shares {
        let expected = first.column(*share);
        assert_eq!(stored.content.length(), expected.len() as u64);
        let read = harness.store.read(&stored.content, 0, expected.len());
        assert_eq!(read.await.unwrap(), expected);
    }
    harness.stop().await;
}

#[tokio::test]
async fn a_large_table_is_a_chunk_of_its_own() {
    let harness = Harness::start().await;
    let first = writer().sized(1, 1, None, 4, 8 * 600);
    assert!(first.table.bytes().len() > crate::manifest::INLINE_MAX);
    harness.publish(1, &first, &[0]).await;
    assert_eq!(harness.store.chunks().len(), 1);
    harness.stop().await;
}

/// What a writer sends who does not know yet where the version ends.
fn open_ended(messages: &mut [Request]) {
    let Some(Request::Open(open)) = messages.first_mut() else { unreachable!() };
    open.data_length = None;
}

#[tokio::test]
async fn whatever_the_length_turns_out_to_be_it_is_taken_from_the_header() {
    let harness = Harness::start().await;
    let lengths = [1, 7, 8, 9, 17, 24, 1_000, 200_001];
    let mut last = None;
    for (number, length) in (1_u8..).zip(lengths) {
        let version = writer().sized(number, number.into(), last, 8, length);
        let mut messages = prepared(number, &version, &[0, 1]);
        open_ended(&mut messages);
        let mut talk = harness.talk(messages).await;
        talk.sealed().await;
        talk.send(commit(&version)).await;
        assert!(matches!(talk.answer().await, Ok(Some(Answer::Written(_)))), "{length} bytes");
        let state = harness.state().await;
        assert_eq!(state.current().map(|held| held.header.version()), Some(version.id()));
        last = Some(version.id());
    }
    harness.stop().await;
}

#[tokio::test]
async fn a_header_of_another_length_than_was_sent_is_refused_though_none_was_announced() {
    let harness = Harness::start().await;
    let sent = writer().sized(1, 1, None, 8, 100);
    // The same cut, in blocks of the same size, but for where it ends.
    for length in [98, 96, 101, 112, 200, 0] {
        let sealed = writer().sized(1, 1, None, 8, length);
        let mut messages = prepared(1, &sent, &[0]);
        open_ended(&mut messages);
        let last = messages.last_mut().unwrap();
        *last = seal(&sealed);
        assert_eq!(harness.talk(messages).await.refusal().await, Refusal::BadShare, "{length}");
    }
    // A whole number of segments: nothing is shorter than the others, so all that tells is how many there are.
    let sent = writer().sized(1, 1, None, 8, 96);
    let sealed = writer().sized(1, 1, None, 8, 80);
    let mut messages = prepared(1, &sent, &[0]);
    open_ended(&mut messages);
    *messages.last_mut().unwrap() = seal(&sealed);
    assert_eq!(harness.talk(messages).await.refusal().await, Refusal::BadShare);
    harness.stop().await;
}

#[tokio::test]
async fn a_writer_with_nothing_to_send_yet_says_that_it_is_there() {
    let config = ServerConfig { idle: Duration::from_millis(400), ..ServerConfig::default() };
    let harness = Harness::with(config).await;
    let first = writer().version(1, 1, None);
    let mut messages = prepared(1, &first, &[0]);
    open_ended(&mut messages);
    let rest = messages.split_off(1);
    let mut talk = harness.talk(messages).await;
    for _ in 0..6 {
        tokio::time::sleep(Duration::from_millis(150)).await;
        talk.send(Request::Extend(wire::Extend {})).await;
        let message = talk.answers.message().await.unwrap().unwrap();
        assert_eq!(message.answer, Some(Answer::Staged(wire::Staged { bytes: 0 })));
    }
    for message in rest {
        talk.send(message).await;
    }
    talk.sealed().await;
    let mut silent = harness.talk(vec![open(2, &first, &[0])]).await;
    assert_eq!(silent.status().await, Code::DeadlineExceeded, "nobody waits for ever");
    harness.stop().await;
}

#[tokio::test]
async fn an_empty_version_has_neither_blocks_nor_rows() {
    let harness = Harness::start().await;
    let empty = writer().sized(1, 1, None, 1, 0);
    for is_known in [false, true] {
        let mut messages = vec![open(1, &empty, &[0]), seal(&empty)];
        if !is_known {
            open_ended(&mut messages);
        }
        harness.talk(messages).await.sealed().await;
        until(|| async { harness.state().await.promised_ms.is_none() }).await;
    }
    let mut talk = harness.talk(vec![open(1, &empty, &[0]), seal(&empty)]).await;
    talk.sealed().await;
    talk.send(commit(&empty)).await;
    assert!(matches!(talk.answer().await, Ok(Some(Answer::Written(_)))));
    assert_eq!(harness.state().await.current().unwrap().shares.len(), 1);
    harness.stop().await;
}

#[tokio::test]
async fn the_client_is_told_how_far_the_server_has_come() {
    let harness = Harness::start().await;
    let first = writer().version(1, 1, None);
    let mut talk = harness.talk(vec![open(1, &first, &[0]), blocks(&first, 0)]).await;
    let message = talk.answers.message().await.unwrap().unwrap();
    let staged = first.column(share(0)).len() as u64;
    assert_eq!(message.answer, Some(Answer::Staged(wire::Staged { bytes: staged })));
    harness.stop().await;
}

#[tokio::test]
async fn a_slot_promised_to_another_is_busy_and_the_holder_commits() {
    let harness = Harness::start().await;
    let (first, other) = (writer().version(1, 1, None), writer().version(2, 1, None));
    let mut holder = harness.talk(prepared(1, &first, &[0])).await;
    holder.sealed().await;
    let mut late = harness.talk(prepared(2, &other, &[0])).await;
    let refused = late.refused().await;
    let reason = Refusal::try_from(&refused).unwrap();
    assert!(matches!(reason, Refusal::Busy { wait_ms: 1..=30_000 }));
    assert!(verified(refused.state).promised_ms.is_some());
    assert!(matches!(late.answer().await, Ok(None)));
    holder.send(Request::Extend(wire::Extend {})).await;
    let extended = Answer::Extended(wire::Extended { promise_ms: 30_000 });
    assert_eq!(holder.answer().await.unwrap(), Some(extended));
    holder.send(commit(&first)).await;
    assert!(matches!(holder.answer().await, Ok(Some(Answer::Written(_)))));
    harness.stop().await;
}

#[tokio::test]
async fn a_commit_after_anothers_seal_is_promise_lost() {
    let config = ServerConfig { promise: Duration::ZERO, ..ServerConfig::default() };
    let harness = Harness::with(config).await;
    let (first, other) = (writer().version(1, 1, None), writer().version(2, 1, None));
    let mut one = harness.talk(prepared(1, &first, &[0])).await;
    one.sealed().await;
    let mut two = harness.talk(prepared(2, &other, &[0])).await;
    two.sealed().await;
    one.send(commit(&first)).await;
    assert_eq!(one.refusal().await, Refusal::PromiseLost);
    two.send(commit(&other)).await;
    assert!(matches!(two.answer().await, Ok(Some(Answer::Written(_)))));
    harness.stop().await;
}

#[tokio::test]
async fn a_conflict_at_seal_is_told_with_evidence_and_other_tests_may_follow() {
    let harness = Harness::start().await;
    let first = writer().version(1, 1, None);
    let second = writer().version(2, 2, Some(first.id()));
    harness.publish(1, &first, &[0]).await;
    let mut messages = staged(2, &second, &[0]);
    let absent = tests(&[(0, Expected::Absent)]);
    messages.push(Request::Seal(seal_message(&second, Some(&absent))));
    let mut talk = harness.talk(messages).await;
    let refused = talk.refused().await;
    assert_eq!(Refusal::try_from(&refused), Ok(Refusal::Conflict));
    let theirs = verified(refused.state).current().unwrap().header.version();
    assert_eq!(theirs, first.id());
    let adopted = tests(&[(0, Expected::Version(theirs))]);
    talk.send(Request::Seal(seal_message(&second, Some(&adopted)))).await;
    talk.sealed().await;
    talk.send(commit(&second)).await;
    assert!(matches!(talk.answer().await, Ok(Some(Answer::Written(_)))));
    assert_eq!(harness.state().await.generations.len(), 2);
    harness.stop().await;
}

#[tokio::test]
async fn tests_that_fail_at_open_are_answered_once_and_the_stream_stays_open() {
    let harness = Harness::start().await;
    let first = writer().version(1, 1, None);
    let second = writer().version(2, 2, Some(first.id()));
    harness.publish(1, &first, &[0]).await;
    // Open to Seal in one flight: the Seal uses the tests of Open, which were answered.
    let mut messages = prepared(2, &second, &[0]);
    messages[0] = Request::Open(wire::Open {
        tests: Some((&tests(&[(0, Expected::Absent)])).into()),
        ..open_message(2, &second, &[0])
    });
    let mut talk = harness.talk(messages).await;
    let refused = talk.refused().await;
    assert_eq!(Refusal::try_from(&refused), Ok(Refusal::Conflict));
    let adopted = tests(&[(0, Expected::Version(first.id()))]);
    talk.send(Request::Seal(seal_message(&second, Some(&adopted)))).await;
    talk.sealed().await;
    harness.stop().await;
}

#[tokio::test]
async fn a_share_that_does_not_match_its_table_is_refused() {
    let harness = Harness::start().await;
    let (first, other) = (writer().version(1, 1, None), writer().version(2, 1, None));
    let mut messages = prepared(1, &first, &[0]);
    messages[1] = blocks(&other, 0);
    let mut talk = harness.talk(messages).await;
    assert_eq!(talk.refusal().await, Refusal::BadShare);

    let mut messages = prepared(1, &first, &[0]);
    messages[2] = rows(&other);
    let mut talk = harness.talk(messages).await;
    assert_eq!(talk.refusal().await, Refusal::BadShare);

    let mut messages = prepared(1, &first, &[0]);
    messages.remove(1);
    let mut talk = harness.talk(messages).await;
    assert_eq!(talk.refusal().await, Refusal::BadShare);
    assert_eq!(harness.state().await, SlotState::empty(STORE));
    harness.stop().await;
}

#[tokio::test]
async fn gaps_overlaps_and_shares_that_were_not_announced_are_refused() {
    let harness = Harness::start().await;
    let first = writer().version(1, 1, None);
    let single = single_blocks(&first, 0);
    let stories = [
        vec![single[1].clone()],
        vec![single[0].clone(), single[0].clone()],
        vec![single[0].clone(), single[2].clone()],
        vec![blocks(&first, 1)],
        vec![blocks(&first, 0), single[2].clone()],
        vec![rows(&first), rows(&first)],
    ];
    for story in stories {
        let mut messages = vec![open(1, &first, &[0])];
        messages.extend(story);
        let mut talk = harness.talk(messages).await;
        assert_eq!(talk.refusal().await, Refusal::BadShare);
    }
    harness.stop().await;
}

#[tokio::test]
async fn a_header_that_is_not_what_was_announced_is_refused() {
    let harness = Harness::start().await;
    let first = writer().version(1, 1, None);
    let longer = writer().sized(1, 1, None, 4, 24);
    let mut messages = staged(1, &first, &[0]);
    messages.push(seal(&longer));
    let mut talk = harness.talk(messages).await;
    assert_eq!(talk.refusal().await, Refusal::BadShare);
    harness.stop().await;
}

#[tokio::test]
async fn a_bad_prepare_or_commit_signature_is_refused() {
    let harness = Harness::start().await;
    let (first, other) = (writer().version(1, 1, None), writer().version(2, 1, None));
    let mut messages = staged(1, &first, &[0]);
    let header = first.signed.bytes().clone();
    messages.push(Request::Seal(wire::Seal { header, ..seal_message(&other, None) }));
    let mut talk = harness.talk(messages).await;
    assert_eq!(talk.refusal().await, Refusal::BadSignature);

    let mut talk = harness.talk(prepared(2, &first, &[0])).await;
    talk.sealed().await;
    talk.send(commit(&other)).await;
    assert_eq!(talk.refusal().await, Refusal::BadSignature);
    harness.stop().await;
}

#[tokio::test]
async fn a_commit_repeated_by_another_conversation_is_already_held() {
    let harness = Harness::start().await;
    let first = writer().version(1, 1, None);
    harness.publish(1, &first, &[0]).await;
    let mut talk = harness.talk(prepared(2, &first, &[0])).await;
    talk.sealed().await;
    talk.send(commit(&first)).await;
    let Ok(Some(Answer::AlreadyHeld(held))) = talk.answer().await else {
        panic!("expected AlreadyHeld");
    };
    let origin = verified(held.state).current().unwrap().origin;
    assert_eq!(origin, Origin::Committed(conversation(1)));
    harness.stop().await;
}

#[tokio::test]
async fn a_version_is_brought_in_one_flight_and_brought_again_is_already_held() {
    let harness = Harness::start().await;
    let first = writer().version(1, 1, None);
    let mut messages = staged(1, &first, &[0]);
    messages.push(bring(&first));
    let mut talk = harness.talk(messages.clone()).await;
    let Ok(Some(Answer::Written(written))) = talk.answer().await else {
        panic!("expected Written");
    };
    let state = verified(written.state);
    assert_eq!(state.current().unwrap().origin, Origin::Brought);
    assert!(matches!(talk.answer().await, Ok(None)));
    let mut again = harness.talk(messages).await;
    assert!(matches!(again.answer().await, Ok(Some(Answer::AlreadyHeld(_)))));
    harness.stop().await;
}

#[tokio::test]
async fn what_is_brought_over_a_stranger_is_a_conflict_that_ends_the_stream() {
    let harness = Harness::start().await;
    let first = writer().version(1, 1, None);
    let stranger = writer().version(2, 2, None);
    harness.publish(1, &first, &[0]).await;
    let mut messages = staged(2, &stranger, &[0]);
    messages.push(bring(&stranger));
    let mut talk = harness.talk(messages).await;
    assert_eq!(talk.refusal().await, Refusal::Conflict);
    harness.stop().await;
}

#[tokio::test]
async fn a_certificate_rides_on_the_next_open_whatever_becomes_of_that_conversation() {
    let harness = Harness::start().await;
    let first = writer().version(1, 1, None);
    let second = writer().version(2, 2, Some(first.id()));
    harness.publish(1, &first, &[0]).await;
    harness.publish(2, &second, &[0]).await;
    let third = writer().version(3, 3, Some(second.id()));
    let opening = Request::Open(wire::Open {
        finalize: Some((&second.certificate()).into()),
        ..open_message(3, &third, &[0])
    });
    let mut talk = harness.talk(vec![opening, blocks(&third, 3)]).await;
    assert_eq!(talk.refusal().await, Refusal::BadShare);
    until(|| async { harness.state().await.certificates == [second.certificate()] }).await;
    assert_eq!(harness.state().await.generations.len(), 1);
    harness.stop().await;
}

#[tokio::test]
async fn a_certificate_and_the_commit_that_follows_it_are_one_change() {
    let certificate_waits = Duration::from_secs(3600);
    let harness =
        Harness::with(ServerConfig { certificate_waits, ..ServerConfig::default() }).await;
    let first = writer().version(1, 1, None);
    harness.publish(1, &first, &[0]).await;
    let second = writer().version(2, 2, Some(first.id()));
    let mut messages = prepared(2, &second, &[0]);
    messages[0] = Request::Open(wire::Open {
        finalize: Some((&first.certificate()).into()),
        ..open_message(2, &second, &[0])
    });
    let mut talk = harness.talk(messages).await;
    assert_eq!(verified(talk.sealed().await.state).certificates, []);
    talk.send(commit(&second)).await;
    let Ok(Some(Answer::Written(written))) = talk.answer().await else {
        panic!("the commit was not accepted");
    };
    assert_eq!(verified(written.state).certificates, [first.certificate()]);
    let stored = harness.store.load(writer().storage_index()).await.unwrap().unwrap();
    assert_eq!(stored.1, Revision(2));
    harness.stop().await;
}

#[tokio::test]
async fn finalizing_records_the_certificate_or_says_why_not() {
    let harness = Harness::start().await;
    let first = writer().version(1, 1, None);
    let second = writer().version(2, 2, Some(first.id()));
    harness.publish(1, &first, &[0]).await;
    let finalize = |certificate: wire::Certificate| {
        let request = wire::FinalizeRequest {
            token: String::new(),
            storage_index: bytes(writer().storage_index().as_bytes()),
            certificate: Some(certificate),
        };
        let mut client = harness.client.clone();
        async move {
            let answer = client.finalize(request).await.unwrap().into_inner();
            answer.answer.unwrap()
        }
    };
    let refusal = |answer| match answer {
        wire::finalize_answer::Answer::Refused(refused) => Refusal::try_from(&refused).unwrap(),
        wire::finalize_answer::Answer::Recorded(_) => panic!("it was recorded"),
    };
    let good = wire::Certificate::from(&first.certificate());
    match finalize(good.clone()).await {
        wire::finalize_answer::Answer::Recorded(state) => {
            assert_eq!(verified(Some(state)).certificates, [first.certificate()]);
        }
        wire::finalize_answer::Answer::Refused(refused) => panic!("{refused:?}"),
    }
    let not_held = finalize((&second.certificate()).into()).await;
    assert_eq!(refusal(not_held), Refusal::NotHeld);
    let forged = wire::Certificate { sequence_number: 9, ..good };
    assert_eq!(refusal(finalize(forged).await), Refusal::BadSignature);
    harness.stop().await;
}

#[tokio::test]
async fn a_disk_that_fails_at_commit_changes_nothing_and_a_repeat_succeeds() {
    let harness = Harness::start().await;
    let first = writer().version(1, 1, None);
    let mut talk = harness.talk(prepared(1, &first, &[0])).await;
    talk.sealed().await;
    harness.store.fail_next(Operation::Replace);
    talk.send(commit(&first)).await;
    assert_eq!(talk.refusal().await, Refusal::StoreFailed);
    assert_eq!(harness.state().await, SlotState::empty(STORE));
    harness.publish(2, &first, &[0]).await;
    harness.stop().await;
}

#[tokio::test]
async fn a_disk_that_fails_while_staging_is_told() {
    let harness = Harness::start().await;
    let first = writer().sized(1, 1, None, 64 << 10, 1 << 20);
    for operation in [Operation::Append, Operation::Finish] {
        harness.store.fail_next(operation);
        let mut talk = harness.talk(prepared(1, &first, &[0])).await;
        assert_eq!(talk.refusal().await, Refusal::StoreFailed);
    }
    assert_eq!(harness.store.chunks(), []);
    harness.stop().await;
}

#[tokio::test]
async fn a_full_slot_takes_a_commit_with_discard() {
    let harness = Harness::start().await;
    let mut last: Option<Version> = None;
    for number in 1..=16 {
        let version = writer().version(number, number.into(), last.as_ref().map(Version::id));
        harness.publish(number, &version, &[0]).await;
        last = Some(version);
    }
    let last = last.unwrap();
    let next = writer().version(17, 17, last.header().predecessor);
    let mut talk = harness.talk(prepared(17, &next, &[0])).await;
    assert_eq!(talk.refusal().await, Refusal::TooManyGenerations);
    let mut messages = staged(18, &next, &[0]);
    let signature = next.discard_signature(STORE, &[last.id()]);
    messages.push(Request::Seal(wire::Seal {
        discard: Some(wire::Discard {
            version_ids: vec![bytes(last.id().as_bytes())],
            signature: bytes(signature.as_bytes()),
        }),
        ..seal_message(&next, None)
    }));
    let mut talk = harness.talk(messages).await;
    talk.sealed().await;
    talk.send(commit(&next)).await;
    assert!(matches!(talk.answer().await, Ok(Some(Answer::Written(_)))));
    let state = harness.state().await;
    assert_eq!(state.generations.len(), 16);
    assert_eq!(state.generation(last.id()), None);
    harness.stop().await;
}
