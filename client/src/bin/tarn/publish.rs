//! `tarn publish`: a file or a pipe becomes the newest version of a named file. Which file that is, is in `file`; how
//! the end is told, in `told`.

mod file;
mod journal;
mod progress;
mod told;

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use clap::builder::{OsStringValueParser, TypedValueParser};
use tarn_client::caps::{WriteCap, fresh_attempt_id};
use tarn_client::client::PublishOptions;
use tarn_client::encode::source::Source as Content;
use tarn_client::encode::spool::Spool;
use tarn_client::publish::Follows;
use tarn_client::publish::outcome::{Outcome, Report};
use tarn_client::publish::publishing::Publishing;
use tarn_proto::{Shape, VersionId};

use self::file::{File, Meant};
use self::journal::NamesJournal;
use self::told::Told;
use crate::clock::UnixSeconds;
use crate::error::{CommandError, chain};
use crate::home::{Home, create_folder};
use crate::names::{FileName, HighWater, Names, Wanted, path_identity};
use crate::output;
use crate::servers::os_rng;
use crate::session::Session;
use crate::target::{Target, TargetText};

/// How long certificates and missing shares may take after the outcome is told.
const COURTESY: Duration = Duration::from_secs(3);

/// Publishes a file: encrypted and signed here, cut into shares, durable on a quorum of servers when it returns.
///
/// Publishing the same path again updates the same file.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  tarn publish report.pdf
  tar c photos | tarn publish - --name photos.tar
  tarn publish report.pdf --k 5 --n 8         any 5 of 8 shares bring it back
  tarn publish report.pdf --if-version ID     only if nobody published since")]
pub(crate) struct Args {
    /// The file to publish; - reads standard input.
    #[arg(value_name = "FILE|-", requires_if("-", "as"), value_parser = OsStringValueParser::new().map(Source::from))]
    source: Source,
    /// Publish as the file of this name [default: the path's file, else a name made from the path].
    #[arg(long, value_name = "NAME", group = "as")]
    name: Option<FileName>,
    /// Publish as the file of this write cap.
    #[arg(long, value_name = "CAP", group = "as")]
    cap: Option<TargetText>,
    /// Publish only if this is the newest version: its full id.
    #[arg(long, value_name = "ID", value_parser = parse_version)]
    if_version: Option<VersionId>,
    #[command(flatten)]
    shape: ShapeArgs,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

/// Where the bytes come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Source {
    /// A file.
    File(PathBuf),
    /// Standard input.
    Pipe,
}

/// How a version is cut, as far as it was said.
#[derive(Debug, Clone, Default, PartialEq, Eq, clap::Args)]
pub(crate) struct ShapeArgs {
    /// How many shares bring the file back [default: 3, or as the file has it].
    #[arg(long, value_name = "NUMBER")]
    k: Option<u32>,
    /// On how many servers distinct shares must be [default: half way between k and n].
    #[arg(long, value_name = "NUMBER")]
    happy: Option<u32>,
    /// How many shares there are [default: 10, or as the file has it].
    #[arg(long, value_name = "NUMBER")]
    n: Option<u32>,
}

impl ShapeArgs {
    /// Whether anything was said.
    pub(crate) const fn is_said(&self) -> bool {
        self.k.is_some() || self.happy.is_some() || self.n.is_some()
    }

    /// The shape that is meant, of a file that has this one so far.
    pub(crate) fn applied_to(&self, current: Shape) -> Result<Shape, CommandError> {
        let k = self.k.unwrap_or_else(|| current.k().into());
        let n = self.n.unwrap_or_else(|| current.n().into());
        let shape = match self.happy {
            Some(happy) => Shape::new(k, happy, n),
            None if (k, n) == (current.k().into(), current.n().into()) => Ok(current),
            None => Shape::with_default_happy(k, n),
        };
        shape.map_err(CommandError::usage)
    }
}

impl From<OsString> for Source {
    fn from(typed: OsString) -> Self {
        if typed == "-" { Self::Pipe } else { Self::File(typed.into()) }
    }
}

/// A full version id; a sequence number names no version, as two writers may have used the same one.
pub(crate) fn parse_version(text: &str) -> Result<VersionId, String> {
    text.parse().map_err(|_| {
        "a version is named by its full id, 64 hexadecimal digits, not by its sequence number"
            .to_owned()
    })
}

/// Runs the command.
pub(crate) async fn run(args: &Args, grid: Option<&Path>, home: &Home) -> Result<(), CommandError> {
    let prepared = Prepared::from(args, home).await?;
    let session = Session::open(grid, home).await?;
    let ended = publish(args, prepared, &session, home).await;
    let closed = session.close().await;
    ended.and(closed)
}

/// What is known before any server is: the content, and what was typed of the file.
struct Prepared {
    source: Content,
    wanted: Meant,
}

impl Prepared {
    async fn from(args: &Args, home: &Home) -> Result<Self, CommandError> {
        let path = match &args.source {
            Source::Pipe => None,
            Source::File(path) => Some(
                path_identity(path).map_err(|error| CommandError::file("find", path, &error))?,
            ),
        };
        let wanted = match (&args.cap, &args.name, &path) {
            (Some(text), _, _) => Meant::Cap(write_cap(text)?),
            (None, Some(name), path) => Meant::Named(Wanted::Name(name.clone(), path.clone())),
            (None, None, Some(path)) => Meant::Named(Wanted::Path(path.clone())),
            (None, None, None) => {
                return Err(CommandError::usage("what comes through a pipe needs --name or --cap"));
            }
        };
        let source = match &args.source {
            Source::File(path) => {
                Content::file(path).map_err(|error| CommandError::failed(chain(&error)))?
            }
            Source::Pipe => Content::Spool(spool(home).await?),
        };
        Ok(Self { source, wanted })
    }
}

fn write_cap(text: &TargetText) -> Result<WriteCap, CommandError> {
    match text.parse()? {
        Target::Cap(cap) => cap.write_cap().cloned().ok_or_else(|| {
            CommandError::usage("publishing takes a write cap, and this one only allows to read")
        }),
        Target::Name(_) => {
            Err(CommandError::usage("--cap takes a write cap; names go with --name"))
        }
    }
}

/// What comes through standard input, kept until the outcome: shares that lose their server are encoded again from it.
async fn spool(home: &Home) -> Result<Spool, CommandError> {
    let folder = home.data();
    create_folder(folder).map_err(|error| CommandError::file("create", folder, &error))?;
    Spool::fill(tokio::io::stdin(), folder, u64::MAX)
        .await
        .map_err(|error| CommandError::failed(chain(&error)))
}

async fn publish(
    args: &Args,
    prepared: Prepared,
    session: &Session,
    home: &Home,
) -> Result<(), CommandError> {
    let mut names = Names::open(home.data())?;
    let file = File::find(args, prepared.wanted, session, &mut names)?;
    let bytes = prepared.source.length();
    let journal = NamesJournal::new(Names::open(home.data())?);
    let mut publishing = session.client.publish(
        file.cap.clone(),
        prepared.source,
        PublishOptions {
            origin: file.origin.clone(),
            follows: args.if_version.map_or(Follows::Whatever, Follows::Version),
            shape: file.shape,
            first_shape: file.first_shape,
            attempt: fresh_attempt_id(&mut os_rng(), UnixSeconds::since_epoch()),
            tombstone: false,
            high_water: file.high_water,
            spent: None,
            left: None,
            journal: Arc::new(journal),
            rng: rand::make_rng(),
        },
    );
    let report = watch(&mut publishing, session).await?;
    remember(&mut names, &file, &report.outcome)?;
    let told = Told { report: &report, file: &file, bytes, grid: session.grid() };
    let printed = if args.json { output::print(told.json()) } else { told.print() };
    // Certificates and missing shares are left behind while the person reads.
    if tokio::time::timeout(COURTESY, publishing.settled()).await.is_err() {
        tracing::info!("some servers did not take the certificate in time");
    }
    printed.and(told.ended())
}

/// Waits for the report, showing how far it is. The first Ctrl-C calls it off, if it still can be.
async fn watch(publishing: &mut Publishing, session: &Session) -> Result<Report, CommandError> {
    let status = publishing.status();
    let shown = progress::show(status, session.grid());
    tokio::pin!(shown);
    let mut is_shown = true;
    loop {
        tokio::select! {
            biased;
            report = publishing.report() => {
                let report = report.map_err(CommandError::failed)?;
                if is_shown {
                    shown.await;
                }
                return Ok(report);
            }
            () = &mut shown, if is_shown => is_shown = false,
            Ok(()) = tokio::signal::ctrl_c() => {
                output::say("calling it off; press Ctrl-C again only if you must");
                publishing.cancel();
            }
        }
    }
}

/// Raises the file's high-water mark, and clears journal entries that are settled by what is Published now.
fn remember(names: &mut Names, file: &File, outcome: &Outcome) -> Result<(), CommandError> {
    let storage_index = file.cap.verify_cap().storage_index();
    let newest = match outcome {
        Outcome::Published(published) => published.header.clone(),
        Outcome::Stale { now } => now.clone(),
        Outcome::UncoordinatedWrite { theirs } => theirs.clone(),
        Outcome::Partial(_) | Outcome::Unknown(_) => return Ok(()),
        Outcome::Contended
        | Outcome::NotEnoughServers(_)
        | Outcome::Undecided(_)
        | Outcome::Cancelled
        | Outcome::SourceChanged
        | Outcome::Failed { .. } => None,
    };
    let Some(header) = newest else { return Ok(()) };
    let sequence_number = header.header().sequence_number;
    if matches!(outcome, Outcome::Published(_)) {
        let seen = HighWater { sequence_number, version: header.version() };
        names.raise_high_water(storage_index, seen)?;
    }
    for entry in names.journal_pending(storage_index)? {
        if entry.signed.header().sequence_number <= sequence_number {
            names.journal_clear(entry.signed.version())?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, clap::Parser)]
    struct Typed {
        #[command(flatten)]
        args: Args,
    }

    fn typed(words: &[&str]) -> Result<Args, clap::Error> {
        let line = ["publish"].iter().chain(words);
        <Typed as clap::Parser>::try_parse_from(line).map(|typed| typed.args)
    }

    #[test]
    fn a_pipe_needs_a_name_or_a_cap() {
        assert!(typed(&["-"]).is_err());
        assert_eq!(typed(&["-", "--name", "x"]).unwrap().source, Source::Pipe);
        assert!(typed(&["-", "--cap", "tarnw1x"]).is_ok());
        assert!(typed(&["file", "--name", "x", "--cap", "tarnw1x"]).is_err());
        assert!(typed(&["file"]).unwrap().name.is_none());
    }

    #[test]
    fn a_sequence_number_is_no_version() {
        let error = typed(&["file", "--if-version", "7"]).unwrap_err();
        assert!(error.to_string().contains("64 hexadecimal digits"));
        let args = typed(&["file", "--json", "--if-version", &"ab".repeat(32)]).unwrap();
        assert_eq!(args.if_version, Some(VersionId::new([0xab; 32])));
        assert!(args.json && args.cap.is_none());
    }

    #[test]
    fn what_is_not_said_of_the_shape_stays() {
        let of = |words: &[&str], current| typed(words).unwrap().shape.applied_to(current);
        let odd = Shape::new(2, 2, 9).unwrap();
        assert_eq!(of(&["f"], odd).unwrap(), odd);
        assert_eq!(of(&["f", "--k", "2"], odd).unwrap(), odd);
        let wider = of(&["f", "--n", "12"], odd).unwrap();
        assert_eq!((wider.k(), wider.happy(), wider.n()), (2, 7, 12));
        let chosen = of(&["f", "--k", "1", "--happy", "1", "--n", "1"], odd).unwrap();
        assert_eq!((chosen.k(), chosen.happy(), chosen.n()), (1, 1, 1));
        let error = of(&["f", "--k", "10"], odd).unwrap_err();
        assert_eq!(error.exit() as u8, 2);
    }
}
