//! Runs of the whole lane: that they repeat themselves, that every check is passed, and that planted bugs are found.

use std::collections::{BTreeMap, BTreeSet};

use super::*;

#[test]
fn every_check_is_passed_and_everything_that_is_counted_is_reached() {
    let mut counts = BTreeMap::<&str, u64>::new();
    for seed in 0..1_000 {
        let report = run(Options::draw(seed), None, false);
        if let Some(broken) = report.broken {
            let story = run(Options::draw(seed), None, true).story.join("\n");
            panic!("{}\n{story}\n{broken}", Options::draw(seed));
        }
        for (kind, count) in report.counts {
            *counts.entry(kind).or_default() += count;
        }
    }
    for kind in COUNTED {
        assert!(counts.contains_key(kind), "{kind} is not reached: {counts:?}");
    }
}

#[test]
fn the_same_seed_tells_the_same_story_and_another_another() {
    let story = |seed| run(Options::draw(seed), None, true).story;
    for seed in 0..50 {
        assert_eq!(story(seed), story(seed));
        assert_ne!(story(seed), story(seed + 1));
    }
}

#[test]
fn whether_a_story_is_told_changes_nothing() {
    for seed in 0..50 {
        let facts = |tells| run(Options::draw(seed), None, tells).facts;
        assert_eq!(facts(true), facts(false));
    }
}

#[test]
fn every_bug_is_found_by_its_check_on_its_seed_which_is_clean_without_it() {
    for bug in bugs::all() {
        let (check, seed) = bug.found;
        let broken = bug.run(seed).broken.expect(bug.name);
        assert_eq!(broken.check.id, check, "{}: {broken}", bug.name);
        let clean = bug.run_without(seed).broken;
        assert!(clean.is_none(), "{}: {}", bug.name, clean.expect("some"));
    }
}

#[test]
fn every_check_finds_a_bug() {
    let found: BTreeSet<&str> = bugs::all().map(|bug| bug.found.0).collect();
    let all: BTreeSet<&str> = CHECKS.iter().map(|check| check.id).collect();
    assert_eq!(found, all);
}

#[test]
fn every_bug_of_every_lane_has_a_name_of_its_own() {
    let others = crate::bugs::all().map(|bug| bug.name);
    let names: Vec<&str> = bugs::all().map(|bug| bug.name).chain(others).collect();
    assert_eq!(names.iter().collect::<BTreeSet<_>>().len(), names.len());
}
