//! The storage service as tonic calls it: fields become checked types, calls reach the slot or the store, answers go
//! back. Holds no rules.

mod proofs;
mod read;
mod stream;
mod watch;

use std::sync::Arc;

use tarn_proto::wire::storage_server::Storage;
use tarn_proto::{AttemptId, Certificate, HistoryQuery, Refusal, StorageIndex, wire};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status, Streaming};
use tracing::Instrument;

use crate::admission::{Ledger, Ticket};
use crate::clock::millis;
use crate::conversation;
use crate::parse::{self, BadStatement, malformed, unavailable};
use crate::server::Server;
use crate::slots::{SlotHandle, refusal_of};
use crate::store::Store;

/// Answers that may wait for their client.
const ANSWERS_MAX: usize = 16;

type Answers<T> = ReceiverStream<Result<T, Status>>;
type Answered<T> = Result<Response<T>, Status>;

pub(crate) struct StorageService<S> {
    server: Arc<Server<S>>,
}

impl<S: Store> StorageService<S> {
    pub(crate) const fn new(server: Arc<Server<S>>) -> Self {
        Self { server }
    }

    fn admit(&self, token: &str) -> Result<(), Status> {
        if self.server.admits(token) {
            Ok(())
        } else {
            Err(Status::unauthenticated("the token is not admitted"))
        }
    }

    fn slot(&self, storage_index: &[u8]) -> Result<SlotHandle<S>, Status> {
        Ok(self.server.slots.get(parse::id(storage_index)?))
    }

    /// The ledger of the connection that a request came on. Without a connection of ours, the call stands alone.
    fn connection<T>(&self, request: &Request<T>) -> Arc<Ledger> {
        let known = request.extensions().get::<Arc<Ledger>>().cloned();
        known.unwrap_or_else(|| Ledger::new(self.server.config.limits.connection))
    }

    fn reading<T>(&self, request: &Request<T>) -> Result<Ticket, Status> {
        let ticket = Ticket::read(self.connection(request), Arc::clone(&self.server.ledger));
        ticket.ok_or_else(|| Status::resource_exhausted("too many reads are open"))
    }
}

#[tonic::async_trait]
impl<S: Store> Storage for StorageService<S> {
    type ReadBlocksStream = Answers<wire::ReadBlocksAnswer>;
    type ReadRowsStream = Answers<wire::ReadRowsAnswer>;
    type TestAndWriteStream = Answers<wire::WriteAnswer>;
    type WatchSlotStream = Answers<wire::WatchSlotAnswer>;

    async fn describe(
        &self,
        request: Request<wire::DescribeRequest>,
    ) -> Answered<wire::DescribeAnswer> {
        self.admit(&request.get_ref().token)?;
        let (config, limits) = (&self.server.config, &self.server.config.limits);
        Ok(Response::new(wire::DescribeAnswer {
            store_id: bytes::Bytes::copy_from_slice(self.server.store.id().as_bytes()),
            software: concat!("tarn-server ", env!("CARGO_PKG_VERSION")).to_owned(),
            free_bytes: self.server.free_bytes().await.map_err(unavailable)?,
            read_only: config.read_only,
            share_bytes_max: limits.share_bytes_max,
            table_bytes_max: limits.table_bytes_max,
            conversations_max: limits.connection.conversations_max,
            promise_ms: millis(config.promise).get(),
        }))
    }

    async fn read_slot(
        &self,
        request: Request<wire::ReadSlotRequest>,
    ) -> Answered<wire::ReadSlotAnswer> {
        let request = request.into_inner();
        self.admit(&request.token)?;
        let attempt = parse::optional_id::<AttemptId>(&request.attempt_id)?;
        let since = parse::optional_number(request.history_since)?;
        let history = attempt.map(|attempt| HistoryQuery { attempt, since });
        let conversation = parse::optional_id(&request.conversation_id)?;
        let handle = self.slot(&request.storage_index)?;
        let slot = handle.lock().await.map_err(|error| unavailable(refusal_of(&error)))?;
        let state = slot.state(history, conversation).as_ref().map(Into::into);
        Ok(Response::new(wire::ReadSlotAnswer { state }))
    }

    async fn read_blocks(
        &self,
        request: Request<wire::ReadBlocksRequest>,
    ) -> Answered<Self::ReadBlocksStream> {
        let ticket = self.reading(&request)?;
        let (stream, answers) = stream::answers(&self.server);
        let request = read::Blocks::parse(request.into_inner())?;
        let span = tracing::debug_span!("read_blocks", slot = %request.range.storage_index);
        let reading = read::serve(Arc::clone(&self.server), request, stream, ticket);
        self.server.tasks.spawn(reading.instrument(span));
        Ok(answers)
    }

    async fn read_rows(
        &self,
        request: Request<wire::ReadRowsRequest>,
    ) -> Answered<Self::ReadRowsStream> {
        let ticket = self.reading(&request)?;
        let (stream, answers) = stream::answers(&self.server);
        let request = read::Rows::parse(request.into_inner())?;
        let span = tracing::debug_span!("read_rows", slot = %request.range.storage_index);
        let reading = read::serve(Arc::clone(&self.server), request, stream, ticket);
        self.server.tasks.spawn(reading.instrument(span));
        Ok(answers)
    }

    async fn test_and_write(
        &self,
        request: Request<Streaming<wire::WriteRequest>>,
    ) -> Answered<Self::TestAndWriteStream> {
        let (outbound, answers) = tokio::sync::mpsc::channel(ANSWERS_MAX);
        let connection = self.connection(&request);
        let talk = conversation::serve(
            Arc::clone(&self.server),
            connection,
            request.into_inner(),
            outbound,
        );
        // The task is the server's own: dropping the call does not reach it.
        let span = tracing::debug_span!("test_and_write");
        self.server.tasks.spawn(talk.instrument(span));
        Ok(Response::new(ReceiverStream::new(answers)))
    }

    async fn finalize(
        &self,
        request: Request<wire::FinalizeRequest>,
    ) -> Answered<wire::FinalizeAnswer> {
        let request = request.into_inner();
        let storage_index = parse::id(&request.storage_index)?;
        let message = request.certificate;
        let message = message.ok_or_else(|| malformed("the request lacks its certificate"))?;
        let answer = if self.server.admits(&request.token) {
            let certificate = match parse::certificate(storage_index, &message) {
                Ok(certificate) => Ok(certificate),
                Err(BadStatement::Forged) => Err(Refusal::BadSignature),
                Err(BadStatement::Malformed(error)) => return Err(malformed(error)),
            };
            let certificate =
                if self.server.config.read_only { Err(Refusal::ReadOnly) } else { certificate };
            // Spawned, so that a change that was begun ends whether or not the call still waits.
            let finalizing = finalize(Arc::clone(&self.server), storage_index, certificate);
            let task = self.server.tasks.spawn(finalizing.in_current_span());
            task.await.map_err(|_| Status::unavailable("the server is stopping"))?
        } else {
            refused(Refusal::Unauthenticated, None)
        };
        Ok(Response::new(wire::FinalizeAnswer { answer: Some(answer) }))
    }

    async fn watch_slot(
        &self,
        request: Request<wire::WatchSlotRequest>,
    ) -> Answered<Self::WatchSlotStream> {
        let request = request.into_inner();
        self.admit(&request.token)?;
        let handle = self.slot(&request.storage_index)?;
        let (stream, answers) = stream::answers(&self.server);
        self.server.tasks.spawn(watch::serve(handle, stream));
        Ok(answers)
    }
}

async fn finalize<S: Store>(
    server: Arc<Server<S>>,
    storage_index: StorageIndex,
    certificate: Result<Certificate, Refusal>,
) -> wire::finalize_answer::Answer {
    let handle = server.slots.get(storage_index);
    let mut slot = match handle.lock().await {
        Ok(slot) => slot,
        Err(error) => return refused(refusal_of(&error), None),
    };
    let finalized = match certificate {
        Ok(certificate) => slot.change(|slot, _| slot.finalize(certificate)).await,
        Err(refusal) => Err(refusal),
    };
    tracing::debug!(slot = %storage_index, ?finalized, "finalize");
    let told = slot.state(None, None);
    drop(slot);
    // After a change that failed only the store knows what the slot holds.
    let state = match told {
        Some(state) => Some(state),
        None => handle.lock().await.ok().and_then(|slot| slot.state(None, None)),
    };
    match (finalized, &state) {
        (Ok(_), Some(state)) => wire::finalize_answer::Answer::Recorded(state.into()),
        (Ok(_), None) => refused(Refusal::StoreFailed, None),
        (Err(refusal), state) => refused(refusal, state.as_ref()),
    }
}

fn refused(
    refusal: Refusal,
    state: Option<&tarn_proto::SlotState>,
) -> wire::finalize_answer::Answer {
    wire::finalize_answer::Answer::Refused(refusal.to_wire(refusal.to_string(), state))
}

#[cfg(test)]
mod tests;
