//! `tarn publish`: a file or a pipe becomes the newest version of a named file, or, in `part`, a range of it. Where the
//! bytes come from is in `input`, and in `once` if they are not kept; which file that is, in `file`; whether a publish that was cut off is taken up, in
//! `submission`, and what becomes of one whose content is lost, in `lost`; the way from there to its end, in `one`; how the
//! end is told, in `told`. What goes through a gateway is in `through`. Several files, and folders of them, are in `many`.

mod file;
mod input;
mod journal;
mod lost;
mod many;
mod once;
mod one;
mod part;
mod progress;
mod settle;
mod shape;
mod submission;
mod through;
mod told;

use clap::builder::{OsStringValueParser, TypedValueParser};
use tarn_client::publish::outcome::Report;
use tarn_client::publish::publishing::Publishing;
use tarn_proto::VersionId;

use self::file::{File, Meant};
use self::input::Input;
use self::one::{Ended, Place};
use self::part::PartArgs;
use self::shape::ShapeArgs;
use self::submission::Submission;
use self::through::GatewayArgs;
use crate::cli::Global;
use crate::error::CommandError;
use crate::home::Home;
use crate::names::{FileName, Names, SharedNames};
use crate::output;
use crate::session::Session;
use crate::target::{Target, TargetText};
use crate::unfinished;

pub(crate) use self::input::Source;

/// Publishes files: encrypted and signed here, cut into shares, durable on a quorum of servers when it returns.
///
/// Publishing the same path again updates the same file. Of a folder, every regular file below it is published. With
/// --offset or --append only a part of a file is changed, and only that is sent.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  tarn publish report.pdf
  tarn publish notes.txt photos               a file, and all files in a folder, side by side
  tar c photos | tarn publish - --name photos.tar
  tar c photos | tarn publish - --name photos.tar --no-spool
  tarn publish report.pdf --k 5 --n 8         any 5 of 8 shares bring it back
  tarn publish sector --name disk.img --offset 1048576
  date | tarn publish - --name log --append
  tarn publish report.pdf --if-version ID     only if nobody published since")]
pub(crate) struct Args {
    /// The file or folder to publish; - reads standard input.
    #[arg(value_name = "FILE|-", requires_if("-", "as"), value_parser = OsStringValueParser::new().map(Source::from))]
    source: Source,
    /// More files and folders.
    #[arg(value_name = "FILE", conflicts_with_all = ["as", "if_version", "part", "no_spool"],
          value_parser = OsStringValueParser::new().map(Source::from))]
    more: Vec<Source>,
    /// Publish as the file of this name [default: the path's file, else a name made from the path].
    #[arg(long, value_name = "NAME", group = "as")]
    name: Option<FileName>,
    /// Publish as the file of this write cap.
    #[arg(long, value_name = "CAP", group = "as")]
    cap: Option<TargetText>,
    /// Publish only if this is the newest version: its full id.
    #[arg(long, value_name = "ID", value_parser = parse_version)]
    if_version: Option<VersionId>,
    /// Publish what comes through the pipe while it comes, and keep no copy of it: it is not tried again if servers fail or
    /// somebody else publishes meanwhile, and at most k GiB can be published.
    #[arg(long, conflicts_with = "part")]
    no_spool: bool,
    #[command(flatten)]
    part: PartArgs,
    #[command(flatten)]
    shape: ShapeArgs,
    #[command(flatten)]
    gateway: GatewayArgs,
    /// Of several files, publish so many at once; large ones fewer.
    #[arg(long, value_name = "NUMBER", default_value_t = 16, value_parser = clap::value_parser!(u8).range(1..=64))]
    at_once: u8,
    /// Print one JSON object; of several files, one a line for each, as they end.
    #[arg(long)]
    json: bool,
    /// Only take up what was cut off: for `tarn resume`.
    #[arg(skip)]
    only_resumes: bool,
}

impl Args {
    /// What `tarn resume` asks for: that a publish of this content goes on.
    pub(crate) fn resuming(source: Source, file: Target, json: bool) -> Self {
        let (name, cap) = match file {
            Target::Name(name) => (Some(name), None),
            Target::Cap(cap) => (None, Some(TargetText::of(&cap))),
        };
        let (more, if_version) = (Vec::new(), None);
        let (part, shape) = (PartArgs::default(), ShapeArgs::default());
        let gateway = GatewayArgs::default();
        Self {
            source,
            more,
            name,
            cap,
            if_version,
            no_spool: false,
            part,
            shape,
            gateway,
            at_once: 1,
            json,
            only_resumes: true,
        }
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
pub(crate) async fn run(args: &Args, global: &Global, home: &Home) -> Result<(), CommandError> {
    if let Some(url) = &global.gateway
        && !args.only_resumes
    {
        return through::run(args, url, global, home).await;
    }
    if args.gateway.is_said() {
        return Err(CommandError::usage(
            "--key, --after-key, --after-task and --detach need a gateway: name it with --gateway",
        ));
    }
    if many::is_meant(args) {
        return many::run(args, global, home).await;
    }
    if args.no_spool {
        return once::run(args, global, home).await;
    }
    let meant = Meant::of(args)?;
    let input = match Input::of(&args.source, home).await {
        Err(error) if args.only_resumes => Err(error.sentence().to_owned()),
        input => Ok(input?),
    };
    let session = Session::open(global, home).await?;
    let ended = match input {
        Ok(input) => publish(args, meant, input, &session, home).await,
        Err(why) => settle(args, meant, &why, &session, home).await,
    };
    let closed = session.close().await;
    ended.and(closed)
}

/// Settles what was cut off without its content.
async fn settle(
    args: &Args,
    meant: Meant,
    why: &str,
    session: &Session,
    home: &Home,
) -> Result<(), CommandError> {
    let mut names = Names::open(home.data())?;
    let file = File::find(args, meant, session, &mut names)?;
    lost::tell(&file, why, args.json, &mut names, session, home).await
}

async fn publish(
    args: &Args,
    meant: Meant,
    input: Input,
    session: &Session,
    home: &Home,
) -> Result<(), CommandError> {
    let names = SharedNames::open(home.data())?;
    unfinished::sweep(&names.lock(), home)?;
    let file = File::find(args, meant, session, &mut names.lock())?;
    let place = Place { session, home, names };
    let ended = match args.part.at() {
        Some(at) => part::publish(args, at, file, input, &place).await?,
        None => {
            let submission = Submission::choose(input, &file, &place.names, session, home).await?;
            if args.only_resumes && submission.earlier.is_none() {
                let why = "its content is not what was being published any more";
                let mut names = Names::open(home.data())?;
                return lost::tell(&file, why, args.json, &mut names, session, home).await;
            }
            submission.announce();
            let watch = async |publishing: &mut Publishing| watch(publishing, session).await;
            one::publish(args, file, submission, &place, watch).await?
        }
    };
    tell(ended, args.json, &place).await
}

/// Tells how it ended, and leaves what is left to be done behind.
async fn tell(mut ended: Ended, json: bool, place: &Place<'_>) -> Result<(), CommandError> {
    let told = ended.told(place.session.grid());
    let printed = if json { output::print(told.json()) } else { told.print() };
    let outcome = told.ended();
    if printed.is_ok() {
        ended.take_off_record(&place.names)?;
    }
    // Certificates and missing shares are left behind while the person reads.
    ended.courtesy().await;
    printed.and(outcome)
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
    fn what_is_not_spooled_is_one_whole_input() {
        assert!(typed(&["-", "--name", "x", "--no-spool"]).unwrap().no_spool);
        let id = "ab".repeat(32);
        assert!(typed(&["-", "--name", "x", "--no-spool", "--if-version", &id]).is_ok());
        assert!(typed(&["-", "--no-spool"]).is_err(), "as which file?");
        assert!(typed(&["-", "--name", "x", "--no-spool", "--append"]).is_err());
        assert!(typed(&["-", "--name", "x", "--no-spool", "--offset", "0"]).is_err());
        assert!(typed(&["a", "b", "--no-spool"]).is_err());
    }

    #[test]
    fn several_files_are_published_as_the_files_of_their_paths() {
        let args = typed(&["a", "b", "c", "--at-once", "3", "--k", "1"]).unwrap();
        assert_eq!((args.more.len(), args.at_once), (2, 3));
        assert!(typed(&["a", "b", "--name", "x"]).is_err());
        assert!(typed(&["a", "b", "--cap", "tarnw1x"]).is_err());
        assert!(typed(&["a", "b", "--if-version", &"ab".repeat(32)]).is_err());
        assert!(typed(&["a", "b", "--at-once", "0"]).is_err());
    }

    #[test]
    fn a_sequence_number_is_no_version() {
        let error = typed(&["file", "--if-version", "7"]).unwrap_err();
        assert!(error.to_string().contains("64 hexadecimal digits"));
        let args = typed(&["file", "--json", "--if-version", &"ab".repeat(32)]).unwrap();
        assert_eq!(args.if_version, Some(VersionId::new([0xab; 32])));
        assert!(args.json && args.cap.is_none());
    }
}
