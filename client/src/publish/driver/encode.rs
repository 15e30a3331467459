//! An encoding pass as the driver runs it: reads the source once, feeds the lanes of one Prepare, and completes and
//! signs the header at the end. Which lanes there are, and when to stop waiting for one, is the machine's business.

use std::sync::Arc;
use std::time::Duration;

use tarn_proto::{Certificate, ConversationId};
use tarn_proto::{SequenceNumber, SignedHeader, VersionId};
use tokio::sync::watch;

use super::Context;
use super::lane::LaneTask;
use crate::encode::pass::{Blocked, Lane, LaneId, Pass, PassError, Reading};
use crate::encode::segment::SegmentEncoder;
use crate::publish::action::{Draft, MessageId, PrepareLane};
use crate::publish::event::{Event, SourceFailure};
use crate::time::Millis;

/// One pass and the lanes it feeds.
pub(super) struct Encoding {
    context: Arc<Context>,
    draft: Draft,
    /// What rides on each Open.
    finalize: Option<Certificate>,
    ancestors: Vec<SignedHeader>,
    lanes: Vec<Lane>,
    complete: watch::Sender<Option<SignedHeader>>,
}

impl Encoding {
    pub(super) fn new(
        context: Arc<Context>,
        draft: Draft,
        finalize: Option<(SequenceNumber, VersionId)>,
        ancestors: Vec<SignedHeader>,
    ) -> Self {
        let finalize = finalize.map(|(sequence_number, version)| {
            Certificate::sign(&context.write_cap.signing_key(), sequence_number, version)
        });
        let complete = watch::Sender::new(None);
        Self { context, draft, finalize, ancestors, lanes: Vec::new(), complete }
    }

    /// Adds a lane; its task is to be spawned before the pass runs.
    pub(super) fn lane(&mut self, lane: PrepareLane) -> (ConversationId, LaneTask) {
        let id = LaneId(u64::from(lane.message.0));
        let (sender, pieces) =
            Lane::new(id, lane.shares.iter().copied().collect(), &self.draft.geometry);
        self.lanes.push(sender);
        let task = LaneTask {
            context: Arc::clone(&self.context),
            shape: self.draft.shape,
            geometry: self.draft.geometry,
            finalize: self.finalize,
            ancestors: self.ancestors.clone(),
            pieces,
            complete: self.complete.subscribe(),
            lane,
        };
        (task.lane.conversation, task)
    }

    /// Runs the pass to its end: Encoded, then the lanes seal; or SourceFailed.
    pub(super) async fn run(self) {
        let Self { context, draft, lanes, complete, .. } = self;
        let encoder = Arc::new(SegmentEncoder::new(
            &context.read_cap,
            draft.geometry,
            draft.attempt,
            draft.sequence_number,
        ));
        let pass = Pass {
            source: context.content.source().clone(),
            segments: context.content.segments(&draft.geometry),
            encoder,
            reading: Reading::First,
            workers: context.workers,
        };
        let report = |blocked: Blocked| {
            let waited = Millis(millis(blocked.since.elapsed()));
            let message = MessageId(u32::try_from(blocked.lane.0).unwrap_or(u32::MAX));
            context.tell(Event::Stalled { message, waited });
        };
        let encoded = tokio::select! {
            biased;
            encoded = pass.run(lanes, report) => encoded,
            // Every lane was let go: the machine waits for nothing of this pass.
            () = complete.closed() => return,
        };
        match encoded.map(|leaves| context.content.table_root(&leaves)) {
            Ok(None) => {
                let cause = "the change does not fit in where it should".to_owned();
                context.tell(Event::SourceFailed(SourceFailure::Unreadable { cause }));
            }
            Ok(Some(root)) => {
                let header = draft.complete(root, context.read_cap.key_check());
                let header = SignedHeader::sign(&context.write_cap.signing_key(), header);
                // The event is in the queue before any lane can seal.
                context.tell(Event::Encoded { header: header.clone() });
                complete.send_replace(Some(header));
            }
            Err(PassError::SourceChanged(_)) => {
                context.tell(Event::SourceFailed(SourceFailure::Changed));
            }
            Err(error @ (PassError::Read { .. } | PassError::Stopping)) => {
                let cause = crate::publish::driver::sentence(&error);
                context.tell(Event::SourceFailed(SourceFailure::Unreadable { cause }));
            }
        }
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
