//! What befalls processes, and what others write.

use std::collections::BTreeSet;

use rand::RngExt;
use tarn_client::queue::{Event, State, TaskId};

use super::super::agenda::{Delivery, Upcoming};
use super::super::fact::Fact;
use super::super::gateway::Fate;
use super::super::grid::Maker;
use super::super::names;
use super::{World, between, chance};

impl World {
    /// How far the next step gets.
    pub(super) fn fate(&mut self) -> Fate {
        if self.healed || !chance(&mut self.dice.faults, self.options.faults.cuts) {
            return Fate::Whole;
        }
        if self.dice.faults.random() { Fate::Unrecorded } else { Fate::Recorded }
    }

    pub(super) fn wake(&mut self, gateway: u8, life: u32) {
        let index = usize::from(gateway);
        if self.gateways[index].life() != life || !self.gateways[index].is_up() {
            return;
        }
        self.wakes[index] = None;
        let fate = self.fate();
        let done = self.gateways[index].hear(self.now, Event::TimePassed, fate);
        self.carry_out(gateway, done, None, &BTreeSet::new());
    }

    /// Somebody who uses no gateway overwrites some file.
    pub(super) fn outsider(&mut self) {
        let file = names::file(self.dice.outsiders.random_range(0..self.options.files));
        let base = self.grid.newest(file);
        if let Some(made) = self.grid.append(file, base, Maker::Outsider) {
            self.tell(&Fact::Appended { file, made });
        }
        self.expect_outsider();
    }

    /// Some process is to stop: what runs may end before it dies.
    pub(super) fn stop(&mut self) {
        let gateway = self.dice.faults.random_range(0..self.options.gateways);
        let index = usize::from(gateway);
        if self.gateways[index].is_up() {
            self.tell(&Fact::Stopped { gateway });
            let done = self.gateways[index].hear(self.now, Event::Stopping, Fate::Whole);
            self.carry_out(gateway, done, None, &BTreeSet::new());
            let (life, at) = (self.gateways[index].life(), self.now + self.absence());
            self.agenda.put(at, Upcoming::Die { gateway, life });
        }
        self.expect(self.options.faults.stops, Upcoming::Stop);
    }

    /// Some process dies.
    pub(super) fn death(&mut self) {
        let gateway = self.dice.faults.random_range(0..self.options.gateways);
        self.die(gateway, self.gateways[usize::from(gateway)].life());
        self.expect(self.options.faults.deaths, Upcoming::Death);
    }

    pub(super) fn die(&mut self, gateway: u8, life: u32) {
        let process = &mut self.gateways[usize::from(gateway)];
        if process.is_up() && process.life() == life {
            process.die();
            self.died(gateway);
        }
    }

    /// A process is gone, and its publishes with it; what they had sent may still take effect.
    pub(super) fn died(&mut self, gateway: u8) {
        self.wakes[usize::from(gateway)] = None;
        self.tell(&Fact::Died { gateway });
        self.abandon_runs(gateway);
        let at = self.now + if self.healed { 0 } else { self.absence() };
        self.agenda.put(at.min(self.options.horizon.max(self.now)), Upcoming::Begin { gateway });
    }

    pub(super) fn begin_again(&mut self, gateway: u8) {
        let process = &mut self.gateways[usize::from(gateway)];
        if process.is_up() {
            return;
        }
        let recorded = process.record().pending().into_iter();
        let ran: BTreeSet<TaskId> = recorded
            .filter(|(_, state)| *state == State::Running)
            .map(|(arrival, _)| arrival.task)
            .collect();
        let done = process.begin(self.now);
        self.tell(&Fact::Began { gateway });
        self.carry_out(gateway, done, None, &ran);
    }

    /// From here on nothing fails: every process is there, and callers ask once more after some of what they submitted.
    pub(super) fn heal(&mut self) {
        self.healed = true;
        self.tell(&Fact::Healed);
        for gateway in 0..self.options.gateways {
            // One that is to stop does: nobody else would begin it again.
            let process = &self.gateways[usize::from(gateway)];
            if process.is_up() && self.seen.processes[usize::from(gateway)].stopped {
                self.die(gateway, process.life());
            }
            self.begin_again(gateway);
        }
        for caller in 0..self.options.callers {
            for submission in self.memories[usize::from(caller)].keyed() {
                if self.dice.callers.random() {
                    let gateway = self.dice.callers.random_range(0..self.options.gateways);
                    self.send(Delivery { caller, gateway, submission, is_copy: false });
                }
            }
        }
    }

    /// A fault that happens again and again, with this mean time between, will happen once more, if that is before the
    /// horizon.
    pub(super) fn expect(&mut self, mean: Option<u64>, what: Upcoming) {
        if let Some(mean) = mean {
            let pause = between(&mut self.dice.faults, (1, 2 * mean));
            self.put_before_horizon(pause, what);
        }
    }

    pub(super) fn expect_outsider(&mut self) {
        if let Some(mean) = self.options.outsiders {
            let pause = between(&mut self.dice.outsiders, (1, 2 * mean));
            self.put_before_horizon(pause, Upcoming::Outsider);
        }
    }

    fn put_before_horizon(&mut self, pause: u64, what: Upcoming) {
        let at = self.now + pause;
        if at < self.options.horizon {
            self.agenda.put(at, what);
        }
    }

    fn absence(&mut self) -> u64 {
        between(&mut self.dice.faults, (1, self.options.faults.gone))
    }
}
