//! Many files, several callers.

use super::*;

fn of(caller: &str, number: u8) -> Arrival {
    Arrival {
        file: file(number),
        caller: Caller(caller.to_owned()),
        ..arrival(number, Ticket::Whatever)
    }
}

fn started(actions: &[Action]) -> Vec<TaskId> {
    let run = |action: &Action| match action {
        Action::Run { task, .. } => Some(*task),
        Action::Move { .. } | Action::CancelRun { .. } => None,
    };
    actions.iter().filter_map(run).collect()
}

#[test]
fn no_more_run_at_once_than_may() {
    let mut queue = Queue::new(LIMITS);
    let all = (1..=4).map(|number| started(&arrives(&mut queue, of("ann", number))));
    assert_eq!(all.collect::<Vec<_>>(), [vec![task(1)], vec![task(2)], vec![], vec![]]);
    assert_eq!(started(&queue.step(Millis(1), published(2, 2))), [task(3)]);
}

#[test]
fn callers_take_turns_however_much_one_submits() {
    let mut queue = Queue::new(LIMITS);
    for number in 1..=9 {
        arrives(&mut queue, of("ann", number));
    }
    arrives(&mut queue, of("ben", 10));
    arrives(&mut queue, of("cid", 11));
    let mut order = Vec::new();
    for number in [1, 2, 10, 11, 3, 4] {
        order.extend(started(&queue.step(Millis(1), published(number, number))));
    }
    assert_eq!(order, [10, 11, 3, 4, 5, 6].map(task));
}
