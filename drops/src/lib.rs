//! No future is trusted to finish: makes an operation again and again, drops it at its every poll, and has what it left
//! behind looked at. For tests only. Knows nothing of what it drops: the caller says what must not be left.
//!
//! ```text
//!  n = 0       dropped before its first poll
//!  n = 1, 2 …  polled n times, each time when it was woken, and dropped
//!                while it waits: what it asked for is under way
//!                and, in another try, once it was woken: what it asked for is there, and nobody takes it
//!  n = last    it completes
//! ```
//!
//! An operation that hands its work to tasks has few polls of its own. [`drop_at_every_turn`] drops it between any two
//! polls of whatever else its runtime runs: its tasks, and the servers it talks to.

mod idle;
mod table;
#[cfg(test)]
mod tests;

use std::fmt;
use std::future::poll_fn;
use std::io::Write;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Sender, channel};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use futures::task::AtomicWaker;
use tokio::runtime::{Builder, Runtime};

pub use idle::{tasks_at_rest, until, until_blocking_is_done, until_tasks_are};
pub use table::Table;

/// No operation of ours has so many polls or turns: only one that never ends.
const POLLS_MAX: usize = 20_000;
/// Only so that what is never woken fails a test instead of hanging it.
const PATIENCE: Duration = Duration::from_secs(60);

/// How much was tried of one operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tried {
    /// How many polls it took to complete: it was dropped at every smaller number, zero included.
    pub polls: usize,
    /// How often it was dropped.
    pub drops: usize,
}

/// Drops what `make` makes at its every poll, and calls `after` each time: with nothing after a drop, and with what came
/// of it when it completed, which ends the trial. What is made is dropped before `after` begins. On [`runtime`], work that
/// blocks and is begun by a poll begins after it: one that is dropped while it waits is dropped before.
///
/// # Panics
///
/// When the operation does not end, or is not woken.
pub async fn drop_at_every_poll<F: Future>(
    make: impl AsyncFnMut() -> F,
    after: impl AsyncFnMut(Option<F::Output>),
) -> Tried {
    drop_at_every(Unit::Poll, POLLS_MAX, make, after).await
}

/// The same, with an operation that is polled at every turn of the runtime, woken or not: see [`runtime`].
pub async fn drop_at_every_turn<F: Future>(
    mut make: impl AsyncFnMut() -> F,
    after: impl AsyncFnMut(Option<F::Output>),
) -> Tried {
    let make = async || at_every_turn(make().await);
    drop_at_every(Unit::Turn, POLLS_MAX, make, after).await
}

/// A runtime of one thread that polls one task in each of its turns, so that nothing happens between two turns that could
/// be told apart, and every run is like the last. Work that blocks has one thread, too, and is done in order.
pub fn runtime() -> Runtime {
    let runtime = Builder::new_current_thread()
        .event_interval(1)
        .max_blocking_threads(1)
        .enable_all()
        .build();
    runtime.expect("the system gives a runtime what it needs")
}

/// What a trial goes on by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Unit {
    Poll,
    Turn,
}

impl Unit {
    /// What is polled at every turn is woken at once, always: waiting for that is the same moment once more.
    const fn moments(self) -> &'static [Moment] {
        match self {
            Self::Poll => &[Moment::Waiting, Moment::Woken],
            Self::Turn => &[Moment::Waiting],
        }
    }
}

/// When, after its last poll, an operation is dropped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Moment {
    Waiting,
    Woken,
}

async fn drop_at_every<F: Future>(
    unit: Unit,
    polls_max: usize,
    mut make: impl AsyncFnMut() -> F,
    mut after: impl AsyncFnMut(Option<F::Output>),
) -> Tried {
    let mut drops = 0;
    for polls in 0..=polls_max {
        // What was never polled waits for nothing, and is not woken.
        let moments = if polls == 0 { &[Moment::Waiting][..] } else { unit.moments() };
        for &moment in moments {
            let this = Try { unit, polls, moment };
            let _said = SaidIfItPanics(this);
            let outcome = tokio::time::timeout(PATIENCE, this.run(make().await)).await;
            let outcome = outcome.expect("it is woken");
            let completed = outcome.is_some();
            after(outcome).await;
            if completed {
                return Tried { polls, drops };
            }
            drops += 1;
        }
    }
    panic!("it has not ended after {polls_max} polls");
}

/// One try: how often an operation is polled, and when it is dropped then.
#[derive(Debug, Clone, Copy)]
struct Try {
    unit: Unit,
    polls: usize,
    moment: Moment,
}

impl Try {
    async fn run<F: Future>(self, operation: F) -> Option<F::Output> {
        // Opened after the operation is dropped.
        let mut gate = None;
        let mut operation = pin!(operation);
        let alarm = Arc::new(Alarm::rung());
        let waker = Waker::from(Arc::clone(&alarm));
        let mut polled = 0;
        // At most one poll of the operation in one of ours: whatever wakes itself gives others their turn in between.
        poll_fn(|context| {
            if !alarm.has_rung(context) {
                return Poll::Pending;
            }
            if polled == self.polls {
                return Poll::Ready(None);
            }
            polled += 1;
            gate = (self.unit == Unit::Poll).then(Gate::shut);
            match operation.as_mut().poll(&mut Context::from_waker(&waker)) {
                Poll::Ready(output) => Poll::Ready(Some(output)),
                Poll::Pending if polled == self.polls && self.moment == Moment::Waiting => {
                    Poll::Ready(None)
                }
                Poll::Pending => {
                    gate = None;
                    Poll::Pending
                }
            }
        })
        .await
    }
}

impl fmt::Display for Try {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let unit = match self.unit {
            Unit::Poll => "poll",
            Unit::Turn => "turn",
        };
        let moment = match self.moment {
            Moment::Waiting => "while it waited",
            Moment::Woken => "once it was woken",
        };
        write!(f, "dropped after {unit} {}, {moment}", self.polls)
    }
}

/// Keeps the thread for work that blocks busy until it is dropped: how many polls it takes to hear of such work would
/// else be for the threads to say.
struct Gate {
    _open: Sender<()>,
}

impl Gate {
    fn shut() -> Self {
        let (open, shut) = channel::<()>();
        // Nothing is sent: it ends when there is nobody to send.
        tokio::task::spawn_blocking(move || {
            let _ = shut.recv();
        });
        Self { _open: open }
    }
}

/// The operation's waker: tells that it was the operation that was woken, and not only what is around it.
struct Alarm {
    rung: AtomicBool,
    around: AtomicWaker,
}

impl Alarm {
    const fn rung() -> Self {
        Self { rung: AtomicBool::new(true), around: AtomicWaker::new() }
    }

    /// Whether it has rung since it was last asked; if not, `context` is woken when it does.
    fn has_rung(&self, context: &Context<'_>) -> bool {
        self.around.register(context.waker());
        self.rung.swap(false, Ordering::AcqRel)
    }
}

impl Wake for Alarm {
    fn wake(self: Arc<Self>) {
        self.rung.store(true, Ordering::Release);
        self.around.wake();
    }
}

async fn at_every_turn<F: Future>(operation: F) -> F::Output {
    let mut operation = pin!(operation);
    poll_fn(|context| {
        let polled = operation.as_mut().poll(context);
        if polled.is_pending() {
            context.waker().wake_by_ref();
        }
        polled
    })
    .await
}

/// Says what was going on when the test failed.
struct SaidIfItPanics<T: fmt::Display>(T);

impl<T: fmt::Display> Drop for SaidIfItPanics<T> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            // Without anywhere to say it, the panic itself must do.
            let _ = writeln!(std::io::stderr(), "{}", self.0);
        }
    }
}
