//! What the driver asks of a server in one call, and of the journal: each ends by telling one event.

use std::sync::{Arc, PoisonError};

use tarn_proto::{
    Certificate, ConversationId, HistoryQuery, SequenceNumber, SignedHeader, SlotState, StoreId,
    VersionId,
};

use super::{Context, MESSAGE_DEADLINE};
use crate::lately::Certificates;
use crate::publish::action::MessageId;
use crate::publish::event::Event;
use crate::quorum::Placement;
use crate::regenerate::{BringFailure, Brought, bring_shares};
use crate::servermap::Failure;
use crate::transport::FinalizeError;

impl Context {
    pub(super) async fn query(
        &self,
        message: MessageId,
        server: StoreId,
        since: Option<SequenceNumber>,
        conversation: Option<ConversationId>,
    ) {
        let asked = async {
            let storage_index = self.read_cap.verify_cap().storage_index();
            let server = self.server(server)?;
            let history = Some(HistoryQuery { attempt: self.attempt, since });
            server
                .read_slot(storage_index, history, conversation, MESSAGE_DEADLINE)
                .await
                .map_err(Failure::from)
        };
        self.tell(match asked.await {
            Ok(state) => Event::Mapped { message, state },
            Err(failure) => Event::Failed { message, failure },
        });
    }

    /// A server said what it holds, having written.
    pub(super) fn note_left(&self, state: SlotState) {
        self.left.lock().unwrap_or_else(PoisonError::into_inner).insert(state.store, state);
    }

    pub(super) async fn journal(self: Arc<Self>, header: SignedHeader, placement: Placement) {
        let context = Arc::clone(&self);
        let recorded = self.workers.run(move || context.journal.record(&header, &placement)).await;
        self.tell(match recorded {
            Ok(Ok(())) => Event::Journaled,
            Ok(Err(error)) => Event::JournalFailed { cause: error.to_string() },
            Err(error) => Event::JournalFailed { cause: error.to_string() },
        });
    }

    pub(super) async fn bring(&self, message: MessageId, server: StoreId, brought: Brought) {
        let outcome = match self.server(server) {
            Ok(target) => bring_shares(&self.servers, target, brought, self.workers).await,
            Err(failure) => Err(BringFailure::Failed(failure)),
        };
        self.tell(match outcome {
            Ok(()) => Event::Written { message },
            Err(BringFailure::Refused { refusal, state }) => {
                Event::Refused { message, refusal, state }
            }
            Err(failure) => Event::Failed { message, failure: failure.into() },
        });
    }

    /// Leaves the certificate of what was published with a server, unless a next publish takes it along in a moment.
    pub(super) async fn leave(
        &self,
        message: MessageId,
        server: StoreId,
        (sequence_number, version): (SequenceNumber, VersionId),
        waiting: Option<Certificates>,
    ) {
        if let Some(waiting) = waiting
            && !waiting.goes_alone(server, &self.hurry).await
        {
            return self.tell(Event::LeftToNext { message });
        }
        let certificate = self
            .certificate
            .get_or_init(|| Certificate::sign(&self.signing_key, sequence_number, version));
        self.finalize(message, server, certificate).await;
    }

    async fn finalize(&self, message: MessageId, server: StoreId, certificate: &Certificate) {
        let storage_index = certificate.verify_key().storage_index();
        let finalized = match self.server(server) {
            Ok(server) => server
                .finalize(storage_index, certificate, MESSAGE_DEADLINE)
                .await
                .map_err(|error| match error {
                    FinalizeError::Call(error) => Failure::from(error),
                    FinalizeError::Refused { refusal, .. } => Failure::Refused(refusal),
                }),
            Err(failure) => Err(failure),
        };
        self.tell(match finalized {
            Ok(state) => Event::Mapped { message, state },
            Err(failure) => Event::Failed { message, failure },
        });
    }
}
