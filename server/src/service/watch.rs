//! Watching a slot: its state now, and after every durable change. A slow watcher misses states in between, never
//! the last. Promises that come and go are no changes.

use tarn_proto::wire;

use super::stream::{AnswerStream, Gone};
use crate::parse::unavailable;
use crate::slots::{SlotHandle, refusal_of};
use crate::store::Store;

pub(super) async fn serve<S: Store>(
    handle: SlotHandle<S>,
    stream: AnswerStream<wire::WatchSlotAnswer>,
) {
    // Changes are listened to before the first state is taken, so that none falls in between.
    let mut changes = handle.changes();
    loop {
        changes.mark_unchanged();
        let answer = match handle.lock().await {
            Ok(slot) => {
                let state = slot.state(None, None).as_ref().map(Into::into);
                Ok(wire::WatchSlotAnswer { state })
            }
            Err(error) => Err(unavailable(refusal_of(&error))),
        };
        let failed = answer.is_err();
        if let (Err(Gone), _) | (_, true) = (stream.send(answer).await, failed) {
            return;
        }
        tokio::select! {
            biased;
            () = stream.stopping.cancelled() => return,
            () = stream.closed() => return,
            changed = changes.changed() => if changed.is_err() { return },
        }
    }
}
