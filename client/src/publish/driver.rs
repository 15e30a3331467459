//! The publish driver: the one tokio loop around the machine. It takes an event from the queue, steps, and *spawns*
//! each action; a spawned action ends by putting one event on the queue. It holds no protocol decisions.
//!
//! - `calls`: single calls, and the journal
//! - `lane`: one conversation with one server, from Open to its end
//! - `encode`: an encoding pass that feeds the lanes

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use ed25519_dalek::SigningKey;
use tarn_proto::{Certificate, ConversationId, SlotState, StoreId};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::{Instrument, Span};

use super::action::{Action, Cut, Draft, PrepareLane};
use super::event::Event;
use super::outcome::{Outcome, Published, Report};
use super::publishing::{Content, Job, Journal, Status};
use super::{Learnt, Publish};
use crate::caps::ReadCap;
use crate::encode::workers::Workers;
use crate::lately::{Certificates, Lately, Taken};
use crate::quorum::Terms;
use crate::regenerate::Brought;
use crate::servermap::{Failure, ServerMap};
use crate::time::Millis;
use crate::transport::ServerClient;

mod calls;
mod encode;
mod lane;

use encode::Encoding;
use lane::{Command, LaneTask, Order};

/// The longest any single message is waited for. The machine gives up much earlier; this only ends the task.
const MESSAGE_DEADLINE: Duration = Duration::from_secs(60);

/// What every spawned action may use.
struct Context {
    /// Derived once: that takes as long as to sign.
    signing_key: SigningKey,
    read_cap: ReadCap,
    content: Content,
    servers: Arc<BTreeMap<StoreId, ServerClient>>,
    journal: Arc<dyn Journal>,
    workers: Workers,
    attempt: tarn_proto::AttemptId,
    events: mpsc::UnboundedSender<Event>,
    acknowledged: AtomicU64,
    /// What servers said when they had written.
    left: Mutex<BTreeMap<StoreId, SlotState>>,
    /// The certificate of what was published, once it is signed.
    certificate: OnceLock<Certificate>,
    /// Nobody waits any more for a next publish to take certificates along.
    hurry: CancellationToken,
}

impl Context {
    fn tell(&self, event: Event) {
        match &event {
            Event::Failed { failure, .. } => tracing::debug!(%failure, "failed"),
            Event::Refused { refusal, .. } => tracing::debug!(%refusal, "refused"),
            Event::JournalFailed { cause } => tracing::warn!(cause, "the journal failed"),
            Event::SourceFailed(failure) => tracing::debug!(?failure, "the source failed"),
            Event::Sealed { .. } => tracing::trace!("sealed"),
            Event::Written { .. } => tracing::trace!("written"),
            Event::Started
            | Event::Mapped { .. }
            | Event::Encoded { .. }
            | Event::Progressed { .. }
            | Event::Stalled { .. }
            | Event::Extended { .. }
            | Event::LeftToNext { .. }
            | Event::Journaled
            | Event::TimedOut { .. }
            | Event::CancelRequested => {}
        }
        // Nobody listens once the driver has ended; what is said then has no hearer to miss it.
        let _ = self.events.send(event);
    }

    fn server(&self, store: StoreId) -> Result<&ServerClient, Failure> {
        self.servers.get(&store).ok_or(Failure::Unlisted)
    }
}

pub(super) struct Driver {
    context: Arc<Context>,
    machine: Publish,
    queue: mpsc::UnboundedReceiver<Event>,
    began: Instant,
    told: Option<oneshot::Sender<Report>>,
    status: watch::Sender<Status>,
    total: Option<u64>,
    tasks: JoinSet<()>,
    lanes: BTreeMap<ConversationId, LaneHandle>,
    lately: Lately,
    /// What the publish before left, until its certificates are taken along.
    taken: Option<Taken>,
    /// The certificates of what was published, while they may wait.
    certificates: Option<Certificates>,
}

/// The driver's end of a lane. The lane ends when this is dropped or aborted.
struct LaneHandle {
    orders: mpsc::UnboundedSender<Order>,
    task: AbortHandle,
}

impl Driver {
    pub(super) fn new(
        job: Job,
        events: mpsc::UnboundedSender<Event>,
        queue: mpsc::UnboundedReceiver<Event>,
        told: oneshot::Sender<Report>,
        hurry: CancellationToken,
    ) -> (Self, watch::Receiver<Status>) {
        let attempt = job.request.attempt;
        // Whatever this publish does, what was left before is out of date.
        let taken = job.lately.take(job.request.storage_index);
        let taken = taken.filter(|_| job.first_try && job.content.is_small());
        let mut request = job.request;
        if let (None, Some(taken)) = (&request.map, &taken) {
            request.map = Some(Learnt::Remembered(taken.map()));
        }
        let machine = Publish::new(request, job.roster, job.patience, job.rng);
        let progress = machine.progress();
        let (status, watcher) = watch::channel(Status { progress, acknowledged: 0, total: None });
        let context = Arc::new(Context {
            read_cap: job.write_cap.read_cap(),
            signing_key: job.write_cap.signing_key(),
            content: job.content,
            servers: job.servers,
            journal: job.journal,
            workers: job.workers,
            attempt,
            events,
            acknowledged: AtomicU64::new(0),
            left: Mutex::default(),
            certificate: OnceLock::new(),
            hurry,
        });
        let driver = Self {
            context,
            machine,
            queue,
            began: Instant::now(),
            told: Some(told),
            status,
            total: None,
            tasks: JoinSet::new(),
            lanes: BTreeMap::new(),
            lately: job.lately,
            taken,
            certificates: None,
        };
        (driver, watcher)
    }

    pub(super) async fn run(mut self) {
        self.context.tell(Event::Started);
        while !self.machine.is_over() {
            let Some(event) = self.next_event().await else { return };
            let now = self.now();
            for action in self.machine.step(now, event) {
                self.spawn(action);
            }
            self.report_status();
        }
    }

    async fn next_event(&mut self) -> Option<Event> {
        loop {
            let abandoned = async {
                match &mut self.told {
                    Some(told) => told.closed().await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                biased;
                event = self.queue.recv() => return event,
                () = abandoned => {
                    self.told = None;
                    return Some(Event::CancelRequested);
                }
                Some(ended) = self.tasks.join_next() => propagate_panic(ended),
            }
        }
    }

    fn spawn(&mut self, action: Action) {
        let context = Arc::clone(&self.context);
        match action {
            Action::Query { message, server, since, conversation } => {
                let call = async move { context.query(message, server, since, conversation).await };
                self.tasks.spawn(call.instrument(call_span(server, "query")));
            }
            Action::Prepare { draft, finalize, ancestors, lanes } => {
                self.total = self.machine_total(&lanes, &draft);
                if let Some((_, version)) = finalize
                    && let Some(taken) = self.taken.take()
                {
                    taken.goes_along(version, lanes.iter().map(|lane| lane.server).collect());
                }
                let mut encoding = Encoding::new(Arc::clone(&context), draft, finalize, ancestors);
                for lane in lanes {
                    let server = lane.server;
                    let (conversation, task) = encoding.lane(lane);
                    self.spawn_lane(server, conversation, task);
                }
                self.tasks.spawn(encoding.run().in_current_span());
            }
            Action::Retest { message, conversation, tests, .. } => {
                self.order(conversation, Order { message, command: Command::Retest(tests) });
            }
            Action::Extend { message, conversation, .. } => {
                self.order(conversation, Order { message, command: Command::Extend });
            }
            Action::Commit { message, conversation, header, .. } => {
                let command = Command::Commit(header.signature());
                self.order(conversation, Order { message, command });
            }
            Action::Release { conversation, .. } => {
                if let Some(lane) = self.lanes.remove(&conversation) {
                    lane.task.abort();
                }
            }
            Action::Journal { header, placement } => {
                Span::current().record("version", tracing::field::display(header.version()));
                let journal = async move { context.journal(header, placement).await };
                self.tasks.spawn(journal.in_current_span());
            }
            Action::Bring {
                message,
                server,
                conversation,
                header,
                certificate,
                ancestors,
                shares,
                sources,
            } => {
                let brought =
                    Brought { header, certificate, ancestors, conversation, shares, sources };
                let call = async move { context.bring(message, server, brought).await };
                self.tasks.spawn(call.instrument(call_span(server, "bring")));
            }
            Action::Finalize { message, server, sequence_number, version } => {
                let waiting = self.certificates.clone();
                let call = async move {
                    context.leave(message, server, (sequence_number, version), waiting).await;
                };
                self.tasks.spawn(call.instrument(call_span(server, "finalize")));
            }
            Action::WaitUntil { timer, when, .. } => {
                let moment = self.began + Duration::from(when);
                self.tasks.spawn(async move {
                    tokio::time::sleep_until(moment).await;
                    context.tell(Event::TimedOut { timer });
                });
            }
            Action::Finish(report) => {
                tracing::debug!(outcome = ?report.outcome, elapsed = %report.elapsed, "ended");
                self.remember(&report.outcome);
                if let Some(told) = self.told.take() {
                    // The caller may have gone in this very moment.
                    let _ = told.send(report);
                }
            }
        }
    }

    /// A next publish may begin from what this one left, if every server of the window said what that is.
    fn remember(&mut self, outcome: &Outcome) {
        let Some(Published { header: Some(header), .. }) = outcome.published() else { return };
        let answers =
            std::mem::take(&mut *self.context.left.lock().unwrap_or_else(PoisonError::into_inner));
        let is_left = |store: &StoreId| {
            let current = answers.get(store).and_then(SlotState::current);
            current.is_some_and(|current| current.header.version() == header.version())
        };
        if Terms::from(header.header()).windows().all(|window| window.stores().iter().all(is_left))
        {
            let map = ServerMap { answers, failures: BTreeMap::new() };
            let file = header.header().storage_index;
            self.certificates = Some(self.lately.remember(file, map, header.version()));
        }
    }

    fn spawn_lane(&mut self, server: StoreId, conversation: ConversationId, task: LaneTask) {
        let (orders, inbox) = mpsc::unbounded_channel();
        let task = self.tasks.spawn(task.run(inbox).instrument(call_span(server, "write")));
        self.lanes.insert(conversation, LaneHandle { orders, task });
    }

    fn order(&self, conversation: ConversationId, order: Order) {
        let message = order.message;
        let heard =
            self.lanes.get(&conversation).is_some_and(|lane| lane.orders.send(order).is_ok());
        if !heard {
            let failure = Failure::Dead("the conversation has ended".to_owned());
            self.context.tell(Event::Failed { message, failure });
        }
    }

    fn now(&self) -> Millis {
        Millis(u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX))
    }

    fn machine_total(&self, lanes: &[PrepareLane], draft: &Draft) -> Option<u64> {
        let Cut::Known(geometry) = draft.cut else { return None };
        let segments = self.context.content.segments(&geometry);
        let rows = (segments.len() * geometry.row_length()) as u64;
        let column: u64 = segments.map(|segment| geometry.block_length(segment) as u64).sum();
        let bytes = |lane: &PrepareLane| lane.shares.len() as u64 * column + rows;
        let already = self.context.acknowledged.load(Ordering::Relaxed);
        Some(self.total.unwrap_or(0).max(already) + lanes.iter().map(bytes).sum::<u64>())
    }

    fn report_status(&self) {
        self.status.send_replace(Status {
            progress: self.machine.progress(),
            acknowledged: self.context.acknowledged.load(Ordering::Relaxed),
            total: self.total,
        });
    }
}

/// What is said while a server is talked to is said in this span.
fn call_span(server: StoreId, request: &'static str) -> Span {
    tracing::debug_span!("call", %server, request)
}

/// A task that panicked will never tell its event: the whole publish must not wait for it. One that was aborted was
/// released.
fn propagate_panic(ended: Result<(), tokio::task::JoinError>) {
    if let Err(Ok(panic)) = ended.map_err(tokio::task::JoinError::try_into_panic) {
        std::panic::resume_unwind(panic);
    }
}

/// An error and its causes in one sentence.
fn sentence(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(error.source(), |cause| cause.source());
    causes.fold(error.to_string(), |text, cause| format!("{text}: {cause}"))
}
