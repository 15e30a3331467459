//! Decisions of publishes, durable before they are carried out: the signed header and where it was sealed. One a task, the
//! newest.

use std::collections::BTreeSet;

use bytes::Bytes;
use rusqlite::{Connection, OptionalExtension, named_params};
use tarn_proto::{Signature, SignedHeader, StorageIndex, StoreId, VerifyKey};

use super::row::in_column;

use crate::publish::outcome::Landed;
use crate::queue::TaskId;

/// A signed header that is about to be committed, and the servers that sealed it.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::gateway) struct Journalled {
    pub(in crate::gateway) header: SignedHeader,
    pub(in crate::gateway) servers: BTreeSet<StoreId>,
}

impl Journalled {
    /// What the try may have left.
    pub(in crate::gateway) fn landed(self) -> Landed {
        Landed { header: self.header, accepted: BTreeSet::new(), unknown: self.servers }
    }
}

/// Only for a task that runs; whether it does.
pub(super) fn write(
    connection: &Connection,
    task: TaskId,
    entry: &Journalled,
) -> rusqlite::Result<bool> {
    let placement: Vec<u8> = entry.servers.iter().flat_map(|store| *store.as_bytes()).collect();
    let written = connection
        .prepare_cached(
            "INSERT OR REPLACE INTO journal (task, header, verify_key, signature, placement)
             SELECT :task, :header, :verify_key, :signature, :placement
             WHERE EXISTS (SELECT 1 FROM task WHERE id = :task AND state = 3)",
        )?
        .execute(named_params! {
            ":task": task.as_bytes(),
            ":header": entry.header.bytes().as_ref(),
            ":verify_key": entry.header.verify_key().as_bytes(),
            ":signature": entry.header.signature().as_bytes(),
            ":placement": placement,
        })?;
    Ok(written == 1)
}

/// The entry of a task of this file, if there is one.
pub(super) fn read(
    connection: &Connection,
    task: TaskId,
    file: StorageIndex,
) -> rusqlite::Result<Option<Journalled>> {
    connection
        .query_row(
            "SELECT header, verify_key, signature, placement FROM journal WHERE task = ?1",
            [task.as_bytes()],
            |row| {
                let header = Bytes::from(row.get::<_, Vec<u8>>(0)?);
                let verify_key: Vec<u8> = row.get(1)?;
                let verify_key = VerifyKey::parse(&verify_key).map_err(in_column(1))?;
                let signature = Signature::new(row.get(2)?);
                let header = SignedHeader::verify(file, header, verify_key, signature);
                let placement: Vec<u8> = row.get(3)?;
                let stores = placement.as_chunks::<16>().0.iter().map(|store| StoreId::new(*store));
                Ok(Journalled { header: header.map_err(in_column(0))?, servers: stores.collect() })
            },
        )
        .optional()
}
