//! Updates: what is not sent is the base's.

use std::ops::Range;

use proptest::prelude::*;
use tarn_proto::state::{Expected, ShareHealth};

use super::read::{health, read_blocks, read_rows};
use super::*;
use crate::manifest::{Content, Extent, Manifest};
use crate::store::Store;
use crate::testing::tests;

/// Open to Seal of an update, with a message for each run of each share.
pub(super) fn update(
    number: u8,
    base: &Version,
    version: &Version,
    shares: &[u8],
    touched: &[Range<u32>],
) -> Vec<Request> {
    let mut messages = vec![Request::Open(wire::Open {
        base_version_id: bytes(base.id().as_bytes()),
        ..open_message(number, version, shares)
    })];
    for run in touched {
        messages.push(rows_of(version, run));
        messages.extend(shares.iter().map(|&number| blocks_of(version, number, run)));
    }
    messages.push(seal(version));
    messages
}

fn rows_of(version: &Version, run: &Range<u32>) -> Request {
    let (first_segment, data) = (run.start, version.rows_of(run));
    Request::Rows(wire::RowRun { first_segment, data, proofs: Vec::new() })
}

fn blocks_of(version: &Version, number: u8, run: &Range<u32>) -> Request {
    let (first_segment, data) = (run.start, version.blocks_of(share(number), run));
    Request::Blocks(wire::BlockRun { share: number.into(), first_segment, data })
}

pub(super) async fn manifest(harness: &Harness) -> Manifest {
    harness.store.load(writer().storage_index()).await.unwrap().unwrap().0
}

async fn bytes_in(harness: &Harness, content: &Content) -> Bytes {
    let length = usize::try_from(content.length()).unwrap();
    harness.store.read(content, 0, length).await.unwrap()
}

/// The current generation has these shares of the version and its table, byte for byte, and gives them out.
pub(super) async fn holds(harness: &Harness, version: &Version, shares: &[u8]) {
    let held = manifest(harness).await.generations.remove(0);
    assert_eq!(held.header, version.signed);
    assert_eq!(bytes_in(harness, &held.table).await, version.table.bytes());
    let segments = version.header().geometry.segments();
    let roots = tarn_proto::PageRoots::of(&version.table.leaves());
    assert_eq!(held.page_roots, roots.bytes());
    assert!(held.shares.keys().map(|share| share.get()).eq(shares.iter().copied()));
    for &number in shares {
        let content = &held.shares[&share(number)].content;
        assert_eq!(bytes_in(harness, content).await, version.column(share(number)));
        let runs = read_blocks(harness, version.id(), number.into(), 0, segments).await.unwrap();
        let read: Vec<_> = runs.iter().flat_map(|run| run.data.to_vec()).collect();
        assert_eq!(read, version.column(share(number)));
    }
    assert!(read_rows(harness, version.id(), 0, segments, true).await.is_ok());
}

pub(super) async fn commit_update(harness: &Harness, messages: Vec<Request>, version: &Version) {
    let mut talk = harness.talk(messages).await;
    talk.sealed().await;
    talk.send(commit(version)).await;
    assert!(matches!(talk.answer().await, Ok(Some(Answer::Written(_)))));
    assert!(matches!(talk.answer().await, Ok(None)));
}

async fn refusal(harness: &Harness, messages: Vec<Request>) -> Refusal {
    harness.talk(messages).await.refusal().await
}

/// A server with shares 0 and 2 of a version of so many rows, the last of which is short.
async fn holding(rows: u64) -> (Harness, Version) {
    let harness = Harness::start().await;
    let version = writer().sized(1, 1, None, 4, 8 * rows - 3);
    harness.publish(1, &version, &[0, 2]).await;
    (harness, version)
}

#[tokio::test]
async fn of_a_large_share_only_what_is_touched_is_sent_and_stored() {
    let harness = Harness::start().await;
    let first = writer().sized(1, 1, None, 64 << 10, 4_000_000);
    harness.publish(1, &first, &[1]).await;
    let second = first.updated(2, &[3..5], 4_000_000);
    let mut talk = harness.talk(update(2, &first, &second, &[1], &[3..5])).await;
    talk.sealed().await;
    talk.send(commit(&second)).await;
    assert!(matches!(talk.answer().await, Ok(Some(Answer::Written(_)))));
    holds(&harness, &second, &[1]).await;
    let chunks = harness.store.chunks();
    assert_eq!(chunks.len(), 2);
    let held = manifest(&harness).await;
    let lengths = |at: usize| -> Vec<u64> {
        held.generations[at].shares[&share(1)].content.0.iter().map(Extent::length).collect()
    };
    let block = 64 << 10;
    assert_eq!(lengths(1), [2_000_000]);
    assert_eq!(lengths(0), [3 * block, 2 * block, 2_000_000 - 5 * block]);
    harness.stop().await;
}

#[tokio::test]
async fn segments_change_anywhere_in_tables_of_any_number_of_pages() {
    for rows in [1, 64, 65, 129] {
        let (harness, first) = holding(rows).await;
        let last = u32::try_from(rows).unwrap() - 1;
        let length = first.header().geometry.length();
        let mut base = first;
        for (label, touched) in [(2, vec![0..1]), (3, vec![last..last + 1]), (4, vec![0..last + 1])]
        {
            let next = base.updated(label, &touched, length);
            commit_update(&harness, update(label, &base, &next, &[0, 2], &touched), &next).await;
            holds(&harness, &next, &[0, 2]).await;
            base = next;
        }
        harness.stop().await;
    }
}

#[tokio::test]
async fn a_file_grows_past_its_short_last_block_and_is_cut_again() {
    let (harness, first) = holding(129).await;
    // The last block gets longer, and then whole and followed by others; then the end moves back, into and between rows.
    let grown = first.updated(2, &[], 8 * 129 - 1);
    commit_update(&harness, update(2, &first, &grown, &[0, 2], &[128..129]), &grown).await;
    holds(&harness, &grown, &[0, 2]).await;
    let longer = grown.updated(3, &[], 8 * 200 + 5);
    commit_update(&harness, update(3, &grown, &longer, &[0, 2], &[128..201]), &longer).await;
    holds(&harness, &longer, &[0, 2]).await;
    let cut = longer.updated(4, &[], 8 * 70 - 3);
    commit_update(&harness, update(4, &longer, &cut, &[0, 2], &[69..70]), &cut).await;
    holds(&harness, &cut, &[0, 2]).await;
    let between = cut.updated(5, &[], 8 * 66);
    commit_update(&harness, update(5, &cut, &between, &[0, 2], &[]), &between).await;
    holds(&harness, &between, &[0, 2]).await;
    let empty = between.updated(6, &[], 0);
    commit_update(&harness, update(6, &between, &empty, &[0, 2], &[]), &empty).await;
    assert_eq!(manifest(&harness).await.generations[0].table, Content::default());
    let refilled = empty.updated(7, &[], 8 * 3);
    commit_update(&harness, update(7, &empty, &refilled, &[0, 2], &[0..3]), &refilled).await;
    holds(&harness, &refilled, &[0, 2]).await;
    harness.stop().await;
}

#[tokio::test]
async fn runs_leave_gaps_and_come_in_any_interleaving() {
    let (harness, first) = holding(200).await;
    let touched = [3..5, 5..6, 63..66, 190..200];
    let second = first.updated(2, &touched, 8 * 200 - 3);
    let mut messages = update(2, &first, &second, &[0, 2], &[]);
    let seal = messages.pop().unwrap();
    messages.extend(touched.iter().map(|run| blocks_of(&second, 2, run)));
    messages.extend(touched.iter().map(|run| rows_of(&second, run)));
    messages.extend([3..6, 63..66, 190..200].iter().map(|run| blocks_of(&second, 0, run)));
    messages.push(seal);
    commit_update(&harness, messages, &second).await;
    holds(&harness, &second, &[0, 2]).await;
    harness.stop().await;
}

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
async fn some_of_the_shares_that_are_held_may_be_updated() {
    let (harness, first) = holding(3).await;
    let second = first.updated(2, &[1..2], 8 * 3 - 3);
    commit_update(&harness, update(2, &first, &second, &[2], &[1..2]), &second).await;
    holds(&harness, &second, &[2]).await;
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
    harness.store.tamper(writer().storage_index(), |manifest| {
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

#[tokio::test]
async fn what_is_brought_is_sent_whole() {
    let (harness, first) = holding(3).await;
    let second = first.updated(2, &[1..2], 8 * 3 - 3);
    let mut messages = update(2, &first, &second, &[0], &[1..2]);
    messages.pop();
    messages.push(bring(&second));
    assert_eq!(refusal(&harness, messages).await, Refusal::Unsupported);
    harness.stop().await;
}

#[tokio::test]
async fn an_update_that_does_not_add_up_is_a_bad_share() {
    let (harness, first) = holding(66).await;
    let length = 8 * 66 - 3;
    let second = first.updated(2, &[1..2, 65..66], length);
    let longer = first.updated(3, &[], length + 8);
    let good = || update(2, &first, &second, &[0, 2], &[1..2, 65..66]);
    let replaced = |at: usize, with: Request| {
        let mut messages = good();
        messages[at] = with;
        messages
    };
    let without = |at: usize| {
        let mut messages = good();
        messages.remove(at);
        messages
    };
    let cases = [
        ("a row that changed was not sent", update(2, &first, &second, &[0, 2], &[1..2])),
        ("a block was not sent", without(2)),
        ("a row was not sent, and its blocks were", without(1)),
        ("a block is another's", replaced(2, blocks_of(&first, 0, &(1..2)))),
        ("a row is the base's", replaced(1, rows_of(&first, &(1..2)))),
        ("more blocks were sent than rows", replaced(3, blocks_of(&second, 2, &(1..3)))),
        ("the end was not sent", update(3, &first, &longer, &[0, 2], &[65..66])),
        ("the last block of the base was not sent", update(3, &first, &longer, &[0, 2], &[66..67])),
        ("rows were sent beyond the end", {
            let mut messages = good();
            messages.insert(7, rows_of(&longer, &(66..67)));
            messages
        }),
        ("a run goes back", {
            let mut messages = good();
            messages.insert(7, rows_of(&second, &(0..1)));
            messages
        }),
    ];
    for (what, messages) in cases {
        assert_eq!(refusal(&harness, messages).await, Refusal::BadShare, "{what}");
    }
    commit_update(&harness, good(), &second).await;
    holds(&harness, &second, &[0, 2]).await;
    harness.stop().await;
}

#[tokio::test]
async fn a_conflict_at_seal_is_answered_and_the_update_may_be_sealed_again() {
    let harness = Harness::start().await;
    let first = writer().sized(1, 1, None, 64 << 10, 1_000_000);
    harness.publish(1, &first, &[0]).await;
    let second = first.updated(2, &[2..4], 1_000_000);
    let mut messages = update(2, &first, &second, &[0], &[2..4]);
    messages.pop();
    let absent = tests(&[(0, Expected::Absent)]);
    messages.push(Request::Seal(seal_message(&second, Some(&absent))));
    let mut talk = harness.talk(messages).await;
    assert_eq!(Refusal::try_from(&talk.refused().await), Ok(Refusal::Conflict));
    let adopted = tests(&[(0, Expected::Version(first.id()))]);
    talk.send(Request::Seal(seal_message(&second, Some(&adopted)))).await;
    talk.sealed().await;
    talk.send(commit(&second)).await;
    assert!(matches!(talk.answer().await, Ok(Some(Answer::Written(_)))));
    holds(&harness, &second, &[0]).await;
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

pub(super) async fn finalize(harness: &Harness, version: &Version) {
    let request = wire::FinalizeRequest {
        token: String::new(),
        storage_index: bytes(writer().storage_index().as_bytes()),
        certificate: Some((&version.certificate()).into()),
    };
    harness.client.clone().finalize(request).await.unwrap();
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

#[tokio::test]
async fn an_update_may_announce_more_than_there_is_room_for_if_it_takes_less() {
    let config = ServerConfig { reserved_bytes: 0, ..ServerConfig::default() };
    let store = MemoryStore::new(STORE, 1_100_000, ChaCha8Rng::seed_from_u64(1));
    let harness = Harness::on(store, config).await;
    let first = writer().sized(1, 1, None, 64 << 10, 2_000_000);
    harness.publish(1, &first, &[0]).await;
    let second = first.updated(2, &[], 2_000_000 + 8);
    let last = second.header().geometry.segments();
    let messages = update(2, &first, &second, &[0], &[last - 1..last]);
    commit_update(&harness, messages, &second).await;
    let third = second.updated(3, &[], 2_500_000);
    let messages =
        update(3, &second, &third, &[0], &[last - 1..third.header().geometry.segments()]);
    assert_eq!(refusal(&harness, messages).await, Refusal::NoSpace);
    harness.stop().await;
}

/// One step of a series: a length in bytes, and places to touch as fractions of 256.
fn steps() -> impl Strategy<Value = Vec<(u64, Vec<u8>)>> {
    let step = (1_u64..1_700, prop::collection::vec(any::<u8>(), 0..6));
    prop::collection::vec(step, 1..7)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn a_series_of_updates_is_what_whole_writes_would_have_been(steps in steps()) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let (harness, mut base) = holding(90).await;
            for (label, (length, places)) in (2..).zip(steps) {
                let next = base.updated(label, &[], length);
                let (old, new) = (base.header().geometry, next.header().geometry);
                let segments = new.segments();
                let is_touched = |segment: &u32| {
                    let mut places = places.iter().map(|&place| u32::from(place) * segments / 256);
                    places.any(|place| place == *segment)
                        || *segment >= old.segments()
                        || old.block_length(*segment) != new.block_length(*segment)
                };
                let touched = (0..segments).filter(is_touched).map(|segment| segment..segment + 1);
                let touched: Vec<Range<u32>> = touched.collect();
                let next = base.updated(label, &touched, length);
                let messages = update(label, &base, &next, &[0, 2], &touched);
                commit_update(&harness, messages, &next).await;
                holds(&harness, &next, &[0, 2]).await;
                base = next;
            }
            harness.stop().await;
        });
    }
}
