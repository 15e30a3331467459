//! `tarn gateway`: publish as a service. Parses, binds, runs; what a gateway does is the library's.

use std::net::SocketAddr;
use std::os::unix::fs::FileTypeExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tarn_client::gateway::config::BearerToken;
use tarn_client::gateway::{Gateway, GatewayConfig};
use tokio::net::{TcpListener, UnixListener};
use tokio_util::sync::CancellationToken;

use crate::cli::Global;
use crate::error::{CommandError, chain};
use crate::home::{Home, create_folder};
use crate::lock::{FileLock, Locked};
use crate::output;
use crate::server::{read_token, stop_signal};
use crate::session::Session;
use crate::size;

/// How long we wait for a folder's lock: a gateway that was told to stop may still finish what runs.
const PATIENCE: Duration = Duration::from_secs(2);

/// Runs a gateway until it is interrupted or told to stop (SIGINT, SIGTERM): a gRPC service that publishes for programs
/// in any language.
///
/// What it accepted is durable: killed at any moment, the next gateway on the same folder goes on with it. Without a
/// token it listens on this machine only.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  tarn gateway
  tarn gateway --listen 192.0.2.7:4180 --token-file /etc/tarn-gateway.token
  tarn --gateway http://127.0.0.1:4180 publish report.pdf")]
pub(crate) struct Args {
    /// Where to listen; port 0 takes any free one.
    #[arg(long, value_name = "IP:PORT", default_value = "127.0.0.1:4180")]
    listen: SocketAddr,
    /// The Unix socket to listen on as well, for this user alone [default: socket in the gateway's folder].
    #[arg(long, value_name = "FILE")]
    socket: Option<PathBuf>,
    /// Where tasks and contents that wait are kept [default: gateway in your data folder].
    #[arg(long, value_name = "FOLDER")]
    folder: Option<PathBuf>,
    /// A file whose first line callers on --listen must send as their bearer token.
    #[arg(long, value_name = "FILE")]
    token_file: Option<PathBuf>,
    /// Publish so many files at once.
    #[arg(long, value_name = "NUMBER", default_value_t = 16, value_parser = clap::value_parser!(u16).range(1..=1024))]
    at_once: u16,
    /// The longest content it takes, in bytes or with a unit [default: 64GiB].
    #[arg(long, value_name = "BYTES", value_parser = size::parse)]
    body_max: Option<u64>,
    /// How much may wait on its disk, in bytes or with a unit [default: 128GiB].
    #[arg(long, value_name = "BYTES", value_parser = size::parse)]
    staged_max: Option<u64>,
    /// How many days an ended task is kept, and its idempotency key with it.
    #[arg(long, value_name = "DAYS", default_value_t = 7, value_parser = clap::value_parser!(u64).range(7..=3650))]
    keep: u64,
}

impl Args {
    fn config(&self, folder: PathBuf) -> Result<GatewayConfig, CommandError> {
        let mut config = GatewayConfig::in_folder(folder);
        config.queue.running = usize::from(self.at_once);
        config.keep = Duration::from_secs(self.keep * 24 * 60 * 60);
        config.body_bytes_max = self.body_max.unwrap_or(config.body_bytes_max);
        config.staged_bytes_max = self.staged_max.unwrap_or(config.staged_bytes_max);
        config.token = self.token_file.as_deref().map(token).transpose()?;
        if config.token.is_none() && !self.listen.ip().is_loopback() {
            return Err(CommandError::usage(format_args!(
                "on {} others could publish through this gateway and read what passes",
                self.listen
            ))
            .hint("give it a --token-file, or listen on 127.0.0.1"));
        }
        Ok(config)
    }
}

/// Runs the command.
pub(crate) async fn run(args: &Args, global: &Global, home: &Home) -> Result<(), CommandError> {
    let folder = args.folder.clone().unwrap_or_else(|| home.gateway());
    let config = args.config(folder.clone())?;
    create_folder(&folder).map_err(|error| CommandError::file("make", &folder, &error))?;
    let _lock = lock(&folder).await?;
    let listener = TcpListener::bind(args.listen).await.map_err(|error| {
        CommandError::failed(format_args!("cannot listen on {}: {error}", args.listen))
    })?;
    let address = listener.local_addr().map_err(CommandError::failed)?;
    let socket = args.socket.clone().unwrap_or_else(|| folder.join("socket"));
    let shutdown = stop_signal()?;
    let session = Session::open(global, home).await?;
    let local = listen_on(&socket)?;
    let served = serve(config, &session, Listeners { listener, local }, &shutdown, || {
        output::say(format_args!(
            "gateway listens on http://{address} and unix:{}",
            socket.display()
        ));
    })
    .await;
    // Whoever finds it there would wait for nobody.
    let _ = std::fs::remove_file(&socket);
    let closed = session.close().await;
    served?;
    output::say("gateway stopped");
    closed
}

struct Listeners {
    listener: TcpListener,
    local: UnixListener,
}

async fn serve(
    config: GatewayConfig,
    session: &Session,
    listeners: Listeners,
    shutdown: &CancellationToken,
    listening: impl FnOnce(),
) -> Result<(), CommandError> {
    let gateway = Gateway::open(config, session.client.clone(), session.grid().clone())
        .map_err(|error| CommandError::failed(chain(&error)))?;
    if gateway.swept > 0 {
        output::say(format_args!("{} contents of no task were removed", gateway.swept));
    }
    listening();
    gateway
        .serve(Some(listeners.listener), Some(listeners.local), shutdown.cancelled())
        .await
        .map_err(|error| CommandError::failed(chain(&error)))
}

/// A socket that only its owner can connect to.
fn listen_on(socket: &Path) -> Result<UnixListener, CommandError> {
    let failed = |error: &std::io::Error| CommandError::file("listen on", socket, error);
    // A gateway that was killed left it; its folder's lock is ours now.
    if std::fs::symlink_metadata(socket).is_ok_and(|found| found.file_type().is_socket()) {
        if std::os::unix::net::UnixStream::connect(socket).is_ok() {
            return Err(CommandError::usage(format_args!(
                "another program listens on {}",
                socket.display()
            )));
        }
        std::fs::remove_file(socket).map_err(|error| failed(&error))?;
    }
    // Nobody else may connect, not even before it has the right permissions.
    let before = rustix::process::umask(rustix::fs::Mode::from_bits_truncate(0o177));
    let listener = UnixListener::bind(socket);
    rustix::process::umask(before);
    listener.map_err(|error| failed(&error))
}

fn token(file: &Path) -> Result<BearerToken, CommandError> {
    BearerToken::new(read_token(file)?).map_err(CommandError::usage)
}

async fn lock(folder: &Path) -> Result<FileLock, CommandError> {
    let path = folder.join("gateway.lock");
    match FileLock::acquire(&path, PATIENCE, |_| {}).await {
        Ok(Locked::Ours(lock)) => Ok(lock),
        Ok(Locked::Held(pid)) => {
            let pid = pid.map(|pid| format!(" (process {pid})")).unwrap_or_default();
            let folder = folder.display();
            Err(CommandError::failed(format_args!("another gateway{pid} already runs on {folder}")))
        }
        Err(error) => Err(CommandError::file("lock", &path, &error)),
    }
}
