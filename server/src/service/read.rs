//! Reading blocks and rows, for clients and for scrubbing. Nothing is given out that was not checked against the version's
//! table just before; what is found to be damaged is marked so. A version that was dropped meanwhile is gone, never damaged.

mod blocks;
mod rows;

use std::sync::Arc;

use bytes::Bytes;
use tarn_proto::state::ReadRefusal;
use tarn_proto::{Geometry, StorageIndex, Table, VersionId};
use tonic::Status;

use super::stream::{AnswerStream, Gone};
use crate::admission::Ticket;
use crate::hashing::{Hashing, Interrupted, Load};
use crate::manifest::{Content, StoredGeneration};
use crate::parse::{self, unavailable};
use crate::server::Server;
use crate::slot::Damage;
use crate::slots::{SlotHandle, refusal_of};
use crate::store::{Store, StoreError};

pub(super) use blocks::Blocks;
pub(super) use rows::Rows;

/// About so many bytes travel in one message.
pub(crate) const MESSAGE_BYTES: usize = 512 << 10;

/// A run of segments of one version.
#[derive(Debug, Clone, Copy)]
pub(super) struct Range {
    pub(super) storage_index: StorageIndex,
    version: VersionId,
    first: u32,
    count: u32,
}

impl Range {
    fn parse(storage_index: &[u8], version: &[u8], first: u32, count: u32) -> Result<Self, Status> {
        Ok(Self {
            storage_index: parse::id(storage_index)?,
            version: parse::id(version)?,
            first,
            count,
        })
    }

    /// The segments, if the version has them all.
    fn within(&self, geometry: &Geometry) -> Result<std::ops::Range<u32>, Halt> {
        match self.first.checked_add(self.count) {
            Some(end) if end <= geometry.segments() => Ok(self.first..end),
            Some(_) | None => Err(Halt::Refused(ReadRefusal::OutOfRange)),
        }
    }
}

/// Why a read ends before all was sent.
pub(crate) enum Halt {
    Refused(ReadRefusal),
    Failed(Status),
    /// What was being read is kept elsewhere now: look again and go on.
    Moved,
    Gone,
}

impl From<Interrupted> for Halt {
    fn from(stopping: Interrupted) -> Self {
        Self::Failed(Status::unavailable(stopping.to_string()))
    }
}

impl From<Gone> for Halt {
    fn from(Gone: Gone) -> Self {
        Self::Gone
    }
}

/// A request for a run of blocks or rows.
pub(super) trait Reading {
    type Answer: Send + 'static;

    fn token(&self) -> &str;
    fn range(&mut self) -> &mut Range;
    fn refused(refusal: ReadRefusal) -> Self::Answer;

    /// Sends what is asked from a generation. Moves the range on as it goes.
    fn send<S: Store>(
        &mut self,
        reader: &Reader<S>,
        generation: &StoredGeneration,
        stream: &AnswerStream<Self::Answer>,
    ) -> impl Future<Output = Result<(), Halt>> + Send;
}

/// Answers a request to its end. The ticket is kept until the client has taken the answers, or takes no more.
pub(super) async fn serve<S: Store, R: Reading>(
    server: Arc<Server<S>>,
    request: R,
    stream: AnswerStream<R::Answer>,
    ticket: Ticket,
) {
    answer(&server, request, &stream).await;
    stream.taken().await;
    drop(ticket);
}

async fn answer<S: Store, R: Reading>(
    server: &Server<S>,
    mut request: R,
    stream: &AnswerStream<R::Answer>,
) {
    let halt = if server.admits(request.token()) {
        let range = *request.range();
        let reader = Reader {
            handle: server.slots.get(range.storage_index),
            store: Arc::clone(&server.store),
            hashing: server.hashing(),
            version: range.version,
        };
        loop {
            let read = match reader.generation().await {
                Ok(generation) => request.send(&reader, &generation, stream).await,
                Err(halt) => Err(halt),
            };
            match read {
                Ok(()) => return,
                Err(Halt::Moved) => {}
                Err(halt) => break halt,
            }
        }
    } else {
        Halt::Refused(ReadRefusal::Unauthenticated)
    };
    let _ = match halt {
        Halt::Refused(refusal) => {
            tracing::debug!(%refusal, "read refused");
            stream.send(Ok(R::refused(refusal))).await
        }
        Halt::Failed(status) => stream.send(Err(status)).await,
        Halt::Moved | Halt::Gone => Ok(()),
    };
}

/// Reads one version of one slot.
pub(crate) struct Reader<S: Store> {
    pub(crate) handle: SlotHandle<S>,
    pub(crate) store: Arc<S>,
    pub(crate) hashing: Hashing,
    pub(crate) version: VersionId,
}

impl<S: Store> Reader<S> {
    /// What is held of the version now.
    async fn generation(&self) -> Result<StoredGeneration, Halt> {
        let slot = self.handle.lock().await.map_err(|error| failed(&error))?;
        let held = slot.slot().manifest().generation(self.version).cloned();
        held.ok_or(Halt::Refused(ReadRefusal::VersionGone))
    }

    /// The version's whole table, checked against its header.
    pub(crate) async fn table(&self, generation: &StoredGeneration) -> Result<Table, Halt> {
        let header = generation.header.clone();
        let length = header.header().geometry.table_length();
        let bytes = self.read(Damage::Table, &generation.table, 0, length).await?;
        let hashes = 2 * header.header().geometry.segments() as usize;
        let checked = self.hashing.run(Load { bytes: length, hashes }, move || {
            let header = header.header();
            Table::verify(&header.geometry, &header.table_root, bytes)
        });
        match checked.await? {
            Ok(table) => Ok(table),
            Err(_) => Err(self.damaged(Damage::Table, &generation.table).await),
        }
    }

    /// Bytes as the store has them: not checked yet.
    async fn read(
        &self,
        part: Damage,
        content: &Content,
        offset: u64,
        length: usize,
    ) -> Result<Bytes, Halt> {
        match self.store.read(content, offset, length).await {
            Ok(bytes) => Ok(bytes),
            Err(StoreError::Damaged) => Err(self.damaged(part, content).await),
            Err(error) => Err(failed(&error)),
        }
    }

    /// What was read is not what the table says. If it is still what the slot holds, the slot is told.
    async fn damaged(&self, part: Damage, read: &Content) -> Halt {
        let mut slot = match self.handle.lock().await {
            Ok(slot) => slot,
            Err(error) => return failed(&error),
        };
        if let Err(error) = slot.load().await {
            return failed(&error);
        }
        let Some(held) = slot.slot().manifest().generation(self.version) else {
            return Halt::Refused(ReadRefusal::VersionGone);
        };
        let held_content = match part {
            Damage::Table => Some(&held.table),
            Damage::Share(share) => held.shares.get(&share).map(|stored| &stored.content),
        };
        if held_content != Some(read) {
            return Halt::Moved;
        }
        let version = self.version;
        tracing::warn!(%version, ?part, "stored bytes are damaged");
        // A store that cannot take the mark has said so itself; the answer is the same.
        let _ = slot.change(|slot, _| Ok(slot.damaged(version, part))).await;
        Halt::Refused(ReadRefusal::ShareDamaged)
    }
}

fn failed(error: &StoreError) -> Halt {
    Halt::Failed(unavailable(refusal_of(error)))
}
