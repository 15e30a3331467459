//! Changing a range of a file: only the segments it touches are read, made anew and sent, whatever the file's length.
//! Publishes on exactly the version that was read, and begins again if somebody else came first. Keeps nothing between
//! calls, and decides nothing about versions: that is the business of the retrieve and the publish in it; nor how often
//! it is tried: `tries` does.
//!
//! ```text
//!  newest version ─▶ layout ─┬─▶ edges: two rows with proofs, ─▶ in place: a stretch of segments ─┬─▶ report
//!                            │   bytes at the stretch's ends              │ its holders are no quorum
//!                            └─▶ what stays, through a spool ─▶ whole ◀───┘
//! ```
//!
//! - `layout`: what stays, and which segments are touched
//! - `edges`: reads what stays
//! - `submission`: publishes the change of one version

use std::collections::BTreeSet;
use std::num::NonZeroU32;
use std::path::PathBuf;
use std::sync::Arc;

use rand_chacha::ChaCha8Rng;
use tarn_proto::geometry::Shape;
use tarn_proto::{AttemptId, SignedHeader, StoreId, VersionId};

use crate::base::{HighWater, Origin};
use crate::caps::WriteCap;
use crate::client::Client;
use crate::encode::source::Source;
use crate::encode::spool::SpoolError;
use crate::newest::{Newest, Wanted, split};
use crate::publish::outcome::{Outcome, Published, Report};
use crate::publish::publishing::{CutOff, Journal, Publishing};
use crate::retrieve::reading::RetrieveError;
use crate::transport::ReadError;
use crate::tries::{Fruitless, Next, Tries};

mod edges;
mod layout;
mod submission;

use submission::{Spent, Submission};

/// What is to be changed.
#[derive(Debug, Clone)]
pub struct Change {
    /// Where it begins. What lies between the end of the file and that is filled with zeros.
    pub at: Place,
    /// The bytes that are there afterwards.
    pub source: Source,
    /// What becomes of the bytes behind it.
    pub then: Then,
}

/// A place in a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// So many bytes from the beginning.
    Offset(u64),
    /// Where the newest version ends, whichever that turns out to be.
    End,
}

/// What becomes of the bytes behind a change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Then {
    /// They stay.
    Keeps,
    /// The file ends where the change ends.
    Ends,
}

/// How a file is to be changed, beyond the change.
pub struct UpdateOptions {
    /// Whether the caller drew the file's window, and so may begin from nothing.
    pub origin: Origin,
    /// k, happy and n of a first version.
    pub first_shape: Shape,
    /// Change this version and no other.
    pub if_version: Option<VersionId>,
    /// Names the change: the same one again has the same effect, whichever version it is made on.
    pub attempt: AttemptId,
    /// Whether this is the first try of the change anywhere: see [`PublishOptions`](crate::client::PublishOptions).
    pub first_try: bool,
    /// The newest version that the caller has ever seen: nothing older is built on.
    pub high_water: Option<HighWater>,
    /// Servers that kept an earlier publish waiting: see [`Suspects`](crate::suspects::Suspects).
    pub suspects: BTreeSet<StoreId>,
    /// Where decisions are made durable before the first commit.
    pub journal: Arc<dyn Journal>,
    /// The folder for what stays of a file that must be published as a whole; it is trusted with plaintext.
    pub spools: PathBuf,
    /// How many publishes it may take.
    pub tries: NonZeroU32,
    /// Decides conversation ids and jitter; seeded from the operating system but in tests.
    pub rng: ChaCha8Rng,
}

/// A change that took effect.
#[derive(Debug)]
pub struct Updated {
    /// The version.
    pub published: Published,
    /// How it went.
    pub report: Report,
    /// Whether only the touched segments were sent.
    pub in_place: bool,
    /// Certificates and missing shares may still be on their way: [`Publishing::settled`] waits for them.
    pub publishing: Publishing,
}

/// Why a file was not changed, or may not have been.
#[derive(Debug, thiserror::Error)]
pub enum UpdateError {
    /// What the retrieve says must be done. Nothing was changed.
    #[error(transparent)]
    Read(Box<RetrieveError>),
    /// Bring servers that have the version back. Nothing was changed.
    #[error("no server gives the rows of the version's table")]
    RowsMissing(#[source] Option<ReadError>),
    /// Make room in the folder for temporary files, or bring servers that have the version back. Nothing was changed.
    #[error("what stays of the file cannot be kept meanwhile")]
    Spool(#[from] SpoolError),
    /// Change less: no file is so long. Nothing was changed.
    #[error("the file would be longer than any file can be")]
    TooLarge,
    /// Try again when fewer others write. Nothing was changed.
    #[error("others kept writing: {tries} tries were in vain")]
    Contended {
        /// How many.
        tries: NonZeroU32,
        /// How the last one ended.
        report: Box<Report>,
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

impl Client {
    /// Changes a range of a file. Must be called within a tokio runtime with time.
    ///
    /// Dropping the future calls the change off: before the first commit nothing is changed, after it the change may
    /// take effect.
    pub async fn update(
        &self,
        cap: &WriteCap,
        change: &Change,
        mut options: UpdateOptions,
    ) -> Result<Updated, UpdateError> {
        let mut tries = Tries::new(options.tries, split(&mut options.rng));
        let spent = Arc::new(Spent::new(Arc::clone(&options.journal)));
        let mut unreadable: Option<VersionId> = None;
        let mut remembered = self.remembered_header(cap, &options);
        loop {
            let newest = match remembered.take() {
                Some(newest) => newest,
                None => self.newest_header(cap, &mut options).await?,
            };
            let was_asked = !newest.remembered;
            options.high_water = newest.high_water;
            let version = newest.header.as_ref().map(SignedHeader::version);
            if options.if_version.is_some_and(|named| version != Some(named)) {
                return Err(UpdateError::NotPublished(Box::new(stale(newest.header))));
            }
            let mut submission =
                Submission::of(self, cap, change, newest, &mut options, Arc::clone(&spent))?;
            let (publishing, report, in_place) = match submission.publish(&mut tries).await {
                Ok(ended) => ended,
                // It may have been dropped for a newer one; then that is the one to change.
                Err(error) if error.is_of_the_base() && version != unreadable => {
                    unreadable = version;
                    continue;
                }
                Err(error) => return Err(error),
            };
            if !was_asked && matches!(report.outcome, Outcome::Stale { .. }) {
                // What is remembered was out of date, and no try was made.
                continue;
            }
            match tries.after(report.clone()) {
                Next::Done(published) => {
                    return Ok(Updated { published, report, in_place, publishing });
                }
                Next::ReadAgain { wait } if options.if_version.is_none() => {
                    tokio::time::sleep(wait).await;
                }
                Next::ReadAgain { .. } => return Err(UpdateError::NotPublished(Box::new(report))),
                Next::Fail(fruitless) => return Err(fruitless.into()),
            }
        }
    }

    /// The version that is to be changed, if this client has left it a moment ago.
    fn remembered_header(&self, cap: &WriteCap, options: &UpdateOptions) -> Option<Newest> {
        let newest = self.newest_remembered(&wanted(cap, options)).filter(|_| options.first_try)?;
        let version = newest.header.as_ref().map(SignedHeader::version);
        options.if_version.is_none_or(|named| version == Some(named)).then_some(newest)
    }

    async fn newest_header(
        &self,
        cap: &WriteCap,
        options: &mut UpdateOptions,
    ) -> Result<Newest, UpdateError> {
        let random = split(&mut options.rng);
        let (attempt, first_shape) = (options.attempt, options.first_shape);
        let wanted = wanted(cap, options);
        let found = self.newest_to_change(wanted, attempt, first_shape, random);
        found.await.map_err(UpdateError::read)
    }
}

/// The newest version, to be changed.
fn wanted<'a>(cap: &WriteCap, options: &'a UpdateOptions) -> Wanted<'a> {
    Wanted {
        cap: cap.read_cap(),
        origin: &options.origin,
        high_water: options.high_water,
        suspects: &options.suspects,
        range: Some(0..0),
    }
}

impl UpdateError {
    fn read(error: RetrieveError) -> Self {
        Self::Read(Box::new(error))
    }

    /// How the last publish ended, if it came to one.
    pub fn report(&self) -> Option<&Report> {
        match self {
            Self::Contended { report, .. }
            | Self::NotPublished(report)
            | Self::Unsettled(report) => Some(report),
            Self::Read(_)
            | Self::RowsMissing(_)
            | Self::Spool(_)
            | Self::TooLarge
            | Self::CutOff(_) => None,
        }
    }

    /// Whether the version to be changed could not be read.
    const fn is_of_the_base(&self) -> bool {
        match self {
            Self::Read(_) | Self::RowsMissing(_) | Self::Spool(SpoolError::Read { .. }) => true,
            Self::Spool(_)
            | Self::TooLarge
            | Self::Contended { .. }
            | Self::NotPublished(_)
            | Self::Unsettled(_)
            | Self::CutOff(_) => false,
        }
    }
}

impl From<Fruitless> for UpdateError {
    fn from(fruitless: Fruitless) -> Self {
        match fruitless {
            Fruitless::Contended { tries, report } => Self::Contended { tries, report },
            Fruitless::NotPublished(report) => Self::NotPublished(report),
            Fruitless::Unsettled(report) => Self::Unsettled(report),
        }
    }
}

/// What a publish on the version that was named would have been told.
fn stale(now: Option<SignedHeader>) -> Report {
    Report {
        outcome: Outcome::Stale { now },
        troubles: std::collections::BTreeMap::new(),
        heard: crate::suspects::Heard::default(),
        rounds: 0,
        elapsed: crate::time::Millis(0),
    }
}
