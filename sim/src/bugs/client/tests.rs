use super::*;

#[test]
fn every_bug_is_found_on_its_seed_and_the_seed_is_clean_without_it() {
    for bug in BUGS {
        if let Found::BySeed(seed) = bug.found {
            assert!(bug.run(seed).broken.is_some(), "{} is not found on {seed}", bug.name);
            let clean = bug.run_without(seed).broken;
            assert!(
                clean.is_none(),
                "{}, seed {seed}, without it: {}",
                bug.name,
                clean.expect("some")
            );
        }
    }
}

#[test]
fn every_bug_has_a_name_of_its_own() {
    let names: std::collections::BTreeSet<&str> = BUGS.iter().map(|bug| bug.name).collect();
    assert_eq!(names.len(), BUGS.len());
}
