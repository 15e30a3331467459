//! The registrar: the one thread that steps the queue and changes the record. Whatever waits for it is taken together: one
//! transaction, one wait for the disk. Only when that is durable is anybody answered, or anything begun. Publishes nothing.
//!
//! This is the critical section of DESIGN §8: what a task is called, what it follows and its place in line are looked up
//! and fixed here, where nobody else changes anything.

mod change;

use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread::JoinHandle;
use std::time::Duration;

use tarn_proto::gateway as wire;
use tokio::sync::{mpsc as channel, oneshot};
use tokio::time::Instant;

use super::board::Board;
use super::clock::UnixMillis;
use super::submission::{Named, Submission};
use super::tasks::{FileRow, Journalled, Row, Tasks, TasksError};
use crate::publish::Follows;
use crate::queue::{Arrival, End, Event, Limits, Queue, TaskId, Ticket};
use crate::time::Millis;
use change::{Batch, Done};

/// How many requests one transaction takes.
const BATCH_MAX: usize = 256;
/// How often old tasks are looked for.
const EXPIRY_INTERVAL: Duration = Duration::from_secs(60);
/// How many are forgotten at once.
const EXPIRED_MAX: u32 = 500;
/// How long nothing is tried after the record could not be changed.
const REST: Duration = Duration::from_secs(1);

/// What the registrar is asked for.
pub(super) enum Request {
    /// Take a task.
    Submit(Box<Submission>, Answer<Result<Submitted, SubmitError>>),
    /// A run of a task has ended.
    Ended { task: TaskId, end: End, outcome: Box<wire::Outcome> },
    /// Make a decision durable.
    Journal { task: TaskId, entry: Box<Journalled>, answer: mpsc::SyncSender<()> },
    /// Call a task off.
    Cancel(TaskId, Answer<Result<(), Refused>>),
    /// Forget a task that has ended.
    Delete(TaskId, Answer<Result<(), Refused>>),
    /// Remember a file.
    Know(Box<FileRow>, Answer<Result<(), Refused>>),
    /// Start nothing more, and end once all before this is done.
    Stop,
}

/// Where an answer goes.
pub(super) type Answer<T> = oneshot::Sender<T>;

/// A task that is accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Submitted {
    pub(super) task: TaskId,
    /// Whether it was there already.
    pub(super) repeated: bool,
}

/// Why a submission was not accepted. Nothing is left of it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum SubmitError {
    #[error("the idempotency key was used for another content or ticket, by task {0}")]
    KeyReused(TaskId),
    #[error("there is no task {0} to follow")]
    NoSuchTask(TaskId),
    #[error("task {0} publishes another file")]
    OtherFile(TaskId),
    #[error(transparent)]
    Refused(#[from] Refused),
}

/// Why nothing was done.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum Refused {
    #[error("there is no such task")]
    NoSuchTask,
    #[error("the task has not ended")]
    Pending,
    #[error("the gateway is stopping, or its record cannot be changed")]
    Unavailable,
}

/// What is to be done about tasks that run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Order {
    Run {
        task: TaskId,
        follows: Follows,
    },
    Cancel {
        task: TaskId,
    },
    /// Its content is not needed any more, of which the record held so many bytes.
    Drop {
        task: TaskId,
        inline: u64,
    },
}

/// A handle to the registrar. Clones are the same.
#[derive(Debug, Clone)]
pub(super) struct Registrar {
    requests: mpsc::Sender<Request>,
}

impl Registrar {
    /// Takes up what is on record, and starts the thread. `orders` go to whoever runs tasks.
    pub(super) fn start(
        tasks: Tasks,
        limits: Limits,
        keep: Duration,
        board: Board,
        orders: channel::UnboundedSender<Order>,
    ) -> Result<(Self, JoinHandle<()>), TasksError> {
        let (requests, queue) = mpsc::channel();
        let mut desk = Desk {
            began: Instant::now(),
            queue: Queue::new(limits),
            tasks,
            limits,
            keep,
            board,
            orders,
            expired_at: None,
            stopping: false,
            behind: false,
        };
        desk.take_up()?;
        let thread = std::thread::spawn(move || desk.serve(&queue));
        Ok((Self { requests }, thread))
    }

    /// Asks, and waits for the answer.
    pub(super) async fn ask<T, E: From<Refused>>(
        &self,
        request: impl FnOnce(Answer<Result<T, E>>) -> Request,
    ) -> Result<T, E> {
        let (answer, answered) = oneshot::channel();
        self.tell(request(answer));
        answered.await.unwrap_or_else(|_gone| Err(Refused::Unavailable.into()))
    }

    /// Tells without waiting.
    pub(super) fn tell(&self, request: Request) {
        // A registrar that is gone does nothing more, and whoever waits for it is told so.
        let _ = self.requests.send(request);
    }

    /// Makes a publish's decision durable. Blocks.
    pub(super) fn journal(&self, task: TaskId, entry: Journalled) -> Result<(), Refused> {
        let (answer, answered) = mpsc::sync_channel(1);
        self.tell(Request::Journal { task, entry: Box::new(entry), answer });
        answered.recv().map_err(|_gone| Refused::Unavailable)
    }
}

/// Where the registrar works.
struct Desk {
    began: Instant,
    queue: Queue,
    tasks: Tasks,
    limits: Limits,
    keep: Duration,
    board: Board,
    orders: channel::UnboundedSender<Order>,
    expired_at: Option<Instant>,
    stopping: bool,
    /// Whether the queue is not what the record says, after a change that failed.
    behind: bool,
}

impl Desk {
    fn serve(&mut self, requests: &mpsc::Receiver<Request>) {
        loop {
            if self.behind && !self.catch_up(requests) {
                continue;
            }
            let mut waiting = match requests.recv_timeout(self.patience()) {
                Ok(request) => vec![request],
                Err(RecvTimeoutError::Timeout) => Vec::new(),
                Err(RecvTimeoutError::Disconnected) => return,
            };
            waiting.extend(requests.try_iter().take(BATCH_MAX - waiting.len()));
            self.stopping |= waiting.iter().any(|request| matches!(request, Request::Stop));
            self.handle(waiting);
            if self.stopping && self.queue.running() == 0 {
                return;
            }
        }
    }

    /// How long there is nothing to do but what is asked.
    fn patience(&self) -> Duration {
        let wakes = self.queue.wakes_at().map(|when| Duration::from(when.since(self.now())));
        let expiry = match self.expired_at {
            Some(last) => (last + EXPIRY_INTERVAL).saturating_duration_since(Instant::now()),
            None => Duration::ZERO,
        };
        wakes.map_or(expiry, |wakes| wakes.min(expiry))
    }

    fn now(&self) -> Millis {
        Millis(u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX))
    }

    /// Does all of it, or none.
    fn handle(&mut self, requests: Vec<Request>) {
        match self.change(requests) {
            Ok(done) => {
                self.board.changed(done.changed);
                for order in done.orders {
                    // Whoever runs tasks is gone only when the program ends.
                    let _ = self.orders.send(order);
                }
                done.answers.into_iter().for_each(|answer| answer());
            }
            Err(error) => {
                tracing::error!(%error, "the record of tasks cannot be changed");
                // The queue is ahead of the record now: what is on record counts.
                self.behind = true;
            }
        }
    }

    /// Makes the queue what the record says. What is asked meanwhile is refused, by letting go of it: a run whose end is not
    /// recorded is run again, and finds what it published.
    fn catch_up(&mut self, requests: &mpsc::Receiver<Request>) -> bool {
        let (_never, wait) = mpsc::channel::<()>();
        let _ = wait.recv_timeout(REST);
        for request in requests.try_iter() {
            self.stopping |= matches!(request, Request::Stop);
        }
        match self.take_up() {
            Ok(()) => self.behind = false,
            Err(error) => tracing::error!(%error, "the record of tasks cannot be taken up again"),
        }
        !self.behind
    }

    fn change(&mut self, requests: Vec<Request>) -> Result<Done, TasksError> {
        let now = self.now();
        let expires = self.is_expiry_due().then(|| UnixMillis::now().before(self.keep));
        let mut more_expires = false;
        let mut batch = Batch::begin(&mut self.queue, self.tasks.change()?, now);
        batch.step(Event::TimePassed)?;
        for request in requests {
            batch.handle(request)?;
        }
        if let Some(before) = expires {
            more_expires = batch.expire(before, EXPIRED_MAX)? == EXPIRED_MAX as usize;
        }
        let done = batch.commit()?;
        if more_expires {
            self.expired_at = None;
        }
        Ok(done)
    }

    fn is_expiry_due(&mut self) -> bool {
        let now = Instant::now();
        let due = self.expired_at.is_none_or(|last| now.duration_since(last) >= EXPIRY_INTERVAL);
        if due {
            self.expired_at = Some(now);
        }
        due
    }

    /// Makes the queue what the record says.
    fn take_up(&mut self) -> Result<(), TasksError> {
        let recorded = self.tasks.reader()?.pending()?;
        let now = self.now();
        let change = self.tasks.change()?;
        let mut arrivals = Vec::with_capacity(recorded.len());
        let mut cancelled = Vec::new();
        for row in recorded {
            if row.cancelled {
                cancelled.push(row.task);
            }
            let ticket = match row.follows {
                Some(version) => Ticket::Version(version),
                None => change::ticket(&change, row.file, &row.ticket)?,
            };
            arrivals.push((arrival(&row, ticket), row.state));
        }
        let (mut queue, actions) = Queue::restored(self.limits, now, arrivals);
        let mut batch = Batch::begin(&mut queue, change, now);
        batch.carry_out(actions, None, None)?;
        for task in cancelled {
            batch.step(Event::CancelRequested { task })?;
        }
        if self.stopping {
            batch.step(Event::Stopping)?;
        }
        let done = batch.commit()?;
        self.queue = queue;
        for order in done.orders {
            let _ = self.orders.send(order);
        }
        self.board.changed(done.changed);
        Ok(())
    }
}

fn arrival(row: &Row, ticket: Ticket) -> Arrival {
    Arrival {
        task: row.task,
        file: row.file,
        caller: row.caller.clone(),
        key: row.key.clone(),
        ticket,
    }
}
