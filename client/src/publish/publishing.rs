//! A publish as its caller sees it: what it needs, the handle to it while it runs, and the journal it writes. What
//! happens in between is the driver's, and what is decided is the machine's.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use rand_chacha::ChaCha8Rng;
use tarn_proto::splice::Fringe;
use tarn_proto::{SignedHeader, StoreId, VersionId};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tracing::Instrument;

use super::driver::Driver;
use super::event::Event;
use super::outcome::Report;
use super::{Input, Progress, Request, Roster};
use crate::caps::WriteCap;
use crate::encode::source::{Once, Source};
use crate::encode::workers::Workers;
use crate::lately::Lately;
use crate::quorum::Placement;
use crate::servermap::Patience;
use crate::transport::ServerClient;

/// Bytes that are sent without asking first: two segments of the default size.
const SMALL: u64 = 384 << 10;

/// What a publish needs from outside.
pub struct Job {
    /// The right to write the file.
    pub write_cap: WriteCap,
    /// The content, which the request's input is of.
    pub content: Content,
    /// What is to be published, and after what.
    pub request: Request,
    /// The servers, by store.
    pub servers: Arc<BTreeMap<StoreId, ServerClient>>,
    /// Whom to prefer, in order.
    pub roster: Roster,
    /// What is late.
    pub patience: Patience,
    /// Decides conversation ids and jitter; seeded from the operating system but in tests.
    pub rng: ChaCha8Rng,
    /// Where the decision is made durable before the first commit.
    pub journal: Arc<dyn Journal>,
    /// Where the source is read and encoded, and the journal written.
    pub workers: Workers,
    /// Whether nobody can have tried this submission before.
    pub first_try: bool,
    /// What publishes of the same client have left on servers a moment ago.
    pub lately: Lately,
}

/// What a version is made of.
#[derive(Debug, Clone)]
pub enum Content {
    /// All of it.
    Whole(Source),
    /// A stretch of segments; the rest is that of another version.
    Part {
        /// That version.
        of: VersionId,
        /// Bytes of the whole content.
        length: u64,
        /// The plaintext of the stretch.
        source: Source,
        /// The stretch, of the new version.
        segments: Range<u32>,
        /// What stays of the changed version's table.
        fringe: Fringe,
    },
    /// All of it, read once as it comes.
    Once(Once),
}

impl Content {
    /// What a publish of it depends on: what its request says.
    pub const fn input(&self) -> Input {
        match self {
            Self::Whole(source) => Input::Whole { length: source.length() },
            Self::Part { of, length, .. } => Input::Part { of: *of, length: *length },
            Self::Once(_) => Input::Once,
        }
    }

    /// Whether it is sent without asking first. To send much for nothing would cost more than to ask.
    pub(crate) const fn is_small(&self) -> bool {
        match self {
            Self::Whole(source) | Self::Part { source, .. } => source.length() <= SMALL,
            Self::Once(_) => false,
        }
    }
}

/// Makes a decision durable on this side before it is carried out.
pub trait Journal: Send + Sync {
    /// Records that this signed header is about to be committed where it is sealed. Blocks; durable when it returns.
    fn record(&self, header: &SignedHeader, placement: &Placement) -> Result<(), JournalError>;
}

/// Why a decision could not be recorded. Nothing was committed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the journal cannot be written: {cause}")]
pub struct JournalError {
    /// What went wrong, for people.
    pub cause: String,
}

/// A journal for callers that will not come back after a crash.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoJournal;

impl Journal for NoJournal {
    fn record(&self, _: &SignedHeader, _: &Placement) -> Result<(), JournalError> {
        Ok(())
    }
}

/// A publish under way. Dropping it before the report is the same as cancelling it: what was only prepared is
/// released, and commits already sent are awaited.
#[derive(Debug)]
pub struct Publishing {
    report: oneshot::Receiver<Report>,
    events: mpsc::UnboundedSender<Event>,
    status: watch::Receiver<Status>,
    hurry: CancellationToken,
    driver: JoinHandle<()>,
}

/// How far a publish has come, for whoever watches.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Status {
    /// What it is doing, and whom it waits for.
    pub progress: Progress,
    /// Bytes of shares and tables that servers have taken in.
    pub acknowledged: u64,
    /// Bytes that are to be taken in, in this round; none while it is not known how long the content is.
    pub total: Option<u64>,
}

/// The publish ended without a report: its runtime was shut down.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the publish was cut off: its runtime is shutting down")]
pub struct CutOff;

impl Publishing {
    /// Begins a publish. Must be called within a tokio runtime.
    pub fn begin(job: Job) -> Self {
        let (events, queue) = mpsc::unbounded_channel();
        let (told, report) = oneshot::channel();
        let span = tracing::info_span!(
            "publish",
            file = %job.request.storage_index,
            version = tracing::field::Empty,
        );
        let hurry = CancellationToken::new();
        let (driver, status) = Driver::new(job, events.clone(), queue, told, hurry.clone());
        let driver = tokio::spawn(driver.run().instrument(span));
        Self { report, events, status, hurry, driver }
    }

    /// Waits for the outcome. May be called again only after it was dropped unfinished.
    pub async fn report(&mut self) -> Result<Report, CutOff> {
        (&mut self.report).await.map_err(|_| CutOff)
    }

    /// Asks to call it off: before the first commit nothing is changed, after it the outcome is reported.
    pub fn cancel(&self) {
        // A driver that is gone has nothing left to cancel.
        let _ = self.events.send(Event::CancelRequested);
    }

    /// How far it has come, now and later.
    pub fn status(&self) -> watch::Receiver<Status> {
        self.status.clone()
    }

    /// Waits until the courtesies after the report are done too: certificates left, missing shares brought. Certificates
    /// that wait for a next publish of the file do not wait any more.
    pub async fn settled(self) {
        self.hurry.cancel();
        self.settled_in_time().await;
    }

    /// The same, and a next publish of the file, if it comes in a moment, takes the certificates along.
    pub async fn settled_in_time(self) {
        // A driver ends by itself, or with its runtime.
        let _ = self.driver.await;
    }
}
