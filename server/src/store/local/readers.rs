//! Connections that only read. Does not wait for the committer, nor it for them.

use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

use rusqlite::Connection;
use tarn_proto::StorageIndex;

use super::fault::database;
use super::schema;
use super::tables::{self, Stored};
use crate::store::StoreError;

/// Most connections kept open while nobody uses them.
const IDLE_MAX: usize = 4;

/// The read connections of one store.
#[derive(Debug)]
pub(super) struct Readers {
    database: PathBuf,
    idle: Mutex<Vec<Connection>>,
}

impl Readers {
    pub(super) fn of(database: PathBuf) -> Self {
        Self { database, idle: Mutex::default() }
    }

    /// Reads a slot's rows as of one moment. Blocks.
    pub(super) fn load(&self, slot: StorageIndex) -> Result<Option<Stored>, StoreError> {
        self.with_connection(|connection| {
            let transaction = connection.transaction()?;
            tables::load(&transaction, slot)
        })
        .inspect_err(|error| tracing::warn!(%slot, %error, "a slot could not be read"))
    }

    /// The next slots above this one. Blocks.
    pub(super) fn slots(
        &self,
        after: Option<StorageIndex>,
        most: usize,
    ) -> Result<Vec<StorageIndex>, StoreError> {
        self.with_connection(|connection| tables::slots(connection, after, most))
    }

    /// A connection that failed is closed.
    fn with_connection<T>(
        &self,
        read: impl FnOnce(&mut Connection) -> rusqlite::Result<T>,
    ) -> Result<T, StoreError> {
        let idle = self.idle().pop();
        let mut connection = match idle {
            Some(connection) => connection,
            None => schema::open_reader(&self.database)?,
        };
        let found =
            read(&mut connection).map_err(|error| database("reading the database", error))?;
        let mut idle = self.idle();
        if idle.len() < IDLE_MAX {
            idle.push(connection);
        }
        Ok(found)
    }

    fn idle(&self) -> std::sync::MutexGuard<'_, Vec<Connection>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
