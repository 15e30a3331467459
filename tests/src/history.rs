//! What the clients of a file were told, and whether all of it can be true: a log with a line before each operation and
//! one after it, and a checker over nothing but such a log. Asks no server.
//!
//! Published versions form one chain, each built on the one before. Everything is judged by places on that chain and by
//! the order of the log's lines: an operation came before another if its last line stands above the other's first.
//!
//! ```text
//! begins  op 7, owner, publish of content c4 ─┐
//! begins  op 8, reader, read                  │   op 8 may see c4 or what was before;
//! ended   op 8, read version v3, content c3   │   whoever begins below must see c4 or what was built on it
//! ended   op 7, published v4 on v3 ───────────┘
//! ```

mod chain;
mod check;
mod line;
mod log;
mod submission;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::path::Path;

pub use check::{Counts, Report, Violation};
pub use line::{Begins, Doing, Ended, Line, Op, Said};
pub use log::Log;

/// All operations of a log, in the order in which they began.
#[derive(Debug, Default)]
pub struct History {
    acts: Vec<Act>,
}

/// One operation of one client.
#[derive(Debug)]
pub(crate) struct Act {
    pub(crate) begins: Begins,
    /// The number of the line on which it began.
    pub(crate) began_at: usize,
    /// The number of the line on which it ended, and what was told. None if nobody wrote it down: then it is not known
    /// what became of it.
    pub(crate) ended: Option<(usize, Said)>,
}

/// Why a log is none.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// The file cannot be read.
    #[error("the log cannot be read")]
    File(#[from] std::io::Error),
    /// A line has another form.
    #[error("line {number} of the log is none")]
    Line {
        /// Which one, from zero.
        number: usize,
        /// What is wrong with it.
        source: serde_json::Error,
    },
    /// An operation ends a second time, or one that never began.
    #[error("operation {op} ends on line {number}, and does not run")]
    Ends {
        /// The operation.
        op: Op,
        /// The line, from zero.
        number: usize,
    },
    /// Two operations have one number.
    #[error("operation {op} begins again on line {number}")]
    Begins {
        /// The operation.
        op: Op,
        /// The line, from zero.
        number: usize,
    },
}

impl History {
    /// Reads a log.
    pub fn read(path: &Path) -> Result<Self, LogError> {
        Self::parse(&std::fs::read_to_string(path)?)
    }

    /// The history that these lines tell.
    pub fn parse(text: &str) -> Result<Self, LogError> {
        let mut acts = Vec::<Act>::new();
        let mut places = BTreeMap::new();
        for (number, line) in text.lines().enumerate() {
            let line: Line =
                serde_json::from_str(line).map_err(|source| LogError::Line { number, source })?;
            match line {
                Line::Begins(begins) => {
                    let op = begins.op;
                    if places.insert(op, acts.len()).is_some() {
                        return Err(LogError::Begins { op, number });
                    }
                    acts.push(Act { begins, began_at: number, ended: None });
                }
                Line::Ended(Ended { op, told }) => {
                    let act = places.get(&op).and_then(|&place| acts.get_mut(place));
                    let act = act.filter(|act| act.ended.is_none());
                    let act = act.ok_or(LogError::Ends { op, number })?;
                    act.ended = Some((number, told));
                }
                Line::Note(_) => {}
            }
        }
        Ok(Self { acts })
    }

    /// Holds all that was told to what was promised. Only between operations: one that runs may have been seen already.
    pub fn check(&self) -> Report {
        let mut files = BTreeMap::<&str, Vec<&Act>>::new();
        for act in &self.acts {
            files.entry(&act.begins.file).or_default().push(act);
        }
        files.into_values().map(|acts| check::check(&acts)).fold(Report::default(), Report::plus)
    }
}

impl Act {
    /// What was told; none if it is not known how it ended.
    pub(crate) fn said(&self) -> Option<&Said> {
        self.ended.as_ref().map(|(_, said)| said)
    }

    /// The number of its last line; above every other if there is none.
    pub(crate) fn ended_at(&self) -> usize {
        self.ended.as_ref().map_or(usize::MAX, |&(line, _)| line)
    }
}
