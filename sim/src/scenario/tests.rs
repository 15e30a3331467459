use std::collections::BTreeSet;

use super::*;

#[test]
fn the_first_hazard_shows_the_double_write_and_the_false_conflict_of_the_ticket() {
    let played = by_name("h1").and_then(Scenario::play).expect("it is found by a seed");
    let broken: BTreeSet<&str> =
        played.with.broken.iter().map(|broken| broken.promise.id).collect();
    assert!(broken.contains("P1") && broken.contains("P2"), "{:?}", played.with.broken);
    assert!(played.with.report.told.contains_key("uncoordinated write"));
    assert!(played.without.broken.is_empty(), "{:?}", played.without.broken);
    assert!(!played.without.report.told.contains_key("uncoordinated write"));
}

#[test]
fn every_hazard_breaks_a_promise_with_its_mistake_and_none_without() {
    let names: Vec<&str> = named().iter().map(|scenario| scenario.name).collect();
    assert_eq!(names, ["H1", "H2", "H3", "H4", "H5"]);
    for scenario in named() {
        let bug = scenario.planted().expect("a bug of that name");
        assert_eq!(bug.hazard, Some(scenario.name));
        let played = scenario.play().expect("a seed, or a stage of its own");
        assert!(!played.with.broken.is_empty(), "{} shows nothing", scenario.name);
        assert!(played.without.broken.is_empty(), "{}: {:?}", scenario.name, played.without.broken);
    }
}
