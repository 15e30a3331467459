//! Servers die by kill -9: reads go on down to k shares, publishes down to the quorum, and what cannot be done is
//! refused with the name of every server that is to blame.
#![allow(clippy::unwrap_used, reason = "a story that cannot go on must end")]

use std::time::{Duration, Instant};

use rand::seq::SliceRandom;
use tarn_tests::rounds::rng;
use tarn_tests::{Cluster, Content, Home, Told};

const SERVERS: usize = 10;
/// Deaths that leave k = 3 of 10 shares.
const ALL_BUT_K: usize = 7;
/// Far beyond what a refusal takes, far below for ever.
const SECONDS: Duration = Duration::from_secs(60);

#[test]
fn any_three_of_ten_servers_bring_the_file_back_unconfirmed() {
    let cluster = Cluster::start(SERVERS);
    let home = cluster.home();
    let content = Content::new(1, 300_000);
    let cap = home.publish("file", &content).read_cap().to_owned();
    let mut servers: Vec<usize> = (0..SERVERS).collect();
    let mut choices = vec![servers[..ALL_BUT_K].to_vec(), servers[SERVERS - ALL_BUT_K..].to_vec()];
    for seed in 0..4 {
        servers.shuffle(&mut rng(seed));
        choices.push(servers[..ALL_BUT_K].to_vec());
    }
    for victims in choices {
        cluster.kill(&victims);
        for (home, file) in [(&home, "file"), (&cluster.home(), cap.as_str())] {
            let got = home.run(&["get", file]).ok();
            assert_eq!(got.digest(), content.digest(), "without {victims:?}");
            assert!(got.stderr.contains("unconfirmed"), "without {victims:?}: {got:?}");
            home.run(&["get", file, "--strict"]).fails(4);
        }
        cluster.revive();
        let got = home.run(&["get", "file"]).ok();
        assert_eq!((got.digest(), got.stderr.as_str()), (content.digest(), ""));
    }
    cluster.never_panicked();
}

#[test]
fn a_publish_on_too_few_servers_names_them_changes_nothing_and_works_when_they_are_back() {
    let cluster = Cluster::start(SERVERS);
    let home = cluster.home();
    let old = Content::new(1, 200_000);
    let mut newest = home.publish("file", &old);
    let mut content = old;
    // Fewer than happy 7 but a majority; less than a majority; no server at all.
    for (seed, dead) in [(2, 4), (3, 7), (4, 10)] {
        let mut victims: Vec<usize> = (0..SERVERS).collect();
        victims.shuffle(&mut rng(seed));
        victims.truncate(dead);
        cluster.kill(&victims);

        let refused = refused(&home, &Content::new(seed, 200_000));
        for address in cluster.addresses(&victims) {
            assert!(refused.error_of(address).is_some(), "{address} in {refused:#?}");
            assert!(refused.stderr.contains(address), "{address} in {}", refused.stderr);
        }
        if dead <= ALL_BUT_K {
            assert_eq!(home.get("file"), content.digest(), "{dead} dead");
        } else {
            home.run(&["get", "file"]).fails(4);
        }

        cluster.revive();
        assert_eq!(home.get("file"), content.digest(), "after {dead} were dead");
        content = Content::new(100 + seed, 200_000);
        let next = home.publish("file", &content);
        assert_eq!(next.base, newest.version, "something had changed: {next:#?}");
        assert_eq!(home.get("file"), content.digest());
        newest = next;
    }
    cluster.never_panicked();
}

/// A publish that must end with exit code 4, soon.
#[expect(clippy::disallowed_methods, reason = "a refusal must not take for ever")]
fn refused(home: &Home, content: &Content) -> Told {
    let began = Instant::now();
    let human = home.write("human", content.bytes());
    let said = home.run(&["publish", &human.to_string_lossy(), "--name", "file"]).fails(4);
    assert!(said.contains("nothing was changed"), "{said}");
    let told = home.publish_with("file", content, &[]);
    assert_eq!(told.exit, 4, "{told:#?}");
    assert!(began.elapsed() < 2 * SECONDS, "{:?}", began.elapsed());
    Told { stderr: said, ..told }
}
