//! Rows in and out of SQLite. Writes only what changed; checks nothing but column types.

mod generations;

use std::collections::BTreeSet;

use bytes::Bytes;
use rusqlite::{Connection, OptionalExtension, Row, params};
use tarn_proto::StorageIndex;

use self::generations::{read_generations, write_generations};
use super::rows::{CertificateRow, HeaderRow, HistoryRow, ManifestRows};
use crate::manifest::{ChunkId, History, HistoryChange, HistoryRecord};
use crate::store::Revision;

/// A slot as it is stored.
#[derive(Debug)]
pub(super) struct Stored {
    pub(super) revision: Revision,
    pub(super) rows: ManifestRows,
    slot: i64,
    /// The row ids of `rows.generations`.
    generations: Vec<i64>,
    /// The history, unless what is stored has to be written anew.
    history: Option<StoredHistory>,
}

/// A history, whose records stand at positions one after the other.
#[derive(Debug)]
pub(super) struct StoredHistory {
    first: i64,
    pub(super) records: History,
}

impl Stored {
    /// About how many bytes of memory it takes.
    pub(super) fn weight(&self) -> u64 {
        let records = self.history.as_ref().map_or(0, |history| history.records.len());
        self.rows.weight() + (records * size_of::<HistoryRecord>()) as u64
    }
}

/// Reads all rows of a slot. The caller sees to it that one transaction spans the reading.
pub(super) fn load(
    connection: &Connection,
    slot: StorageIndex,
) -> rusqlite::Result<Option<Stored>> {
    let found = connection
        .prepare_cached(
            "SELECT slot, revision, floor_header, floor_verify_key, floor_signature, sealed
             FROM slots WHERE storage_index = ?1",
        )?
        .query_row([slot.as_bytes()], |row| {
            Ok((row.get(0)?, revision(row, 1)?, read_floor(row)?, row.get(5)?))
        })
        .optional()?;
    let Some((slot, revision, floor, sealed)) = found else {
        return Ok(None);
    };
    let (generations, generation_rows) = read_generations(connection, slot)?;
    let (positions, history) = read_history(connection, slot)?;
    let stored_history = StoredHistory::of(&positions, &history);
    Ok(Some(Stored {
        revision,
        rows: ManifestRows {
            floor,
            sealed,
            generations: generation_rows,
            certificates: read_certificates(connection, slot)?,
            ancestors: read_ancestors(connection, slot)?,
            history,
        },
        slot,
        generations,
        history: stored_history,
    }))
}

/// Makes `new` the rows of a slot and `history` its history, given what is stored now. Answers what is stored then.
pub(super) fn write(
    connection: &Connection,
    slot: StorageIndex,
    old: Option<&Stored>,
    new: ManifestRows,
    history: History,
) -> rusqlite::Result<Stored> {
    let old = match old {
        Some(old) => old,
        None => &insert_slot(connection, slot)?,
    };
    let revision = old
        .revision
        .0
        .checked_add(1)
        .and_then(|next| i64::try_from(next).ok())
        .ok_or(rusqlite::Error::IntegralValueOutOfRange(1, i64::MAX))?;
    let floor = new.floor.as_ref();
    connection
        .prepare_cached(
            "UPDATE slots SET revision = ?2, floor_header = ?3, floor_verify_key = ?4,
             floor_signature = ?5, sealed = ?6 WHERE slot = ?1",
        )?
        .execute(params![
            old.slot,
            revision,
            floor.map(|row| row.header.as_ref()),
            floor.map(|row| row.verify_key.as_ref()),
            floor.map(|row| row.signature.as_ref()),
            new.sealed,
        ])?;
    let generations = write_generations(connection, old, &new.generations)?;
    if old.rows.certificates != new.certificates {
        write_certificates(connection, old.slot, &new.certificates)?;
    }
    if old.rows.ancestors != new.ancestors {
        write_ancestors(connection, old.slot, &new.ancestors)?;
    }
    let history = write_history(connection, old, history)?;
    let revision = Revision(old.revision.0 + 1);
    Ok(Stored { revision, rows: new, slot: old.slot, generations, history: Some(history) })
}

/// Whether some manifest names the chunk.
pub(super) fn is_named(connection: &Connection, id: ChunkId) -> rusqlite::Result<bool> {
    connection
        .prepare_cached("SELECT EXISTS (SELECT 1 FROM extents WHERE chunk = ?1)")?
        .query_row([id.0.to_be_bytes()], |row| row.get(0))
}

/// All chunks that manifests name. Reads the table itself: an index that lost entries must not cost a chunk its life.
pub(super) fn named_chunks(connection: &Connection) -> rusqlite::Result<BTreeSet<ChunkId>> {
    let mut statement =
        connection.prepare("SELECT chunk FROM extents NOT INDEXED WHERE chunk IS NOT NULL")?;
    let rows = statement.query_map([], |row| row.get::<_, [u8; 16]>(0))?;
    rows.map(|id| Ok(ChunkId(u128::from_be_bytes(id?)))).collect()
}

/// How many slots there are.
pub(super) fn count_slots(connection: &Connection) -> rusqlite::Result<u64> {
    connection
        .query_row("SELECT count(*) FROM slots", [], |row| Ok(row.get::<_, i64>(0)?.unsigned_abs()))
}

/// The next slots above this one, ascending.
pub(super) fn slots(
    connection: &Connection,
    after: Option<StorageIndex>,
    most: usize,
) -> rusqlite::Result<Vec<StorageIndex>> {
    let mut statement = connection.prepare_cached(
        "SELECT storage_index FROM slots WHERE storage_index > ?1 ORDER BY storage_index LIMIT ?2",
    )?;
    let after: &[u8] = after.as_ref().map_or(&[], |slot| slot.as_bytes());
    let most = i64::try_from(most).unwrap_or(i64::MAX);
    let rows =
        statement.query_map((after, most), |row| row.get::<_, [u8; StorageIndex::WIDTH]>(0))?;
    rows.map(|slot| slot.map(StorageIndex::new)).collect()
}

fn insert_slot(connection: &Connection, slot: StorageIndex) -> rusqlite::Result<Stored> {
    connection
        .prepare_cached("INSERT INTO slots (storage_index, revision) VALUES (?1, 0)")?
        .execute([slot.as_bytes()])?;
    Ok(Stored {
        revision: Revision(0),
        rows: ManifestRows::default(),
        slot: connection.last_insert_rowid(),
        generations: Vec::new(),
        history: Some(StoredHistory { first: 0, records: History::default() }),
    })
}

fn write_certificates(
    connection: &Connection,
    slot: i64,
    rows: &[CertificateRow],
) -> rusqlite::Result<()> {
    connection.prepare_cached("DELETE FROM certificates WHERE slot = ?1")?.execute([slot])?;
    let mut insert = connection.prepare_cached(
        "INSERT INTO certificates (slot, position, sequence_number, version, verify_key, signature)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
    )?;
    for (position, row) in (0_i64..).zip(rows) {
        insert.execute(params![
            slot,
            position,
            row.sequence_number,
            row.version.as_ref(),
            row.verify_key.as_ref(),
            row.signature.as_ref(),
        ])?;
    }
    Ok(())
}

fn write_ancestors(connection: &Connection, slot: i64, rows: &[HeaderRow]) -> rusqlite::Result<()> {
    connection.prepare_cached("DELETE FROM ancestors WHERE slot = ?1")?.execute([slot])?;
    let mut insert = connection.prepare_cached(
        "INSERT INTO ancestors (slot, position, header, verify_key, signature)
         VALUES (?1, ?2, ?3, ?4, ?5)",
    )?;
    for (position, row) in (0_i64..).zip(rows) {
        insert.execute(params![
            slot,
            position,
            row.header.as_ref(),
            row.verify_key.as_ref(),
            row.signature.as_ref(),
        ])?;
    }
    Ok(())
}

impl StoredHistory {
    /// None if the rows are no history as it is written.
    fn of(positions: &[i64], rows: &[HistoryRow]) -> Option<Self> {
        let first = positions.first().copied().unwrap_or(0);
        let follow = |pair: &[i64]| pair[0].checked_add(1) == Some(pair[1]);
        let records = rows.iter().map(|row| row.parse().ok()).collect::<Option<History>>()?;
        positions.windows(2).all(follow).then_some(Self { first, records })
    }

    /// Where the record of this index stands.
    fn position(&self, index: usize) -> i64 {
        self.first.saturating_add(i64::try_from(index).unwrap_or(i64::MAX))
    }
}

/// Writes what changed: a history forgets at its front and grows at its end.
fn write_history(
    connection: &Connection,
    old: &Stored,
    new: History,
) -> rusqlite::Result<StoredHistory> {
    let nothing = StoredHistory { first: 0, records: History::default() };
    let before = old.history.as_ref().unwrap_or(&nothing);
    let HistoryChange { forgotten, kept } = new.change_from(&before.records);
    if old.history.is_none() {
        connection.prepare_cached("DELETE FROM history WHERE slot = ?1")?.execute([old.slot])?;
    }
    let stored = StoredHistory { first: before.position(forgotten), records: new };
    if forgotten > 0 {
        connection
            .prepare_cached("DELETE FROM history WHERE slot = ?1 AND position < ?2")?
            .execute([old.slot, stored.first])?;
    }
    if forgotten + kept < before.records.len() {
        connection
            .prepare_cached("DELETE FROM history WHERE slot = ?1 AND position >= ?2")?
            .execute([old.slot, stored.position(kept)])?;
    }
    let mut insert = connection.prepare_cached(
        "INSERT INTO history
         (slot, position, attempt, version, predecessor, sequence_number, committed_at)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
    )?;
    for (index, record) in (kept..).zip(stored.records.from_index(kept)) {
        let row = HistoryRow::of(record)
            .map_err(|error| rusqlite::Error::ToSqlConversionFailure(Box::new(error)))?;
        insert.execute(params![
            old.slot,
            stored.position(index),
            row.attempt.as_ref(),
            row.version.as_ref(),
            row.predecessor.as_deref(),
            row.sequence_number,
            row.committed_at,
        ])?;
    }
    Ok(stored)
}

fn read_certificates(connection: &Connection, slot: i64) -> rusqlite::Result<Vec<CertificateRow>> {
    let mut statement = connection.prepare_cached(
        "SELECT sequence_number, version, verify_key, signature
         FROM certificates WHERE slot = ?1 ORDER BY position",
    )?;
    let rows = statement.query_map([slot], |row| {
        Ok(CertificateRow {
            sequence_number: row.get(0)?,
            version: blob(row, 1)?,
            verify_key: blob(row, 2)?,
            signature: blob(row, 3)?,
        })
    })?;
    rows.collect()
}

fn read_ancestors(connection: &Connection, slot: i64) -> rusqlite::Result<Vec<HeaderRow>> {
    let mut statement = connection.prepare_cached(
        "SELECT header, verify_key, signature FROM ancestors WHERE slot = ?1 ORDER BY position",
    )?;
    let rows = statement.query_map([slot], |row| read_header(row, 0))?;
    rows.collect()
}

fn read_history(
    connection: &Connection,
    slot: i64,
) -> rusqlite::Result<(Vec<i64>, Vec<HistoryRow>)> {
    let mut statement = connection.prepare_cached(
        "SELECT position, attempt, version, predecessor, sequence_number, committed_at
         FROM history WHERE slot = ?1 ORDER BY position",
    )?;
    let rows = statement.query_map([slot], |row| {
        Ok((
            row.get::<_, i64>(0)?,
            HistoryRow {
                attempt: blob(row, 1)?,
                version: blob(row, 2)?,
                predecessor: optional_blob(row, 3)?,
                sequence_number: row.get(4)?,
                committed_at: row.get(5)?,
            },
        ))
    })?;
    rows.collect()
}

fn revision(row: &Row<'_>, column: usize) -> rusqlite::Result<Revision> {
    let number: i64 = row.get(column)?;
    u64::try_from(number)
        .map(Revision)
        .map_err(|_| rusqlite::Error::IntegralValueOutOfRange(column, number))
}

/// The three columns of a signed header, from this one on.
fn read_header(row: &Row<'_>, first: usize) -> rusqlite::Result<HeaderRow> {
    Ok(HeaderRow {
        header: blob(row, first)?,
        verify_key: blob(row, first + 1)?,
        signature: blob(row, first + 2)?,
    })
}

/// A floor with a column missing is no absent floor: it becomes a header that does not verify.
fn read_floor(row: &Row<'_>) -> rusqlite::Result<Option<HeaderRow>> {
    let columns = [optional_blob(row, 2)?, optional_blob(row, 3)?, optional_blob(row, 4)?];
    if columns.iter().all(Option::is_none) {
        return Ok(None);
    }
    let [header, verify_key, signature] = columns.map(Option::unwrap_or_default);
    Ok(Some(HeaderRow { header, verify_key, signature }))
}

fn blob(row: &Row<'_>, column: usize) -> rusqlite::Result<Bytes> {
    row.get::<_, Vec<u8>>(column).map(Bytes::from)
}

fn optional_blob(row: &Row<'_>, column: usize) -> rusqlite::Result<Option<Bytes>> {
    Ok(row.get::<_, Option<Vec<u8>>>(column)?.map(Bytes::from))
}
