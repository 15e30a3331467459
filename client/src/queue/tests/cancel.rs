//! Calling tasks off.

use super::*;

fn cancel(queue: &mut Queue, number: u8) -> Vec<Action> {
    queue.step(Millis(1), Event::CancelRequested { task: task(number) })
}

fn cancelled(number: u8, from: State) -> Action {
    moved(number, from, State::Ended(Verdict::Cancelled))
}

#[test]
fn what_waits_ends_at_once_and_its_followers_are_stale() {
    let mut queue = busy("a");
    arrives(&mut queue, arrival(2, Ticket::Whatever));
    arrives(&mut queue, arrival(3, held_for(2)));
    let failed = stale(3, State::Held, Because::PredecessorFailed(task(2)));
    assert_eq!(cancel(&mut queue, 2), [cancelled(2, State::Queued), failed]);
    arrives(&mut queue, arrival(4, held_for(1)));
    assert_eq!(cancel(&mut queue, 4), [cancelled(4, State::Held)]);
    assert_eq!(queue.step(Millis(2), published(1, 1)), [reported(1)]);
    assert!(queue.followers.is_empty() && queue.lines.is_empty());
}

#[test]
fn what_runs_says_itself_how_it_ended() {
    let mut queue = busy("a");
    assert_eq!(cancel(&mut queue, 1), [Action::CancelRun { task: task(1) }]);
    assert_eq!(queue.step(Millis(2), ended(1, End::Unsettled)), [reported(1)], "not run again");
}

#[test]
fn what_rests_is_not_run_again() {
    let mut queue = busy("a");
    queue.step(Millis(0), ended(1, End::Unsettled));
    assert_eq!(cancel(&mut queue, 1), [reported(1)]);
    assert_eq!(queue.wakes_at(), None);
    assert_eq!(cancel(&mut queue, 1), [], "it is gone");
}
