//! Rows of the record, and what their columns mean.

use std::collections::BTreeMap;

use bytes::Bytes;
use prost::Message;
use rusqlite::types::Type;
use rusqlite::{Connection, OptionalExtension, Row as SqlRow, named_params};
use tarn_proto::gateway as wire;
use tarn_proto::{AttemptId, SequenceNumber, Shape, StorageIndex, StoreId, VersionId, Window};

use super::journal::{self, Journalled};
use crate::base::HighWater;
use crate::gateway::clock::UnixMillis;
use crate::gateway::submission::{Named, Staged};
use crate::queue::{Caller, Key, State, TaskId, Verdict};

/// A task as it is on record.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::gateway) struct Row {
    pub(in crate::gateway) number: u64,
    pub(in crate::gateway) task: TaskId,
    pub(in crate::gateway) file: StorageIndex,
    pub(in crate::gateway) caller: Caller,
    pub(in crate::gateway) key: Option<Key>,
    pub(in crate::gateway) labels: BTreeMap<String, String>,
    pub(in crate::gateway) ticket: Named,
    /// The version that it must follow, once that was known when it ran.
    pub(in crate::gateway) follows: Option<VersionId>,
    pub(in crate::gateway) length: u64,
    pub(in crate::gateway) sha256: [u8; 32],
    pub(in crate::gateway) state: State,
    /// Whether it was called off while it ran.
    pub(in crate::gateway) cancelled: bool,
    pub(in crate::gateway) outcome: Option<wire::Outcome>,
    pub(in crate::gateway) submitted_at: UnixMillis,
    pub(in crate::gateway) ended_at: Option<UnixMillis>,
}

/// The columns of a [`Row`], in the order in which they are read.
pub(super) const COLUMNS: &str =
    "number, id, file, caller, key, labels, ticket, ticket_name, follows, length, sha256,
    state, outcome, submitted_at, ended_at, cancelled";

/// What a run of a task needs.
#[derive(Debug)]
pub(in crate::gateway) struct Work {
    pub(in crate::gateway) file: StorageIndex,
    pub(in crate::gateway) sealed_cap: Vec<u8>,
    pub(in crate::gateway) attempt: AttemptId,
    /// Whether other gateways may have published it under the same key.
    pub(in crate::gateway) is_keyed: bool,
    pub(in crate::gateway) shape: Option<Shape>,
    pub(in crate::gateway) content: Staged,
    /// What an earlier run was about to commit.
    pub(in crate::gateway) journalled: Option<Journalled>,
    pub(in crate::gateway) known: FileRow,
}

/// What a gateway remembers of a file.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::gateway) struct FileRow {
    pub(in crate::gateway) file: StorageIndex,
    pub(in crate::gateway) window: Option<Window>,
    pub(in crate::gateway) shape: Option<Shape>,
    pub(in crate::gateway) high_water: Option<HighWater>,
}

impl FileRow {
    /// Nothing is remembered of it.
    pub(in crate::gateway) const fn unknown(file: StorageIndex) -> Self {
        Self { file, window: None, shape: None, high_water: None }
    }
}

/// A task that another is to follow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::gateway) struct Predecessor {
    pub(in crate::gateway) file: StorageIndex,
    /// None while it is pending; then what it became, if it was published.
    pub(in crate::gateway) ended: Option<Option<VersionId>>,
}

impl Row {
    pub(super) fn read(row: &SqlRow<'_>) -> rusqlite::Result<Self> {
        let labels: Vec<u8> = row.get(5)?;
        let labels = wire::Task::decode(labels.as_slice()).map_err(in_column(5))?.labels;
        let outcome: Option<Vec<u8>> = row.get(12)?;
        let outcome = outcome.map(|bytes| wire::Outcome::decode(bytes.as_slice())).transpose();
        Ok(Self {
            number: from_sql(row.get(0)?),
            task: TaskId::new(row.get(1)?),
            file: StorageIndex::new(row.get(2)?),
            caller: Caller(row.get(3)?),
            key: key(row.get(4)?)?,
            labels,
            ticket: named(row.get(6)?, row.get(7)?)?,
            follows: row.get::<_, Option<[u8; 32]>>(8)?.map(VersionId::new),
            length: from_sql(row.get(9)?),
            sha256: row.get(10)?,
            state: state(row.get(11)?)?,
            cancelled: row.get(15)?,
            outcome: outcome.map_err(in_column(12))?,
            submitted_at: UnixMillis(from_sql(row.get(13)?)),
            ended_at: row.get::<_, Option<i64>>(14)?.map(|time| UnixMillis(from_sql(time))),
        })
    }
}

/// What a run of this task needs; none if it is gone or has ended.
pub(super) fn work(connection: &Connection, task: TaskId) -> rusqlite::Result<Option<Work>> {
    let work = connection
        .query_row(
            "SELECT file, cap, attempt, k, happy, n, length, sha256, body, key IS NOT NULL
             FROM task WHERE id = ?1 AND state <> 4",
            [task.as_bytes()],
            |row| {
                let file = StorageIndex::new(row.get(0)?);
                Ok(Work {
                    file,
                    sealed_cap: row.get(1)?,
                    attempt: AttemptId::new(row.get(2)?),
                    is_keyed: row.get(9)?,
                    shape: shape(row, 3)?,
                    content: Staged {
                        length: from_sql(row.get(6)?),
                        sha256: row.get(7)?,
                        inline: row.get::<_, Option<Vec<u8>>>(8)?.map(Bytes::from),
                    },
                    journalled: journal::read(connection, task, file)?,
                    known: FileRow::unknown(file),
                })
            },
        )
        .optional()?;
    let Some(mut work) = work else { return Ok(None) };
    if let Some(known) = known_file(connection, work.file)? {
        work.known = known;
    }
    Ok(Some(work))
}

pub(super) fn predecessor(
    connection: &Connection,
    task: TaskId,
) -> rusqlite::Result<Option<Predecessor>> {
    connection
        .prepare_cached("SELECT file, state, version FROM task WHERE id = ?1")?
        .query_row([task.as_bytes()], |row| {
            let version = row.get::<_, Option<[u8; 32]>>(2)?.map(VersionId::new);
            let ended = (row.get::<_, i64>(1)? == ENDED).then_some(version);
            Ok(Predecessor { file: StorageIndex::new(row.get(0)?), ended })
        })
        .optional()
}

pub(super) fn known_file(
    connection: &Connection,
    file: StorageIndex,
) -> rusqlite::Result<Option<FileRow>> {
    connection
        .prepare_cached(
            "SELECT k, happy, n, window, sequence_number, version FROM file WHERE storage_index = ?1",
        )?
        .query_row([file.as_bytes()], |row| {
            let window: Option<Vec<u8>> = row.get(3)?;
            let window = window.map(|bytes| window_of(&bytes).ok_or_else(|| bad(3, "a window")));
            let number: Option<i64> = row.get(4)?;
            let version: Option<[u8; 32]> = row.get(5)?;
            let high_water = number.zip(version).map(|(number, version)| {
                let sequence_number = SequenceNumber::try_from(from_sql(number));
                let sequence_number = sequence_number.map_err(in_column(4))?;
                let version = VersionId::new(version);
                Ok::<_, rusqlite::Error>(HighWater { sequence_number, version })
            });
            Ok(FileRow {
                file,
                window: window.transpose()?,
                shape: shape(row, 0)?,
                high_water: high_water.transpose()?,
            })
        })
        .optional()
}

/// A window that was known stays: it is in the headers of the file.
pub(super) fn insert_file(connection: &Connection, file: &FileRow) -> rusqlite::Result<()> {
    let shape = file.shape;
    connection
        .prepare_cached(
            "INSERT INTO file (storage_index, window, k, happy, n)
             VALUES (:file, :window, :k, :happy, :n)
             ON CONFLICT (storage_index) DO UPDATE SET
                 window = coalesce(file.window, excluded.window),
                 k = coalesce(file.k, excluded.k),
                 happy = coalesce(file.happy, excluded.happy),
                 n = coalesce(file.n, excluded.n)",
        )?
        .execute(named_params! {
            ":file": file.file.as_bytes(),
            ":window": file.window.as_ref().map(window_bytes),
            ":k": shape.map(|shape| shape.k()),
            ":happy": shape.map(|shape| shape.happy()),
            ":n": shape.map(|shape| shape.n()),
        })?;
    Ok(())
}

pub(super) fn raise_high_water(
    connection: &Connection,
    file: StorageIndex,
    outcome: &wire::Outcome,
) -> rusqlite::Result<()> {
    if outcome.sequence_number == 0 {
        return Ok(());
    }
    connection
        .prepare_cached(
            "INSERT INTO file (storage_index, sequence_number, version)
             VALUES (:file, :sequence_number, :version)
             ON CONFLICT (storage_index) DO UPDATE
             SET sequence_number = excluded.sequence_number, version = excluded.version
             WHERE file.sequence_number IS NULL
                OR (excluded.sequence_number, excluded.version) > (file.sequence_number, file.version)",
        )?
        .execute(named_params! {
            ":file": file.as_bytes(),
            ":sequence_number": to_sql(outcome.sequence_number),
            ":version": outcome.version.as_ref(),
        })?;
    Ok(())
}

const ENDED: i64 = 4;

pub(super) const fn state_to_sql(state: &State) -> i64 {
    match state {
        State::Held => 1,
        State::Queued => 2,
        State::Running => 3,
        State::Ended(_) => ENDED,
    }
}

fn state(code: i64) -> rusqlite::Result<State> {
    match code {
        1 => Ok(State::Held),
        2 => Ok(State::Queued),
        3 => Ok(State::Running),
        // How it ended is in its outcome.
        ENDED => Ok(State::Ended(Verdict::Reported)),
        _ => Err(bad(11, "a state")),
    }
}

pub(super) fn named_to_sql(named: &Named) -> (i64, Option<&[u8]>) {
    match named {
        Named::Overwrite => (0, None),
        Named::Create => (1, None),
        Named::Version(version) => (2, Some(version.as_bytes())),
        Named::Task(task) => (3, Some(task.as_bytes())),
        Named::Key(key) => (4, Some(key.as_bytes())),
    }
}

fn named(kind: i64, name: Option<Vec<u8>>) -> rusqlite::Result<Named> {
    let name = name.unwrap_or_default();
    let named = match kind {
        0 => Some(Named::Overwrite),
        1 => Some(Named::Create),
        2 => name.as_slice().try_into().ok().map(|id| Named::Version(VersionId::new(id))),
        3 => name.as_slice().try_into().ok().map(|id| Named::Task(TaskId::new(id))),
        4 => Key::new(&name).ok().map(Named::Key),
        _ => None,
    };
    named.ok_or_else(|| bad(6, "a ticket"))
}

fn key(bytes: Option<Vec<u8>>) -> rusqlite::Result<Option<Key>> {
    bytes.map(|bytes| Key::new(&bytes).map_err(in_column(4))).transpose()
}

fn shape(row: &SqlRow<'_>, first: usize) -> rusqlite::Result<Option<Shape>> {
    let number = |column| row.get::<_, Option<u32>>(column);
    let (k, happy, n) = (number(first)?, number(first + 1)?, number(first + 2)?);
    match (k, happy, n) {
        (Some(k), Some(happy), Some(n)) => {
            Shape::new(k, happy, n).map(Some).map_err(in_column(first))
        }
        _ => Ok(None),
    }
}

/// Store ids, one after another.
fn window_bytes(window: &Window) -> Vec<u8> {
    window.stores().iter().flat_map(|store| *store.as_bytes()).collect()
}

/// How a file began, as it is given along: k, happy and n, two bytes each, then its window.
pub fn origin_bytes(shape: Shape, window: &Window) -> Vec<u8> {
    let numbers = [shape.k(), shape.happy(), shape.n()];
    let numbers = numbers.iter().flat_map(|&number| u16::from(number).to_be_bytes());
    numbers.chain(window_bytes(window)).collect()
}

/// What these bytes say of how a file began, if they say anything.
pub fn origin_of(bytes: &[u8]) -> Option<(Shape, Window)> {
    let (numbers, window) = bytes.split_first_chunk::<6>()?;
    let number = |at: usize| u32::from(u16::from_be_bytes([numbers[at], numbers[at + 1]]));
    let shape = Shape::new(number(0), number(2), number(4)).ok()?;
    Some((shape, window_of(window)?))
}

/// The window of these bytes, if they are one.
fn window_of(bytes: &[u8]) -> Option<Window> {
    let (stores, rest) = bytes.as_chunks::<16>();
    let stores = stores.iter().map(|store| StoreId::new(*store)).collect();
    if rest.is_empty() { Window::new(stores).ok() } else { None }
}

/// SQLite's integers are signed; no length, time or number of ours comes near their end.
pub(super) fn to_sql(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

fn from_sql(number: i64) -> u64 {
    u64::try_from(number).unwrap_or_default()
}

fn bad(column: usize, what: &str) -> rusqlite::Error {
    rusqlite::Error::FromSqlConversionFailure(column, Type::Blob, format!("not {what}").into())
}

pub(super) fn in_column<E: std::error::Error + Send + Sync + 'static>(
    column: usize,
) -> impl Fn(E) -> rusqlite::Error {
    move |error| rusqlite::Error::FromSqlConversionFailure(column, Type::Blob, Box::new(error))
}
