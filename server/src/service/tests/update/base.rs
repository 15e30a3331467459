//! What becomes of an update whose base is not here, or is dropped or damaged meanwhile.

use tarn_proto::state::ShareHealth;

use super::super::read::health;
use super::*;

#[tokio::test]
async fn a_base_need_not_be_the_current_version_nor_the_predecessor() {
    let (harness, first) = holding(70).await;
    let other = writer().sized(2, 2, Some(first.id()), 4, 50);
    harness.publish(2, &other, &[0]).await;
    let middle = first.updated(3, &[1..2], 8 * 70 - 3);
    let third = middle.updated(4, &[66..67], 8 * 70 - 3);
    let touched = [1..2, 66..67];
    commit_update(&harness, update(3, &first, &third, &[0, 2], &touched), &third).await;
    holds(&harness, &third, &[0, 2]).await;
    assert_eq!(manifest(&harness).await.generations.len(), 3);
    harness.stop().await;
}

#[tokio::test]
async fn a_base_that_is_not_here_whole_is_missing() {
    let (harness, first) = holding(3).await;
    let second = first.updated(2, &[1..2], 8 * 3 - 3);
    let unknown = writer().sized(9, 1, None, 4, 8 * 3 - 3);
    let ask = async |base: &Version, shares: &[u8]| {
        refusal(&harness, update(2, base, &second, shares, &[1..2])).await
    };
    assert_eq!(ask(&unknown, &[0]).await, Refusal::BaseMissing);
    assert_eq!(ask(&first, &[0, 1]).await, Refusal::BaseMissing);
    harness.tamper(|manifest| {
        let shares = &mut manifest.generations[0].shares;
        shares.get_mut(&share(2)).unwrap().health = ShareHealth::Damaged;
    });
    assert_eq!(ask(&first, &[0, 2]).await, Refusal::BaseMissing);
    commit_update(&harness, update(2, &first, &second, &[0], &[1..2]), &second).await;
    harness.stop().await;
}

#[tokio::test]
async fn a_base_that_is_cut_otherwise_is_unsupported() {
    let (harness, first) = holding(3).await;
    let second = writer().sized(2, 2, Some(first.id()), 8, 20);
    let messages = update(2, &first, &second, &[0], &[0..1]);
    assert_eq!(refusal(&harness, messages).await, Refusal::Unsupported);
    let third = first.updated(2, &[1..2], 8 * 3 - 3);
    let open = |change: &dyn Fn(&mut wire::Open)| {
        let mut messages = update(2, &first, &third, &[0], &[1..2]);
        let Some(Request::Open(open)) = messages.first_mut() else { unreachable!() };
        change(open);
        messages
    };
    let k = open(&|open| open.k = 3);
    assert_eq!(refusal(&harness, k).await, Refusal::Unsupported);
    let n = open(&|open| open.n = 5);
    assert_eq!(refusal(&harness, n).await, Refusal::Unsupported);
    harness.stop().await;
}

/// Two versions in chunks, and an update of the first that has been opened and not sealed.
async fn opened() -> (Harness, Version, Version, Talk) {
    let harness = Harness::start().await;
    let first = writer().sized(1, 1, None, 64 << 10, 1_000_000);
    harness.publish(1, &first, &[0]).await;
    let second = writer().sized(2, 2, Some(first.id()), 64 << 10, 500_000);
    harness.publish(2, &second, &[0]).await;
    let third = first.updated(3, &[2..4], 1_000_000);
    let third = third.updated(4, &[2..4], 1_000_000);
    let mut messages = update(3, &first, &third, &[0], &[2..4]);
    messages.pop();
    let mut talk = harness.talk(messages).await;
    // A sign of life says that it was opened.
    assert!(talk.answers.message().await.unwrap().is_some());
    (harness, second, third, talk)
}

#[tokio::test]
async fn a_base_that_is_dropped_meanwhile_is_pinned_until_the_conversation_ends() {
    let (harness, second, third, mut talk) = opened().await;
    finalize(&harness, &second).await;
    assert_eq!(manifest(&harness).await.generations.len(), 1);
    talk.send(seal(&third)).await;
    talk.sealed().await;
    talk.send(commit(&third)).await;
    assert!(matches!(talk.answer().await, Ok(Some(Answer::Written(_)))));
    holds(&harness, &third, &[0]).await;
    // The first version's chunk is in use for what was not touched.
    until(|| async { harness.store.chunks().len() == 3 }).await;
    finalize(&harness, &third).await;
    holds(&harness, &third, &[0]).await;
    harness.stop().await;
}

#[tokio::test]
async fn an_update_that_is_given_up_leaves_nothing_and_its_base_goes_if_it_was_dropped() {
    let (harness, second, _, talk) = opened().await;
    finalize(&harness, &second).await;
    assert!(harness.store.chunks().len() >= 2);
    drop(talk);
    until(|| async { harness.store.chunks().len() == 1 }).await;
    holds(&harness, &second, &[0]).await;
    harness.stop().await;
}

#[tokio::test]
async fn a_base_whose_chunk_is_cut_short_is_missing_at_seal_and_marked() {
    let (harness, _, third, mut talk) = opened().await;
    let held = manifest(&harness).await;
    let chunk = held.generations[1].shares[&share(0)].content.chunks().next().unwrap();
    harness.store.tamper_chunk(chunk, |bytes| bytes.truncate(400_000));
    talk.send(seal(&third)).await;
    assert_eq!(talk.refusal().await, Refusal::BaseMissing);
    let shares = &harness.state().await.generations[1].shares;
    assert_eq!(shares[&share(0)], ShareHealth::Damaged);
    harness.stop().await;
}

#[tokio::test]
async fn a_base_that_is_found_damaged_meanwhile_is_missing_at_seal() {
    let (harness, _, third, mut talk) = opened().await;
    let held = manifest(&harness).await;
    let first = held.generations[1].header.version();
    let chunk = held.generations[1].shares[&share(0)].content.chunks().next().unwrap();
    harness.store.tamper_chunk(chunk, |bytes| bytes[400_000] ^= 1);
    assert!(read_blocks(&harness, first, 0, 0, 8).await.is_err());
    talk.send(seal(&third)).await;
    assert_eq!(talk.refusal().await, Refusal::BaseMissing);
    harness.stop().await;
}

#[tokio::test]
async fn a_base_whose_table_is_bent_where_it_is_needed_is_missing_and_marked() {
    let harness = Harness::start().await;
    let first = writer().sized(1, 1, None, 4, 8 * 600);
    harness.publish(1, &first, &[0]).await;
    // Its table is a chunk; row 70 is bent.
    harness.store.tamper_chunk(harness.store.chunks()[0], |bytes| bytes[70 * 160] ^= 1);
    let elsewhere = first.updated(2, &[3..4], 8 * 600);
    commit_update(&harness, update(2, &first, &elsewhere, &[0], &[3..4]), &elsewhere).await;
    let there = elsewhere.updated(3, &[71..72], 8 * 600);
    let messages = update(3, &elsewhere, &there, &[0], &[71..72]);
    assert_eq!(refusal(&harness, messages).await, Refusal::BaseMissing);
    assert_eq!(health(&harness).await, [ShareHealth::Damaged]);
    harness.stop().await;
}
