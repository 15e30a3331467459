//! kill -9 in the middle of a publish: of a server, which the publish survives; of the publishing process, after
//! which the file reads as one of its versions and takes the next.
#![allow(clippy::unwrap_used, reason = "a story that cannot go on must end")]

use std::time::Duration;

use rand::RngExt;
use tarn_tests::rounds::{let_pass, rng, rounds};
use tarn_tests::{Cluster, Content, Told};

#[test]
fn a_server_that_dies_in_the_middle_of_a_large_publish_does_not_stop_it() {
    let cluster = Cluster::start(10);
    let home = cluster.home();
    let mut rng = rng(5);
    let mut before = home.publish("large", &Content::new(0, 32 << 20));
    let (mut tries, mut hits) = (0, 0);
    // A death may come too late to matter; some must not.
    while tries < 8 || (hits < 3 && tries < 40) {
        tries += 1;
        let content = Content::new(tries, 32 << 20);
        let victim = rng.random_range(0..10);
        let moment = Duration::from_secs_f64(before.seconds * rng.random::<f64>());
        let publishing = home.publishing("large", &content, &[]);
        let_pass(moment);
        cluster.kill(&[victim]);
        let told = Told::of(&publishing.ended()).published();
        assert_eq!(told.base, before.version, "try {tries}");
        assert_eq!(home.get("large"), content.digest(), "try {tries} without {victim}: {told:#?}");
        hits += u64::from(told.error_of(&cluster.servers[victim].address).is_some());
        before = told;
        cluster.revive();
        assert_eq!(home.get("large"), content.digest(), "try {tries}");
    }
    println!("{hits} of {tries} deaths came in the middle");
    assert!(hits >= 3, "only {hits} of {tries} deaths came in the middle");
    cluster.never_panicked();
}

#[test]
fn a_killed_publish_leaves_the_file_readable_and_writable() {
    let cluster = Cluster::start(10);
    let home = cluster.home();
    let mut rng = rng(6);
    let (mut killed, mut taken) = (0, 0);
    let mut read_before: Option<String> = None;
    for round in 0..rounds(30) {
        let length = if round.is_multiple_of(3) { 6 << 20 } else { 40_000 };
        let old = Content::new(round * 2, length);
        let before = home.publish("file", &old);
        if read_before.is_some() {
            assert_eq!(before.base, read_before, "round {round}: what was read is lost");
        }
        let doomed = Content::new(round * 2 + 1, length);
        // Up to a little after its end, counting what a process takes to begin.
        let seconds = f64::max(before.seconds, 0.02) * 1.2;
        let moment = Duration::from_secs_f64(seconds * rng.random::<f64>());
        let publishing = home.publishing("file", &doomed, &[]);
        let_pass(moment);
        killed += u64::from(publishing.killed().exit.is_none());
        let (read, version) = home.get_version("file");
        if read == old.digest() {
            assert_eq!(version, before.id(), "round {round}");
            // What the killed one had sent may still take effect, even now.
            read_before = None;
        } else {
            assert_eq!(read, doomed.digest(), "round {round}: neither {old:?} nor {doomed:?}");
            read_before = Some(version);
            taken += 1;
        }
    }
    let last = Content::new(u64::MAX, 40_000);
    home.publish("file", &last);
    assert_eq!(home.get("file"), last.digest());
    println!("{killed} publishes killed, {taken} of all took effect");
    assert!(killed >= 20.min(rounds(30) / 2), "{killed}");
    cluster.never_panicked();
}
