//! The client's face to one storage server: turns wire messages into the checked types of `tarn-proto`, and gRPC
//! and transport failures into typed errors.
//!
//! It decides nothing of the protocol and repeats no call: that is for the machines. Every call has a deadline;
//! every answer that names its store is compared with the store expected, because an emptied or replaced server is
//! a different member.
//!
//! - [`ServerClient`]: the calls that ask ([`ServerClient::describe`], [`ServerClient::read_slot`], …)
//! - [`read`]: tables, rows and blocks; [`cut`]: runs of blocks cut by a header's geometry
//! - [`conversation`]: test-and-write; `batch`: blocks gathered into messages
//! - [`dial`]: how a connection is set up; [`error`]: what can go wrong

use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::stream::{self, BoxStream, StreamExt, TryStreamExt};
use tarn_proto::convert::{self, ConvertError};
use tarn_proto::known::Known;
use tarn_proto::wire::{self, storage_client::StorageClient};
use tarn_proto::{
    Certificate, ConversationId, HistoryQuery, Refusal, SequenceNumber, SlotState, StorageIndex,
    StoreId,
};
use tonic::Status;
use tonic::transport::Channel;
use zeroize::Zeroizing;

mod batch;
pub mod conversation;
pub mod cut;
pub mod dial;
pub mod error;
pub mod read;
#[cfg(test)]
mod tests;

pub use conversation::{
    Answer, ConversationAnswers, ConversationEnded, ConversationSender, OpenRequest,
};
pub use cut::{RunError, UnverifiedBlock};
pub use dial::AddressError;
pub use error::{CallError, FailureKind, FinalizeError, ReadError};

/// Largest message sent or taken, in bytes: one block of 4 MiB with room to spare.
pub const MESSAGE_BYTES_MAX: usize = 8 << 20;

/// One storage server, as its clients call it. Cheap to clone; clones share one connection.
#[derive(Clone)]
pub struct ServerClient {
    identity: Arc<Identity>,
    storage: StorageClient<Channel>,
    /// Statements that were verified lately.
    known: Arc<Known>,
}

struct Identity {
    store: StoreId,
    address: String,
    token: Option<Zeroizing<String>>,
}

/// What a server says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Description {
    /// The store that answered.
    pub store: StoreId,
    /// Name and version of its software, for people.
    pub software: String,
    /// Bytes that may still be written.
    pub free_bytes: u64,
    /// Whether it refuses all writes.
    pub read_only: bool,
    /// Most bytes of one share of one version.
    pub share_bytes_max: u64,
    /// Most bytes of one version's table.
    pub table_bytes_max: u64,
    /// Most conversations open at once on one connection.
    pub conversations_max: u32,
    /// How long a Sealed holds without Extend, in milliseconds.
    pub promise_ms: u64,
}

impl ServerClient {
    /// The server that `channel` leads to and that should be `store`. The address is only for people.
    pub fn new(store: StoreId, address: String, channel: Channel, token: Option<String>) -> Self {
        let storage = StorageClient::new(channel)
            .max_decoding_message_size(MESSAGE_BYTES_MAX)
            .max_encoding_message_size(MESSAGE_BYTES_MAX);
        Self {
            identity: Arc::new(Identity { store, address, token: token.map(Zeroizing::new) }),
            storage,
            known: Arc::default(),
        }
    }

    /// The same server, which recognises what others have told and was verified. Servers of one grid tell the same.
    #[must_use]
    pub fn sharing(self, known: &Arc<Known>) -> Self {
        Self { known: Arc::clone(known), ..self }
    }

    /// The server at `address` (`host:port`), connected when it is first called and again whenever the connection
    /// is lost. Must be called within a tokio runtime.
    pub fn dial(
        store: StoreId,
        address: String,
        token: Option<String>,
    ) -> Result<Self, AddressError> {
        let channel = dial::endpoint(&address)?.connect_lazy();
        Ok(Self::new(store, address, channel, token))
    }

    /// The store expected to answer.
    pub fn store(&self) -> StoreId {
        self.identity.store
    }

    /// Where the server is, for people.
    pub fn address(&self) -> &str {
        &self.identity.address
    }

    /// Asks who is there, within `deadline`.
    pub async fn describe(&self, deadline: Duration) -> Result<Description, CallError> {
        let mut storage = self.storage.clone();
        let request = wire::DescribeRequest { token: self.token() };
        let answer = within(deadline, storage.describe(request)).await?.into_inner();
        Ok(Description {
            store: self.expected_store(&answer.store_id)?,
            software: error::for_people(&answer.software),
            free_bytes: answer.free_bytes,
            read_only: answer.read_only,
            share_bytes_max: answer.share_bytes_max,
            table_bytes_max: answer.table_bytes_max,
            conversations_max: answer.conversations_max,
            promise_ms: answer.promise_ms,
        })
    }

    /// Asks for a slot's state, within `deadline`: with the history that is asked for, and with what became of
    /// `conversation`.
    pub async fn read_slot(
        &self,
        storage_index: StorageIndex,
        history: Option<HistoryQuery>,
        conversation: Option<ConversationId>,
        deadline: Duration,
    ) -> Result<SlotState, CallError> {
        let request = wire::ReadSlotRequest {
            token: self.token(),
            storage_index: Bytes::copy_from_slice(storage_index.as_bytes()),
            attempt_id: optional(history.as_ref().map(|asked| asked.attempt.as_bytes().as_slice())),
            conversation_id: optional(conversation.as_ref().map(|id| id.as_bytes().as_slice())),
            history_since: history.and_then(|asked| asked.since).map_or(0, SequenceNumber::get),
        };
        let mut storage = self.storage.clone();
        let answer = within(deadline, storage.read_slot(request)).await?;
        self.slot_state(storage_index, answer.into_inner().state)
    }

    /// Hands over the writer's word that a version was Published, within `deadline`.
    pub async fn finalize(
        &self,
        storage_index: StorageIndex,
        certificate: &Certificate,
        deadline: Duration,
    ) -> Result<SlotState, FinalizeError> {
        let request = wire::FinalizeRequest {
            token: self.token(),
            storage_index: Bytes::copy_from_slice(storage_index.as_bytes()),
            certificate: Some(certificate.into()),
        };
        let mut storage = self.storage.clone();
        let answer = within(deadline, storage.finalize(request)).await?;
        match answer.into_inner().answer {
            Some(wire::finalize_answer::Answer::Recorded(state)) => {
                Ok(self.slot_state(storage_index, Some(state))?)
            }
            Some(wire::finalize_answer::Answer::Refused(message)) => {
                let refused = self.refused(storage_index, message)?;
                Err(FinalizeError::Refused {
                    refusal: refused.refusal,
                    detail: refused.detail,
                    state: refused.state.map(Box::new),
                })
            }
            None => Err(CallError::from(ConvertError::Missing("answer")).into()),
        }
    }

    /// The slot's state now and after every change, until the caller drops it or an error ends it. `deadline` is for
    /// the server to take up the watch; after that, silence means that nothing changed.
    pub fn watch_slot(
        &self,
        storage_index: StorageIndex,
        deadline: Duration,
    ) -> BoxStream<'static, Result<SlotState, CallError>> {
        let request = wire::WatchSlotRequest {
            token: self.token(),
            storage_index: Bytes::copy_from_slice(storage_index.as_bytes()),
        };
        let server = self.clone();
        let mut storage = self.storage.clone();
        stream::once(async move {
            let states = within(deadline, storage.watch_slot(request)).await?;
            Ok::<_, CallError>(states.into_inner().map_err(CallError::from).and_then(
                move |answer| std::future::ready(server.slot_state(storage_index, answer.state)),
            ))
        })
        .try_flatten()
        .boxed()
    }

    /// What was signed here need not be verified when servers tell it.
    pub(crate) const fn known(&self) -> &Arc<Known> {
        &self.known
    }

    fn token(&self) -> String {
        self.identity.token.as_ref().map_or_else(String::new, |token| String::clone(token))
    }

    fn expected_store(&self, found: &[u8]) -> Result<StoreId, CallError> {
        let found = StoreId::try_from(found).map_err(ConvertError::from)?;
        if found == self.store() {
            Ok(found)
        } else {
            Err(CallError::OtherStore { expected: self.store(), found })
        }
    }

    /// Checks a slot's state: of the expected store first, which is cheap, then every signature.
    fn slot_state(
        &self,
        storage_index: StorageIndex,
        message: Option<wire::SlotState>,
    ) -> Result<SlotState, CallError> {
        let message = message.ok_or(ConvertError::Missing("slot state"))?;
        self.expected_store(&message.store_id)?;
        Ok(convert::slot_state(&self.known, storage_index, message)?)
    }

    fn refused(
        &self,
        storage_index: StorageIndex,
        message: wire::Refused,
    ) -> Result<Refused, CallError> {
        Ok(Refused {
            refusal: Refusal::try_from(&message)?,
            detail: error::for_people(&message.detail),
            state: match message.state {
                None => None,
                Some(state) => Some(self.slot_state(storage_index, Some(state))?),
            },
        })
    }
}

impl fmt::Debug for ServerClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServerClient")
            .field("store", &self.identity.store)
            .field("address", &self.identity.address)
            .finish_non_exhaustive()
    }
}

/// A refusal with its evidence.
struct Refused {
    refusal: Refusal,
    detail: String,
    state: Option<SlotState>,
}

/// An id that may be left out, as it travels.
fn optional(id: Option<&[u8]>) -> Bytes {
    id.map_or_else(Bytes::new, Bytes::copy_from_slice)
}

/// The outcome of a call, unless `deadline` runs out first.
async fn within<T>(
    deadline: Duration,
    call: impl Future<Output = Result<T, Status>>,
) -> Result<T, CallError> {
    match tokio::time::timeout(deadline, call).await {
        Ok(outcome) => outcome.map_err(CallError::from),
        Err(_) => Err(CallError::TimedOut { after: deadline }),
    }
}
