//! Parts of files are changed by the command, on real servers, and the files compared with copies of them after each
//! change: whatever is down, whoever else writes, and whichever change is killed half way.
#![allow(clippy::unwrap_used, reason = "a story that cannot go on must end")]
#![allow(clippy::print_stdout, reason = "what the kills hit is the story's result")]

use std::collections::BTreeMap;
use std::time::Duration;

use rand::RngExt;
use serde_json::Value;
use tarn_tests::cut_off::{kill_once_journaled, traces, unfinished};
use tarn_tests::rounds::{rng, rounds};
use tarn_tests::{Cluster, Content, Home, Running, Told};

/// A segment of three blocks.
const SEGMENT: usize = 3 * (64 << 10);

/// What a file should hold.
struct Copy(Vec<u8>);

impl Copy {
    fn write(&mut self, at: usize, part: &Content) {
        let end = at + part.bytes().len();
        self.0.resize(self.0.len().max(end), 0);
        self.0[at..end].copy_from_slice(part.bytes());
    }

    /// Expects that the file holds this.
    fn is_held(&self, home: &Home) {
        assert_eq!(home.get("file"), Content::of(self.0.clone()).digest());
    }
}

fn put(home: &Home, part: &Content, words: &[&str]) -> Told {
    home.publish_with("file", part, words)
}

#[test]
fn every_kind_of_change_comes_out_as_in_a_copy() {
    let cluster = Cluster::start(10);
    let home = cluster.home();
    let whole = Content::new(1, 4 * SEGMENT + 5_000);
    let mut copy = Copy(whole.bytes().to_vec());
    let mut last = home.publish("file", &whole);
    let part = |seed| Content::new(seed, 3_000);
    let mut changed = |copy: &Copy, told: Told| {
        let told = told.published();
        assert_eq!((&told.base, &told.json["bytes"]), (&last.version, &Value::from(3_000)));
        copy.is_held(&home);
        last = told;
    };

    let middle = 2 * SEGMENT - 1_000;
    copy.write(middle, &part(2));
    changed(&copy, put(&home, &part(2), &["--offset", &middle.to_string()]));
    copy.write(copy.0.len(), &part(3));
    changed(&copy, put(&home, &part(3), &["--append"]));
    let beyond = 6 * SEGMENT + 77;
    copy.write(beyond, &part(4));
    changed(&copy, put(&home, &part(4), &["--offset", &beyond.to_string()]));
    let early = 3 * SEGMENT + 10;
    copy.write(early, &part(5));
    copy.0.truncate(early + 3_000);
    changed(&copy, put(&home, &part(5), &["--offset", &early.to_string(), "--truncate"]));

    // Through a pipe, on exactly the version that was named.
    copy.write(0, &part(6));
    let id = last.id().to_owned();
    let words = ["publish", "-", "--name", "file", "--json", "--offset", "0", "--if-version", &id];
    let piped = || Told::of(&Running::fed(home.command(&words), part(6).bytes()).ended());
    let told = piped().published();
    assert_eq!(told.base.as_ref(), Some(&id));
    copy.is_held(&home);
    let stale = piped();
    assert_eq!((stale.outcome.as_str(), stale.id()), ("stale", told.id()));
    copy.is_held(&home);
    assert_eq!((unfinished(&home), traces(&home)), (None, 0));
    cluster.never_panicked();
}

#[test]
fn what_is_appended_to_a_new_name_makes_the_file_and_an_offset_does_not() {
    let cluster = Cluster::start(10);
    let home = cluster.home();
    let line = home.write("line", b"a line\n").to_string_lossy().into_owned();
    let refused = home.run(&["publish", &line, "--name", "file", "--offset", "0"]).fails(2);
    assert!(refused.contains("no file is called \"file\""), "{refused}");
    for lines in 1..4 {
        home.run(&["publish", &line, "--name", "file", "--append"]).ok();
        Copy(b"a line\n".repeat(lines)).is_held(&home);
    }
    // Where a part came from is not where the file is published from.
    home.run(&["publish", &line]).ok();
    Copy(b"a line\n".repeat(3)).is_held(&home);
    cluster.never_panicked();
}

#[test]
fn servers_come_and_go_between_changes() {
    let cluster = Cluster::start(10);
    let home = cluster.home();
    let whole = Content::new(1, 3 * SEGMENT);
    let mut copy = Copy(whole.bytes().to_vec());
    home.publish("file", &whole);
    for round in 0..4_u64 {
        let down = [3 * usize::try_from(round).unwrap() % 10, 5];
        cluster.kill(&down[..1 + usize::from(down[0] != 5)]);
        let (part, at) =
            (Content::new(10 + round, 2_000), usize::try_from(round).unwrap() * 150_000);
        put(&home, &part, &["--offset", &at.to_string()]).published();
        copy.write(at, &part);
        copy.is_held(&home);
        cluster.revive();
        let part = Content::new(20 + round, 2_000);
        put(&home, &part, &["--append"]).published();
        copy.write(copy.0.len(), &part);
        copy.is_held(&home);
    }
    // All of those that have it now may be too few; the others are brought it, or it is published as a whole.
    cluster.kill(&[0, 1, 2]);
    let part = Content::new(30, 2_000);
    put(&home, &part, &["--offset", "5"]).published();
    copy.write(5, &part);
    copy.is_held(&home);
    cluster.revive();
    cluster.never_panicked();
}

#[test]
fn a_change_that_was_killed_is_settled_by_asking() {
    let cluster = Cluster::start(10);
    let home = cluster.home();
    let whole = Content::new(0, 3 * SEGMENT);
    let mut copy = Copy(whole.bytes().to_vec());
    home.publish("file", &whole);
    let mut rng = rng(11);
    let mut told_of = BTreeMap::<String, usize>::new();
    for round in 1..=rounds(8) {
        let part = Content::new(round, 2_000);
        let appending = home.publishing("file", &part, &["--append"]);
        kill_once_journaled(&home, appending, Duration::from_micros(rng.random_range(0..4_000)));
        let Some(cut_off) = unfinished(&home) else {
            copy.write(copy.0.len(), &part);
            copy.is_held(&home);
            continue;
        };
        let id = cut_off["version"]["id"].clone();
        let took_effect = if round.is_multiple_of(2) {
            // Resumed: nothing can be sent again, and what servers say is told.
            let told = Told::of(&home.run(&["resume", "file", "--json"]));
            assert!(told.stderr.contains("cannot be sent again"), "{told:#?}");
            told.is_published()
        } else {
            // The same input once more is another change.
            let told = put(&home, &part, &["--offset", "7"]).published();
            assert_eq!(told.json["resumed"], false, "{told:#?}");
            let settled = told.json["settled"].as_array().unwrap().clone();
            let [settled] = settled.as_slice() else { panic!("round {round}: {told:#?}") };
            assert_eq!(settled["version"]["id"], id, "{told:#?}");
            let took_effect = told.base.as_deref() == id.as_str();
            assert_eq!(took_effect, settled["outcome"] == "published", "{told:#?}");
            copy.write(7, &part);
            took_effect
        };
        // While too few servers have it, nobody can tell; the next publish does.
        let settled = unfinished(&home).map(|_| {
            copy.write(0, &Content::new(0, 1));
            put(&home, &Content::new(0, 1), &["--offset", "0"]).published()
        });
        let settled = settled.is_some_and(|told| told.json["settled"][0]["outcome"] == "published");
        let took_effect = took_effect || settled;
        *told_of.entry(format!("took effect: {took_effect}")).or_default() += 1;
        if took_effect {
            copy.write(copy.0.len(), &part);
        }
        copy.is_held(&home);
        assert_eq!((unfinished(&home), traces(&home)), (None, 0), "round {round}");
    }
    println!("{told_of:#?}");
    assert!(!told_of.is_empty(), "no kill came in time");
    cluster.never_panicked();
}

#[test]
fn a_part_is_never_taken_for_the_whole_nor_the_whole_for_a_part() {
    let cluster = Cluster::start(10);
    let home = cluster.home();
    home.publish("file", &Content::new(0, 2 * SEGMENT + 1));
    let content = Content::new(1, 2 * SEGMENT);
    // As a part that replaces everything, it is the same content; yet it is another publish.
    let words = ["--offset", "0", "--truncate"];
    for (first, second) in [(&words[..], &[][..]), (&[][..], &words[..])] {
        let cut_off = (0..20).find_map(|_| {
            let publishing = home.publishing("file", &content, first);
            kill_once_journaled(&home, publishing, Duration::ZERO);
            unfinished(&home)
        });
        assert!(cut_off.is_some(), "no kill came in time");
        let told = home.publish_with("file", &content, second).published();
        assert_eq!(told.json["resumed"], false, "{told:#?}");
        assert_eq!(told.json["settled"].as_array().unwrap().len(), 1, "{told:#?}");
        assert_eq!(home.get("file"), content.digest());
        assert_eq!((unfinished(&home), traces(&home)), (None, 0));
    }
    cluster.never_panicked();
}
