//! One try of one file: from its content to its outcome, and what is remembered of that. Whoever asked for it watches it
//! and tells how it ended; only then is it taken off the record.

use std::sync::Arc;
use std::time::Duration;

use tarn_client::client::PublishOptions;
use tarn_client::grid::Grid;
use tarn_client::publish::Follows;
use tarn_client::publish::outcome::Report;
use tarn_client::publish::publishing::Publishing;

use super::Args;
use super::file::File;
use super::journal::{self, NamesJournal};
use super::settle::{Settled, remember, settle_others, take_off_record};
use super::submission::Submission;
use super::told::Told;
use crate::error::CommandError;
use crate::home::Home;
use crate::names::SharedNames;
use crate::session::Session;
use crate::unfinished::Running;

/// How long certificates and missing shares may take after the outcome is told.
const COURTESY: Duration = Duration::from_secs(3);

/// Where files are published, and where it is remembered.
pub(super) struct Place<'a> {
    pub(super) session: &'a Session,
    pub(super) home: &'a Home,
    pub(super) names: SharedNames,
}

/// A publish that has ended, and is on record until it was told how.
pub(super) struct Ended {
    file: File,
    submitted: Submitted,
    report: Report,
    settled: Vec<Settled>,
    /// What it leaves to be done; none if it did not come to a publish.
    publishing: Option<Publishing>,
}

/// What was submitted, as far as its end is concerned.
pub(super) struct Submitted {
    pub(super) running: Running,
    /// Bytes of input.
    pub(super) bytes: u64,
    /// Whether one that was cut off was taken up.
    pub(super) resumed: bool,
    /// Whether the input cannot be read again.
    pub(super) used_up: bool,
}

/// Publishes; `watch` waits for the report.
pub(super) async fn publish(
    args: &Args,
    file: File,
    submission: Submission,
    place: &Place<'_>,
    watch: impl AsyncFnOnce(&mut Publishing) -> Result<Report, CommandError>,
) -> Result<Ended, CommandError> {
    let mut publishing = begin(args, &file, &submission, place)?;
    let report = watch(&mut publishing).await?;
    let submitted = Submitted {
        bytes: submission.content.length(),
        resumed: submission.earlier.is_some(),
        used_up: false,
        running: submission.running,
    };
    Ended::of(file, submitted, report, Some(publishing), place).await
}

fn begin(
    args: &Args,
    file: &File,
    submission: &Submission,
    place: &Place<'_>,
) -> Result<Publishing, CommandError> {
    let input = journal::Input::At(submission.input.clone());
    let options = PublishOptions {
        spent: submission.spent(),
        left: submission.left(),
        ..options(args, file, &submission.running, input, place)?
    };
    Ok(place.session.client.publish(file.cap.clone(), submission.content.clone(), options))
}

/// How the file is to be published, as a submission of which nobody knows yet.
pub(super) fn options(
    args: &Args,
    file: &File,
    running: &Running,
    input: journal::Input,
    place: &Place<'_>,
) -> Result<PublishOptions, CommandError> {
    Ok(PublishOptions {
        origin: file.origin.clone(),
        follows: args.if_version.map_or(Follows::Whatever, Follows::Version),
        shape: file.shape,
        first_shape: file.first_shape,
        attempt: running.attempt(),
        first_try: false,
        tombstone: false,
        high_water: file.high_water,
        suspects: place.names.lock().suspected()?,
        spent: None,
        left: None,
        journal: Arc::new(NamesJournal::new(place.names.clone(), input)),
        rng: rand::make_rng(),
    })
}

impl Ended {
    /// Remembers what came of it, and of others that were cut off.
    pub(super) async fn of(
        file: File,
        mut submitted: Submitted,
        report: Report,
        publishing: Option<Publishing>,
        place: &Place<'_>,
    ) -> Result<Self, CommandError> {
        // Until it has been told, nobody knows its outcome but the record.
        submitted.running.keep();
        remember(&mut place.names.lock(), &file, &report.outcome)?;
        place.names.lock().note_suspects(&report.heard);
        let settled = match report.outcome.published() {
            Some(published) => {
                let version = published.version;
                settle_others(&place.names, &file, version, place.session, place.home).await?
            }
            None => Vec::new(),
        };
        Ok(Self { file, submitted, report, settled, publishing })
    }

    /// What there is to tell of it.
    pub(super) fn told<'a>(&'a self, grid: &'a Grid) -> Told<'a> {
        Told {
            report: &self.report,
            file: &self.file,
            bytes: self.submitted.bytes,
            resumed: self.submitted.resumed,
            lost: false,
            used_up: self.submitted.used_up,
            settled: &self.settled,
            grid,
        }
    }

    /// Takes it off the record: it has been told.
    pub(super) fn take_off_record(&mut self, names: &SharedNames) -> Result<(), CommandError> {
        let running = &mut self.submitted.running;
        take_off_record(&mut names.lock(), &self.file, running, &self.report.outcome)
    }

    /// Waits, but not for long, until certificates and missing shares are left behind.
    pub(super) async fn courtesy(self) {
        if let Some(publishing) = self.publishing
            && tokio::time::timeout(COURTESY, publishing.settled()).await.is_err()
        {
            tracing::info!("some servers did not take the certificate in time");
        }
    }
}
