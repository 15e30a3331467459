//! The rows of a slot's generations, in and out of SQLite. What is the same stays untouched.

use std::collections::BTreeMap;

use bytes::Bytes;
use rusqlite::{Connection, params};

use super::super::rows::{ExtentRow, GenerationRow, ShareRow};
use super::{Stored, optional_blob, read_header};

/// Generations that stay keep their rows; a version is the same if its signed header is.
pub(super) fn write_generations(
    connection: &Connection,
    old: &Stored,
    new: &[GenerationRow],
) -> rusqlite::Result<()> {
    let mut kept: Vec<Option<usize>> = Vec::with_capacity(new.len());
    for row in new {
        let same = |at: &usize| {
            !kept.contains(&Some(*at)) && old.rows.generations[*at].header == row.header
        };
        kept.push((0..old.rows.generations.len()).find(same));
    }
    for (at, generation) in old.generations.iter().enumerate() {
        if !kept.contains(&Some(at)) {
            connection
                .prepare_cached("DELETE FROM generations WHERE generation = ?1")?
                .execute([generation])?;
        }
    }
    for ((position, row), kept) in (0_i64..).zip(new).zip(kept) {
        match kept {
            None => insert_generation(connection, old.slot, position, row)?,
            Some(at) => {
                let (generation, before) = (old.generations[at], &old.rows.generations[at]);
                connection
                    .prepare_cached(
                        "UPDATE generations SET position = ?2, conversation = ?3, page_roots = ?4
                         WHERE generation = ?1
                         AND (position <> ?2 OR conversation IS NOT ?3 OR page_roots IS NOT ?4)",
                    )?
                    .execute(params![
                        generation,
                        position,
                        row.conversation.as_deref(),
                        known(&row.page_roots),
                    ])?;
                write_contents(connection, generation, before, row)?;
            }
        }
    }
    Ok(())
}

fn insert_generation(
    connection: &Connection,
    slot: i64,
    position: i64,
    row: &GenerationRow,
) -> rusqlite::Result<()> {
    connection
        .prepare_cached(
            "INSERT INTO generations
             (slot, position, header, verify_key, signature, conversation, page_roots)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
        )?
        .execute(params![
            slot,
            position,
            row.header.header.as_ref(),
            row.header.verify_key.as_ref(),
            row.header.signature.as_ref(),
            row.conversation.as_deref(),
            known(&row.page_roots),
        ])?;
    let nothing = GenerationRow {
        header: row.header.clone(),
        conversation: None,
        shares: Vec::new(),
        extents: Vec::new(),
        page_roots: Bytes::new(),
    };
    write_contents(connection, connection.last_insert_rowid(), &nothing, row)
}

/// Shares and extents of a generation, by share: what is the same stays untouched.
fn write_contents(
    connection: &Connection,
    generation: i64,
    old: &GenerationRow,
    new: &GenerationRow,
) -> rusqlite::Result<()> {
    if old.shares != new.shares {
        connection
            .prepare_cached("DELETE FROM shares WHERE generation = ?1")?
            .execute([generation])?;
        let mut insert = connection
            .prepare_cached("INSERT INTO shares (generation, share, health) VALUES (?1, ?2, ?3)")?;
        for row in &new.shares {
            insert.execute([generation, row.share, row.health])?;
        }
    }
    let (old, new) = (by_share(&old.extents), by_share(&new.extents));
    let mut delete =
        connection.prepare_cached("DELETE FROM extents WHERE generation = ?1 AND share = ?2")?;
    for share in old.keys().filter(|share| old.get(share) != new.get(share)) {
        delete.execute([generation, *share])?;
    }
    let mut insert = connection.prepare_cached(
        "INSERT INTO extents (generation, share, position, chunk, start, length, inline)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
    )?;
    for (share, extents) in &new {
        if old.get(share) == Some(extents) {
            continue;
        }
        for (position, row) in (0_i64..).zip(*extents) {
            insert.execute(params![
                generation,
                share,
                position,
                row.chunk.as_deref(),
                row.start,
                row.length,
                row.inline.as_deref(),
            ])?;
        }
    }
    Ok(())
}

fn by_share(extents: &[ExtentRow]) -> BTreeMap<i64, &[ExtentRow]> {
    extents.chunk_by(|a, b| a.share == b.share).map(|run| (run[0].share, run)).collect()
}

/// Page roots that are not known are absent.
fn known(page_roots: &Bytes) -> Option<&[u8]> {
    (!page_roots.is_empty()).then_some(page_roots)
}

pub(super) fn read_generations(
    connection: &Connection,
    slot: i64,
) -> rusqlite::Result<(Vec<i64>, Vec<GenerationRow>)> {
    let mut statement = connection.prepare_cached(
        "SELECT generation, header, verify_key, signature, conversation, page_roots
         FROM generations WHERE slot = ?1 ORDER BY position",
    )?;
    let rows = statement.query_map([slot], |row| {
        let generation = row.get(0)?;
        Ok((
            generation,
            GenerationRow {
                header: read_header(row, 1)?,
                conversation: optional_blob(row, 4)?,
                shares: read_shares(connection, generation)?,
                extents: read_extents(connection, generation)?,
                page_roots: optional_blob(row, 5)?.unwrap_or_default(),
            },
        ))
    })?;
    rows.collect()
}

fn read_shares(connection: &Connection, generation: i64) -> rusqlite::Result<Vec<ShareRow>> {
    let mut statement = connection
        .prepare_cached("SELECT share, health FROM shares WHERE generation = ?1 ORDER BY share")?;
    let rows = statement
        .query_map([generation], |row| Ok(ShareRow { share: row.get(0)?, health: row.get(1)? }))?;
    rows.collect()
}

fn read_extents(connection: &Connection, generation: i64) -> rusqlite::Result<Vec<ExtentRow>> {
    let mut statement = connection.prepare_cached(
        "SELECT share, chunk, start, length, inline
         FROM extents WHERE generation = ?1 ORDER BY share, position",
    )?;
    let rows = statement.query_map([generation], |row| {
        Ok(ExtentRow {
            share: row.get(0)?,
            chunk: optional_blob(row, 1)?,
            start: row.get(2)?,
            length: row.get(3)?,
            inline: optional_blob(row, 4)?,
        })
    })?;
    rows.collect()
}
