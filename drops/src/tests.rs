//! The helper itself: which polls there are, which moments, and that a leak does not escape it.
#![allow(
    clippy::async_yields_async,
    reason = "operations are made here, and polled by what drops them"
)]

use std::cell::{Cell, RefCell};
use std::collections::BTreeSet;
use std::panic::AssertUnwindSafe;
use std::rc::Rc;
use std::sync::atomic::AtomicUsize;

use futures::FutureExt;
use tokio::sync::{Notify, oneshot};
use tokio::task::yield_now;

use super::*;

/// Completes at its third poll, and counts its polls.
async fn three_polls(polls: Rc<Cell<usize>>) -> &'static str {
    polls.set(1);
    yield_now().await;
    polls.set(2);
    yield_now().await;
    polls.set(3);
    "done"
}

#[test]
fn an_operation_of_three_polls_is_dropped_after_none_one_and_two_and_then_completes() {
    let polls = Rc::new(Cell::new(0));
    let tries = RefCell::new(Vec::new());
    let make = async || {
        polls.set(0);
        three_polls(Rc::clone(&polls))
    };
    let after = async |outcome: Option<&'static str>| {
        tries.borrow_mut().push((polls.get(), outcome));
    };
    let tried = runtime().block_on(drop_at_every_poll(make, after));
    assert_eq!(tried, Tried { polls: 3, drops: 5 });
    assert_eq!(
        tries.take(),
        [(0, None), (1, None), (1, None), (2, None), (2, None), (3, Some("done"))]
    );
}

#[test]
fn an_operation_is_dropped_before_what_is_left_is_looked_at() {
    let held = Rc::new(());
    let make = async || {
        let held = Rc::clone(&held);
        async move {
            yield_now().await;
            drop(held);
        }
    };
    let after = async |_: Option<()>| assert_eq!(Rc::strong_count(&held), 1);
    runtime().block_on(drop_at_every_poll(make, after));
}

async fn without_end() {
    loop {
        yield_now().await;
    }
}

#[test]
fn an_operation_is_polled_only_when_it_was_woken_itself() {
    let polls = &Cell::new(0);
    let make = async || {
        polls.set(0);
        let bell = Arc::new(Notify::new());
        let ringer = Arc::clone(&bell);
        // Many turns go by before it rings; whatever is around the operation is polled in each of them.
        tokio::spawn(async move {
            for _ in 0..50 {
                yield_now().await;
            }
            ringer.notify_one();
        });
        async move {
            let mut rung = pin!(bell.notified());
            poll_fn(|context| {
                polls.set(polls.get() + 1);
                rung.as_mut().poll(context)
            })
            .await;
        }
    };
    let after = async |outcome: Option<()>| {
        assert!(polls.get() <= 2);
        assert_eq!(outcome.is_some(), polls.get() == 2);
    };
    let tried = runtime().block_on(async {
        tokio::select! {
            tried = drop_at_every_poll(make, after) => tried,
            () = without_end() => unreachable!("it has no end"),
        }
    });
    assert_eq!(tried, Tried { polls: 2, drops: 3 });
}

#[test]
fn what_an_operation_waits_for_is_under_way_in_one_try_and_there_in_the_next() {
    let taken = RefCell::new(Vec::new());
    let sending = RefCell::new(None);
    let make = async || {
        let (sender, receiver) = oneshot::channel();
        // Sends once somebody listens, and says whether anybody still did.
        let send = async move {
            yield_now().await;
            sender.send(()).is_ok()
        };
        *sending.borrow_mut() = Some(tokio::spawn(send));
        receiver
    };
    let after = async |_: Option<Result<(), _>>| {
        let sending = sending.take().unwrap();
        let was_taken = sending.await.unwrap();
        taken.borrow_mut().push(was_taken);
    };
    runtime().block_on(drop_at_every_poll(make, after));
    assert_eq!(taken.take(), [false, false, true, true], "unpolled, waiting, woken, completed");
}

#[test]
fn work_that_blocks_takes_a_poll_however_fast_its_thread_is() {
    let make = async || async {
        for _ in 0..3 {
            tokio::task::spawn_blocking(|| ()).await.unwrap();
        }
    };
    for _ in 0..100 {
        let tried = runtime().block_on(drop_at_every_poll(make, async |_: Option<()>| {}));
        assert_eq!(tried, Tried { polls: 4, drops: 7 });
    }
}

#[test]
fn a_leak_is_caught_at_the_poll_that_leaks() {
    let (held, looked) = (Rc::new(()), Cell::new(0));
    let make = async || {
        let held = Rc::clone(&held);
        async move {
            yield_now().await;
            // From here to its end it must not be dropped, and it is.
            let leaked = Rc::into_raw(held);
            yield_now().await;
            leaked
        }
    };
    let after = async |_: Option<*const ()>| {
        looked.set(looked.get() + 1);
        assert_eq!(Rc::strong_count(&held), 1);
    };
    let trial = AssertUnwindSafe(drop_at_every_poll(make, after)).catch_unwind();
    assert!(runtime().block_on(trial).is_err());
    assert_eq!(looked.get(), 4, "nothing leaks before its second poll");
}

#[test]
fn an_operation_that_never_ends_fails() {
    let make = async || without_end();
    let trial = drop_at_every(Unit::Poll, 50, make, async |_: Option<()>| {});
    assert!(runtime().block_on(AssertUnwindSafe(trial).catch_unwind()).is_err());
}

#[test]
fn an_operation_of_two_polls_is_dropped_between_any_two_polls_of_its_task() {
    let turns = || {
        let steps = Arc::new(AtomicUsize::new(0));
        let seen = RefCell::new(BTreeSet::new());
        let make = async || {
            steps.store(0, Ordering::SeqCst);
            let steps = Arc::clone(&steps);
            async move {
                let working = tokio::spawn(async move {
                    for step in 1..=20 {
                        yield_now().await;
                        steps.store(step, Ordering::SeqCst);
                    }
                });
                working.await.unwrap();
            }
        };
        let after = async |_: Option<()>| {
            seen.borrow_mut().insert(steps.load(Ordering::SeqCst));
            until_tasks_are(0).await;
        };
        let tried = runtime().block_on(drop_at_every_turn(make, after));
        assert_eq!(seen.take(), (0..=20).collect());
        tried
    };
    let tried = turns();
    assert!(tried.polls >= 20, "{tried:?}");
    assert_eq!(turns(), tried, "every run is the same");
}
