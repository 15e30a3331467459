//! Writing a log while clients work. Every line is handed to the system whole before anything else happens, so that what
//! is on file is true whatever ends this process.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use super::{Begins, Doing, Ended, History, Line, Op, Said};

/// A log that is being written. Dropping it removes the file, unless it is to be kept or a loop is failing.
#[derive(Debug)]
pub struct Log {
    path: PathBuf,
    keep: bool,
    writing: Mutex<Writing>,
}

#[derive(Debug)]
struct Writing {
    file: File,
    next: u64,
}

impl Log {
    /// A new log at this path, which is kept; or a temporary one that names this loop.
    pub fn create(path: Option<&Path>, name: &str) -> Self {
        let keep = path.is_some();
        let temporary = || {
            let prefix = format!("tarn-{name}-");
            let file = tempfile::Builder::new().prefix(&prefix).suffix(".log").tempfile();
            file.unwrap().into_temp_path().keep().unwrap()
        };
        let path = path.map_or_else(temporary, Path::to_owned);
        let file = OpenOptions::new().append(true).create(true).open(&path).unwrap();
        file.set_len(0).unwrap();
        Self { path, keep, writing: Mutex::new(Writing { file, next: 0 }) }
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// An operation is about to begin.
    pub fn begins(&self, client: &str, file: &str, doing: Doing) -> Op {
        let mut writing = self.writing.lock().unwrap();
        let op = Op(writing.next);
        writing.next += 1;
        let (client, file) = (client.to_owned(), file.to_owned());
        writing.put(&Line::Begins(Begins { op, client, file, doing }));
        op
    }

    /// It has ended.
    pub fn ended(&self, op: Op, told: Said) {
        self.writing.lock().unwrap().put(&Line::Ended(Ended { op, told }));
    }

    /// Something else happened.
    pub fn note(&self, what: impl Into<String>) {
        self.writing.lock().unwrap().put(&Line::Note(what.into()));
    }

    /// What is on file.
    pub fn history(&self) -> History {
        History::read(&self.path).unwrap_or_else(|error| panic!("{}: {error}", self.path.display()))
    }
}

impl Writing {
    fn put(&mut self, line: &Line) {
        let mut line = serde_json::to_string(line).unwrap();
        line.push('\n');
        self.file.write_all(line.as_bytes()).unwrap();
    }
}

impl Drop for Log {
    #[expect(clippy::print_stderr, reason = "whoever looks for what went wrong must find the log")]
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("the log is kept: {}", self.path.display());
        } else if !self.keep {
            drop(std::fs::remove_file(&self.path));
        }
    }
}
