//! A publish is killed once its journal is written: whatever its commits had done by then, it can be taken up, takes
//! effect once, and is told truly; without its content, as far as servers tell. `TARN_ROUNDS=200` plays more rounds.
#![allow(clippy::unwrap_used, reason = "a story that cannot go on must end")]
#![allow(clippy::print_stdout, reason = "what the kills hit is the story's result")]

use std::collections::BTreeMap;
use std::process::Command;
use std::time::Duration;

use rand::RngExt;
use serde_json::Value;
use tarn_tests::cut_off::{kill_once_journaled, traces, unfinished};
use tarn_tests::rounds::{rng, rounds};
use tarn_tests::{Cluster, Content, Home, Running, Told};

const LENGTH: usize = 400_000;

#[test]
fn a_killed_publish_is_taken_up_and_takes_effect_once() {
    let cluster = Cluster::start(10);
    let home = cluster.home();
    let mut rng = rng(8);
    let mut before = home.publish("file", &Content::new(0, LENGTH));
    let mut found = BTreeMap::<String, usize>::new();
    for round in 1..=rounds(12) {
        let content = Content::new(round, LENGTH);
        let publishing = home.publishing("file", &content, &[]);
        kill_once_journaled(&home, publishing, Duration::from_micros(rng.random_range(0..4_000)));
        let Some(cut_off) = unfinished(&home) else {
            before = home.publish("file", &content);
            continue;
        };
        assert_eq!(cut_off["process"], Value::Null, "round {round}: it was killed");
        *found.entry(holders(&home, &cut_off)).or_default() += 1;
        // Taken up by the command for it, or by publishing the same content again.
        let told = if round.is_multiple_of(2) {
            Told::of(&home.run(&["resume", "file", "--json"]))
        } else {
            home.publish_with("file", &content, &[])
        };
        let told = told.published();
        assert_eq!(told.json["resumed"], true, "round {round}: {told:#?}");
        assert_eq!(told.base, before.version, "round {round}: it took effect twice: {told:#?}");
        assert_eq!(home.get_version("file"), (content.digest(), told.id().to_owned()));
        assert_eq!(unfinished(&home), None, "round {round}");
        before = told;
    }
    println!("servers that held the version of the one that was killed: {found:#?}");
    assert!(!found.is_empty(), "no kill came in time");
    assert_eq!(traces(&home), 0);
    cluster.never_panicked();
}

#[test]
fn a_publish_of_other_content_tells_what_became_of_the_one_that_was_killed() {
    let cluster = Cluster::start(10);
    let home = cluster.home();
    let mut rng = rng(9);
    let mut before = home.publish("file", &Content::new(0, LENGTH));
    let mut told_of = BTreeMap::<String, usize>::new();
    for round in 1..=rounds(12) {
        let killed = home.publishing("file", &Content::new(2 * round, LENGTH), &[]);
        kill_once_journaled(&home, killed, Duration::from_micros(rng.random_range(0..4_000)));
        let cut_off = unfinished(&home);
        let elsewhere = home.copy();
        let told = home.publish("file", &Content::new(2 * round + 1, LENGTH));
        let settled = told.json["settled"].as_array().unwrap();
        assert_eq!(settled.len(), usize::from(cut_off.is_some()), "round {round}: {told:#?}");
        if let (Some(cut_off), [settled]) = (cut_off, settled.as_slice()) {
            assert_eq!(settled["version"]["id"], cut_off["version"]["id"], "round {round}");
            let outcome = settled["outcome"].as_str().unwrap();
            let took_effect = told.base.as_deref() == cut_off["version"]["id"].as_str();
            assert_eq!(took_effect, outcome == "published", "round {round}: {told:#?}");
            assert!(took_effect || told.base == before.version, "round {round}: {told:#?}");
            *told_of.entry(outcome.to_owned()).or_default() += 1;
            // Its content is not there any more: what resumes it elsewhere says the same.
            let lost = Told::of(&elsewhere.run(&["resume", "file", "--json"]));
            assert_eq!(lost.is_published(), took_effect, "round {round}: {lost:#?}");
            let version = if took_effect { told.base.as_deref() } else { told.version.as_deref() };
            assert_eq!(lost.version.as_deref(), version, "round {round}: {lost:#?}");
            assert_eq!((unfinished(&elsewhere), traces(&elsewhere)), (None, 0), "round {round}");
        }
        assert_eq!(unfinished(&home), None, "round {round}");
        before = told;
    }
    println!("{told_of:#?}");
    assert!(!told_of.is_empty(), "no kill came in time");
    assert_eq!(traces(&home), 0);
    cluster.never_panicked();
}

#[test]
fn what_came_through_a_pipe_is_kept_until_it_is_published_or_abandoned() {
    let cluster = Cluster::start(10);
    let home = cluster.home();
    let content = Content::new(1, LENGTH);
    let piped = || {
        let command: Command = home.command(&["publish", "-", "--name", "piped"]);
        Running::fed(command, content.bytes())
    };
    let cut_off = (0..20).find_map(|_| {
        kill_once_journaled(&home, piped(), Duration::ZERO);
        unfinished(&home)
    });
    assert!(cut_off.is_some(), "no kill came in time");
    assert_eq!(traces(&home), 2, "its lock, and its content");
    home.run(&["forget", "piped"]).fails(1);
    Told::of(&home.run(&["resume", "piped", "--json"])).published();
    assert_eq!((home.get("piped"), traces(&home)), (content.digest(), 0));

    let cut_off = (0..20).find_map(|_| {
        kill_once_journaled(&home, piped(), Duration::ZERO);
        unfinished(&home)
    });
    assert!(cut_off.is_some(), "no kill came in time");
    home.run(&["abandon", "piped"]).ok();
    assert_eq!((unfinished(&home), traces(&home)), (None, 0));
    home.run(&["resume", "piped"]).fails(2);
    home.run(&["abandon", "piped"]).fails(2);
    home.run(&["forget", "piped"]).ok();
    cluster.never_panicked();
}

#[test]
fn a_publish_whose_content_is_lost_is_settled_as_far_as_servers_tell() {
    let cluster = Cluster::start(10);
    let home = cluster.home();
    home.publish("file", &Content::new(0, LENGTH));
    let content = (1..20).map(|seed| Content::new(seed, LENGTH)).find(|content| {
        let publishing = home.publishing("file", content, &[]);
        kill_once_journaled(&home, publishing, Duration::ZERO);
        unfinished(&home).is_some()
    });
    let content = content.expect("no kill came in time");
    let cut_off = unfinished(&home);
    std::fs::remove_file(home.path("sources/file")).unwrap();

    // Two servers cannot tell, not even with the certificate of the version that it was built on.
    cluster.kill(&[0, 1, 2, 3, 4, 5, 6, 7]);
    let told = Told::of(&home.run(&["resume", "file", "--json"]));
    assert_eq!((told.outcome.as_str(), told.exit), ("unknown", 5));
    assert_eq!(told.version.as_deref(), cut_off.as_ref().unwrap()["version"]["id"].as_str());
    assert!(told.stderr.contains("abandon"), "{}", told.stderr);
    assert_eq!(unfinished(&home), cut_off, "it can still be settled");
    let elsewhere = home.copy();
    elsewhere.run(&["abandon", "file"]).ok();
    assert_eq!(unfinished(&elsewhere), None);

    cluster.revive();
    home.write("sources/file", Content::new(99, LENGTH).bytes());
    let told = Told::of(&home.run(&["resume", "file", "--json"]));
    if told.is_published() {
        assert_eq!(home.get_version("file"), (content.digest(), told.id().to_owned()));
    } else {
        assert_eq!(told.outcome, "unknown", "{told:#?}");
        let told = home.publish("file", &Content::new(100, LENGTH));
        assert_eq!(told.json["settled"].as_array().unwrap().len(), 1, "{told:#?}");
    }
    assert_eq!((unfinished(&home), traces(&home)), (None, 0));
    cluster.never_panicked();
}

#[test]
fn what_another_process_went_on_with_is_known_to_have_been_published() {
    let cluster = Cluster::start(10);
    let home = cluster.home();
    let cut_off = (1..20).find_map(|seed| {
        let publishing = home.publishing("file", &Content::new(seed, LENGTH), &[]);
        kill_once_journaled(&home, publishing, Duration::ZERO);
        unfinished(&home)
    });
    assert!(cut_off.is_some(), "no kill came in time");
    let (gone, changed) = (home.copy(), home.copy());
    let told = Told::of(&home.run(&["resume", "file", "--json"])).published();
    let source = home.path("sources/file");
    std::fs::remove_file(&source).unwrap();
    let ran = gone.run(&["resume", "file"]).ok();
    assert!(ran.text().contains(told.id()), "{ran:?}");
    std::fs::write(&source, "something else").unwrap();
    let again = Told::of(&changed.run(&["resume", "file", "--json"])).published();
    assert_eq!((again.id(), &again.json["resumed"]), (told.id(), &Value::Bool(true)));
    for home in [&gone, &changed] {
        assert_eq!((unfinished(home), traces(home)), (None, 0));
    }
    cluster.never_panicked();
}

/// On how many servers the version is that was cut off: "none", "some" or "a quorum".
fn holders(home: &Home, cut_off: &Value) -> String {
    let ran = home.run(&["status", "file", "--json"]).ok();
    let status: Value = serde_json::from_slice(&ran.stdout).unwrap();
    let versions = status["versions"].as_array().unwrap();
    let held = versions.iter().find(|version| version["id"] == cut_off["version"]["id"]);
    match held.map(|version| version["certain"] == true) {
        None => "none",
        Some(false) => "some",
        Some(true) => "a quorum",
    }
    .to_owned()
}
