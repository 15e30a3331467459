//! Changing a file by a function of what it holds: read the newest version, apply the function, publish on top of exactly
//! that version, and begin again if somebody else came first. Keeps nothing between calls, and decides nothing about
//! versions: that is the business of the retrieve and the publish in it; nor how often it is tried: `tries` does.

use std::collections::BTreeSet;
use std::future::Future;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use rand_chacha::ChaCha8Rng;
use tarn_proto::{Shape, SignedHeader, StoreId};

use crate::base::{HighWater, Origin};
use crate::caps::{WriteCap, fresh_attempt_id};
use crate::client::{Client, PublishOptions};
use crate::encode::source::Source;
use crate::newest::{Newest, Wanted, split};
use crate::publish::Follows;
use crate::publish::outcome::{Landed, Published, Report};
use crate::publish::publishing::{CutOff, Journal, NoJournal};
use crate::retrieve::reading::RetrieveError;
use crate::tries::{Fruitless, Next, Tries};

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
            let (newest, content) = self.before(cap, &mut options).await?;
            options.high_water = newest.high_water;
            let Some(content) = change(content).await else {
                return Ok(Modified::Unchanged { header: newest.header });
            };
            let source = Source::Bytes(content.clone());
            let report = self.submit(cap, source, newest.follows, &mut options, &mut tries).await?;
            match tries.after(report) {
                Next::Done(published) => return Ok(Modified::Published { published, content }),
                Next::ReadAgain { wait } => tokio::time::sleep(wait).await,
                Next::Fail(fruitless) => return Err(fruitless.into()),
            }
        }
    }

    /// Reads the newest version as a whole; no content if there is none, or if it deletes the file.
    async fn before(
        &self,
        cap: &WriteCap,
        options: &mut ModifyOptions,
    ) -> Result<(Newest, Option<Bytes>), ModifyError> {
        let wanted = Wanted {
            cap: cap.read_cap(),
            origin: &options.origin,
            high_water: options.high_water,
            suspects: &options.suspects,
            range: None,
        };
        let found = self.newest(wanted, split(&mut options.rng)).await;
        let (newest, reading) = found.map_err(read_failed)?;
        let (Some(mut reading), Some(header)) = (reading, &newest.header) else {
            return Ok((newest, None));
        };
        let (length, content_max) = (header.header().geometry.length(), options.content_max);
        let capacity = usize::try_from(length).ok().filter(|_| length <= content_max);
        let Some(capacity) = capacity else {
            return Err(ModifyError::TooLarge { header: header.clone(), content_max });
        };
        let mut content = BytesMut::with_capacity(capacity);
        while let Some(segment) = reading.next_segment().await.map_err(read_failed)? {
            content.extend_from_slice(&segment);
        }
        Ok((newest, Some(content.freeze())))
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
                first_try: left.is_none(),
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

impl From<Fruitless> for ModifyError {
    fn from(fruitless: Fruitless) -> Self {
        match fruitless {
            Fruitless::Contended { tries, .. } => Self::Contended { tries },
            Fruitless::NotPublished(report) => Self::NotPublished(report),
            Fruitless::Unsettled(report) => Self::Unsettled(report),
        }
    }
}

fn read_failed(error: RetrieveError) -> ModifyError {
    ModifyError::Read(Box::new(error))
}
