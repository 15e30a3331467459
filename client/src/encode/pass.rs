//! An encoding pass: reads a source once from the start, encodes it on blocking threads as a stretch of a version's
//! segments (all of them, or those that a change touches), and hands every lane the blocks of its shares. Does not know servers, and never drops a lane by itself: it reports who holds it up, and
//! whoever decides drops that lane's receiver.
//!
//! ```text
//!           read          encode, side by side        in order
//! source ──────────▶ buffer ──┬──▶ segment ──┬──▶ check against the known table ──┬──▶ lane: shares 0, 7
//!                             └──▶ segment ──┘                                    ├──▶ lane: share 1
//!                                                                                 └──▶ lane: …
//! ```
//!
//! Memory is bounded by the segments being encoded and those waiting in lanes, however long the source.

use std::io::{self, Read};
use std::ops::Range;
use std::sync::Arc;

use super::segment::{CodedSegment, SegmentBuffer, SegmentEncoder};
use super::source::{Source, SourceReader};
use super::workers::Workers;
use futures::{Stream, TryStreamExt, stream};
use tarn_proto::hash::Digest32;
use tarn_proto::merkle;

mod lane;
mod once;

pub use lane::{Blocked, LANE_PIECES, Lane, LaneId, LanePiece, REPORT_EVERY};
pub use once::{OnlyPass, ReadOnce};

/// Coded bytes that may be in the making at once; a segment larger than this is made alone.
const IN_THE_MAKING_MAX: usize = 16 << 20;

/// One reading of a source.
#[derive(Debug, Clone)]
pub struct Pass {
    /// What is read: the plaintext of the segments.
    pub source: Source,
    /// Which segments of the version it is.
    pub segments: Range<u32>,
    /// What encodes it.
    pub encoder: Arc<SegmentEncoder>,
    /// Whether it was read before.
    pub reading: Reading,
    /// Where it is read and encoded.
    pub workers: Workers,
}

/// Which reading of a source it is.
#[derive(Debug, Clone)]
pub enum Reading {
    /// The table is not known yet, so the pass goes on to the end even if nobody takes its blocks.
    First,
    /// For shares that found a new server: must reproduce the rows of these leaves, those of its segments, and stops when
    /// no lane is left.
    Again(Vec<Digest32>),
}

/// Why a pass ended before its end. The lanes were closed; what they carried must not be sealed.
#[derive(Debug, thiserror::Error)]
pub enum PassError {
    /// What was read is not one state of the source: publish again.
    #[error("the input changed while it was read: {0}")]
    SourceChanged(SourceChange),
    /// The input goes on where no version of blocks of this size does: publish it as a source of known length.
    #[error("the input is longer than {most} bytes, and no more can be published while it is read")]
    TooLong {
        /// Bytes that the longest version has.
        most: u64,
    },
    /// The source cannot be opened or read.
    #[error("the input cannot be read")]
    Read {
        /// What the system said.
        source: io::Error,
    },
    /// The program is ending.
    #[error("the program is stopping")]
    Stopping,
}

/// How it was noticed that a source changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SourceChange {
    /// It ended early.
    #[error("it became shorter")]
    Shorter,
    /// It goes on past its length.
    #[error("it became longer")]
    Longer,
    /// Somebody wrote to it in the meantime.
    #[error("somebody wrote to it")]
    Written,
    /// A segment is not what it was when it was read before.
    #[error("segment {segment} is not what it was")]
    Content {
        /// The segment.
        segment: u32,
    },
}

impl Pass {
    /// Reads, encodes and hands out the segments in order, and returns the Merkle leaves of their rows: the rows
    /// themselves are the lanes', and as many as a long file has are not kept here. A lane whose receiver is dropped is
    /// skipped from then on. While a lane does not take its piece, `report` is called about every [`REPORT_EVERY`]. Needs
    /// a tokio runtime with time.
    ///
    /// Dropping the future closes all lanes; a read or encoding that has begun ends on its thread, unheard.
    pub async fn run(
        &self,
        mut lanes: Vec<Lane>,
        mut report: impl FnMut(Blocked),
    ) -> Result<Vec<Digest32>, PassError> {
        let mut leaves = Vec::new();
        let mut segments = std::pin::pin!(self.segments().await?);
        loop {
            if let Reading::Again(known) = &self.reading
                && lanes.is_empty()
            {
                return Ok(known.clone());
            }
            let Some(coded) = segments.try_next().await? else {
                break;
            };
            let leaf = merkle::leaf(coded.row.bytes());
            self.reading.check(coded.segment, self.segments.start, &leaf)?;
            lane::hand_out(&mut lanes, &coded, &mut report).await;
            leaves.push(leaf);
        }
        Ok(leaves)
    }

    /// The source's segments, encoded, in order; a few are in the making at once.
    async fn segments(
        &self,
    ) -> Result<impl Stream<Item = Result<CodedSegment, PassError>>, PassError> {
        let (source, encoder) = (self.source.clone(), Arc::clone(&self.encoder));
        let workers = match source.is_in_memory() {
            true => self.workers.for_bytes(source.length()),
            false => self.workers,
        };
        let segments = self.segments.clone();
        let open = move || SegmentReader::open(&source, encoder, segments);
        let reader = blocking(workers, open).await?;
        let buffers = stream::try_unfold(reader, move |mut reader| {
            blocking(workers, move || Ok(reader.read_next()?.map(|buffer| (buffer, reader))))
        });
        let encoder = Arc::clone(&self.encoder);
        let at_once = side_by_side(&encoder, self.segments.start, self.workers);
        Ok(buffers
            .map_ok(move |buffer| {
                let encoder = Arc::clone(&encoder);
                blocking(workers, move || Ok(encoder.encode_buffer(buffer)))
            })
            .try_buffered(at_once))
    }
}

/// How many segments are encoded at once: one for every core, and one more so that none waits for the next.
fn side_by_side(encoder: &SegmentEncoder, first: u32, workers: Workers) -> usize {
    let geometry = encoder.geometry();
    let segment = usize::from(geometry.n()) * geometry.block_length(first);
    (IN_THE_MAKING_MAX / segment.max(1)).clamp(1, workers.side_by_side() + 1)
}

impl Reading {
    fn check(&self, segment: u32, first: u32, leaf: &Digest32) -> Result<(), PassError> {
        match self {
            Self::Again(known) if known.get((segment - first) as usize) != Some(leaf) => {
                Err(PassError::SourceChanged(SourceChange::Content { segment }))
            }
            Self::First | Self::Again(_) => Ok(()),
        }
    }
}

/// Cuts a source into segments; blocks.
struct SegmentReader {
    source: SourceReader,
    encoder: Arc<SegmentEncoder>,
    left: Range<u32>,
}

impl SegmentReader {
    fn open(
        source: &Source,
        encoder: Arc<SegmentEncoder>,
        segments: Range<u32>,
    ) -> Result<Self, PassError> {
        Ok(Self { source: source.open().map_err(read_failed)?, encoder, left: segments })
    }

    /// The next segment's plaintext; after the last one, looks whether the source ends there and was left alone.
    fn read_next(&mut self) -> Result<Option<SegmentBuffer>, PassError> {
        let Some(segment) = self.left.next() else {
            return self.check_end().map(|()| None);
        };
        let mut buffer = self.encoder.buffer(segment);
        match self.source.read_exact(buffer.plaintext_mut()) {
            Ok(()) => Ok(Some(buffer)),
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
                Err(PassError::SourceChanged(SourceChange::Shorter))
            }
            Err(error) => Err(read_failed(error)),
        }
    }

    fn check_end(&mut self) -> Result<(), PassError> {
        let mut beyond = [0];
        match self.source.read_exact(&mut beyond) {
            Ok(()) => Err(PassError::SourceChanged(SourceChange::Longer)),
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
                if self.source.unchanged().map_err(read_failed)? {
                    Ok(())
                } else {
                    Err(PassError::SourceChanged(SourceChange::Written))
                }
            }
            Err(error) => Err(read_failed(error)),
        }
    }
}

const fn read_failed(source: io::Error) -> PassError {
    PassError::Read { source }
}

/// Runs work that blocks or computes, started at once.
fn blocking<T: Send + 'static>(
    workers: Workers,
    work: impl FnOnce() -> Result<T, PassError> + Send + 'static,
) -> impl Future<Output = Result<T, PassError>> + Send {
    let job = workers.run(work);
    async { job.await.unwrap_or(Err(PassError::Stopping)) }
}

#[cfg(test)]
mod tests;
