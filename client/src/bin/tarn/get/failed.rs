//! Why a file could not be read, in one sentence with what to do about it.

use serde_json::json;
use tarn_client::base::Undecided;
use tarn_client::grid::Grid;
use tarn_client::retrieve::outcome::{During, Trouble};
use tarn_client::retrieve::reading::{RetrieveError, RetrieveFailure};
use tarn_proto::StoreId;

use crate::error::{CommandError, Exit};
use crate::output;

/// Says which server failed how, and makes the sentence; with `json`, prints the one object too.
pub(crate) fn failed(error: &RetrieveError, grid: &Grid, json: bool) -> CommandError {
    for (store, trouble) in &error.troubles {
        output::say(line(*store, trouble, grid));
    }
    let (exit, hint) = judge(&error.failure);
    let sentence = error.failure.to_string();
    if json {
        let object = json!({ "outcome": name(&error.failure), "error": sentence });
        if let Err(error) = output::print(object) {
            return error;
        }
    }
    CommandError::ended(sentence, exit).hint(hint)
}

fn line(store: StoreId, trouble: &Trouble, grid: &Grid) -> String {
    let address =
        grid.find(store).map_or_else(|| "no known address".to_owned(), |s| s.address.to_string());
    let doing = match trouble.during {
        During::Map => "asking what it holds",
        During::Bring => "bringing shares",
        During::Rows => "reading its table",
        During::Blocks => "reading blocks",
    };
    let store = &store.to_string()[..8];
    format!("  {store} at {address}: {} (while {doing}, after {})", trouble.failure, trouble.at)
}

const fn name(failure: &RetrieveFailure) -> &'static str {
    match failure {
        RetrieveFailure::Deleted { .. } => "deleted",
        RetrieveFailure::NotFound { .. } => "not_found",
        RetrieveFailure::NotEnoughShares { .. } => "not_enough_shares",
        RetrieveFailure::NotEnoughServers { .. } => "not_enough_servers",
        RetrieveFailure::Undecided(_) => "undecided",
        RetrieveFailure::RolledBack { .. } => "rolled_back",
        RetrieveFailure::WrongReadKey { .. } => "wrong_read_key",
        RetrieveFailure::Undecodable { .. } => "undecodable",
        RetrieveFailure::Stopping => "stopping",
    }
}

const fn judge(failure: &RetrieveFailure) -> (Exit, &'static str) {
    match failure {
        RetrieveFailure::Deleted { .. } => (Exit::Failed, "publish it again to bring it back"),
        RetrieveFailure::NotFound { .. } => {
            (Exit::Failed, "was it ever published, and is this the right grid?")
        }
        RetrieveFailure::NotEnoughShares { .. } | RetrieveFailure::NotEnoughServers { .. } => {
            (Exit::Unavailable, "start the servers named above, then try again")
        }
        RetrieveFailure::Undecided(Undecided::NoHeader { .. }) => {
            (Exit::Unavailable, "no server that answered knows this file: is this the right grid?")
        }
        RetrieveFailure::Undecided(
            Undecided::NoMajority { .. }
            | Undecided::InDoubt { .. }
            | Undecided::BelowHighWater { .. }
            | Undecided::Windows,
        ) => (Exit::Unavailable, "start the servers that did not answer, then try again"),
        RetrieveFailure::RolledBack { .. } => (
            Exit::Unavailable,
            "find out why the servers went back; --allow-rollback takes the older version",
        ),
        RetrieveFailure::WrongReadKey { .. } => (Exit::Usage, "use the cap of this file"),
        RetrieveFailure::Undecodable { .. } => (Exit::Failed, "ask the writer to publish it again"),
        RetrieveFailure::Stopping => (Exit::Failed, "try again"),
    }
}
