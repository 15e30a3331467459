//! Listeners in, a running gateway out. Told to stop, it takes nothing new, lets what runs end for a while, and leaves the
//! rest on record for the next one.

use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use futures::{Stream, StreamExt, stream};
use tarn_proto::gateway::DESCRIPTOR_SET;
use tarn_proto::gateway::gateway_server::GatewayServer;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, UnixListener};
use tokio::sync::mpsc;
use tokio_stream::wrappers::UnixListenerStream;
use tokio_util::sync::CancellationToken;
use tonic::service::Interceptor;
use tonic::service::interceptor::InterceptedService;
use tonic::transport::server::TcpIncoming;
use tonic::{Request, Status};

use super::board::Board;
use super::config::{BearerToken, GatewayConfig};
use super::registrar::{Registrar, Request as Ask};
use super::runner::Runner;
use super::secret::{KeyFileError, SealingKey};
use super::service::{Calls, Service};
use super::staging::Staging;
use super::tasks::{Tasks, TasksError};
use crate::client::Client;
use crate::grid::Grid;

/// The largest message a caller may send: its content comes in pieces.
const MESSAGE_BYTES_MAX: usize = (8 << 20) + (64 << 10);
/// How long callers have, once nothing runs any more, to take their last answers and hang up.
const HANG_UP: Duration = Duration::from_secs(2);

/// A gateway that has taken up what was on record, and runs it.
pub struct Gateway {
    service: Arc<Service>,
    registrar: Registrar,
    thread: JoinHandle<()>,
    runner: Runner,
    runs: tokio::task::JoinHandle<()>,
    config: GatewayConfig,
    /// Contents of no task that were found and removed.
    pub swept: usize,
}

/// Why a gateway cannot begin.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The folder cannot be used.
    #[error("the folder {} cannot be used", folder.display())]
    Folder {
        /// The folder.
        folder: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The key that seals write caps cannot be had.
    #[error(transparent)]
    Key(#[from] KeyFileError),
    /// The record cannot be had.
    #[error(transparent)]
    Tasks(#[from] TasksError),
}

/// Why a gateway stopped without being told to.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The transport failed: look at the address and the network.
    #[error("the gateway cannot serve its listener")]
    Transport(#[from] tonic::transport::Error),
    /// The description of the service is unusable: a broken build.
    #[error("the service's description is unusable")]
    Reflection(#[from] tonic_reflection::server::Error),
}

impl Gateway {
    /// Takes up what is on record in the configuration's folder and goes on with it, on the client's grid. Nobody else may
    /// use that folder meanwhile. Blocks for a look at the record. Must be called within a tokio runtime.
    pub fn open(config: GatewayConfig, client: Client, grid: Grid) -> Result<Self, OpenError> {
        let folder = config.folder.clone();
        let failed = |source| OpenError::Folder { folder: folder.clone(), source };
        std::fs::create_dir_all(&folder).map_err(failed)?;
        let key = SealingKey::load_or_make(
            &folder.join("key"),
            &mut rand::make_rng::<rand_chacha::ChaCha8Rng>(),
        )?;
        let key = Arc::new(key);
        let tasks = Tasks::open(&folder.join("tasks.sqlite"))?;
        let reader = tasks.reader()?;
        let pending = reader.pending()?;
        let (body_max, staged_max) = (config.body_bytes_max, config.staged_bytes_max);
        let inline = reader.inline_bytes()?;
        let pending: std::collections::BTreeSet<_> = pending.iter().map(|row| row.task).collect();
        let staging =
            Staging::open(folder.join("contents"), body_max, staged_max, inline).map_err(failed)?;
        let swept = staging.sweep(|task| pending.contains(&task)).map_err(failed)?;

        let board = Board::default();
        let (record, runners) = (tasks.reader()?, tasks.reader()?);
        let (orders, queue) = mpsc::unbounded_channel();
        let (registrar, thread) =
            Registrar::start(tasks, config.queue, config.keep, board.clone(), orders)?;
        let runner = Runner::new(
            client.clone(),
            registrar.clone(),
            runners,
            staging.clone(),
            Arc::clone(&key),
            board.clone(),
        );
        let runs = tokio::spawn(runner.clone().serve(queue));
        let service = Arc::new(Service {
            client,
            grid,
            registrar: registrar.clone(),
            record: Arc::new(Mutex::new(record)),
            staging,
            key,
            board,
            body_bytes_max: config.body_bytes_max,
            keep: config.keep,
            stopping: CancellationToken::new(),
        });
        Ok(Self { service, registrar, thread, runner, runs, config, swept })
    }

    /// Serves these listeners until `shutdown` resolves. Whoever can reach `local` needs no token; on `listener` the
    /// configuration's token is asked for, if there is one.
    pub async fn serve(
        self,
        listener: Option<TcpListener>,
        local: Option<UnixListener>,
        shutdown: impl Future<Output = ()> + Send,
    ) -> Result<(), ServeError> {
        let stopping = self.service.stopping.clone();
        let cut = CancellationToken::new();
        let tcp = listener.map(|listener| TcpIncoming::from(listener).with_nodelay(Some(true)));
        let service = Arc::clone(&self.service);
        let remote = serve_on(
            &service,
            tcp.map_or_else(|| stream::pending().boxed(), StreamExt::boxed),
            Guard(self.config.token.clone()),
            stopping.clone(),
            &cut,
        );
        let local = local.map(UnixListenerStream::new);
        let local = serve_on(
            &service,
            local.map_or_else(|| stream::pending().boxed(), StreamExt::boxed),
            Guard(None),
            stopping.clone(),
            &cut,
        );
        let mut serving = std::pin::pin!(async { tokio::try_join!(remote, local) });
        let early = tokio::select! {
            biased;
            served = &mut serving => Some(served),
            () = shutdown => None,
        };
        tracing::debug!("stopping");
        stopping.cancel();
        let drain = self.config.drain;
        self.stop(drain).await;
        let served = match early {
            Some(served) => served,
            None => match tokio::time::timeout(HANG_UP, &mut serving).await {
                Ok(served) => served,
                Err(_slow) => {
                    cut.cancel();
                    serving.await
                }
            },
        };
        served.map(|((), ())| ())
    }

    /// Lets what runs end, for a while.
    async fn stop(self, drain: Duration) {
        self.registrar.tell(Ask::Stop);
        let thread = self.thread;
        let ended = tokio::task::spawn_blocking(move || thread.join());
        let runner = self.runner;
        let drained = async {
            // The registrar ends with the last run.
            let _ = ended.await;
            runner.idle().await;
        };
        if tokio::time::timeout(drain, drained).await.is_err() {
            tracing::info!("tasks still run; the next gateway takes them up");
        }
        self.runs.abort();
    }
}

async fn serve_on<C>(
    service: &Arc<Service>,
    incoming: impl Stream<Item = std::io::Result<C>> + Send,
    guard: Guard,
    stopping: CancellationToken,
    cut: &CancellationToken,
) -> Result<(), ServeError>
where
    C: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let gateway = GatewayServer::new(Calls(Arc::clone(service)))
        .max_decoding_message_size(MESSAGE_BYTES_MAX)
        .max_encoding_message_size(MESSAGE_BYTES_MAX);
    let (reporter, health) = tonic_health::server::health_reporter();
    reporter.set_serving::<GatewayServer<Calls>>().await;
    let described = || {
        tonic_reflection::server::Builder::configure()
            .register_encoded_file_descriptor_set(DESCRIPTOR_SET)
            .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
    };
    // Whatever way this ends, no connection outlives it.
    let cut = cut.child_token();
    let _cut_at_last = cut.clone().drop_guard();
    let served = tarn_server::transport()
        .add_service(InterceptedService::new(gateway, guard))
        .add_service(health)
        .add_service(described().build_v1()?)
        // What older tools ask for, and Python's.
        .add_service(described().build_v1alpha()?)
        .serve_with_incoming_shutdown(
            tarn_server::connections(incoming, cut, || ()),
            stopping.cancelled_owned(),
        )
        .await;
    Ok(served?)
}

/// Lets in who sends the token, or everybody if there is none.
#[derive(Clone)]
struct Guard(Option<BearerToken>);

impl Interceptor for Guard {
    fn call(&mut self, request: Request<()>) -> Result<Request<()>, Status> {
        let Some(token) = &self.0 else { return Ok(request) };
        let sent = request.metadata().get("authorization");
        if sent.is_some_and(|sent| token.is_in(sent.as_encoded_bytes())) {
            return Ok(request);
        }
        Err(Status::unauthenticated("send the gateway's token as `authorization: Bearer …`"))
    }
}

impl std::fmt::Debug for Gateway {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Gateway").field("folder", &self.config.folder).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
