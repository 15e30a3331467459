//! A gateway of the bench's own: a process beside the servers, and publishes through it.

use std::io::Read;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use bytes::Bytes;
use futures::stream;
use tarn_client::caps::WriteCap;
use tarn_client::encode::source::Source;
use tarn_client::gateway::origin_bytes;
use tarn_proto::gateway as wire;
use tarn_proto::gateway::gateway_client::GatewayClient;
use tarn_proto::gateway::publish_request::Part;
use tarn_proto::{Shape, Window};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, ChildStderr, Command};
use tokio::time::Instant;
use tonic::transport::Channel;

use crate::error::CommandError;
use crate::remote::refused;

/// How long it may take to listen.
const PATIENCE: Duration = Duration::from_secs(30);
/// Bytes in one message.
const PIECE: usize = 256 << 10;

/// A gateway that runs. It ends when this is dropped.
pub(super) struct Through {
    _process: Child,
    /// Kept open: whoever writes to nobody ends.
    _said: BufReader<ChildStderr>,
    calls: GatewayClient<Channel>,
}

impl Through {
    /// Starts one with everything below this folder, of the servers in this grid file.
    pub(super) async fn start(folder: &Path, grid: &Path) -> Result<Self, CommandError> {
        let failed = |error: std::io::Error| {
            CommandError::failed(format_args!("cannot start a gateway: {error}"))
        };
        let mut process = Command::new(std::env::current_exe().map_err(failed)?)
            .args(["gateway", "--listen", "127.0.0.1:0", "--grid"])
            .arg(grid)
            .env("TARN_HOME", folder)
            .stdin(Stdio::null())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .map_err(failed)?;
        let silent = || CommandError::failed("the gateway does not begin to listen");
        let mut said = BufReader::new(process.stderr.take().ok_or_else(silent)?);
        let mut line = String::new();
        let read = tokio::time::timeout(PATIENCE, said.read_line(&mut line)).await;
        read.map_err(|_late| silent())?.map_err(failed)?;
        let url = line.split(' ').find(|word| word.starts_with("http://")).ok_or_else(silent)?;
        let channel = Channel::from_shared(url.trim().to_owned()).map_err(CommandError::failed)?;
        let calls = GatewayClient::connect(channel).await.map_err(CommandError::failed)?;
        Ok(Self { _process: process, _said: said, calls })
    }

    pub(super) fn calls(&self) -> GatewayClient<Channel> {
        self.calls.clone()
    }
}

/// Has a gateway publish this. Says how long it took until its caller knew that it was published.
pub(super) async fn publish(
    calls: &mut GatewayClient<Channel>,
    cap: &WriteCap,
    window: &Window,
    source: &Source,
) -> Result<Duration, CommandError> {
    let begun = Instant::now();
    let header = wire::PublishHeader {
        write_cap: cap.to_text().as_str().to_owned(),
        origin: origin_bytes(Shape::default(), window).into(),
        length: Some(source.length()),
        ..Default::default()
    };
    let reader = source.open().map_err(CommandError::failed)?;
    let body = stream::unfold(reader, |mut reader| async {
        let read = tokio::task::spawn_blocking(move || (piece(&mut reader), reader));
        let (piece, reader) = read.await.ok()?;
        // An end that comes too early is refused by the gateway: it was told the length.
        let piece = piece.ok().filter(|piece| !piece.is_empty())?;
        Some((Part::Body(piece), reader))
    });
    let parts = futures::StreamExt::chain(stream::iter([Part::Header(header)]), body);
    let parts = futures::StreamExt::map(parts, |part| wire::PublishRequest { part: Some(part) });
    let answer = calls.publish(parts).await.map_err(|status| refused(&status))?.into_inner();
    let mut task = answer.task.unwrap_or_default();
    if task.state() != wire::TaskState::Ended {
        let request = wire::WatchTaskRequest { task_id: task.task_id.clone() };
        let told = calls.watch_task(request).await.map_err(|status| refused(&status))?;
        let mut told = told.into_inner();
        while let Some(next) = told.message().await.map_err(|status| refused(&status))? {
            task = next;
        }
    }
    let took = begun.elapsed();
    let outcome = task.outcome.unwrap_or_default();
    if outcome.kind() == wire::OutcomeKind::Published {
        return Ok(took);
    }
    Err(CommandError::failed(format_args!("a task ended: {}", outcome.sentence)))
}

fn piece(reader: &mut impl Read) -> std::io::Result<Bytes> {
    let mut piece = Vec::with_capacity(PIECE);
    reader.take(PIECE as u64).read_to_end(&mut piece)?;
    Ok(piece.into())
}
