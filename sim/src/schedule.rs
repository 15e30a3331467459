//! A run drawn from a seed: decides what happens next and when, and holds the world to its promises after every event.
//! It never looks into a machine; what it knows is what the world says has come of the last event.
//!
//! ```text
//!   options ──▶ plans, by time ──▶ event, recorded ──▶ World::apply ──▶ promises
//!                  ▲                                        │
//!                  └──── network, disk, workload ◀── facts ─┘
//! ```
//!
//! Two phases: until the horizon anything may fail, and only what must never happen is looked for. Then everything
//! heals, and whatever was begun must end within a bound; and a last publish and read must succeed.

mod faults;
mod network;
mod workload;

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};

use rand::RngExt;
use rand_chacha::ChaCha8Rng;

use crate::coverage::Coverage;
use crate::event::{Edit, Event, Lie, Timed};
use crate::ids::{ClientId, EnvelopeId, ServerId};
use crate::options::{Options, Stream};
use crate::plant::Plant;
use crate::promises::{self, Broken};
use crate::trace::Trace;
use crate::world::{Fact, World};

use faults::Fault;
use network::Links;
use workload::Workload;

/// Milliseconds in which everything that was begun must end once everything has healed.
const CALM: u64 = 300_000;
/// Events in which it must: a loop that does not end would fill the memory first.
const EVENTS_MAX: usize = 200_000;

/// What came of a run.
#[derive(Debug, Clone)]
pub struct Report {
    /// What happened, whether or not a promise was broken.
    pub trace: Trace,
    /// The promise that was broken by the last event, if one was.
    pub broken: Option<Broken>,
    /// How often which outcome was told.
    pub told: BTreeMap<&'static str, u64>,
    /// How often which fault was injected.
    pub faults: BTreeMap<&'static str, u64>,
    /// How long it took by the simulated clock, in milliseconds.
    pub simulated: u64,
}

/// Something that is to happen at its time, unless the world has changed so that it cannot.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Plan {
    Deliver(EnvelopeId),
    Lose(EnvelopeId),
    Duplicate(EnvelopeId),
    Sync(ServerId),
    FailDisk(ServerId),
    ChangeSource(ClientId, Edit),
    FailJournal(ClientId),
    Progress(ClientId, ServerId),
    Begin(u8),
    Fault(Fault),
    Lie(ServerId, Lie),
    Lapse(ServerId),
    Restart(ServerId),
    Relent(ServerId),
    EndPartition,
    Heal,
}

/// One run.
pub struct Run {
    options: Options,
    world: World,
    plans: BinaryHeap<Reverse<(u64, u64, Plan)>>,
    planned: u64,
    events: Vec<Timed>,
    links: Links,
    workload: Workload,
    disk: ChaCha8Rng,
    faults: ChaCha8Rng,
    healed: bool,
    /// Promises broken so far, where a run goes on after one.
    goes_on: Option<Vec<Broken>>,
    /// What is reached, where that is counted.
    coverage: Option<Coverage>,
    /// A client that dies at this message.
    kill_at: Option<(ClientId, u32)>,
    told: BTreeMap<&'static str, u64>,
    injected: BTreeMap<&'static str, u64>,
}

impl Run {
    /// A run that has not begun, with a planted bug or without.
    pub fn new(options: Options, plant: Option<Box<dyn Plant>>) -> Self {
        let seed = options.seed;
        let mut run = Self {
            world: World::new(options.setup.clone(), plant),
            plans: BinaryHeap::new(),
            planned: 0,
            events: Vec::new(),
            links: Links::new(
                &options.network,
                Stream::Network.of(seed),
                Stream::Lingering.of(seed),
            ),
            workload: Workload::new(&options),
            disk: Stream::Disk.of(seed),
            faults: Stream::Faults.of(seed),
            healed: false,
            goes_on: None,
            coverage: None,
            kill_at: None,
            told: BTreeMap::new(),
            injected: BTreeMap::new(),
            options,
        };
        run.plan(run.options.horizon, Plan::Heal);
        for caller in 0..u8::try_from(run.options.callers.len()).unwrap_or(u8::MAX) {
            let at = run.workload.pause();
            run.plan(at, Plan::Begin(caller));
        }
        run.plan_faults();
        run
    }

    /// Runs to its end, or until a promise is broken.
    pub fn run(mut self) -> Report {
        let broken = self.run_until_broken();
        self.into_report(broken)
    }

    /// As [`Run::run`], and counts what is reached.
    pub fn run_counting(mut self, mut coverage: Coverage) -> (Report, Coverage) {
        coverage.begin(self.options.seed);
        self.coverage = Some(coverage);
        let broken = self.run_until_broken();
        let coverage = self.coverage.take().unwrap_or_default();
        (self.into_report(broken), coverage)
    }

    fn into_report(self, broken: Option<Broken>) -> Report {
        let title = match &broken {
            Some(broken) => format!("seed {}: {broken}", self.options.seed),
            None => format!("seed {}", self.options.seed),
        };
        Report {
            broken,
            told: self.told,
            faults: self.injected,
            simulated: self.world.now(),
            trace: Trace { title, setup: self.options.setup, events: self.events },
        }
    }

    /// Runs to its end though promises are broken on the way; says which were, each once. For stories: what a mistake
    /// leads to is often some way after the first promise that it breaks.
    pub fn run_on(mut self) -> (Report, Vec<Broken>) {
        self.goes_on = Some(Vec::new());
        let end = self.run_until_broken();
        let mut broken = self.goes_on.take().unwrap_or_default();
        let is_new =
            |last: &Broken| !broken.iter().any(|known| known.promise.id == last.promise.id);
        broken.extend(end.filter(is_new));
        let report = self.into_report(broken.first().cloned());
        (report, broken)
    }

    fn run_until_broken(&mut self) -> Option<Broken> {
        while let Some(Reverse((at, _, plan))) = self.plans.pop() {
            if let Err(broken) = self.carry_out(at, plan) {
                return Some(broken);
            }
            let late = self.healed && self.world.now() > self.options.horizon + CALM;
            if late || self.events.len() > EVENTS_MAX {
                return Some(promises::endless(&self.world));
            }
        }
        promises::check_at_rest(&self.world).err().or_else(|| self.check_progress())
    }

    fn carry_out(&mut self, at: u64, plan: Plan) -> Result<(), Broken> {
        match plan {
            Plan::Deliver(envelope) => self.happen(at, Event::Delivered { envelope }),
            Plan::Lose(envelope) => {
                self.inject(at, "message lost", Event::Lost { envelope }, !self.healed)?;
                // What can no longer be lost arrives.
                self.happen(at, Event::Delivered { envelope })
            }
            Plan::Duplicate(envelope) => {
                self.inject(at, "message twice", Event::Duplicated { envelope }, !self.healed)
            }
            Plan::Sync(server) => self.happen(at, Event::DiskSynced { server }),
            // What was to fail before everything healed may have been for a change that a crash took with it.
            Plan::FailDisk(server) if self.healed => self.happen(at, Event::DiskSynced { server }),
            Plan::FailDisk(server) => {
                let kept = self.disk.random_bool(0.3);
                self.inject(at, "disk failed", Event::DiskFailed { server, kept }, true)
            }
            Plan::ChangeSource(client, how) => {
                let event = Event::SourceChanged { client, how };
                self.inject(at, "source changed", event, !self.healed)
            }
            Plan::FailJournal(client) => {
                self.inject(at, "journal failed", Event::JournalFailed { client }, !self.healed)
            }
            Plan::Progress(client, server) => self.happen(at, Event::Progressed { client, server }),
            Plan::Begin(caller) => self.begin(at, caller),
            Plan::Fault(fault) => self.strike(at, fault),
            Plan::Lie(server, lie) => self.lie(at, server, lie),
            Plan::Lapse(server) => self.lapse(at, server),
            Plan::Restart(server) => self.happen(at, Event::ServerRestarted { server }),
            Plan::Relent(server) => self.relent(at, server),
            Plan::EndPartition => {
                self.links.end_partition();
                self.happen(at, Event::Noted { text: "the partition ends".to_owned() })
            }
            Plan::Heal => self.heal(at),
        }
    }

    /// Records an event, lets it happen, holds the world to its promises, and plans what follows from it.
    fn happen(&mut self, at: u64, event: Event) -> Result<(), Broken> {
        let at = at.max(self.world.now());
        let timed = Timed { at, event };
        let before = self.events.len();
        self.events.push(timed);
        let timed = &self.events[before];
        let happened = match &mut self.coverage {
            Some(coverage) => coverage.apply(&mut self.world, timed),
            None => self.world.apply(timed),
        };
        if !happened {
            self.events.pop();
            return Ok(());
        }
        self.check()?;
        self.follow();
        self.kill_at_message()
    }

    fn check(&mut self) -> Result<(), Broken> {
        let Err(broken) = promises::check(&self.world) else { return Ok(()) };
        let Some(before) = &mut self.goes_on else { return Err(broken) };
        if !before.iter().any(|known| known.promise.id == broken.promise.id) {
            before.push(broken);
        }
        Ok(())
    }

    /// The writer dies right after it has sent the message that was drawn.
    fn kill_at_message(&mut self) -> Result<(), Broken> {
        let Some((client, message)) = self.kill_at else { return Ok(()) };
        let sent = self.world.facts().iter().any(|fact| {
            matches!(fact, Fact::Sent { envelope }
                if envelope.client == client && envelope.number >= message)
        });
        if !sent || self.healed {
            return Ok(());
        }
        self.kill_at = None;
        self.inject(self.world.now(), "client killed", Event::ClientKilled { client }, true)
    }

    /// As [`Run::happen`], for what nobody asked for; counted if it could happen.
    fn inject(
        &mut self,
        at: u64,
        kind: &'static str,
        event: Event,
        wanted: bool,
    ) -> Result<(), Broken> {
        if !wanted {
            return Ok(());
        }
        let before = self.events.len();
        self.happen(at, event)?;
        if self.events.len() > before {
            *self.injected.entry(kind).or_default() += 1;
        }
        Ok(())
    }

    /// Plans what follows from the last event.
    fn follow(&mut self) {
        let facts = self.world.facts().to_vec();
        for fact in facts {
            match fact {
                Fact::Sent { envelope } => self.dispatch(envelope),
                Fact::Writing { server } => self.plan_sync(server),
                Fact::Told { client } => self.told(client),
                Fact::Over { client } => self.over(client),
                Fact::Broke { .. }
                | Fact::Served { .. }
                | Fact::Durable { .. }
                | Fact::Stepped { .. } => {}
            }
        }
    }

    fn plan_sync(&mut self, server: ServerId) {
        let (least, most) = self.options.disk.sync;
        let at = self.world.now() + self.disk.random_range(least..=most);
        let fails = !self.healed && self.disk.random_range(0..1000) < self.options.disk.failed;
        self.plan(at, if fails { Plan::FailDisk(server) } else { Plan::Sync(server) });
    }

    fn plan(&mut self, at: u64, plan: Plan) {
        self.planned += 1;
        self.plans.push(Reverse((at, self.planned, plan)));
    }

    /// When everything healed and no disk was lost, a publish is Published and a read confirms it.
    fn check_progress(&self) -> Option<Broken> {
        self.workload.check_progress(&self.world)
    }
}

/// Draws a run from a seed, and runs it.
pub fn run(seed: u64) -> Report {
    Run::new(Options::draw(seed), None).run()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_gives_the_same_trace() {
        for seed in 0..20 {
            assert_eq!(run(seed).trace, run(seed).trace, "seed {seed}");
        }
    }

    #[test]
    fn no_disk_fails_once_everything_has_healed() {
        let Report { broken, trace, .. } = run(30_185_462);
        assert!(broken.is_none(), "{}", broken.expect("some"));
        let healed = trace.events.iter().skip_while(|timed| timed.event != Event::Healed);
        let failed = |timed: &Timed| matches!(timed.event, Event::DiskFailed { .. });
        assert_eq!(healed.filter(|timed| failed(timed)).count(), 0);
    }

    #[test]
    fn a_liar_shows_no_version_whose_signature_never_left_its_writer() {
        let Report { broken, told, .. } = run(40_307_993);
        assert!(broken.is_none(), "{}", broken.expect("some"));
        assert_eq!(told.get("uncoordinated write"), None);
    }

    #[test]
    fn an_answer_to_what_was_not_asked_leaves_no_read_waiting() {
        let Report { broken, .. } = run(60_089_316);
        assert!(broken.is_none(), "{}", broken.expect("some"));
    }

    #[test]
    fn a_few_hundred_seeds_break_nothing() {
        let mut told = BTreeMap::<&str, u64>::new();
        for seed in 0..300 {
            let report = run(seed);
            assert!(report.broken.is_none(), "seed {seed}: {}", report.broken.expect("some"));
            for (outcome, count) in report.told {
                *told.entry(outcome).or_default() += count;
            }
        }
        assert!(told.len() > 8 && told["published"] > 300, "too little happens: {told:?}");
    }
}
