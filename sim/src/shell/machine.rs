//! One server's machine: a disk that lasts, and the process on it that serves until it crashes or is stopped.

use std::sync::Arc;

use futures::stream::poll_fn;
use rand_chacha::ChaCha8Rng;
use tarn_proto::{SignedHeader, StorageIndex, StoreId};
use tarn_server::manifest::Manifest;
use tarn_server::store::Store;
use tarn_server::store::memory::{Hold, MemoryStore, Operation};
use tarn_server::{ServeError, ServerConfig, serve_connections};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::disk::{Disk, Lives};
use super::network::Network;
use super::options::{Options, Planted};
use super::world::{ServerId, World};
use crate::streams::stream;

/// Room on each disk: more than a run needs.
const CAPACITY: u64 = 1 << 30;

/// A server, running or not.
pub(super) struct Machine {
    pub(super) id: ServerId,
    pub(super) store: MemoryStore,
    config: ServerConfig,
    planted: Option<Planted>,
    lives: Lives,
    network: Arc<Network>,
    world: Arc<World>,
    running: Option<Process>,
}

struct Process {
    stop: CancellationToken,
    serving: JoinHandle<Result<(), ServeError>>,
}

impl Machine {
    pub(super) fn new(
        options: &Options,
        id: ServerId,
        network: &Arc<Network>,
        world: &Arc<World>,
    ) -> Self {
        let rng: ChaCha8Rng = stream(options.seed, "disk", id.0.into());
        Self {
            id,
            store: MemoryStore::new(store_id(id), CAPACITY, rng),
            config: ServerConfig {
                promise: options.promise,
                // A thread would come back at a moment of its own.
                hash_in_place_max: usize::MAX,
                ..ServerConfig::default()
            },
            planted: options.planted,
            lives: Lives::default(),
            network: Arc::clone(network),
            world: Arc::clone(world),
            running: None,
        }
    }

    pub(super) const fn is_running(&self) -> bool {
        self.running.is_some()
    }

    /// Starts the process, unless it runs.
    pub(super) fn start(&mut self) {
        if self.is_running() {
            return;
        }
        let (world, memory) = (Arc::clone(&self.world), self.store.clone());
        let disk = Disk::new(self.id, memory, &self.lives, world, self.planted);
        let mut incoming = self.network.listen(self.id);
        let stop = CancellationToken::new();
        let serving = serve_connections(
            Arc::new(disk),
            self.config.clone(),
            poll_fn(move |context| incoming.poll_recv(context)),
            stop.clone().cancelled_owned(),
        );
        self.running = Some(Process { stop, serving: tokio::spawn(serving) });
        self.world.log(self.id, "starts");
    }

    /// The power fails. What still runs of the process hears nothing, says nothing and changes nothing.
    pub(super) fn crash(&mut self) {
        if self.running.take().is_some() {
            self.network.kill(self.id);
            self.lives.end();
            self.store.crash();
            self.world.log(self.id, "crashes");
            for file in self.world.oracle(|oracle| oracle.files_of(self.store.id())) {
                self.look(file);
            }
        }
    }

    /// What a slot holds, shown to the checkers. Makes what was begun durable, unless the disk stalls.
    pub(super) fn look(&self, file: StorageIndex) -> Manifest {
        let mut found = Manifest::default();
        self.store.tamper(file, |manifest| found = manifest.clone());
        let kept = self.world.oracle(|oracle| oracle.holds(self.store.id(), file, &found));
        self.world.require(kept);
        found
    }

    /// Keeps changes from becoming durable until the answer is dropped.
    pub(super) fn hold_disk(&self) -> Hold {
        self.store.hold_changes()
    }

    /// The next operation of this kind fails.
    pub(super) fn fail_disk(&self, operation: Operation) {
        self.store.fail_next(operation);
    }

    /// Logs what a slot holds, for whoever has to find out what went wrong.
    pub(super) fn log_slot(&self, file: StorageIndex) {
        let mut found = Manifest::default();
        self.store.tamper(file, |manifest| found = manifest.clone());
        let order = |header: &SignedHeader| {
            let (sequence_number, version) = header.order();
            format!("{} {version:?}", sequence_number.get())
        };
        let Manifest { floor, sealed, generations, certificates, .. } = &found;
        let held = generations.iter().map(|held| {
            let shares: Vec<_> = held.shares.keys().map(|share| share.get()).collect();
            format!("{} {shares:?} {:?}", order(&held.header), held.origin)
        });
        let (held, floor): (Vec<_>, _) = (held.collect(), floor.as_ref().map(order));
        let certified = certificates.iter().map(|certificate| certificate.version());
        let certified: Vec<_> = certified.collect();
        self.world.log(
            self.id,
            format_args!(
                "holds {held:?}, floor {floor:?}, sealed {sealed:?}, certified {certified:?}"
            ),
        );
    }

    /// Stops the process as its owner would, and waits until it has ended.
    pub(super) async fn stop(&mut self) {
        if let Some(process) = self.running.take() {
            self.network.close(self.id);
            process.stop.cancel();
            let served = process.serving.await;
            let how = if matches!(served, Ok(Ok(()))) { "stops" } else { "stops with an error" };
            self.world.log(self.id, how);
        }
    }
}

/// The id of a server's store.
pub(super) const fn store_id(server: ServerId) -> StoreId {
    StoreId::new([server.0 + 1; 16])
}
