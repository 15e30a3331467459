//! Real servers on loopback with stores in memory, inside the test's process, and a client of them.
#![allow(clippy::unwrap_used, reason = "a test ends where its stage cannot be set")]

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use tarn_client::base::Origin;
use tarn_client::caps::{WriteCap, fresh_attempt_id};
use tarn_client::client::{Client, PublishOptions};
use tarn_client::encode::source::Source;
use tarn_client::grid::{Grid, GridServer};
use tarn_client::publish::Follows;
use tarn_client::publish::outcome::{Outcome, Published, Report};
use tarn_client::publish::publishing::NoJournal;
use tarn_client::servermap::Patience;
use tarn_client::time::Millis;
use tarn_proto::{Shape, StoreId, Window};
use tarn_server::ServerConfig;
use tarn_server::store::memory::MemoryStore;
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

/// Servers that can be stopped one by one; all end with the test's runtime.
pub(crate) struct RealGrid {
    pub(crate) grid: Grid,
    pub(crate) servers: Vec<RealServer>,
    seed: u64,
}

pub(crate) struct RealServer {
    #[allow(dead_code, reason = "not every test that uses this stage looks into its stores")]
    pub(crate) store: Arc<MemoryStore>,
    stop: Option<oneshot::Sender<()>>,
    task: JoinHandle<()>,
}

impl RealGrid {
    pub(crate) async fn start(count: u8) -> Self {
        let mut servers = Vec::new();
        let mut listed = Vec::new();
        for number in 0..count {
            let id = StoreId::new([number + 1; 16]);
            let rng = ChaCha8Rng::seed_from_u64(number.into());
            let store = Arc::new(MemoryStore::new(id, 8 << 30, rng));
            let (address, server) = serve(store).await;
            listed.push(GridServer::new(id, address.to_string().parse().unwrap()));
            servers.push(server);
        }
        Self { grid: Grid::new(listed).unwrap(), servers, seed: 0 }
    }

    pub(crate) fn client(&self) -> Client {
        // No server here is slow: only this machine may be.
        let patience = Patience { floor: Millis(2_000), ..Patience::default() };
        Client::connect(&self.grid).unwrap().with_patience(patience)
    }

    /// Stops a server; its connections end.
    pub(crate) async fn stop(&mut self, number: usize) {
        let server = &mut self.servers[number];
        server.stop.take().unwrap().send(()).unwrap();
        (&mut server.task).await.unwrap();
    }

    /// Puts an empty server in the place of this one, with its store id.
    #[allow(dead_code, reason = "not every test that uses this stage loses disks")]
    pub(crate) async fn empty(&mut self, number: u8) {
        self.stop(number.into()).await;
        let listed = &self.grid.servers()[usize::from(number)];
        let (id, address) = (listed.store, listed.address.to_string());
        let rng = ChaCha8Rng::seed_from_u64(number.into());
        let listener = TcpListener::bind(address).await.unwrap();
        let store = Arc::new(MemoryStore::new(id, 8 << 30, rng));
        self.servers[usize::from(number)] = serve_at(store, listener).1;
    }

    /// Options for an overwrite by the file's creator.
    pub(crate) fn options(&mut self, file: &File) -> PublishOptions {
        self.seed += 1;
        let mut rng = ChaCha8Rng::seed_from_u64(self.seed);
        PublishOptions {
            origin: file.origin.clone(),
            follows: Follows::Whatever,
            shape: None,
            first_shape: file.shape,
            attempt: fresh_attempt_id(&mut rng, Duration::from_secs(self.seed)),
            first_try: true,
            tombstone: false,
            high_water: None,
            spent: None,
            suspects: BTreeSet::new(),
            left: None,
            journal: Arc::new(NoJournal),
            rng,
        }
    }

    /// Publishes and waits for everything, courtesies included.
    pub(crate) async fn publish(&mut self, file: &File, content: impl Into<Bytes>) -> Report {
        let options = self.options(file);
        let source = Source::Bytes(content.into());
        let mut publishing = self.client().publish(file.cap.clone(), source, options);
        let report = publishing.report().await.unwrap();
        publishing.settled().await;
        report
    }
}

async fn serve(store: Arc<MemoryStore>) -> (SocketAddr, RealServer) {
    serve_at(store, TcpListener::bind("127.0.0.1:0").await.unwrap())
}

fn serve_at(store: Arc<MemoryStore>, listener: TcpListener) -> (SocketAddr, RealServer) {
    let address = listener.local_addr().unwrap();
    let (stop, stopped) = oneshot::channel::<()>();
    let served = Arc::clone(&store);
    let task = tokio::spawn(async move {
        let stopped = async { drop(stopped.await) };
        let config = ServerConfig {
            // Whoever waits until a server is at rest waits for certificates too.
            certificate_waits: Duration::ZERO,
            // What is changed behind a server's back is to be seen.
            idle_slots_bytes_max: 0,
            ..ServerConfig::default()
        };
        tarn_server::serve(served, config, listener, stopped).await.unwrap();
    });
    (address, RealServer { store, stop: Some(stop), task })
}

/// A file whose window was drawn.
pub(crate) struct File {
    pub(crate) cap: WriteCap,
    pub(crate) origin: Origin,
    pub(crate) shape: Shape,
}

impl File {
    pub(crate) fn new(grid: &mut RealGrid, shape: Shape) -> Self {
        grid.seed += 1;
        let cap = WriteCap::generate(&mut ChaCha8Rng::seed_from_u64(grid.seed));
        let window: Window =
            grid.client().choose_window(cap.verify_cap().storage_index(), shape).unwrap();
        Self { cap, origin: Origin::Creator(window), shape }
    }
}

pub(crate) fn published(report: Report) -> Published {
    let Outcome::Published(published) = report.outcome else { panic!("{report:#?}") };
    published
}
