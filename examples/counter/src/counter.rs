//! The counter: a file of tarn's, read and changed. Holds nothing but the newest version it has seen: what the number is,
//! only the file says.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use tarn_client::base::{HighWater, Origin};
use tarn_client::caps::WriteCap;
use tarn_client::client::Client;
use tarn_client::modify::{Modified, ModifyError, ModifyOptions};
use tarn_client::publish::publishing::CutOff;
use tarn_client::retrieve::reading::{RetrieveError, RetrieveRequest};

use crate::count::{Count, CountError};

/// A counter. Clones are the same one.
#[derive(Clone)]
pub(crate) struct Counter {
    client: Client,
    cap: WriteCap,
    seen: Arc<Mutex<Option<HighWater>>>,
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CounterError {
    /// Publish a count first: `echo 0 0 | tarn publish - --name NAME`.
    #[error("the file is no counter: {0}")]
    NotACounter(#[from] CountError),
    /// Nothing was changed.
    #[error(transparent)]
    Read(#[from] RetrieveError),
    /// The change was not made, or, if it says so, perhaps was.
    #[error(transparent)]
    Modify(#[from] ModifyError),
}

impl CounterError {
    /// Whether it is certain that nothing was changed.
    pub(crate) const fn nothing_changed(&self) -> bool {
        match self {
            Self::Modify(ModifyError::Unsettled(_) | ModifyError::CutOff(CutOff)) => false,
            Self::NotACounter(_)
            | Self::Read(_)
            | Self::Modify(
                ModifyError::Read(_)
                | ModifyError::TooLarge { .. }
                | ModifyError::Contended { .. }
                | ModifyError::NotPublished(_),
            ) => true,
        }
    }
}

impl Counter {
    /// The counter of this write cap.
    pub(crate) fn new(client: Client, cap: WriteCap) -> Self {
        Self { client, cap, seen: Arc::default() }
    }

    /// The count, as it was at some moment of this call.
    pub(crate) async fn read(&self) -> Result<Count, CounterError> {
        let request = RetrieveRequest {
            cap: self.cap.read_cap(),
            origin: Origin::CapHolder,
            version: None,
            range: Some(0..Count::BYTES_MAX + 1),
            strict: true,
            allow_rollback: false,
            high_water: self.seen(),
            suspects: BTreeSet::new(),
            map: None,
        };
        let mut reading = self.client.retrieve(request, rand::make_rng()).await?;
        if let Some(high_water) = reading.found().high_water {
            self.saw(high_water);
        }
        let mut content = Vec::new();
        while let Some(segment) = reading.next_segment().await? {
            content.extend_from_slice(&segment);
        }
        Ok(Count::read(&content)?)
    }

    /// Raises the count by one, with a rest in the middle. The answer is what it was raised to.
    pub(crate) async fn bump(&self, rest: Duration) -> Result<Count, CounterError> {
        self.change(Count::bumped, rest).await
    }

    /// Sets the count back.
    pub(crate) async fn reset(&self) -> Result<Count, CounterError> {
        self.change(Count::reset, Duration::ZERO).await
    }

    async fn change(&self, to: fn(Count) -> Count, rest: Duration) -> Result<Count, CounterError> {
        let mut refused = None;
        let options = ModifyOptions {
            high_water: self.seen(),
            content_max: Count::BYTES_MAX,
            ..ModifyOptions::cap_holder(since_epoch(), rand::make_rng())
        };
        let change = |content: Option<Bytes>| {
            let count = Count::read(&content.unwrap_or_default());
            refused = count.clone().err();
            async move {
                // Whoever is cut off here has read the count and not raised it yet.
                tokio::time::sleep(rest).await;
                Some(to(count.ok()?).written())
            }
        };
        match self.client.modify(&self.cap, options, change).await? {
            Modified::Published { published, content } => {
                if let Some(header) = &published.header {
                    self.saw(HighWater::of(header));
                }
                Ok(Count::read(&content)?)
            }
            Modified::Unchanged { .. } => Err(refused.unwrap_or(CountError::Form).into()),
        }
    }

    fn seen(&self) -> Option<HighWater> {
        *self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn saw(&self, version: HighWater) {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        if seen.is_none_or(|seen| seen.sequence_number < version.sequence_number) {
            *seen = Some(version);
        }
    }
}

/// Hedges the random numbers of attempt ids.
#[expect(clippy::disallowed_methods, reason = "this is the edge")]
fn since_epoch() -> Duration {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default()
}
