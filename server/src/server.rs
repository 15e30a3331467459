//! What all calls of one running server share.

use std::sync::Arc;

use tarn_proto::Refusal;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::admission::Ledger;
use crate::clock::{Clock, millis};
use crate::compaction::Scattered;
use crate::config::ServerConfig;
use crate::hashing::Hashing;
use crate::slots::{Slots, refusal_of};
use crate::store::Store;

pub(crate) struct Server<S> {
    pub(crate) store: Arc<S>,
    pub(crate) config: ServerConfig,
    pub(crate) slots: Arc<Slots<S>>,
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
        let slots = Slots::new(Arc::clone(&store), Clock::start(), millis(config.promise));
        Arc::new(Self {
            store,
            slots,
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

    /// Refuses what does not fit.
    pub(crate) async fn require_space(&self, bytes: u64) -> Result<(), Refusal> {
        if self.free_bytes().await? < bytes {
            return Err(Refusal::NoSpace);
        }
        Ok(())
    }
}
