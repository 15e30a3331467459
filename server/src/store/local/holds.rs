//! Who holds which chunk: writers that have not named theirs yet, and open reads. A chunk that is held is not
//! deleted. Does not know which chunks manifests name; the committer does.

use std::collections::BTreeMap;
use std::sync::mpsc::Sender;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::committer::Message;
use crate::manifest::ChunkId;

/// The chunks held now.
#[derive(Debug)]
pub(super) struct Holds {
    held: Mutex<BTreeMap<ChunkId, Hold>>,
    committer: Sender<Message>,
}

#[derive(Debug, Default)]
struct Hold {
    count: usize,
    /// Whether the committer must look at the chunk when nobody holds it any more.
    collect: bool,
}

/// Holds one chunk until it is dropped.
#[derive(Debug)]
pub(super) struct Held {
    holds: Arc<Holds>,
    id: ChunkId,
}

impl Holds {
    pub(super) fn new(committer: Sender<Message>) -> Self {
        Self { held: Mutex::default(), committer }
    }

    /// Holds a chunk that no manifest names yet: unless one does when it is let go, it is deleted.
    pub(super) fn hold_fresh(self: &Arc<Self>, id: ChunkId) -> Held {
        self.hold_and(id, true)
    }

    /// Holds a chunk for a read, or for an update that is built on it.
    pub(super) fn hold(self: &Arc<Self>, id: ChunkId) -> Held {
        self.hold_and(id, false)
    }

    /// Asks for a chunk that may be garbage. Whether nobody holds it; otherwise the committer hears of it later.
    pub(super) fn claim(&self, id: ChunkId) -> bool {
        match self.lock().get_mut(&id) {
            None => true,
            Some(hold) => {
                hold.collect = true;
                false
            }
        }
    }

    fn hold_and(self: &Arc<Self>, id: ChunkId, collect: bool) -> Held {
        let mut held = self.lock();
        let hold = held.entry(id).or_default();
        hold.count += 1;
        hold.collect |= collect;
        Held { holds: Arc::clone(self), id }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<ChunkId, Hold>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        let mut held = self.holds.lock();
        let Some(hold) = held.get_mut(&self.id) else {
            return;
        };
        hold.count -= 1;
        if hold.count == 0 {
            let collect = hold.collect;
            held.remove(&self.id);
            drop(held);
            if collect {
                // Without a committer the store is closed, and the next start collects.
                let _ = self.holds.committer.send(Message::Released(self.id));
            }
        }
    }
}
