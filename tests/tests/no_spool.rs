//! What comes through a pipe is published while it comes, with `--no-spool`: by the real command, on real servers, some of
//! which are killed while the pipe is still open.
#![allow(clippy::unwrap_used, reason = "a story that cannot go on must end")]

use std::io::Write;
use std::process::ChildStdin;
use std::time::Duration;

use serde_json::Value;
use tarn_tests::cut_off::{kill_once_journaled, traces, unfinished};
use tarn_tests::{Cluster, Content, Home, Running, Told};

const MIB: usize = 1 << 20;
const WORDS: [&str; 6] = ["publish", "-", "--name", "file", "--json", "--no-spool"];

/// A publish of what is written into the pipe.
fn begin(home: &Home, more: &[&str]) -> (Running, ChildStdin) {
    Running::piped(home.command(&[&WORDS[..], more].concat()))
}

fn publish(home: &Home, content: &Content, more: &[&str]) -> Told {
    Told::of(&Running::fed(home.command(&[&WORDS[..], more].concat()), content.bytes()).ended())
}

/// How many distinct shares of the newest version servers have.
fn shares(home: &Home) -> u64 {
    let ran = home.run(&["status", "file", "--json"]).ok();
    let status: Value = serde_json::from_slice(&ran.stdout).unwrap();
    let newest = status["versions"].as_array().unwrap().first().unwrap().clone();
    newest["shares"].as_u64().unwrap_or_else(|| panic!("{newest}"))
}

#[test]
fn it_is_published_without_a_copy_and_its_length_need_not_be_known() {
    let cluster = Cluster::start(10);
    let home = cluster.home();
    for (round, length) in (1..).zip([0, 1, 200_000, 5 * MIB + 7]) {
        let content = Content::new(round, length);
        let told = publish(&home, &content, &[]).published();
        assert_eq!((told.seqnum, &told.json["bytes"]), (Some(round), &Value::from(length)));
        assert_eq!(home.get("file"), content.digest());
        assert_eq!((unfinished(&home), traces(&home)), (None, 0));
    }
    // It can be changed in place, and followed, like any other.
    let (mut whole, part) = (Content::new(4, 5 * MIB + 7).bytes().to_vec(), Content::new(5, 99));
    home.publish_with("file", &part, &["--append"]).published();
    whole.extend_from_slice(part.bytes());
    assert_eq!(home.get("file"), Content::of(whole).digest());
    let stale = publish(&home, &part, &["--if-version", &"ab".repeat(32)]);
    assert_eq!((stale.outcome.as_str(), stale.exit), ("stale", 3));
    assert!(!stale.error().contains("used up"), "nothing was read of it: {}", stale.error());
    cluster.never_panicked();
}

#[test]
fn servers_that_are_killed_meanwhile_are_done_without_and_their_shares_brought() {
    let cluster = Cluster::start(10);
    let home = cluster.home();
    let content = Content::new(1, 24 * MIB);
    let (publishing, mut pipe) = begin(&home, &[]);
    let (first, rest) = content.bytes().split_at(8 * MIB);
    pipe.write_all(first).unwrap();
    assert!(!keeps_a_copy(&home));
    cluster.kill(&[2, 6]);
    pipe.write_all(rest).unwrap();
    drop(pipe);
    let told = Told::of(&publishing.ended()).published();
    let missing = told.json["shares"].as_array().unwrap().iter();
    assert_eq!(missing.filter(|share| share["state"] == "missing").count(), 2);
    assert_eq!((shares(&home), home.get("file")), (10, content.digest()));
    cluster.revive();
    assert_eq!(home.get("file"), content.digest());
    cluster.never_panicked();
}

/// Whether there is a file for what comes through a pipe.
fn keeps_a_copy(home: &Home) -> bool {
    let mut kept = std::fs::read_dir(home.path("data/publishing")).unwrap();
    kept.any(|entry| entry.unwrap().path().extension().is_some_and(|ending| ending == "input"))
}

#[test]
fn with_too_few_servers_left_it_ends_although_the_pipe_does_not() {
    let cluster = Cluster::start(10);
    let home = cluster.home();
    let before = Content::new(1, 1_000);
    home.publish("file", &before);
    let (publishing, mut pipe) = begin(&home, &[]);
    pipe.write_all(Content::new(2, 4 * MIB).bytes()).unwrap();
    cluster.kill(&[0, 1, 2, 3]);
    // The pipe stays open, and nothing more comes of it.
    let told = Told::of(&publishing.ended());
    assert!(told.seconds < 60.0, "{told:#?}");
    assert_eq!((told.outcome.as_str(), told.exit), ("not_enough_servers", 4));
    let said = told.error();
    assert!(said.contains("nothing was changed; the input is used up"), "{said}");
    drop(pipe);
    cluster.revive();
    assert_eq!(home.get("file"), before.digest());
    assert_eq!((unfinished(&home), traces(&home)), (None, 0));
    cluster.never_panicked();
}

#[test]
fn another_writer_that_comes_first_uses_the_input_up() {
    let cluster = Cluster::start(10);
    let home = cluster.home();
    home.publish("file", &Content::new(1, 1_000));
    let (publishing, mut pipe) = begin(&home, &[]);
    pipe.write_all(Content::new(2, 2 * MIB).bytes()).unwrap();
    let theirs = Content::new(3, 1_000);
    home.publish("file", &theirs);
    drop(pipe);
    let told = Told::of(&publishing.ended());
    assert_eq!((told.outcome.as_str(), told.exit), ("input_used_up", 1));
    assert!(told.stderr.contains("or without --no-spool"), "{}", told.stderr);
    assert_eq!(home.get("file"), theirs.digest());
    // Spooled, it begins again.
    let words = &WORDS[..5];
    let again = Running::fed(home.command(words), Content::new(2, 2 * MIB).bytes()).ended();
    Told::of(&again).published();
    cluster.never_panicked();
}

#[test]
fn memory_does_not_grow_with_what_comes() {
    let cluster = Cluster::start(10);
    let home = cluster.home();
    let chunk = Content::new(1, 8 * MIB);
    let (publishing, mut pipe) = begin(&home, &["--k", "8", "--n", "10"]);
    let mut held = Vec::new();
    for chunks in [2, 10] {
        for _ in 0..chunks {
            pipe.write_all(chunk.bytes()).unwrap();
        }
        held.push(publishing.memory_at_most());
    }
    drop(pipe);
    let told = Told::of(&publishing.ended()).published();
    assert_eq!(told.json["bytes"], 96 * MIB);
    assert!(held[1] < held[0] + 24 * MIB as u64, "{held:?} bytes after 16 and after 96 MiB");
    cluster.never_panicked();
}

#[test]
fn what_was_cut_off_is_settled_by_asking() {
    let cluster = Cluster::start(10);
    let home = cluster.home();
    let mut newest = Content::new(0, 300_000);
    home.publish("file", &newest);
    let mut cut_off = 0;
    for round in 1..=12 {
        let content = Content::new(round, 300_000);
        let publishing = Running::fed(home.command(&WORDS), content.bytes());
        kill_once_journaled(&home, publishing, Duration::from_micros(300 * (round % 4)));
        if unfinished(&home).is_none() {
            newest = if home.get("file") == content.digest() { content } else { newest };
            continue;
        }
        cut_off += 1;
        let told = Told::of(&home.run(&["resume", "file", "--json"]));
        assert!(told.stderr.contains("was kept nowhere"), "{told:#?}");
        if !told.is_settled() {
            // While too few servers have it, nobody can tell; the next publish does.
            newest = Content::new(100 + round, 1_000);
            let told = home.publish("file", &newest);
            assert_eq!(told.json["settled"].as_array().unwrap().len(), 1, "{told:#?}");
        } else if told.is_published() {
            newest = content;
        }
        assert_eq!(home.get("file"), newest.digest(), "round {round}");
        assert_eq!((unfinished(&home), traces(&home)), (None, 0));
    }
    assert!(cut_off > 0, "no kill came in time");
    cluster.never_panicked();
}

#[test]
fn it_goes_with_one_whole_input_from_a_pipe() {
    let home = Home::new(None);
    let file = home.write("a file", b"content").to_string_lossy().into_owned();
    let folder = home.write("folder/file", b"content").parent().unwrap().to_owned();
    let said = home.run(&["publish", &file, "--no-spool"]).fails(2);
    assert!(said.contains("--no-spool goes with -"), "{said}");
    home.run(&["publish", &folder.to_string_lossy(), "--no-spool"]).fails(2);
    home.run(&["publish", &file, &file, "--no-spool"]).fails(2);
    home.run(&["publish", "-", "--name", "x", "--no-spool", "--append"]).fails(2);
    home.run(&["publish", "-", "--name", "x", "--no-spool", "--offset", "1"]).fails(2);
}
