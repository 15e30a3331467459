//! The world of the queue lane: gateways, a grid, callers, and what is going to happen. It does what each event says, and
//! tells every fact to whoever checks.

mod callers;
mod delivery;
mod faults;
mod runs;

use std::collections::BTreeSet;
use std::rc::Rc;

use rand::{Rng, RngExt};
use rand_chacha::ChaCha8Rng;
use tarn_client::queue::{Action, TaskId};

use super::agenda::{Agenda, Upcoming};
use super::checks;
use super::fact::Fact;
use super::gateway::{Done, Gateway};
use super::grid::Grid;
use super::options::Options;
use super::plant::Plant;
use super::report::Report;
use super::seen::Seen;
use super::submission::Submission;
use crate::streams::stream;
use callers::Memory;
pub(super) use runs::RunId;
use runs::Runs;

/// More than any run comes to: one that does goes round in circles.
const MOST_STEPS: u64 = 100_000;

/// The whole of it.
pub(super) struct World {
    options: Options,
    now: u64,
    healed: bool,
    agenda: Agenda,
    gateways: Vec<Gateway>,
    /// When each gateway is to be woken next.
    wakes: Vec<Option<u64>>,
    grid: Grid,
    runs: Runs,
    memories: Vec<Memory>,
    /// How many tasks were asked for.
    serial: u32,
    dice: Dice,
    seen: Seen,
    tells: bool,
    report: Report,
}

/// A stream for each subsystem: one more draw in one does not shift the others.
struct Dice {
    callers: ChaCha8Rng,
    network: ChaCha8Rng,
    runs: ChaCha8Rng,
    outsiders: ChaCha8Rng,
    faults: ChaCha8Rng,
    ids: ChaCha8Rng,
}

impl World {
    /// A world before its first event; `tells` if its story is to be written down.
    pub(super) fn new(options: Options, bug: fn() -> Box<dyn Plant>, tells: bool) -> Self {
        let gateways = usize::from(options.gateways);
        let dice = |name| stream(options.seed, name, 0);
        Self {
            now: 0,
            healed: false,
            agenda: Agenda::default(),
            gateways: (0..gateways).map(|_| Gateway::new(options.limits, bug)).collect(),
            wakes: vec![None; gateways],
            grid: Grid::default(),
            runs: Runs::default(),
            memories: (0..options.callers).map(Memory::new).collect(),
            serial: 0,
            dice: Dice {
                callers: dice("callers"),
                network: dice("network"),
                runs: dice("runs"),
                outsiders: dice("outsiders"),
                faults: dice("faults"),
                ids: dice("ids"),
            },
            seen: Seen::new(options.limits, usize::from(options.callers), gateways),
            tells,
            report: Report::default(),
            options,
        }
    }

    /// Lets everything happen until nothing is left, or a check is not passed.
    pub(super) fn run(mut self) -> Report {
        self.begin();
        for _ in 0..MOST_STEPS {
            let Some((at, what)) = self.agenda.next() else { break };
            (self.now, self.seen.now) = (at, at);
            self.happen(what);
            if self.report.broken.is_some() {
                break;
            }
        }
        self.tell(&Fact::Rested);
        self.report.simulated = self.now;
        self.report
    }

    fn begin(&mut self) {
        for caller in 0..self.options.callers {
            self.rest(caller);
        }
        self.agenda.put(self.options.horizon, Upcoming::Heal);
        self.expect_outsider();
        self.expect(self.options.faults.stops, Upcoming::Stop);
        self.expect(self.options.faults.deaths, Upcoming::Death);
    }

    fn happen(&mut self, what: Upcoming) {
        match what {
            Upcoming::Act { caller } => self.act(caller),
            Upcoming::Send(delivery) => self.send(delivery),
            Upcoming::Arrive(delivery) => self.arrive(delivery),
            Upcoming::Staged { delivery, life, early } => self.staged(delivery, life, early),
            Upcoming::Cancel { task } => self.cancel(task),
            Upcoming::Decide(run) => self.decide(run),
            Upcoming::End(run) => self.end(run),
            Upcoming::Land { file, base, task, attempt } => self.land(file, base, task, attempt),
            Upcoming::Wake { gateway, life } => self.wake(gateway, life),
            Upcoming::Outsider => self.outsider(),
            Upcoming::Stop => self.stop(),
            Upcoming::Death => self.death(),
            Upcoming::Die { gateway, life } => self.die(gateway, life),
            Upcoming::Begin { gateway } => self.begin_again(gateway),
            Upcoming::Heal => self.heal(),
        }
    }

    /// Carries out what a gateway's step came to. `new` is the submission that arrived in it, `ran` what was running on
    /// record when the process began in it.
    fn carry_out(
        &mut self,
        gateway: u8,
        done: Done,
        new: Option<(TaskId, &Rc<Submission>)>,
        ran: &BTreeSet<TaskId>,
    ) {
        let Done { moves, clash, actions, died } = done;
        if let Some((task, submission)) = new.filter(|_| !moves.is_empty()) {
            self.tell(&Fact::Registered { task, submission: Rc::clone(submission) });
        }
        if let Some(clash) = clash {
            self.tell(&Fact::Clashed(clash));
        }
        for moved in moves {
            self.tell(&Fact::Moved(moved));
        }
        for action in actions {
            match action {
                Action::Run { task, follows } => {
                    self.start(gateway, task, follows, ran.contains(&task));
                }
                Action::CancelRun { task } => self.runs.cancel(task),
                Action::Move { .. } => {}
            }
        }
        if died {
            self.died(gateway);
        } else {
            self.set_alarm(gateway);
        }
    }

    fn set_alarm(&mut self, gateway: u8) {
        let index = usize::from(gateway);
        let (wakes_at, life) = (self.gateways[index].wakes_at(), self.gateways[index].life());
        if self.wakes[index] != wakes_at {
            self.wakes[index] = wakes_at;
            if let Some(at) = wakes_at {
                self.agenda.put(at.max(self.now), Upcoming::Wake { gateway, life });
            }
        }
    }

    /// Tells a fact to the checks and the story.
    fn tell(&mut self, fact: &Fact) {
        if self.report.broken.is_some() {
            return;
        }
        self.seen.take(fact);
        self.report.add(fact);
        if self.tells {
            let (seconds, millis) = (self.now / 1000, self.now % 1000);
            self.report.story.push(format!("{seconds:>5}.{millis:03}  {fact}"));
        }
        if let Err(broken) = checks::hold(&self.seen, fact) {
            self.report.broken = Some(broken);
        }
    }
}

/// A number between these two, both included.
fn between(dice: &mut impl Rng, (least, most): (u64, u64)) -> u64 {
    dice.random_range(least..=most.max(least))
}

/// Whether something happens that happens so often in a thousand times.
fn chance(dice: &mut impl Rng, per_mille: u32) -> bool {
    dice.random_range(0..1_000) < per_mille
}
