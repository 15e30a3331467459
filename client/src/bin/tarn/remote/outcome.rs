//! How a task ended, as a command tells it: a sentence, a hint, an exit code.

use tarn_proto::gateway::{Outcome, OutcomeKind, Task, TaskState};

use crate::error::{CommandError, Exit};
use crate::table::printable;

/// A version's id as text.
pub(crate) fn version_text(bytes: &[u8]) -> String {
    hex::encode(bytes)
}

/// Where the task is, in a few words.
pub(crate) fn sentence(task: &Task) -> String {
    match (task.state(), &task.outcome) {
        (TaskState::Ended, Some(outcome)) => printable(&outcome.sentence),
        (TaskState::Held, _) => "held for what it follows".to_owned(),
        (TaskState::Queued, _) => "waits for its turn".to_owned(),
        (TaskState::Running, _) => "is being published".to_owned(),
        (TaskState::Ended | TaskState::Unspecified, _) => "unknown".to_owned(),
    }
}

/// The name of an outcome, as `--json` has it for a publish without a gateway.
pub(crate) const fn name(kind: OutcomeKind) -> &'static str {
    match kind {
        OutcomeKind::Unspecified => "unspecified",
        OutcomeKind::Published => "published",
        OutcomeKind::UncoordinatedWrite => "uncoordinated_write",
        OutcomeKind::Stale => "stale",
        OutcomeKind::Contended => "contended",
        OutcomeKind::NotEnoughServers => "not_enough_servers",
        OutcomeKind::Undecided => "undecided",
        OutcomeKind::Partial => "partial",
        OutcomeKind::Unknown => "unknown",
        OutcomeKind::Cancelled => "cancelled",
        OutcomeKind::Failed => "failed",
    }
}

/// The error that ends the command, unless it published.
pub(crate) fn ended(outcome: &Outcome) -> Result<(), CommandError> {
    let exit = match outcome.kind() {
        OutcomeKind::Published => return Ok(()),
        OutcomeKind::UncoordinatedWrite | OutcomeKind::Stale | OutcomeKind::Contended => {
            Exit::Conflict
        }
        OutcomeKind::NotEnoughServers | OutcomeKind::Undecided => Exit::Unavailable,
        OutcomeKind::Partial | OutcomeKind::Unknown => Exit::Unsettled,
        OutcomeKind::Unspecified | OutcomeKind::Cancelled | OutcomeKind::Failed => Exit::Failed,
    };
    let mut sentence = printable(&outcome.sentence);
    if exit == Exit::Conflict && !outcome.version.is_empty() {
        let (number, id) = (outcome.sequence_number, version_text(&outcome.version));
        sentence.push_str(&format!("; the newest is version {number}, {id}"));
    }
    let error = CommandError::ended(sentence, exit);
    Err(match exit {
        Exit::Conflict => {
            error.hint("read the newest version, then publish again on top of it with --if-version")
        }
        Exit::Unsettled => error.hint("`tarn status` shows what became of it"),
        Exit::Done | Exit::Failed | Exit::Usage | Exit::Unavailable => error,
    })
}
