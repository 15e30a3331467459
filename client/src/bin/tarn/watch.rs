//! `tarn watch`: new versions of a file as they are published, whoever publishes them, told by a gateway.

use std::time::Duration;

use serde_json::json;
use tarn_proto::VersionId;
use tarn_proto::gateway as wire;
use tonic::Code;

use crate::cli::Global;
use crate::error::CommandError;
use crate::home::Home;
use crate::names::Names;
use crate::output;
use crate::publish::parse_version;
use crate::remote::{Remote, refused, version_text};
use crate::target::{Target, TargetText};
use crate::tasks;

/// How long a gateway that went away is left alone.
const REST: Duration = Duration::from_secs(1);

/// Tells new versions of a file, whoever publishes them, until it is interrupted. Needs a gateway.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  tarn watch report.pdf
  tarn watch report.pdf --after ID        none is missed of those that followed it")]
pub(crate) struct Args {
    /// A name, as `tarn ls` lists them, or any cap.
    #[arg(value_name = "NAME|CAP")]
    file: TargetText,
    /// The version that was told last [default: begin with the newest].
    #[arg(long, value_name = "ID", value_parser = parse_version)]
    after: Option<VersionId>,
    /// End after so many.
    #[arg(long, value_name = "NUMBER")]
    count: Option<u64>,
    /// Print one JSON object a line.
    #[arg(long)]
    json: bool,
}

/// Runs the command.
pub(crate) async fn run(args: &Args, global: &Global, home: &Home) -> Result<(), CommandError> {
    let cap = match args.file.parse()? {
        Target::Name(name) => Names::open(home.data())?.find(&name)?.cap.verify_cap(),
        Target::Cap(cap) => cap.verify_cap(),
    };
    let url = tasks::at(global, home)?;
    let mut remote = Remote::open(&url, global).await?;
    let mut request = wire::WatchFileRequest {
        cap: cap.to_text().as_str().to_owned(),
        after: args.after.map(|id| id.as_bytes().to_vec().into()).unwrap_or_default(),
    };
    let mut left = args.count.unwrap_or(u64::MAX);
    while left > 0 {
        let lost = match remote.calls.watch_file(request.clone()).await {
            Err(status) => status,
            Ok(versions) => {
                let mut versions = versions.into_inner();
                loop {
                    match versions.message().await {
                        Ok(Some(version)) => {
                            tell(&version, args.json)?;
                            request.after = version.version;
                            left -= 1;
                        }
                        Ok(None) => break tonic::Status::unavailable("it stopped"),
                        Err(status) => break status,
                    }
                    if left == 0 {
                        return Ok(());
                    }
                }
            }
        };
        let away = matches!(
            lost.code(),
            Code::Unavailable | Code::Unknown | Code::Cancelled | Code::Internal
        );
        if !away {
            return Err(refused(&lost));
        }
        // With the cursor none is missed, however long the gateway is away.
        tokio::time::sleep(REST).await;
        if let Ok(again) = Remote::open(&url, global).await {
            remote = again;
        }
    }
    Ok(())
}

fn tell(version: &wire::FileVersion, json: bool) -> Result<(), CommandError> {
    if json {
        return output::print(json!({
            "seqnum": version.sequence_number,
            "id": version_text(&version.version),
            "predecessor": (!version.predecessor.is_empty()).then(|| version_text(&version.predecessor)),
            "gap": version.gap,
        }));
    }
    if version.gap {
        output::say("servers do not remember what came between; some versions may be missing here");
    }
    output::print(format_args!(
        "version {}  {}",
        version.sequence_number,
        version_text(&version.version)
    ))
}
