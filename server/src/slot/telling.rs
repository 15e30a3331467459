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
        let history = &self.manifest.history;
        let asked = history.iter().position(|record| record.entry.attempt == wanted.attempt);
        let since = wanted
            .since
            .map(|since| history.partition_point(|record| record.entry.sequence_number < since));
        let from = asked.into_iter().chain(since).min().unwrap_or(history.len());
        history[from..].iter().map(|record| record.entry).collect()
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
