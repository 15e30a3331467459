//! Publishes that are killed half way, and what they leave at home.

use std::time::Duration;

use rusqlite::{Connection, OpenFlags};
use serde_json::Value;

use crate::home::Home;
use crate::rounds::let_pass;
use crate::running::Running;

/// Kills the publish with kill -9, so long after its journal entry is there. It may have ended before.
pub fn kill_once_journaled(home: &Home, mut publishing: Running, after: Duration) {
    let names = home.path("data/names.sqlite");
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let is_journaled = || {
        // A first publish has yet to make the database.
        let names = Connection::open_with_flags(&names, flags).ok()?;
        names.query_row("SELECT EXISTS (SELECT 1 FROM journal)", [], |row| row.get(0)).ok()
    };
    while publishing.runs() {
        if is_journaled() == Some(true) {
            let_pass(after);
            break;
        }
    }
    publishing.killed().never_panicked();
}

/// The one publish of this home that is not finished.
pub fn unfinished(home: &Home) -> Option<Value> {
    let ran = home.run(&["status", "--json"]).ok();
    let status: Value = serde_json::from_slice(&ran.stdout).unwrap();
    let unfinished = status["unfinished_publishes"].as_array().unwrap();
    assert!(unfinished.len() <= 1, "{status}");
    unfinished.first().cloned()
}

/// How many files publishes have left.
pub fn traces(home: &Home) -> usize {
    std::fs::read_dir(home.path("data/publishing")).unwrap().count()
}
