//! `tarn bench` measures what it says it does, and leaves nothing behind: no process, no folder.
#![allow(clippy::unwrap_used, reason = "a story that cannot go on must end")]

use std::path::Path;
use std::time::Duration;

use rustix::process::Signal;
use serde_json::Value;
use tarn_tests::rounds::let_pass;
use tarn_tests::{Home, Running};

#[test]
fn a_bench_tells_every_cell_and_its_limits_and_nothing_of_it_remains() {
    let home = Home::new(None);
    let [dir, json, svg] = ["dir", "bench.json", "bench.svg"].map(|name| home.path(name));
    let [dir_word, json_word, svg_word] = [&dir, &json, &svg].map(|path| path.to_string_lossy());
    let ran = home.run(&[
        "bench",
        "--sizes",
        "1KiB",
        "--at-once",
        "1",
        "--seconds",
        "0.1",
        "--latency",
        "1",
        "--dir",
        &dir_word,
        "--json",
        &json_word,
        "--svg",
        &svg_word,
    ]);
    let ran = ran.ok();
    for word in ["update", "REACHED", "server hashing", "ROUND TRIPS"] {
        assert!(ran.text().contains(word), "{word}: {ran:?}");
    }
    assert_eq!(std::fs::read_dir(&dir).unwrap().count(), 0);

    let told: Value = serde_json::from_slice(&std::fs::read(json).unwrap()).unwrap();
    let cells = told["cells"].as_array().unwrap();
    let operations: Vec<_> = cells.iter().map(|cell| cell["operation"].as_str().unwrap()).collect();
    // Without a network, then over one for 1 KiB and for 1 MiB.
    assert_eq!(operations, ["create", "update", "change", "read"].repeat(3));
    for cell in cells {
        assert!(cell["operations"].as_u64() >= Some(3), "{cell}");
        assert!(cell["median"].as_f64() > Some(0.0), "{cell}");
        assert_eq!(cell["reached"].is_null(), cell["round_trip"].is_number(), "{cell}");
        assert_eq!(cell["peak_memory"]["servers"].as_array().unwrap().len(), 10, "{cell}");
    }
    let parts = |limits: &Value| limits["parts"].as_array().unwrap().len();
    assert_eq!(told["limits"].as_array().unwrap().iter().map(parts).collect::<Vec<_>>(), [7, 7, 4]);
    assert!(std::fs::read_to_string(svg).unwrap().ends_with("</svg>\n"));
}

#[test]
fn a_bench_that_is_interrupted_stops_its_servers() {
    let home = Home::new(None);
    let dir = home.path("dir");
    let words = ["bench", "--sizes", "1KiB", "--seconds", "3600", "--dir", &dir.to_string_lossy()];
    let mut running = Running::start(home.command(&words));
    // Its servers are up when it makes what it publishes.
    while !begun(&dir) {
        assert!(running.runs(), "{:?}", running.ended());
        let_pass(Duration::from_millis(10));
    }
    running.signal(Signal::INT);
    let said = running.ended().fails(1);
    assert!(said.contains("interrupted"), "{said}");
    assert_eq!(std::fs::read_dir(&dir).unwrap().count(), 0);
}

fn begun(dir: &Path) -> bool {
    let inside = std::fs::read_dir(dir).into_iter().flatten().flatten();
    inside.into_iter().any(|folder| folder.path().join("inputs").is_dir())
}
