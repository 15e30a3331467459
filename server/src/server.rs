//! What all calls of one running server share.

use std::sync::{Arc, Mutex, PoisonError};

use tarn_proto::Refusal;
use tarn_proto::known::Known;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::admission::Ledger;
use crate::clock::{Clock, millis};
use crate::compaction::Scattered;
use crate::config::ServerConfig;
use crate::hashing::Hashing;
use crate::slot::Millis;
use crate::slots::{Slots, refusal_of};
use crate::store::Store;

/// So much more room than is asked for will not be gone in a moment.
const PLENTY: u64 = 1 << 30;
/// How long a moment is.
const ROOM_BELIEVED: Millis = Millis::new(500);

/// How much room there was, and until when that is believed.
#[derive(Debug, Clone, Copy)]
struct Room {
    free_bytes: u64,
    until: Millis,
}

pub(crate) struct Server<S> {
    pub(crate) store: Arc<S>,
    pub(crate) config: ServerConfig,
    pub(crate) slots: Arc<Slots<S>>,
    /// Statements that were verified lately.
    pub(crate) known: Known,
    room: Mutex<Option<Room>>,
    /// What is in use on all connections together.
    pub(crate) ledger: Arc<Ledger>,
    /// What is to be compacted.
    pub(crate) scattered: Scattered,
    /// Cancelled when the server is to stop: streams end, commits under way are finished.
    pub(crate) stopping: CancellationToken,
    /// Every task the server owns. It does not end before they have.
    pub(crate) tasks: TaskTracker,
}

impl<S: Store> Server<S> {
    pub(crate) fn new(store: Arc<S>, config: ServerConfig) -> Arc<Self> {
        let (promise, idle) = (millis(config.promise), config.idle_slots_bytes_max);
        let slots = Slots::new(Arc::clone(&store), Clock::start(), promise, idle);
        Arc::new(Self {
            store,
            slots,
            known: Known::default(),
            room: Mutex::default(),
            ledger: Ledger::new(config.limits.server),
            config,
            scattered: Scattered::default(),
            stopping: CancellationToken::new(),
            tasks: TaskTracker::new(),
        })
    }

    /// Where this server hashes.
    pub(crate) const fn hashing(&self) -> Hashing {
        Hashing { in_place_max: self.config.hash_in_place_max }
    }

    /// Whether this token is admitted.
    pub(crate) fn admits(&self, shown: &str) -> bool {
        let wanted = self.config.token.as_ref();
        wanted.is_none_or(|token| token.admits(shown))
    }

    /// Bytes that may still be written.
    pub(crate) async fn free_bytes(&self) -> Result<u64, Refusal> {
        let space = self.store.space().await;
        let space = space.map_err(|error| refusal_of(&error))?;
        Ok(space.free_bytes.saturating_sub(self.config.reserved_bytes))
    }

    /// Refuses what does not fit. Where there was plenty of room a moment ago there still is.
    pub(crate) async fn require_space(&self, bytes: u64) -> Result<(), Refusal> {
        let now = self.slots.now().elapsed;
        let is_plenty = |room: &Room| {
            room.until.after(now).is_some() && room.free_bytes.saturating_sub(PLENTY) > bytes
        };
        let seen = *self.room.lock().unwrap_or_else(PoisonError::into_inner);
        if seen.as_ref().is_some_and(is_plenty) {
            return Ok(());
        }
        let free_bytes = self.free_bytes().await?;
        let seen = Room { free_bytes, until: now.plus(ROOM_BELIEVED) };
        *self.room.lock().unwrap_or_else(PoisonError::into_inner) = Some(seen);
        if free_bytes < bytes { Err(Refusal::NoSpace) } else { Ok(()) }
    }
}
