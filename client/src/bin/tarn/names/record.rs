//! A file's row: what is known of it, and how it is written and read back. Everything read is parsed, so that a
//! damaged row is an error and not a surprise later.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

use rusqlite::types::Type;
use rusqlite::{Connection, OptionalExtension, Row, ToSql, named_params};
use tarn_client::base::HighWater;
use tarn_client::caps::WriteCap;
use tarn_proto::signing::SigningError;
use tarn_proto::{SequenceNumber, Shape, StorageIndex, StoreId, Window};
use zeroize::Zeroizing;

use super::FileName;
use crate::clock::UnixSeconds;

/// One named file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct FileRecord {
    /// What the user calls it.
    pub(crate) name: FileName,
    /// Where it is published from; none if from a pipe.
    pub(crate) path: Option<PathBuf>,
    /// The right to it, from which the others follow.
    pub(crate) cap: WriteCap,
    /// The grid it was made on: a grid file's path, or "embedded". For people; the window is what counts.
    pub(crate) grid: String,
    /// The stores its first version names; none if it came as a cap, where the servers' headers tell.
    pub(crate) window: Option<Window>,
    /// How its next version is coded.
    pub(crate) shape: Shape,
    /// When the row was made.
    pub(crate) created_at: UnixSeconds,
    /// The newest version ever seen.
    pub(crate) high_water: Option<HighWater>,
}

/// The part of a row that comes with a new file's keys.
#[derive(Debug)]
pub(crate) struct NewFile {
    /// The keys.
    pub(crate) cap: WriteCap,
    /// Chosen once, with the keys; none if the cap came from elsewhere.
    pub(crate) window: Option<Window>,
    /// How its versions are coded.
    pub(crate) shape: Shape,
}

impl FileRecord {
    pub(super) fn new(
        name: FileName,
        path: Option<PathBuf>,
        grid: String,
        created_at: UnixSeconds,
        file: NewFile,
    ) -> Self {
        Self {
            name,
            path,
            cap: file.cap,
            grid,
            window: file.window,
            shape: file.shape,
            created_at,
            high_water: None,
        }
    }

    /// Names the file on the servers.
    pub(crate) fn storage_index(&self) -> StorageIndex {
        self.cap.verify_cap().storage_index()
    }
}

/// Writes a row. The high-water mark has a table of its own.
pub(super) fn insert(connection: &Connection, record: &FileRecord) -> rusqlite::Result<()> {
    let window = record.window.as_ref().map(|window| {
        let stores = window.stores().iter();
        stores.flat_map(|store| *store.as_bytes()).collect::<Vec<u8>>()
    });
    connection.execute(
        "INSERT INTO file (name, path, storage_index, write_cap, grid, window,
                           k, happy, n, created_at)
         VALUES (:name, :path, :storage_index, :write_cap, :grid, :window,
                 :k, :happy, :n, :created_at)",
        named_params! {
            ":name": record.name.as_str(),
            ":path": record.path.as_ref().map(|path| path.as_os_str().as_bytes()),
            ":storage_index": record.storage_index().as_bytes(),
            ":write_cap": record.cap.to_text().as_str(),
            ":grid": record.grid,
            ":window": window,
            ":k": record.shape.k(),
            ":happy": record.shape.happy(),
            ":n": record.shape.n(),
            ":created_at": seconds_to_sql(record.created_at),
        },
    )?;
    Ok(())
}

/// The rows that `clause` (WHERE, ORDER BY) picks.
pub(super) fn select(
    connection: &Connection,
    clause: &str,
    parameters: &[&dyn ToSql],
) -> rusqlite::Result<Vec<FileRecord>> {
    let mut statement = connection.prepare(&format!(
        "SELECT file.*, high_water.sequence_number, high_water.version
         FROM file LEFT JOIN high_water USING (storage_index) {clause}"
    ))?;
    let rows = statement.query_map(parameters, read)?;
    rows.collect()
}

/// The newest version of a file ever seen.
pub(super) fn high_water(
    connection: &Connection,
    file: StorageIndex,
) -> rusqlite::Result<Option<HighWater>> {
    connection
        .query_row(
            "SELECT sequence_number, version FROM high_water WHERE storage_index = ?1",
            [file.as_bytes()],
            |row| {
                Ok(HighWater {
                    sequence_number: sequence_number(row, "sequence_number")?,
                    version: bytes(row, "version")?,
                })
            },
        )
        .optional()
}

pub(super) fn sequence_number_to_sql(number: SequenceNumber) -> i64 {
    // A sequence number is at most 2^63 - 1.
    number.get().cast_signed()
}

fn read(row: &Row<'_>) -> rusqlite::Result<FileRecord> {
    let text = |column: &'static str| row.get::<_, String>(column);
    let number = |column: &'static str| row.get::<_, u32>(column);
    let high_water = match row.get_ref("sequence_number")?.data_type() {
        Type::Null => None,
        Type::Integer | Type::Real | Type::Text | Type::Blob => Some(HighWater {
            sequence_number: sequence_number(row, "sequence_number")?,
            version: bytes(row, "version")?,
        }),
    };
    let path = row.get::<_, Option<Vec<u8>>>("path")?;
    Ok(FileRecord {
        name: parsed("name", text("name")?.parse())?,
        path: path.map(|path| PathBuf::from(OsStr::from_bytes(&path))),
        cap: cap(row)?,
        grid: text("grid")?,
        window: window(row)?,
        shape: parsed("shape", Shape::new(number("k")?, number("happy")?, number("n")?))?,
        created_at: seconds(row, "created_at")?,
        high_water,
    })
}

fn cap(row: &Row<'_>) -> rusqlite::Result<WriteCap> {
    let text = Zeroizing::new(row.get::<_, String>("write_cap")?);
    let cap: WriteCap = parsed("write_cap", text.parse())?;
    let stored: StorageIndex = bytes(row, "storage_index")?;
    let other_file =
        (stored != cap.verify_cap().storage_index()).then_some(SigningError::OtherFile);
    parsed("storage_index", other_file.map_or(Ok(()), Err))?;
    Ok(cap)
}

fn window(row: &Row<'_>) -> rusqlite::Result<Option<Window>> {
    let Some(stored) = row.get::<_, Option<Vec<u8>>>("window")? else {
        return Ok(None);
    };
    let stores = stored.chunks(StoreId::WIDTH).map(StoreId::try_from);
    let stores = parsed("window", stores.collect::<Result<Vec<_>, _>>())?;
    parsed("window", Window::new(stores)).map(Some)
}

fn sequence_number(row: &Row<'_>, column: &'static str) -> rusqlite::Result<SequenceNumber> {
    let number = parsed(column, u64::try_from(row.get::<_, i64>(column)?))?;
    parsed(column, SequenceNumber::try_from(number))
}

pub(super) fn seconds_to_sql(seconds: UnixSeconds) -> i64 {
    // SQLite's integers end in the year 292,277,026,596.
    i64::try_from(seconds.get()).unwrap_or(i64::MAX)
}

pub(super) fn seconds(row: &Row<'_>, column: &'static str) -> rusqlite::Result<UnixSeconds> {
    parsed(column, u64::try_from(row.get::<_, i64>(column)?)).map(UnixSeconds::new)
}

/// An id of fixed width.
pub(super) fn bytes<Id>(row: &Row<'_>, column: &'static str) -> rusqlite::Result<Id>
where
    Id: for<'a> TryFrom<&'a [u8]>,
    for<'a> <Id as TryFrom<&'a [u8]>>::Error: std::error::Error + Send + Sync + 'static,
{
    let stored: Vec<u8> = row.get(column)?;
    let id = Id::try_from(stored.as_slice());
    parsed(column, id)
}

/// A stored value that must be as it was written.
pub(super) fn parsed<T, E>(column: &'static str, value: Result<T, E>) -> rusqlite::Result<T>
where
    E: std::error::Error + Send + Sync + 'static,
{
    value.map_err(|error| {
        let what = std::io::Error::other(format!("column {column}: {error}"));
        rusqlite::Error::FromSqlConversionFailure(0, Type::Blob, Box::new(what))
    })
}
