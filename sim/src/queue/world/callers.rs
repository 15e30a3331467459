//! What callers do. They do not wait: a chain is submitted as a whole, over connections that reorder.

use std::rc::Rc;

use rand::RngExt;
use rand::seq::IndexedRandom;
use tarn_client::queue::{Caller, Key, TaskId};
use tarn_proto::{StorageIndex, VersionId};

use super::super::agenda::{Delivery, Upcoming};
use super::super::gateway::Answer;
use super::super::names;
use super::super::submission::{After, Submission};
use super::{World, between, chance};

/// What a caller remembers.
#[derive(Debug)]
pub(super) struct Memory {
    caller: Caller,
    /// How often it may act yet.
    acts: Option<u32>,
    submitted: u32,
    /// What it submitted under a key.
    keyed: Vec<Rc<Submission>>,
    /// The tasks of which it was told.
    tasks: Vec<(TaskId, StorageIndex)>,
}

#[derive(Debug, Clone, Copy)]
enum Act {
    Overwrite,
    Edit,
    Chain,
    Follow,
    Repeat,
    Cancel,
    Circle,
    Orphan,
    Burst,
}

impl Memory {
    pub(super) fn new(number: u8) -> Self {
        let caller = Caller(format!("c{number}"));
        Self { caller, acts: None, submitted: 0, keyed: Vec::new(), tasks: Vec::new() }
    }

    pub(super) fn keyed(&self) -> Vec<Rc<Submission>> {
        self.keyed.clone()
    }

    pub(super) fn is_answered(&mut self, submission: &Submission, answer: Answer) {
        if let Answer::Taken(task) | Answer::Known(task) = answer {
            self.tasks.push((task, submission.file));
        }
    }
}

impl World {
    /// A caller rests until it acts again, if it does.
    pub(super) fn rest(&mut self, caller: u8) {
        let acts = &mut self.memories[usize::from(caller)].acts;
        let left = acts.unwrap_or(self.options.acts);
        *acts = Some(left.saturating_sub(1));
        let at = self.now + between(&mut self.dice.callers, (0, 2 * self.options.pause));
        if left > 0 && at < self.options.horizon {
            self.agenda.put(at, Upcoming::Act { caller });
        }
    }

    pub(super) fn act(&mut self, caller: u8) {
        let gateway = self.dice.callers.random_range(0..self.options.gateways);
        let file = names::file(self.dice.callers.random_range(0..self.options.files));
        match self.draw_act() {
            Act::Overwrite => self.submit(caller, gateway, file, After::Whatever),
            Act::Edit => {
                let after = self.seen_of(file).map_or(After::Nothing, After::Version);
                self.submit(caller, gateway, file, after);
            }
            Act::Chain => self.submit_chain(caller, gateway, file),
            Act::Follow => {
                let tasks = &self.memories[usize::from(caller)].tasks;
                if let Some(&(task, file)) = tasks.choose(&mut self.dice.callers) {
                    self.submit(caller, names::gateway_of(task), file, After::Task(task));
                }
            }
            Act::Repeat => self.repeat(caller, gateway),
            Act::Cancel => {
                let tasks = &self.memories[usize::from(caller)].tasks;
                if let Some(&(task, _)) = tasks.choose(&mut self.dice.callers) {
                    let latency = self.options.network.latency;
                    let at = self.now + between(&mut self.dice.callers, latency);
                    self.agenda.put(at, Upcoming::Cancel { task });
                }
            }
            Act::Circle => {
                let keys: Vec<Key> = (0..3).map(|_| self.new_key(caller)).collect();
                for (number, key) in keys.iter().enumerate() {
                    let after = After::Key(keys[(number + 1) % keys.len()].clone());
                    self.submit_keyed(caller, &[gateway], file, key.clone(), after);
                }
            }
            Act::Orphan => {
                let (never, key) = (self.new_key(caller), self.new_key(caller));
                self.submit_keyed(caller, &[gateway], file, key, After::Key(never));
            }
            Act::Burst => {
                for number in 0..2 * self.options.files {
                    let file = names::file(number % self.options.files);
                    self.submit(caller, gateway, file, After::Whatever);
                }
            }
        }
        self.rest(caller);
    }

    fn draw_act(&mut self) -> Act {
        let habits = &self.options.habits;
        let acts = [
            (Act::Overwrite, habits.overwrite),
            (Act::Edit, habits.edit),
            (Act::Chain, habits.chain),
            (Act::Follow, habits.follow),
            (Act::Repeat, habits.repeat),
            (Act::Cancel, habits.cancel),
            (Act::Circle, habits.circle),
            (Act::Orphan, habits.orphan),
            (Act::Burst, habits.burst),
        ];
        let drawn = acts.choose_weighted(&mut self.dice.callers, |(_, weight)| *weight);
        drawn.map_or(Act::Overwrite, |(act, _)| *act)
    }

    /// What a caller believes to be the newest version: it is, or was; or there is no such version.
    fn seen_of(&mut self, file: StorageIndex) -> Option<VersionId> {
        let chain = self.grid.chain(file);
        match self.dice.callers.random_range(0..20) {
            0 => Some(names::version(file, u32::MAX)),
            1..4 => chain.choose(&mut self.dice.callers).map(|made| made.version),
            _ => chain.last().map(|made| made.version),
        }
    }

    /// Several at once, each after the one before it; some to both gateways, some with a link that never comes.
    fn submit_chain(&mut self, caller: u8, gateway: u8, file: StorageIndex) {
        let length = self.dice.callers.random_range(2..=5);
        let both = chance(&mut self.dice.callers, self.options.both);
        let missing = self.dice.callers.random_range(0..40);
        let mut after = match self.seen_of(file) {
            Some(version) if self.dice.callers.random_bool(0.3) => After::Version(version),
            Some(_) | None => After::Whatever,
        };
        let to: Vec<u8> = if both { (0..self.options.gateways).collect() } else { vec![gateway] };
        for link in 0..length {
            let key = self.new_key(caller);
            let next = After::Key(key.clone());
            let after = std::mem::replace(&mut after, next);
            if link != missing {
                self.submit_keyed(caller, &to, file, key, after);
            }
        }
    }

    /// The same once more, here or elsewhere; or something else under the same key.
    fn repeat(&mut self, caller: u8, gateway: u8) {
        let keyed = &self.memories[usize::from(caller)].keyed;
        let Some(submission) = keyed.choose(&mut self.dice.callers) else { return };
        let mut submission = Rc::clone(submission);
        if self.dice.callers.random_bool(0.15) {
            let content = submission.content + 1_000_000;
            submission = Rc::new(Submission { content, ..(*submission).clone() });
        }
        self.send(Delivery { caller, gateway, submission, is_copy: false });
    }

    fn submit(&mut self, caller: u8, gateway: u8, file: StorageIndex, after: After) {
        if chance(&mut self.dice.callers, self.options.keyed) {
            let key = self.new_key(caller);
            return self.submit_keyed(caller, &[gateway], file, key, after);
        }
        let submission = self.new_submission(caller, file, None, after);
        self.send(Delivery { caller, gateway, submission, is_copy: false });
    }

    fn submit_keyed(&mut self, caller: u8, to: &[u8], file: StorageIndex, key: Key, after: After) {
        let submission = self.new_submission(caller, file, Some(key), after);
        self.memories[usize::from(caller)].keyed.push(Rc::clone(&submission));
        for &gateway in to {
            self.send(Delivery {
                caller,
                gateway,
                submission: Rc::clone(&submission),
                is_copy: false,
            });
        }
    }

    fn new_submission(
        &mut self,
        caller: u8,
        file: StorageIndex,
        key: Option<Key>,
        after: After,
    ) -> Rc<Submission> {
        let memory = &mut self.memories[usize::from(caller)];
        memory.submitted += 1;
        let content = 1_000 * u32::from(caller) + memory.submitted;
        Rc::new(Submission { file, caller: memory.caller.clone(), key, after, content })
    }

    fn new_key(&mut self, caller: u8) -> Key {
        let memory = &mut self.memories[usize::from(caller)];
        memory.submitted += 1;
        let key = format!("{}.{}", memory.caller.0, memory.submitted);
        Key::new(key.as_bytes()).expect("it is neither empty nor long")
    }
}
