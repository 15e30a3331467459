//! Changing a file by a function of what it holds: read the newest version, apply the function, publish on top of exactly
//! that version, and begin again if somebody else came first. Keeps nothing between calls, and decides nothing about
//! versions: that is the business of the retrieve and the publish in it.
//!
//! A change is never applied twice. Only a try of which nothing can be left is followed by another reading; one that may
//! have taken effect is repeated as the same submission until it is known what became of it.

use std::collections::BTreeSet;
use std::future::Future;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use tarn_proto::{Shape, SignedHeader, StoreId};

use crate::base::{HighWater, Origin};
use crate::caps::{WriteCap, fresh_attempt_id};
use crate::client::{Client, PublishOptions};
use crate::encode::source::Source;
use crate::publish::Follows;
use crate::publish::outcome::{Landed, Outcome, Published, Report};
use crate::publish::publishing::{CutOff, Journal, NoJournal};
use crate::retrieve::reading::{RetrieveError, RetrieveFailure, RetrieveRequest};

/// The first wait after a try that was in vain is at most this long; it doubles with every further one.
const WAIT_FIRST: Duration = Duration::from_millis(20);
/// The longest wait.
const WAIT_MAX: Duration = Duration::from_secs(2);

/// How a file is to be changed, beyond the function.
pub struct ModifyOptions {
    /// Whether the caller drew the file's window, and so may begin from nothing.
    pub origin: Origin,
    /// k, happy and n of a first version.
    pub first_shape: Shape,
    /// The newest version that the caller has ever seen: nothing older is built on.
    pub high_water: Option<HighWater>,
    /// Servers that kept an earlier publish waiting: see [`Suspects`](crate::suspects::Suspects).
    pub suspects: BTreeSet<StoreId>,
    /// Where decisions are made durable before the first commit.
    pub journal: Arc<dyn Journal>,
    /// The longest content that is read into memory, in bytes.
    pub content_max: u64,
    /// How many publishes it may take.
    pub tries: NonZeroU32,
    /// The time since the epoch, which keeps attempt ids apart should random numbers ever come again.
    pub since_epoch: Duration,
    /// Decides attempt and conversation ids and jitter; seeded from the operating system but in tests.
    pub rng: ChaCha8Rng,
}

impl ModifyOptions {
    /// For whoever has only the write cap of a file that is there: up to 64 MiB, 20 tries, no journal.
    pub fn cap_holder(since_epoch: Duration, rng: ChaCha8Rng) -> Self {
        Self {
            origin: Origin::CapHolder,
            first_shape: Shape::default(),
            high_water: None,
            suspects: BTreeSet::new(),
            journal: Arc::new(NoJournal),
            content_max: 64 << 20,
            tries: const { NonZeroU32::new(20).expect("twenty is not zero") },
            since_epoch,
            rng,
        }
    }
}

/// What became of a change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Modified {
    /// It is the newest version, durable at a quorum.
    Published {
        /// The version.
        published: Published,
        /// What it holds.
        content: Bytes,
    },
    /// The function wanted nothing changed.
    Unchanged {
        /// The version it was given; none if there is none.
        header: Option<SignedHeader>,
    },
}

/// Why a file was not changed, or may not have been.
#[derive(Debug, thiserror::Error)]
pub enum ModifyError {
    /// What the retrieve says must be done. Nothing was changed.
    #[error(transparent)]
    Read(Box<RetrieveError>),
    /// Allow more memory, or publish the change by other means. Nothing was changed.
    #[error(
        "version {} has {} bytes and at most {content_max} are read into memory",
        header.header().sequence_number, header.header().geometry.length()
    )]
    TooLarge {
        /// The version.
        header: SignedHeader,
        /// What was allowed.
        content_max: u64,
    },
    /// Try again when fewer others write. Nothing was changed.
    #[error("others kept writing: {tries} tries were in vain")]
    Contended {
        /// How many.
        tries: NonZeroU32,
    },
    /// What the publish's outcome says must be done. Nothing was changed.
    #[error("the change could not be published")]
    NotPublished(Box<Report>),
    /// Read the file to see whether it took effect, once the servers named answer again.
    #[error("the change may have been published or not")]
    Unsettled(Box<Report>),
    /// The program is ending; the change may have been published or not.
    #[error(transparent)]
    CutOff(#[from] CutOff),
}

/// What a change is built on.
struct Before {
    content: Option<Bytes>,
    header: Option<SignedHeader>,
    follows: Follows,
    high_water: Option<HighWater>,
}

impl Client {
    /// Changes a file by what `change` makes of its content (none if it has no version, or is deleted); no new content
    /// means that nothing is to be changed. `change` is called anew for each version that is tried, so it should do
    /// nothing else. Must be called within a tokio runtime with time.
    ///
    /// Dropping the future calls the change off: before the first commit nothing is changed, after it the change may
    /// take effect.
    pub async fn modify<F, Changed>(
        &self,
        cap: &WriteCap,
        mut options: ModifyOptions,
        mut change: F,
    ) -> Result<Modified, ModifyError>
    where
        F: FnMut(Option<Bytes>) -> Changed,
        Changed: Future<Output = Option<Bytes>>,
    {
        let mut tries = Tries::new(options.tries, split(&mut options.rng));
        loop {
            let before = self.before(cap, &mut options).await?;
            options.high_water = before.high_water;
            let Some(content) = change(before.content).await else {
                return Ok(Modified::Unchanged { header: before.header });
            };
            let source = Source::Bytes(content.clone());
            let report = self.submit(cap, source, before.follows, &mut options, &mut tries).await?;
            match tries.after(report) {
                Next::Done(published) => return Ok(Modified::Published { published, content }),
                Next::ReadAgain { wait } => tokio::time::sleep(wait).await,
                Next::Fail(error) => return Err(error),
            }
        }
    }

    /// Reads the newest version as a whole.
    async fn before(
        &self,
        cap: &WriteCap,
        options: &mut ModifyOptions,
    ) -> Result<Before, ModifyError> {
        let request = RetrieveRequest {
            cap: cap.read_cap(),
            origin: options.origin.clone(),
            version: None,
            range: None,
            // Whether it is the newest is found out by publishing on top of it.
            strict: false,
            allow_rollback: false,
            high_water: options.high_water,
            suspects: options.suspects.clone(),
        };
        let mut reading = match self.retrieve(request, split(&mut options.rng)).await {
            Ok(reading) => reading,
            Err(error) => return Before::nothing(error, options),
        };
        let found = reading.found().clone();
        let length = found.header.header().geometry.length();
        let capacity = usize::try_from(length).ok().filter(|_| length <= options.content_max);
        let Some(capacity) = capacity else {
            let content_max = options.content_max;
            return Err(ModifyError::TooLarge { header: found.header, content_max });
        };
        let mut content = BytesMut::with_capacity(capacity);
        while let Some(segment) = reading.next_segment().await.map_err(read_failed)? {
            content.extend_from_slice(&segment);
        }
        Ok(Before {
            content: Some(content.freeze()),
            follows: Follows::Version(found.header.version()),
            header: Some(found.header),
            high_water: found.high_water,
        })
    }

    /// Publishes the change, again and again as the same submission while it is not known what became of it.
    async fn submit(
        &self,
        cap: &WriteCap,
        source: Source,
        follows: Follows,
        options: &mut ModifyOptions,
        tries: &mut Tries,
    ) -> Result<Report, CutOff> {
        let attempt = fresh_attempt_id(&mut options.rng, options.since_epoch);
        let mut left: Option<Landed> = None;
        loop {
            let publish = PublishOptions {
                origin: options.origin.clone(),
                follows,
                shape: None,
                first_shape: options.first_shape,
                attempt,
                tombstone: false,
                high_water: options.high_water,
                spent: left.as_ref().map(|left| left.header.header().sequence_number),
                suspects: options.suspects.clone(),
                left,
                journal: Arc::clone(&options.journal),
                rng: split(&mut options.rng),
            };
            let report = self.publish(cap.clone(), source.clone(), publish).report().await?;
            let Some((landed, wait)) = tries.unsettled(&report.outcome) else { return Ok(report) };
            left = Some(landed);
            tokio::time::sleep(wait).await;
        }
    }
}

impl Before {
    /// What a change is built on where nothing can be read, if that is nothing.
    fn nothing(error: RetrieveError, options: &ModifyOptions) -> Result<Self, ModifyError> {
        match (error.failure, &options.origin) {
            (RetrieveFailure::Deleted { header, high_water, .. }, _) => Ok(Self {
                content: None,
                follows: Follows::Version(header.version()),
                header: Some(header),
                high_water,
            }),
            (RetrieveFailure::NotFound { .. }, Origin::Creator(_)) => Ok(Self {
                content: None,
                follows: Follows::Nothing,
                header: None,
                high_water: options.high_water,
            }),
            (failure, _) => Err(read_failed(RetrieveError { failure, ..error })),
        }
    }
}

/// How often it was tried, and what follows a try. Pure, but for its own random numbers.
struct Tries {
    made: u32,
    most: NonZeroU32,
    rng: ChaCha8Rng,
}

/// What follows a try.
#[derive(Debug)]
enum Next {
    Done(Published),
    ReadAgain { wait: Duration },
    Fail(ModifyError),
}

impl Tries {
    const fn new(most: NonZeroU32, rng: ChaCha8Rng) -> Self {
        Self { made: 0, most, rng }
    }

    /// What may be left of this submission and how long to wait before it is repeated; none if it is settled, or if it
    /// was tried often enough.
    fn unsettled(&mut self, outcome: &Outcome) -> Option<(Landed, Duration)> {
        let landed = match outcome {
            Outcome::Partial(landed) | Outcome::Unknown(landed) => landed,
            Outcome::Published(_)
            | Outcome::UncoordinatedWrite { .. }
            | Outcome::Stale { .. }
            | Outcome::Contended
            | Outcome::NotEnoughServers(_)
            | Outcome::Undecided(_)
            | Outcome::Cancelled
            | Outcome::SourceChanged
            | Outcome::Failed { .. } => return None,
        };
        let wait = self.wait()?;
        Some((landed.clone(), wait))
    }

    /// What follows the end of a submission.
    fn after(&mut self, report: Report) -> Next {
        match report.outcome {
            Outcome::Published(published) => Next::Done(published),
            Outcome::UncoordinatedWrite { .. } | Outcome::Stale { .. } | Outcome::Contended => {
                match self.wait() {
                    Some(wait) => Next::ReadAgain { wait },
                    None => Next::Fail(ModifyError::Contended { tries: self.most }),
                }
            }
            Outcome::Partial(_) | Outcome::Unknown(_) => {
                Next::Fail(ModifyError::Unsettled(Box::new(report)))
            }
            Outcome::NotEnoughServers(_)
            | Outcome::Undecided(_)
            | Outcome::Cancelled
            | Outcome::SourceChanged
            | Outcome::Failed { .. } => Next::Fail(ModifyError::NotPublished(Box::new(report))),
        }
    }

    /// Counts a try that was in vain; how long to wait for the next, with full jitter, if there may be one.
    fn wait(&mut self) -> Option<Duration> {
        let doublings = self.made.min(16);
        self.made += 1;
        let longest = WAIT_FIRST.saturating_mul(1 << doublings).min(WAIT_MAX);
        (self.made < self.most.get()).then(|| self.rng.random_range(Duration::ZERO..=longest))
    }
}

fn read_failed(error: RetrieveError) -> ModifyError {
    ModifyError::Read(Box::new(error))
}

/// A stream of random numbers of its own.
fn split(rng: &mut ChaCha8Rng) -> ChaCha8Rng {
    ChaCha8Rng::from_rng(rng)
}

#[cfg(test)]
mod tests;
