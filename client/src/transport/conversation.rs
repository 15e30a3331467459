//! One test-and-write conversation with one server: a half that sends and a half that hears.
//!
//! The halves are independent: Open … Seal may be sent in one flight before any answer is read. The sender is bounded,
//! so a slow server slows its caller. It does not know which message is allowed when: that is for the machine.

use std::time::Duration;

use bytes::Bytes;
use futures::stream::{self, Stream, StreamExt};
use tarn_proto::convert::ConvertError;
use tarn_proto::state::Tests;
use tarn_proto::wire::{self, write_request::Request};
use tarn_proto::{
    Certificate, ConversationId, Refusal, Shape, ShareNumber, SignedHeader, SlotState,
    StorageIndex, VerifyKey, VersionId,
};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Response, Status, Streaming};

use super::error::CallError;
use super::{Refused, ServerClient};

mod sender;

use sender::Flight;
pub use sender::{ConversationEnded, ConversationSender};

/// Flights that wait for the connection to take them; each may be as large as a block.
const QUEUE_FLIGHTS: usize = 2;
/// How long an Open waits for what is to be sent with it: what comes at once is one piece of work for the server.
const OPEN_WAITS: Duration = Duration::from_millis(1);

/// What a conversation is about.
#[derive(Debug, Clone)]
pub struct OpenRequest {
    /// Fresh for every conversation.
    pub conversation: ConversationId,
    /// The file's key; its storage index names the slot.
    pub verify_key: VerifyKey,
    /// k and n of the version to be written.
    pub shape: Shape,
    /// Its block size in bytes.
    pub block_size: u32,
    /// Its length in bytes, if the writer knows it yet.
    pub length: Option<u64>,
    /// The shares that are to be written: all of them, or nothing.
    pub shares: Vec<ShareNumber>,
    /// What must be there.
    pub tests: Tests,
    /// The version that what is not sent is taken from; none for whole columns.
    pub base: Option<VersionId>,
    /// A certificate to record, whatever becomes of the conversation.
    pub finalize: Option<Certificate>,
    /// What the version was built on, back to one known to be Published.
    pub ancestors: Vec<SignedHeader>,
}

/// What a server says in a conversation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// So many bytes of blocks and rows have been taken in: a sign of life.
    Staged {
        /// Since Open.
        bytes: u64,
    },
    /// Nobody else can seal or commit this slot until the promise runs out.
    Sealed {
        /// The slot as it is.
        state: SlotState,
        /// How long the promise holds, in milliseconds.
        promise_ms: u64,
    },
    /// The promise holds on.
    Extended {
        /// How long, in milliseconds.
        promise_ms: u64,
    },
    /// Everything is durable.
    Written {
        /// The slot as it is.
        state: SlotState,
    },
    /// Everything was durable already.
    AlreadyHeld {
        /// The slot as it is.
        state: SlotState,
    },
    /// The last Open, Seal, Extend or Commit changed nothing.
    Refused {
        /// Why.
        refusal: Refusal,
        /// The server's words, for people.
        detail: String,
        /// The slot as it is; none where the caller was not admitted.
        state: Option<SlotState>,
    },
}

impl ServerClient {
    /// Opens a conversation: Open is sent with what is said first, or alone in a moment. Dropping both halves ends it, and the
    /// server releases what it promised. Must be called within a tokio runtime with time.
    pub fn open(&self, request: &OpenRequest) -> (ConversationSender, ConversationAnswers) {
        let (queue, flights) = mpsc::channel(QUEUE_FLIGHTS);
        let open = wire::WriteRequest { request: Some(Request::Open(self.open_message(request))) };
        let requests = stream::once(said(open, flights)).flatten();
        let mut storage = self.storage.clone();
        // A server may hold back its response headers until it has read something, so this future must be driven
        // while the caller sends, whether or not anybody listens for answers yet.
        let opening = tokio::spawn(async move { storage.test_and_write(requests).await });
        let sender = ConversationSender::new(queue, request.shape, request.block_size);
        let answers = ConversationAnswers {
            server: self.clone(),
            storage_index: request.verify_key.storage_index(),
            source: Source::Opening(Opening(opening)),
        };
        (sender, answers)
    }

    fn open_message(&self, request: &OpenRequest) -> wire::Open {
        wire::Open {
            token: self.token(),
            conversation_id: Bytes::copy_from_slice(request.conversation.as_bytes()),
            storage_index: Bytes::copy_from_slice(request.verify_key.storage_index().as_bytes()),
            verify_key: Bytes::copy_from_slice(request.verify_key.as_bytes()),
            k: request.shape.k().into(),
            n: request.shape.n().into(),
            block_size: request.block_size,
            data_length: request.length,
            shares: request.shares.iter().map(|share| share.get().into()).collect(),
            tests: Some((&request.tests).into()),
            base_version_id: request
                .base
                .map_or_else(Bytes::new, |base| Bytes::copy_from_slice(base.as_bytes())),
            finalize: request.finalize.as_ref().map(Into::into),
            ancestors: request.ancestors.iter().map(Into::into).collect(),
        }
    }
}

/// All that is said in a conversation.
async fn said(
    open: wire::WriteRequest,
    mut flights: mpsc::Receiver<Flight>,
) -> impl Stream<Item = wire::WriteRequest> {
    let with_it = tokio::time::timeout(OPEN_WAITS, flights.recv()).await;
    let with_it = with_it.ok().flatten().unwrap_or_default();
    let first = stream::once(std::future::ready(open)).chain(stream::iter(with_it));
    first.chain(ReceiverStream::new(flights).flat_map(stream::iter))
}

/// The half that hears.
#[derive(Debug)]
pub struct ConversationAnswers {
    server: ServerClient,
    storage_index: StorageIndex,
    source: Source,
}

#[derive(Debug)]
enum Source {
    Opening(Opening),
    Open(Box<Streaming<wire::WriteAnswer>>),
    Failed,
}

/// The call until its response begins; it does not outlive its conversation.
#[derive(Debug)]
struct Opening(JoinHandle<Result<Response<Streaming<wire::WriteAnswer>>, Status>>);

impl Drop for Opening {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl ConversationAnswers {
    /// The next answer, within `deadline`. After [`CallError::TimedOut`], or when dropped before it returns, it may be
    /// called again and loses no answer. After the server has ended the conversation it is always
    /// [`CallError::StreamEnded`].
    pub async fn next(&mut self, deadline: Duration) -> Result<Answer, CallError> {
        let message = tokio::time::timeout(deadline, self.receive())
            .await
            .map_err(|_| CallError::TimedOut { after: deadline })??;
        self.answer(message)
    }

    async fn receive(&mut self) -> Result<wire::WriteAnswer, CallError> {
        loop {
            match &mut self.source {
                Source::Opening(call) => {
                    let outcome = (&mut call.0).await;
                    self.source = Source::Failed;
                    // The task cannot panic; it is only cut short when its runtime ends.
                    let response = outcome.map_err(|_| CallError::StreamEnded)??;
                    self.source = Source::Open(Box::new(response.into_inner()));
                }
                Source::Open(messages) => {
                    return messages.message().await?.ok_or(CallError::StreamEnded);
                }
                Source::Failed => return Err(CallError::StreamEnded),
            }
        }
    }

    fn answer(&self, message: wire::WriteAnswer) -> Result<Answer, CallError> {
        use wire::write_answer::Answer as Wire;
        let state = |state| self.server.slot_state(self.storage_index, state);
        Ok(match message.answer.ok_or(ConvertError::Missing("answer"))? {
            Wire::Staged(staged) => Answer::Staged { bytes: staged.bytes },
            Wire::Sealed(sealed) => {
                Answer::Sealed { state: state(sealed.state)?, promise_ms: sealed.promise_ms }
            }
            Wire::Extended(extended) => Answer::Extended { promise_ms: extended.promise_ms },
            Wire::Written(written) => Answer::Written { state: state(written.state)? },
            Wire::AlreadyHeld(held) => Answer::AlreadyHeld { state: state(held.state)? },
            Wire::Refused(refused) => {
                let Refused { refusal, detail, state } =
                    self.server.refused(self.storage_index, refused)?;
                Answer::Refused { refusal, detail, state }
            }
        })
    }
}
