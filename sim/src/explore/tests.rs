use super::*;
use crate::world::World;

mod plants;

use plants::{DropsHeldWithoutPromise, DropsPrevious, ForgetsSealed};

fn scope(name: &str) -> Scope {
    named().into_iter().find(|named| named.name == name).expect("a named scope").scope
}

/// The promise that the trace breaks when it is played again, on its own.
fn replayed(trace: &Trace, plant: Box<dyn Plant>) -> Option<&'static str> {
    let mut world = World::new(trace.setup.clone(), Some(plant));
    for event in &trace.events {
        assert!(world.apply(event), "{event:?} cannot happen");
        if let Err(broken) = crate::promises::check(&world) {
            return Some(broken.promise.id);
        }
    }
    None
}

#[test]
fn an_older_sibling_is_brought_where_a_younger_was_sealed() {
    let scope = scope("siblings");
    let planted = explore_planted(&scope, &ForgetsSealed);
    let (_, broken) = planted.violation.expect("both siblings are at a quorum");
    assert_eq!(broken.promise.id, "P5");
}

#[test]
fn a_reader_and_a_writer_are_told_of_two_siblings() {
    let scope = Scope { one_line: false, rounds: 2, order: Order::Depth, ..scope("siblings") };
    let planted = explore_planted(&scope, &ForgetsSealed);
    let (trace, broken) = planted.violation.expect("one read it, the other published it");
    assert!(["P5", "P15"].contains(&broken.promise.id), "{broken}");
    assert_eq!(replayed(&trace, Box::new(ForgetsSealed)), Some(broken.promise.id));
}

#[test]
fn two_writers_are_told_of_two_siblings_where_a_header_gets_a_second_round() {
    let scope = scope("fell-short");
    let plant = || (crate::bugs::by_name("header-again").expect("it is planted").plant)();
    let (forked, _) = explore_planted(&scope, plant().as_ref()).violation.expect("both are held");
    let faults = Faults::default();
    let told = Scope { opening: forked.events, one_line: false, rounds: 3, faults, ..scope };
    let (trace, broken) = explore_planted(&told, plant().as_ref()).violation.expect("both told");
    assert_eq!(broken.promise.id, "P5");
    assert_eq!(replayed(&trace, plant()), Some("P5"));
}

#[test]
fn a_commit_drops_the_version_before() {
    let shape = (3, 3, 3);
    let mut scope = scope("race");
    scope.opening = script::opening(&scope.setup, &[publish(1, shape)]);
    scope.tasks = vec![Planned { task: publish(2, shape), begins: Begins::AtOnce }];
    let found = explore(&scope);
    assert!(found.complete && found.violation.is_none());
    let planted = explore_planted(&scope, &DropsPrevious);
    let (trace, broken) = planted.violation.expect("a Published version is lost");
    assert_eq!(broken.promise.id, "P3");
    assert_eq!(replayed(&trace, Box::new(DropsPrevious)), Some("P3"));
}

#[test]
fn a_commit_of_what_was_brought_comes_after_its_promise_was_lost_and_to_accept_it_breaks_nothing() {
    let mut scope = scope("resealed");
    scope.faults.lapses = 1;
    let reached = explore_planted(&scope, &DropsHeldWithoutPromise);
    assert_eq!(reached.violation.expect("one does").1.promise.id, "P8");
    let bug = crate::bugs::by_name("already-held-without-promise").expect("it is planted");
    let accepted = explore_planted(&scope, (bug.plant)().as_ref());
    assert!(accepted.complete && accepted.violation.is_none(), "{:?}", accepted.violation);
}

#[test]
fn the_same_scope_twice_is_the_same_search() {
    let scope = Scope { limit: 500, ..scope("race") };
    let counts = |found: &Exploration| (found.states, found.transitions, found.told.clone());
    assert_eq!(counts(&explore(&scope)), counts(&explore(&scope)));
}

#[test]
fn the_nearest_and_the_farthest_first_see_the_same_states() {
    let breadth = scope("resume");
    let depth = Scope { order: Order::Depth, ..breadth.clone() };
    let (breadth, depth) = (explore(&breadth), explore(&depth));
    assert!(breadth.complete && depth.complete);
    assert_eq!((breadth.states, breadth.transitions), (depth.states, depth.transitions));
}

#[test]
fn a_killed_writer_s_submission_is_published_once() {
    let found = explore(&scope("resume"));
    assert!(found.complete);
    assert!(found.violation.is_none(), "{:?}", found.violation);
    assert!(found.told["published"] > 0 && found.told["published before"] > 0);
}

#[test]
fn a_part_is_changed_where_all_have_the_rest_and_nowhere_else() {
    let found = explore(&scope("part"));
    assert!(found.complete && found.violation.is_none(), "{:?}", found.violation);
    for outcome in ["published", "published before", "base missing"] {
        assert!(found.told.contains_key(outcome), "{outcome}: {:?}", found.told);
    }
}

#[test]
fn what_can_be_read_once_is_published_or_used_up() {
    let found = explore(&scope("once"));
    assert!(found.complete && found.violation.is_none(), "{:?}", found.violation);
    for outcome in ["published", "input used up"] {
        assert!(found.told.contains_key(outcome), "{outcome}: {:?}", found.told);
    }
}

#[test]
fn a_state_is_reached_by_a_trace() {
    let found = reach(&scope("resume"), "published before");
    let trace = found.reached.expect("a second try finds what the first one made");
    let mut world = World::new(trace.setup.clone(), None);
    assert!(trace.events.iter().all(|event| world.apply(event)));
    let told = world.oracle().tasks().map(|(_, record)| record.told.name());
    assert!(told.into_iter().any(|told| told == "published before"));
}

#[test]
#[ignore = "about a minute in release"]
fn the_suite_breaks_no_promise() {
    for Named { name, size, scope, .. } in named() {
        if size < Size::Deep {
            let found = explore(&scope);
            println!("{name}: {} states, {} transitions", found.states, found.transitions);
            assert!(found.complete && found.violation.is_none(), "{name}: {:?}", found.violation);
        }
    }
}
