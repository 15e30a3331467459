//! Reading a file, as a caller sees it: [`retrieve`] finds the version, [`Reading`] hands its bytes out as they come.

use std::collections::BTreeSet;
use std::ops::Range;

use bytes::Bytes;
use futures::stream;
use rand_chacha::ChaCha8Rng;
use tarn_proto::{StoreId, VersionId};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;

use super::driver::{Driver, Outlet};
use super::outcome::{Found, Outcome, Report};
use crate::base::{HighWater, Origin};
use crate::caps::ReadCap;
use crate::encode::workers::Workers;
use crate::fetch::driver::Clients;
use crate::publish::Roster;
use crate::servermap::{Patience, ServerMap};
use crate::suspects::Heard;

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
    /// Servers that kept somebody waiting before: see [`Suspects`](crate::suspects::Suspects).
    pub suspects: BTreeSet<StoreId>,
    /// What servers held a moment ago, if they were asked: whoever names a version is spared to ask again, unless that does
    /// not do.
    pub map: Option<ServerMap>,
}

/// Finds the version and begins to read it; `roster` says whom to ask, those that the file prefers first. Returns as
/// soon as it is known what is read. Must be called within a tokio runtime with time.
///
/// Dropping the future, or the [`Reading`], ends every task; a segment that is being decoded ends on its thread.
pub async fn retrieve(
    request: RetrieveRequest,
    clients: Clients,
    roster: Roster,
    patience: Patience,
    rng: ChaCha8Rng,
    workers: Workers,
) -> Result<Reading, RetrieveError> {
    let (found, announced) = oneshot::channel();
    let (plaintext, segments) = mpsc::channel(1);
    let outlet = Outlet { found, plaintext };
    let run = Driver::new(request, clients, roster, patience, rng, workers, outlet).run();
    let mut driver = DriverTask(tokio::spawn(run));
    match announced.await {
        Ok(found) => Ok(Reading { found, segments, driver: Some(driver), heard: Heard::default() }),
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
    heard: Heard,
}

impl Reading {
    /// What is read, and how sure it is.
    pub const fn found(&self) -> &Found {
        &self.found
    }

    /// Which servers kept it waiting, and which did not; of nobody before the last segment was taken, or an error.
    pub const fn heard(&self) -> &Heard {
        &self.heard
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
        if let Some(report) = &report {
            self.heard = report.heard.clone();
        }
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
