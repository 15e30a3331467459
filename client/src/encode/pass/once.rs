//! A pass over an input that can be read only once, and of which nobody knows where it ends: it is cut into whole segments
//! as it comes, and what is left at its end is the last one.

use std::sync::Arc;

use futures::{Stream, TryStreamExt, stream};
use tarn_proto::hash::Digest32;
use tarn_proto::merkle;
use tokio::io::{AsyncRead, AsyncReadExt};

use super::{Blocked, Lane, PassError, blocking, lane, read_failed, side_by_side};
use crate::encode::segment::{CodedSegment, SegmentBuffer, SegmentEncoder};
use crate::encode::workers::Workers;

/// The one reading of an input.
#[derive(Debug)]
pub struct OnlyPass<R> {
    /// What is read, to its end.
    pub input: R,
    /// What encodes it, of a geometry that has room for whatever comes.
    pub encoder: Arc<SegmentEncoder>,
    /// Where it is encoded.
    pub workers: Workers,
}

/// What was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReadOnce {
    /// Bytes of plaintext.
    pub length: u64,
    /// The Merkle leaves of its rows.
    pub leaves: Vec<Digest32>,
}

/// An encoded segment, and how many bytes of plaintext it was.
type Read = (u64, CodedSegment);

impl<R: AsyncRead + Unpin> OnlyPass<R> {
    /// Reads, encodes and hands out the segments in order, like [`Pass::run`](super::Pass::run). While the input has
    /// nothing to give, no lane is held up.
    ///
    /// Dropping the future closes all lanes and drops the input; an encoding that has begun ends on its thread, unheard.
    pub async fn run(
        self,
        mut lanes: Vec<Lane>,
        mut report: impl FnMut(Blocked),
    ) -> Result<ReadOnce, PassError> {
        let mut read = ReadOnce { length: 0, leaves: Vec::new() };
        let mut segments = std::pin::pin!(self.segments());
        while let Some((length, coded)) = segments.try_next().await? {
            lane::hand_out(&mut lanes, &coded, &mut report).await;
            read.length += length;
            read.leaves.push(merkle::leaf(coded.row.bytes()));
        }
        Ok(read)
    }

    /// The input's segments, encoded, in order; a few are in the making at once.
    fn segments(self) -> impl Stream<Item = Result<Read, PassError>> {
        let Self { input, encoder, workers } = self;
        let at_once = side_by_side(&encoder, 0, workers);
        let cutter = Cutter { input, encoder: Arc::clone(&encoder), next: 0, ended: false };
        let buffers = stream::try_unfold(cutter, |mut cutter| async {
            Ok(cutter.cut().await?.map(|buffer| (buffer, cutter)))
        });
        buffers
            .map_ok(move |buffer| {
                let (encoder, length) = (Arc::clone(&encoder), buffer.plaintext_length() as u64);
                blocking(workers, move || Ok((length, encoder.encode_buffer(buffer))))
            })
            .try_buffered(at_once)
    }
}

/// Cuts an input into segments.
struct Cutter<R> {
    input: R,
    encoder: Arc<SegmentEncoder>,
    next: u32,
    ended: bool,
}

impl<R: AsyncRead + Unpin> Cutter<R> {
    /// The next segment's plaintext: as much as is in a whole one, or as is left.
    async fn cut(&mut self) -> Result<Option<SegmentBuffer>, PassError> {
        if self.ended {
            return Ok(None);
        }
        let geometry = *self.encoder.geometry();
        if self.next == geometry.segments() {
            return match self.input.read(&mut [0]).await.map_err(read_failed)? {
                0 => Ok(None),
                _ => Err(PassError::TooLong { most: geometry.length() }),
            };
        }
        let mut buffer = self.encoder.buffer(self.next);
        let mut filled = 0;
        while let rest @ [_, ..] = &mut buffer.plaintext_mut()[filled..] {
            match self.input.read(rest).await.map_err(read_failed)? {
                0 => {
                    self.ended = true;
                    break;
                }
                count => filled += count,
            }
        }
        self.next += 1;
        buffer.shorten(filled);
        Ok((filled > 0).then_some(buffer))
    }
}

#[cfg(test)]
mod tests;
