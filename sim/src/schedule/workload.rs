//! What callers do: which task each begins, what it does when it has been told, and when it does it again.

use rand::{Rng, RngExt};
use rand_chacha::ChaCha8Rng;
use tarn_proto::SequenceNumber;

use crate::event::{Edit, Event, Follow, PublishTask, ReadTask, TOO_LONG, Task};
use crate::ids::{ClientId, Submission};
use crate::options::{Habit, Options, Stream};
use crate::promises::{self, Broken};
use crate::world::{ReadOutcome, Told, World};

use super::{Plan, Run};

/// Most tasks of one run.
const TASKS_MAX: u16 = 14;

/// The callers of a run.
#[derive(Debug)]
pub(super) struct Workload {
    options: Options,
    rng: ChaCha8Rng,
    oddities: ChaCha8Rng,
    parts: ChaCha8Rng,
    once: ChaCha8Rng,
    callers: Vec<Caller>,
    next_client: u16,
    next_submission: u16,
    /// No new work is begun but the last publish and read.
    winding_up: bool,
    last: Vec<ClientId>,
}

#[derive(Debug, Clone)]
struct Caller {
    habit: Habit,
    /// Its task that is under way.
    running: Option<ClientId>,
    /// What its next publish follows.
    follows: Option<ClientId>,
    /// It has read, and publishes next.
    has_read: bool,
    /// To be submitted again: nobody knows what became of it.
    in_doubt: Option<PublishTask>,
}

impl Workload {
    pub(super) fn new(options: &Options) -> Self {
        let of = |stream: Stream| stream.of(options.seed);
        let caller = |&habit: &Habit| Caller {
            habit,
            running: None,
            follows: None,
            has_read: false,
            in_doubt: None,
        };
        Self {
            options: options.clone(),
            rng: of(Stream::Workload),
            oddities: of(Stream::Oddities),
            parts: of(Stream::Parts),
            once: of(Stream::Once),
            callers: options.callers.iter().map(caller).collect(),
            next_client: 0,
            next_submission: 0,
            winding_up: false,
            last: Vec::new(),
        }
    }

    /// How long a caller waits before its next task.
    pub(super) fn pause(&mut self) -> u64 {
        self.rng.random_range(0..=2 * self.options.pause)
    }

    pub(super) fn source_changes(&mut self) -> Option<Edit> {
        let noticed = self.rng.random_range(0..1000) < self.options.faults.source_changes;
        let odd = self.oddities.random_range(0..1000) < self.options.oddities.sources;
        let how = [Edit::BetweenPasses, Edit::Unreadable][self.oddities.random_range(0..2)];
        noticed.then_some(Edit::Noticed).or(odd.then_some(how))
    }

    pub(super) fn journal_fails(&mut self) -> bool {
        self.rng.random_range(0..1000) < self.options.faults.journal_failures
    }

    pub(super) const fn wind_up(&mut self) {
        self.winding_up = true;
    }

    fn draw_client(&mut self) -> ClientId {
        let id = ClientId(self.next_client);
        self.next_client += 1;
        id
    }

    fn draw_publish(&mut self, caller: u8, follows: Follow, cap_holder: bool) -> PublishTask {
        let submission = Submission(self.next_submission);
        self.next_submission += 1;
        let shapes = &self.options.shapes;
        let shape = shapes[self.rng.random_range(0..shapes.len())];
        let keeps = self.options.keeps_shape && submission.0 > 0 && self.rng.random_bool(0.5);
        let lengths = &self.options.lengths;
        let odd = &self.options.oddities;
        let too_long = self.oddities.random_range(0..1000) < odd.too_long;
        let at_the_end = odd.worn_out && self.oddities.random_bool(0.2);
        let length = lengths[self.rng.random_range(0..lengths.len())];
        PublishTask {
            caller,
            submission,
            shape: (!keeps).then_some(shape),
            length: if too_long { TOO_LONG } else { length },
            tombstone: self.rng.random_range(0..100) < 3,
            follows,
            part: self.parts.random_range(0..1000) < self.options.parts,
            once: self.once.random_range(0..1000) < self.options.once,
            cap_holder,
            spent: at_the_end.then_some(SequenceNumber::LAST.get() - 2),
            resumes: None,
            seed: self.rng.next_u64(),
        }
    }

    fn draw_read(&mut self, caller: u8, cap_holder: bool) -> ReadTask {
        let strict = self.rng.random_bool(0.2);
        ReadTask { caller, strict, cap_holder, seed: self.rng.next_u64() }
    }

    /// The next task of a caller.
    fn next_task(&mut self, index: u8, published: bool) -> Task {
        let cap_holder = published && self.rng.random_bool(0.3);
        let Some(caller) = self.callers.get(usize::from(index)).cloned() else {
            return self.last_task(index);
        };
        if let Some(again) = caller.in_doubt {
            return Task::Publish(PublishTask { seed: self.rng.next_u64(), ..again });
        }
        let first = if self.options.expects_nothing { Follow::Nothing } else { Follow::Whatever };
        let follows = caller.follows.map_or(first, Follow::ResultOf);
        match caller.habit {
            Habit::Reads => Task::Read(self.draw_read(index, cap_holder)),
            Habit::Modifies if !caller.has_read => Task::Read(self.draw_read(index, cap_holder)),
            Habit::Modifies | Habit::Tickets => {
                Task::Publish(self.draw_publish(index, follows, cap_holder))
            }
            Habit::Overwrites => {
                Task::Publish(self.draw_publish(index, Follow::Whatever, cap_holder))
            }
        }
    }

    /// After everything healed: a publish, and then a read.
    fn last_task(&mut self, index: u8) -> Task {
        if self.last.is_empty() {
            let shape = (1, 1, self.options.setup.window);
            let task = self.draw_publish(index, Follow::Whatever, false);
            Task::Publish(PublishTask {
                shape: Some(shape),
                length: 8,
                tombstone: false,
                part: false,
                once: false,
                spent: None,
                ..task
            })
        } else {
            Task::Read(self.draw_read(index, false))
        }
    }

    /// The last publish is Published and the last read confirms it, unless disks were lost, servers lied, or no sequence
    /// number was left.
    pub(super) fn check_progress(&self, world: &World) -> Option<Broken> {
        let lost = world.servers().any(|server| server.is_destroyed())
            || self.options.faults.rot.is_some()
            || self.options.oddities.worn_out
            || world.oracle().has_lied();
        let [publish, read] = self.last[..] else { return None };
        let told = |id| world.oracle().task(id).map(|record| &record.told);
        let wanted = told(publish).and_then(Told::version);
        let confirmed = matches!(
            told(read),
            Some(Told::Read(ReadOutcome::Got { version, confirmed: true, .. }))
                if Some(*version) == wanted
        );
        (!lost && !confirmed).then(|| {
            let names = [publish, read].map(|id| told(id).map_or("nothing", Told::name));
            promises::stuck(&names)
        })
    }
}

impl Run {
    /// A caller begins its next task, now and then twice at once.
    pub(super) fn begin(&mut self, at: u64, index: u8) -> Result<(), Broken> {
        let is_last = usize::from(index) >= self.options.callers.len();
        let busy = self
            .workload
            .callers
            .get(usize::from(index))
            .is_some_and(|caller| caller.running.is_some());
        let too_many = self.workload.next_client >= TASKS_MAX || self.workload.winding_up;
        if busy || !is_last && too_many {
            return Ok(());
        }
        let still = self.world.clients().any(|client| client.is_running())
            || self.world.in_flight().next().is_some();
        if is_last && still {
            // The others end first, and whatever they left on its way arrives.
            self.plan(at + 1_000, Plan::Begin(index));
            return Ok(());
        }
        let published = self.world.oracle().published().next().is_some();
        let task = self.workload.next_task(index, published);
        let client = self.workload.draw_client();
        if is_last {
            self.workload.last.push(client);
        }
        if let Some(caller) = self.workload.callers.get_mut(usize::from(index)) {
            caller.running = Some(client);
            caller.in_doubt = None;
        }
        let twice = match &task {
            Task::Publish(task) if !is_last => {
                let draw = self.workload.rng.random_range(0..1000);
                let seed = self.workload.rng.next_u64();
                let again = PublishTask { seed, ..task.clone() };
                (draw < self.options.double_submits && !task.is_read_once()).then_some(again)
            }
            Task::Publish(_) | Task::Read(_) => None,
        };
        self.happen(at, Event::Began { client, task })?;
        if let Some(task) = twice {
            let client = self.workload.draw_client();
            self.inject(
                at,
                "submitted twice",
                Event::Began { client, task: Task::Publish(task) },
                true,
            )?;
        }
        if let Some(message) = self.options.faults.kill_at
            && client.0 == 0
        {
            self.kill_at = Some((client, message));
        }
        Ok(())
    }

    /// A caller was told.
    pub(super) fn told(&mut self, client: ClientId) {
        let Some(record) = self.world.oracle().task(client) else { return };
        let told = record.told.clone();
        let task = record.task.clone();
        *self.told.entry(told.name()).or_default() += 1;
        let index = self.caller_of(client);
        let Some(caller) = self.workload.callers.get_mut(usize::from(index)) else { return };
        if caller.running != Some(client) {
            return;
        }
        match (&told, &task) {
            (Told::Published { .. }, _) => {
                caller.follows = Some(client);
                caller.has_read = false;
            }
            (Told::Read(ReadOutcome::Got { .. }), _) => {
                caller.follows = Some(client);
                caller.has_read = true;
            }
            (Told::InDoubt { .. }, Task::Publish(again)) => {
                caller.follows = None;
                caller.has_read = false;
                let resubmit =
                    self.options.setup.single_writer || self.workload.rng.random_bool(0.5);
                caller.in_doubt = (resubmit && !again.is_read_once()).then(|| again.clone());
            }
            (Told::Unchanged { .. } | Told::Nothing | Told::InDoubt { .. } | Told::Read(_), _) => {
                caller.follows = None;
                caller.has_read = false;
            }
        }
    }

    /// Nothing of a task is left: its caller goes on after a pause.
    pub(super) fn over(&mut self, client: ClientId) {
        let index = self.caller_of(client);
        let killed = self.world.oracle().task(client).filter(|record| record.killed).cloned();
        let single = self.options.setup.single_writer;
        let pause = self.workload.pause();
        let now = self.world.now();
        let Some(caller) = self.workload.callers.get_mut(usize::from(index)) else {
            if self.workload.last.len() < 2 {
                self.plan(now + 1, Plan::Begin(index));
            }
            return;
        };
        if caller.running != Some(client) {
            return;
        }
        caller.running = None;
        if let Some(Task::Publish(again)) = killed.map(|record| record.task) {
            caller.follows = None;
            if single || self.workload.rng.random_bool(0.5) {
                let journals = self.options.oddities.journals;
                let journaled = journals && self.world.oracle().journal(client).is_some();
                let resumes = journaled.then_some(client).or(again.resumes);
                let again = PublishTask { resumes, ..again };
                // What was read and is gone cannot be submitted again.
                caller.in_doubt = Some(again).filter(|again| !again.is_read_once());
            }
        }
        self.plan(now + pause, Plan::Begin(index));
    }
}
