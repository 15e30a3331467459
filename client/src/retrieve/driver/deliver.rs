//! From complete segments to the caller: decodes a few at once, where such work is done, and hands them over in
//! order, cut to the range asked for.

use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use futures::StreamExt;
use tarn_proto::{Geometry, Row};
use tokio::sync::mpsc::{self, UnboundedReceiver, UnboundedSender};
use tokio_stream::wrappers::UnboundedReceiverStream;

use super::Message;
use crate::encode::workers::Workers;
use crate::encode::{DecodeError, SegmentDecoder, VerifiedBlock};
use crate::retrieve::event::Event;

/// A segment on its way to the caller.
pub(super) struct Job {
    pub(super) segment: u32,
    pub(super) row: Row,
    pub(super) blocks: Vec<VerifiedBlock>,
}

/// What the deliverer needs to know of the version.
pub(super) struct Delivery {
    pub(super) decoder: Arc<SegmentDecoder>,
    pub(super) geometry: Geometry,
    pub(super) range: Range<u64>,
    pub(super) jobs: UnboundedReceiver<Job>,
    pub(super) workers: Workers,
}

impl Delivery {
    /// Delivers until there are no more jobs, a segment does not decode, or the caller is gone.
    pub(super) async fn run(
        self,
        plaintext: mpsc::Sender<Bytes>,
        messages: UnboundedSender<Message>,
    ) {
        let Self { decoder, geometry, range, jobs, workers } = self;
        let decoded = UnboundedReceiverStream::new(jobs).map(move |job| {
            let decoder = Arc::clone(&decoder);
            let bytes = geometry.segment_length(job.segment) as u64;
            let decoding = workers.for_bytes(bytes).run(move || {
                let plaintext = decoder.decode(job.segment, &job.row, &job.blocks)?;
                Ok::<_, DecodeError>((job.segment, Bytes::from(plaintext)))
            });
            async move { decoding.await.ok() }
        });
        let mut decoded = std::pin::pin!(decoded.buffered(workers.side_by_side()));
        while let Some(Some(outcome)) = decoded.next().await {
            let event = match outcome {
                Ok((segment, bytes)) => {
                    let offset = geometry.segment_offset(segment);
                    if plaintext.send(cut(&bytes, offset, &range)).await.is_err() {
                        return;
                    }
                    Event::Consumed { segment }
                }
                Err(error) => Event::Undecodable { cause: error.to_string() },
            };
            let is_over = matches!(event, Event::Undecodable { .. });
            drop(messages.send(Message::Event(event)));
            if is_over {
                return;
            }
        }
    }
}

/// The part of a segment that lies in the range.
fn cut(segment: &Bytes, offset: u64, range: &Range<u64>) -> Bytes {
    let length = segment.len();
    let within = |position: u64| {
        usize::try_from(position.saturating_sub(offset)).unwrap_or(length).min(length)
    };
    segment.slice(within(range.start)..within(range.end))
}
