//! The local engine: manifests as rows in SQLite, chunks as files, all in one folder on one disk. Knows no rule of
//! slots, and trusts nothing it reads back.
//!
//! ```text
//! folder/               owner only
//!   lock                held while the store is open
//!   slots.sqlite        the store id, and every slot's manifest
//!   staging/            chunks being written; emptied when the store is opened
//!   chunks/             finished chunks, named by their ids
//! ```
//!
//! ```text
//!  replace ──▶ queue ──▶ committer thread: one durable transaction for all that wait ──▶ answers
//!                             │ chunks no manifest names and nobody holds
//!                             ▼
//!                        sweeper thread: removes files
//!  load ────▶ blocking thread, a read connection
//!  chunk, read ──▶ blocking threads
//! ```
//!
//! A chunk is written under `staging/`, synced, moved to `chunks/`, the folder synced; only then can a manifest name
//! it. It is deleted only after the manifest that dropped it is durable and no pin or read holds it.

mod chunks;
mod committer;
mod error;
mod fault;
mod folder;
mod holds;
mod lately;
mod readers;
pub mod rows;
mod schema;
mod sweeper;
mod tables;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::fmt;
use std::path::Path;
use std::sync::mpsc::channel;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use rand::Rng;
use rusqlite::Connection;
use tarn_proto::{StorageIndex, StoreId};
use tokio::sync::oneshot;

use self::chunks::Chunks;
pub use self::chunks::LocalChunk;
use self::committer::{Committer, Replace};
pub use self::error::{InitError, OpenError};
use self::fault::blocking;
use self::folder::{Folder, FolderLock};
use self::holds::Holds;
use self::readers::Readers;
use self::rows::{ManifestRows, RowError};
use self::schema::Found;
use self::sweeper::Sweeper;
use crate::manifest::{ChunkId, Content, Manifest};
use crate::store::{Pin, Revision, Space, Store, StoreError};

/// A store in a folder. One at a time has it open. Dropping it ends its threads when all that was queued is done,
/// which waits for the disk.
pub struct LocalStore {
    id: StoreId,
    recovered: Option<Recovered>,
    folder: Folder,
    reserve_bytes: u64,
    readers: Arc<Readers>,
    chunks: Arc<Chunks>,
    // Fields are dropped in this order: the committer feeds the sweeper, and both need the folder.
    committer: Committer,
    _sweeper: Sweeper,
    _lock: FolderLock,
}

/// What changes of manifests may take of the disk, beside what shares do: the database's log grows before its file does.
/// A store that let shares have it would promise what it cannot commit.
const CHANGE_BYTES: u64 = 512 << 10;

/// What was in a store when it was opened, and what an earlier process had left unfinished there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Recovered {
    /// Slots that were ever written.
    pub slots: u64,
    /// Chunks that they lie in.
    pub chunks: usize,
    /// Chunks that were being written. They were removed.
    pub unfinished: usize,
    /// Chunks that no slot names. They were removed.
    pub unnamed: usize,
}

impl fmt::Display for Recovered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { slots, chunks, unfinished, unnamed } = self;
        write!(
            f,
            "{slots} slots and {chunks} chunks; removed {unfinished} unfinished chunks and {unnamed} that no slot names"
        )
    }
}

impl LocalStore {
    /// Makes an empty or missing folder a store, and draws its id. Waits for the disk.
    pub fn init(path: &Path, rng: &mut (impl Rng + ?Sized)) -> Result<StoreId, InitError> {
        let folder = Folder::at(path);
        let failed = |error| fault::io("making the store's folder", error);
        let whose = || path.to_path_buf();
        let unused = folder.is_unused().map_err(failed)?;
        if !unused && !folder.has_database() {
            return Err(InitError::NotEmpty { folder: whose() });
        }
        folder.make().map_err(failed)?;
        let _lock =
            folder.lock().map_err(failed)?.ok_or_else(|| InitError::InUse { folder: whose() })?;
        if inspect(&folder)? == Found::Store {
            return Err(InitError::AlreadyInitialised { folder: whose() });
        }
        if !unused {
            return Err(InitError::NotEmpty { folder: whose() });
        }
        folder.lay_out().map_err(failed)?;
        folder.sync().map_err(failed)?;
        let id = draw_id(rng);
        schema::create(&folder.database(), id)?;
        Ok(id)
    }

    /// Opens a store, and removes what an earlier process left unfinished. `reserve_bytes` of the disk are never
    /// offered to anybody; `rng` draws the ids of chunks. Waits for the disk.
    pub fn open(
        path: &Path,
        reserve_bytes: u64,
        rng: impl Rng + Send + 'static,
    ) -> Result<Self, OpenError> {
        let (folder, lock) = take(path)?;
        let failed = |error| fault::io("opening the store's folder", error);
        folder.lay_out().map_err(failed)?;
        folder.sync().map_err(failed)?;
        let mut connection = schema::open_writer(&folder.database())?;
        schema::upgrade(&mut connection)?;
        let id = schema::read_id(&connection)?;
        let recovered = clean(&folder, &connection)?;

        let sweeper = Sweeper::start().map_err(failed)?;
        let (queue, inbox) = channel();
        let holds = Arc::new(Holds::new(queue.clone()));
        let committer = Committer::start(
            connection,
            folder.clone(),
            queue,
            inbox,
            Arc::clone(&holds),
            sweeper.bin(),
        )
        .map_err(failed)?;
        Ok(Self {
            id,
            recovered,
            reserve_bytes,
            readers: Arc::new(Readers::of(folder.database())),
            chunks: Arc::new(Chunks {
                folder: folder.clone(),
                holds,
                bin: sweeper.bin(),
                rng: Mutex::new(Box::new(rng)),
            }),
            folder,
            committer,
            _sweeper: sweeper,
            _lock: lock,
        })
    }

    /// Gives a store another id: for a folder restored from a copy, which is not the member that the copy was made
    /// of. Waits for the disk.
    pub fn draw_new_id(path: &Path, rng: &mut (impl Rng + ?Sized)) -> Result<StoreId, OpenError> {
        let (folder, _lock) = take(path)?;
        let id = draw_id(rng);
        schema::write_id(&folder.database(), id)?;
        Ok(id)
    }

    /// What was found when it was opened; none if its database is too damaged to tell.
    pub const fn recovered(&self) -> Option<&Recovered> {
        self.recovered.as_ref()
    }

    /// How many durable transactions there were since the store was opened.
    pub fn transactions(&self) -> u64 {
        self.committer.standing().transactions()
    }
}

impl Store for LocalStore {
    type Chunk = LocalChunk;

    fn id(&self) -> StoreId {
        self.id
    }

    async fn space(&self) -> Result<Space, StoreError> {
        let (path, reserve) = (self.folder.path().to_path_buf(), self.reserve_bytes);
        blocking(move || {
            let disk = rustix::fs::statvfs(&path)
                .map_err(|error| fault::io("asking for free space", error.into()))?;
            let free = disk.f_bavail.saturating_mul(disk.f_frsize);
            Ok(Space { free_bytes: free.saturating_sub(reserve.max(CHANGE_BYTES)) })
        })
        .await
    }

    async fn load(&self, slot: StorageIndex) -> Result<Option<(Manifest, Revision)>, StoreError> {
        let readers = Arc::clone(&self.readers);
        let standing = Arc::clone(self.committer.standing());
        blocking(move || {
            let stored = readers.load(slot)?;
            // Asked last: what was read before a commit came into doubt must not be told after.
            standing.check()?;
            let Some(stored) = stored else {
                return Ok(None);
            };
            match stored.rows.parse(slot) {
                Ok(manifest) => Ok(Some((manifest, stored.revision))),
                Err(error) => {
                    tracing::warn!(%slot, %error, "a slot's manifest is damaged");
                    Err(StoreError::Damaged)
                }
            }
        })
        .await
    }

    async fn slots(
        &self,
        after: Option<StorageIndex>,
        most: usize,
    ) -> Result<Vec<StorageIndex>, StoreError> {
        let readers = Arc::clone(&self.readers);
        blocking(move || readers.slots(after, most)).await
    }

    async fn replace(
        &self,
        slot: StorageIndex,
        expected: Option<Revision>,
        manifest: Manifest,
    ) -> Result<Revision, StoreError> {
        let rows = ManifestRows::without_history(slot, &manifest).map_err(unfit)?;
        let (answer, answered) = oneshot::channel();
        let history = manifest.history;
        self.committer.submit(Replace { slot, expected, rows, history, answer });
        answered.await.unwrap_or_else(|_| {
            Err(StoreError::Io {
                operation: "handing a change to the committer",
                source: std::io::Error::other("it has ended"),
            })
        })
    }

    async fn chunk(&self) -> Result<LocalChunk, StoreError> {
        Ok(self.chunks.begin())
    }

    fn pin(&self, ids: &BTreeSet<ChunkId>) -> Pin {
        self.chunks.pin(ids)
    }

    async fn read(
        &self,
        content: &Content,
        offset: u64,
        length: usize,
    ) -> Result<Bytes, StoreError> {
        self.chunks.read(content, offset, length).await
    }
}

/// Locks the folder of a store of our format.
fn take(path: &Path) -> Result<(Folder, FolderLock), OpenError> {
    let folder = Folder::at(path);
    let whose = || path.to_path_buf();
    if !folder.has_database() {
        return Err(OpenError::NotInitialised { folder: whose() });
    }
    let lock = folder
        .lock()
        .map_err(|error| fault::io("locking the store's folder", error))?
        .ok_or_else(|| OpenError::InUse { folder: whose() })?;
    if inspect(&folder)? == Found::Empty {
        return Err(OpenError::NotInitialised { folder: whose() });
    }
    Ok((folder, lock))
}

/// Only under the folder's lock: closing the file would drop the locks SQLite holds on it in this process.
fn inspect(folder: &Folder) -> Result<Found, StoreError> {
    if folder.has_database() { schema::inspect(&folder.database()) } else { Ok(Found::Empty) }
}

/// Removes unfinished chunks and those that no manifest names.
fn clean(folder: &Folder, connection: &Connection) -> Result<Option<Recovered>, StoreError> {
    let failed = |error| fault::io("cleaning the store's folder", error);
    let staged = folder.list_staged().map_err(failed)?;
    for path in &staged {
        folder::remove_file(path).map_err(failed)?;
    }
    let read = || -> rusqlite::Result<_> {
        Ok((tables::count_slots(connection)?, tables::named_chunks(connection)?))
    };
    let (slots, named) = match read() {
        Ok(read) => read,
        Err(error) => {
            tracing::error!(%error, "the database is damaged: chunks nobody names are kept");
            return Ok(None);
        }
    };
    let mut orphans = folder.list_chunks().map_err(failed)?;
    orphans.retain(|id| !named.contains(id));
    for id in &orphans {
        folder::remove_file(&folder.chunk(*id)).map_err(failed)?;
    }
    let (chunks, unfinished, unnamed) = (named.len(), staged.len(), orphans.len());
    tracing::info!(slots, chunks, unfinished, unnamed, "opened the store");
    Ok(Some(Recovered { slots, chunks, unfinished, unnamed }))
}

fn draw_id(rng: &mut (impl Rng + ?Sized)) -> StoreId {
    let mut bytes = [0; StoreId::WIDTH];
    rng.fill_bytes(&mut bytes);
    StoreId::new(bytes)
}

/// A manifest that no slot could have: whoever made it is at fault.
fn unfit(error: RowError) -> StoreError {
    StoreError::Io {
        operation: "storing a manifest",
        source: std::io::Error::new(std::io::ErrorKind::InvalidInput, error),
    }
}
