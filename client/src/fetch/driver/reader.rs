//! Reading one run: every block is checked against its row before anybody hears of it.

use std::collections::{BTreeMap, VecDeque};

use futures::StreamExt;
use futures::stream::BoxStream;
use tarn_proto::{Row, SignedHeader};
use tokio::task::AbortHandle;

use super::rows::RowReader;
use super::{Run, RunEvent, RunFailure, RunId, SILENCE_MAX};
use crate::encode::VerifiedBlock;
use crate::servermap::Failure;
use crate::transport::{ReadError, ServerClient, UnverifiedBlock};

/// Reads one run and reports every block, or why there are no more. It never waits for whoever hears the reports.
///
/// A block that comes before its row waits here, unverified. The stream is read all the same: else it could use up the
/// flow-control window that the rows on the same connection wait for. What waits is the run at most.
pub async fn read_run(
    client: Option<ServerClient>,
    header: SignedHeader,
    mut rows: RowReader,
    run: Run,
    mut report: impl FnMut(RunEvent) + Send,
) {
    let Some(client) = client else {
        return report(RunEvent::Failed(run.id, RunFailure::Server(Failure::Unlisted)));
    };
    let (first, count) = (run.segments.start, run.segments.end - run.segments.start);
    let mut incoming = Incoming {
        blocks: client.read_blocks(&header, run.share, first, count, SILENCE_MAX),
        waiting: VecDeque::new(),
        has_ended: false,
    };
    while let Some(came) = incoming.next(&mut rows).await {
        let checked = came.map_err(RunFailure::from).and_then(|(row, block)| {
            VerifiedBlock::check(&row, block.segment, run.share, block.bytes)
                .map_err(|bad| RunFailure::Share(Failure::Broken(bad.to_string())))
        });
        match checked {
            Ok(block) => report(RunEvent::Arrived(run.id, block)),
            Err(failure) => return report(RunEvent::Failed(run.id, failure)),
        }
    }
}

/// The blocks of a run, in order, and those of them that wait for their rows.
struct Incoming {
    blocks: BoxStream<'static, Result<UnverifiedBlock, ReadError>>,
    waiting: VecDeque<UnverifiedBlock>,
    has_ended: bool,
}

impl Incoming {
    /// The next block whose row is here, or what broke the stream; none after the last. What still waits when the
    /// stream breaks is not worth waiting for: somebody else is asked for the rest of the run anyway.
    async fn next(
        &mut self,
        rows: &mut RowReader,
    ) -> Option<Result<(Row, UnverifiedBlock), ReadError>> {
        loop {
            tokio::select! {
                biased;
                row = row_of(rows, self.waiting.front()), if !self.waiting.is_empty() => {
                    return self.waiting.pop_front().map(|block| Ok((row, block)));
                }
                came = self.blocks.next(), if !self.has_ended => match came {
                    Some(Ok(block)) => self.waiting.push_back(block),
                    Some(Err(error)) => return Some(Err(error)),
                    None => self.has_ended = true,
                },
                else => return None,
            }
        }
    }
}

async fn row_of(rows: &mut RowReader, block: Option<&UnverifiedBlock>) -> Row {
    match block {
        Some(block) => rows.row(block.segment).await,
        None => std::future::pending().await,
    }
}

/// The runs that are being read. Forgets each with its last block, so it does not grow with the file.
#[derive(Debug, Default)]
pub struct Readers(BTreeMap<RunId, Reader>);

#[derive(Debug)]
struct Reader {
    last_segment: u32,
    task: AbortHandle,
}

impl Readers {
    /// A task reads this run, up to and with this segment.
    pub fn began(&mut self, run: RunId, last_segment: u32, task: AbortHandle) {
        self.0.insert(run, Reader { last_segment, task });
    }

    /// A block of the run came. Returns whether the run was not ended before.
    pub fn arrived(&mut self, run: RunId, segment: u32) -> bool {
        let Some(reader) = self.0.get(&run) else {
            return false;
        };
        if segment >= reader.last_segment {
            self.0.remove(&run);
        }
        true
    }

    /// Ends the run, its task too. Returns whether it was not ended before.
    pub fn end(&mut self, run: RunId) -> bool {
        let reader = self.0.remove(&run);
        if let Some(reader) = &reader {
            reader.task.abort();
        }
        reader.is_some()
    }
}
