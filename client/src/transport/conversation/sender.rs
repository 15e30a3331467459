//! The half of a conversation that sends: bounded, in order, and safe to drop at any await. It waits for no answer.

use std::collections::VecDeque;

use bytes::Bytes;
use tarn_proto::state::Tests;
use tarn_proto::wire::{self, seal::Authority, write_request::Request};
use tarn_proto::{Certificate, Shape, ShareNumber, Signature};
use tokio::sync::mpsc;
use tokio::sync::mpsc::error::TrySendError;

use crate::transport::batch::{Batch, Column};

/// Messages that are sent together.
pub(super) type Flight = Vec<wire::WriteRequest>;

/// The half that sends. A call waits while the server is slow. One that is dropped before it returns has sent
/// nothing of its own; what earlier calls handed over may have gone.
#[derive(Debug)]
pub struct ConversationSender {
    queue: mpsc::Sender<Flight>,
    batch: Batch,
    due: VecDeque<Request>,
    block_bytes: usize,
    row_bytes: usize,
}

impl ConversationSender {
    pub(super) fn new(queue: mpsc::Sender<Flight>, shape: Shape, block_size: u32) -> Self {
        Self {
            queue,
            batch: Batch::of_one_in(shape.n().into()),
            due: VecDeque::new(),
            block_bytes: block_size as usize,
            row_bytes: 32 + 32 * usize::from(shape.n()),
        }
    }

    /// Stages consecutive blocks of a share, concatenated. They may be held back for a fuller message, at the latest
    /// until a Seal.
    pub async fn blocks(
        &mut self,
        share: ShareNumber,
        first_segment: u32,
        bytes: Bytes,
    ) -> Result<(), ConversationEnded> {
        let unit = self.block_bytes;
        self.stage(Column::Blocks(share), unit, first_segment, bytes).await
    }

    /// Stages consecutive rows of the table, concatenated. They may be held back like blocks.
    pub async fn rows(
        &mut self,
        first_segment: u32,
        bytes: Bytes,
    ) -> Result<(), ConversationEnded> {
        let unit = self.row_bytes;
        self.stage(Column::Rows, unit, first_segment, bytes).await
    }

    /// Asks for a promise for this header, by a prepare signature. `tests` replace those given before.
    pub async fn seal_prepare(
        &mut self,
        header: Bytes,
        signature: Signature,
        tests: Option<Tests>,
    ) -> Result<(), ConversationEnded> {
        self.send(Request::Seal(wire::Seal {
            header,
            authority: Some(Authority::PrepareSignature(copy(signature))),
            tests: tests.as_ref().map(Into::into),
            discard: None,
        }))
        .await
    }

    /// Brings a version that is signed already; the answer is final.
    pub async fn seal_bring(
        &mut self,
        header: Bytes,
        header_signature: Signature,
        certificate: Option<Certificate>,
    ) -> Result<(), ConversationEnded> {
        self.send(Request::Seal(wire::Seal {
            header,
            authority: Some(Authority::Bring(wire::Bring {
                header_signature: copy(header_signature),
                certificate: certificate.as_ref().map(Into::into),
            })),
            tests: None,
            discard: None,
        }))
        .await
    }

    /// Renews the promise; before a Seal, says that there is more to come, which is answered with
    /// [`Answer::Staged`](super::Answer::Staged).
    pub async fn extend(&mut self) -> Result<(), ConversationEnded> {
        self.send(Request::Extend(wire::Extend {})).await
    }

    /// Makes the sealed header a version, by its signature: the last message of a conversation. If this is dropped
    /// before it returns, nothing was sent and, the sender being gone, nothing will be.
    pub async fn commit(mut self, signature: Signature) -> Result<(), ConversationEnded> {
        self.send(Request::Commit(wire::Commit { header_signature: copy(signature) })).await
    }

    async fn stage(
        &mut self,
        column: Column,
        unit: usize,
        first_segment: u32,
        bytes: Bytes,
    ) -> Result<(), ConversationEnded> {
        self.send_due().await?;
        self.due.extend(self.batch.push(column, unit, first_segment, bytes));
        self.send_what_fits()
    }

    /// Sends everything held back and this, all at once.
    async fn send(&mut self, request: Request) -> Result<(), ConversationEnded> {
        self.due.extend(self.batch.flush());
        let place = self.queue.reserve().await.map_err(|_| ConversationEnded)?;
        place.send(self.due.drain(..).chain([request]).map(message).collect());
        Ok(())
    }

    /// Waits until nothing is due. A message leaves the list in the instant in which it is sent, so this may be
    /// dropped at any time.
    async fn send_due(&mut self) -> Result<(), ConversationEnded> {
        if self.queue.is_closed() {
            return Err(ConversationEnded);
        }
        while !self.due.is_empty() {
            let place = self.queue.reserve().await.map_err(|_| ConversationEnded)?;
            if let Some(request) = self.due.pop_front() {
                place.send(vec![message(request)]);
            }
        }
        Ok(())
    }

    fn send_what_fits(&mut self) -> Result<(), ConversationEnded> {
        while !self.due.is_empty() {
            match self.queue.try_reserve() {
                Ok(place) => {
                    if let Some(request) = self.due.pop_front() {
                        place.send(vec![message(request)]);
                    }
                }
                Err(TrySendError::Full(())) => return Ok(()),
                Err(TrySendError::Closed(())) => return Err(ConversationEnded),
            }
        }
        Ok(())
    }
}

fn message(request: Request) -> wire::WriteRequest {
    wire::WriteRequest { request: Some(request) }
}

fn copy(signature: Signature) -> Bytes {
    Bytes::copy_from_slice(signature.as_bytes())
}

/// The conversation is over on the server's side; [`ConversationAnswers::next`](super::ConversationAnswers::next) says why.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the conversation has ended")]
pub struct ConversationEnded;
