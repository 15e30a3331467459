use std::collections::BTreeSet;
use std::future::poll_fn;
use std::task::Poll;
use std::time::SystemTime;

use bytes::Bytes;
use tarn_proto::{AttemptId, Geometry, SequenceNumber, Shape, ShareNumber};
use tokio::sync::mpsc;
use zeroize::Zeroizing;

use super::*;
use crate::caps::WriteCap;
use crate::encode::spool::Spool;

/// 2-of-3 in segments of 16 bytes.
fn geometry(length: u64) -> Geometry {
    Geometry::new(Shape::new(2, 2, 3).unwrap(), 8, length).unwrap()
}

fn pass(source: Source, length: u64, reading: Reading) -> Pass {
    let geometry = geometry(length);
    let cap = WriteCap::from_secret(Zeroizing::new([7; 32])).read_cap();
    let attempt = AttemptId::new([1; 16]);
    let encoder = SegmentEncoder::new(&cap, geometry, attempt, SequenceNumber::FIRST);
    let segments = 0..geometry.segments();
    Pass { source, segments, encoder: Arc::new(encoder), reading, workers: Workers::default() }
}

fn plaintext(length: usize) -> Vec<u8> {
    (0..length).map(|i| i.to_le_bytes()[0]).collect()
}

fn bytes(length: usize) -> Source {
    Source::Bytes(plaintext(length).into())
}

fn share(number: u8) -> ShareNumber {
    ShareNumber::new(number).unwrap()
}

/// One lane for each share.
fn lanes() -> (Vec<Lane>, Vec<mpsc::Receiver<LanePiece>>) {
    ShareNumber::all(3)
        .map(|share| Lane::new(LaneId(share.get().into()), vec![share], &geometry(1)))
        .unzip()
}

async fn drain(mut lane: mpsc::Receiver<LanePiece>) -> Vec<LanePiece> {
    let mut pieces = Vec::new();
    while let Some(piece) = lane.recv().await {
        pieces.push(piece);
    }
    pieces
}

fn unblocked(blocked: Blocked) {
    panic!("nobody is slow here: {blocked:?}");
}

async fn leaves_of(source: Source, length: u64) -> Vec<Digest32> {
    pass(source, length, Reading::First).run(Vec::new(), unblocked).await.unwrap()
}

fn change(result: Result<Vec<Digest32>, PassError>) -> SourceChange {
    match result {
        Err(PassError::SourceChanged(change)) => change,
        other => panic!("expected a changed source, got {other:?}"),
    }
}

#[tokio::test]
async fn every_lane_gets_its_own_blocks_in_order() {
    let pass = pass(bytes(100), 100, Reading::First);
    let (one, from_one) = Lane::new(LaneId(1), vec![share(2), share(0)], &geometry(1));
    let (two, from_two) = Lane::new(LaneId(2), vec![share(1)], &geometry(1));
    let (leaves, one, two) =
        tokio::join!(pass.run(vec![one, two], unblocked), drain(from_one), drain(from_two));
    let leaves = leaves.unwrap();
    assert_eq!((leaves.len(), one.len(), two.len()), (7, 7, 7));
    for (segment, (one, two)) in (0..7).zip(one.iter().zip(&two)) {
        let start = 16 * segment as usize;
        let plaintext = &plaintext(100)[start..100.min(start + 16)];
        let coded = pass.encoder.encode(segment, plaintext);
        let block = |number: u8| (share(number), coded.blocks[usize::from(number)].clone());
        assert_eq!((one.segment, two.segment), (segment, segment));
        assert_eq!(one.blocks, [block(2), block(0)]);
        assert_eq!(two.blocks, [block(1)]);
        assert_eq!(leaves[segment as usize], merkle::leaf(one.row.bytes()));
    }
}

#[tokio::test]
async fn all_kinds_of_source_give_the_same_table() {
    for length in [0, 1, 15, 16, 17, 1000] {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        std::fs::write(&path, plaintext(length)).unwrap();
        let spool = Spool::fill(plaintext(length).as_slice(), folder.path(), 1000).await;
        let sources = [bytes(length), Source::file(&path).unwrap(), Source::Spool(spool.unwrap())];
        let mut roots = BTreeSet::new();
        for source in sources {
            assert_eq!(source.length(), length as u64);
            let leaves = leaves_of(source, length as u64).await;
            assert_eq!(leaves.len(), length.div_ceil(16));
            roots.insert(merkle::root(&leaves));
        }
        assert_eq!(roots.len(), 1, "{length} bytes");
    }
}

#[tokio::test]
async fn a_source_of_another_length_than_stated_is_noticed() {
    for (real, stated, expected) in [
        (15, 16, SourceChange::Shorter),
        (17, 16, SourceChange::Longer),
        (16, 33, SourceChange::Shorter),
        (0, 1, SourceChange::Shorter),
        (1, 0, SourceChange::Longer),
    ] {
        let pass = pass(bytes(real), stated, Reading::First);
        let result = pass.run(Vec::new(), unblocked).await;
        assert_eq!(change(result), expected, "{real} for {stated}");
    }
}

#[tokio::test]
async fn a_file_written_while_it_is_read_is_noticed_although_its_length_stays() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("file");
    std::fs::write(&path, plaintext(16 * 20)).unwrap();
    let pass = pass(Source::file(&path).unwrap(), 16 * 20, Reading::First);
    let (lane, mut pieces) = Lane::new(LaneId(0), vec![share(0)], &geometry(1));
    let write_and_drain = async {
        pieces.recv().await.unwrap();
        let file = std::fs::File::options().write(true).open(&path).unwrap();
        file.set_modified(SystemTime::UNIX_EPOCH).unwrap();
        drain(pieces).await;
    };
    let (result, ()) = tokio::join!(pass.run(vec![lane], |_| ()), write_and_drain);
    assert_eq!(change(result), SourceChange::Written);
}

#[tokio::test]
async fn a_second_reading_must_reproduce_the_rows() {
    let leaves = leaves_of(bytes(100), 100).await;
    let (lane, pieces) = Lane::new(LaneId(0), vec![share(1)], &geometry(1));
    let again = pass(bytes(100), 100, Reading::Again(leaves.clone()));
    let (result, pieces) = tokio::join!(again.run(vec![lane], unblocked), drain(pieces));
    assert_eq!((result.unwrap(), pieces.len()), (leaves.clone(), 7));

    let mut changed = plaintext(100);
    changed[40] ^= 1;
    let (lane, pieces) = Lane::new(LaneId(0), vec![share(1)], &geometry(1));
    let again = pass(Source::Bytes(changed.into()), 100, Reading::Again(leaves));
    let (result, pieces) = tokio::join!(again.run(vec![lane], unblocked), drain(pieces));
    assert_eq!(change(result), SourceChange::Content { segment: 2 });
    assert_eq!(pieces.len(), 2, "the changed segment reached nobody");
}

#[tokio::test]
async fn a_file_that_vanished_is_reported_as_unreadable() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("file");
    std::fs::write(&path, "x").unwrap();
    let source = Source::file(&path).unwrap();
    std::fs::remove_file(&path).unwrap();
    let result = pass(source, 1, Reading::First).run(Vec::new(), unblocked).await;
    assert!(matches!(result, Err(PassError::Read { .. })), "{result:?}");
}

#[tokio::test(start_paused = true)]
async fn a_slow_lane_is_reported_until_its_receiver_is_dropped() {
    let pass = pass(bytes(16 * 50), 16 * 50, Reading::First);
    let (lanes, mut receivers) = lanes();
    let mut slow = Some(receivers.remove(1));
    let mut reports = Vec::new();
    let begun = tokio::time::Instant::now();
    let run = pass.run(lanes, |blocked| {
        reports.push((blocked, tokio::time::Instant::now()));
        if reports.len() == 3 {
            slow.take();
        }
    });
    let last = receivers.remove(1);
    let (leaves, zero, two) = tokio::join!(run, drain(receivers.remove(0)), drain(last));
    assert_eq!((leaves.unwrap().len(), zero.len(), two.len()), (50, 50, 50));
    assert_eq!(reports.len(), 3);
    for ((blocked, at), nth) in reports.into_iter().zip(1..) {
        assert_eq!((blocked.lane, blocked.since), (LaneId(1), begun));
        assert!(at - begun >= REPORT_EVERY * nth && at - begun < REPORT_EVERY * (nth + 1));
    }
}

#[tokio::test]
async fn lanes_that_are_gone_are_skipped_and_a_first_reading_still_ends_with_the_table() {
    let pass = pass(bytes(1000), 1000, Reading::First);
    let (lanes, receivers) = lanes();
    drop(receivers);
    let run = tokio::spawn(async move { pass.run(lanes, unblocked).await });
    let leaves = run.await.unwrap().unwrap();
    assert_eq!(leaves, leaves_of(bytes(1000), 1000).await);
}

#[tokio::test]
async fn a_second_reading_stops_when_no_lane_is_left() {
    let leaves = leaves_of(bytes(16 * 100), 16 * 100).await;
    // The source is too short by now; nobody would notice who stopped early.
    let again = pass(bytes(16 * 90), 16 * 100, Reading::Again(leaves.clone()));
    let (lanes, mut receivers) = lanes();
    let run = again.run(lanes, unblocked);
    let leave = async {
        for mut receiver in receivers.drain(..) {
            assert_eq!(receiver.recv().await.unwrap().segment, 0);
        }
    };
    let (result, ()) = tokio::join!(run, leave);
    assert_eq!(result.unwrap(), leaves);
}

#[tokio::test(start_paused = true)]
async fn dropped_at_any_await_it_closes_its_lanes() {
    for polls in 0..40 {
        let pass = pass(bytes(16 * 6), 16 * 6, Reading::First);
        let (lanes, receivers) = lanes();
        let mut run = Box::pin(pass.run(lanes, |_| ()));
        let mut left = polls;
        let ended = poll_fn(|context| {
            if left == 0 {
                return Poll::Ready(false);
            }
            left -= 1;
            run.as_mut().poll(context).map(|_| true)
        })
        .await;
        drop(run);
        for receiver in receivers {
            let pieces = drain(receiver).await;
            assert!(pieces.len() <= LANE_PIECES);
        }
        assert!(!ended, "lanes of {LANE_PIECES} pieces hold up a pass of 6");
    }
}

#[tokio::test]
async fn an_empty_source_has_an_empty_table_and_no_pieces() {
    let (lane, pieces) = Lane::new(LaneId(0), vec![share(0)], &geometry(1));
    let pass = pass(Source::Bytes(Bytes::new()), 0, Reading::First);
    let (leaves, pieces) = tokio::join!(pass.run(vec![lane], unblocked), drain(pieces));
    assert_eq!((leaves.unwrap().len(), pieces.len()), (0, 0));
}

#[tokio::test]
async fn a_stretch_gets_the_rows_and_blocks_that_the_whole_has_there() {
    let whole = leaves_of(bytes(100), 100).await;
    let stretch = Source::Bytes(plaintext(100)[32..80].to_vec().into());
    let mut pass = pass(stretch, 100, Reading::First);
    pass.segments = 2..5;
    let (lane, pieces) = Lane::new(LaneId(0), vec![share(1)], &geometry(1));
    let (rows, pieces) = tokio::join!(pass.run(vec![lane], unblocked), drain(pieces));
    let rows = rows.unwrap();
    assert_eq!(rows.len(), 3);
    for (place, piece) in (0..).zip(&pieces) {
        let leaf = merkle::leaf(piece.row.bytes());
        assert_eq!((piece.segment, leaf), (place + 2, whole[place as usize + 2]));
        assert_eq!(rows[place as usize], leaf);
    }

    pass.reading = Reading::Again(rows.clone());
    assert_eq!(pass.run(Vec::new(), unblocked).await.unwrap(), rows);
    let mut changed = plaintext(100)[32..80].to_vec();
    changed[20] ^= 1;
    pass.source = Source::Bytes(changed.into());
    let (lane, pieces) = Lane::new(LaneId(0), vec![share(1)], &geometry(1));
    let (result, pieces) = tokio::join!(pass.run(vec![lane], unblocked), drain(pieces));
    assert_eq!((change(result), pieces.len()), (SourceChange::Content { segment: 3 }, 1));
}

#[tokio::test]
async fn a_stretch_of_no_segments_has_no_rows() {
    let mut pass = pass(Source::Bytes(Bytes::new()), 32, Reading::First);
    pass.segments = 2..2;
    assert!(pass.run(Vec::new(), unblocked).await.unwrap().is_empty());
}
