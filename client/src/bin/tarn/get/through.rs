//! `tarn --gateway URL get`: a gateway reads, decrypts and verifies; here the bytes are only taken.

use serde_json::json;
use tarn_client::base::HighWater;
use tarn_proto::gateway as wire;
use tarn_proto::gateway::read_answer::Part;
use tarn_proto::{SequenceNumber, VersionId};
use tokio::io::AsyncWriteExt;
use tonic::Streaming;

use super::output_file::OutputFile;
use super::{Args, File, cannot_write};
use crate::cli::Global;
use crate::error::CommandError;
use crate::home::Home;
use crate::names::{FileName, Names};
use crate::output;
use crate::remote::{Remote, Url, refused, version_text};

/// Runs the command.
pub(super) async fn run(
    args: &Args,
    url: &Url,
    global: &Global,
    home: &Home,
) -> Result<(), CommandError> {
    let mut names = Names::open(home.data())?;
    let file = File::find(args, &names)?;
    let mut remote = Remote::open(url, global).await?;
    let request = wire::ReadRequest {
        cap: file.cap.to_text().as_str().to_owned(),
        version: Default::default(),
        offset: args.range.map_or(0, |range| range.start),
        length: args.range.and_then(|range| Some(range.end? - range.start)),
        strict: args.strict,
    };
    let answers = remote.calls.read(request).await.map_err(|status| refused(&status))?;
    let mut answers = answers.into_inner();
    let Some(Part::Header(header)) = next(&mut answers).await? else {
        return Err(CommandError::failed("the gateway does not say what it reads"));
    };
    let seen = seen(&header, &file, args.allow_rollback)?;
    if !header.confirmed {
        output::say(format_args!(
            "warning: version {} is unconfirmed: too few servers answered to be sure that it is the newest",
            header.sequence_number
        ));
    }
    let bytes = write(args, &mut answers).await?;
    names.raise_high_water(file.cap.verify_cap().storage_index(), seen)?;
    if args.json {
        output::print(json!({
            "outcome": "retrieved",
            "name": file.name.as_ref().map(FileName::as_str),
            "version": { "seqnum": header.sequence_number, "id": version_text(&header.version) },
            "confirmed": header.confirmed,
            "bytes": bytes,
            "error": null,
        }))?;
    }
    Ok(())
}

/// What is read, if it is not older than what this user saw before.
fn seen(
    header: &wire::ReadHeader,
    file: &File,
    allow_rollback: bool,
) -> Result<HighWater, CommandError> {
    let nonsense = |_| CommandError::failed("the gateway's answer makes no sense");
    let version = VersionId::try_from(header.version.as_ref()).map_err(nonsense)?;
    let sequence_number = SequenceNumber::try_from(header.sequence_number)
        .map_err(|_| CommandError::failed("the gateway's answer makes no sense"))?;
    match file.high_water {
        Some(before) if before.sequence_number > sequence_number && !allow_rollback => {
            Err(CommandError::failed(format_args!(
                "version {} was seen before and is not there now",
                before.sequence_number
            ))
            .hint("--allow-rollback takes the older version"))
        }
        _ => Ok(HighWater { sequence_number, version }),
    }
}

async fn write(
    args: &Args,
    answers: &mut Streaming<wire::ReadAnswer>,
) -> Result<u64, CommandError> {
    let mut bytes = 0;
    let mut file = args.output.as_deref().map(OutputFile::create).transpose()?;
    let mut stdout = tokio::io::stdout();
    while let Some(part) = next(answers).await? {
        let Part::Body(piece) = part else {
            return Err(CommandError::failed("the gateway's answer makes no sense"));
        };
        bytes += piece.len() as u64;
        match &mut file {
            Some(file) => file.write(&piece)?,
            None => match stdout.write_all(&piece).await {
                // Whoever reads has what it wanted.
                Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => return Ok(bytes),
                written => written.map_err(|error| cannot_write(&error))?,
            },
        }
    }
    match file {
        Some(file) => file.finish()?,
        None => stdout.flush().await.map_err(|error| cannot_write(&error))?,
    }
    Ok(bytes)
}

async fn next(answers: &mut Streaming<wire::ReadAnswer>) -> Result<Option<Part>, CommandError> {
    let answer = answers.message().await.map_err(|status| refused(&status))?;
    Ok(answer.and_then(|answer| answer.part))
}
