//! Where the registrar works: requests in, one change of the record for all that wait, and what is to be done and said once
//! it is made. What a change consists of is [`Batch`]'s.

use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::Duration;

use tokio::sync::mpsc as channel;
use tokio::time::Instant;

use super::change::{self, Batch, Done};
use super::{Order, Request};
use crate::gateway::board::Board;
use crate::gateway::clock::UnixMillis;
use crate::gateway::tasks::{Durable, Row, Tasks, TasksError};
use crate::queue::{Arrival, End, Event, Limits, Queue, Ticket};
use crate::time::Millis;

/// How many requests one transaction takes.
const BATCH_MAX: usize = 256;
/// How often old tasks are looked for.
const EXPIRY_INTERVAL: Duration = Duration::from_secs(60);
/// How many are forgotten at once.
const EXPIRED_MAX: u32 = 500;
/// How long what is written may wait for another change to make it durable too.
const SETTLE_AFTER: Duration = Duration::from_millis(100);
/// How long nothing is tried after the record could not be changed.
pub(super) const REST: Duration = Duration::from_secs(1);

/// Where the registrar works.
pub(super) struct Desk {
    began: Instant,
    queue: Queue,
    tasks: Tasks,
    limits: Limits,
    keep: Duration,
    board: Board,
    orders: channel::UnboundedSender<Order>,
    expired_at: Option<Instant>,
    /// Since when something is written and not durable.
    unsettled_since: Option<Instant>,
    stopping: bool,
    /// Whether the queue is not what the record says, after a change that failed.
    behind: bool,
}

impl Desk {
    pub(super) fn new(
        tasks: Tasks,
        limits: Limits,
        keep: Duration,
        board: Board,
        orders: channel::UnboundedSender<Order>,
    ) -> Self {
        Self {
            began: Instant::now(),
            queue: Queue::new(limits),
            tasks,
            limits,
            keep,
            board,
            orders,
            expired_at: None,
            unsettled_since: None,
            stopping: false,
            behind: false,
        }
    }

    pub(super) fn serve(&mut self, requests: &mpsc::Receiver<Request>) {
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
            let stops = self.stopping && self.queue.running() == 0;
            if self.settles_at().is_some_and(|when| stops || when <= Instant::now()) {
                self.settle();
            }
            if stops {
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
        let settles = self.settles_at().map(|when| when.saturating_duration_since(Instant::now()));
        [wakes, settles].into_iter().flatten().fold(expiry, Duration::min)
    }

    fn settles_at(&self) -> Option<Instant> {
        self.unsettled_since.map(|since| since + SETTLE_AFTER)
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

    /// Makes durable what is only written.
    fn settle(&mut self) {
        match self.tasks.settle() {
            Ok(()) => self.unsettled_since = None,
            Err(error) => {
                tracing::error!(%error, "the record of tasks cannot be made durable");
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
        // What a sync that failed has left is not durable, whatever a later one says.
        let settled = self.unsettled_since.map_or(Ok(()), |_since| self.tasks.settle());
        match settled.and_then(|()| self.take_up()) {
            Ok(()) => {
                self.unsettled_since = None;
                self.behind = false;
            }
            Err(error) => tracing::error!(%error, "the record of tasks cannot be taken up again"),
        }
        !self.behind
    }

    fn change(&mut self, requests: Vec<Request>) -> Result<Done, TasksError> {
        let now = self.now();
        let expires = self.is_expiry_due().then(|| UnixMillis::now().before(self.keep));
        let mut more_expires = false;
        let may_wait = expires.is_none()
            && self.queue.wakes_at().is_none_or(|when| now < when)
            && requests.iter().all(Request::is_found_out_again);
        let durable = if may_wait { Durable::Soon } else { Durable::AtOnce };
        let written = self.tasks.changes();
        let mut batch = Batch::begin(&mut self.queue, self.tasks.change(durable)?, now);
        batch.step(Event::TimePassed)?;
        for request in requests {
            batch.handle(request)?;
        }
        if let Some(before) = expires {
            more_expires = batch.expire(before, EXPIRED_MAX)? == EXPIRED_MAX as usize;
        }
        for order in batch.orders_ahead() {
            let _ = self.orders.send(order);
        }
        let done = batch.commit()?;
        if self.tasks.changes() > written {
            self.unsettled_since = match durable {
                Durable::Soon => self.unsettled_since.or_else(|| Some(Instant::now())),
                // One wait for the disk is for all that was written before.
                Durable::AtOnce => None,
            };
        }
        if self.unsettled_since.is_some() && done.ends_others {
            self.tasks.settle()?;
            self.unsettled_since = None;
        }
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
    pub(super) fn take_up(&mut self) -> Result<(), TasksError> {
        let recorded = self.tasks.reader()?.pending()?;
        let now = self.now();
        let change = self.tasks.change(Durable::AtOnce)?;
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

impl Request {
    /// Whether, if it were forgotten, another run would find out the same.
    const fn is_found_out_again(&self) -> bool {
        matches!(self, Self::Ended { end: End::Published { .. }, content_lasts: true, .. })
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
