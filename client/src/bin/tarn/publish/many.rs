//! Several files at once: each is published as one file is, side by side on the same connections, and whatever becomes of
//! one holds up no other. Which files there are is in `files`; how many fit in memory, in `room`; what is told, in `told`,
//! and counted, in `tally`.

mod files;
mod room;
mod tally;
mod told;

use std::io;
use std::path::{Path, PathBuf};

use futures::stream::{self, FuturesUnordered};
use futures::{FutureExt, StreamExt};
use tarn_client::publish::outcome::Report;
use tarn_client::publish::publishing::Publishing;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::OwnedSemaphorePermit;
use tokio_util::sync::CancellationToken;

use self::files::{Chosen, Files};
use self::room::Room;
use self::told::Teller;
use super::file::{File, Meant};
use super::input::{Input, Source};
use super::one::{self, Ended, Place};
use super::submission::Submission;
use super::{Args, output};
use crate::cli::Global;
use crate::error::CommandError;
use crate::home::Home;
use crate::names::{SharedNames, Wanted};
use crate::session::Session;
use crate::unfinished;

/// How it ended with one file.
struct End {
    /// The file, as it was typed or found.
    path: PathBuf,
    became: Became,
}

/// What became of a file.
enum Became {
    /// There is a report.
    Ended(Box<Ended>, OwnedSemaphorePermit),
    /// It did not come to a publish; nothing was changed.
    Failed(CommandError),
    /// It was begun, and what came of it could not be kept in order here: it stays on record until it is settled.
    Unknown(CommandError),
    /// All was called off before its turn.
    NotBegun,
}

/// What all of them share.
struct Common<'a> {
    args: &'a Args,
    place: Place<'a>,
    room: Room,
    /// Cancelled when no file is to begin any more, and those under way are to be called off.
    stop: CancellationToken,
}

/// Whether several files are meant, or a folder.
pub(super) fn is_meant(args: &Args) -> bool {
    let is_folder = matches!(&args.source, Source::File(path) if path.is_dir());
    !args.only_resumes && (is_folder || !args.more.is_empty())
}

/// Publishes every file that is meant. The exit code is that of the file for which it is highest.
pub(super) async fn run(args: &Args, global: &Global, home: &Home) -> Result<(), CommandError> {
    let is_of_one = args.name.is_some() || args.cap.is_some() || args.if_version.is_some();
    if is_of_one || args.part.at().is_some() || args.no_spool {
        return Err(CommandError::usage(
            "--name, --cap, --if-version, --offset, --append and --no-spool go with one file, and this is a folder",
        ));
    }
    let typed = std::iter::once(&args.source).chain(&args.more);
    let files = Files::find(typed, home.data())?;
    let mut teller = Teller::new(args.json, files.chosen.len() + files.failed.len());
    for (path, error) in files.failed {
        teller.tell_failed(&path, error);
    }
    if !files.chosen.is_empty() {
        let session = Session::open(global, home).await?;
        let published = publish_all(args, files.chosen, &mut teller, &session, home).await;
        let closed = session.close().await;
        published.and(closed)?;
    }
    teller.conclude()
}

async fn publish_all(
    args: &Args,
    chosen: Vec<Chosen>,
    teller: &mut Teller,
    session: &Session,
    home: &Home,
) -> Result<(), CommandError> {
    let names = SharedNames::open(home.data())?;
    unfinished::sweep(&names.lock(), home)?;
    let place = Place { session, home, names };
    let stop = CancellationToken::new();
    let common = Common { args, place, room: Room::default(), stop };
    let mut interrupts = signal(SignalKind::interrupt())
        .map_err(|error| CommandError::failed(format_args!("cannot hear Ctrl-C: {error}")))?;

    let ends = chosen.into_iter().map(|file| end_of(file, &common).boxed_local());
    let mut ends = stream::iter(ends).buffer_unordered(args.at_once.into());
    // A file's certificates and missing shares hold up no other, as long as there is memory for it.
    let mut courtesies = FuturesUnordered::new();
    loop {
        tokio::select! {
            biased;
            Some(()) = interrupts.recv() => {
                if !common.stop.is_cancelled() {
                    output::say("calling off what can be called off");
                }
                common.stop.cancel();
            }
            end = ends.next() => {
                let Some(end) = end else { break };
                courtesies.extend(common.tell(end, teller).map(courtesy));
            }
            Some(()) = courtesies.next() => {}
        }
    }
    while courtesies.next().await.is_some() {}
    Ok(())
}

async fn courtesy((ended, permit): (Box<Ended>, OwnedSemaphorePermit)) {
    ended.courtesy().await;
    drop(permit);
}

/// Publishes one of them, as soon as there is room for it.
async fn end_of(file: Chosen, common: &Common<'_>) -> End {
    let room = common.room.take(file.room_on(common.args));
    let permit = tokio::select! {
        biased;
        () = common.stop.cancelled() => None,
        permit = room => permit,
    };
    let Chosen { path, identity } = file;
    let Some(permit) = permit else { return End { path, became: Became::NotBegun } };
    let became = match begin(&path, identity, common).await {
        Err(error) => Became::Failed(error),
        Ok((file, submission)) => {
            let watch = async |publishing: &mut Publishing| watch(publishing, &common.stop).await;
            match one::publish(common.args, file, submission, &common.place, watch).await {
                Ok(ended) => Became::Ended(Box::new(ended), permit),
                Err(error) => Became::Unknown(error),
            }
        }
    };
    End { path, became }
}

/// The file of this path, and which submission its content is.
async fn begin(
    path: &Path,
    identity: io::Result<PathBuf>,
    common: &Common<'_>,
) -> Result<(File, Submission), CommandError> {
    let Common { args, place, .. } = common;
    let identity = identity.map_err(|error| CommandError::file("find", path, &error))?;
    let input = Input::of(&Source::File(path.to_owned()), place.home).await?;
    let meant = Meant::Named(Wanted::Path(identity));
    let file = File::find(args, meant, place.session, &mut place.names.lock())?;
    let submission =
        Submission::choose(input, &file, &place.names, place.session, place.home).await?;
    Ok((file, submission))
}

/// Waits for the report, and calls it off when all is.
async fn watch(
    publishing: &mut Publishing,
    stop: &CancellationToken,
) -> Result<Report, CommandError> {
    let report = tokio::select! {
        biased;
        report = publishing.report() => report,
        () = stop.cancelled() => {
            publishing.cancel();
            publishing.report().await
        }
    };
    report.map_err(CommandError::failed)
}

impl Common<'_> {
    /// Tells how it ended with one file; answers what is still to be done for it.
    fn tell(&self, end: End, teller: &mut Teller) -> Option<(Box<Ended>, OwnedSemaphorePermit)> {
        let left = match end.became {
            Became::NotBegun => {
                teller.tell_not_begun(&end.path);
                None
            }
            Became::Failed(error) => {
                teller.tell_failed(&end.path, error);
                None
            }
            Became::Unknown(error) => {
                teller.tell_unknown(&end.path, error);
                None
            }
            Became::Ended(mut ended, permit) => {
                teller.tell(&end.path, &ended.told(self.place.session.grid()));
                if teller.is_heard()
                    && let Err(error) = ended.take_off_record(&self.place.names)
                {
                    teller.tell_disorder(&end.path, error);
                }
                Some((ended, permit))
            }
        };
        // Whoever does not hear how files end would not learn what is to be settled.
        if !teller.is_heard() {
            self.stop.cancel();
        }
        left
    }
}
