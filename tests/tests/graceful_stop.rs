//! A server is told to stop, with SIGTERM, in the middle of a publish: what it had begun to commit is finished, nothing
//! unfinished is left on its disk, and the publish goes on without it. `TARN_ROUNDS=200` plays more rounds.
#![allow(clippy::unwrap_used, reason = "a story that cannot go on must end")]

use std::time::Duration;

use rand::RngExt;
use tarn_tests::rounds::{let_pass, rng, rounds};
use tarn_tests::{Cluster, Content, Told};

#[test]
fn a_server_that_is_told_to_stop_leaves_nothing_half_done() {
    let cluster = Cluster::start(10);
    let home = cluster.home();
    let mut rng = rng(11);
    let mut before = home.publish("file", &Content::new(0, 8 << 20));
    for round in 1..=rounds(10) {
        let content = Content::new(round, 8 << 20);
        let victim = rng.random_range(0..10);
        let moment = Duration::from_secs_f64(before.seconds * rng.random::<f64>());
        let publishing = home.publishing("file", &content, &[]);
        let_pass(moment);
        cluster.terminate(victim);
        let folder = cluster.path(&cluster.servers[victim].name);
        let staged = std::fs::read_dir(folder.join("staging")).unwrap().count();
        assert_eq!(staged, 0, "round {round}: server {victim} left something unfinished");
        let last = cluster.log(victim).lines().last().unwrap_or_default().to_owned();
        assert!(last.ends_with("stopped"), "round {round}: server {victim} said {last}");
        let told = Told::of(&publishing.ended()).published();
        assert_eq!(told.base, before.version, "round {round}");
        assert_eq!(home.get("file"), content.digest(), "round {round} without {victim}");
        cluster.revive();
        before = told;
    }
    cluster.never_panicked();
}
