//! What follows the end of a publish: it is remembered, told, and taken off the record; others that were cut off are
//! settled by it.

use std::time::Duration;

use tarn_client::publish::outcome::Report;
use tarn_client::publish::publishing::Publishing;

use super::file::File;
use super::settle::{heard, remember, settle_others, take_off_record};
use super::told::Told;
use crate::error::CommandError;
use crate::home::Home;
use crate::names::Names;
use crate::output;
use crate::session::Session;
use crate::unfinished::Running;

/// How long certificates and missing shares may take after the outcome is told.
const COURTESY: Duration = Duration::from_secs(3);

/// A publish that has ended.
pub(super) struct Ended<'a> {
    pub(super) report: &'a Report,
    /// Bytes of input.
    pub(super) bytes: u64,
    /// Whether one that was cut off was taken up.
    pub(super) resumed: bool,
    pub(super) running: &'a mut Running,
    /// What it leaves to be done; none if nothing was published.
    pub(super) publishing: Option<Publishing>,
}

impl Ended<'_> {
    pub(super) async fn conclude(
        self,
        file: &File,
        json: bool,
        names: &mut Names,
        session: &Session,
        home: &Home,
    ) -> Result<(), CommandError> {
        let Self { report, bytes, resumed, running, publishing } = self;
        // Until it has been told, nobody knows its outcome but the record.
        running.keep();
        remember(names, file, &report.outcome)?;
        names.note_suspects(&heard(report));
        let settled = match report.outcome.published() {
            Some(published) => settle_others(names, file, published.version, session, home).await?,
            None => Vec::new(),
        };
        let grid = session.grid();
        let told = Told { report, file, bytes, resumed, lost: false, settled: &settled, grid };
        let printed = if json { output::print(told.json()) } else { told.print() };
        if printed.is_ok() {
            take_off_record(names, file, running, &report.outcome)?;
        }
        // Certificates and missing shares are left behind while the person reads.
        if let Some(publishing) = publishing
            && tokio::time::timeout(COURTESY, publishing.settled()).await.is_err()
        {
            tracing::info!("some servers did not take the certificate in time");
        }
        printed.and(told.ended())
    }
}
