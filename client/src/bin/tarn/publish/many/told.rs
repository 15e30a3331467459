//! What is told of several files: a line for each as it ends, or its JSON object, and one line for all at the end. What is
//! wrong with a server is said once, not for every file. How a publish ended is said in the words of one that is alone.

use std::collections::BTreeSet;
use std::fmt;
use std::path::Path;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde_json::{Value, json};
use tarn_client::publish::outcome::Published;
use tokio::time::Instant;

use super::tally::Tally;
use crate::error::{CommandError, Exit};
use crate::output::{self, list};
use crate::publish::told::Told;
use crate::table::printable;

/// Tells as they end.
pub(super) struct Teller {
    json: bool,
    began: Instant,
    bar: ProgressBar,
    tally: Tally,
    /// What was said of servers.
    said: BTreeSet<String>,
    /// Why standard output cannot be written.
    unheard: Option<CommandError>,
}

impl Teller {
    /// Nothing has been told yet of so many files.
    pub(super) fn new(json: bool, files: usize) -> Self {
        let bar = ProgressBar::with_draw_target(Some(files as u64), ProgressDrawTarget::stderr());
        if let Ok(style) = ProgressStyle::with_template("{pos} of {len} files {bar:24} {elapsed}") {
            bar.set_style(style);
        }
        let (began, tally) = (Instant::now(), Tally::of(files));
        Self { json, began, bar, tally, said: BTreeSet::new(), unheard: None }
    }

    /// Whether what is told reaches standard output.
    pub(super) const fn is_heard(&self) -> bool {
        self.unheard.is_none()
    }

    /// Tells how the publish of one file ended.
    pub(super) fn tell(&mut self, path: &Path, told: &Told<'_>) {
        let published = told.report.outcome.published();
        if self.json {
            let mut object = told.json();
            object["path"] = path.to_string_lossy().into();
            self.print(object);
        } else if let Some(published) = published {
            self.print(line(path, told, published));
        }
        for settled in told.settled {
            self.say(format_args!("{}: {}", shown(path), settled.sentence()));
        }
        for trouble in told.troubles() {
            if self.said.insert(trouble.clone()) {
                self.say(trouble);
            }
        }
        if let Err(error) = told.ended() {
            self.failed(path, error);
        } else {
            let repeated = published.is_some_and(|published| published.repeated);
            self.tally.published(told.bytes, repeated);
        }
        self.bar.inc(1);
    }

    /// Tells that it did not come to a publish of this file.
    pub(super) fn tell_failed(&mut self, path: &Path, error: CommandError) {
        if self.json {
            self.print(without_report("failed", path, error.sentence()));
        }
        self.failed(path, error);
        self.bar.inc(1);
    }

    /// Tells that a publish was begun, and that it is not known here what came of it.
    pub(super) fn tell_unknown(&mut self, path: &Path, error: CommandError) {
        if self.json {
            self.print(without_report("unknown", path, error.sentence()));
        }
        self.tally.raise(Exit::Unsettled);
        self.failed(path, error);
        self.bar.inc(1);
    }

    /// Tells that all was called off before the turn of this file.
    pub(super) fn tell_not_begun(&mut self, path: &Path) {
        if self.json {
            self.print(without_report("cancelled", path, "called off; nothing was changed"));
        }
        self.tally.not_begun();
    }

    /// Tells that something could not be put in order here, of a file that was told.
    pub(super) fn tell_disorder(&mut self, path: &Path, error: CommandError) {
        self.tally.raise(error.exit());
        self.say(error.about(&shown(path)));
    }

    fn failed(&mut self, path: &Path, error: CommandError) {
        self.tally.failed(shown(path), error.exit());
        self.say(error.about(&shown(path)));
    }

    /// Tells of all of them; fails as the worst of them did.
    pub(super) fn conclude(mut self) -> Result<(), CommandError> {
        self.bar.finish_and_clear();
        if !self.json {
            self.print(self.tally.summary(self.began.elapsed()));
        }
        self.unheard.map_or_else(|| self.tally.ended(), Err)
    }

    fn print(&mut self, line: impl fmt::Display) {
        if self.is_heard() {
            self.unheard = self.bar.suspend(|| output::print(line)).err();
        }
    }

    fn say(&self, line: impl fmt::Display) {
        self.bar.suspend(|| output::say(line));
    }
}

fn line(path: &Path, told: &Told<'_>, published: &Published) -> String {
    let path = shown(path);
    let name = told.file.name.as_ref().filter(|name| name.as_str() != path);
    let name = name.map_or_else(String::new, |name| format!(" as {name}"));
    let missing = if published.missing.is_empty() {
        String::new()
    } else {
        format!(", without shares {}", list(&published.missing))
    };
    format!("published {path}{name}{}{missing}", told.how(published))
}

/// The object of a file without a report, with the fields of those that have one.
fn without_report(outcome: &str, path: &Path, sentence: &str) -> Value {
    json!({
        "outcome": outcome,
        "name": null,
        "read_cap": null,
        "version": null,
        "base": null,
        "bytes": 0,
        "seconds": 0.0,
        "shares": [],
        "servers": [],
        "resumed": false,
        "settled": [],
        "error": sentence,
        "path": path.to_string_lossy(),
    })
}

fn shown(path: &Path) -> String {
    printable(&path.to_string_lossy())
}
