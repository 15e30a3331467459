//! One change of the record and the queue: requests in, and what is to be said and done once it is durable.

use tarn_proto::StorageIndex;
use tarn_proto::gateway as wire;

use super::{Named, Order, Refused, Request, Submission, SubmitError, Submitted};
use crate::gateway::clock::UnixMillis;
use crate::gateway::outcome;
use crate::gateway::tasks::{Change, FileRow, TasksError};
use crate::publish::Follows;
use crate::queue::{
    Action, Arrival, Because, End, Event, Predecessor, Queue, State, TaskId, Ticket, Verdict,
};
use crate::time::Millis;

/// What is said and done once a change is durable.
pub(super) struct Done {
    pub(super) answers: Vec<Box<dyn FnOnce()>>,
    pub(super) orders: Vec<Order>,
    pub(super) changed: Vec<TaskId>,
    /// Whether a task ended of which no run would find out how.
    pub(super) ends_others: bool,
}

/// A change in the making.
pub(super) struct Batch<'a> {
    queue: &'a mut Queue,
    change: Change<'a>,
    now: Millis,
    clock: UnixMillis,
    done: Done,
}

impl<'a> Batch<'a> {
    pub(super) fn begin(queue: &'a mut Queue, change: Change<'a>, now: Millis) -> Self {
        let done = Done {
            answers: Vec::new(),
            orders: Vec::new(),
            changed: Vec::new(),
            ends_others: false,
        };
        Self { queue, change, now, clock: UnixMillis::now(), done }
    }

    /// What may be begun before it is durable.
    pub(super) fn orders_ahead(&mut self) -> Vec<Order> {
        let is_ahead = |order: &mut Order| matches!(order, Order::Run { work: Some(_), .. });
        self.done.orders.extract_if(.., is_ahead).collect()
    }

    /// Makes it durable.
    pub(super) fn commit(self) -> Result<Done, TasksError> {
        self.change.commit()?;
        Ok(self.done)
    }

    pub(super) fn handle(&mut self, request: Request) -> Result<(), TasksError> {
        match request {
            Request::Submit(submission, answer) => {
                let submitted = self.submit(&submission)?;
                self.answer(move || drop(answer.send(submitted)));
            }
            Request::Ended { task, end, outcome, content_lasts: _ } => {
                if end == End::Unsettled {
                    self.change.note(task, &outcome)?;
                }
                let actions = self.queue.step(self.now, Event::Ended { task, end });
                self.carry_out(actions, None, Some((task, &outcome)))?;
                self.done.changed.push(task);
            }
            Request::Journal { task, entry, answer } => {
                // A run that began ahead of a change which failed is of no task, and must not commit anything.
                if self.change.journal(task, &entry)? {
                    self.answer(move || {
                        // A publish that does not wait any more was cut off.
                        let _ = answer.send(());
                    });
                }
            }
            Request::Cancel(task, answer) => {
                let known = self.change.predecessor(task)?.is_some();
                self.change.call_off(task)?;
                self.step(Event::CancelRequested { task })?;
                let told = if known { Ok(()) } else { Err(Refused::NoSuchTask) };
                self.answer(move || drop(answer.send(told)));
            }
            Request::Delete(task, answer) => {
                let told = match self.change.predecessor(task)? {
                    None => Err(Refused::NoSuchTask),
                    Some(_) if self.change.delete(task)? => Ok(()),
                    Some(_) => Err(Refused::Pending),
                };
                self.done.changed.push(task);
                self.answer(move || drop(answer.send(told)));
            }
            Request::Know(file, answer) => {
                self.change.know_file(&file)?;
                self.answer(move || drop(answer.send(Ok(()))));
            }
            Request::Stop => self.step(Event::Stopping)?,
        }
        Ok(())
    }

    pub(super) fn step(&mut self, event: Event) -> Result<(), TasksError> {
        let actions = self.queue.step(self.now, event);
        self.carry_out(actions, None, None)
    }

    /// Forgets old tasks; answers how many.
    pub(super) fn expire(&mut self, before: UnixMillis, at_most: u32) -> Result<usize, TasksError> {
        let expired = self.change.expire(before, at_most)?;
        if expired > 0 {
            tracing::debug!(expired, "old tasks were forgotten");
        }
        Ok(expired)
    }

    fn submit(
        &mut self,
        submission: &Submission,
    ) -> Result<Result<Submitted, SubmitError>, TasksError> {
        if let Some(key) = &submission.key
            && let Some((task, attempt)) = self.change.with_key(submission.file, key)?
        {
            let same = attempt == *submission.attempt.as_bytes();
            let repeated = Submitted { task, repeated: true };
            return Ok(if same { Ok(repeated) } else { Err(SubmitError::KeyReused(task)) });
        }
        if let Named::Task(task) = submission.ticket {
            match self.change.predecessor(task)? {
                None => return Ok(Err(SubmitError::NoSuchTask(task))),
                Some(found) if found.file != submission.file => {
                    return Ok(Err(SubmitError::OtherFile(task)));
                }
                Some(_) => {}
            }
        }
        if let Some((shape, window)) = &submission.origin {
            self.change.know_file(&FileRow {
                file: submission.file,
                window: Some(window.clone()),
                shape: Some(*shape),
                high_water: None,
            })?;
        }
        let arrival = Arrival {
            task: submission.task,
            file: submission.file,
            caller: submission.caller.clone(),
            key: submission.key.clone(),
            ticket: ticket(&self.change, submission.file, &submission.ticket)?,
        };
        let actions = self.queue.step(self.now, Event::Arrived(arrival));
        self.carry_out(actions, Some(submission), None)?;
        Ok(Ok(Submitted { task: submission.task, repeated: false }))
    }

    /// Records what moved, and notes what is to be done. `reported` is how a run ended that ends its task.
    pub(super) fn carry_out(
        &mut self,
        actions: Vec<Action>,
        arrived: Option<&Submission>,
        reported: Option<(TaskId, &wire::Outcome)>,
    ) -> Result<(), TasksError> {
        for action in actions {
            match action {
                Action::Move { task, from, to } => {
                    self.record(task, from, &to, arrived, reported)?;
                    // The task that made it may be forgotten before this one runs.
                    if let Some(Follows::Version(version)) = self.queue.follows(task) {
                        self.change.resolve(task, version)?;
                    }
                    self.done.changed.push(task);
                }
                Action::Run { task, follows } => {
                    if let Follows::Version(version) = follows {
                        self.change.resolve(task, version)?;
                    }
                    let new = arrived.filter(|submission| submission.task == task);
                    let work = new.map(|submission| self.change.work_of(submission)).transpose()?;
                    self.done.orders.push(Order::Run { task, follows, work: work.map(Box::new) });
                }
                Action::CancelRun { task } => self.done.orders.push(Order::Cancel { task }),
            }
        }
        Ok(())
    }

    fn record(
        &mut self,
        task: TaskId,
        from: Option<State>,
        to: &State,
        arrived: Option<&Submission>,
        reported: Option<(TaskId, &wire::Outcome)>,
    ) -> Result<(), TasksError> {
        let State::Ended(verdict) = to else {
            return match (from, arrived) {
                (Some(from), _) => self.change.advance(task, &from, to),
                (None, Some(submission)) => self.change.add(submission, to, self.clock),
                (None, None) => Ok(()),
            };
        };
        // A task that is stale when it arrives is on record too: its caller asks for it, and its key is used.
        let from = match (from, arrived) {
            (Some(from), _) => from,
            (None, Some(submission)) => {
                self.change.add(submission, &State::Held, self.clock)?;
                State::Held
            }
            (None, None) => return Ok(()),
        };
        self.done.ends_others |= *verdict != Verdict::Reported;
        let outcome = match verdict {
            Verdict::Cancelled => outcome::cancelled(),
            Verdict::Stale(because) => {
                let made = match because {
                    Because::Replaced { by, .. } => self.change.outcome(*by)?,
                    Because::PredecessorFailed(_)
                    | Because::PredecessorMissing(_)
                    | Because::Circular => None,
                };
                outcome::stale(because, made.as_ref())
            }
            Verdict::Reported => match reported {
                Some((reported, outcome)) if reported == task => outcome.clone(),
                _ => self.change.outcome(task)?.unwrap_or_default(),
            },
        };
        let inline = self.change.inline_bytes(task)?;
        self.change.end(task, &from, &outcome, self.clock)?;
        if outcome.kind() == wire::OutcomeKind::Published
            && let Some(found) = self.change.predecessor(task)?
        {
            self.change.raise_high_water(found.file, &outcome)?;
        }
        self.done.orders.push(Order::Drop { task, inline });
        Ok(())
    }

    fn answer(&mut self, answer: impl FnOnce() + 'static) {
        self.done.answers.push(Box::new(answer));
    }
}

/// What is known now of what a task is to follow.
pub(super) fn ticket(
    change: &Change<'_>,
    file: StorageIndex,
    named: &Named,
) -> Result<Ticket, TasksError> {
    let of_task = |task: TaskId| {
        let found = change.predecessor(task)?.filter(|found| found.file == file);
        Ok(Ticket::After(match found.map(|found| found.ended) {
            Some(None) => Predecessor::Pending(task),
            Some(Some(Some(version))) => Predecessor::Published(version),
            Some(Some(None)) | None => Predecessor::Fruitless(task),
        }))
    };
    match named {
        Named::Overwrite => Ok(Ticket::Whatever),
        Named::Create => Ok(Ticket::Nothing),
        Named::Version(version) => Ok(Ticket::Version(*version)),
        Named::Task(task) => of_task(*task),
        Named::Key(key) => match change.with_key(file, key)? {
            Some((task, _)) => of_task(task),
            None => Ok(Ticket::After(Predecessor::Awaited(key.clone()))),
        },
    }
}
