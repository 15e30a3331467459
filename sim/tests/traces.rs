//! Every saved trace is played: those in `traces/` broke a promise once and must not again; those in `traces/open/` show
//! what is known to be wrong still, and must be moved once they no longer do.

#![allow(clippy::unwrap_used, reason = "a trace that cannot be read fails the test")]

use std::fs::File;
use std::io::BufReader;
use std::path::{Path, PathBuf};

use tarn_sim::promises;
use tarn_sim::trace::{Ending, Trace, replay};

fn traces(folder: &str) -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
    let mut found: Vec<PathBuf> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|ending| ending == "trace"))
        .collect();
    found.sort();
    assert!(!found.is_empty(), "there are no traces");
    found
}

fn read(path: &Path) -> Trace {
    Trace::read(BufReader::new(File::open(path).unwrap()))
        .unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

#[test]
fn what_broke_a_promise_once_breaks_none_now() {
    for path in traces("traces") {
        let played = replay(&read(&path), None, Ending::Drained);
        let broken = played.broken.map(|(at, broken)| format!("event {at}: {broken}"));
        assert_eq!(broken, None, "{}", path.display());
        assert!(played.at_rest, "{} does not come to rest", path.display());
    }
}

#[test]
fn a_trace_plays_the_same_twice() {
    for path in traces("traces") {
        let trace = read(&path);
        let text = || tarn_sim::render::text::render(&trace, None, Ending::Drained);
        assert_eq!(text(), text(), "{}", path.display());
    }
}

/// The open traces show a submission on the chain twice, by two processes: see `promises/p14.rs`.
#[test]
fn what_is_known_to_be_wrong_is_so_still() {
    for path in traces("traces/open") {
        let world = replay(&read(&path), None, Ending::AsItIs).world;
        let twice = world.versions().any(|newer| {
            world.versions().any(|older| {
                newer.version() != older.version()
                    && newer.header.header().attempt == older.header.header().attempt
                    && world.descends(newer.version(), older.version())
            })
        });
        assert!(twice, "{} is mended: move it to traces/", path.display());
        assert!(promises::check(&world).is_ok());
    }
}
