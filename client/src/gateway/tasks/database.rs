//! Opens the record and says what is wrong with it.

use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::{Connection, ErrorCode, OpenFlags, TransactionBehavior};

use super::Change;
use crate::queue::TaskId;

/// The format this gateway writes. Another one's is not touched.
const FORMAT: i64 = 1;
const BUSY_TIMEOUT: Duration = Duration::from_secs(20);
/// Statements kept compiled.
const STATEMENTS: usize = 64;

const SCHEMA: &str = "
    BEGIN;
    CREATE TABLE task (
        number       INTEGER PRIMARY KEY AUTOINCREMENT,
        id           BLOB NOT NULL UNIQUE,
        file         BLOB NOT NULL,
        caller       TEXT NOT NULL,
        key          BLOB,
        labels       BLOB NOT NULL,
        ticket       INTEGER NOT NULL,
        ticket_name  BLOB,
        follows      BLOB,
        length       INTEGER NOT NULL,
        sha256       BLOB NOT NULL,
        attempt      BLOB NOT NULL,
        k            INTEGER,
        happy        INTEGER,
        n            INTEGER,
        state        INTEGER NOT NULL,
        cancelled    INTEGER NOT NULL DEFAULT 0,
        cap          BLOB,
        body         BLOB,
        outcome      BLOB,
        version      BLOB,
        submitted_at INTEGER NOT NULL,
        ended_at     INTEGER
    ) STRICT;
    CREATE UNIQUE INDEX task_key ON task (file, key) WHERE key IS NOT NULL;
    CREATE INDEX task_file ON task (file, number);
    CREATE INDEX task_pending ON task (number) WHERE state <> 4;
    CREATE INDEX task_ended ON task (ended_at) WHERE state = 4;
    CREATE TABLE journal (
        task       BLOB NOT NULL PRIMARY KEY,
        header     BLOB NOT NULL,
        verify_key BLOB NOT NULL,
        signature  BLOB NOT NULL,
        placement  BLOB NOT NULL
    ) STRICT;
    CREATE TABLE file (
        storage_index   BLOB NOT NULL PRIMARY KEY,
        window          BLOB,
        k               INTEGER,
        happy           INTEGER,
        n               INTEGER,
        sequence_number INTEGER,
        version         BLOB
    ) STRICT;
    PRAGMA user_version = 1;
    COMMIT;
";

/// Why the record cannot be read or changed.
#[derive(Debug, thiserror::Error)]
pub enum TasksError {
    /// It is no database, or its content cannot be what was written: restore it.
    #[error("the tasks in {} are damaged: {what}", file.display())]
    Damaged {
        /// The database.
        file: PathBuf,
        /// What was found.
        what: String,
    },
    /// The database failed: look at the disk.
    #[error("cannot {doing} in {}: {source}", file.display())]
    Database {
        /// The database.
        file: PathBuf,
        /// What was being done.
        doing: &'static str,
        /// What SQLite says.
        source: rusqlite::Error,
    },
    /// Another tarn wrote it: use that one.
    #[error("the tasks in {} have format {found}, and this tarn knows only {FORMAT}", file.display())]
    OtherFormat {
        /// The database.
        file: PathBuf,
        /// Its format.
        found: i64,
    },
    /// Somebody else changed the task meanwhile; nothing was written over it.
    #[error("task {task} in {} is not {expected} any more", file.display())]
    OtherState {
        /// The database.
        file: PathBuf,
        /// The task.
        task: TaskId,
        /// What it was to be.
        expected: String,
    },
}

impl TasksError {
    pub(super) fn during(
        doing: &'static str,
        file: &Path,
    ) -> impl Fn(rusqlite::Error) -> Self + use<> {
        let file = file.to_owned();
        move |source| match source.sqlite_error_code() {
            Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => {
                Self::Damaged { file: file.clone(), what: source.to_string() }
            }
            _ => Self::Database { file: file.clone(), doing, source },
        }
    }
}

/// The record, for the one who changes it.
#[derive(Debug)]
pub(in crate::gateway) struct Tasks {
    connection: Connection,
    path: PathBuf,
    durable: Durable,
}

/// When a change outlives a loss of power. It outlives this program in any case.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::gateway) enum Durable {
    /// As soon as it is made.
    AtOnce,
    /// With the next one that is durable at once, or once the record is settled.
    Soon,
}

/// The record, for whoever looks: each look is a snapshot.
#[derive(Debug)]
pub(in crate::gateway) struct TasksReader {
    pub(super) connection: Connection,
    pub(super) path: PathBuf,
}

impl Tasks {
    /// The database at this path, made if there is none.
    pub(in crate::gateway) fn open(path: &Path) -> Result<Self, TasksError> {
        let connection = connect(path, OpenFlags::default())?;
        let failed = TasksError::during("prepare", path);
        let format: i64 = connection
            .pragma_query_value(None, "user_version", |row| row.get(0))
            .map_err(&failed)?;
        match format {
            0 => connection.execute_batch(SCHEMA).map_err(&failed)?,
            FORMAT => {}
            found => return Err(TasksError::OtherFormat { file: path.to_owned(), found }),
        }
        Ok(Self { connection, path: path.to_owned(), durable: Durable::AtOnce })
    }

    /// Begins a change. Dropped, it was none.
    pub(in crate::gateway) fn change(
        &mut self,
        durable: Durable,
    ) -> Result<Change<'_>, TasksError> {
        let failed = TasksError::during("begin", &self.path);
        if durable != self.durable {
            let level = match durable {
                Durable::AtOnce => "FULL",
                Durable::Soon => "NORMAL",
            };
            self.connection.pragma_update(None, "synchronous", level).map_err(&failed)?;
            self.durable = durable;
        }
        let transaction = self
            .connection
            .transaction_with_behavior(TransactionBehavior::Immediate)
            .map_err(failed)?;
        Ok(Change { transaction, path: &self.path })
    }

    /// How many rows were ever changed.
    pub(in crate::gateway) fn changes(&self) -> u64 {
        self.connection.total_changes()
    }

    /// Makes all changes durable: moves them from the log into the database, and empties the log. What waited there is
    /// written once more, so that nothing rests on a log that could not be synced.
    pub(in crate::gateway) fn settle(&self) -> Result<(), TasksError> {
        let failed = TasksError::during("settle what was written", &self.path);
        let checkpoint = "PRAGMA wal_checkpoint(TRUNCATE)";
        let is_busy = self.connection.query_row(checkpoint, [], |row| row.get(0));
        if is_busy.map_err(&failed)? {
            let busy = rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_BUSY);
            return Err(failed(rusqlite::Error::SqliteFailure(busy, None)));
        }
        Ok(())
    }

    /// For whoever looks.
    pub(in crate::gateway) fn reader(&self) -> Result<TasksReader, TasksError> {
        let connection = connect(&self.path, OpenFlags::default())?;
        Ok(TasksReader { connection, path: self.path.clone() })
    }
}

fn connect(path: &Path, flags: OpenFlags) -> Result<Connection, TasksError> {
    let failed = TasksError::during("open", path);
    let connection = Connection::open_with_flags(path, flags).map_err(&failed)?;
    connection.busy_timeout(BUSY_TIMEOUT).map_err(&failed)?;
    connection.set_prepared_statement_cache_capacity(STATEMENTS);
    // What is wiped must not linger in free pages: rows held caps, sealed, and contents.
    connection
        .execute_batch(
            "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA secure_delete = ON;",
        )
        .map_err(&failed)?;
    Ok(connection)
}
