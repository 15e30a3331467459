//! The journal: what a publish is about to commit, written durably before its first Commit and cleared at its
//! outcome. A process that was killed in between finds here what it has to settle.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

use rusqlite::{Connection, Row, named_params};
use tarn_proto::{Signature, SignedHeader, StorageIndex, StoreId, VerifyKey, VersionId};

use super::record::{bytes, parsed, seconds, seconds_to_sql};
use super::{Names, NamesError};
use crate::clock::UnixSeconds;

/// One publish that may have committed something.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct JournalEntry {
    /// The version, as it was signed; it names the file and the attempt.
    pub(crate) signed: SignedHeader,
    /// Which share was sealed where.
    pub(crate) placement: serde_json::Value,
    /// When it was written.
    pub(crate) written_at: UnixSeconds,
    /// Where its content is: the published file, or what came through a pipe; none if it was kept nowhere.
    pub(crate) input: Option<PathBuf>,
    /// Whether it changes a part of the file: its content cannot be had from its input.
    pub(crate) part: bool,
}

impl JournalEntry {
    /// The servers on which it was sealed: any of them may have committed it.
    pub(crate) fn servers(&self) -> BTreeSet<StoreId> {
        let servers = self.placement.as_object().into_iter().flat_map(|servers| servers.keys());
        servers.filter_map(|store| store.parse().ok()).collect()
    }
}

impl Names {
    /// Writes an entry; durable when this returns.
    pub(crate) fn journal_write(&mut self, entry: &JournalEntry) -> Result<(), NamesError> {
        let header = entry.signed.header();
        self.connection
            .execute(
                "INSERT OR REPLACE INTO journal
                    (version, attempt, storage_index, header, verify_key, signature, placement, written_at, input, part)
                 VALUES (:version, :attempt, :storage_index, :header, :verify_key, :signature, :placement, :written_at,
                         :input, :part)",
                named_params! {
                    ":version": entry.signed.version().as_bytes(),
                    ":attempt": header.attempt.as_bytes(),
                    ":storage_index": header.storage_index.as_bytes(),
                    ":header": entry.signed.bytes().as_ref(),
                    ":verify_key": entry.signed.verify_key().as_bytes(),
                    ":signature": entry.signed.signature().as_bytes(),
                    ":placement": entry.placement.to_string(),
                    ":written_at": seconds_to_sql(entry.written_at),
                    ":input": entry.input.as_ref().map(|path| path.as_os_str().as_bytes()),
                    ":part": entry.part,
                },
            )
            .map_err(NamesError::during("journal the publish", &self.file))?;
        Ok(())
    }

    /// Removes a version's entry: its outcome is known. One attempt may have signed several.
    pub(crate) fn journal_clear(&mut self, version: VersionId) -> Result<(), NamesError> {
        self.connection
            .execute("DELETE FROM journal WHERE version = ?1", [version.as_bytes()])
            .map_err(NamesError::during("clear the journal", &self.file))?;
        Ok(())
    }

    /// The entries that are not settled, of one file or of all, oldest first. Other commands that still run have theirs
    /// here too.
    pub(crate) fn journal_pending(
        &self,
        file: Option<StorageIndex>,
    ) -> Result<Vec<JournalEntry>, NamesError> {
        let failed = NamesError::during("read the journal", &self.file);
        let mut statement = self
            .connection
            .prepare(
                "SELECT * FROM journal WHERE ?1 IS NULL OR storage_index = ?1
                 ORDER BY written_at, version",
            )
            .map_err(&failed)?;
        let file = file.map(|file| *file.as_bytes());
        let rows = statement.query_map([file], read).map_err(&failed)?;
        rows.collect::<Result<_, _>>().map_err(&failed)
    }
}

pub(super) fn is_pending(connection: &Connection, file: StorageIndex) -> rusqlite::Result<bool> {
    connection.query_row(
        "SELECT EXISTS (SELECT 1 FROM journal WHERE storage_index = ?1)",
        [file.as_bytes()],
        |row| row.get(0),
    )
}

fn read(row: &Row<'_>) -> rusqlite::Result<JournalEntry> {
    let file: StorageIndex = bytes(row, "storage_index")?;
    let header: Vec<u8> = row.get("header")?;
    let verify_key: Vec<u8> = row.get("verify_key")?;
    let verify_key = parsed("verify_key", VerifyKey::parse(&verify_key))?;
    let signature: Signature = bytes(row, "signature")?;
    let signed = SignedHeader::verify(file, header.into(), verify_key, signature);
    let placement: String = row.get("placement")?;
    Ok(JournalEntry {
        signed: parsed("header", signed)?,
        placement: parsed("placement", placement.parse())?,
        written_at: seconds(row, "written_at")?,
        input: row
            .get::<_, Option<Vec<u8>>>("input")?
            .map(|path| PathBuf::from(OsStr::from_bytes(&path))),
        part: row.get("part")?,
    })
}
