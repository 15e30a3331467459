//! Recording that a version was Published. A writer that goes on writing commits again at once: its certificate is recorded
//! in the same change, and only one that nothing follows soon costs a change of its own. Holds no rules.

use std::sync::Arc;

use tarn_proto::wire::finalize_answer::Answer;
use tarn_proto::{Certificate, Refusal, SlotState, StorageIndex};

use crate::server::Server;
use crate::slots::{Outcome, SlotHandle, refusal_of};
use crate::store::Store;

/// Records the certificate, and answers when it is durable.
pub(super) async fn answer<S: Store>(
    server: Arc<Server<S>>,
    storage_index: StorageIndex,
    certificate: Result<Certificate, Refusal>,
) -> Answer {
    let handle = server.slots.get(storage_index);
    let finalized = match certificate {
        Ok(certificate) => match note(&handle, certificate).await {
            Ok(true) => Ok(Outcome::AlreadySo),
            Ok(false) => record(&server, &handle, certificate).await,
            Err(refusal) => Err(refusal),
        },
        Err(refusal) => Err(refusal),
    };
    tracing::debug!(slot = %storage_index, ?finalized, "finalize");
    let state = handle.lock().await.ok().and_then(|slot| slot.state(None, None));
    match (finalized, &state) {
        (Ok(_), Some(state)) => Answer::Recorded(state.into()),
        (Ok(_), None) => refused(Refusal::StoreFailed, None),
        (Err(refusal), state) => refused(refusal, state.as_ref()),
    }
}

/// Records the certificate that came with an Open, whatever becomes of that conversation. What comes of it changes
/// nothing for the conversation.
pub(crate) async fn on_the_way<S: Store>(
    server: &Arc<Server<S>>,
    handle: &SlotHandle<S>,
    certificate: Certificate,
) {
    let noted = note(handle, certificate).await;
    tracing::debug!(?noted, "finalize on the way");
    if noted == Ok(false) {
        let (recorder, handle) = (Arc::clone(server), server.slots.get(handle.storage_index()));
        server.tasks.spawn(async move { record(&recorder, &handle, certificate).await });
    }
}

pub(super) fn refused(refusal: Refusal, state: Option<&SlotState>) -> Answer {
    Answer::Refused(refusal.to_wire(refusal.to_string(), state))
}

async fn note<S: Store>(handle: &SlotHandle<S>, certificate: Certificate) -> Result<bool, Refusal> {
    let mut slot = handle.lock().await.map_err(|error| refusal_of(&error))?;
    slot.slot_mut().note(certificate)
}

/// Waits for a commit that records the certificate, and if none comes soon, records it.
async fn record<S: Store>(
    server: &Server<S>,
    handle: &SlotHandle<S>,
    certificate: Certificate,
) -> Result<Outcome, Refusal> {
    tokio::select! {
        biased;
        () = server.stopping.cancelled() => {}
        () = handle.changed_until(|slot| slot.manifest().certificates.contains(&certificate)) => {}
        () = tokio::time::sleep(server.config.certificate_waits) => {}
    }
    let mut slot = handle.lock().await.map_err(|error| refusal_of(&error))?;
    slot.change(|slot, _| slot.finalize(certificate)).await
}
