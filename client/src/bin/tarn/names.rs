//! The names a user has given to files, with their caps, in a database that several commands may use at once.
//! Knows nothing of servers: a file's row is written before the first message to any of them is sent.

mod database;
mod journal;
mod name;
mod record;
mod shared;
mod suspects;

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use rusqlite::{Connection, OptionalExtension, TransactionBehavior, named_params};
use tarn_client::grid::Grid;
use tarn_proto::StorageIndex;

use crate::clock::UnixSeconds;

pub(crate) use database::NamesError;
pub(crate) use journal::JournalEntry;
pub(crate) use name::{FileName, NameError, looks_like_cap};
pub(crate) use record::{FileRecord, NewFile};
pub(crate) use shared::SharedNames;
pub(crate) use tarn_client::base::HighWater;

/// The database of names.
#[derive(Debug)]
pub(crate) struct Names {
    connection: Connection,
    file: PathBuf,
}

/// Which file is meant by what was typed.
#[derive(Debug, Clone)]
pub(crate) enum Wanted {
    /// The file that is published from this absolute path, under a name made from it.
    Path(PathBuf),
    /// The file of this name, published from this absolute path or from a pipe.
    Name(FileName, Option<PathBuf>),
}

/// The grid in use, and what to call it in messages.
#[derive(Debug, Clone, Copy)]
pub(crate) struct InUse<'a> {
    /// The grid file's path, or "embedded".
    pub(crate) label: &'a str,
    /// The servers.
    pub(crate) grid: &'a Grid,
}

/// A file's row, and whether it was there before.
#[derive(Debug)]
pub(crate) enum Found {
    /// The file was known.
    Existing(FileRecord),
    /// The file is new; its row is durable.
    Created(FileRecord),
}

impl Names {
    /// Opens the database in this folder, making both if they lack.
    pub(crate) fn open(folder: &Path) -> Result<Self, NamesError> {
        let file = folder.join("names.sqlite");
        let connection = database::open(&file)?;
        Ok(Self { connection, file })
    }

    /// The file that is wanted on this grid; if there is none, `make` draws its keys. Of two commands that want the
    /// same new file at once, one creates it and the other finds it.
    pub(crate) fn create_or_find(
        &mut self,
        wanted: &Wanted,
        on: InUse<'_>,
        now: UnixSeconds,
        make: impl FnOnce() -> NewFile,
    ) -> Result<Found, NamesError> {
        let failed = NamesError::during("look up the file", &self.file);
        let transaction = self
            .connection
            .transaction_with_behavior(TransactionBehavior::Immediate)
            .map_err(&failed)?;
        let at_path = |path: &Path| on.at_path(&transaction, path).map_err(&failed);
        if let Some(record) = on.known(&transaction, wanted).map_err(&failed)? {
            return on.here(record).map(Found::Existing);
        }
        let (name, path) = match wanted {
            Wanted::Path(path) => {
                let name = free_name(&transaction, &FileName::of_path(path)).map_err(&failed)?;
                (name, Some(path.clone()))
            }
            Wanted::Name(name, Some(path)) if at_path(path)?.is_none() => {
                (name.clone(), Some(path.clone()))
            }
            Wanted::Name(name, _) => (name.clone(), None),
        };
        let record = FileRecord::new(name, path, on.label.to_owned(), now, make());
        record::insert(&transaction, &record).map_err(&failed)?;
        transaction.commit().map_err(&failed)?;
        Ok(Found::Created(record))
    }

    /// The file that is wanted on this grid, if there is one already.
    pub(crate) fn find_wanted(
        &self,
        wanted: &Wanted,
        on: InUse<'_>,
    ) -> Result<Option<FileRecord>, NamesError> {
        let known = on
            .known(&self.connection, wanted)
            .map_err(NamesError::during("look up the file", &self.file))?;
        known.map(|record| on.here(record)).transpose()
    }

    /// The file of this name.
    pub(crate) fn find(&self, name: &FileName) -> Result<FileRecord, NamesError> {
        by_name(&self.connection, name)
            .map_err(NamesError::during("look up the name", &self.file))?
            .ok_or_else(|| NamesError::UnknownName(name.clone()))
    }

    /// All files, by name.
    pub(crate) fn list(&self) -> Result<Vec<FileRecord>, NamesError> {
        record::select(&self.connection, "ORDER BY name", &[])
            .map_err(NamesError::during("list the names", &self.file))
    }

    /// Drops a name with its caps, unless a publish of the file is not settled. The high-water mark stays: it
    /// belongs to the file, whoever names it.
    pub(crate) fn forget(&mut self, name: &FileName) -> Result<FileRecord, NamesError> {
        let failed = NamesError::during("forget the name", &self.file);
        let transaction = self
            .connection
            .transaction_with_behavior(TransactionBehavior::Immediate)
            .map_err(&failed)?;
        let record = by_name(&transaction, name)
            .map_err(&failed)?
            .ok_or_else(|| NamesError::UnknownName(name.clone()))?;
        if journal::is_pending(&transaction, record.storage_index()).map_err(&failed)? {
            return Err(NamesError::Unsettled(name.clone()));
        }
        transaction
            .execute("DELETE FROM file WHERE name = ?1", [name.as_str()])
            .map_err(&failed)?;
        transaction.commit().map_err(&failed)?;
        Ok(record)
    }

    /// Records that this version of a file was seen, and answers the newest ever seen. Never goes down.
    pub(crate) fn raise_high_water(
        &mut self,
        file: StorageIndex,
        seen: HighWater,
    ) -> Result<HighWater, NamesError> {
        let failed = NamesError::during("record the version seen", &self.file);
        self.connection
            .execute(
                "INSERT INTO high_water (storage_index, sequence_number, version)
                 VALUES (:file, :sequence_number, :version)
                 ON CONFLICT (storage_index) DO UPDATE
                 SET sequence_number = excluded.sequence_number, version = excluded.version
                 WHERE (excluded.sequence_number, excluded.version)
                     > (high_water.sequence_number, high_water.version)",
                named_params! {
                    ":file": file.as_bytes(),
                    ":sequence_number": record::sequence_number_to_sql(seen.sequence_number),
                    ":version": seen.version.as_bytes(),
                },
            )
            .map_err(&failed)?;
        let highest = record::high_water(&self.connection, file).map_err(&failed)?;
        Ok(highest.unwrap_or(seen))
    }

    /// The newest version of a file ever seen.
    pub(crate) fn high_water(&self, file: StorageIndex) -> Result<Option<HighWater>, NamesError> {
        record::high_water(&self.connection, file)
            .map_err(NamesError::during("look up the version seen", &self.file))
    }
}

impl InUse<'_> {
    /// Whether a file lives here: some store of its window does. Its grid file may have been edited or moved since.
    fn has(&self, record: &FileRecord) -> bool {
        match &record.window {
            Some(window) => window.stores().iter().any(|&store| self.grid.find(store).is_some()),
            None => record.grid == self.label,
        }
    }

    fn here(&self, record: FileRecord) -> Result<FileRecord, NamesError> {
        if self.has(&record) {
            Ok(record)
        } else {
            Err(NamesError::OtherGrid { name: record.name, grid: record.grid })
        }
    }

    fn known(
        &self,
        connection: &Connection,
        wanted: &Wanted,
    ) -> rusqlite::Result<Option<FileRecord>> {
        match wanted {
            Wanted::Path(path) => self.at_path(connection, path),
            Wanted::Name(name, _) => by_name(connection, name),
        }
    }

    fn at_path(
        &self,
        connection: &Connection,
        path: &Path,
    ) -> rusqlite::Result<Option<FileRecord>> {
        Ok(by_path(connection, path)?.into_iter().find(|record| self.has(record)))
    }
}

fn by_name(connection: &Connection, name: &FileName) -> rusqlite::Result<Option<FileRecord>> {
    let mut records = record::select(connection, "WHERE name = ?1", &[&name.as_str()])?;
    Ok(records.pop())
}

fn by_path(connection: &Connection, path: &Path) -> rusqlite::Result<Vec<FileRecord>> {
    let bytes = path.as_os_str().as_bytes();
    record::select(connection, "WHERE path = ?1 ORDER BY name", &[&bytes])
}

/// The name itself if nobody has it, else one of name-2, name-3 … that is free: the next one, where none was forgotten.
/// A folder may hold thousands of files of one name, so their numbers are not tried one by one.
fn free_name(connection: &Connection, wanted: &FileName) -> rusqlite::Result<FileName> {
    let mut taken = connection.prepare("SELECT 1 FROM file WHERE name = ?1")?;
    let mut is_taken = |name: &FileName| {
        taken.query_row([name.as_str()], |_| Ok(())).optional().map(|found| found.is_some())
    };
    if !is_taken(wanted)? {
        return Ok(wanted.clone());
    }
    let (mut used, mut free) = (1, 2);
    while is_taken(&wanted.numbered(free))? {
        (used, free) = (free, 2 * free);
    }
    while free - used > 1 {
        let between = used + (free - used) / 2;
        if is_taken(&wanted.numbered(between))? {
            used = between;
        } else {
            free = between;
        }
    }
    Ok(wanted.numbered(free))
}

/// A path's identity: where its folder really is, and its own name as it was typed, so that a link that is pointed
/// elsewhere stays the same path.
pub(crate) fn path_identity(path: &Path) -> std::io::Result<PathBuf> {
    let folder = match path.parent() {
        Some(parent) if parent != OsStr::new("") => parent,
        Some(_) | None => Path::new("."),
    };
    match path.file_name() {
        Some(name) => Ok(folder.canonicalize()?.join(name)),
        None => path.canonicalize(),
    }
}

#[cfg(test)]
mod tests;
