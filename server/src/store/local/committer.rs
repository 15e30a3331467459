//! The one thread that changes manifests. It groups all changes that wait into one durable transaction and answers
//! them when that is on the disk; then it deletes the chunks that were dropped. Being the only one that changes which
//! chunks are named, it is also the only one that can tell garbage.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender};
use std::thread::{Builder, JoinHandle};
use std::time::Duration;
use std::{io, mem};

use rusqlite::{Connection, ErrorCode, TransactionBehavior};
use tarn_proto::StorageIndex;
use tokio::sync::oneshot;

use super::fault::{again, database};
use super::folder::Folder;
use super::holds::Holds;
use super::lately::StoredLately;
use super::rows::ManifestRows;
use super::sweeper::Bin;
use super::{lately, schema, tables};
use crate::manifest::{ChunkId, History};
use crate::store::{Revision, StoreError};

/// Most changes in one transaction.
const GROUP_MAX: usize = 256;

/// How often a commit in doubt is tried to be settled while nothing is to be changed.
const SETTLE_EVERY: Duration = Duration::from_secs(1);

/// What the committer is told.
#[derive(Debug)]
pub(super) enum Message {
    /// Change a slot.
    Replace(Box<Replace>),
    /// Nobody holds this chunk any more.
    Released(ChunkId),
    /// Finish what came before, then end.
    Stop,
}

/// A change that waits for its transaction.
#[derive(Debug)]
pub(super) struct Replace {
    pub(super) slot: StorageIndex,
    pub(super) expected: Option<Revision>,
    /// Without those of the history.
    pub(super) rows: ManifestRows,
    pub(super) history: History,
    pub(super) answer: oneshot::Sender<Result<Revision, StoreError>>,
}

/// The thread. Dropping it finishes what is queued and ends it.
#[derive(Debug)]
pub(super) struct Committer {
    queue: Sender<Message>,
    thread: Option<JoinHandle<()>>,
    standing: Arc<Standing>,
}

/// What others may know of the committer.
#[derive(Debug, Default)]
pub(super) struct Standing {
    /// A commit failed in a way that leaves open whether a crash would bring it back. Nothing may be said of any
    /// slot until that is settled.
    in_doubt: AtomicBool,
    transactions: AtomicU64,
}

impl Committer {
    pub(super) fn start(
        connection: Connection,
        folder: Folder,
        queue: Sender<Message>,
        inbox: Receiver<Message>,
        holds: Arc<Holds>,
        bin: Bin,
    ) -> io::Result<Self> {
        let standing = Arc::new(Standing::default());
        let worker = Worker {
            connection: Some(connection),
            stored: lately::none(),
            garbage: BTreeSet::new(),
            folder,
            holds,
            bin,
            standing: Arc::clone(&standing),
        };
        let thread =
            Builder::new().name("tarn-committer".into()).spawn(move || worker.run(&inbox))?;
        Ok(Self { queue, thread: Some(thread), standing })
    }

    /// Queues a change. It happens whether or not anybody waits for its answer.
    pub(super) fn submit(&self, replace: Replace) {
        // A replace that comes back is dropped, and its answer with it: the waiting side sees that.
        let _ = self.queue.send(Message::Replace(Box::new(replace)));
    }

    pub(super) fn standing(&self) -> &Arc<Standing> {
        &self.standing
    }
}

impl Drop for Committer {
    fn drop(&mut self) {
        // Both fail only if the thread is gone already, which is what is wanted.
        let _ = self.queue.send(Message::Stop);
        let _ = self.thread.take().map(JoinHandle::join);
    }
}

impl Standing {
    /// Refuses to say anything while a commit is in doubt.
    pub(super) fn check(&self) -> Result<(), StoreError> {
        if self.in_doubt.load(Ordering::Acquire) {
            return Err(StoreError::Io {
                operation: "settling a commit that failed",
                source: io::Error::other("the disk does not take writes"),
            });
        }
        Ok(())
    }

    /// How many durable transactions there were.
    pub(super) fn transactions(&self) -> u64 {
        self.transactions.load(Ordering::Relaxed)
    }
}

struct Worker {
    /// None after a failure, until it is opened again.
    connection: Option<Connection>,
    /// Slots changed lately, as they are stored: nobody else changes them.
    stored: StoredLately,
    /// Chunks that may be garbage, to be looked at as soon as there is a connection.
    garbage: BTreeSet<ChunkId>,
    folder: Folder,
    holds: Arc<Holds>,
    bin: Bin,
    standing: Arc<Standing>,
}

/// Why a whole group failed, and whether its commit may have reached the disk all the same.
struct GroupFailure {
    error: StoreError,
    in_doubt: bool,
}

/// A change that is applied, in a transaction that is not durable yet.
struct Applied {
    revision: Revision,
    /// Chunks the slot does not name any more.
    dropped: BTreeSet<ChunkId>,
}

/// What waits in the inbox.
#[derive(Default)]
struct Waiting {
    changes: Vec<Replace>,
    released: BTreeSet<ChunkId>,
    stop: bool,
}

impl Waiting {
    fn add(&mut self, message: Message) {
        match message {
            Message::Replace(replace) => self.changes.push(*replace),
            Message::Released(id) => {
                self.released.insert(id);
            }
            Message::Stop => self.stop = true,
        }
    }

    fn drain(&mut self, inbox: &Receiver<Message>) {
        while !self.stop && self.changes.len() < GROUP_MAX {
            match inbox.try_recv() {
                Ok(message) => self.add(message),
                Err(_) => return,
            }
        }
    }
}

impl Worker {
    fn run(mut self, inbox: &Receiver<Message>) {
        loop {
            let mut waiting = Waiting::default();
            match self.wait(inbox) {
                Ok(message) => waiting.add(message),
                Err(RecvTimeoutError::Timeout) => self.recover(),
                Err(RecvTimeoutError::Disconnected) => return,
            }
            waiting.drain(inbox);
            // A chunk released after a change was queued may be named by that change: commit first, then collect.
            if !waiting.changes.is_empty() {
                self.commit(&mut waiting, inbox);
            }
            self.garbage.append(&mut waiting.released);
            self.collect();
            if waiting.stop {
                return;
            }
        }
    }

    /// The next message. Without a connection, and so while a commit is in doubt, it is not waited for long: slots
    /// that nobody may speak of cannot be changed either, and then no message comes.
    fn wait(&self, inbox: &Receiver<Message>) -> Result<Message, RecvTimeoutError> {
        if self.connection.is_some() {
            inbox.recv().map_err(|_| RecvTimeoutError::Disconnected)
        } else {
            inbox.recv_timeout(SETTLE_EVERY)
        }
    }

    /// Connects again, which settles a commit in doubt. A failure is told to whoever asks for a change.
    fn recover(&mut self) {
        match self.connect() {
            Ok(connection) => self.connection = Some(connection),
            Err(GroupFailure { error, .. }) => {
                tracing::warn!(%error, "the database cannot be changed yet");
            }
        }
    }

    /// Commits and answers a group.
    fn commit(&mut self, waiting: &mut Waiting, inbox: &Receiver<Message>) {
        let done = self.connect().and_then(|mut connection| {
            let stored = &mut self.stored;
            let applied = apply_group(&mut connection, waiting, inbox, &self.folder, stored)?;
            self.connection = Some(connection);
            Ok(applied)
        });
        let changes = waiting.changes.drain(..);
        match done {
            Ok(results) => {
                self.standing.transactions.fetch_add(1, Ordering::Relaxed);
                for (change, result) in changes.zip(results) {
                    let answer = result.map(|applied| {
                        self.garbage.extend(applied.dropped);
                        applied.revision
                    });
                    // Whoever asked may have gone; the change is durable all the same.
                    let _ = change.answer.send(answer);
                }
            }
            Err(failure) => {
                // What was applied and is not durable was remembered too.
                self.stored = lately::none();
                tracing::error!(error = %failure.error, changes = changes.len(), "a commit failed");
                if failure.in_doubt {
                    self.standing.in_doubt.store(true, Ordering::Release);
                }
                // Settled now, or before the next group: either way before anybody is told what a slot holds.
                self.recover();
                for change in changes {
                    let _ = change.answer.send(Err(again(&failure.error)));
                }
            }
        }
    }

    /// The connection, taken out; whoever succeeds with it puts it back. A connection that failed is not trusted
    /// again: another one is opened. A commit in doubt is settled by a durable change that takes its place in the log.
    fn connect(&mut self) -> Result<Connection, GroupFailure> {
        let certain = |error| GroupFailure { error, in_doubt: false };
        let connection = match self.connection.take() {
            Some(connection) => connection,
            None => schema::open_writer(&self.folder.database()).map_err(certain)?,
        };
        if self.standing.in_doubt.load(Ordering::Acquire) {
            connection
                .execute("UPDATE store SET settled = settled + 1", [])
                .map_err(|error| certain(database("settling a commit that failed", error)))?;
            self.standing.in_doubt.store(false, Ordering::Release);
        }
        Ok(connection)
    }

    /// Deletes those of the candidates that nobody holds and no manifest names. Without a connection they wait.
    fn collect(&mut self) {
        let Some(connection) = self.connection.as_ref() else {
            return;
        };
        for id in mem::take(&mut self.garbage) {
            match tables::is_named(connection, id) {
                Ok(true) => {}
                Ok(false) if self.holds.claim(id) => self.bin.throw(self.folder.chunk(id)),
                Ok(false) => {}
                Err(error) => tracing::warn!(%error, "a chunk is kept until the next start"),
            }
        }
    }
}

/// Applies a group, joined by what came while the transaction waited to begin, and makes it durable.
fn apply_group(
    connection: &mut Connection,
    waiting: &mut Waiting,
    inbox: &Receiver<Message>,
    folder: &Folder,
    stored: &mut StoredLately,
) -> Result<Vec<Result<Applied, StoreError>>, GroupFailure> {
    let certain =
        |error| GroupFailure { error: database("changing slots", error), in_doubt: false };
    let mut transaction =
        connection.transaction_with_behavior(TransactionBehavior::Immediate).map_err(certain)?;
    waiting.drain(inbox);
    let mut results = Vec::with_capacity(waiting.changes.len());
    for change in &mut waiting.changes {
        let savepoint = transaction.savepoint().map_err(certain)?;
        let result = apply(&savepoint, change, folder, stored);
        match &result {
            Ok(_) => savepoint.commit().map_err(certain)?,
            Err(StoreError::Changed | StoreError::Damaged | StoreError::Io { .. }) => {
                savepoint.finish().map_err(certain)?;
            }
            Err(
                error @ (StoreError::NoSpace
                | StoreError::Database { .. }
                | StoreError::Unusable { .. }),
            ) => {
                return Err(GroupFailure { error: again(error), in_doubt: false });
            }
        }
        results.push(result);
    }
    transaction.commit().map_err(|error| {
        let error = database("committing", error);
        // A full disk cuts the log short of its commit mark. After any other failure the mark may be there.
        let in_doubt = !matches!(error, StoreError::NoSpace);
        GroupFailure { error, in_doubt }
    })?;
    Ok(results)
}

/// Applies one change, if its revision still stands.
fn apply(
    connection: &Connection,
    change: &mut Replace,
    folder: &Folder,
    stored: &mut StoredLately,
) -> Result<Applied, StoreError> {
    let failed = |error: rusqlite::Error| {
        // Rows and indices that contradict each other: no manifest of ours breaks a constraint by itself.
        if error.sqlite_error_code() == Some(ErrorCode::ConstraintViolation) {
            tracing::error!(slot = %change.slot, %error, "the database is damaged");
            StoreError::Damaged
        } else {
            database("changing a slot", error)
        }
    };
    // Taken out, so that nothing is remembered of a change that fails.
    let old = match stored.remove(&change.slot) {
        Some((_, old)) => Some(old),
        None => tables::load(connection, change.slot).map_err(failed)?,
    };
    if old.as_ref().map(|old| old.revision) != change.expected {
        return Err(StoreError::Changed);
    }
    let before: BTreeSet<ChunkId> = old.iter().flat_map(|old| old.rows.chunks()).collect();
    let after: BTreeSet<ChunkId> = change.rows.chunks().collect();
    // A manifest must not become durable before its chunks are: one that was collected meanwhile is gone for good.
    if after.difference(&before).any(|id| !folder.chunk(*id).exists()) {
        return Err(StoreError::Damaged);
    }
    let (rows, history) = (mem::take(&mut change.rows), mem::take(&mut change.history));
    let new = tables::write(connection, change.slot, old.as_ref(), rows, history);
    let new = new.map_err(failed)?;
    let revision = new.revision;
    stored.insert(change.slot, new);
    Ok(Applied { revision, dropped: before.difference(&after).copied().collect() })
}
