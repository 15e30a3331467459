//! A real server process on a real disk, struck at every single thing that it changes there: killed before it, killed
//! after it, refused it, left without power. There is no other server to make good what this one loses. Whatever
//! happens, the file is whole, it is one version, and it is what its writer was told.
//!
//! A story strikes one operation in each of its rounds, until it has struck all that it ever saw: none is left out.
//! `TARN_ALL_SIZES=1` adds a larger file and further faults, and a start after every crash.
#![allow(clippy::unwrap_used, reason = "a story that cannot go on must end")]
#![allow(clippy::print_stdout, reason = "a story that fails shows what was told until then")]

mod file;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Command;
use std::sync::Mutex;

use tarn_tests::disk::{self, Fault, Kept, Mark, Operation};

use crate::file::{Failing, File, Restart};

/// A file kept in the database; in a chunk that is written at once; in one that is written bit by bit.
const SIZES: [usize; 3] = [1_000, 300_000, 1_500_000];

/// Rounds at a time. They mostly wait: for a disk, and for servers that do not answer.
const SIDE_BY_SIDE: usize = 16;

/// What is struck in every publish, whatever its size; and what else if there is a chunk.
const ALWAYS: [&str; 4] = ["write", "fsync", "truncate", "unlink"];
const WITH_A_CHUNK: [&str; 2] = ["create", "rename"];

#[test]
fn a_server_killed_before_any_operation_holds_what_it_acknowledged() {
    publishes("killed before", |file, mark| {
        file.killed(mark, Fault::KillBefore, Restart::AfterThePublish)
    });
}

#[test]
fn a_server_killed_after_any_operation_and_back_at_once_holds_what_it_acknowledged() {
    publishes("killed after", |file, mark| file.killed(mark, Fault::KillAfter, Restart::AtOnce));
}

#[test]
fn a_server_that_loses_power_before_any_operation_holds_what_it_acknowledged() {
    publishes("without power", |file, mark| file.powerless(mark, Kept::Nothing));
    if all() {
        publishes("without power, names kept", |file, mark| file.powerless(mark, Kept::Names));
        publishes("without power, database kept", |file, mark| {
            file.powerless(mark, Kept::Database)
        });
    }
}

#[test]
fn what_a_server_tells_after_it_was_killed_is_not_lost_with_the_power() {
    publishes("killed, then without power", File::killed_then_powerless);
}

#[test]
fn any_operation_that_fails_once_is_told_truly_and_the_server_goes_on() {
    publishes("EIO once", |file, mark| file.refused(mark, Fault::Eio, Failing::Once));
    if all() {
        publishes("ENOSPC once", |file, mark| file.refused(mark, Fault::NoSpace, Failing::Once));
    }
}

#[test]
fn any_write_that_is_cut_short_is_told_truly_and_the_server_goes_on() {
    stories("short writes", |what, file| {
        strike_each(what, &["write"], |mark| file.refused(mark, Fault::ShortWrite, Failing::Once));
    });
}

#[test]
fn a_disk_that_fails_from_any_operation_on_is_told_truly_and_heals() {
    publishes("ENOSPC", |file, mark| file.refused(mark, Fault::NoSpace, Failing::UntilTold));
    if all() {
        publishes("EIO", |file, mark| file.refused(mark, Fault::Eio, Failing::UntilTold));
    }
}

#[test]
fn a_server_killed_while_its_disk_fails_holds_what_it_acknowledged() {
    publishes("EIO, then killed", |file, mark| {
        file.refused(mark, Fault::Eio, Failing::UntilKilled)
    });
    if all() {
        publishes("ENOSPC, then killed", |file, mark| {
            file.refused(mark, Fault::NoSpace, Failing::UntilKilled)
        });
    }
}

#[test]
fn a_start_after_a_crash_may_crash_or_fail_at_any_operation() {
    stories("starts", |what, file| {
        for Operation { mark: crashed_at, .. } in file.operations() {
            // Before these, something lies about that a start has to clear away.
            let leaves_something = crashed_at.place == "chunks/";
            if !leaves_something && !all() {
                continue;
            }
            let crash = file.crashed(Some(&crashed_at));
            let mut kinds = vec!["write", "truncate", "fsync"];
            kinds.extend(leaves_something.then_some("unlink"));
            for fault in [Fault::KillBefore, Fault::Eio] {
                let what = format!("{what} after a crash at {crashed_at}, {fault:?}");
                strike_each(&what, &kinds, |mark| file.started(&crash, mark, fault));
            }
        }
    });
}

#[test]
fn the_disk_sees_all_that_the_server_can_change_a_file_with() {
    if let Some(why) = disk::unavailable() {
        return println!("not told: {why}");
    }
    let used = symbols("--undefined-only", tarn_tests::binary::tarn());
    let seen = symbols("--defined-only", disk::library());
    let is_seen = |name: &&str| !used.contains(*name) || seen.contains(*name);
    let unseen: Vec<&str> = CHANGES.into_iter().filter(|name| !is_seen(name)).collect();
    assert_eq!(unseen, [""; 0], "disk.c must know these, too");
    assert!(used.contains("fsync") && seen.contains("fsync"), "{used:?}");
}

/// Strikes every operation of a publish, for files of every size.
fn publishes(what: &str, round: impl Fn(&File, Option<&Mark>) -> Vec<Operation> + Sync) {
    stories(what, |what, file| {
        let more: &[&str] = if file.has_chunks() { &WITH_A_CHUNK } else { &[] };
        strike_each(what, &[&ALWAYS, more].concat(), |mark| round(file, mark));
    });
}

/// Tells a story of files of every size.
fn stories(what: &str, story: impl Fn(&str, &File)) {
    if let Some(why) = disk::unavailable() {
        return println!("not told: {why}");
    }
    let sizes = if all() { &SIZES[..] } else { &SIZES[..2] };
    for &size in sizes {
        story(&format!("{what}, {size} bytes"), &File::new(size));
    }
}

/// Rounds that strike one operation each, until every one was struck that was seen in any round. Among those struck must
/// be these kinds.
fn strike_each(what: &str, kinds: &[&str], round: impl Fn(Option<&Mark>) -> Vec<Operation> + Sync) {
    let tally: Mutex<BTreeMap<String, u32>> = Mutex::default();
    let seen: Mutex<BTreeSet<Mark>> = Mutex::default();
    let strike = |mark: Option<&Mark>| {
        for operation in round(mark) {
            seen.lock().unwrap().insert(operation.mark.clone());
            // What comes after is what the fault led to.
            if operation.struck {
                *tally.lock().unwrap().entry(operation.mark.kind).or_default() += 1;
                return;
            }
        }
    };
    strike(None);
    let mut tried = BTreeSet::new();
    loop {
        let untried: BTreeSet<Mark> = &*seen.lock().unwrap() - &tried;
        if untried.is_empty() {
            break;
        }
        let marks = Mutex::new(untried.iter());
        std::thread::scope(|scope| {
            for _ in 0..SIDE_BY_SIDE {
                scope.spawn(|| {
                    while let Some(mark) = next(&marks) {
                        strike(Some(mark));
                    }
                });
            }
        });
        tried.extend(untried);
    }
    let tally = tally.into_inner().unwrap();
    println!("{what}: struck {} of {}, {tally:?}", tally.values().sum::<u32>(), tried.len());
    for kind in kinds {
        assert!(tally.contains_key(*kind), "{what}: no {kind} was struck, only {tally:?}");
    }
}

fn next<T>(items: &Mutex<impl Iterator<Item = T>>) -> Option<T> {
    items.lock().unwrap().next()
}

fn all() -> bool {
    std::env::var_os("TARN_ALL_SIZES").is_some()
}

/// What the C library has to change files and names with, and to make that durable.
const CHANGES: [&str; 48] = [
    "write",
    "writev",
    "pwrite",
    "pwrite64",
    "pwritev",
    "pwritev64",
    "pwritev2",
    "pwritev64v2",
    "open",
    "open64",
    "openat",
    "openat64",
    "openat2",
    "creat",
    "creat64",
    "fopen",
    "fopen64",
    "freopen",
    "freopen64",
    "truncate",
    "truncate64",
    "ftruncate",
    "ftruncate64",
    "fallocate",
    "fallocate64",
    "posix_fallocate",
    "posix_fallocate64",
    "copy_file_range",
    "sendfile",
    "sendfile64",
    "splice",
    "fsync",
    "fdatasync",
    "sync",
    "syncfs",
    "sync_file_range",
    "msync",
    "rename",
    "renameat",
    "renameat2",
    "link",
    "linkat",
    "symlink",
    "unlink",
    "unlinkat",
    "remove",
    "rmdir",
    "mkdir",
];

/// The dynamic symbols of a binary: those that it needs, or those that it has.
fn symbols(which: &str, binary: &Path) -> BTreeSet<String> {
    let nm = Command::new("nm").args(["-D", which, "--format=posix"]).arg(binary).output().unwrap();
    assert!(nm.status.success(), "{}", String::from_utf8_lossy(&nm.stderr));
    let text = String::from_utf8(nm.stdout).unwrap();
    text.lines().map(|line| line.split([' ', '@']).next().unwrap().to_owned()).collect()
}
