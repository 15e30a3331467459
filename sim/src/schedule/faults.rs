//! What befalls servers and clients: when, whom, and how it passes. Each kind strikes again after a while of its own.

use rand::RngExt;

use crate::event::{Event, Fate, Lie, Manner};
use crate::ids::{ClientId, ServerId};
use crate::promises::Broken;
use crate::world::Server;

use super::{Plan, Run};

/// A kind of fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Fault {
    Crash,
    Replacement,
    Rot,
    Clock,
    Refusal,
    Kill,
    Cancel,
    Stall,
    Partition,
}

impl Fault {
    const ALL: [Self; 9] = [
        Self::Crash,
        Self::Replacement,
        Self::Rot,
        Self::Clock,
        Self::Refusal,
        Self::Kill,
        Self::Cancel,
        Self::Stall,
        Self::Partition,
    ];
}

impl Run {
    pub(super) fn plan_faults(&mut self) {
        for fault in Fault::ALL {
            self.plan_next(0, fault);
        }
        for (server, lie) in self.options.faults.liars.clone() {
            let at = self.faults.random_range(0..self.options.horizon);
            self.plan(at, Plan::Lie(ServerId(server), lie));
        }
    }

    /// A server begins to lie. It knows the newest version there is by then.
    pub(super) fn lie(&mut self, at: u64, server: ServerId, lie: Lie) -> Result<(), Broken> {
        let manner = Manner::Lying(lie);
        self.inject(at, "lying server", Event::Turned { server, manner }, !self.healed)
    }

    fn mean(&self, fault: Fault) -> Option<u64> {
        let faults = &self.options.faults;
        match fault {
            Fault::Crash => faults.crashes,
            Fault::Replacement => faults.replacements,
            Fault::Rot => faults.rot,
            Fault::Clock => faults.clocks,
            Fault::Refusal => faults.refusals,
            Fault::Kill => faults.kills,
            Fault::Cancel => faults.cancels,
            Fault::Stall => faults.stalls,
            Fault::Partition => self.options.network.partitions.map(|(every, _)| every),
        }
    }

    fn plan_next(&mut self, at: u64, fault: Fault) {
        if let Some(mean) = self.mean(fault) {
            let at = at + self.faults.random_range(0..=2 * mean);
            if at < self.options.horizon {
                self.plan(at, Plan::Fault(fault));
            }
        }
    }

    /// A fault strikes, and is planned again.
    pub(super) fn strike(&mut self, at: u64, fault: Fault) -> Result<(), Broken> {
        if self.healed {
            return Ok(());
        }
        self.plan_next(at, fault);
        match fault {
            Fault::Crash => self.crash(at),
            Fault::Replacement => {
                let Some(server) = self.any_server(|_| true) else { return Ok(()) };
                self.inject(at, "server replaced", Event::ServerReplaced { server }, true)
            }
            Fault::Rot => {
                let Some(server) = self.any_server(|_| true) else { return Ok(()) };
                let share = self.faults.random_range(0..16);
                self.inject(at, "share rotted", Event::ShareRotted { server, share }, true)
            }
            Fault::Clock => {
                let Some(server) = self.any_server(|_| true) else { return Ok(()) };
                let forward = [0, self.options.setup.promise][self.faults.random_range(0..2)];
                let wall = self.faults.random_range(-1_000_000..=1_000_000);
                self.inject(
                    at,
                    "clock stepped",
                    Event::ClockStepped { server, forward, wall },
                    true,
                )
            }
            Fault::Refusal => {
                let Some(server) = self.any_server(|server| server.manner() == Manner::Honest)
                else {
                    return Ok(());
                };
                let manner = [Manner::Full, Manner::ReadOnly][self.faults.random_range(0..2)];
                let lasts = self.faults.random_range(100..5_000);
                self.plan(at + lasts, Plan::Relent(server));
                self.inject(at, "full or read-only", Event::Turned { server, manner }, true)
            }
            Fault::Kill => {
                let Some(client) = self.any_client() else { return Ok(()) };
                self.inject(at, "client killed", Event::ClientKilled { client }, true)
            }
            Fault::Cancel => {
                let Some(client) = self.any_client() else { return Ok(()) };
                self.inject(at, "cancelled", Event::CancelRequested { client }, true)
            }
            Fault::Stall => self.stall(at),
            Fault::Partition => {
                let lasts = self.options.network.partitions.map_or(0, |(_, lasts)| lasts);
                let callers = u8::try_from(self.options.callers.len()).unwrap_or(u8::MAX);
                let text = self.links.begin_partition(at, lasts, &self.world, callers);
                self.plan(at + lasts, Plan::EndPartition);
                self.inject(at, "partition", Event::Noted { text }, true)
            }
        }
    }

    fn crash(&mut self, at: u64) -> Result<(), Broken> {
        let Some(server) = self.any_server(|_| true) else { return Ok(()) };
        let unsynced = [Fate::Lost, Fate::Kept, Fate::Torn][self.faults.random_range(0..3)];
        let down = [1, 100, 5_000][self.faults.random_range(0..3)];
        let back = at + self.faults.random_range(0..=down);
        self.plan(back, Plan::Restart(server));
        self.inject(at, "server crashed", Event::ServerCrashed { server, unsynced }, true)
    }

    fn stall(&mut self, at: u64) -> Result<(), Broken> {
        let (Some(client), Some(server)) = (self.any_client(), self.any_server(|_| true)) else {
            return Ok(());
        };
        let waited = [250, 2_500, 25_000][self.faults.random_range(0..3)];
        self.inject(at, "pass stalled", Event::Stalled { client, server, waited }, true)
    }

    /// Now and then a server tells that it takes in bytes.
    pub(super) fn plan_stalls(&mut self, client: ClientId, server: ServerId) {
        if self.options.faults.stalls.is_some() && self.faults.random_bool(0.3) {
            self.plan(self.world.now(), Plan::Progress(client, server));
        }
    }

    pub(super) fn relent(&mut self, at: u64, server: ServerId) -> Result<(), Broken> {
        let is_lying = self.world.server(server).is_none_or(|server| server.manner().is_lying());
        if is_lying {
            return Ok(());
        }
        self.happen(at, Event::Turned { server, manner: Manner::Honest })
    }

    /// Everything heals: what is down comes back, what lied stops, and nothing fails any more.
    pub(super) fn heal(&mut self, at: u64) -> Result<(), Broken> {
        self.healed = true;
        self.links.heal();
        self.happen(at, Event::Healed)?;
        let servers: Vec<ServerId> = self
            .world
            .servers()
            .filter(|server| !server.is_destroyed())
            .map(|server| server.id())
            .collect();
        for server in servers {
            self.happen(at, Event::ServerRestarted { server })?;
            self.happen(at, Event::Turned { server, manner: Manner::Honest })?;
        }
        self.workload.wind_up();
        let callers = self.options.callers.len();
        self.plan(at + 1, Plan::Begin(u8::try_from(callers).unwrap_or(u8::MAX)));
        Ok(())
    }

    fn any_server(&mut self, wanted: impl Fn(&Server) -> bool) -> Option<ServerId> {
        let there: Vec<ServerId> = self
            .world
            .servers()
            .filter(|server| !server.is_destroyed() && wanted(server))
            .map(|server| server.id())
            .collect();
        (!there.is_empty()).then(|| there[self.faults.random_range(0..there.len())])
    }

    fn any_client(&mut self) -> Option<ClientId> {
        let running: Vec<ClientId> = self
            .world
            .clients()
            .filter(|client| client.is_awaited())
            .map(|client| client.id())
            .collect();
        (!running.is_empty()).then(|| running[self.faults.random_range(0..running.len())])
    }
}
