//! A gateway: the real queue, its record, and the registrar that looks up keys and predecessors in the same step in which
//! a task is queued. It publishes nothing: what is to be carried out it hands to the world.

use std::rc::Rc;

use tarn_client::publish::Follows;
use tarn_client::queue::{Action, Event, Limits, Queue, State, TaskId, Ticket, Verdict};
use tarn_client::time::Millis;
use tarn_proto::StorageIndex;

use super::plant::Plant;
use super::record::{Clash, Move, Outcome, Record, Refusal, arrival};
use super::submission::{Attempt, Submission};

/// One gateway. Its queue is gone while its process is down.
#[derive(Debug)]
pub(super) struct Gateway {
    limits: Limits,
    record: Record,
    queue: Option<Queue>,
    /// How often its process has begun.
    life: u32,
    bug: fn() -> Box<dyn Plant>,
    plant: Box<dyn Plant>,
}

/// How far a step gets before the process dies, if it does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fate {
    /// To its end.
    Whole,
    /// Nothing of it is durable.
    Unrecorded,
    /// What it moved is durable; nothing else of it was carried out.
    Recorded,
}

/// What came of a step.
#[derive(Debug, Default)]
pub(super) struct Done {
    /// What is on record now.
    pub(super) moves: Vec<Move>,
    /// The record was not what the queue took it for: the process stops.
    pub(super) clash: Option<Clash>,
    /// What is to be carried out; no moves.
    pub(super) actions: Vec<Action>,
    /// The process died.
    pub(super) died: bool,
}

/// What a submission is answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Answer {
    /// It is a task.
    Taken(TaskId),
    /// It was one already.
    Known(TaskId),
    /// It is not taken.
    Refused(Refusal),
}

impl Gateway {
    pub(super) fn new(limits: Limits, bug: fn() -> Box<dyn Plant>) -> Self {
        let queue = Some(Queue::new(bug().limits(limits)));
        Self { limits, record: Record::default(), queue, life: 1, plant: bug(), bug }
    }

    pub(super) const fn is_up(&self) -> bool {
        self.queue.is_some()
    }

    pub(super) const fn life(&self) -> u32 {
        self.life
    }

    pub(super) const fn record(&self) -> &Record {
        &self.record
    }

    /// When it is to be woken although nothing happened.
    pub(super) fn wakes_at(&self) -> Option<u64> {
        self.queue.as_ref().and_then(Queue::wakes_at).map(|Millis(at)| at)
    }

    /// A submission's content begins to be staged: nothing is looked up yet.
    pub(super) fn stages(&self, submission: &Submission) -> Option<Ticket> {
        self.record.ticket(submission).ok().filter(|_| self.plant.looks_up_early())
    }

    /// A submission's content is staged: it becomes a task, called `task`, unless its key says that it is one.
    pub(super) fn submit(
        &mut self,
        now: u64,
        task: TaskId,
        submission: &Rc<Submission>,
        early: Option<Ticket>,
        fate: Fate,
    ) -> (Answer, Done) {
        let key = submission.key.as_ref();
        let named = key.and_then(|key| self.record.named(submission.file, key));
        let named = named.filter(|&named| self.plant.recognises(named));
        if let Some((known, row)) = named.and_then(|named| Some((named, self.record.row(named)?))) {
            let answer = if row.submission.is_repeated_by(submission) {
                Answer::Known(known)
            } else {
                Answer::Refused(Refusal::KeyTaken(known))
            };
            return (answer, Done::default());
        }
        let ticket = match early.map_or_else(|| self.record.ticket(submission), Ok) {
            Ok(ticket) => ticket,
            Err(refusal) => return (Answer::Refused(refusal), Done::default()),
        };
        let event = Event::Arrived(self.plant.arrives(arrival(task, submission, ticket)));
        (Answer::Taken(task), self.step(now, event, Some((task, submission)), fate))
    }

    /// Something happened.
    pub(super) fn hear(&mut self, now: u64, event: Event, fate: Fate) -> Done {
        self.step(now, event, None, fate)
    }

    /// The process is gone, and its queue with it.
    pub(super) fn die(&mut self) {
        self.queue = None;
    }

    /// The process begins again, from what is on record.
    pub(super) fn begin(&mut self, now: u64) -> Done {
        self.life += 1;
        self.plant = (self.bug)();
        let arrives = |(arrival, state)| (self.plant.arrives(arrival), state);
        let recorded = self.record.pending().into_iter().map(arrives).collect();
        let recorded = self.plant.restores(recorded);
        let limits = self.plant.limits(self.limits);
        let (queue, actions) = Queue::restored(limits, Millis(now), recorded);
        self.queue = Some(queue);
        let actions = self.plant.does(&self.record, true, actions);
        self.carry_out(actions, None, None, Fate::Whole)
    }

    /// What this task's publish is to be told: its file, its attempt id, and what it must follow.
    pub(super) fn publish(
        &self,
        task: TaskId,
        follows: Follows,
    ) -> Option<(StorageIndex, Attempt, Follows)> {
        let submission = &self.record.row(task)?.submission;
        let attempt = self.plant.attempt(self.life, task, submission.attempt(task));
        Some((submission.file, attempt, self.plant.passes_on(follows)))
    }

    fn step(
        &mut self,
        now: u64,
        event: Event,
        new: Option<(TaskId, &Rc<Submission>)>,
        fate: Fate,
    ) -> Done {
        let Some(queue) = &mut self.queue else { return Done::default() };
        let (mut event, mut ended, mut actions) = (event, None, Vec::new());
        if let Event::Ended { task, end } = &mut event {
            *end = self.plant.ends(*end);
            ended = Some((*task, Outcome::from(*end)));
        }
        for event in self.plant.hears(&self.record, event) {
            actions.extend(queue.step(Millis(now), event));
        }
        let actions = self.plant.does(&self.record, false, actions);
        self.carry_out(actions, new, ended, fate)
    }

    fn carry_out(
        &mut self,
        actions: Vec<Action>,
        new: Option<(TaskId, &Rc<Submission>)>,
        ended: Option<(TaskId, Outcome)>,
        fate: Fate,
    ) -> Done {
        let mut done = Done { died: fate != Fate::Whole, ..Done::default() };
        for action in actions {
            match action {
                Action::Move { task, from, to } => {
                    // A task that is called off while it rests ends as its last run left it.
                    let outcome = (to == State::Ended(Verdict::Reported)).then(|| match ended {
                        Some((ended, outcome)) if ended == task => outcome,
                        Some(_) | None => Outcome::Unsettled,
                    });
                    done.moves.push(Move { task, from, to, outcome });
                }
                Action::Run { .. } | Action::CancelRun { .. } => done.actions.push(action),
            }
        }
        if fate == Fate::Unrecorded {
            done.moves.clear();
        } else if let Err(clash) = self.record.change(new, &done.moves) {
            done = Done { clash: Some(*clash), died: true, ..Done::default() };
        } else {
            for (task, row) in self.plant.writes(&self.record) {
                done.moves.extend(self.record.overwrite(task, &row));
            }
        }
        if done.died {
            self.die();
            if !self.plant.carries_out_first() {
                done.actions.clear();
            }
        }
        done
    }
}
