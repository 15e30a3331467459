//! How much longer a publish of 1 MiB takes when one of ten servers is stopped (SIGSTOP): the first time, and once it is
//! remembered. Medians, measured side by side. Ignored, as it measures time; it wants a release build and a quiet machine:
//!
//! ```text
//! cargo build --release
//! TARN_BINARY=$PWD/target/release/tarn cargo test -p tarn-tests --test stopped_server -- --ignored --nocapture
//! ```
#![allow(clippy::print_stdout, reason = "the ratios are the story's result")]

use tarn_tests::{Cluster, Content, Home};
use tokio::time::Instant;

const LENGTH: usize = 1 << 20;
/// How often each is measured.
const ROUNDS: u64 = 20;
/// At most so many times the healthy time: when nobody knows yet that the server is stopped, and from then on.
const FIRST_MAX: f64 = 3.0;
const LATER_MAX: f64 = 1.3;

#[test]
#[ignore = "measures time"]
fn one_stopped_server_of_ten_delays_a_publish_once_and_not_much() {
    let (healthy, stopped) = (Cluster::start(10), Cluster::start(10));
    let (user, unsuspecting) = (user_of(&healthy), user_of(&stopped));
    let knowing = unsuspecting.copy();
    stopped.freeze(4);
    Times::of(&knowing, 0);
    let mut all = [Vec::new(), Vec::new(), Vec::new()];
    for round in 1..=ROUNDS {
        let first = unsuspecting.copy();
        for (times, home) in all.iter_mut().zip([&user, &first, &knowing]) {
            times.push(Times::of(home, round));
        }
    }
    stopped.thaw(4);
    let [healthy, first, later] = all.map(|times| Times::median(&times));
    for (what, times) in [("healthy", healthy), ("first", first), ("later", later)] {
        println!(
            "{what:8} outcome {:6.1} ms, {:4.2} times; command {:6.1} ms, {:4.2} times",
            times.outcome * 1e3,
            times.outcome / healthy.outcome,
            times.command * 1e3,
            times.command / healthy.command,
        );
    }
    assert!(first.outcome <= FIRST_MAX * healthy.outcome);
    assert!(later.outcome <= LATER_MAX * healthy.outcome);
}

/// A user who has a file on this cluster, and is not told to be patient.
fn user_of(cluster: &Cluster) -> Home {
    let mut home = cluster.home();
    home.be_impatient();
    Times::of(&home, 0);
    home
}

/// How long one publish took, in seconds.
#[derive(Clone, Copy)]
struct Times {
    /// Until its outcome was known.
    outcome: f64,
    /// The whole command.
    command: f64,
}

impl Times {
    fn of(home: &Home, seed: u64) -> Self {
        let content = Content::new(seed, LENGTH);
        let began = Instant::now();
        let told = home.publish("file", &content);
        Self { outcome: told.seconds, command: began.elapsed().as_secs_f64() }
    }

    fn median(times: &[Self]) -> Self {
        let median = |of: fn(&Self) -> f64| {
            let mut sorted: Vec<f64> = times.iter().map(of).collect();
            sorted.sort_by(f64::total_cmp);
            let half = sorted.len() / 2;
            (sorted[half - 1] + sorted[half]) / 2.0
        };
        Self { outcome: median(|times| times.outcome), command: median(|times| times.command) }
    }
}
