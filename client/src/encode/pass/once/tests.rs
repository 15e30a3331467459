use std::pin::Pin;
use std::task::{Context, Poll};

use tarn_proto::geometry::ROWS_MAX;
use tarn_proto::{AttemptId, Geometry, SequenceNumber, Shape, ShareNumber};
use tokio::io::ReadBuf;
use tokio::sync::mpsc::Receiver;
use zeroize::Zeroizing;

use super::super::{LaneId, LanePiece, Pass, Reading};
use super::*;
use crate::caps::WriteCap;
use crate::encode::source::Source;

/// 2-of-3 in segments of 16 bytes.
fn shape() -> Shape {
    Shape::new(2, 2, 3).unwrap()
}

fn encoder(geometry: Geometry) -> Arc<SegmentEncoder> {
    let cap = WriteCap::from_secret(Zeroizing::new([7; 32])).read_cap();
    let attempt = AttemptId::new([1; 16]);
    Arc::new(SegmentEncoder::new(&cap, geometry, attempt, SequenceNumber::FIRST))
}

fn once<R>(input: R) -> OnlyPass<R> {
    let encoder = encoder(Geometry::longest(shape(), 8).unwrap());
    OnlyPass { input, encoder, workers: Workers::InPlace }
}

fn plaintext(length: usize) -> Vec<u8> {
    (0..length).map(|i| i.to_le_bytes()[0]).collect()
}

fn lane() -> (Lane, Receiver<LanePiece>) {
    let shares = ShareNumber::all(3).collect();
    Lane::new(LaneId(0), shares, &Geometry::longest(shape(), 8).unwrap())
}

async fn drain(mut lane: Receiver<LanePiece>) -> Vec<LanePiece> {
    let mut pieces = Vec::new();
    while let Some(piece) = lane.recv().await {
        pieces.push(piece);
    }
    pieces
}

fn unblocked(blocked: Blocked) {
    panic!("nobody is slow here: {blocked:?}");
}

/// Gives so many bytes at a time at most.
struct Drops(Vec<u8>, usize);

impl AsyncRead for Drops {
    fn poll_read(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<std::io::Result<()>> {
        let count = self.0.len().min(self.1).min(buffer.remaining());
        buffer.put_slice(&self.0.drain(..count).collect::<Vec<_>>());
        Poll::Ready(Ok(()))
    }
}

#[tokio::test]
async fn it_is_coded_as_it_would_be_were_its_length_known() {
    for length in [0, 1, 2, 15, 16, 17, 31, 32, 33, 1_000] {
        let geometry = Geometry::new(shape(), 8, length as u64).unwrap();
        let known = Pass {
            source: Source::Bytes(plaintext(length).into()),
            segments: 0..geometry.segments(),
            encoder: encoder(geometry),
            reading: Reading::First,
            workers: Workers::InPlace,
        };
        let (one, pieces) = lane();
        let (leaves, expected) = tokio::join!(known.run(vec![one], unblocked), drain(pieces));
        for at_a_time in [1, 5, 16, 1_000] {
            let (one, pieces) = lane();
            let pass = once(Drops(plaintext(length), at_a_time)).run(vec![one], unblocked);
            let (read, pieces) = tokio::join!(pass, drain(pieces));
            let read = read.unwrap();
            assert_eq!((read.length, &read.leaves), (length as u64, leaves.as_ref().unwrap()));
            assert_eq!(pieces, expected, "{length} bytes, {at_a_time} at a time");
        }
    }
}

#[tokio::test]
async fn what_is_longer_than_any_version_of_its_blocks_is_refused() {
    let most = 16 * ROWS_MAX as usize;
    let read = |length| once(Drops(vec![3; length], 1 << 20)).run(Vec::new(), unblocked);
    assert_eq!(read(most).await.unwrap().length, most as u64);
    let error = read(most + 1).await.unwrap_err();
    assert!(matches!(error, PassError::TooLong { most: named } if named == most as u64));
}

#[tokio::test]
async fn an_input_that_fails_is_no_input_that_ends() {
    let input = breaks();
    let (one, pieces) = lane();
    let (read, _) = tokio::join!(once(input).run(vec![one], unblocked), drain(pieces));
    assert!(matches!(read, Err(PassError::Read { .. })), "{read:?}");
}

/// Some bytes, then an error.
fn breaks() -> impl AsyncRead + Unpin {
    struct Fails;
    impl AsyncRead for Fails {
        fn poll_read(
            self: Pin<&mut Self>,
            _: &mut Context<'_>,
            _: &mut ReadBuf<'_>,
        ) -> Poll<std::io::Result<()>> {
            Poll::Ready(Err(std::io::Error::other("it broke")))
        }
    }
    (&[3_u8; 40][..]).chain(Fails)
}

#[tokio::test(start_paused = true)]
async fn an_input_with_nothing_to_give_holds_up_no_lane() {
    let (writer, reader) = tokio::io::duplex(16);
    let (one, mut pieces) = lane();
    let run = tokio::spawn(once(reader).run(vec![one], unblocked));
    let mut writer = writer;
    for segment in 0..3 {
        tokio::io::AsyncWriteExt::write_all(&mut writer, &[3; 16]).await.unwrap();
        assert_eq!(pieces.recv().await.unwrap().segment, segment);
        assert!(
            tokio::time::timeout(std::time::Duration::from_secs(600), pieces.recv()).await.is_err()
        );
    }
    drop(writer);
    assert_eq!(run.await.unwrap().unwrap().length, 48);
}
