//! One writer alone is never told of another: each of its publishes follows the one before, also while servers die
//! and come back. `TARN_ROUNDS=200` publishes more often.
#![allow(clippy::unwrap_used, reason = "a story that cannot go on must end")]

use std::sync::atomic::{AtomicBool, Ordering};

use rand::RngExt;
use tarn_tests::rounds::{rng, rounds};
use tarn_tests::{Cluster, Content, Home};

#[test]
fn each_publish_follows_the_one_before() {
    let cluster = Cluster::start(10);
    publish_in_a_row(&cluster.home());
    cluster.never_panicked();
}

#[test]
fn each_publish_follows_the_one_before_while_servers_die_and_come_back() {
    let cluster = Cluster::start(10);
    let over = AtomicBool::new(false);
    let deaths = std::thread::scope(|scope| {
        let killer = scope.spawn(|| {
            let (mut rng, mut deaths) = (rng(1), 0);
            while !over.load(Ordering::Relaxed) {
                cluster.kill(&[rng.random_range(0..10)]);
                cluster.revive();
                deaths += 1;
            }
            deaths
        });
        // Also when a publish fails: the scope waits for the killer.
        let over = Over(&over);
        publish_in_a_row(&cluster.home());
        drop(over);
        killer.join().unwrap()
    });
    println!("{deaths} servers died meanwhile");
    assert!(deaths > 0);
    cluster.never_panicked();
}

/// Tells the killer to end.
struct Over<'a>(&'a AtomicBool);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

fn publish_in_a_row(home: &Home) {
    let mut before = None;
    for round in 0..rounds(40) {
        let told = home.publish("file", &Content::new(round, 20_000));
        assert_eq!(told.base, before, "round {round}: {told:#?}");
        assert_eq!(told.seqnum, Some(round + 1), "round {round}: {told:#?}");
        before = told.version;
    }
    let last = Content::new(rounds(40) - 1, 20_000);
    assert_eq!(home.get("file"), last.digest());
}
