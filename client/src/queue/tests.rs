use super::*;
use tarn_proto::VersionId;

mod cancel;
mod chains;
mod restart;
mod turns;

const LIMITS: Limits = Limits { running: 2, awaited: Millis(1_000), repeats: 1, rest: Millis(100) };

fn task(number: u8) -> TaskId {
    TaskId::new([number; 16])
}

fn file(number: u8) -> StorageIndex {
    StorageIndex::new([number; 32])
}

fn version(number: u8) -> VersionId {
    VersionId::new([number; 32])
}

fn key(name: &str) -> Key {
    Key::new(name.as_bytes()).unwrap()
}

fn held_for(number: u8) -> Ticket {
    Ticket::After(Predecessor::Pending(task(number)))
}

/// A task of file 1 by the one caller, without a key.
fn arrival(number: u8, ticket: Ticket) -> Arrival {
    Arrival {
        task: task(number),
        file: file(1),
        caller: Caller("ann".to_owned()),
        key: None,
        ticket,
    }
}

fn keyed(number: u8, name: &str, ticket: Ticket) -> Arrival {
    Arrival { key: Some(key(name)), ..arrival(number, ticket) }
}

fn published(number: u8, made: u8) -> Event {
    Event::Ended {
        task: task(number),
        end: End::Published { version: version(made), repeated: false },
    }
}

fn ended(number: u8, end: End) -> Event {
    Event::Ended { task: task(number), end }
}

fn moved(number: u8, from: State, to: State) -> Action {
    Action::Move { task: task(number), from: Some(from), to }
}

fn came(number: u8, to: State) -> Action {
    Action::Move { task: task(number), from: None, to }
}

fn reported(number: u8) -> Action {
    moved(number, State::Running, State::Ended(Verdict::Reported))
}

fn stale(number: u8, from: State, because: Because) -> Action {
    moved(number, from, State::Ended(Verdict::Stale(because)))
}

fn runs(number: u8, follows: Follows) -> [Action; 2] {
    [moved(number, State::Queued, State::Running), Action::Run { task: task(number), follows }]
}

/// A queue in which a task without a ticket runs on file 1, submitted as number 1 with this key.
fn busy(name: &str) -> Queue {
    let mut queue = Queue::new(LIMITS);
    let actions = queue.step(Millis(0), Event::Arrived(keyed(1, name, Ticket::Whatever)));
    assert_eq!(actions[1..], runs(1, Follows::Whatever));
    queue
}

fn arrives(queue: &mut Queue, arrival: Arrival) -> Vec<Action> {
    queue.step(Millis(0), Event::Arrived(arrival))
}

#[test]
fn a_task_that_nothing_is_ahead_of_runs_at_once() {
    let mut queue = Queue::new(LIMITS);
    let actions = arrives(&mut queue, arrival(1, Ticket::Nothing));
    let [moved, run] = runs(1, Follows::Nothing);
    assert_eq!(actions, [came(1, State::Queued), moved, run]);
    assert_eq!(queue.step(Millis(1), published(1, 1)), [reported(1)]);
    assert_eq!(
        queue,
        Queue {
            now: Millis(1),
            count: queue.count,
            turns: queue.turns.clone(),
            ..Queue::new(LIMITS)
        }
    );
}

#[test]
fn tasks_of_one_file_run_one_after_another_in_order_of_arrival() {
    let mut queue = busy("a");
    assert_eq!(arrives(&mut queue, arrival(3, Ticket::Whatever)), [came(3, State::Queued)]);
    assert_eq!(arrives(&mut queue, arrival(2, Ticket::Whatever)), [came(2, State::Queued)]);
    let [moved, run] = runs(3, Follows::Whatever);
    assert_eq!(queue.step(Millis(1), published(1, 1)), [reported(1), moved, run]);
    let [moved, run] = runs(2, Follows::Whatever);
    assert_eq!(queue.step(Millis(1), ended(3, End::Fruitless)), [reported(3), moved, run]);
}

#[test]
fn what_is_not_known_is_run_again_after_a_rest_and_keeps_its_place() {
    let mut queue = busy("a");
    arrives(&mut queue, arrival(2, Ticket::Whatever));
    assert_eq!(queue.step(Millis(5), ended(1, End::Unsettled)), []);
    assert_eq!(queue.wakes_at(), Some(Millis(105)));
    assert_eq!(queue.step(Millis(104), Event::TimePassed), []);
    let again = Action::Run { task: task(1), follows: Follows::Whatever };
    assert_eq!(queue.step(Millis(105), Event::TimePassed), [again]);
    let [moved, run] = runs(2, Follows::Whatever);
    let actions = queue.step(Millis(106), ended(1, End::Unsettled));
    assert_eq!(actions, [reported(1), moved, run], "no more than LIMITS says");
}

#[test]
fn whoever_rested_waits_for_room() {
    let mut queue = busy("a");
    queue.step(Millis(0), ended(1, End::Unsettled));
    for number in [2, 3] {
        arrives(&mut queue, Arrival { file: file(number), ..arrival(number, Ticket::Whatever) });
    }
    assert_eq!(queue.step(Millis(100), Event::TimePassed), []);
    let again = Action::Run { task: task(1), follows: Follows::Whatever };
    assert_eq!(queue.step(Millis(101), published(2, 2)), [reported(2), again]);
}

#[test]
fn what_ended_twice_or_never_ran_changes_nothing() {
    let mut queue = busy("a");
    arrives(&mut queue, arrival(2, Ticket::Whatever));
    assert_eq!(queue.step(Millis(1), published(2, 1)), []);
    queue.step(Millis(1), published(1, 1));
    assert_eq!(queue.step(Millis(1), published(1, 1)), []);
}

#[test]
fn nothing_is_started_once_it_stops() {
    let mut queue = busy("a");
    arrives(&mut queue, arrival(2, Ticket::Whatever));
    assert_eq!(queue.step(Millis(1), Event::Stopping), []);
    assert_eq!(queue.step(Millis(2), published(1, 1)), [reported(1)]);
    assert_eq!(queue.running(), 0);
}

#[test]
fn keys_have_bounds() {
    assert_eq!(Key::new(b""), Err(KeyError { length: 0 }));
    assert!(Key::new(&[7; 255]).is_ok());
    assert_eq!(Key::new(&[7; 256]), Err(KeyError { length: 256 }));
}
