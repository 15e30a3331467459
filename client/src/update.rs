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

use std::collections::BTreeSet;
use std::num::NonZeroU32;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use rand_chacha::ChaCha8Rng;
use tarn_proto::geometry::Shape;
use tarn_proto::{AttemptId, SequenceNumber, SignedHeader, StoreId, VersionId};

use crate::base::{HighWater, Origin};
use crate::caps::WriteCap;
use crate::client::{Client, PublishOptions};
use crate::encode::source::{Chain, Source};
use crate::encode::spool::SpoolError;
use crate::newest::{Newest, Wanted, split};
use crate::publish::outcome::{Landed, Outcome, Published, Report};
use crate::publish::publishing::{Content, CutOff, Journal, JournalError, Publishing};
use crate::quorum::Placement;
use crate::retrieve::reading::RetrieveError;
use crate::transport::ReadError;
use crate::tries::{Fruitless, Next, Tries};

mod edges;
mod layout;

use layout::Layout;

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
        let spent =
            Arc::new(Spent { journal: Arc::clone(&options.journal), last: Mutex::default() });
        let mut unreadable: Option<VersionId> = None;
        loop {
            let newest = self.newest_header(cap, &mut options).await?;
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

    async fn newest_header(
        &self,
        cap: &WriteCap,
        options: &mut UpdateOptions,
    ) -> Result<Newest, UpdateError> {
        let wanted = Wanted {
            cap: cap.read_cap(),
            origin: &options.origin,
            high_water: options.high_water,
            suspects: &options.suspects,
            range: Some(0..0),
        };
        let found = self.newest(wanted, split(&mut options.rng)).await;
        found.map(|(newest, _)| newest).map_err(UpdateError::read)
    }
}

/// A change of one version: one submission, however often it is repeated.
struct Submission<'a> {
    client: &'a Client,
    cap: &'a WriteCap,
    change: &'a Change,
    newest: Newest,
    layout: Layout,
    options: &'a mut UpdateOptions,
    spent: Arc<Spent>,
}

/// What is handed to a publish.
#[derive(Clone)]
struct Prepared {
    content: Content,
    changes: Option<VersionId>,
}

impl<'a> Submission<'a> {
    fn of(
        client: &'a Client,
        cap: &'a WriteCap,
        change: &'a Change,
        newest: Newest,
        options: &'a mut UpdateOptions,
        spent: Arc<Spent>,
    ) -> Result<Self, UpdateError> {
        let old = newest.header.as_ref().map_or(0, |header| header.header().geometry.length());
        let layout = Layout::of(change.at, change.source.length(), change.then, old)
            .ok_or(UpdateError::TooLarge)?;
        Ok(Self { client, cap, change, newest, layout, options, spent })
    }

    /// Publishes the change, in place if it can be, again and again while it is not known what became of it. Says whether
    /// what ended it was in place.
    async fn publish(
        &mut self,
        tries: &mut Tries,
    ) -> Result<(Publishing, Report, bool), UpdateError> {
        let mut prepared = match self.in_place().await? {
            Some(prepared) => prepared,
            None => self.whole().await?,
        };
        let (mut left, mut repeats) = (None, 0_u32);
        loop {
            let mut publishing = self.begin(prepared.clone(), left.take());
            let report = publishing.report().await?;
            if let Outcome::BaseMissing(_) = report.outcome {
                tracing::debug!("too few servers can change it in place");
                prepared = self.whole().await?;
                continue;
            }
            let Some((landed, wait)) = tries.unsettled(&report.outcome) else {
                return Ok((publishing, report, prepared.changes.is_some()));
            };
            left = Some(landed);
            repeats += 1;
            tokio::time::sleep(wait).await;
            // Asking again settles most. If it does not, a server may have lost what it would take the rest from.
            if repeats > 1
                && prepared.changes.is_some()
                && let Ok(whole) = self.whole().await
            {
                prepared = whole;
            }
        }
    }

    fn begin(&mut self, prepared: Prepared, left: Option<Landed>) -> Publishing {
        let options = PublishOptions {
            origin: self.options.origin.clone(),
            follows: self.newest.follows,
            shape: None,
            first_shape: self.options.first_shape,
            attempt: self.options.attempt,
            tombstone: false,
            high_water: self.options.high_water,
            spent: self.spent.last(),
            suspects: self.options.suspects.clone(),
            left,
            journal: Arc::<Spent>::clone(&self.spent),
            rng: split(&mut self.options.rng),
        };
        let Prepared { content, changes } = prepared;
        self.client.begin(self.cap.clone(), content, changes, self.layout.length, options)
    }

    /// The touched segments, if a part of the version can be changed.
    async fn in_place(&mut self) -> Result<Option<Prepared>, UpdateError> {
        let Some(header) = &self.newest.header else { return Ok(None) };
        let of = header.header();
        let Some(place) = self.layout.in_place(of.shape, &of.geometry) else { return Ok(None) };
        let (of_head, of_tail) = (split(&mut self.options.rng), split(&mut self.options.rng));
        let (client, cap, options) = (self.client, self.cap, &*self.options);
        let (fringe, head, tail) = tokio::try_join!(
            client.fringe(header, place.edge, options),
            client.edge_bytes(cap, header, place.head, options, of_head),
            client.edge_bytes(cap, header, place.tail, options, of_tail),
        )?;
        let source = self.chained(head, tail);
        let content = Content::Part { source, segments: place.segments, fringe };
        Ok(Some(Prepared { content, changes: Some(header.version()) }))
    }

    /// All of the new content: what stays of the version goes through a temporary file.
    async fn whole(&mut self) -> Result<Prepared, UpdateError> {
        let nothing = || Source::Bytes(bytes::Bytes::new());
        let (head, tail) = match &self.newest.header {
            None => (nothing(), nothing()),
            Some(header) => {
                let (client, cap) = (self.client, self.cap);
                let (before, behind) =
                    (0..self.layout.kept_before, self.layout.kept_behind.clone());
                let head = client.spooled(cap, header, before, self.options).await?;
                (head, client.spooled(cap, header, behind, self.options).await?)
            }
        };
        Ok(Prepared { content: Content::Whole(self.chained(head, tail)), changes: None })
    }

    fn chained(&self, head: Source, tail: Source) -> Source {
        let gap = Source::Zeros(self.layout.gap);
        Source::Chain(Chain::new([head, gap, self.change.source.clone(), tail]))
    }
}

/// The caller's journal, and the last sequence number that went through it: a signed header gets one round, also if a
/// later try of the change begins anew.
struct Spent {
    journal: Arc<dyn Journal>,
    last: Mutex<Option<SequenceNumber>>,
}

impl Spent {
    fn last(&self) -> Option<SequenceNumber> {
        *self.last.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Journal for Spent {
    fn record(&self, header: &SignedHeader, placement: &Placement) -> Result<(), JournalError> {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        *last = (*last).max(Some(header.header().sequence_number));
        drop(last);
        self.journal.record(header, placement)
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
        silent: BTreeSet::new(),
        rounds: 0,
        elapsed: crate::time::Millis(0),
    }
}
