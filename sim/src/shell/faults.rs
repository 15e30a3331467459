//! Faults: each a named value with a scope, drawn from a stream of its kind, logged before it is done, and taken back
//! after a while. All are taken back when the network heals.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rand::RngExt;
use rand::seq::IndexedRandom;
use rand_chacha::ChaCha8Rng;
use tarn_server::store::memory::Operation;
use tokio_util::sync::CancellationToken;

use super::machine::Machine;
use super::network::{Link, Network};
use super::options::Options;
use super::pipe::Way;
use super::world::{HostId, ServerId, World};
use crate::streams::stream;

/// What can happen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum FaultKind {
    /// Some servers cannot be reached by anybody.
    Partition,
    /// One way between a process and a server stands still.
    Hold,
    /// A connection breaks.
    Reset,
    /// A server's host refuses to be dialled.
    Refuse,
    /// All ways to and from a server take longer.
    Slow,
    /// A server loses power, with what it had not synced lost, torn or kept, and comes back.
    Crash,
    /// A server's disk makes nothing durable for a while.
    DiskStall,
    /// An operation of a server's disk fails.
    DiskFailure,
}

impl FaultKind {
    /// Every kind.
    pub const ALL: [Self; 8] = [
        Self::Partition,
        Self::Hold,
        Self::Reset,
        Self::Refuse,
        Self::Slow,
        Self::Crash,
        Self::DiskStall,
        Self::DiskFailure,
    ];

    /// Its name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Partition => "partition",
            Self::Hold => "hold",
            Self::Reset => "reset",
            Self::Refuse => "refuse",
            Self::Slow => "slow",
            Self::Crash => "crash",
            Self::DiskStall => "disk-stall",
            Self::DiskFailure => "disk-failure",
        }
    }

    /// The longest it lasts. Long ones outlast every deadline there is.
    const fn lasts_ms_max(self) -> u64 {
        match self {
            Self::Partition | Self::Hold => 90_000,
            Self::Crash | Self::Slow => 30_000,
            Self::Refuse => 10_000,
            Self::DiskStall => 20_000,
            Self::Reset | Self::DiskFailure => 0,
        }
    }
}

impl fmt::Display for FaultKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// One fault with its scope.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Fault {
    Partition { away: Vec<ServerId> },
    Hold { link: Link, way: Way },
    Reset { choice: usize },
    Refuse { server: ServerId },
    Slow { server: ServerId, by: Duration },
    Crash { server: ServerId },
    DiskStall { server: ServerId },
    DiskFailure { server: ServerId, operation: Operation },
}

/// What faults happen to.
#[derive(Clone)]
pub(super) struct Stage {
    pub(super) network: Arc<Network>,
    pub(super) machines: Arc<Mutex<Vec<Machine>>>,
    pub(super) hosts: Vec<HostId>,
    pub(super) world: Arc<World>,
}

impl Stage {
    pub(super) fn machines(&self) -> MutexGuard<'_, Vec<Machine>> {
        self.machines.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn on<T>(&self, server: ServerId, act: impl FnOnce(&mut Machine) -> T) -> T {
        act(&mut self.machines()[usize::from(server.0)])
    }

    /// Every way to and from a server.
    fn ways(&self, server: ServerId) -> Vec<(Link, Way)> {
        let links = self.hosts.iter().map(|&host| (host, server));
        links.flat_map(|link| Way::BOTH.map(|way| (link, way))).collect()
    }

    /// Faults of one kind, one after another, until the network heals.
    pub(super) async fn trouble(
        self,
        options: Options,
        kind: FaultKind,
        mean: Duration,
        healed: CancellationToken,
    ) {
        let mut rng = stream(options.seed, kind.name(), 0);
        while let Some(()) = healed.run_until_cancelled(pause(&mut rng, mean)).await {
            let fault = draw(kind, &self, &options, &mut rng);
            let lasts = Duration::from_millis(rng.random_range(0..=kind.lasts_ms_max()));
            self.world.log("FAULT", format_args!("{fault:?} for {lasts:?}"));
            self.world.count(|counts| *counts.faults.entry(kind.name()).or_default() += 1);
            // Ended early, it is taken back early.
            self.happen(fault, healed.run_until_cancelled(tokio::time::sleep(lasts))).await;
        }
    }

    /// The fault happens, lasts, and is taken back.
    async fn happen(&self, fault: Fault, lasts: impl Future<Output = Option<()>>) {
        match fault {
            Fault::Partition { away } => {
                let ways: Vec<_> = away.iter().flat_map(|&server| self.ways(server)).collect();
                self.network.hold(&ways, true);
                lasts.await;
                self.network.hold(&ways, false);
            }
            Fault::Hold { link, way } => {
                self.network.hold(&[(link, way)], true);
                lasts.await;
                self.network.hold(&[(link, way)], false);
            }
            Fault::Reset { choice } => {
                if let Some((number, link)) = self.network.reset(choice) {
                    self.world.log(link.0, format_args!("loses connection {number} to {}", link.1));
                }
            }
            Fault::Refuse { server } => {
                self.network.refuse(server, true);
                lasts.await;
                self.network.refuse(server, false);
            }
            Fault::Slow { server, by } => {
                let ways = self.ways(server);
                self.network.slow(&ways, by);
                lasts.await;
                self.network.slow(&ways, Duration::ZERO);
            }
            Fault::Crash { server } => {
                self.on(server, Machine::crash);
                lasts.await;
                self.on(server, Machine::start);
            }
            Fault::DiskStall { server } => {
                let stalled = self.on(server, |machine| machine.hold_disk());
                lasts.await;
                drop(stalled);
            }
            Fault::DiskFailure { server, operation } => {
                self.on(server, |machine| machine.fail_disk(operation));
            }
        }
    }
}

fn draw(kind: FaultKind, stage: &Stage, options: &Options, rng: &mut ChaCha8Rng) -> Fault {
    let server = ServerId(rng.random_range(0..options.servers));
    match kind {
        FaultKind::Partition => {
            let away: Vec<_> =
                (0..options.servers).filter(|_| rng.random()).map(ServerId).collect();
            Fault::Partition { away }
        }
        FaultKind::Hold => {
            let host = *stage.hosts.choose(rng).expect("a run has processes");
            let way = if rng.random() { Way::ToServer } else { Way::ToClient };
            Fault::Hold { link: (host, server), way }
        }
        FaultKind::Reset => Fault::Reset { choice: rng.random_range(0..1_000) },
        FaultKind::Refuse => Fault::Refuse { server },
        FaultKind::Slow => {
            Fault::Slow { server, by: Duration::from_millis(rng.random_range(1..=8_000)) }
        }
        FaultKind::Crash => Fault::Crash { server },
        FaultKind::DiskStall => Fault::DiskStall { server },
        FaultKind::DiskFailure => {
            let operation = *[
                Operation::Load,
                Operation::Replace,
                Operation::Answer,
                Operation::Append,
                Operation::Finish,
                Operation::Read,
            ]
            .choose(rng)
            .expect("there are operations");
            Fault::DiskFailure { server, operation }
        }
    }
}

/// A rest that is this long in the mean.
async fn pause(rng: &mut ChaCha8Rng, mean: Duration) {
    let millis = u64::try_from(mean.as_millis()).unwrap_or(u64::MAX);
    tokio::time::sleep(Duration::from_millis(rng.random_range(0..=2 * millis))).await;
}
