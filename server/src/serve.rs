//! A listener in, a running server out. When it is told to stop, no connection is accepted any more, commits under way
//! are finished and answered, and every other call ends; clients that have not hung up a little later are cut off, so
//! that none can hold the server up and nothing of it is left behind.

mod connection;

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use futures::Stream;
use tarn_proto::wire;
use tarn_proto::wire::storage_server::StorageServer;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tonic::transport::server::TcpIncoming;

use crate::admission::Ledger;
use crate::compaction::keep_compacting;
use crate::config::ServerConfig;
use crate::scrub::keep_scrubbing;
use crate::server::Server;
use crate::service::StorageService;
use crate::store::Store;
pub use connection::{Connection, connections};

/// Larger frames than HTTP/2's 16 KiB spare both sides work.
const FRAME_BYTES_MAX: u32 = 256 << 10;
/// What a client may send on one stream before it must wait: small windows halve the speed.
const STREAM_WINDOW_BYTES: u32 = 4 << 20;
/// The same for all streams of a connection.
const CONNECTION_WINDOW_BYTES: u32 = 8 << 20;
/// The largest message either way: two blocks of the largest size.
const MESSAGE_BYTES_MAX: usize = 8 << 20;
/// Calls open at once on one connection.
const STREAMS_MAX: u32 = 1024;
/// How often a silent connection is asked whether it is alive, and how long it may take to answer.
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(20);
const KEEPALIVE_TIMEOUT: Duration = Duration::from_secs(20);
/// What clients of a stopping server have, once its tasks have ended, to take the last answers and hang up.
const DRAIN: Duration = Duration::from_secs(2);

/// Why a server stopped without being told to.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The transport failed: look at the address and the network.
    #[error("the server cannot serve its listener")]
    Transport(#[from] tonic::transport::Error),
    /// The description of the service is unusable: a broken build.
    #[error("the service's description is unusable")]
    Reflection(#[from] tonic_reflection::server::Error),
}

/// Serves a store on a listener until `shutdown` resolves. Commits under way are finished before it returns. Dropped
/// before, it stops at once: commits under way are finished by its runtime, and everything else ends.
pub async fn serve<S: Store>(
    store: Arc<S>,
    config: ServerConfig,
    listener: TcpListener,
    shutdown: impl Future<Output = ()> + Send,
) -> Result<(), ServeError> {
    let incoming = TcpIncoming::from(listener).with_nodelay(Some(true));
    serve_connections(store, config, incoming, shutdown).await
}

/// The same on any connections, such as pipes inside one process.
pub async fn serve_connections<S, C>(
    store: Arc<S>,
    config: ServerConfig,
    incoming: impl Stream<Item = std::io::Result<C>> + Send,
    shutdown: impl Future<Output = ()> + Send,
) -> Result<(), ServeError>
where
    S: Store,
    C: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    run(Server::new(store, config), incoming, shutdown).await
}

pub(crate) async fn run<S, C>(
    server: Arc<Server<S>>,
    incoming: impl Stream<Item = std::io::Result<C>> + Send,
    shutdown: impl Future<Output = ()> + Send,
) -> Result<(), ServeError>
where
    S: Store,
    C: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let cut = CancellationToken::new();
    // Whatever way this ends, no connection outlives it, and no task that would go on without one.
    let _cut_at_last = cut.clone().drop_guard();
    let _stopped_at_last = server.stopping.clone().drop_guard();
    let quota = server.config.limits.connection;
    let incoming = connections(incoming, cut.clone(), move || Ledger::new(quota));
    let storage = StorageServer::new(StorageService::new(Arc::clone(&server)))
        .max_decoding_message_size(MESSAGE_BYTES_MAX)
        .max_encoding_message_size(MESSAGE_BYTES_MAX);
    let (reporter, health) = tonic_health::server::health_reporter();
    reporter.set_serving::<StorageServer<StorageService<S>>>().await;
    let reflection = tonic_reflection::server::Builder::configure()
        .register_encoded_file_descriptor_set(wire::DESCRIPTOR_SET)
        .build_v1()?;

    server.tasks.spawn(keep_compacting(Arc::clone(&server)));
    if let Some(scrubbing) = server.config.scrubbing {
        server.tasks.spawn(keep_scrubbing(Arc::clone(&server), scrubbing));
    }
    let stopping = server.stopping.clone();
    let serving = transport()
        // Until the answer begins: it ends calls whose request never comes whole, and no stream that was opened.
        .timeout(server.config.idle)
        .add_service(storage)
        .add_service(health)
        .add_service(reflection)
        .serve_with_incoming_shutdown(incoming, async move {
            shutdown.await;
            tracing::debug!("stopping");
            stopping.cancel();
        });
    let mut serving = pin!(serving);
    let served = tokio::select! {
        biased;
        served = &mut serving => served,
        () = drained(&server) => {
            cut.cancel();
            serving.await
        }
    };

    server.stopping.cancel();
    server.tasks.close();
    server.tasks.wait().await;
    Ok(served?)
}

/// How connections are served: frames, windows, signs of life. For whoever measures what the transport alone can do.
pub fn transport() -> tonic::transport::Server {
    tonic::transport::Server::builder()
        .max_frame_size(FRAME_BYTES_MAX)
        .initial_stream_window_size(STREAM_WINDOW_BYTES)
        .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
        .max_concurrent_streams(STREAMS_MAX)
        .http2_keepalive_interval(Some(KEEPALIVE_INTERVAL))
        .http2_keepalive_timeout(Some(KEEPALIVE_TIMEOUT))
}

/// Comes back when a stopping server has finished its tasks and its clients have had time to hang up.
async fn drained<S>(server: &Server<S>) {
    server.stopping.cancelled().await;
    server.tasks.close();
    server.tasks.wait().await;
    tokio::time::sleep(DRAIN).await;
}

#[cfg(test)]
mod tests {
    use std::io;

    use rand::SeedableRng;
    use rand_chacha::ChaCha8Rng;
    use tokio::io::DuplexStream;
    use tokio::time::Instant;

    use super::connection::ACCEPT_PAUSE;
    use super::*;
    use crate::store::memory::MemoryStore;
    use crate::testing::STORE;

    #[tokio::test]
    async fn accepting_rests_after_it_failed() {
        let store = Arc::new(MemoryStore::new(STORE, 0, ChaCha8Rng::seed_from_u64(1)));
        let failures = (0..3).map(|_| Err::<DuplexStream, _>(io::Error::other("no descriptors")));
        let begun = Instant::now();
        let incoming = futures::stream::iter(failures);
        serve_connections(store, ServerConfig::default(), incoming, std::future::pending())
            .await
            .unwrap();
        assert!(begun.elapsed() >= 3 * ACCEPT_PAUSE);
    }
}
