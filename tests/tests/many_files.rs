//! Folders of files are published side by side: whatever becomes of one file is told of it alone, and of a command that
//! is killed or called off in the middle every file is known to be published, unfinished or not begun.
#![allow(clippy::unwrap_used, reason = "a story that cannot go on must end")]

use std::collections::BTreeMap;
use std::os::unix::fs::symlink;
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::process::Command;

use rusqlite::{Connection, OpenFlags};
use rustix::process::Signal;
use serde_json::Value;
use tarn_tests::{Cluster, Content, Home, Running, Told};

/// Regular for whoever looks at it, and no reading of it ever succeeds, not even root's.
const UNREADABLE: &str = "/proc/self/mem";

#[test]
fn a_folder_is_published_side_by_side_and_one_bad_file_fails_alone() {
    let cluster = Cluster::start(10);
    let home = cluster.home();
    let files = write(&home, 30, 1);
    let folder = home.path("docs");
    symlink("0.txt", folder.join("link")).unwrap();
    let _socket = UnixListener::bind(folder.join("socket")).unwrap();
    let bad = home.path("bad");
    symlink(UNREADABLE, &bad).unwrap();
    let words = ["publish", &bad.to_string_lossy(), &folder.to_string_lossy(), "--json"];

    let mut before = None;
    for version in 1..=2 {
        let ran = home.run(&words);
        assert_eq!(ran.exit, Some(1), "{ran:?}");
        let mut told = by_path(Told::each(&ran));
        let failed = told.remove(bad.to_str().unwrap()).unwrap();
        assert_eq!(failed.outcome, "failed", "{failed:#?}");
        assert!(failed.error().contains("cannot be read"), "{failed:#?}");
        assert!(told.keys().eq(files.keys()), "{told:#?}");
        for (path, told) in &told {
            assert_eq!(told.clone().published().seqnum, Some(version), "{told:#?}");
            assert_eq!(told.base, before.as_ref().and_then(|before| id(before, path)));
        }
        for skipped in ["link: it is a link", "socket: it is a socket"] {
            assert!(ran.stderr.contains(skipped), "{ran:?}");
        }
        assert!(ran.stderr.contains("1 of 31 files was not published"), "{ran:?}");
        before = Some(told);
    }
    for (path, told) in before.unwrap() {
        assert_eq!(home.get(told.json["name"].as_str().unwrap()), files[&path].digest(), "{path}");
        assert_eq!(cluster.home().get(told.read_cap()), files[&path].digest(), "{path}");
    }
    assert_eq!((unfinished(&home).len(), traces(&home)), (0, 0));
    cluster.never_panicked();
}

#[test]
fn people_are_told_a_line_for_each_file_and_each_trouble_once() {
    let cluster = Cluster::start(10);
    let home = cluster.home();
    write(&home, 12, 1);
    cluster.kill(&[3]);
    let folder = home.path("docs");
    let ran = home.run(&["publish", &folder.to_string_lossy()]).ok();
    let (lines, last) = ran.text().trim_end().rsplit_once('\n').unwrap();
    assert!(last.starts_with("published 12 files, "), "{ran:?}");
    assert_eq!(lines.lines().filter(|line| line.contains(", version 1, ")).count(), 12, "{ran:?}");
    assert_eq!(ran.stderr.matches(&cluster.servers[3].address).count(), 1, "{ran:?}");

    // With too few servers for any of them, each says so.
    cluster.kill(&[0, 1, 2]);
    let ran = home.run(&["publish", &folder.to_string_lossy()]);
    assert_eq!(ran.exit, Some(4), "{ran:?}");
    assert!(ran.text().starts_with("published 0 files, 0 B in "), "{ran:?}");
    assert_eq!(ran.stderr.matches("7 are needed; nothing was changed").count(), 12, "{ran:?}");
    assert!(ran.stderr.contains("12 of 12 files were not published: "), "{ran:?}");
    cluster.never_panicked();
}

#[test]
fn what_goes_with_one_file_is_refused_with_several() {
    let home = Home::new(None);
    write(&home, 2, 1);
    let folder = home.path("docs").to_string_lossy().into_owned();
    for words in [
        &["publish", &folder, "--name", "x"][..],
        &["publish", &folder, "-"],
        &["publish", "-", &folder, "--name", "x"],
        &["publish", &folder, &folder, "--cap", "tarnw1x"],
    ] {
        home.run(words).fails(2);
    }
    std::fs::create_dir(home.path("empty")).unwrap();
    let ran = home.run(&["publish", &home.path("empty").to_string_lossy()]).ok();
    assert!(ran.text().starts_with("published 0 files, 0 B in "), "{ran:?}");
}

#[test]
fn a_command_that_is_killed_in_the_middle_is_taken_up_by_the_same_again() {
    let cluster = Cluster::start(10);
    let home = cluster.home();
    let folder = home.path("docs").to_string_lossy().into_owned();
    let publish = || home.command(&["publish", &folder, "--json"]);
    write(&home, 24, 0);
    let mut before = by_path(Told::each(&Running::start(publish()).ended().ok()));
    let mut taken_up = 0;
    for round in 1..=6 {
        let files = write(&home, 24, round);
        kill_once_journaled(&home, publish(), 3);
        let cut_off = unfinished(&home);
        assert!(cut_off.iter().all(|publish| publish["process"].is_null()), "{cut_off:#?}");

        let told = by_path(Told::each(&Running::start(publish()).ended().ok()));
        assert!(told.keys().eq(files.keys()), "round {round}: {told:#?}");
        let resumed = || told.iter().filter(|(_, told)| told.json["resumed"] == true);
        assert_eq!(resumed().count(), cut_off.len(), "round {round}: {cut_off:#?} {told:#?}");
        for (path, told) in resumed() {
            assert_eq!(told.base, id(&before, path), "round {round}: {path} took effect twice");
        }
        for (path, told) in &told {
            let name = told.json["name"].as_str().unwrap();
            let held = (files[path].digest(), told.id().to_owned());
            assert_eq!(home.get_version(name), held, "round {round}: {path}");
        }
        assert_eq!((unfinished(&home).len(), traces(&home)), (0, 0), "round {round}");
        taken_up += cut_off.len();
        before = told;
    }
    assert!(taken_up > 0, "no kill came in time");
    cluster.never_panicked();
}

#[test]
fn ctrl_c_calls_off_what_can_be_and_leaves_nothing_unknown() {
    let cluster = Cluster::start(10);
    let home = cluster.home();
    let files = write(&home, 60, 1);
    let folder = home.path("docs").to_string_lossy().into_owned();
    let mut publishing = Running::start(home.command(&["publish", &folder, "--json"]));
    once_journaled(&home, &mut publishing, 1);
    publishing.signal(Signal::INT);
    let ran = publishing.ended();
    let told = by_path(Told::each(&ran));
    assert!(told.keys().eq(files.keys()), "{ran:?}");
    let called_off = told.values().filter(|told| told.outcome == "cancelled").count();
    assert!(called_off > 0, "the interrupt came too late: {ran:?}");
    assert_eq!((ran.exit, unfinished(&home).len(), traces(&home)), (Some(1), 0, 0), "{ran:?}");
    for (path, told) in told.into_iter().filter(|(_, told)| told.outcome != "cancelled") {
        assert_eq!(home.get(told.published().read_cap()), files[&path].digest(), "{path}");
    }
    cluster.never_panicked();
}

/// Writes so many files of these contents below `docs`, some in folders and some under the same name; by path.
fn write(home: &Home, count: u64, contents: u64) -> BTreeMap<String, Content> {
    let file = |number: u64| {
        let inside = match number % 3 {
            0 => format!("docs/{number}.txt"),
            1 => format!("docs/sub/{number}/same"),
            _ => format!("docs/.hidden/deep/{number}"),
        };
        let lengths = [0, 1, 5_000, 300_000, 2_000_000];
        let length = lengths[usize::try_from(number).unwrap() % lengths.len()];
        let content = Content::new(1_000 * contents + number, length);
        let path = home.write(&inside, content.bytes());
        (path.to_str().unwrap().to_owned(), content)
    };
    (0..count).map(file).collect()
}

fn by_path(told: Vec<Told>) -> BTreeMap<String, Told> {
    let count = told.len();
    let path = |told: &Told| told.json["path"].as_str().unwrap().to_owned();
    let by_path: BTreeMap<_, _> = told.into_iter().map(|told| (path(&told), told)).collect();
    assert_eq!(by_path.len(), count, "a file was told twice");
    by_path
}

fn id(told: &BTreeMap<String, Told>, path: &str) -> Option<String> {
    told[path].version.clone()
}

/// Kills the command with kill -9 once it has journaled so many publishes that are under way. It may have ended before.
fn kill_once_journaled(home: &Home, command: Command, count: usize) {
    let mut publishing = Running::start(command);
    once_journaled(home, &mut publishing, count);
    publishing.killed().never_panicked();
}

fn once_journaled(home: &Home, publishing: &mut Running, count: usize) {
    while publishing.runs() && journaled(&home.path("data/names.sqlite")) < Some(count) {}
}

/// How many versions the journal has; none as long as there is no database.
fn journaled(names: &Path) -> Option<usize> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let names = Connection::open_with_flags(names, flags).ok()?;
    let count: u32 = names.query_row("SELECT COUNT(*) FROM journal", [], |row| row.get(0)).ok()?;
    usize::try_from(count).ok()
}

/// The publishes that are not finished.
fn unfinished(home: &Home) -> Vec<Value> {
    let ran = home.run(&["status", "--json"]).ok();
    let status: Value = serde_json::from_slice(&ran.stdout).unwrap();
    status["unfinished_publishes"].as_array().unwrap().clone()
}

/// How many files publishes have left.
fn traces(home: &Home) -> usize {
    std::fs::read_dir(home.path("data/publishing")).unwrap().count()
}
