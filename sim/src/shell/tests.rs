//! Runs of the whole lane: that they replay, that promises hold in them, and that a planted bug breaks one.

use super::*;

/// The seeds that are run at every change.
const SEEDS: std::ops::Range<u64> = 0..40;

#[test]
fn the_same_seed_gives_the_same_log_and_keeps_every_promise() {
    for seed in SEEDS {
        let options = Options::draw(seed);
        let first = run(&options);
        let again = run(&options);
        if let Err(violation) = &first {
            panic!("{options}\n{}\n{violation}", violation.log);
        }
        assert!(first == again, "two runs differ\n{options}");
    }
}
