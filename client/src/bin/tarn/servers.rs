//! Storage servers inside this process, one or ten: the one place where the command meets the server crate.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use rand::rngs::StdRng;
use tarn_proto::StoreId;
use tarn_server::store::Store;
use tarn_server::store::local::{InitError, LocalStore, OpenError};
use tarn_server::{ServeError, ServerConfig};
use tokio::net::TcpListener;
use tokio::task::{JoinHandle, spawn_blocking};
use tokio_util::sync::CancellationToken;

use crate::error::{CommandError, chain};

/// A running server.
#[derive(Debug)]
pub(crate) struct Server {
    /// The store it serves.
    pub(crate) store: StoreId,
    /// Where it listens.
    pub(crate) address: SocketAddr,
    task: JoinHandle<Result<(), ServeError>>,
}

impl Server {
    /// Serves a store on a listener until `shutdown` is cancelled.
    pub(crate) fn start(
        store: LocalStore,
        listener: TcpListener,
        config: ServerConfig,
        shutdown: CancellationToken,
    ) -> Result<Self, CommandError> {
        let address = listener
            .local_addr()
            .map_err(|error| CommandError::failed(format_args!("cannot listen: {error}")))?;
        let id = store.id();
        let store = Arc::new(store);
        let task = tokio::spawn(async move {
            let serving = Arc::clone(&store);
            let outcome = tarn_server::serve(serving, config, listener, shutdown.cancelled()).await;
            // Closing a store waits for the disk.
            if let Err(panicked) = spawn_blocking(move || drop(store)).await {
                tracing::error!("closing the store failed: {panicked}");
            }
            outcome
        });
        Ok(Self { store: id, address, task })
    }

    /// Waits until the server has ended: commits under way are finished and its store is closed.
    pub(crate) async fn ended(self) -> Result<(), CommandError> {
        let failed = |error: &dyn std::error::Error| {
            CommandError::failed(format_args!("store {}: {}", self.store, chain(error)))
        };
        match self.task.await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) => Err(failed(&error)),
            Err(error) => Err(failed(&error)),
        }
    }
}

/// Makes a folder a store and draws its id.
pub(crate) async fn init(folder: &Path) -> Result<StoreId, CommandError> {
    on_disk(folder, |folder| {
        LocalStore::init(folder, &mut os_rng()).map_err(|error| init_failed(&error))
    })
    .await
}

/// Opens the store in a folder.
pub(crate) async fn open(folder: &Path) -> Result<LocalStore, CommandError> {
    on_disk(folder, open_now).await
}

/// Opens the store in a folder, making it if there is none.
pub(crate) async fn open_or_init(folder: &Path) -> Result<LocalStore, CommandError> {
    on_disk(folder, |folder| match LocalStore::init(folder, &mut os_rng()) {
        Ok(_) | Err(InitError::AlreadyInitialised { .. }) => open_now(folder),
        Err(error) => Err(init_failed(&error)),
    })
    .await
}

/// A generator seeded by the operating system: the command is the edge.
pub(crate) fn os_rng() -> StdRng {
    rand::make_rng()
}

fn open_now(folder: &Path) -> Result<LocalStore, CommandError> {
    // How much of the disk stays free is the server's to say, not the store's.
    LocalStore::open(folder, 0, os_rng()).map_err(|error| match error {
        OpenError::NotInitialised { .. } => {
            CommandError::usage(error).hint(format_args!("`tarn server init {}`", folder.display()))
        }
        OpenError::InUse { .. } | OpenError::Store(_) => CommandError::failed(chain(&error)),
    })
}

fn init_failed(error: &InitError) -> CommandError {
    CommandError::failed(chain(error))
}

/// Runs what waits for the disk where it holds nobody up.
async fn on_disk<T: Send + 'static>(
    folder: &Path,
    work: impl FnOnce(&Path) -> Result<T, CommandError> + Send + 'static,
) -> Result<T, CommandError> {
    let folder = folder.to_owned();
    spawn_blocking(move || work(&folder))
        .await
        .unwrap_or_else(|panicked| Err(CommandError::failed(panicked)))
}
