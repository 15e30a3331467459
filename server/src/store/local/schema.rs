//! The database: its tables, its format number, how connections to it are opened. Does not read or write slots.

use std::path::Path;

use rusqlite::{Connection, OpenFlags};
use tarn_proto::StoreId;

use super::fault::database;
use crate::store::StoreError;

/// The format this crate writes and reads.
const FORMAT: i64 = 4;
/// The format before, which knew no page roots. It is made the present one when a store is opened.
const FORMAT_WITHOUT_PAGES: i64 = 3;
/// "TARN": marks a SQLite file as ours.
const APPLICATION: i64 = 0x5441_524e;

/// One row in `store`; per slot one row in `slots` and, below it, its manifest. Lists keep their order by `position`.
/// An extent's share is −1 for the table. Inline bytes stand last, so that the columns before them are read without
/// their overflow pages.
const TABLES: &str = "
CREATE TABLE store (
    one INTEGER PRIMARY KEY CHECK (one = 1),
    id BLOB NOT NULL,
    settled INTEGER NOT NULL
) STRICT;

CREATE TABLE slots (
    slot INTEGER PRIMARY KEY,
    storage_index BLOB NOT NULL UNIQUE,
    revision INTEGER NOT NULL,
    floor_header BLOB,
    floor_verify_key BLOB,
    floor_signature BLOB,
    sealed INTEGER
) STRICT;

CREATE TABLE generations (
    generation INTEGER PRIMARY KEY,
    slot INTEGER NOT NULL REFERENCES slots ON DELETE CASCADE,
    position INTEGER NOT NULL,
    header BLOB NOT NULL,
    verify_key BLOB NOT NULL,
    signature BLOB NOT NULL,
    conversation BLOB,
    page_roots BLOB
) STRICT;
CREATE INDEX generations_of_slot ON generations (slot, position);

CREATE TABLE shares (
    generation INTEGER NOT NULL REFERENCES generations ON DELETE CASCADE,
    share INTEGER NOT NULL,
    health INTEGER NOT NULL,
    PRIMARY KEY (generation, share)
) STRICT, WITHOUT ROWID;

CREATE TABLE extents (
    generation INTEGER NOT NULL REFERENCES generations ON DELETE CASCADE,
    share INTEGER NOT NULL,
    position INTEGER NOT NULL,
    chunk BLOB,
    start INTEGER,
    length INTEGER,
    inline BLOB
) STRICT;
CREATE UNIQUE INDEX extents_of_generation ON extents (generation, share, position);
CREATE INDEX extents_of_chunk ON extents (chunk) WHERE chunk IS NOT NULL;

CREATE TABLE certificates (
    slot INTEGER NOT NULL REFERENCES slots ON DELETE CASCADE,
    position INTEGER NOT NULL,
    sequence_number INTEGER NOT NULL,
    version BLOB NOT NULL,
    verify_key BLOB NOT NULL,
    signature BLOB NOT NULL,
    PRIMARY KEY (slot, position)
) STRICT, WITHOUT ROWID;

CREATE TABLE ancestors (
    slot INTEGER NOT NULL REFERENCES slots ON DELETE CASCADE,
    position INTEGER NOT NULL,
    header BLOB NOT NULL,
    verify_key BLOB NOT NULL,
    signature BLOB NOT NULL,
    PRIMARY KEY (slot, position)
) STRICT, WITHOUT ROWID;

CREATE TABLE history (
    slot INTEGER NOT NULL REFERENCES slots ON DELETE CASCADE,
    position INTEGER NOT NULL,
    attempt BLOB NOT NULL,
    version BLOB NOT NULL,
    predecessor BLOB,
    sequence_number INTEGER NOT NULL,
    committed_at INTEGER NOT NULL,
    PRIMARY KEY (slot, position)
) STRICT, WITHOUT ROWID;
";

/// What a database file turned out to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Found {
    /// Nothing yet.
    Empty,
    /// A store of our format, or of one that [`upgrade`] makes ours.
    Store,
}

/// Looks at a database without changing it. Refuses foreign, newer and unknown ones.
pub(super) fn inspect(path: &Path) -> Result<Found, StoreError> {
    let length = std::fs::metadata(path)
        .map_err(|error| super::fault::io("looking at the database", error))?
        .len();
    if length == 0 {
        return Ok(Found::Empty);
    }
    let read = || -> rusqlite::Result<_> {
        let connection =
            Connection::open_with_flags(path, flags(OpenFlags::SQLITE_OPEN_READ_ONLY))?;
        let number = |sql| connection.query_row(sql, [], |row| row.get::<_, i64>(0));
        Ok((
            number("PRAGMA application_id")?,
            number("PRAGMA user_version")?,
            number("SELECT count(*) FROM sqlite_schema")?,
        ))
    };
    let unusable = |reason: String| Err(StoreError::Unusable { reason });
    match read().map_err(|error| database("looking at the database", error))? {
        (0, 0, 0) => Ok(Found::Empty),
        (APPLICATION, FORMAT | FORMAT_WITHOUT_PAGES, _) => Ok(Found::Store),
        (APPLICATION, format, _) if format > FORMAT => {
            unusable(format!("it has format {format}, this tarn reads {FORMAT}: use a newer tarn"))
        }
        (APPLICATION, format, _) => unusable(format!("it has the unknown format {format}")),
        _ => unusable("slots.sqlite is another program's database".into()),
    }
}

/// Makes an empty database a store of this id, durably and all at once.
pub(super) fn create(path: &Path, id: StoreId) -> Result<(), StoreError> {
    let mut connection = open_writer(path)?;
    let mut run = || -> rusqlite::Result<()> {
        let transaction = connection.transaction()?;
        transaction.execute_batch(TABLES)?;
        transaction
            .execute("INSERT INTO store (one, id, settled) VALUES (1, ?1, 0)", [id.as_bytes()])?;
        transaction.pragma_update(None, "application_id", APPLICATION)?;
        transaction.pragma_update(None, "user_version", FORMAT)?;
        transaction.commit()
    };
    run().map_err(|error| database("creating the database", error))
}

/// Makes a store of the format before one of ours, durably and all at once. Page roots are found when they are needed.
pub(super) fn upgrade(connection: &mut Connection) -> Result<(), StoreError> {
    let mut run = || -> rusqlite::Result<()> {
        let transaction = connection.transaction()?;
        let format: i64 = transaction.query_row("PRAGMA user_version", [], |row| row.get(0))?;
        if format == FORMAT_WITHOUT_PAGES {
            transaction.execute_batch("ALTER TABLE generations ADD COLUMN page_roots BLOB")?;
            transaction.pragma_update(None, "user_version", FORMAT)?;
        }
        transaction.commit()
    };
    run().map_err(|error| database("bringing the database to the present format", error))
}

/// The store's id.
pub(super) fn read_id(connection: &Connection) -> Result<StoreId, StoreError> {
    let id = connection
        .query_row("SELECT id FROM store", [], |row| row.get::<_, Vec<u8>>(0))
        .map_err(|error| database("reading the store id", error))?;
    StoreId::try_from(id.as_slice())
        .map_err(|_| StoreError::Unusable { reason: "its store id is damaged".into() })
}

/// Gives the store another id, durably.
pub(super) fn write_id(path: &Path, id: StoreId) -> Result<(), StoreError> {
    open_writer(path)?
        .execute("UPDATE store SET id = ?1", [id.as_bytes()])
        .map(|_| ())
        .map_err(|error| database("writing the store id", error))
}

/// The connection that changes slots. Every commit on it is durable when it returns.
pub(super) fn open_writer(path: &Path) -> Result<Connection, StoreError> {
    let (connection, journal) =
        writable(path).map_err(|error| database("opening the database", error))?;
    if journal != "wal" {
        let reason = format!("its disk allows no write-ahead log, only the journal mode {journal}");
        return Err(StoreError::Unusable { reason });
    }
    Ok(connection)
}

/// A connection that only reads.
pub(super) fn open_reader(path: &Path) -> Result<Connection, StoreError> {
    let open = || -> rusqlite::Result<_> {
        let connection =
            Connection::open_with_flags(path, flags(OpenFlags::SQLITE_OPEN_READ_ONLY))?;
        careful(&connection)?;
        Ok(connection)
    };
    open().map_err(|error| database("opening the database", error))
}

/// A connection, and the journal mode that it got.
fn writable(path: &Path) -> rusqlite::Result<(Connection, String)> {
    let connection = Connection::open_with_flags(path, flags(OpenFlags::SQLITE_OPEN_READ_WRITE))?;
    let journal =
        connection.pragma_update_and_check(None, "journal_mode", "WAL", |row| row.get(0))?;
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.pragma_update(None, "foreign_keys", true)?;
    connection.pragma_update(None, "wal_autocheckpoint", 4_000)?;
    connection.pragma_update(None, "journal_size_limit", 64 << 20)?;
    careful(&connection)?;
    Ok((connection, journal))
}

/// Trusts neither the file's pages nor its schema.
fn careful(connection: &Connection) -> rusqlite::Result<()> {
    connection.pragma_update(None, "cell_size_check", true)?;
    connection.pragma_update(None, "trusted_schema", false)?;
    connection.set_prepared_statement_cache_capacity(64);
    Ok(())
}

/// Never creates a database, never reads a path as a URI. The lock in the folder keeps connections to one thread.
fn flags(access: OpenFlags) -> OpenFlags {
    access | OpenFlags::SQLITE_OPEN_NO_MUTEX
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_database_without_a_write_ahead_log_is_unusable() {
        let opened = open_writer(Path::new(":memory:"));
        let Err(StoreError::Unusable { reason }) = opened else {
            panic!("expected Unusable, got {opened:?}");
        };
        assert!(reason.ends_with("memory"), "{reason}");
    }
}
