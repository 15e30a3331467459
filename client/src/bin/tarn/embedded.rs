//! The embedded default: ten storage servers inside this process, on loopback, for a machine where nobody
//! configured anything. Their data belongs to one command at a time.

use std::net::Ipv4Addr;
use std::path::Path;
use std::time::Duration;

use futures::future::{join_all, try_join_all};
use tarn_client::grid::{Grid, GridServer};
use tarn_server::ServerConfig;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::error::CommandError;
use crate::home;
use crate::lock::{FileLock, Locked};
use crate::output;
use crate::servers::{self, Server};

/// How many servers there are.
const SERVERS: usize = 10;
/// How long one command waits for another that has them.
const PATIENCE: Duration = Duration::from_secs(30);

/// The running servers.
#[derive(Debug)]
pub(crate) struct Embedded {
    grid: Grid,
    servers: Vec<Server>,
    shutdown: CancellationToken,
    // Last, so that the data is free only when nobody serves it any more.
    _lock: FileLock,
}

impl Embedded {
    /// Starts the servers whose data is in this folder, making what lacks, as soon as no other command has them.
    pub(crate) async fn start(folder: &Path) -> Result<Self, CommandError> {
        home::create_folder(folder)
            .map_err(|error| CommandError::file("create the folder", folder, &error))?;
        let lock = lock(folder).await?;
        let shutdown = CancellationToken::new();
        // A start that fails or is dropped stops what it had started.
        let guard = shutdown.clone().drop_guard();
        let starts = (0..SERVERS).map(|number| start(folder, number, shutdown.clone()));
        let servers = try_join_all(starts).await?;
        let listed =
            servers.iter().map(|server| GridServer::new(server.store, server.address.into()));
        let grid = Grid::new(listed.collect()).map_err(CommandError::failed)?;
        Ok(Self { grid, servers, shutdown: guard.disarm(), _lock: lock })
    }

    /// The servers, for a client.
    pub(crate) const fn grid(&self) -> &Grid {
        &self.grid
    }

    /// Stops the servers and waits until everything they took in is durable.
    pub(crate) async fn stop(self) -> Result<(), CommandError> {
        self.shutdown.cancel();
        let ends = join_all(self.servers.into_iter().map(Server::ended)).await;
        ends.into_iter().collect()
    }
}

async fn start(
    folder: &Path,
    number: usize,
    shutdown: CancellationToken,
) -> Result<Server, CommandError> {
    let data = folder.join(format!("server-{number:02}"));
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await;
    let listener = listener.map_err(|error| {
        CommandError::failed(format_args!("cannot listen on loopback: {error}"))
    })?;
    let store = servers::open_or_init(&data).await?;
    Server::start(store, listener, ServerConfig::default(), shutdown)
}

async fn lock(folder: &Path) -> Result<FileLock, CommandError> {
    let path = folder.join("lock");
    let waiting = |pid: Option<u32>| {
        let who = pid.map(|pid| format!(" (process {pid})"));
        output::say(format_args!(
            "waiting up to {} s for another command{} that uses the embedded servers",
            PATIENCE.as_secs(),
            who.unwrap_or_default()
        ));
    };
    match FileLock::acquire(&path, PATIENCE, waiting).await {
        Ok(Locked::Ours(lock)) => Ok(lock),
        Ok(Locked::Held(pid)) => {
            let who = pid.map(|pid| format!(" (process {pid})"));
            Err(CommandError::failed(format_args!(
                "another command{} uses the embedded servers",
                who.unwrap_or_default()
            ))
            .hint("try again, or run `tarn cluster start`, which many commands can use at once"))
        }
        Err(error) => Err(CommandError::file("lock", &path, &error)),
    }
}

#[cfg(test)]
mod tests {
    use tarn_client::transport::ServerClient;

    use super::*;

    async fn answering(embedded: &Embedded) -> usize {
        let asks = embedded.grid().servers().iter().map(|server| async {
            let address = server.address.to_string();
            let client = ServerClient::dial(server.store, address, None).unwrap();
            client.describe(Duration::from_secs(10)).await.unwrap();
        });
        join_all(asks).await.len()
    }

    #[tokio::test]
    async fn ten_servers_answer_and_come_back_with_their_data() {
        let folder = tempfile::tempdir().unwrap();
        let stores = |embedded: &Embedded| {
            let servers = embedded.grid().servers().iter();
            servers.map(|server| server.store).collect::<Vec<_>>()
        };
        let first = Embedded::start(folder.path()).await.unwrap();
        assert_eq!(answering(&first).await, SERVERS);
        let before = stores(&first);
        first.stop().await.unwrap();
        let second = Embedded::start(folder.path()).await.unwrap();
        assert_eq!(stores(&second), before);
        second.stop().await.unwrap();
    }

    #[tokio::test]
    async fn a_second_command_has_them_when_the_first_is_done() {
        let folder = tempfile::tempdir().unwrap();
        let first = Embedded::start(folder.path()).await.unwrap();
        let second = tokio::spawn({
            let folder = folder.path().to_owned();
            async move { Embedded::start(&folder).await }
        });
        assert_eq!(answering(&first).await, SERVERS);
        assert!(!second.is_finished());
        first.stop().await.unwrap();
        let second = second.await.unwrap().unwrap();
        assert_eq!(answering(&second).await, SERVERS);
        second.stop().await.unwrap();
    }
}
