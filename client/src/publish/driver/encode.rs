//! An encoding pass as the driver runs it: reads the source once, feeds the lanes of one Prepare, and completes and
//! signs the header at the end. Which lanes there are, and when to stop waiting for one, is the machine's business.

use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use tarn_proto::hash::Digest32;
use tarn_proto::{
    Certificate, ConversationId, Geometry, SequenceNumber, SignedHeader, VersionId, merkle,
};
use tokio::sync::watch;

use super::lane::LaneTask;
use super::{Context, sentence};
use crate::encode::pass::{Blocked, Lane, LaneId, OnlyPass, Pass, PassError, Reading};
use crate::encode::segment::SegmentEncoder;
use crate::encode::source::Source;
use crate::publish::action::{Draft, MessageId, PrepareLane};
use crate::publish::event::{Event, SourceFailure};
use crate::publish::publishing::Content;
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
            Certificate::sign(&context.signing_key, sequence_number, version)
        });
        let complete = watch::Sender::new(None);
        Self { context, draft, finalize, ancestors, lanes: Vec::new(), complete }
    }

    /// Adds a lane; its task is to be spawned before the pass runs.
    pub(super) fn lane(&mut self, lane: PrepareLane) -> (ConversationId, LaneTask) {
        let id = LaneId(u64::from(lane.message.0));
        let (sender, pieces) =
            Lane::new(id, lane.shares.iter().copied().collect(), self.draft.cut.room());
        self.lanes.push(sender);
        let task = LaneTask {
            context: Arc::clone(&self.context),
            shape: self.draft.shape,
            cut: self.draft.cut,
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
        let read = tokio::select! {
            biased;
            read = context.read(&draft, lanes) => read,
            // Every lane was let go: the machine waits for nothing of this pass.
            () = complete.closed() => return,
        };
        match read {
            Ok((geometry, root)) => {
                let header = draft.complete(geometry, root, context.read_cap.key_check());
                let header = SignedHeader::sign(&context.signing_key, header);
                context.note_signed(&header);
                // The event is in the queue before any lane can seal.
                context.tell(Event::Encoded { header: header.clone() });
                complete.send_replace(Some(header));
            }
            Err(failure) => context.tell(Event::SourceFailed(failure)),
        }
    }
}

impl Context {
    /// Servers will tell it: it need not be verified then.
    fn note_signed(&self, header: &SignedHeader) {
        if let Some(server) = self.servers.values().next() {
            server.known().note_header(header);
        }
    }

    /// Reads the content to its end and feeds the lanes; says how the version is cut, and its table's root.
    async fn read(
        &self,
        draft: &Draft,
        lanes: Vec<Lane>,
    ) -> Result<(Geometry, Digest32), SourceFailure> {
        let (room, workers) = (*draft.cut.room(), self.workers);
        let encoder =
            SegmentEncoder::new(&self.read_cap, room, draft.attempt, draft.sequence_number);
        let encoder = Arc::new(encoder);
        let report = |blocked: Blocked| {
            let waited = Millis(millis(blocked.since.elapsed()));
            let message = MessageId(u32::try_from(blocked.lane.0).unwrap_or(u32::MAX));
            self.tell(Event::Stalled { message, waited });
        };
        let segments = self.content.segments(&room);
        let pass = |source: &Source| Pass {
            source: source.clone(),
            segments,
            encoder: Arc::clone(&encoder),
            reading: Reading::First,
            workers,
        };
        let (length, root) = match &self.content {
            Content::Whole(source) => {
                let leaves = pass(source).run(lanes, report).await?;
                (room.length(), Some(merkle::root(&leaves)))
            }
            Content::Part { source, fringe, .. } => {
                let leaves = pass(source).run(lanes, report).await?;
                (room.length(), fringe.root(&leaves))
            }
            Content::Once(once) => {
                let input = once.take().ok_or_else(|| unreadable(&"the input is used up"))?;
                let read = OnlyPass { input, encoder, workers }.run(lanes, report).await?;
                (read.length, Some(merkle::root(&read.leaves)))
            }
        };
        let root = root.ok_or_else(|| unreadable(&"the change does not fit in where it should"))?;
        Ok((draft.geometry(length).map_err(|error| unreadable(&error))?, root))
    }
}

impl Content {
    /// Which segments of a version of this geometry it is.
    pub(super) fn segments(&self, geometry: &Geometry) -> Range<u32> {
        match self {
            Self::Whole(_) | Self::Once(_) => 0..geometry.segments(),
            Self::Part { segments, .. } => segments.clone(),
        }
    }
}

impl From<PassError> for SourceFailure {
    fn from(error: PassError) -> Self {
        match error {
            PassError::SourceChanged(_) => Self::Changed,
            PassError::TooLong { .. } | PassError::Read { .. } | PassError::Stopping => {
                unreadable(&sentence(&error))
            }
        }
    }
}

fn unreadable(cause: &impl ToString) -> SourceFailure {
    SourceFailure::Unreadable { cause: cause.to_string() }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
