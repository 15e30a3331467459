//! Runs of the whole lane: that they replay, that promises hold in them, and that a planted bug breaks one.

mod pauses;
mod quiet;
mod round_trips;

use super::*;

/// The seeds that are run at every change.
const SEEDS: std::ops::Range<u64> = 0..40;

/// The violation of some run with this bug planted, or a panic if no run of the first few shows any.
fn found(planted: Planted) -> Violation {
    let runs = (0..100).map(|seed| Options { planted: Some(planted), ..Options::draw(seed) });
    let mut broken = runs.filter_map(|options| run(&options).err());
    broken.find(|violation| violation.promise == "P8").expect("no run shows the planted bug")
}

#[test]
fn a_commit_that_is_acknowledged_before_it_is_durable_is_found() {
    let violation = found(Planted::AcknowledgedBeforeSync);
    assert!(violation.log.contains("crashes"), "{}", violation.log);
    assert!(violation.to_string().starts_with("P8 broken"), "{violation}");
}

/// Runs that broke a promise until what they found was mended: see the tests of `base`, `publish` and `placement`.
#[test]
fn runs_that_once_broke_a_promise_keep_them_all() {
    for seed in [
        89, 260, 356, 393, 444, 680, 694, 1005, 1081, 1171, 1173, 1188, 1194, 1415, 1795, 2337,
        2624, 2648, 2711, 2982,
    ] {
        let options = Options::draw(seed);
        if let Err(violation) = run(&options) {
            panic!("{options}\n{}\n{violation}", violation.log);
        }
    }
}

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
