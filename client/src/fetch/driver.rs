//! The tokio side of fetching: reads runs, checks every block against its row, and keeps the good ones until their
//! segment is complete. Decides nothing: [`super::Fetch`] does.

use std::collections::{BTreeMap, VecDeque};
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use tarn_proto::state::ReadRefusal;
use tarn_proto::{Refusal, Row, ShareNumber, SignedHeader, StoreId, Table};
use tokio::sync::mpsc::{self, UnboundedReceiver, UnboundedSender};
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::Instant;

use super::{Fetch, NotEnoughShares, Run, RunFailure, RunId, Want};
use crate::encode::VerifiedBlock;
use crate::quorum::Placement;
use crate::servermap::{Failure, Patience};
use crate::time::Millis;
use crate::transport::{ReadError, ServerClient};

/// A server that says nothing for so long while it is read from has failed.
pub const SILENCE_MAX: Duration = Duration::from_secs(30);

/// The servers that a client knows how to reach.
pub type Clients = Arc<BTreeMap<StoreId, ServerClient>>;

/// The rows of some consecutive segments, verified.
#[derive(Debug, Clone)]
pub struct Rows {
    first: u32,
    rows: Vec<Row>,
}

impl Rows {
    /// All rows of a table.
    pub fn of(table: &Table) -> Self {
        Self { first: 0, rows: (0..).map_while(|segment| table.row(segment)).collect() }
    }

    /// Reads the rows of these segments from one server; all of them cheaply, a part with proofs.
    pub async fn read(
        server: &ServerClient,
        header: &SignedHeader,
        segments: Range<u32>,
    ) -> Result<Self, ReadError> {
        if segments == (0..header.header().geometry.segments()) {
            return Ok(Self::of(&server.read_table(header, SILENCE_MAX).await?));
        }
        let (first, count) = (segments.start, segments.end.saturating_sub(segments.start));
        let rows = server.read_rows(header, first, count, SILENCE_MAX).await?;
        Ok(Self { first, rows })
    }

    /// The row of this segment, if it was read.
    pub fn row(&self, segment: u32) -> Option<&Row> {
        self.rows.get(segment.checked_sub(self.first)? as usize)
    }
}

/// What became of a part of a run.
#[derive(Debug)]
pub enum RunEvent {
    /// A good block.
    Arrived(RunId, VerifiedBlock),
    /// No more will come.
    Failed(RunId, RunFailure),
}

/// Reads one run and reports every block, or why there are no more. It never waits for whoever hears the reports, so
/// its stream is always read.
pub async fn read_run(
    client: Option<ServerClient>,
    header: SignedHeader,
    rows: Arc<Rows>,
    run: Run,
    mut report: impl FnMut(RunEvent) + Send,
) {
    let Some(client) = client else {
        return report(RunEvent::Failed(run.id, RunFailure::Server(Failure::Unlisted)));
    };
    let (first, count) = (run.segments.start, run.segments.end - run.segments.start);
    let mut blocks = client.read_blocks(&header, run.share, first, count, SILENCE_MAX);
    while let Some(block) = blocks.next().await {
        let checked = block.map_err(RunFailure::from).and_then(|block| {
            let row = rows.row(block.segment).ok_or_else(|| unasked(block.segment))?;
            VerifiedBlock::check(row, block.segment, run.share, block.bytes)
                .map_err(|bad| RunFailure::Share(Failure::Broken(bad.to_string())))
        });
        match checked {
            Ok(block) => report(RunEvent::Arrived(run.id, block)),
            Err(failure) => return report(RunEvent::Failed(run.id, failure)),
        }
    }
}

fn unasked(segment: u32) -> RunFailure {
    RunFailure::Server(Failure::Broken(format!("segment {segment} came unasked")))
}

impl From<ReadError> for RunFailure {
    fn from(error: ReadError) -> Self {
        let words = error.to_string();
        match error {
            ReadError::Call(error) => Self::Server(error.into()),
            ReadError::Refused(ReadRefusal::VersionGone) => {
                Self::Server(Failure::Refused(Refusal::NotHeld))
            }
            ReadError::Refused(ReadRefusal::Unauthenticated) => {
                Self::Server(Failure::Refused(Refusal::Unauthenticated))
            }
            ReadError::Refused(ReadRefusal::ShareMissing) => {
                Self::Share(Failure::Refused(Refusal::NotHeld))
            }
            ReadError::Refused(ReadRefusal::ShareDamaged) => {
                Self::Share(Failure::Refused(Refusal::BadShare))
            }
            ReadError::Refused(ReadRefusal::OutOfRange)
            | ReadError::Malformed(_)
            | ReadError::Forged(_) => Self::Server(Failure::Broken(words)),
        }
    }
}

/// A complete segment: its row, and k blocks of it.
#[derive(Debug, Clone)]
pub struct FetchedSegment {
    /// Its place.
    pub segment: u32,
    /// Salt and block hashes.
    pub row: Row,
    /// Blocks of k distinct shares, checked against the row.
    pub blocks: Vec<VerifiedBlock>,
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

/// Blocks that came and are not delivered yet, by segment and share. A late block of a segment that was delivered is
/// dropped, so it never holds more than was asked for.
#[derive(Debug, Default)]
pub struct Shelf {
    blocks: BTreeMap<u32, BTreeMap<ShareNumber, VerifiedBlock>>,
    delivered: u32,
}

impl Shelf {
    /// Keeps a block.
    pub fn put(&mut self, block: VerifiedBlock) {
        if block.segment() >= self.delivered {
            self.blocks.entry(block.segment()).or_default().insert(block.share(), block);
        }
    }

    /// Takes the blocks of this segment, the next one.
    pub fn take(&mut self, segment: u32) -> Vec<VerifiedBlock> {
        self.delivered = segment + 1;
        self.blocks.remove(&segment).map(BTreeMap::into_values).into_iter().flatten().collect()
    }
}

/// A fetch that is driven by whoever asks for its segments. Dropping it ends everything it began.
#[derive(Debug)]
pub struct Fetching {
    fetch: Fetch,
    header: SignedHeader,
    rows: Arc<Rows>,
    clients: Clients,
    began: Instant,
    shelf: Shelf,
    ready: VecDeque<FetchedSegment>,
    /// The segment that the caller was given last, and has not come back from.
    in_hand: Option<u32>,
    readers: JoinSet<()>,
    running: Readers,
    reports: UnboundedSender<RunEvent>,
    reported: UnboundedReceiver<RunEvent>,
}

impl Fetching {
    /// Begins to fetch these segments, of which `rows` has the rows.
    pub fn begin(
        clients: Clients,
        header: SignedHeader,
        rows: Arc<Rows>,
        segments: Range<u32>,
        sources: Placement,
    ) -> Self {
        // Unbounded, yet never longer than what the fetch asked for, which is bounded.
        let (reports, reported) = mpsc::unbounded_channel();
        let geometry = header.header().geometry;
        let patience = Patience::default();
        Self {
            fetch: Fetch::begin(Millis(0), &geometry, segments, sources, patience, RunId(0)),
            header,
            rows,
            clients,
            began: Instant::now(),
            shelf: Shelf::default(),
            ready: VecDeque::new(),
            in_hand: None,
            readers: JoinSet::new(),
            running: Readers::default(),
            reports,
            reported,
        }
    }

    /// The next segment, in order; none after the last. Asking for it says that the one before is done with.
    pub async fn next(&mut self) -> Result<Option<FetchedSegment>, NotEnoughShares> {
        if let Some(segment) = self.in_hand.take() {
            self.fetch.consumed(self.now(), segment);
        }
        loop {
            self.carry_out();
            if let Some(ready) = self.ready.pop_front() {
                self.in_hand = Some(ready.segment);
                return Ok(Some(ready));
            }
            if self.fetch.is_complete() {
                return Ok(None);
            }
            if let Some(shortage) = self.fetch.exhausted() {
                return Err(shortage);
            }
            self.hear().await;
        }
    }

    fn carry_out(&mut self) {
        for want in self.fetch.wants() {
            match want {
                Want::Read(run) => self.read(run),
                Want::Abandon(run) => drop(self.running.end(run)),
                Want::Deliver { segment } => {
                    let blocks = self.shelf.take(segment);
                    if let Some(row) = self.rows.row(segment).cloned() {
                        self.ready.push_back(FetchedSegment { segment, row, blocks });
                    }
                }
            }
        }
    }

    fn read(&mut self, run: Run) {
        let (id, last) = (run.id, run.segments.end.saturating_sub(1));
        let reports = self.reports.clone();
        let client = self.clients.get(&run.server).cloned();
        let (header, rows) = (self.header.clone(), Arc::clone(&self.rows));
        // A report that nobody hears is of a fetch that is over.
        let report = move |event| drop(reports.send(event));
        let reader = self.readers.spawn(read_run(client, header, rows, run, report));
        self.running.began(id, last, reader);
    }

    /// Takes one report; or, when there is none, waits for one, or for somebody to be late.
    async fn hear(&mut self) {
        let late = self.fetch.wake_at().map(|when| self.began + Duration::from(when));
        tokio::select! {
            biased;
            Some(event) = self.reported.recv() => match event {
                RunEvent::Arrived(run, block) => {
                    let segment = block.segment();
                    if self.running.arrived(run, segment) {
                        self.shelf.put(block);
                        self.fetch.arrived(self.now(), run, segment);
                    }
                }
                RunEvent::Failed(run, failure) => {
                    self.running.end(run);
                    self.fetch.failed(self.now(), run, &failure);
                }
            },
            Some(ended) = self.readers.join_next() => propagate_panic(ended),
            () = until(late) => drop(self.fetch.overdue(self.now())),
        }
    }

    fn now(&self) -> Millis {
        Millis(u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX))
    }
}

/// Fails as the task did; one that was aborted did not.
pub(crate) fn propagate_panic(ended: Result<(), tokio::task::JoinError>) {
    if let Err(error) = ended
        && let Ok(panic) = error.try_into_panic()
    {
        std::panic::resume_unwind(panic);
    }
}

async fn until(when: Option<Instant>) {
    match when {
        Some(when) => tokio::time::sleep_until(when).await,
        None => std::future::pending().await,
    }
}
