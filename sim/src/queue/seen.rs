//! What an onlooker has seen: every task as it is on record, every chain, every process. It is built from facts alone,
//! and never asks a queue what it believes.

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use tarn_client::publish::Follows;
use tarn_client::queue::{Caller, Key, Limits, State, TaskId};
use tarn_proto::{StorageIndex, VersionId};

use super::fact::Fact;
use super::grid::{Made, Maker};
use super::names::gateway_of;
use super::record::{Move, Outcome};
use super::submission::{After, Submission};

/// All that was seen so far.
#[derive(Debug, Clone)]
pub(super) struct Seen {
    pub(super) now: u64,
    pub(super) limits: Limits,
    /// How many callers there are.
    pub(super) callers: usize,
    pub(super) processes: Vec<Process>,
    tasks: BTreeMap<TaskId, Task>,
    chains: BTreeMap<StorageIndex, Vec<Made>>,
}

/// The process of a gateway.
#[derive(Debug, Clone, Default)]
pub(super) struct Process {
    pub(super) stopped: bool,
    /// When it last began.
    pub(super) since: u64,
    /// Of callers that have a task which may run: how many turns others had meanwhile.
    pub(super) passed_over: BTreeMap<Caller, usize>,
    /// Its tasks that have not ended.
    pending: BTreeSet<TaskId>,
}

/// A task.
#[derive(Debug, Clone)]
pub(super) struct Task {
    pub(super) id: TaskId,
    pub(super) submission: Rc<Submission>,
    /// Its place among all that arrived.
    pub(super) number: usize,
    pub(super) arrived_at: u64,
    /// What is on record; none before the step in which it arrived is.
    pub(super) state: Option<State>,
    pub(super) outcome: Option<Outcome>,
    pub(super) runs_now: bool,
    /// How often it ran since its process began.
    pub(super) runs: u32,
    /// Whether it was called off since its process began.
    pub(super) cancelled: bool,
}

impl Seen {
    pub(super) fn new(limits: Limits, callers: usize, gateways: usize) -> Self {
        Self {
            now: 0,
            limits,
            callers,
            processes: vec![Process::default(); gateways],
            tasks: BTreeMap::new(),
            chains: BTreeMap::new(),
        }
    }

    /// Takes in what happened.
    pub(super) fn take(&mut self, fact: &Fact) {
        match fact {
            Fact::Registered { task, submission } => self.register(*task, submission),
            Fact::Moved(moved) => self.moved(moved),
            Fact::Ran { task, .. } => {
                if let Some(task) = self.tasks.get_mut(task) {
                    (task.runs_now, task.runs) = (true, task.runs + 1);
                }
            }
            Fact::RunEnded { task, .. } => {
                if let Some(task) = self.tasks.get_mut(task) {
                    task.runs_now = false;
                }
            }
            Fact::CancelRequested { task } => {
                if let Some(task) = self.tasks.get_mut(task) {
                    task.cancelled = true;
                }
            }
            Fact::Appended { file, made } => {
                self.chains.entry(*file).or_default().push(made.clone());
            }
            Fact::Stopped { gateway } => self.processes[usize::from(*gateway)].stopped = true,
            Fact::Died { gateway } => self.died(*gateway),
            Fact::Began { gateway } => {
                let process = &mut self.processes[usize::from(*gateway)];
                (process.stopped, process.since) = (false, self.now);
            }
            Fact::Answered { .. }
            | Fact::Clashed(_)
            | Fact::Lost { .. }
            | Fact::Healed
            | Fact::Rested => {}
        }
    }

    pub(super) fn task(&self, task: TaskId) -> Option<&Task> {
        self.tasks.get(&task)
    }

    pub(super) fn tasks(&self) -> impl Iterator<Item = &Task> {
        self.tasks.values()
    }

    /// The tasks of a gateway that have not ended.
    pub(super) fn pending(&self, gateway: u8) -> impl Iterator<Item = &Task> {
        let pending = &self.processes[usize::from(gateway)].pending;
        pending.iter().filter_map(|task| self.tasks.get(task))
    }

    pub(super) fn chain(&self, file: StorageIndex) -> &[Made] {
        self.chains.get(&file).map_or(&[], Vec::as_slice)
    }

    /// Where in its chain a version is, if it is there.
    pub(super) fn place(&self, file: StorageIndex, version: VersionId) -> Option<usize> {
        self.chain(file).iter().position(|made| made.version == version)
    }

    /// The first task of a gateway that a file knew by this key.
    pub(super) fn named(&self, gateway: u8, file: StorageIndex, key: &Key) -> Option<&Task> {
        let is_named = |task: &&Task| {
            let Submission { file: of, key: name, .. } = &*task.submission;
            task.gateway() == gateway && *of == file && name.as_ref() == Some(key)
        };
        self.tasks().filter(is_named).min_by_key(|task| task.number)
    }

    /// The task that this one is to follow, if it is to follow one that has arrived.
    pub(super) fn predecessor(&self, task: &Task) -> Option<&Task> {
        match &task.submission.after {
            After::Whatever | After::Nothing | After::Version(_) => None,
            After::Task(predecessor) => self.task(*predecessor),
            After::Key(key) => self.named(task.gateway(), task.submission.file, key),
        }
    }

    /// What a task must follow, if that is known by now.
    pub(super) fn follows(&self, task: &Task) -> Option<Follows> {
        match &task.submission.after {
            After::Whatever => Some(Follows::Whatever),
            After::Nothing => Some(Follows::Nothing),
            After::Version(version) => Some(Follows::Version(*version)),
            After::Task(_) | After::Key(_) => match self.predecessor(task)?.outcome {
                Some(Outcome::Published(version)) => Some(Follows::Version(version)),
                Some(Outcome::Fruitless | Outcome::Unsettled) | None => None,
            },
        }
    }

    /// Whether two tasks are one submission.
    pub(super) fn is_same(one: &Task, other: &Task) -> bool {
        let has_key = one.submission.key.is_some();
        one.id == other.id || (has_key && one.submission.is_repeated_by(&other.submission))
    }

    /// Whether this version is of that task's submission, whichever gateway made it.
    pub(super) fn is_of(&self, made: &Made, task: &Task) -> bool {
        self.maker(made).is_some_and(|maker| Self::is_same(maker, task))
    }

    /// The task that made a version.
    pub(super) fn maker(&self, made: &Made) -> Option<&Task> {
        match &made.by {
            Maker::Task(task, _) => self.task(*task),
            Maker::Outsider => None,
        }
    }

    fn register(&mut self, id: TaskId, submission: &Rc<Submission>) {
        let task = Task {
            id,
            submission: Rc::clone(submission),
            number: self.tasks.len(),
            arrived_at: self.now,
            state: None,
            outcome: None,
            runs_now: false,
            runs: 0,
            cancelled: false,
        };
        self.tasks.insert(id, task);
        self.processes[usize::from(gateway_of(id))].pending.insert(id);
    }

    fn moved(&mut self, Move { task: id, from, to, outcome }: &Move) {
        let gateway = gateway_of(*id);
        if (from, to) == (&Some(State::Queued), &State::Running) {
            self.has_its_turn(gateway, *id);
        }
        let Some(task) = self.tasks.get_mut(id) else { return };
        (task.state, task.outcome) = (Some(to.clone()), *outcome);
        let process = &mut self.processes[usize::from(gateway)];
        if matches!(to, State::Ended(_)) {
            process.pending.remove(id);
        } else {
            process.pending.insert(*id);
        }
        let ready = self.ready(gateway);
        self.processes[usize::from(gateway)].passed_over.retain(|caller, _| ready.contains(caller));
    }

    /// Whoever else has a task that may run was passed over.
    fn has_its_turn(&mut self, gateway: u8, id: TaskId) {
        let ready = self.ready(gateway);
        let Some(starting) = self.tasks.get(&id).map(|task| &task.submission.caller) else {
            return;
        };
        let process = &mut self.processes[usize::from(gateway)];
        process.passed_over.remove(starting);
        for caller in ready.into_iter().filter(|caller| caller != starting) {
            *process.passed_over.entry(caller).or_default() += 1;
        }
    }

    /// The callers whose task is the first in line of a file of which none runs.
    fn ready(&self, gateway: u8) -> BTreeSet<Caller> {
        let mut heads = BTreeMap::<StorageIndex, Option<&Task>>::new();
        for task in self.pending(gateway) {
            match task.state {
                Some(State::Running) => {
                    heads.insert(task.submission.file, None);
                }
                Some(State::Queued) => {
                    let head = heads.entry(task.submission.file).or_insert(Some(task));
                    *head = head.filter(|head| head.number < task.number).or(head.map(|_| task));
                }
                Some(State::Held | State::Ended(_)) | None => {}
            }
        }
        heads.into_values().flatten().map(|task| task.submission.caller.clone()).collect()
    }

    fn died(&mut self, gateway: u8) {
        self.processes[usize::from(gateway)].passed_over.clear();
        for task in self.tasks.values_mut().filter(|task| task.gateway() == gateway) {
            (task.runs_now, task.runs, task.cancelled) = (false, 0, false);
        }
    }
}

impl Task {
    pub(super) const fn gateway(&self) -> u8 {
        gateway_of(self.id)
    }

    /// Whether its caller was told, rightly or not, that it changed nothing.
    pub(super) fn is_told_of_nothing(&self) -> bool {
        matches!(self.state, Some(State::Ended(_)))
            && !matches!(self.outcome, Some(Outcome::Published(_) | Outcome::Unsettled))
    }

    pub(super) const fn has_ended(&self) -> bool {
        matches!(self.state, Some(State::Ended(_)))
    }
}
