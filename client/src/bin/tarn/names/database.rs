//! Opens the database of names and says what is wrong with it. Holds no rows and no rules.

use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::{Connection, ErrorCode, OpenFlags};

use super::FileName;
use crate::error::CommandError;
use crate::home;

/// The format this command writes. Older ones are brought up to it; a database of a newer one is not touched.
const FORMAT: i64 = 3;
/// How long one command waits for another's transaction; these take milliseconds.
const BUSY_TIMEOUT: Duration = Duration::from_secs(20);

const SCHEMA: &str = "
    CREATE TABLE file (
        name          TEXT NOT NULL PRIMARY KEY,
        path          BLOB,
        storage_index BLOB NOT NULL,
        write_cap     TEXT NOT NULL,
        grid          TEXT NOT NULL,
        window        BLOB,
        k             INTEGER NOT NULL,
        happy         INTEGER NOT NULL,
        n             INTEGER NOT NULL,
        created_at    INTEGER NOT NULL
    ) STRICT;
    CREATE INDEX file_path ON file (path);
    CREATE TABLE high_water (
        storage_index   BLOB NOT NULL PRIMARY KEY,
        sequence_number INTEGER NOT NULL,
        version         BLOB NOT NULL
    ) STRICT;
    CREATE TABLE journal (
        version       BLOB NOT NULL PRIMARY KEY,
        attempt       BLOB NOT NULL,
        storage_index BLOB NOT NULL,
        header        BLOB NOT NULL,
        verify_key    BLOB NOT NULL,
        signature     BLOB NOT NULL,
        placement     TEXT NOT NULL,
        written_at    INTEGER NOT NULL,
        input         BLOB
    ) STRICT;
";

/// What came with format 2.
const SUSPECTS: &str = "
    CREATE TABLE suspect (
        store   BLOB NOT NULL PRIMARY KEY,
        strikes INTEGER NOT NULL,
        until   INTEGER NOT NULL
    ) STRICT;
";

/// What came with format 3: whether a publish changes a part of its file only.
const PARTS: &str = "
    ALTER TABLE journal ADD COLUMN part INTEGER NOT NULL DEFAULT 0;
    PRAGMA user_version = 3;
";

/// From format 1, whose journal did not say where the content came from, and which did not remember slow servers.
const FROM_1: &str = "
    ALTER TABLE journal ADD COLUMN input BLOB;
";

/// Why names cannot be had.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NamesError {
    /// The file or its folder cannot be used.
    #[error("the names in {} cannot be opened: {source}", file.display())]
    Open {
        /// The database.
        file: PathBuf,
        /// What the operating system says.
        source: std::io::Error,
    },
    /// The file is no database, or its content cannot be what was written.
    #[error("the names in {} are damaged: {what}", file.display())]
    Damaged {
        /// The database.
        file: PathBuf,
        /// What was found.
        what: String,
    },
    /// The database failed.
    #[error("cannot {doing} in {}: {source}", file.display())]
    Database {
        /// The database.
        file: PathBuf,
        /// What was being done.
        doing: &'static str,
        /// What SQLite says.
        source: rusqlite::Error,
    },
    /// Another tarn wrote it.
    #[error("the names in {} have format {found}, and this tarn knows only {FORMAT}", file.display())]
    OtherFormat {
        /// The database.
        file: PathBuf,
        /// Its format.
        found: i64,
    },
    /// No file has this name.
    #[error("no file is called \"{0}\"")]
    UnknownName(FileName),
    /// The name belongs to a file on servers that the grid in use does not list.
    #[error("\"{name}\" is a file on another grid ({grid})")]
    OtherGrid {
        /// The name.
        name: FileName,
        /// That grid.
        grid: String,
    },
    /// A publish of the file is running, or was interrupted before its outcome was known.
    #[error("a publish of \"{0}\" is not settled yet")]
    Unsettled(FileName),
}

impl NamesError {
    /// Turns SQLite's errors into ours.
    pub(super) fn during(
        doing: &'static str,
        file: &Path,
    ) -> impl Fn(rusqlite::Error) -> Self + use<> {
        let file = file.to_owned();
        move |source| {
            let file = file.clone();
            if is_damage(&source) {
                let what = source.to_string();
                Self::Damaged { file, what }
            } else {
                Self::Database { file, doing, source }
            }
        }
    }
}

/// Whether an error says that the bytes are bad, rather than that the disk or another process is in the way.
fn is_damage(error: &rusqlite::Error) -> bool {
    match error.sqlite_error_code() {
        Some(code) => matches!(
            code,
            ErrorCode::NotADatabase | ErrorCode::DatabaseCorrupt | ErrorCode::TypeMismatch
        ),
        None => true,
    }
}

impl From<NamesError> for CommandError {
    fn from(error: NamesError) -> Self {
        let sentence = error.to_string();
        match error {
            NamesError::Open { .. } | NamesError::Database { .. } => Self::failed(sentence),
            NamesError::Damaged { file, .. } => Self::failed(sentence).hint(format_args!(
                "put a copy of {} in its place, or move it away and lose the names; files can still be had by their caps",
                file.display()
            )),
            NamesError::OtherFormat { .. } => {
                Self::failed(sentence).hint("use the tarn that wrote them")
            }
            NamesError::UnknownName(_) => Self::usage(sentence).hint("`tarn ls` lists the names"),
            NamesError::OtherGrid { .. } => {
                Self::usage(sentence).hint("choose that grid with --grid, or another name with --name")
            }
            NamesError::Unsettled(name) => Self::failed(sentence)
                .hint(format_args!("`tarn publish` settles it, `tarn abandon {name}` drops it")),
        }
    }
}

/// Opens the database, creating it for its owner only.
pub(super) fn open(file: &Path) -> Result<Connection, NamesError> {
    let io = |source| NamesError::Open { file: file.to_owned(), source };
    let failed = NamesError::during("open the names", file);
    let folder = file.parent().unwrap_or(Path::new("."));
    home::create_folder(folder).map_err(io)?;
    // SQLite gives its -wal and -shm files the permissions of this one.
    home::open_private(file).map_err(io)?;
    // Two first commands at once: switching to the write-ahead log does not wait for the busy timeout.
    let setup = home::open_private(&folder.join("names.lock")).map_err(io)?;
    setup.lock().map_err(io)?;

    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let mut connection = Connection::open_with_flags(file, flags).map_err(&failed)?;
    connection.busy_timeout(BUSY_TIMEOUT).map_err(&failed)?;
    connection.pragma_update(None, "journal_mode", "wal").map_err(&failed)?;
    connection.pragma_update(None, "synchronous", "full").map_err(&failed)?;
    let format: i64 =
        connection.pragma_query_value(None, "user_version", |row| row.get(0)).map_err(&failed)?;
    match format {
        FORMAT => {}
        0..FORMAT => {
            let transaction = connection.transaction().map_err(&failed)?;
            let changes: &[&str] = match format {
                0 => &[SCHEMA, SUSPECTS, PARTS],
                1 => &[FROM_1, SUSPECTS, PARTS],
                _ => &[PARTS],
            };
            for change in changes {
                transaction.execute_batch(change).map_err(&failed)?;
            }
            transaction.commit().map_err(&failed)?;
        }
        found => {
            return Err(NamesError::OtherFormat { file: file.to_owned(), found });
        }
    }
    Ok(connection)
}
