//! How a task ended, in the protocol's words.

use bytes::Bytes;
use tarn_proto::gateway::{Outcome as Told, OutcomeKind, Placement, Trouble};
use tarn_proto::{SignedHeader, VersionId};

use crate::base::Undecided;
use crate::publish::Follows;
use crate::publish::outcome::{Outcome, Published, Report, Shortfall};
use crate::queue::{Because, End, TaskId};

/// How a run ended: for its followers, and for people and programs.
pub(super) fn of_report(report: &Report, follows: Follows) -> (End, Told) {
    let mut told = of_outcome(&report.outcome);
    // Whether the other came before it looked or after: what it was to follow is not the newest.
    if told.kind() == OutcomeKind::UncoordinatedWrite && follows != Follows::Whatever {
        told.set_kind(OutcomeKind::Stale);
    }
    told.troubles = report
        .troubles
        .iter()
        .map(|(store, trouble)| Trouble {
            store_id: Bytes::copy_from_slice(store.as_bytes()),
            sentence: trouble.failure.to_string(),
        })
        .collect();
    let end = match &report.outcome {
        Outcome::Published(published) => {
            End::Published { version: published.version, repeated: published.repeated }
        }
        // Whoever was in the way ends, or its promises do.
        Outcome::Partial(_) | Outcome::Unknown(_) | Outcome::Contended => End::Unsettled,
        Outcome::UncoordinatedWrite { .. }
        | Outcome::Stale { .. }
        | Outcome::NotEnoughServers(_)
        | Outcome::BaseMissing(_)
        | Outcome::Undecided(_)
        | Outcome::Cancelled
        | Outcome::SourceChanged
        | Outcome::InputUsedUp
        | Outcome::Failed { .. } => End::Fruitless,
    };
    (end, told)
}

fn of_outcome(outcome: &Outcome) -> Told {
    match outcome {
        Outcome::Published(published) => of_published(published),
        Outcome::UncoordinatedWrite { theirs } => {
            let sentence = "another writer published meanwhile; nothing was changed";
            with_evidence(OutcomeKind::UncoordinatedWrite, sentence, theirs.as_ref())
        }
        Outcome::Stale { now } => {
            let sentence = "what it was to follow is not the newest version; nothing was changed";
            with_evidence(OutcomeKind::Stale, sentence, now.as_ref())
        }
        Outcome::Contended => {
            plain(OutcomeKind::Contended, "others kept publishing this file; nothing was changed")
        }
        Outcome::NotEnoughServers(Shortfall { usable, quorum, window })
        | Outcome::BaseMissing(Shortfall { usable, quorum, window }) => plain(
            OutcomeKind::NotEnoughServers,
            format!(
                "only {usable} of the file's {window} servers can be used and {quorum} are needed; nothing was changed"
            ),
        ),
        Outcome::Undecided(undecided) => plain(
            OutcomeKind::Undecided,
            format!("{}; nothing was changed", of_undecided(undecided)),
        ),
        Outcome::Partial(landed) => with_evidence(
            OutcomeKind::Partial,
            "too few servers took it, and it cannot be completed: it may or may not be built on",
            Some(&landed.header),
        ),
        Outcome::Unknown(landed) => with_evidence(
            OutcomeKind::Unknown,
            "the servers stopped answering in the middle: it may be published or not",
            Some(&landed.header),
        ),
        Outcome::Cancelled => plain(OutcomeKind::Cancelled, CALLED_OFF),
        // A task can read its content again, so the second is never told.
        Outcome::SourceChanged | Outcome::InputUsedUp => {
            plain(OutcomeKind::Failed, "its content changed while it was read; nothing was changed")
        }
        Outcome::Failed { cause } => failed(cause),
    }
}

const CALLED_OFF: &str = "called off; nothing was changed";

/// Anything that keeps a task from being run.
pub(super) fn failed(cause: impl std::fmt::Display) -> Told {
    plain(OutcomeKind::Failed, format!("{cause}; nothing was changed"))
}

/// Anything that keeps it from being told what became of a task.
pub(super) fn unknown(cause: impl std::fmt::Display) -> Told {
    plain(OutcomeKind::Unknown, format!("{cause}: it may be published or not"))
}

/// A task that was called off before its turn.
pub(super) fn cancelled() -> Told {
    plain(OutcomeKind::Cancelled, CALLED_OFF)
}

/// A task that was stale before its turn. `made` is what the task made that came between, as that one was told.
pub(super) fn stale(because: &Because, made: Option<&Told>) -> Told {
    let (sentence, task) = match because {
        Because::Replaced { by, .. } => {
            (format!("task {by} published between it and what it was to follow"), Some(*by))
        }
        Because::PredecessorFailed(task) => {
            (format!("task {task}, which it was to follow, was not published"), Some(*task))
        }
        Because::PredecessorMissing(key) => {
            (format!("no task with the key \"{key}\" came, which it was to follow"), None)
        }
        Because::Circular => ("it was to follow a task that follows it".to_owned(), None),
    };
    let mut told = plain(OutcomeKind::Stale, format!("{sentence}; nothing was changed"));
    told.because_of_task = task.map_or_else(Bytes::new, id);
    if let Because::Replaced { version, .. } = because {
        told.version = version_id(*version);
    }
    if let Some(made) = made {
        told.sequence_number = made.sequence_number;
        told.header = made.header.clone();
        told.verify_key = made.verify_key.clone();
        told.signature = made.signature.clone();
    }
    told
}

fn of_published(published: &Published) -> Told {
    let mut told = with_evidence(OutcomeKind::Published, "published", published.header.as_ref());
    told.version = version_id(published.version);
    told.repeated_earlier = published.repeated;
    told.missing = published.missing.iter().map(|share| share.get().into()).collect();
    told.placement = published
        .placement
        .iter()
        .map(|(store, shares)| Placement {
            store_id: Bytes::copy_from_slice(store.as_bytes()),
            shares: shares.iter().map(|share| share.get().into()).collect(),
        })
        .collect();
    told
}

fn of_undecided(undecided: &Undecided) -> String {
    match undecided.needed().len() {
        0 => "it cannot be told which version is the newest".to_owned(),
        silent => format!(
            "it cannot be told which version is the newest while {silent} servers do not answer"
        ),
    }
}

fn with_evidence(
    kind: OutcomeKind,
    sentence: impl Into<String>,
    header: Option<&SignedHeader>,
) -> Told {
    let mut told = plain(kind, sentence);
    if let Some(header) = header {
        told.version = version_id(header.version());
        told.sequence_number = header.header().sequence_number.get();
        told.header = header.bytes().clone();
        told.verify_key = Bytes::copy_from_slice(header.verify_key().as_bytes());
        told.signature = Bytes::copy_from_slice(header.signature().as_bytes());
    }
    told
}

fn plain(kind: OutcomeKind, sentence: impl Into<String>) -> Told {
    Told { kind: kind.into(), sentence: sentence.into(), ..Told::default() }
}

fn version_id(version: VersionId) -> Bytes {
    Bytes::copy_from_slice(version.as_bytes())
}

fn id(task: TaskId) -> Bytes {
    Bytes::copy_from_slice(task.as_bytes())
}
