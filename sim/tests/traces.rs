//! Every saved trace is played: each broke a promise once, and must not again.

#![allow(clippy::unwrap_used, reason = "a trace that cannot be read fails the test")]

use std::fs::File;
use std::io::BufReader;
use std::path::{Path, PathBuf};

use tarn_sim::trace::{Ending, Trace, replay};

fn traces() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("traces");
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
    for path in traces() {
        let played = replay(&read(&path), None, Ending::Drained);
        let broken = played.broken.map(|(at, broken)| format!("event {at}: {broken}"));
        assert_eq!(broken, None, "{}", path.display());
        assert!(played.at_rest, "{} does not come to rest", path.display());
    }
}

#[test]
fn a_trace_plays_the_same_twice() {
    for path in traces() {
        let trace = read(&path);
        let text = || tarn_sim::render::text::render(&trace, None, Ending::Drained);
        assert_eq!(text(), text(), "{}", path.display());
    }
}
