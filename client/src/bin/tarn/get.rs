//! `tarn get`: a version of a file, or a part of it, comes back. Which version that is, the library decides.

pub(crate) mod failed;
mod output_file;
mod through;

use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::time::Instant;

use serde_json::{Value, json};
use tarn_client::base::{HighWater, Origin};
use tarn_client::caps::{Cap, ReadCap};
use tarn_client::retrieve::outcome::Found;
use tarn_client::retrieve::reading::{Reading, RetrieveRequest};
use tarn_proto::SignedHeader;
use tokio::io::AsyncWriteExt;

use self::failed::failed;
use self::output_file::OutputFile;
use crate::cli::Global;
use crate::error::CommandError;
use crate::home::Home;
use crate::names::{FileName, Names};
use crate::output;
use crate::session::Session;
use crate::target::{Target, TargetText};

/// Reads a file back: decrypted and verified here, from any servers that hold enough of it.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  tarn get report.pdf -o copy.pdf
  tarn get tarnr1… | tar x
  tarn get report.pdf --range 0..1024     the first 1,024 bytes
  tarn get report.pdf --range 4096..      all but the first 4,096 bytes")]
pub(crate) struct Args {
    /// A name, as `tarn ls` lists them, or a read or write cap.
    #[arg(value_name = "NAME|CAP")]
    file: TargetText,
    /// Where to write it, replacing what is there when it is complete [default: standard output].
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Only the bytes from A up to, but without, B.
    #[arg(long, value_name = "A..B", value_parser = parse_range)]
    range: Option<ByteRange>,
    /// Fail where it cannot be told that there is no newer version, instead of warning.
    #[arg(long)]
    strict: bool,
    /// Take an older version than one that was seen before, if that is all there is.
    #[arg(long)]
    allow_rollback: bool,
    /// Describe the version in one JSON object; needs --output.
    #[arg(long, requires = "output")]
    json: bool,
}

/// Runs the command.
pub(crate) async fn run(args: &Args, global: &Global, home: &Home) -> Result<(), CommandError> {
    if let Some(url) = &global.gateway {
        return through::run(args, url, global, home).await;
    }
    let mut names = Names::open(home.data())?;
    let file = File::find(args, &names)?;
    let session = Session::open(global, home).await?;
    let got = get(args, &file, &session, &mut names).await;
    let closed = session.close().await;
    got.and(closed)
}

/// The file to read.
struct File {
    name: Option<FileName>,
    cap: ReadCap,
    origin: Origin,
    high_water: Option<HighWater>,
}

impl File {
    fn find(args: &Args, names: &Names) -> Result<Self, CommandError> {
        match args.file.parse()? {
            Target::Name(name) => {
                let record = names.find(&name)?;
                Ok(Self {
                    name: Some(record.name),
                    cap: record.cap.read_cap(),
                    origin: record.window.map_or(Origin::CapHolder, Origin::Creator),
                    high_water: record.high_water,
                })
            }
            Target::Cap(cap) => {
                let cap = read_cap(&cap)?;
                let high_water = names.high_water(cap.verify_cap().storage_index())?;
                Ok(Self { name: None, cap, origin: Origin::CapHolder, high_water })
            }
        }
    }
}

fn read_cap(cap: &Cap) -> Result<ReadCap, CommandError> {
    cap.read_cap().ok_or_else(|| {
        CommandError::usage("reading takes a read or write cap, and this one only allows to verify")
    })
}

#[expect(clippy::disallowed_methods, reason = "the command is the edge: the time is only shown")]
async fn get(
    args: &Args,
    file: &File,
    session: &Session,
    names: &mut Names,
) -> Result<(), CommandError> {
    let began = Instant::now();
    let request = RetrieveRequest {
        cap: file.cap.clone(),
        origin: file.origin.clone(),
        version: None,
        range: args.range.map(|range| range.start..range.end.unwrap_or(u64::MAX)),
        strict: args.strict,
        allow_rollback: args.allow_rollback,
        high_water: file.high_water,
        suspects: names.suspected()?,
        map: None,
    };
    let mut reading = match session.client.retrieve(request, rand::make_rng()).await {
        Ok(reading) => reading,
        Err(error) => {
            names.note_suspects(&error.heard);
            return Err(failed(&error, session.grid(), args.json));
        }
    };
    let found = reading.found().clone();
    warn(&found);
    let written = match &args.output {
        None => to_standard_output(&mut reading).await,
        Some(path) => to_file(&mut reading, path, session, args.json).await,
    };
    names.note_suspects(reading.heard());
    written?;
    if let Some(high_water) = found.high_water {
        names.raise_high_water(file.cap.verify_cap().storage_index(), high_water)?;
    }
    if args.json {
        output::print(described(file, &found, began.elapsed().as_secs_f64()))?;
    }
    Ok(())
}

async fn to_file(
    reading: &mut Reading,
    path: &Path,
    session: &Session,
    json: bool,
) -> Result<(), CommandError> {
    let tell = |error| failed(&error, session.grid(), json);
    let mut output = OutputFile::create(path)?;
    while let Some(segment) = reading.next_segment().await.map_err(tell)? {
        output.write(&segment)?;
    }
    output.finish()
}

async fn to_standard_output(reading: &mut Reading) -> Result<(), CommandError> {
    let mut stdout = tokio::io::stdout();
    loop {
        let segment = match reading.next_segment().await {
            Ok(Some(segment)) => segment,
            Ok(None) => break,
            Err(error) => {
                return Err(CommandError::failed(format_args!(
                    "{error}; what was written so far is good"
                )));
            }
        };
        match stdout.write_all(&segment).await {
            // Whoever reads has what it wanted.
            Err(error) if error.kind() == ErrorKind::BrokenPipe => return Ok(()),
            written => written.map_err(|error| cannot_write(&error))?,
        }
    }
    match stdout.flush().await {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => Err(cannot_write(&error)),
        Ok(()) | Err(_) => Ok(()),
    }
}

fn cannot_write(error: &std::io::Error) -> CommandError {
    CommandError::failed(format_args!("cannot write to standard output: {error}"))
}

fn warn(found: &Found) {
    if !found.confirmed {
        output::say(format_args!(
            "warning: version {} is unconfirmed: too few servers answered to be sure that it is the newest",
            number(&found.header)
        ));
    }
    for newer in &found.newer_unrecoverable {
        output::say(format_args!(
            "warning: a newer version {} was seen and cannot be read: {}",
            number(&newer.header),
            newer.shortage
        ));
    }
}

fn number(header: &SignedHeader) -> u64 {
    header.header().sequence_number.get()
}

fn described(file: &File, found: &Found, seconds: f64) -> Value {
    json!({
        "outcome": "retrieved",
        "name": file.name.as_ref().map(FileName::as_str),
        "version": version_json(&found.header),
        "confirmed": found.confirmed,
        "bytes": found.range.end - found.range.start,
        "seconds": seconds,
        "newer_unrecoverable":
            found.newer_unrecoverable.iter().map(|newer| version_json(&newer.header)).collect::<Vec<_>>(),
        "error": null,
    })
}

fn version_json(header: &SignedHeader) -> Value {
    json!({ "seqnum": number(header), "id": header.version().to_string() })
}

/// A run of bytes of a file, or all from a byte on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ByteRange {
    /// The first byte.
    pub(crate) start: u64,
    /// The byte after the last; none means the file's end. Not before `start`.
    pub(crate) end: Option<u64>,
}

fn parse_range(text: &str) -> Result<ByteRange, String> {
    let form = || "write A..B with A not above B, A.. or ..B; bytes count from zero".to_owned();
    let (start, end) = text.split_once("..").ok_or_else(form)?;
    let number = |digits: &str| match digits {
        "" => Ok(None),
        digits => digits.parse::<u64>().map(Some).map_err(|_| form()),
    };
    let range = ByteRange { start: number(start)?.unwrap_or(0), end: number(end)? };
    match range.end {
        Some(end) if end < range.start => Err(form()),
        Some(_) | None => Ok(range),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_half_open_and_never_backwards() {
        let range = |start, end| Ok(ByteRange { start, end });
        assert_eq!(parse_range("0..10"), range(0, Some(10)));
        assert_eq!(parse_range("7..7"), range(7, Some(7)));
        assert_eq!(parse_range("7.."), range(7, None));
        assert_eq!(parse_range("..7"), range(0, Some(7)));
        for text in ["", "7", "8..7", "a..b", "-1..2", "1...2", "1..=2"] {
            assert!(parse_range(text).is_err(), "{text}");
        }
    }

    #[test]
    fn standard_output_holds_the_file_or_the_description_never_both() {
        #[derive(Debug, clap::Parser)]
        struct Typed {
            #[command(flatten)]
            args: Args,
        }
        let typed = |words: &[&str]| {
            let line = ["get"].iter().chain(words);
            <Typed as clap::Parser>::try_parse_from(line).map(|typed| typed.args)
        };
        assert!(typed(&["x", "--json"]).is_err());
        let args = typed(&["x", "--json", "-o", "y", "--strict", "--range", "1..2"]).unwrap();
        assert!(args.json && args.strict && args.file.parse().is_ok());
        assert_eq!((args.output, args.range.is_some()), (Some("y".into()), true));
    }
}
