//! Runs tasks: loads what one needs, publishes it on the grid, and tells the registrar how it ended. What runs, and when,
//! is said by the registrar.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tarn_proto::gateway::Outcome as Told;
use tarn_proto::{Shape, SignedHeader};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::Instrument;

use super::board::Board;
use super::clock::UnixMillis;
use super::outcome;
use super::registrar::{Order, Registrar, Request};
use super::secret::SealingKey;
use super::staging::Staging;
use super::tasks::{Journalled, TasksReader, Work};
use crate::base::Origin;
use crate::client::{Client, PublishOptions};
use crate::publish::Follows;
use crate::publish::outcome::Report;
use crate::publish::publishing::{Journal, JournalError, Publishing};
use crate::queue::{End, TaskId};
use crate::quorum::Placement;
use crate::suspects::Suspects;

mod progress;

/// How long certificates and missing shares may take after a task has ended.
const COURTESY: Duration = Duration::from_secs(10);

/// What tasks are run with. Clones are the same.
#[derive(Clone)]
pub(super) struct Runner(Arc<Shared>);

struct Shared {
    client: Client,
    registrar: Registrar,
    record: Mutex<TasksReader>,
    staging: Staging,
    key: Arc<SealingKey>,
    board: Board,
    suspects: Mutex<Suspects>,
    runs: TaskTracker,
}

impl Runner {
    pub(super) fn new(
        client: Client,
        registrar: Registrar,
        record: TasksReader,
        staging: Staging,
        key: Arc<SealingKey>,
        board: Board,
    ) -> Self {
        Self(Arc::new(Shared {
            client,
            registrar,
            record: Mutex::new(record),
            staging,
            key,
            board,
            suspects: Mutex::default(),
            runs: TaskTracker::new(),
        }))
    }

    /// Carries out orders until there are none any more. Dropped, it cuts every run off: each is taken up by the next
    /// gateway on the same folder.
    pub(super) async fn serve(self, mut orders: mpsc::UnboundedReceiver<Order>) {
        let all = CancellationToken::new();
        let cut_off = all.clone().drop_guard();
        let (over, mut ended) = mpsc::unbounded_channel();
        let mut running: BTreeMap<TaskId, CancellationToken> = BTreeMap::new();
        loop {
            tokio::select! {
                biased;
                Some(task) = ended.recv() => {
                    running.remove(&task);
                }
                order = orders.recv() => match order {
                    None => {
                        // Nothing runs any more, and courtesies may be ended in peace.
                        cut_off.disarm();
                        break;
                    }
                    // What runs already is what the record says, too: it was read anew.
                    Some(Order::Run { task, .. }) if running.contains_key(&task) => {}
                    Some(Order::Run { task, follows, work }) => {
                        let cancel = CancellationToken::new();
                        running.insert(task, cancel.clone());
                        let run = self.clone().run(task, follows, work, cancel, over.clone());
                        let span = tracing::info_span!("task", %task);
                        let run = all.clone().run_until_cancelled_owned(run.instrument(span));
                        self.0.runs.spawn(run);
                    }
                    Some(Order::Cancel { task }) => {
                        if let Some(cancel) = running.get(&task) {
                            cancel.cancel();
                        }
                    }
                    Some(Order::Drop { task, inline }) => {
                        let staging = self.0.staging.clone();
                        self.0.runs.spawn_blocking(move || staging.remove(task, inline));
                    }
                },
            }
        }
    }

    /// Waits until nothing runs, certificates and missing shares included.
    pub(super) async fn idle(&self) {
        self.0.runs.close();
        self.0.runs.wait().await;
    }

    async fn run(
        self,
        task: TaskId,
        follows: Follows,
        work: Option<Box<Work>>,
        cancel: CancellationToken,
        over: mpsc::UnboundedSender<TaskId>,
    ) {
        let mut run = Run { runner: &self, task, over, content_lasts: false, is_told: false };
        let work = match work {
            Some(work) => Ok(Some(*work)),
            None => self.load(task).await,
        };
        let work = match work {
            Ok(Some(work)) => work,
            Ok(None) => return run.gone(),
            Err(told) => return run.ended(End::Unsettled, told),
        };
        run.content_lasts = work.content.inline.is_some();
        let mut publishing = match self.begin(task, follows, work) {
            Ok(publishing) => publishing,
            Err(told) => return run.ended(End::Unsettled, *told),
        };
        let Some(report) = self.watch(task, &mut publishing, &cancel).await else { return };
        self.suspects().note(Duration::from(UnixMillis::now()), &report.heard);
        let (end, told) = outcome::of_report(&report, follows);
        run.ended(end, told);
        if tokio::time::timeout(COURTESY, publishing.settled_in_time()).await.is_err() {
            tracing::info!("some servers did not take the certificate in time");
        }
    }

    /// What the task needs; none if it has ended meanwhile. What keeps it from being run, here and in [`Runner::begin`], may
    /// pass, so it is to be tried again; the error says how it ended if it never does.
    async fn load(&self, task: TaskId) -> Result<Option<Work>, Told> {
        let runner = self.clone();
        let loaded = tokio::task::spawn_blocking(move || {
            let record = runner.0.record.lock().unwrap_or_else(PoisonError::into_inner);
            record.work(task).map_err(|error| error.to_string())
        });
        // Without its row nobody knows whether an earlier run committed anything.
        loaded.await.map_err(|error| error.to_string()).flatten().map_err(outcome::unknown)
    }

    fn begin(&self, task: TaskId, follows: Follows, work: Work) -> Result<Publishing, Box<Told>> {
        let failed = |cause: String| match work.journalled {
            Some(_) => outcome::unknown(cause),
            None => outcome::failed(cause),
        };
        let cap = self.0.key.open(task, &work.sealed_cap);
        let cap = cap.map_err(|error| failed(error.to_string()))?;
        let source = self.0.staging.source(task, &work.content);
        let source =
            source.map_err(|error| failed(format!("its content cannot be read: {error}")))?;
        let options = self.options(task, follows, work);
        Ok(self.0.client.publish(cap, source, options))
    }

    fn options(&self, task: TaskId, follows: Follows, work: Work) -> PublishOptions {
        let Work { attempt, is_keyed, shape, journalled, known, .. } = work;
        // An earlier run that journalled nothing has left nothing on servers.
        let first_try = !is_keyed && journalled.is_none();
        let left = journalled.map(Journalled::landed);
        PublishOptions {
            origin: known.window.map_or(Origin::CapHolder, Origin::Creator),
            follows,
            shape,
            first_shape: shape.or(known.shape).unwrap_or_else(Shape::default),
            attempt,
            first_try,
            tombstone: false,
            high_water: known.high_water,
            suspects: self.suspects().at(UnixMillis::now().into()),
            spent: left.as_ref().map(|left| left.header.header().sequence_number),
            left,
            journal: Arc::new(TaskJournal { task, registrar: self.0.registrar.clone() }),
            rng: rand::make_rng(),
        }
    }

    /// Waits for the report, shows progress, and passes on that somebody calls it off. None when the program ends.
    async fn watch(
        &self,
        task: TaskId,
        publishing: &mut Publishing,
        cancel: &CancellationToken,
    ) -> Option<Report> {
        let mut status = publishing.status();
        let mut called_off = false;
        loop {
            self.0.board.show(task, progress::of(&status.borrow_and_update()));
            tokio::select! {
                biased;
                report = publishing.report() => return report.ok(),
                () = cancel.cancelled(), if !called_off => {
                    called_off = true;
                    publishing.cancel();
                }
                Ok(()) = status.changed() => {}
            }
        }
    }

    fn suspects(&self) -> std::sync::MutexGuard<'_, Suspects> {
        self.0.suspects.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A run under way, whose end is told whatever way it ends.
struct Run<'a> {
    runner: &'a Runner,
    task: TaskId,
    over: mpsc::UnboundedSender<TaskId>,
    /// Whether its content goes with its row, and is there for another run as long as its end is not durable.
    content_lasts: bool,
    is_told: bool,
}

impl Run<'_> {
    /// It has ended like this.
    fn ended(&mut self, end: End, outcome: Told) {
        tracing::debug!(outcome = ?outcome.kind(), "a run has ended");
        self.gone();
        let Self { task, content_lasts, .. } = *self;
        let outcome = Box::new(outcome);
        self.runner.0.registrar.tell(Request::Ended { task, end, outcome, content_lasts });
    }

    /// It does not run any more. Told first of all, so that an order to run it again is not taken for this run.
    fn gone(&mut self) {
        self.is_told = true;
        let _ = self.over.send(self.task);
        self.runner.0.board.hide(self.task);
    }
}

impl Drop for Run<'_> {
    /// It was cut off, or panicked: what it did is found out by the next run.
    fn drop(&mut self) {
        if !self.is_told {
            self.ended(End::Unsettled, outcome::unknown("its run was cut off"));
        }
    }
}

/// A publish's journal: the record.
struct TaskJournal {
    task: TaskId,
    registrar: Registrar,
}

impl Journal for TaskJournal {
    fn record(&self, header: &SignedHeader, placement: &Placement) -> Result<(), JournalError> {
        let servers = placement.keys().copied().collect();
        let entry = Journalled { header: header.clone(), servers };
        let written = self.registrar.journal(self.task, entry);
        written.map_err(|error| JournalError { cause: error.to_string() })
    }
}
