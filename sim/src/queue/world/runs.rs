//! Publishes of tasks: what they find on the grid, and how they end.

use std::collections::{BTreeMap, BTreeSet};

use rand::RngExt;
use tarn_client::publish::Follows;
use tarn_client::queue::{End, Event, TaskId};
use tarn_proto::{StorageIndex, VersionId};

use super::super::agenda::Upcoming;
use super::super::fact::Fact;
use super::super::grid::{Decision, Maker};
use super::super::names::gateway_of;
use super::super::submission::Attempt;
use super::{World, between, chance};

/// Names a publish.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(in super::super) struct RunId(u64);

/// The publishes that have not ended, and what is on its way of those that did.
#[derive(Debug, Default)]
pub(super) struct Runs {
    count: u64,
    going: BTreeMap<RunId, Run>,
    /// How many commits of a task are on their way of which nobody will hear.
    under_way: BTreeMap<TaskId, u32>,
}

#[derive(Debug, Clone)]
struct Run {
    task: TaskId,
    file: StorageIndex,
    attempt: Attempt,
    follows: Follows,
    cancelled: bool,
    /// How it will end, once it has decided.
    end: Option<End>,
}

impl Runs {
    /// A publish is called off, if it has not decided.
    pub(super) fn cancel(&mut self, task: TaskId) {
        for run in self.going.values_mut().filter(|run| run.task == task) {
            run.cancelled = true;
        }
    }
}

impl World {
    pub(super) fn start(&mut self, gateway: u8, task: TaskId, follows: Follows, restored: bool) {
        self.tell(&Fact::Ran { task, follows, restored });
        let process = &self.gateways[usize::from(gateway)];
        let Some((file, attempt, follows)) = process.publish(task, follows) else { return };
        self.runs.count += 1;
        let id = RunId(self.runs.count);
        self.runs
            .going
            .insert(id, Run { task, file, attempt, follows, cancelled: false, end: None });
        let at = self.now + between(&mut self.dice.runs, self.options.runs.takes);
        self.agenda.put(at, Upcoming::Decide(id));
    }

    /// A publish knows what is there, and does what it may; its gateway hears of it later.
    pub(super) fn decide(&mut self, id: RunId) {
        let Some(run) = self.runs.going.get(&id).cloned() else { return };
        let end = self.outcome(&run);
        let at = self.now + between(&mut self.dice.runs, self.options.runs.takes);
        if let Some(run) = self.runs.going.get_mut(&id) {
            run.end = Some(end);
            self.agenda.put(at, Upcoming::End(id));
        }
    }

    pub(super) fn end(&mut self, id: RunId) {
        let Some(Run { task, end: Some(end), .. }) = self.runs.going.remove(&id) else { return };
        self.tell(&Fact::RunEnded { task, end });
        let (gateway, fate) = (gateway_of(task), self.fate());
        let event = Event::Ended { task, end };
        let done = self.gateways[usize::from(gateway)].hear(self.now, event, fate);
        self.carry_out(gateway, done, None, &BTreeSet::new());
    }

    /// A commit that was on its way takes effect, if it can still.
    pub(super) fn land(
        &mut self,
        file: StorageIndex,
        base: Option<VersionId>,
        task: TaskId,
        attempt: Attempt,
    ) {
        if let Some(count) = self.runs.under_way.get_mut(&task) {
            *count -= 1;
        }
        if let Some(made) = self.grid.append(file, base, Maker::Task(task, attempt)) {
            self.tell(&Fact::Appended { file, made });
        }
    }

    /// A process died: its publishes end unheard, and some have a commit on its way.
    pub(super) fn abandon_runs(&mut self, gateway: u8) {
        let going = std::mem::take(&mut self.runs.going);
        let (gone, going) = going.into_iter().partition(|(_, run)| gateway_of(run.task) == gateway);
        self.runs.going = going;
        let gone: BTreeMap<RunId, Run> = gone;
        for run in gone.into_values().filter(|run| run.end.is_none() && !run.cancelled) {
            if !self.healed
                && self.dice.runs.random_bool(0.3)
                && let Decision::Follow(base) =
                    self.grid.decide(run.file, &run.attempt, run.follows)
            {
                self.launch(&run, base);
            }
        }
    }

    fn outcome(&mut self, run: &Run) -> End {
        // What is on its way may take effect, so it is not known that nothing was changed.
        let in_doubt = self.runs.under_way.get(&run.task).is_some_and(|&count| count > 0);
        let nothing = if in_doubt { End::Unsettled } else { End::Fruitless };
        let options = &self.options.runs;
        let (fruitless, unsettled) = (
            chance(&mut self.dice.runs, options.fruitless) && !self.healed,
            chance(&mut self.dice.runs, options.unsettled) && !self.healed,
        );
        let decision = self.grid.decide(run.file, &run.attempt, run.follows);
        match decision {
            Decision::Repeated(_) | Decision::Stale if unsettled => End::Unsettled,
            Decision::Repeated(version) => End::Published { version, repeated: true },
            Decision::Stale => End::Fruitless,
            Decision::Follow(_) if run.cancelled || fruitless => nothing,
            Decision::Follow(base) if unsettled => {
                match self.dice.runs.random_range(0..3) {
                    0 => {}
                    1 => self.launch(run, base),
                    _ => drop(self.make(run, base)),
                }
                End::Unsettled
            }
            Decision::Follow(base) => match self.make(run, base) {
                Some(version) => End::Published { version, repeated: false },
                None => nothing,
            },
        }
    }

    fn make(&mut self, run: &Run, base: Option<VersionId>) -> Option<VersionId> {
        let by = Maker::Task(run.task, run.attempt.clone());
        let made = self.grid.append(run.file, base, by)?;
        let version = made.version;
        self.tell(&Fact::Appended { file: run.file, made });
        Some(version)
    }

    /// A commit is on its way of which nobody will hear.
    fn launch(&mut self, run: &Run, base: Option<VersionId>) {
        *self.runs.under_way.entry(run.task).or_default() += 1;
        let at = self.now + between(&mut self.dice.runs, (1, self.options.runs.late));
        let (file, task, attempt) = (run.file, run.task, run.attempt.clone());
        self.agenda.put(at, Upcoming::Land { file, base, task, attempt });
    }
}
