//! Submissions on their way, and what a gateway makes of them.

use std::collections::BTreeSet;

use rand::RngExt;
use tarn_client::queue::{Event, TaskId, Ticket};

use super::super::agenda::{Delivery, Upcoming};
use super::super::fact::Fact;
use super::super::gateway::Answer;
use super::super::names::{self, gateway_of};
use super::{World, between, chance};

impl World {
    /// A caller submits something: it may be lost, delayed, overtaken or doubled.
    pub(super) fn send(&mut self, delivery: Delivery) {
        let duplicated = self.options.network.duplicated;
        if !self.healed && chance(&mut self.dice.network, duplicated) {
            self.put_on_the_way(Delivery { is_copy: true, ..delivery.clone() });
        }
        self.put_on_the_way(delivery);
    }

    fn put_on_the_way(&mut self, delivery: Delivery) {
        if self.is_lost() {
            return self.lose(delivery);
        }
        let at = self.now + between(&mut self.dice.network, self.options.network.latency);
        self.agenda.put(at, Upcoming::Arrive(delivery));
    }

    /// A submission reaches a gateway, which stages its content first.
    pub(super) fn arrive(&mut self, delivery: Delivery) {
        let gateway = &self.gateways[usize::from(delivery.gateway)];
        if !gateway.is_up() {
            return self.lose(delivery);
        }
        let (life, early) = (gateway.life(), gateway.stages(&delivery.submission));
        let at = self.now + between(&mut self.dice.network, self.options.network.staging);
        self.agenda.put(at, Upcoming::Staged { delivery, life, early });
    }

    /// A content is staged: the submission is a task now, or was one, or is refused.
    pub(super) fn staged(&mut self, delivery: Delivery, life: u32, early: Option<Ticket>) {
        let Delivery { caller, gateway, submission, .. } = &delivery;
        let index = usize::from(*gateway);
        if !self.gateways[index].is_up() || self.gateways[index].life() != life {
            return self.lose(delivery);
        }
        self.serial += 1;
        let task = names::task(self.dice.ids.random(), *gateway, self.serial);
        let fate = self.fate();
        let (answer, done) = self.gateways[index].submit(self.now, task, submission, early, fate);
        let died = done.died;
        let new = (answer == Answer::Taken(task)).then_some((task, submission));
        self.carry_out(*gateway, done, new, &BTreeSet::new());
        if died || self.is_lost() {
            return self.lose(delivery);
        }
        self.memories[usize::from(*caller)].is_answered(submission, answer);
        let submission = submission.clone();
        self.tell(&Fact::Answered { gateway: *gateway, submission, answer });
    }

    /// A wish to call off a task reaches its gateway, if that is there.
    pub(super) fn cancel(&mut self, task: TaskId) {
        let gateway = gateway_of(task);
        let index = usize::from(gateway);
        if !self.gateways[index].is_up() {
            return;
        }
        let fate = self.fate();
        self.tell(&Fact::CancelRequested { task });
        let done = self.gateways[index].hear(self.now, Event::CancelRequested { task }, fate);
        self.carry_out(gateway, done, None, &BTreeSet::new());
    }

    fn is_lost(&mut self) -> bool {
        !self.healed && chance(&mut self.dice.network, self.options.network.lost)
    }

    /// Nobody answers. A caller that gave its submission a key makes it again: that is what keys are for.
    fn lose(&mut self, delivery: Delivery) {
        let Delivery { gateway, submission, .. } = &delivery;
        self.tell(&Fact::Lost { gateway: *gateway, submission: submission.clone() });
        if submission.key.is_some() && !delivery.is_copy {
            let at = self.now + self.options.network.patience;
            self.agenda.put(at, Upcoming::Send(delivery));
        }
    }
}
