//! `tarn server`: one storage server. Parses, binds, runs; what a server does is the server crate's.

use std::num::{NonZeroU64, NonZeroUsize};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use tarn_server::ServerConfig;
use tarn_server::config::Token;
use tarn_server::scrub::{DamagedShare, Pace, Scrubbed, Scrubbing};
use tarn_server::store::Store;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;
use zeroize::Zeroizing;

use crate::error::{CommandError, chain};
use crate::lock::{FileLock, Locked};
use crate::output::{self, Size};
use crate::servers::{self, Server};
use crate::size;

/// How long we wait for a folder's lock: somebody who only looks whether it is held has it for a moment.
const PATIENCE: Duration = Duration::from_secs(2);

/// One storage server: prepare its data folder, or run it.
#[derive(Debug, clap::Args)]
#[command(
    arg_required_else_help = true,
    after_help = "Examples:
  tarn server init /srv/tarn
  tarn server run /srv/tarn --listen 192.0.2.7:4100 --reserve 10GiB --token-file /etc/tarn.token"
)]
pub(crate) struct Args {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, clap::Subcommand)]
enum Action {
    /// Prepares a data folder and prints its new store id, which grid files list.
    Init {
        /// The data folder; made if it is not there.
        #[arg(value_name = "FOLDER")]
        folder: PathBuf,
    },
    /// Runs a server until it is interrupted or told to stop (SIGINT, SIGTERM).
    Run(RunArgs),
    /// Holds everything that a server keeps against its tables. The server must not run; while it does, it scrubs by
    /// itself.
    Scrub {
        /// Its data folder.
        #[arg(value_name = "FOLDER")]
        folder: PathBuf,
        /// How many bytes a second to read at most, with or without a unit [default: as fast as the disk].
        #[arg(long, value_name = "BYTES", value_parser = size::parse)]
        pace: Option<u64>,
        /// Print one JSON object.
        #[arg(long)]
        json: bool,
    },
}

#[derive(Debug, clap::Args)]
struct RunArgs {
    /// A data folder that `tarn server init` prepared.
    #[arg(value_name = "FOLDER")]
    folder: PathBuf,
    /// Where to listen; port 0 takes any free one.
    #[arg(long, value_name = "HOST:PORT")]
    listen: String,
    /// A file whose first line every client must send as its token.
    #[arg(long, value_name = "FILE")]
    token_file: Option<PathBuf>,
    /// Serve what is there and take nothing new.
    #[arg(long)]
    read_only: bool,
    /// How much of the disk to leave free, in bytes or with a unit [default: 64MiB].
    #[arg(long, value_name = "BYTES", value_parser = size::parse)]
    reserve: Option<u64>,
    /// How many bytes a second to read at most in search of damage; 0 searches for none [default: 8MiB].
    #[arg(long, value_name = "BYTES", value_parser = size::parse)]
    scrub: Option<u64>,
    /// How many threads serve connections; with several servers on one machine, one each is fastest [default: as many as
    /// there are cores].
    #[arg(long, value_name = "NUMBER")]
    threads: Option<NonZeroUsize>,
    /// Leave the caller's session first; `tarn cluster` asks for it.
    #[arg(long, hide = true)]
    own_session: bool,
}

impl Args {
    /// How many threads serve connections, if that was said.
    pub(crate) fn threads(&self) -> Option<NonZeroUsize> {
        match &self.action {
            Action::Run(args) => args.threads,
            Action::Init { .. } | Action::Scrub { .. } => None,
        }
    }
}

/// Runs the command.
pub(crate) async fn run(args: &Args) -> Result<(), CommandError> {
    match &args.action {
        Action::Init { folder } => init(folder).await,
        Action::Run(args) => serve(args).await,
        Action::Scrub { folder, pace, json } => scrub(folder, *pace, *json).await,
    }
}

async fn init(folder: &Path) -> Result<(), CommandError> {
    let store = servers::init(folder).await?;
    output::say(format_args!(
        "{} is ready; run it with `tarn server run {} --listen HOST:PORT`",
        folder.display(),
        folder.display()
    ));
    output::print(store)
}

async fn scrub(folder: &Path, pace: Option<u64>, json: bool) -> Result<(), CommandError> {
    let _lock = lock(folder).await?;
    let store = servers::open(folder).await?;
    let pace = Pace { bytes_per_second: pace.and_then(NonZeroU64::new) };
    let scrubbed = tarn_server::scrub::scrub(Arc::new(store), pace)
        .await
        .map_err(|error| CommandError::failed(chain(&error)))?;
    let Scrubbed { slots, shares, bytes, damaged, unreadable } = &scrubbed;
    if json {
        let damaged = damaged.iter().map(|damaged| {
            json!({
                "storage_index": damaged.slot.to_string(),
                "version": damaged.version.to_string(),
                "share": damaged.share.get(),
            })
        });
        output::print(json!({
            "slots": slots,
            "shares": shares,
            "bytes": bytes,
            "damaged": damaged.collect::<Vec<_>>(),
            "unreadable": unreadable.iter().map(ToString::to_string).collect::<Vec<_>>(),
        }))?;
    } else {
        output::print(format_args!("{shares} shares in {slots} slots, {}", Size(*bytes)))?;
        for DamagedShare { slot, version, share } in damaged {
            output::print(format_args!("damaged     {slot}, version {version}, share {share}"))?;
        }
        for slot in unreadable {
            output::print(format_args!("unreadable  {slot}"))?;
        }
    }
    if damaged.is_empty() && unreadable.is_empty() {
        return Ok(());
    }
    let (damaged, unreadable) = (damaged.len(), unreadable.len());
    Err(CommandError::failed(format_args!("{damaged} shares are damaged, {unreadable} slots cannot be read"))
        .hint("none of it is served any more; the next publish of each file puts good shares in their place"))
}

/// Held by a running server as long as it lives, with its process id in it.
pub(crate) fn lock_file(folder: &Path) -> PathBuf {
    folder.join("server.lock")
}

async fn serve(args: &RunArgs) -> Result<(), CommandError> {
    if args.own_session {
        rustix::process::setsid().map_err(|error| {
            CommandError::failed(format_args!("cannot leave the session: {error}"))
        })?;
    }
    let config = args.config()?;
    let _lock = lock(&args.folder).await?;
    let listener = TcpListener::bind(&args.listen).await.map_err(|error| {
        CommandError::failed(format_args!("cannot listen on {}: {error}", args.listen))
    })?;
    let shutdown = stop_signal()?;
    let store = servers::open(&args.folder).await?;
    if let Some(recovered) = store.recovered() {
        output::say(format_args!("store {} holds {recovered}", store.id()));
    }
    let server = Server::start(store, listener, config, shutdown)?;
    output::say(format_args!("store {} listens on {}", server.store, server.address));
    let store = server.store;
    server.ended().await?;
    output::say(format_args!("store {store} stopped"));
    Ok(())
}

impl RunArgs {
    fn scrubbing(&self) -> Option<Scrubbing> {
        match self.scrub {
            None => Some(Scrubbing::default()),
            Some(rate) => NonZeroU64::new(rate).map(|rate| Scrubbing {
                pace: Pace { bytes_per_second: Some(rate) },
                ..Scrubbing::default()
            }),
        }
    }

    fn config(&self) -> Result<ServerConfig, CommandError> {
        let default = ServerConfig::default();
        let token = self.token_file.as_deref().map(read_token).transpose()?;
        Ok(ServerConfig {
            token: token.map(|token| Token::new(&token)),
            read_only: self.read_only,
            reserved_bytes: self.reserve.unwrap_or(default.reserved_bytes),
            scrubbing: self.scrubbing(),
            ..default
        })
    }
}

async fn lock(folder: &Path) -> Result<FileLock, CommandError> {
    let path = lock_file(folder);
    match FileLock::acquire(&path, PATIENCE, |_| {}).await {
        Ok(Locked::Ours(lock)) => Ok(lock),
        Ok(Locked::Held(pid)) => {
            let pid = pid.map(|pid| format!(" (process {pid})"));
            Err(CommandError::failed(format_args!(
                "another server{} already runs on {}",
                pid.unwrap_or_default(),
                folder.display()
            )))
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            Err(CommandError::usage(format_args!("there is no folder {}", folder.display()))
                .hint("`tarn server init` prepares one"))
        }
        Err(error) => Err(CommandError::file("lock", &path, &error)),
    }
}

/// Cancelled at the first SIGINT or SIGTERM.
pub(crate) fn stop_signal() -> Result<CancellationToken, CommandError> {
    let listen = |kind| {
        signal(kind).map_err(|error| {
            CommandError::failed(format_args!("cannot listen for signals: {error}"))
        })
    };
    let mut interrupt = listen(SignalKind::interrupt())?;
    let mut terminate = listen(SignalKind::terminate())?;
    let shutdown = CancellationToken::new();
    let told = shutdown.clone();
    tokio::spawn(async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
        told.cancel();
    });
    Ok(shutdown)
}

/// The first line of this file.
pub(crate) fn read_token(file: &Path) -> Result<Zeroizing<String>, CommandError> {
    let text = std::fs::read_to_string(file)
        .map(Zeroizing::new)
        .map_err(|error| CommandError::file("read the token file", file, &error))?;
    match text.lines().next().map(str::trim) {
        Some(token) if !token.is_empty() => Ok(Zeroizing::new(token.to_owned())),
        Some(_) | None => Err(CommandError::usage(format_args!(
            "the first line of {} must be the token",
            file.display()
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_the_first_line_of_its_file() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("token");
        std::fs::write(&file, "sesame\n").unwrap();
        assert_eq!(read_token(&file).unwrap().as_str(), "sesame");
        std::fs::write(&file, "\n").unwrap();
        assert!(read_token(&file).is_err());
    }
}
