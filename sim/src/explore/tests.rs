use super::*;
use crate::world::World;

mod plants;

use plants::{DropsPrevious, ForgetsSealed, MapAlone, NoFence};

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

fn report(found: &Exploration) {
    println!(
        "{} states {} transitions complete {} deepest {} {:?}",
        found.states, found.transitions, found.complete, found.deepest, found.told
    );
    if let Some((trace, broken)) = &found.violation {
        println!("{broken}");
        for event in &trace.events {
            println!("  {}", serde_json::to_string(event).unwrap());
        }
    }
}

#[test]
fn an_older_sibling_is_brought_where_a_younger_was_sealed() {
    let scope = scope("siblings");
    let planted = explore_planted(&scope, &ForgetsSealed);
    report(&planted);
    let (_, broken) = planted.violation.expect("both siblings are at a quorum");
    assert_eq!(broken.promise.id, "P5");
    let told = Scope { one_line: false, rounds: 2, ..scope };
    let planted = explore_planted(&told, &ForgetsSealed);
    report(&planted);
    let (trace, broken) = planted.violation.expect("a reader and a writer are told of both");
    assert_eq!(replayed(&trace, Box::new(ForgetsSealed)), Some(broken.promise.id));
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
#[ignore = "by hand"]
fn probe() {
    let wanted = std::env::var("SCOPE").unwrap_or_default();
    let limit = std::env::var("LIMIT").ok().and_then(|l| l.parse().ok()).unwrap_or(20_000);
    for Named { name, scope, .. } in named() {
        if !wanted.is_empty() && !wanted.split(',').any(|w| w == name) {
            continue;
        }
        let order = if std::env::var("DEPTH").is_ok() { Order::Depth } else { scope.order };
        let scope = Scope { limit, order, ..scope };
        #[expect(clippy::disallowed_methods, reason = "a probe")]
        let start = std::time::Instant::now();
        let found = match std::env::var("PLANT").as_deref() {
            Ok("fence") => explore_planted(&scope, &NoFence::default()),
            Ok("map") => explore_planted(&scope, &MapAlone::default()),
            Ok("sealed") => explore_planted(&scope, &ForgetsSealed),
            Ok("previous") => explore_planted(&scope, &DropsPrevious),
            _ => match std::env::var("TOLD") {
                Ok(told) => reach(&scope, &told),
                Err(_) => explore(&scope),
            },
        };
        println!(
            "{name}: {} states {} transitions complete {} deepest {} {:?} {:?}",
            found.states, found.transitions, found.complete, found.deepest, found.told, start.elapsed()
        );
        if let Some(trace) = &found.reached {
            for event in &trace.events {
                println!("  {}", serde_json::to_string(event).unwrap());
            }
        }
        if let Some((trace, broken)) = &found.violation {
            println!("{broken}");
            for event in &trace.events {
                println!("  {}", serde_json::to_string(event).unwrap());
            }
        }
    }
}
