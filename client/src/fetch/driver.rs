//! The tokio side of fetching: reads runs, checks every block against its row, and keeps the good ones until their
//! segment is complete. Decides nothing: [`super::Fetch`] does.

use std::collections::{BTreeMap, VecDeque};
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use tarn_proto::state::ReadRefusal;
use tarn_proto::{Refusal, Row, ShareNumber, SignedHeader, StoreId};
use tokio::sync::mpsc::{self, UnboundedReceiver, UnboundedSender};
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::{Fetch, NotEnoughShares, Run, RunFailure, RunId, Want};
use crate::encode::VerifiedBlock;
use crate::quorum::Placement;
use crate::servermap::{Failure, Patience};
use crate::time::Millis;
use crate::transport::{ReadError, ServerClient};

mod reader;
mod rows;

pub use reader::{Readers, read_run};
pub use rows::{KnownRows, RowReader, Rows};

/// A server that says nothing for so long while it is read from has failed.
pub const SILENCE_MAX: Duration = Duration::from_secs(30);

/// The servers that a client knows how to reach.
pub type Clients = Arc<BTreeMap<StoreId, ServerClient>>;

/// What became of a part of a run.
#[derive(Debug)]
pub enum RunEvent {
    /// A good block.
    Arrived(RunId, VerifiedBlock),
    /// No more will come.
    Failed(RunId, RunFailure),
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
    rows: KnownRows,
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
        rows: Rows,
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
            rows: rows.into(),
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
                    if let Some(row) = self.rows.row(segment) {
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
        let (header, rows) = (self.header.clone(), self.rows.reader());
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
