//! The publish's journal in the database of names.

use std::path::PathBuf;

use serde_json::{Map, Value};
use tarn_client::publish::publishing::{Journal, JournalError};
use tarn_client::quorum::Placement;
use tarn_proto::SignedHeader;

use crate::clock::UnixSeconds;
use crate::error::chain;
use crate::names::{JournalEntry, SharedNames};

/// What a publish is about to commit, written on a thread of the driver's.
pub(super) struct NamesJournal {
    names: SharedNames,
    input: Input,
}

/// What is published.
pub(super) enum Input {
    /// A content that can be had again here.
    At(PathBuf),
    /// A part of a file: its content cannot be had again.
    Part,
    /// A content that was read once and is gone.
    Gone,
}

impl NamesJournal {
    /// What of `input` is published, and where it is remembered.
    pub(super) const fn new(names: SharedNames, input: Input) -> Self {
        Self { names, input }
    }
}

impl Journal for NamesJournal {
    fn record(&self, header: &SignedHeader, placement: &Placement) -> Result<(), JournalError> {
        let entry = JournalEntry {
            signed: header.clone(),
            placement: as_json(placement),
            written_at: UnixSeconds::now(),
            input: match &self.input {
                Input::At(path) => Some(path.clone()),
                Input::Part | Input::Gone => None,
            },
            part: matches!(self.input, Input::Part),
        };
        let written = self.names.lock().journal_write(&entry);
        written.map_err(|error| JournalError { cause: chain(&error) })
    }
}

fn as_json(placement: &Placement) -> Value {
    let servers = placement.iter().map(|(store, shares)| {
        let shares = shares.iter().map(|share| share.get()).collect::<Vec<_>>();
        (store.to_string(), Value::from(shares))
    });
    Value::Object(servers.collect::<Map<_, _>>())
}
