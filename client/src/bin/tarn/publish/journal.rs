//! The publish's journal in the database of names.

use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

use serde_json::{Map, Value};
use tarn_client::publish::publishing::{Journal, JournalError};
use tarn_client::quorum::Placement;
use tarn_proto::SignedHeader;

use crate::clock::UnixSeconds;
use crate::error::chain;
use crate::names::{JournalEntry, Names};

/// Writes to a connection of its own: the driver journals on a thread of its own.
pub(super) struct NamesJournal {
    names: Mutex<Names>,
    input: Input,
}

/// What is published.
pub(super) enum Input {
    /// A content that can be had again here.
    At(PathBuf),
    /// A part of a file: its content cannot be had again.
    Part,
}

impl NamesJournal {
    pub(super) const fn new(names: Names, input: Input) -> Self {
        Self { names: Mutex::new(names), input }
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
                Input::Part => None,
            },
            part: matches!(self.input, Input::Part),
        };
        let mut names = self.names.lock().unwrap_or_else(PoisonError::into_inner);
        names.journal_write(&entry).map_err(|error| JournalError { cause: chain(&error) })
    }
}

fn as_json(placement: &Placement) -> Value {
    let servers = placement.iter().map(|(store, shares)| {
        let shares = shares.iter().map(|share| share.get()).collect::<Vec<_>>();
        (store.to_string(), Value::from(shares))
    });
    Value::Object(servers.collect::<Map<_, _>>())
}
