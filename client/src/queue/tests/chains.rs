//! Tickets: what follows what.

use super::*;

#[test]
fn a_task_is_held_until_its_predecessor_is_published_and_follows_that_version() {
    let mut queue = busy("a");
    assert_eq!(arrives(&mut queue, arrival(2, held_for(1))), [came(2, State::Held)]);
    let [moved_on, run] = runs(2, Follows::Version(version(9)));
    assert_eq!(
        queue.step(Millis(1), published(1, 9)),
        [reported(1), moved(2, State::Held, State::Queued), moved_on, run]
    );
}

#[test]
fn whoever_follows_what_ended_otherwise_is_stale_and_so_on() {
    for end in [End::Fruitless, End::Unsettled] {
        let mut queue = busy("a");
        queue.limits.repeats = 0;
        arrives(&mut queue, arrival(2, held_for(1)));
        arrives(&mut queue, arrival(3, held_for(2)));
        let failed = |number, of| stale(number, State::Held, Because::PredecessorFailed(task(of)));
        let actions = queue.step(Millis(1), ended(1, end));
        assert_eq!(actions, [reported(1), failed(2, 1), failed(3, 2)]);
        assert!(queue.is_empty());
    }
}

#[test]
fn a_chain_runs_in_order_however_it_arrives() {
    let mut queue = Queue::new(LIMITS);
    let after = |name: &str| Ticket::After(Predecessor::Awaited(key(name)));
    assert_eq!(arrives(&mut queue, keyed(3, "c", after("b"))), [came(3, State::Held)]);
    assert_eq!(arrives(&mut queue, keyed(2, "b", after("a"))), [came(2, State::Held)]);
    assert_eq!(queue.wakes_at(), Some(Millis(1_000)));
    arrives(&mut queue, keyed(1, "a", Ticket::Whatever));
    assert_eq!(queue.wakes_at(), None);
    for (number, made) in [(1, 11), (2, 12)] {
        let next = number + 1;
        let [moved_on, run] = runs(next, Follows::Version(version(made)));
        let actions = queue.step(Millis(5), published(number, made));
        let queued = moved(next, State::Held, State::Queued);
        assert_eq!(actions, [reported(number), queued, moved_on, run]);
    }
}

#[test]
fn whoever_waits_too_long_for_a_task_that_never_came_is_stale_with_its_followers() {
    let mut queue = Queue::new(LIMITS);
    arrives(&mut queue, keyed(2, "b", Ticket::After(Predecessor::Awaited(key("a")))));
    arrives(&mut queue, arrival(3, held_for(2)));
    let missing = Because::PredecessorMissing(key("a"));
    assert_eq!(
        queue.step(Millis(1_000), Event::TimePassed),
        [
            stale(2, State::Held, missing),
            stale(3, State::Held, Because::PredecessorFailed(task(2)))
        ]
    );
}

#[test]
fn tasks_that_follow_each_other_are_refused_not_held_for_ever() {
    let mut queue = Queue::new(LIMITS);
    let after = |name: &str| Ticket::After(Predecessor::Awaited(key(name)));
    arrives(&mut queue, keyed(1, "a", after("c")));
    arrives(&mut queue, keyed(2, "b", held_for(1)));
    let circular = |number| Action::Move {
        task: task(number),
        from: None,
        to: State::Ended(Verdict::Stale(Because::Circular)),
    };
    let failed = |number, of| stale(number, State::Held, Because::PredecessorFailed(task(of)));
    let actions = arrives(&mut queue, keyed(3, "c", held_for(2)));
    assert_eq!(actions, [circular(3), failed(1, 3), failed(2, 1)]);
    let own = arrives(&mut queue, keyed(4, "d", after("d")));
    assert_eq!(own, [circular(4)]);
    assert!(queue.is_empty());
}

#[test]
fn of_two_that_follow_the_same_task_the_second_is_stale() {
    let mut queue = busy("a");
    arrives(&mut queue, arrival(2, held_for(1)));
    arrives(&mut queue, arrival(3, held_for(1)));
    queue.step(Millis(1), published(1, 1));
    let replaced = Because::Replaced { by: task(2), version: version(2) };
    let actions = queue.step(Millis(2), published(2, 2));
    assert_eq!(actions, [reported(2), stale(3, State::Queued, replaced)]);
}

#[test]
fn an_overwrite_that_arrived_earlier_comes_between() {
    let mut queue = busy("a");
    arrives(&mut queue, arrival(2, Ticket::Whatever));
    arrives(&mut queue, arrival(3, held_for(1)));
    let [moved_on, run] = runs(2, Follows::Whatever);
    assert_eq!(
        queue.step(Millis(1), published(1, 1)),
        [reported(1), moved(3, State::Held, State::Queued), moved_on, run]
    );
    let replaced = Because::Replaced { by: task(2), version: version(2) };
    let actions = queue.step(Millis(2), published(2, 2));
    assert_eq!(actions, [reported(2), stale(3, State::Queued, replaced)]);
}

#[test]
fn if_it_comes_to_nothing_it_did_not_come_between() {
    let mut queue = busy("a");
    arrives(&mut queue, arrival(2, Ticket::Whatever));
    arrives(&mut queue, arrival(3, held_for(1)));
    queue.step(Millis(1), published(1, 1));
    let [moved_on, run] = runs(3, Follows::Version(version(1)));
    assert_eq!(queue.step(Millis(2), ended(2, End::Fruitless)), [reported(2), moved_on, run]);
}

#[test]
fn who_came_while_the_other_ran_may_have_seen_what_it_made() {
    let mut queue = busy("a");
    arrives(&mut queue, arrival(2, Ticket::Version(version(5))));
    let [moved_on, run] = runs(2, Follows::Version(version(5)));
    assert_eq!(queue.step(Millis(1), published(1, 1)), [reported(1), moved_on, run]);
}

#[test]
fn what_had_been_published_long_since_replaces_nothing() {
    let mut queue = busy("a");
    arrives(&mut queue, arrival(2, Ticket::Whatever));
    arrives(&mut queue, arrival(3, Ticket::Version(version(5))));
    queue.step(Millis(1), published(1, 1));
    let [moved_on, run] = runs(3, Follows::Version(version(5)));
    let end = End::Published { version: version(2), repeated: true };
    assert_eq!(queue.step(Millis(2), ended(2, end)), [reported(2), moved_on, run]);
}

#[test]
fn who_has_a_key_may_have_been_published_by_another_gateway_and_runs_to_find_out() {
    let mut queue = busy("a");
    arrives(&mut queue, arrival(2, Ticket::Whatever));
    arrives(&mut queue, keyed(3, "c", held_for(1)));
    queue.step(Millis(1), published(1, 1));
    let [moved_on, run] = runs(3, Follows::Version(version(1)));
    assert_eq!(queue.step(Millis(2), published(2, 2)), [reported(2), moved_on, run]);
}

#[test]
fn a_predecessor_that_has_ended_decides_at_once() {
    let mut queue = Queue::new(LIMITS);
    let after = Ticket::After(Predecessor::Published(version(7)));
    let [moved_on, run] = runs(1, Follows::Version(version(7)));
    assert_eq!(arrives(&mut queue, arrival(1, after)), [came(1, State::Queued), moved_on, run]);
    let after = Ticket::After(Predecessor::Fruitless(task(9)));
    let because = Because::PredecessorFailed(task(9));
    let actions = arrives(&mut queue, arrival(2, after));
    assert_eq!(actions, [came(2, State::Ended(Verdict::Stale(because)))]);
}
