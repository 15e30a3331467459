//! Publishes of one file, submitted without waiting: each is built on the one before, and on nothing else. What somebody
//! else publishes becomes an event, and fails what was built on the state before it, so that no action is ever applied to a
//! state that its caller has not seen (DESIGN §2, H4). What a gateway is for other programs, this is for one that links
//! this library; it keeps nothing when the program ends.
//!
//! ```no_run
//! # use tarn_client::{client::Client, caps::WriteCap, base::Origin, encode::source::Source};
//! # use tarn_client::publish_queue::{Event, PublishQueue, QueueOptions};
//! # async fn example(client: Client, cap: WriteCap, options: QueueOptions) {
//! let (queue, mut events) = PublishQueue::start(client, cap, options);
//! let first = queue.submit(Source::Bytes("one".into()));
//! let second = queue.submit(Source::Bytes("two".into()));
//! // Both are under way; the second is published on top of the first, or not at all.
//! assert!(first.await.is_ok() && second.await.is_ok());
//! while let Some(Event::Replaced { version }) = events.recv().await {
//!     // Somebody else published: look at it, then build on it.
//!     queue.build_on(Some(version));
//! }
//! # }
//! ```

mod chain;

use std::collections::BTreeSet;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use rand_chacha::ChaCha8Rng;
use tarn_proto::{AttemptId, Shape, SignedHeader, VersionId};
use tokio::sync::{mpsc, oneshot};

use crate::base::Origin;
use crate::caps::{WriteCap, fresh_attempt_id};
use crate::client::{Client, PublishOptions};
use crate::encode::source::Source;
use crate::follow::Told;
use crate::newest::split;
use crate::publish::Follows;
use crate::publish::outcome::{Landed, Outcome, Published, Report};
use crate::publish::publishing::{CutOff, Journal, NoJournal};
use chain::{Broken, Chain};

/// How long it rests before it asks again what became of a publish.
const REST: Duration = Duration::from_millis(500);
/// How often it asks.
const REPEATS: u32 = 20;

/// What a queue is begun with.
pub struct QueueOptions {
    /// Whether the caller drew the file's window, and so may begin from nothing.
    pub origin: Origin,
    /// k, happy and n of a first version.
    pub first_shape: Shape,
    /// The version that the first publish is built on; none if the file has none yet.
    pub on: Option<VersionId>,
    /// Where decisions are made durable before the first commit.
    pub journal: Arc<dyn Journal>,
    /// The time since the epoch, which keeps attempt ids apart should random numbers ever come again.
    pub since_epoch: Duration,
    /// Decides attempt and conversation ids and jitter; seeded from the operating system but in tests.
    pub rng: ChaCha8Rng,
}

impl QueueOptions {
    /// For whoever knows the file by its cap, on this version, without a journal.
    pub fn cap_holder(on: VersionId, since_epoch: Duration, rng: ChaCha8Rng) -> Self {
        Self {
            origin: Origin::CapHolder,
            first_shape: Shape::default(),
            on: Some(on),
            journal: Arc::new(NoJournal),
            since_epoch,
            rng,
        }
    }
}

/// Publishes of one file, one after another. Clones submit to the same queue. When the last is dropped, what was submitted
/// is still published.
#[derive(Debug, Clone)]
pub struct PublishQueue(mpsc::UnboundedSender<Request>);

/// What a queue tells whoever began it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Event {
    /// Somebody else published: what is submitted fails until [`PublishQueue::build_on`] says that this was seen.
    Replaced {
        /// What is there now.
        version: VersionId,
    },
}

/// Why a submission was not published. Whatever was submitted after it, and is submitted until
/// [`PublishQueue::build_on`] says what to go on from, fails too.
#[derive(Debug, Clone, thiserror::Error)]
pub enum QueueError {
    /// Look at what is there now, say so with [`PublishQueue::build_on`], and submit again. Nothing was changed.
    #[error("somebody else published what this was not built on; nothing was changed")]
    Replaced {
        /// What is there now, if it is known.
        now: Option<VersionId>,
    },
    /// Do about the one before what its error says, then submit again. Nothing was changed.
    #[error("what this was to be built on was not published; nothing was changed")]
    PredecessorFailed,
    /// What the report's outcome says must be done. Nothing was changed.
    #[error("it could not be published; nothing was changed")]
    NotPublished(Box<Report>),
    /// Read the file to see whether it took effect.
    #[error("it may have been published or not")]
    Unsettled(Box<Report>),
    /// The program is ending; it may have been published or not.
    #[error("the program is stopping")]
    Stopping,
}

/// The end of one submission. Dropping it changes nothing.
#[derive(Debug)]
pub struct Submitted(oneshot::Receiver<Result<Published, QueueError>>);

impl Future for Submitted {
    type Output = Result<Published, QueueError>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        Pin::new(&mut self.0).poll(context).map(|told| told.unwrap_or(Err(QueueError::Stopping)))
    }
}

#[derive(Debug)]
enum Request {
    Submit(Source, oneshot::Sender<Result<Published, QueueError>>),
    BuildOn(Option<VersionId>),
}

impl PublishQueue {
    /// A queue, and what it has to tell. Must be called within a tokio runtime with time.
    pub fn start(
        client: Client,
        cap: WriteCap,
        options: QueueOptions,
    ) -> (Self, mpsc::UnboundedReceiver<Event>) {
        let (requests, waiting) = mpsc::unbounded_channel();
        let (events, told) = mpsc::unbounded_channel();
        let file = cap.verify_cap().storage_index();
        // Without it, what others published shows in what is submitted next.
        let outside = client.follow(file, options.origin.clone(), options.on);
        let outside = outside.unwrap_or_else(|_too_many| mpsc::channel(1).1);
        let chain = Chain::new(options.on);
        let worker = Worker { client, cap, options, chain, events };
        tokio::spawn(worker.run(waiting, outside));
        (Self(requests), told)
    }

    /// Publishes this on top of what was submitted before it. Returns at once.
    pub fn submit(&self, source: Source) -> Submitted {
        let (told, submitted) = oneshot::channel();
        // A worker that is gone tells so by dropping the other end.
        let _ = self.0.send(Request::Submit(source, told));
        Submitted(submitted)
    }

    /// Whatever is submitted from now on is built on this version, which the caller has seen; none if the file has none.
    pub fn build_on(&self, version: Option<VersionId>) {
        let _ = self.0.send(Request::BuildOn(version));
    }
}

/// Takes submissions one by one.
struct Worker {
    client: Client,
    cap: WriteCap,
    options: QueueOptions,
    chain: Chain,
    events: mpsc::UnboundedSender<Event>,
}

impl Worker {
    async fn run(
        mut self,
        mut waiting: mpsc::UnboundedReceiver<Request>,
        mut outside: mpsc::Receiver<Told>,
    ) {
        loop {
            tokio::select! {
                biased;
                Some(told) = outside.recv() => self.look_at(&told),
                request = waiting.recv() => match request {
                    None => return,
                    Some(Request::BuildOn(version)) => self.chain.build_on(version),
                    Some(Request::Submit(source, told)) => {
                        let ended = self.submit(source).await;
                        // Whoever does not wait for it does not want to know.
                        let _ = told.send(ended);
                    }
                },
            }
        }
    }

    /// A version was published, perhaps by somebody else.
    fn look_at(&mut self, told: &Told) {
        if self.chain.is_foreign(told) {
            self.chain.heard_of(told.sequence_number);
            self.chain.breaks(Broken::Replaced { now: Some(told.version) });
            // Whoever does not listen learns it from what it submits.
            let _ = self.events.send(Event::Replaced { version: told.version });
        }
    }

    async fn submit(&mut self, source: Source) -> Result<Published, QueueError> {
        let follows = match self.chain.follows() {
            Ok(follows) => follows,
            Err(Broken::Replaced { now }) => return Err(QueueError::Replaced { now }),
            Err(Broken::Failed) => return Err(QueueError::PredecessorFailed),
        };
        let report = self.publish(source, follows).await.map_err(|CutOff| QueueError::Stopping)?;
        match &report.outcome {
            Outcome::Published(published) => {
                self.chain.extends(published);
                Ok(published.clone())
            }
            Outcome::Stale { now: theirs } | Outcome::UncoordinatedWrite { theirs } => {
                let now = theirs.as_ref().map(SignedHeader::version);
                self.chain.heard_of(theirs.as_ref().map(|theirs| theirs.header().sequence_number));
                self.chain.breaks(Broken::Replaced { now });
                if let Some(version) = now {
                    let _ = self.events.send(Event::Replaced { version });
                }
                Err(QueueError::Replaced { now })
            }
            Outcome::Partial(_) | Outcome::Unknown(_) => {
                self.chain.breaks(Broken::Failed);
                Err(QueueError::Unsettled(Box::new(report)))
            }
            Outcome::Contended
            | Outcome::NotEnoughServers(_)
            | Outcome::BaseMissing(_)
            | Outcome::Undecided(_)
            | Outcome::Cancelled
            | Outcome::SourceChanged
            | Outcome::InputUsedUp
            | Outcome::Failed { .. } => {
                self.chain.breaks(Broken::Failed);
                Err(QueueError::NotPublished(Box::new(report)))
            }
        }
    }

    /// Publishes it; again and again as the same submission while it is not known what became of it.
    async fn publish(&mut self, source: Source, follows: Follows) -> Result<Report, CutOff> {
        let options = &mut self.options;
        let attempt: AttemptId = fresh_attempt_id(&mut options.rng, options.since_epoch);
        let mut left: Option<Landed> = None;
        let mut repeats = 0;
        loop {
            let publish = PublishOptions {
                origin: options.origin.clone(),
                follows,
                shape: None,
                first_shape: options.first_shape,
                attempt,
                first_try: left.is_none(),
                tombstone: false,
                high_water: None,
                spent: left.as_ref().map(|left| left.header.header().sequence_number),
                suspects: BTreeSet::new(),
                left,
                journal: Arc::clone(&options.journal),
                rng: split(&mut options.rng),
            };
            let publishing = self.client.publish(self.cap.clone(), source.clone(), publish);
            let report = { publishing }.report().await?;
            let (Outcome::Partial(landed) | Outcome::Unknown(landed)) = &report.outcome else {
                return Ok(report);
            };
            repeats += 1;
            if repeats > REPEATS {
                return Ok(report);
            }
            left = Some(landed.clone());
            tokio::time::sleep(REST).await;
        }
    }
}
