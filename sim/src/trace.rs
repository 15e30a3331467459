//! A run as a value: the setup and every event, in order. It needs no seed, so it outlives a change of how seeds are
//! drawn; it can be written to a file, edited by hand, checked in and played again.
//!
//! The file is JSON, one value a line. The first line is the head, every other line one event:
//!
//! ```text
//! {"tarn_trace":1,"title":"a lost answer","setup":{"servers":3,"window":3,…}}
//! {"at":0,"began":{"client":0,"task":{"read":{"caller":0,"strict":false,…}}}}
//! # a line that begins so is for people, and is not kept
//! {"at":3,"delivered":{"envelope":"c0.1>"}}
//! ```

mod replay;
#[cfg(test)]
pub(crate) mod sample;
#[cfg(test)]
mod tests;

use std::io::{BufRead, Write};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::event::{Event, TOO_LONG, Task, Timed};
use crate::setup::Setup;

pub(crate) use replay::Judge;
pub use replay::{Ending, Player, Replay, Step, replay};

/// The version of the format that is written, and the only one that is read.
const FORMAT: u64 = 1;
/// No moment, and no step of a clock, is further than this: ten years, in milliseconds.
const TIME_MAX: u64 = 10 * 365 * 24 * 3600 * 1000;
/// No content is longer: the simulator keeps all of it in memory, once for every server.
const LENGTH_MAX: u64 = 16 << 20;
/// As many as a window may list.
const SERVERS_MAX: u8 = 80;

/// A whole run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Trace {
    /// What it shows, for people.
    pub title: String,
    /// The world before its first event.
    pub setup: Setup,
    /// What happened.
    pub events: Vec<Timed>,
}

/// Why a text is not a trace. Each says where, and what to do.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The file cannot be read.
    #[error("line {line}: cannot be read")]
    Io {
        /// Where.
        line: usize,
        /// Why.
        source: std::io::Error,
    },
    /// There is nothing in it.
    #[error(
        "no trace: the first line must be a head, like {{\"tarn_trace\":1,\"title\":…,\"setup\":…}}"
    )]
    Empty,
    /// It begins with something else.
    #[error(
        "line {line}: not the head of a trace, which looks like {{\"tarn_trace\":1,\"title\":…,\"setup\":…}}"
    )]
    NotATrace {
        /// Where.
        line: usize,
    },
    /// Another version of the format.
    #[error(
        "line {line}: format {found} is not known, only {FORMAT} is; use the tarn-sim that wrote the trace"
    )]
    Format {
        /// Where.
        line: usize,
        /// The version it says it has.
        found: u64,
    },
    /// A field that nothing here understands.
    #[error(
        "line {line}: `{field}` is not known here; mend its spelling, or use the tarn-sim that wrote it"
    )]
    UnknownField {
        /// Where.
        line: usize,
        /// Its path from the top of the line.
        field: String,
    },
    /// Not JSON, or not what belongs there.
    #[error("line {line}: {}; mend the line, or begin it with # to leave it out", brief(source))]
    Malformed {
        /// Where.
        line: usize,
        /// What the parser says.
        source: serde_json::Error,
    },
    /// Events are in the order of time.
    #[error(
        "line {line}: the time goes back from {before} to {at}; move the event up, or raise its `at`"
    )]
    TimeWentBack {
        /// Where.
        line: usize,
        /// The event's time.
        at: u64,
        /// The time of the one before it.
        before: u64,
    },
    /// A number beyond what the simulator takes.
    #[error("line {line}: `{field}` is {found}, but must be {allowed}")]
    OutOfRange {
        /// Where.
        line: usize,
        /// Which number.
        field: &'static str,
        /// What it is.
        found: u64,
        /// What it may be.
        allowed: String,
    },
}

/// The parser's words without its own place: it counts from the line's begin, and knows nothing of the file.
fn brief(error: &serde_json::Error) -> String {
    let text = error.to_string();
    let end = text.rfind(" at line ").unwrap_or(text.len());
    match error.column() {
        0 => text[..end].to_owned(),
        column => format!("{} at column {column}", &text[..end]),
    }
}

#[derive(Serialize, Deserialize)]
struct Head {
    tarn_trace: u64,
    title: String,
    setup: Setup,
}

impl Trace {
    /// Reads a trace from a file's text.
    pub fn read(source: impl BufRead) -> Result<Self, ReadError> {
        let mut trace: Option<Self> = None;
        for (line, text) in (1..).zip(source.lines()) {
            let text = text.map_err(|source| ReadError::Io { line, source })?;
            let text = text.trim();
            if text.is_empty() || text.starts_with('#') {
                continue;
            }
            match &mut trace {
                None => trace = Some(read_head(line, text)?),
                Some(trace) => {
                    let before = trace.events.last().map_or(0, |timed| timed.at);
                    trace.events.push(read_event(line, text, before)?);
                }
            }
        }
        trace.ok_or(ReadError::Empty)
    }

    /// Writes the trace as a file's text, which reads back as the same trace.
    pub fn write(&self, mut sink: impl Write) -> std::io::Result<()> {
        let (title, setup) = (self.title.clone(), self.setup.clone());
        serde_json::to_writer(&mut sink, &Head { tarn_trace: FORMAT, title, setup })?;
        sink.write_all(b"\n")?;
        for timed in &self.events {
            serde_json::to_writer(&mut sink, timed)?;
            sink.write_all(b"\n")?;
        }
        sink.flush()
    }
}

fn read_head(line: usize, text: &str) -> Result<Trace, ReadError> {
    let malformed = |source| ReadError::Malformed { line, source };
    let value: Value = serde_json::from_str(text).map_err(malformed)?;
    match value.get("tarn_trace").map(Value::as_u64) {
        None | Some(None) => return Err(ReadError::NotATrace { line }),
        Some(Some(FORMAT)) => {}
        Some(Some(found)) => return Err(ReadError::Format { line, found }),
    }
    let head: Head = serde_json::from_str(text).map_err(malformed)?;
    refuse_unknown(line, &value, &head)?;
    let Head { title, setup, .. } = head;
    let range = |field, found: u8, max: u8| match (1..=max).contains(&found) {
        true => Ok(()),
        false => Err(out_of_range(line, field, found.into(), format!("from 1 to {max}"))),
    };
    range("setup.servers", setup.servers, SERVERS_MAX)?;
    range("setup.window", setup.window, setup.servers)?;
    at_most(line, "setup.promise", setup.promise, TIME_MAX)?;
    at_most(line, "setup.patience_floor", setup.patience_floor, TIME_MAX)?;
    at_most(line, "setup.patience_factor", setup.patience_factor, 1000)?;
    at_most(line, "setup.patience_limit", setup.patience_limit, TIME_MAX)?;
    Ok(Trace { title, setup, events: Vec::new() })
}

fn read_event(line: usize, text: &str, before: u64) -> Result<Timed, ReadError> {
    let malformed = |source| ReadError::Malformed { line, source };
    let value: Value = serde_json::from_str(text).map_err(malformed)?;
    let timed: Timed = serde_json::from_str(text).map_err(malformed)?;
    refuse_unknown(line, &value, &timed)?;
    at_most(line, "at", timed.at, TIME_MAX)?;
    match &timed.event {
        Event::Began { task: Task::Publish(task), .. } => {
            if task.length != TOO_LONG {
                at_most(line, "began.task.publish.length", task.length, LENGTH_MAX)?;
            }
        }
        Event::Stalled { waited, .. } => at_most(line, "stalled.waited", *waited, TIME_MAX)?,
        Event::ClockStepped { forward, wall, .. } => {
            at_most(line, "clock_stepped.forward", *forward, TIME_MAX)?;
            at_most(line, "clock_stepped.wall", wall.unsigned_abs(), TIME_MAX)?;
        }
        Event::Began { task: Task::Read(_), .. }
        | Event::Delivered { .. }
        | Event::Duplicated { .. }
        | Event::Lost { .. }
        | Event::Progressed { .. }
        | Event::SourceChanged { .. }
        | Event::JournalFailed { .. }
        | Event::CancelRequested { .. }
        | Event::ClientKilled { .. }
        | Event::DiskSynced { .. }
        | Event::DiskFailed { .. }
        | Event::ServerCrashed { .. }
        | Event::ServerRestarted { .. }
        | Event::ServerReplaced { .. }
        | Event::ShareRotted { .. }
        | Event::Turned { .. }
        | Event::Noted { .. }
        | Event::Healed => {}
    }
    if timed.at < before {
        return Err(ReadError::TimeWentBack { line, at: timed.at, before });
    }
    Ok(timed)
}

/// Whatever the text says that its meaning does not is unknown: a misspelt field must not pass for an absent one.
fn refuse_unknown(line: usize, said: &Value, meant: &impl Serialize) -> Result<(), ReadError> {
    let meant =
        serde_json::to_value(meant).map_err(|source| ReadError::Malformed { line, source })?;
    match unknown_field(said, &meant) {
        None => Ok(()),
        Some(field) => Err(ReadError::UnknownField { line, field }),
    }
}

fn unknown_field(said: &Value, meant: &Value) -> Option<String> {
    let (Value::Object(said), Value::Object(meant)) = (said, meant) else { return None };
    said.iter().find_map(|(name, value)| match meant.get(name) {
        None if value.is_null() => None,
        None => Some(name.clone()),
        Some(meant) => unknown_field(value, meant).map(|rest| format!("{name}.{rest}")),
    })
}

fn at_most(line: usize, field: &'static str, found: u64, max: u64) -> Result<(), ReadError> {
    if found <= max {
        return Ok(());
    }
    Err(out_of_range(line, field, found, format!("at most {max}")))
}

const fn out_of_range(line: usize, field: &'static str, found: u64, allowed: String) -> ReadError {
    ReadError::OutOfRange { line, field, found, allowed }
}
