//! What a crash leaves.

use super::*;

#[test]
fn what_ran_runs_again_and_the_rest_waits_as_it_did() {
    let recorded = [
        (arrival(1, Ticket::Whatever), State::Running),
        (arrival(2, held_for(1)), State::Held),
        (arrival(3, Ticket::Whatever), State::Queued),
    ];
    let (mut queue, actions) = Queue::restored(LIMITS, Millis(0), recorded);
    assert_eq!(actions, [Action::Run { task: task(1), follows: Follows::Whatever }]);
    let [moved_on, run] = runs(2, Follows::Version(version(1)));
    assert_eq!(
        queue.step(Millis(1), published(1, 1)),
        [reported(1), moved(2, State::Held, State::Queued), moved_on, run]
    );
}

#[test]
fn what_became_of_predecessors_before_the_crash_is_caught_up_on() {
    let after = |predecessor| Ticket::After(predecessor);
    let recorded = [
        (arrival(2, after(Predecessor::Published(version(1)))), State::Held),
        (arrival(3, after(Predecessor::Fruitless(task(9)))), State::Held),
        (arrival(4, held_for(3)), State::Held),
    ];
    let (queue, actions) = Queue::restored(LIMITS, Millis(0), recorded);
    let failed = |number, of| stale(number, State::Held, Because::PredecessorFailed(task(of)));
    let [moved_on, run] = runs(2, Follows::Version(version(1)));
    let queued = moved(2, State::Held, State::Queued);
    assert_eq!(actions, [queued, failed(3, 9), failed(4, 3), moved_on, run]);
    assert_eq!(queue.len(), 1);
}

#[test]
fn more_than_may_run_now_run_on_if_they_ran() {
    let recorded = (1..=3).map(|number| {
        (Arrival { file: file(number), ..arrival(number, Ticket::Whatever) }, State::Running)
    });
    let (queue, actions) = Queue::restored(LIMITS, Millis(0), recorded);
    assert_eq!((queue.running(), actions.len()), (3, 3));
}
