//! What happened, past tense: all that the checks and a story are told. A fact is what was done, not what a machine says.

use std::fmt;
use std::rc::Rc;

use tarn_client::publish::Follows;
use tarn_client::queue::{Because, End, State, TaskId, Verdict};
use tarn_proto::StorageIndex;

use super::gateway::Answer;
use super::grid::{Made, Maker};
use super::names::Short;
use super::record::{Clash, Move, Outcome, Refusal};
use super::submission::Submission;

/// Something that happened.
#[derive(Debug, Clone)]
pub(super) enum Fact {
    /// A gateway took a submission in. Moves of its task follow.
    Registered { task: TaskId, submission: Rc<Submission> },
    /// A gateway answered a submission.
    Answered { gateway: u8, submission: Rc<Submission>, answer: Answer },
    /// What is on record changed.
    Moved(Move),
    /// What is on record was not what a move expected.
    Clashed(Clash),
    /// A task's publish began; `restored` if it ran when the process began.
    Ran { task: TaskId, follows: Follows, restored: bool },
    /// A task's publish ended.
    RunEnded { task: TaskId, end: End },
    /// Somebody wants a task called off.
    CancelRequested { task: TaskId },
    /// A file has a new version.
    Appended { file: StorageIndex, made: Made },
    /// A process was told to start nothing more.
    Stopped { gateway: u8 },
    /// A process died.
    Died { gateway: u8 },
    /// A process began again.
    Began { gateway: u8 },
    /// A message was lost.
    Lost { gateway: u8, submission: Rc<Submission> },
    /// From here on nothing fails.
    Healed,
    /// Nothing is left to be done.
    Rested,
}

impl fmt::Display for Fact {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Registered { task, submission } => {
                write!(f, "{} {} is {submission}", submission.caller.0, Short(*task))
            }
            Self::Answered { gateway, submission, answer } => {
                write!(f, "{} is told by g{gateway} of {submission}: ", submission.caller.0)?;
                match answer {
                    Answer::Taken(task) => write!(f, "it is {}", Short(*task)),
                    Answer::Known(task) => write!(f, "it is {} already", Short(*task)),
                    Answer::Refused(Refusal::KeyTaken(task)) => {
                        write!(f, "refused, {} has that key", Short(*task))
                    }
                    Answer::Refused(Refusal::NoSuchTask(task)) => {
                        write!(f, "refused, there is no {} of that file", Short(*task))
                    }
                }
            }
            Self::Moved(moved) => write_move(f, moved),
            Self::Clashed(Clash { moved, found }) => {
                write_move(f, moved)?;
                write!(f, ", but it was {found:?}")
            }
            Self::Ran { task, follows, restored } => {
                let again = if *restored { " again" } else { "" };
                write!(f, "{} runs{again}, ", Short(*task))?;
                match follows {
                    Follows::Whatever => f.write_str("after whatever is there"),
                    Follows::Nothing => f.write_str("after nothing"),
                    Follows::Version(version) => write!(f, "after {}", Short(*version)),
                }
            }
            Self::RunEnded { task, end } => {
                write!(f, "{}'s run ended: ", Short(*task))?;
                match end {
                    End::Published { version, repeated: false } => {
                        write!(f, "published {}", Short(*version))
                    }
                    End::Published { version, repeated: true } => {
                        write!(f, "had been published as {}", Short(*version))
                    }
                    End::Fruitless => f.write_str("nothing was changed"),
                    End::Unsettled => f.write_str("nobody knows"),
                }
            }
            Self::CancelRequested { task } => write!(f, "{} is called off", Short(*task)),
            Self::Appended { made, .. } => {
                write!(f, "{} is made by ", Short(made.version))?;
                match &made.by {
                    Maker::Task(task, _) => write!(f, "{}", Short(*task)),
                    Maker::Outsider => f.write_str("somebody else"),
                }
            }
            Self::Stopped { gateway } => write!(f, "g{gateway} starts nothing more"),
            Self::Died { gateway } => write!(f, "g{gateway} dies"),
            Self::Began { gateway } => write!(f, "g{gateway} begins again"),
            Self::Lost { gateway, submission } => {
                let caller = &submission.caller.0;
                write!(f, "{caller} is told nothing by g{gateway} of {submission}")
            }
            Self::Healed => f.write_str("everything heals"),
            Self::Rested => f.write_str("nothing is left to be done"),
        }
    }
}

fn write_move(f: &mut fmt::Formatter<'_>, moved: &Move) -> fmt::Result {
    let Move { task, from, to, outcome } = moved;
    write!(f, "{} ", Short(*task))?;
    if let Some(from) = from {
        write!(f, "{} → ", word(from))?;
    }
    f.write_str(word(to))?;
    match outcome {
        Some(Outcome::Published(version)) => write!(f, ": published {}", Short(*version))?,
        Some(Outcome::Fruitless) => f.write_str(": nothing was changed")?,
        Some(Outcome::Unsettled) => f.write_str(": may or may not take effect")?,
        None => {}
    }
    match to {
        State::Ended(Verdict::Stale(Because::Replaced { by, version })) => {
            write!(f, ", {} came between with {}", Short(*by), Short(*version))
        }
        State::Ended(Verdict::Stale(Because::PredecessorFailed(task))) => {
            write!(f, ", {} had no success", Short(*task))
        }
        State::Ended(Verdict::Stale(Because::PredecessorMissing(key))) => {
            write!(f, ", {key} never came")
        }
        State::Ended(Verdict::Stale(Because::Circular)) => f.write_str(", it would follow itself"),
        State::Ended(Verdict::Reported | Verdict::Cancelled)
        | State::Held
        | State::Queued
        | State::Running => Ok(()),
    }
}

pub(super) const fn word(state: &State) -> &'static str {
    match state {
        State::Held => "held",
        State::Queued => "queued",
        State::Running => "running",
        State::Ended(Verdict::Reported) => "ended",
        State::Ended(Verdict::Stale(_)) => "stale",
        State::Ended(Verdict::Cancelled) => "cancelled",
    }
}
