//! What a client is told of a slot. Decides nothing.

use tarn_proto::state::ConversationStatus;
use tarn_proto::{ConversationId, Generation, HistoryEntry, HistoryQuery, SlotState};

use super::{Millis, Now, Slot};
use crate::manifest::StoredGeneration;

impl Slot {
    /// All that a client may know, with the history that is asked for.
    pub fn state(
        &self,
        now: Now,
        history: Option<HistoryQuery>,
        conversation: Option<ConversationId>,
    ) -> SlotState {
        SlotState {
            store: self.store,
            floor: self.manifest.floor.clone(),
            generations: self.manifest.generations.iter().map(describe).collect(),
            certificates: self.manifest.certificates.clone(),
            ancestors: self.manifest.ancestors.clone(),
            history: history.map_or_else(Vec::new, |wanted| self.history(wanted)),
            conversation: conversation.map(|conversation| self.status(conversation)),
            promised_ms: self
                .promise
                .and_then(|promise| promise.until.after(now.elapsed))
                .map(Millis::get),
        }
    }

    fn history(&self, wanted: HistoryQuery) -> Vec<HistoryEntry> {
        let told = self.manifest.history.since(wanted.attempt, wanted.since);
        told.map(|record| record.entry).collect()
    }

    fn status(&self, conversation: ConversationId) -> ConversationStatus {
        if !self.conversations.contains_key(&conversation) {
            ConversationStatus::Closed
        } else if self.sealed_last(conversation).is_ok() {
            ConversationStatus::SealedLast
        } else {
            ConversationStatus::Open
        }
    }
}

fn describe(stored: &StoredGeneration) -> Generation {
    Generation {
        header: stored.header.clone(),
        shares: stored.shares.iter().map(|(share, stored)| (*share, stored.health)).collect(),
        origin: stored.origin,
    }
}
