//! The second lane: the shipped client over real tonic, real drivers, and the shipped server, on simulated connections
//! and disks, on one thread in virtual time, from one seed. It checks the shell around the machines; the machines
//! themselves are searched by the main lane.
//!
//! ```text
//!  callers ─▶ Publishing, retrieve ─▶ tonic ─▶ pipe ═══ network ═══ pipe ─▶ serve_connections ─▶ Disk ─▶ MemoryStore
//!     │                                             ▲ hold, slow, reset, refuse          ▲ stall, fail, crash
//!     └──▶ oracle ◀── checks                        └──────────── faults ────────────────┘
//! ```
//!
//! Two phases: first anything may fail, and only safety is checked; then the network heals, and everything must end and
//! be possible again. The same options give the same log, byte for byte: nothing here, nor below, may depend on a thread,
//! a clock, a hash seed or chance.

mod callers;
mod checks;
mod disk;
mod faults;
mod files;
mod frames;
mod machine;
mod names;
mod network;
mod options;
mod oracle;
mod pipe;
mod report;
mod world;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::runtime::{Builder, Handle};
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;

pub use faults::FaultKind;
pub use options::{Options, Planted};
pub use report::{Broken, Promise, Report, Violation};

use callers::Caller;
use checks::{p10, p11};
use faults::Stage;
use files::File;
use machine::{Machine, store_id};
use network::Network;
use world::{HostId, ServerId, World};

/// Everything that was begun before the network healed has ended so long after.
const ENDS_WITHIN: Duration = Duration::from_secs(300);
/// So long after the last operation ended, nothing of any is left.
const GONE_WITHIN: Duration = Duration::from_secs(120);
/// How often it is looked whether something has ended.
const LOOK_EVERY: Duration = Duration::from_millis(20);
/// What a server may take to say what it promises.
const ASK_DEADLINE: Duration = Duration::from_secs(10);

/// Plays one run to its end. Must not be called within a tokio runtime: it makes its own, with a clock of its own.
pub fn run(options: &Options) -> Result<Report, Violation> {
    let runtime = Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .expect("a runtime without I/O needs nothing of the system");
    runtime.block_on(play(options))
}

async fn play(options: &Options) -> Result<Report, Violation> {
    let world = World::new();
    let run = Run::new(options, Arc::clone(&world));
    let over = world.over.notified();
    let settled_in = tokio::select! {
        biased;
        () = over => Duration::ZERO,
        settled_in = run.play() => settled_in,
    };
    if world.broken().is_some() {
        run.log_slots();
    }
    let log = world.take_log();
    if let Some(broken) = world.broken() {
        let Promise { id: promise, sentence } = broken.promise;
        return Err(Violation { promise, sentence, detail: broken.detail, log });
    }
    let counts = world.take_counts();
    Ok(Report {
        rpcs: counts.rpcs,
        connections: counts.connections,
        faults: counts.faults,
        outcomes: counts.outcomes,
        elapsed: world.elapsed(),
        settled_in,
        log,
    })
}

/// A run and all its parts.
struct Run {
    options: Options,
    world: Arc<World>,
    network: Arc<Network>,
    stage: Stage,
    files: Arc<Vec<File>>,
    healed: CancellationToken,
}

impl Run {
    fn new(options: &Options, world: Arc<World>) -> Self {
        let network = Network::new(options, Arc::clone(&world));
        let servers = (0..options.servers).map(ServerId);
        let machines = servers.map(|id| Machine::new(options, id, &network, &world)).collect();
        let callers = options.writers + options.readers;
        let stage = Stage {
            network: Arc::clone(&network),
            machines: Arc::new(Mutex::new(machines)),
            hosts: (0..callers).map(HostId).collect(),
            world: Arc::clone(&world),
        };
        let files = (0..options.files).map(|number| File::new(options, number));
        Self {
            options: options.clone(),
            world,
            network,
            stage,
            files: Arc::new(files.collect()),
            healed: CancellationToken::new(),
        }
    }

    /// Both phases, and what must be true in the end. Returns how long it took to settle after healing.
    async fn play(&self) -> Duration {
        self.stage.machines().iter_mut().for_each(Machine::start);
        tokio::time::sleep(LOOK_EVERY).await;
        let servers_alone = alive();

        let mut faults = JoinSet::new();
        for (&kind, &mean) in &self.options.faults {
            let (stage, options, healed) =
                (self.stage.clone(), self.options.clone(), self.healed.clone());
            faults.spawn(stage.trouble(options, kind, mean, healed));
        }
        let mut callers = self.callers();
        let all_done = async { while callers.join_next().await.is_some() {} };
        drop(timeout(self.options.faults_for, all_done).await);

        self.healed.cancel();
        while faults.join_next().await.is_some() {}
        self.heal();
        let healed_at = Instant::now();
        self.require_end(async { while callers.join_next().await.is_some() {} }).await;
        let settled_in = healed_at.elapsed();

        self.require_gone(servers_alone).await;
        self.require_no_promises().await;
        self.require_end(self.caller(HostId(u8::MAX)).prove()).await;
        self.require_gone(servers_alone).await;
        self.require_stores();
        self.require_end(self.stop()).await;
        self.world.require(p10::check_tasks(alive(), 0));
        settled_in
    }

    fn callers(&self) -> JoinSet<()> {
        let mut callers = JoinSet::new();
        for host in (0..self.options.writers).map(HostId) {
            callers.spawn(self.caller(host).write(self.healed.clone()));
        }
        for reader in 0..self.options.readers {
            let host = HostId(self.options.writers + reader);
            callers.spawn(self.caller(host).read_only(self.healed.clone()));
        }
        callers
    }

    fn caller(&self, host: HostId) -> Caller {
        Caller::new(host, &self.options, &self.world, &self.network, &self.files)
    }

    /// From now on nothing fails any more.
    fn heal(&self) {
        self.network.calm();
        for machine in self.stage.machines().iter_mut() {
            machine.start();
            machine.store.mend();
        }
        self.world.log("HEAL", "all faults are taken back");
    }

    /// Everything that is done on a healed network ends before long.
    async fn require_end(&self, story: impl Future<Output = ()>) {
        let begun = Instant::now();
        let mut late = Vec::new();
        if timeout(ENDS_WITHIN, story).await.is_err() {
            late = self.world.oracle(|oracle| oracle.under_way());
            late.push("what a healed network was asked".to_owned());
        }
        self.world.require(p11::check(&late, begun.elapsed()));
    }

    /// When nobody calls, no task is left but the servers' own.
    async fn require_gone(&self, servers_alone: usize) {
        let gone = async {
            while alive() != servers_alone {
                tokio::time::sleep(LOOK_EVERY).await;
            }
        };
        drop(timeout(GONE_WITHIN, gone).await);
        self.world.log("END", "nothing is left of what was begun");
        self.world.require(p10::check_tasks(alive(), servers_alone));
    }

    /// When nobody writes, no server holds a promise.
    async fn require_no_promises(&self) {
        let caller = self.caller(HostId(u8::MAX - 1));
        for file in self.files.iter() {
            for server in (0..self.options.servers).map(ServerId) {
                let Some(client) = caller.clients.get(&store_id(server)) else { continue };
                let slot = file.storage_index();
                match client.read_slot(slot, None, None, ASK_DEADLINE).await {
                    Ok(state) => {
                        self.world.require(p10::check_promise(server, state.promised_ms));
                    }
                    Err(error) => {
                        let told = format!("{server} does not say what it holds: {error}");
                        self.world.require(p11::check_untroubled(false, &told));
                    }
                }
            }
        }
    }

    fn log_slots(&self) {
        for machine in self.stage.machines().iter() {
            self.files.iter().for_each(|file| machine.log_slot(file.storage_index()));
        }
    }

    /// Every store holds what it acknowledged, and nothing that nobody names.
    fn require_stores(&self) {
        for machine in self.stage.machines().iter() {
            let files = self.files.iter().map(File::storage_index);
            let manifests: Vec<_> = files.map(|file| machine.look(file)).collect();
            let chunks = machine.store.chunks();
            self.world.require(p10::check_chunks(machine.id, &chunks, &manifests));
        }
    }

    /// Stops every server.
    async fn stop(&self) {
        let mut machines = std::mem::take(&mut *self.stage.machines());
        for machine in &mut machines {
            machine.stop().await;
        }
    }
}

/// Tasks that have begun and not ended.
fn alive() -> usize {
    Handle::current().metrics().num_alive_tasks()
}

#[cfg(test)]
mod tests;
