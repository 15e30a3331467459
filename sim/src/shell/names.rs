//! Names of what callers are told, for the log and the counts.

use tarn_client::publish::outcome::Outcome;
use tarn_client::retrieve::reading::RetrieveFailure;
use tarn_client::servermap::Failure;

/// The name of how a publish ended.
pub(super) const fn of_publish(outcome: &Outcome) -> &'static str {
    match outcome {
        Outcome::Published(published) if published.repeated => "Published before",
        Outcome::Published(_) => "Published",
        Outcome::UncoordinatedWrite { .. } => "UncoordinatedWrite",
        Outcome::Stale { .. } => "Stale",
        Outcome::Contended => "Contended",
        Outcome::NotEnoughServers(_) => "NotEnoughServers",
        Outcome::BaseMissing(_) => "BaseMissing",
        Outcome::InputUsedUp => "InputUsedUp",
        Outcome::Undecided(_) => "Undecided",
        Outcome::Partial(_) => "Partial",
        Outcome::Unknown(_) => "Unknown",
        Outcome::Cancelled => "Cancelled",
        Outcome::SourceChanged => "SourceChanged",
        Outcome::Failed { .. } => "Failed",
    }
}

/// The name of why a read failed.
pub(super) const fn of_read_failure(failure: &RetrieveFailure) -> &'static str {
    match failure {
        RetrieveFailure::Deleted { .. } => "read: Deleted",
        RetrieveFailure::NotFound { .. } => "read: NotFound",
        RetrieveFailure::NotEnoughShares { .. } => "read: NotEnoughShares",
        RetrieveFailure::NotEnoughServers { .. } => "read: NotEnoughServers",
        RetrieveFailure::Undecided(_) => "read: Undecided",
        RetrieveFailure::RolledBack { .. } => "read: RolledBack",
        RetrieveFailure::WrongReadKey { .. } => "read: WrongReadKey",
        RetrieveFailure::Undecodable { .. } => "read: Undecodable",
        RetrieveFailure::Stopping => "read: Stopping",
    }
}

/// Why a server could not be used.
pub(super) fn of_failure(failure: &Failure) -> String {
    match failure {
        Failure::Dead(why) => format!("dead: {why}"),
        Failure::Late(_) => failure.to_string(),
        Failure::Refused(refusal) => format!("refused: {refusal}"),
        Failure::Broken(why) => format!("broken: {why}"),
        Failure::Suspected => "suspected".to_owned(),
        Failure::Unlisted => "unlisted".to_owned(),
    }
}
