//! The tokio side of retrieve: owns its only loop, carries out what the machine decides, and hands plaintext to the
//! caller. Decides nothing of the protocol.
//!
//! ```text
//!  readers ──▶ verify ──▶ shelf ──▶ Deliver ──▶ decode, a few at once ──▶ in order ──▶ Reading
//!     └── BlockArrived ──▶ machine ◀─────────── Consumed ◀───────────────────┘
//! ```
//!
//! The loop never waits for the caller, and no reader waits for the loop. Memory is bounded all the same, because the
//! machine asks only for what lies in its window, and that moves with what the caller takes.

use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::{StreamExt, stream};
use rand_chacha::ChaCha8Rng;
use tarn_proto::{Row, SignedHeader, StorageIndex, StoreId, VersionId};
use tokio::sync::mpsc::{self, UnboundedReceiver, UnboundedSender};
use tokio::sync::oneshot;
use tokio::task::{AbortHandle, JoinHandle, JoinSet, spawn_blocking};
use tokio::time::Instant;
use tokio_stream::wrappers::UnboundedReceiverStream;

use super::action::Action;
use super::event::Event;
use super::outcome::{Found, HighWater, Outcome, Report};
use super::{Request, Retrieve};
use crate::base::Origin;
use crate::caps::ReadCap;
use crate::encode::{DecodeError, SegmentDecoder, VerifiedBlock};
use crate::fetch::driver::{Clients, Readers, Rows, RunEvent, SILENCE_MAX, Shelf, read_run};
use crate::publish::action::Timer;
use crate::regenerate::{BringFailure, Brought, bring_shares};
use crate::servermap::{Failure, Patience};
use crate::time::Millis;

mod error;

pub use error::{RetrieveError, RetrieveFailure};

/// What is to be read, and with what right.
#[derive(Debug, Clone)]
pub struct RetrieveRequest {
    /// The right to read the file.
    pub cap: ReadCap,
    /// Whether the caller knows the file's window.
    pub origin: Origin,
    /// One version and no other; none for the newest.
    pub version: Option<VersionId>,
    /// The bytes wanted, all if none; what lies beyond the end is left out.
    pub range: Option<Range<u64>>,
    /// Whether nothing unconfirmed is good enough.
    pub strict: bool,
    /// Whether to return a version even if a newer one was seen before.
    pub allow_rollback: bool,
    /// The newest version that was seen before.
    pub high_water: Option<HighWater>,
}

/// Finds the version and begins to read it; `order` says whom to ask, those that the file prefers first. Returns as
/// soon as it is known what is read. Must be called within a tokio runtime with time.
///
/// Dropping the future, or the [`Reading`], ends every task; a segment that is being decoded ends on its thread.
pub async fn retrieve(
    request: RetrieveRequest,
    clients: Clients,
    order: Vec<StoreId>,
    rng: ChaCha8Rng,
) -> Result<Reading, RetrieveError> {
    let (found, announced) = oneshot::channel();
    let (plaintext, segments) = mpsc::channel(1);
    let run = Driver::new(request, clients, order, rng, found, plaintext).run();
    let mut driver = DriverTask(tokio::spawn(run));
    match announced.await {
        Ok(found) => Ok(Reading { found, segments, driver: Some(driver) }),
        Err(_over) => Err(match driver.report().await {
            Some(report) => RetrieveError::of(report),
            None => RetrieveError::stopping(),
        }),
    }
}

/// A version that is being read. Dropping it ends the reading.
#[derive(Debug)]
pub struct Reading {
    found: Found,
    segments: mpsc::Receiver<Bytes>,
    /// None once its report was taken.
    driver: Option<DriverTask>,
}

impl Reading {
    /// What is read, and how sure it is.
    pub const fn found(&self) -> &Found {
        &self.found
    }

    /// The next bytes of the range asked for, a segment at most; none after the last. What was handed out before an
    /// error is good.
    pub async fn next_segment(&mut self) -> Result<Option<Bytes>, RetrieveError> {
        if let Some(segment) = self.segments.recv().await {
            return Ok(Some(segment));
        }
        let Some(driver) = &mut self.driver else {
            return Ok(None);
        };
        let report = driver.report().await;
        self.driver = None;
        match report {
            Some(Report { outcome: Outcome::Retrieved(_), .. }) => Ok(None),
            Some(report) => Err(RetrieveError::of(report)),
            None => Err(RetrieveError::stopping()),
        }
    }

    /// The bytes as a reader; an error ends it as [`std::io::ErrorKind::Other`] with the [`RetrieveError`] inside.
    pub fn into_async_read(self) -> impl tokio::io::AsyncRead + Send {
        let segments = stream::try_unfold(self, |mut reading| async {
            let segment = reading.next_segment().await.map_err(std::io::Error::other)?;
            Ok::<_, std::io::Error>(segment.map(|segment| (segment, reading)))
        });
        tokio_util::io::StreamReader::new(Box::pin(segments))
    }
}

/// The driver's task, which does not outlive its handle.
#[derive(Debug)]
struct DriverTask(JoinHandle<Report>);

impl DriverTask {
    /// How it ended; none when the program is ending.
    async fn report(&mut self) -> Option<Report> {
        match (&mut self.0).await.map_err(tokio::task::JoinError::try_into_panic) {
            Ok(report) => Some(report),
            Err(Ok(panic)) => std::panic::resume_unwind(panic),
            Err(Err(_cancelled)) => None,
        }
    }
}

impl Drop for DriverTask {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// What reaches the loop: events for the machine, some with what it is not to see.
enum Message {
    Event(Event),
    Rows { version: VersionId, rows: Arc<Rows>, event: Event },
    Run(RunEvent),
}

/// A segment on its way to the caller.
struct Job {
    segment: u32,
    row: Row,
    blocks: Vec<VerifiedBlock>,
}

/// What the deliverer needs to know of the version.
struct Delivery {
    decoder: Arc<SegmentDecoder>,
    header: SignedHeader,
    range: Range<u64>,
    jobs: UnboundedReceiver<Job>,
}

struct Driver {
    machine: Retrieve,
    cap: ReadCap,
    storage_index: StorageIndex,
    clients: Clients,
    began: Instant,
    /// Unbounded, yet never longer than what the machine asked for, which is bounded.
    messages: UnboundedSender<Message>,
    inbox: UnboundedReceiver<Message>,
    tasks: JoinSet<()>,
    readers: Readers,
    timer: Option<(Timer, Instant)>,
    header: Option<SignedHeader>,
    rows: Option<Arc<Rows>>,
    shelf: Shelf,
    found: Option<oneshot::Sender<Found>>,
    plaintext: Option<mpsc::Sender<Bytes>>,
    jobs: Option<UnboundedSender<Job>>,
    /// At most one task, which ends by itself when it has no more jobs.
    delivering: JoinSet<()>,
}

impl Driver {
    fn new(
        request: RetrieveRequest,
        clients: Clients,
        order: Vec<StoreId>,
        rng: ChaCha8Rng,
        found: oneshot::Sender<Found>,
        plaintext: mpsc::Sender<Bytes>,
    ) -> Self {
        let RetrieveRequest { cap, origin, version, range, strict, allow_rollback, high_water } =
            request;
        let request = Request {
            key_check: cap.key_check(),
            origin,
            version,
            range: range.unwrap_or(0..u64::MAX),
            strict,
            allow_rollback,
            high_water,
        };
        let (messages, inbox) = mpsc::unbounded_channel();
        Self {
            machine: Retrieve::new(request, order, Patience::default(), rng),
            storage_index: cap.verify_cap().storage_index(),
            cap,
            clients,
            began: Instant::now(),
            messages,
            inbox,
            tasks: JoinSet::new(),
            readers: Readers::default(),
            timer: None,
            header: None,
            rows: None,
            shelf: Shelf::default(),
            found: Some(found),
            plaintext: Some(plaintext),
            jobs: None,
            delivering: JoinSet::new(),
        }
    }

    /// The loop: one event, one step, its actions; until the machine says how it ended.
    async fn run(mut self) -> Report {
        let mut event = Event::Started;
        loop {
            for action in self.machine.step(self.now(), event) {
                if let Some(report) = self.carry_out(action) {
                    return self.end(report).await;
                }
            }
            event = self.next_event().await;
        }
    }

    /// The next event. What has come already goes before a moment that has come: nobody is late whose answer is here.
    async fn next_event(&mut self) -> Event {
        loop {
            tokio::select! {
                biased;
                Some(message) = self.inbox.recv() => {
                    if let Some(event) = self.take(message) {
                        return event;
                    }
                }
                Some(ended) = self.tasks.join_next() => propagate_panic(ended),
                Some(ended) = self.delivering.join_next() => propagate_panic(ended),
                timer = due(self.timer) => {
                    self.timer = None;
                    return Event::TimedOut { timer };
                }
            }
        }
    }

    /// Keeps what the machine is not to see, and passes on the event. Nothing of runs that were ended.
    fn take(&mut self, message: Message) -> Option<Event> {
        match message {
            Message::Event(event) => Some(event),
            Message::Rows { version, rows, event } => {
                if self.header.as_ref().is_some_and(|header| header.version() == version) {
                    self.rows = Some(rows);
                }
                Some(event)
            }
            Message::Run(RunEvent::Arrived(run, block)) => {
                let segment = block.segment();
                self.readers.arrived(run, segment).then(|| {
                    self.shelf.put(block);
                    Event::BlockArrived { run, segment }
                })
            }
            Message::Run(RunEvent::Failed(run, failure)) => {
                self.readers.end(run).then_some(Event::RunFailed { run, failure })
            }
        }
    }

    /// Does one thing, or gives back the report that ends it all.
    fn carry_out(&mut self, action: Action) -> Option<Report> {
        match action {
            Action::Query { message, server } => {
                let (client, file) = (self.client(server), self.storage_index);
                self.spawn(
                    async move {
                        let client = client?;
                        let state = client.read_slot(file, None, None, SILENCE_MAX).await?;
                        Ok(Event::Mapped { message, state })
                    },
                    move |failure| Event::Failed { message, failure },
                );
            }
            Action::Bring {
                message,
                server,
                conversation,
                header,
                certificate,
                shares,
                sources,
            } => {
                let (client, clients) = (self.client(server), Arc::clone(&self.clients));
                let brought = Brought { header, certificate, conversation, shares, sources };
                self.spawn(
                    async move {
                        match bring_shares(&clients, &client?, brought).await {
                            Ok(()) => Ok(Event::Brought { message }),
                            Err(BringFailure::Refused { refusal, .. }) => {
                                Ok(Event::Refused { message, refusal })
                            }
                            Err(failure) => Err(failure.into()),
                        }
                    },
                    move |failure| Event::Failed { message, failure },
                );
            }
            Action::ReadRows { message, server, header, segments } => {
                self.read_another(&header);
                let (client, messages) = (self.client(server), self.messages.clone());
                self.spawn_silent(async move {
                    let event = Event::RowsArrived { message };
                    let version = header.version();
                    let said = match read_rows(client, &header, segments).await {
                        Ok(rows) => Message::Rows { version, rows: Arc::new(rows), event },
                        Err(failure) => Message::Event(Event::Failed { message, failure }),
                    };
                    drop(messages.send(said));
                });
            }
            Action::ReadBlocks(run) => {
                let (Some(header), Some(rows)) = (&self.header, &self.rows) else { return None };
                let (header, rows) = (header.clone(), Arc::clone(rows));
                let (id, last) = (run.id, run.segments.end.saturating_sub(1));
                let messages = self.messages.clone();
                let client = self.clients.get(&run.server).cloned();
                let report = move |event| drop(messages.send(Message::Run(event)));
                let reader = self.spawn_silent(read_run(client, header, rows, run, report));
                self.readers.began(id, last, reader);
            }
            Action::Abandon(run) => drop(self.readers.end(run)),
            Action::Announce(found) => self.announce(found),
            Action::Deliver { segment } => {
                let blocks = self.shelf.take(segment);
                let row = self.rows.as_ref().and_then(|rows| rows.row(segment).cloned());
                if let (Some(jobs), Some(row)) = (&self.jobs, row) {
                    drop(jobs.send(Job { segment, row, blocks }));
                }
            }
            Action::WaitUntil { timer, when, why: _ } => {
                self.timer = Some((timer, self.began + Duration::from(when)));
            }
            Action::Finish(report) => return Some(report),
        }
        None
    }

    fn client(&self, server: StoreId) -> Result<crate::transport::ServerClient, Failure> {
        self.clients.get(&server).cloned().ok_or(Failure::Unlisted)
    }

    /// Spawns work that ends in one event.
    fn spawn(
        &mut self,
        work: impl Future<Output = Result<Event, Failure>> + Send + 'static,
        failed: impl FnOnce(Failure) -> Event + Send + 'static,
    ) {
        let messages = self.messages.clone();
        self.spawn_silent(async move {
            let event = work.await.unwrap_or_else(failed);
            // Nobody hears it once the loop has ended.
            drop(messages.send(Message::Event(event)));
        });
    }

    fn spawn_silent(&mut self, work: impl Future<Output = ()> + Send + 'static) -> AbortHandle {
        self.tasks.spawn(work)
    }

    /// What was kept of another version is worth nothing.
    fn read_another(&mut self, header: &SignedHeader) {
        if self.header.as_ref() != Some(header) {
            self.header = Some(header.clone());
            self.rows = None;
            self.shelf = Shelf::default();
        }
    }

    fn announce(&mut self, found: Found) {
        let (jobs, queue) = mpsc::unbounded_channel();
        let geometry = found.header.header().geometry;
        let delivery = Delivery {
            decoder: Arc::new(SegmentDecoder::new(&self.cap, geometry)),
            header: found.header.clone(),
            range: found.range.clone(),
            jobs: queue,
        };
        if let (Some(caller), Some(plaintext)) = (self.found.take(), self.plaintext.take()) {
            self.jobs = Some(jobs);
            self.delivering.spawn(delivery.run(plaintext, self.messages.clone()));
            // A caller who has gone has aborted this task.
            drop(caller.send(found));
        }
    }

    /// Ends every task but the deliverer, which first hands over what was complete.
    async fn end(mut self, report: Report) -> Report {
        self.tasks.abort_all();
        drop(self.jobs.take());
        while let Some(ended) = self.delivering.join_next().await {
            propagate_panic(ended);
        }
        report
    }

    fn now(&self) -> Millis {
        Millis(u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX))
    }
}

impl Delivery {
    /// Decodes a few segments at once, on threads made for such work, and hands them to the caller in order.
    async fn run(self, plaintext: mpsc::Sender<Bytes>, messages: UnboundedSender<Message>) {
        let Self { decoder, header, range, jobs } = self;
        let at_once = std::thread::available_parallelism().map_or(1, usize::from);
        let decoded = UnboundedReceiverStream::new(jobs).map(move |job| {
            let decoder = Arc::clone(&decoder);
            let decoding = spawn_blocking(move || {
                let plaintext = decoder.decode(job.segment, &job.row, &job.blocks)?;
                Ok::<_, DecodeError>((job.segment, Bytes::from(plaintext)))
            });
            async move {
                match decoding.await.map_err(tokio::task::JoinError::try_into_panic) {
                    Ok(decoded) => Some(decoded),
                    Err(Ok(panic)) => std::panic::resume_unwind(panic),
                    Err(Err(_cancelled)) => None,
                }
            }
        });
        let mut decoded = std::pin::pin!(decoded.buffered(at_once));
        while let Some(Some(outcome)) = decoded.next().await {
            let event = match outcome {
                Ok((segment, bytes)) => {
                    let offset = header.header().geometry.segment_offset(segment);
                    if plaintext.send(cut(bytes, offset, &range)).await.is_err() {
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
fn cut(segment: Bytes, offset: u64, range: &Range<u64>) -> Bytes {
    let length = segment.len();
    let within = |position: u64| {
        usize::try_from(position.saturating_sub(offset)).unwrap_or(length).min(length)
    };
    segment.slice(within(range.start)..within(range.end))
}

async fn read_rows(
    client: Result<crate::transport::ServerClient, Failure>,
    header: &SignedHeader,
    segments: Range<u32>,
) -> Result<Rows, Failure> {
    let rows = Rows::read(&client?, header, segments).await;
    rows.map_err(|error| crate::fetch::RunFailure::from(error).into_failure())
}

/// When the timer is due; never without one.
async fn due(timer: Option<(Timer, Instant)>) -> Timer {
    match timer {
        Some((timer, when)) => {
            tokio::time::sleep_until(when).await;
            timer
        }
        None => std::future::pending().await,
    }
}

/// A task that was aborted is none to worry about.
fn propagate_panic(ended: Result<(), tokio::task::JoinError>) {
    if let Err(error) = ended
        && let Ok(panic) = error.try_into_panic()
    {
        std::panic::resume_unwind(panic);
    }
}
