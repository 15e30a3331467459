//! One test-and-write conversation, from Open to its answer. Driven by a task that the server owns, so that a client
//! that vanishes cannot interrupt a Commit; whatever way the task ends, what it held is released. Holds no rules of
//! the slot.
//!
//! ```text
//!   opening ──Open──▶ staging ──Seal──▶ sealed ──Commit──▶ Written | AlreadyHeld | Refused
//!                      │  ▲ blocks, rows,  ▲ Extend
//!                      │  │ Extend         └ (bringing: Seal is answered with Written at once)
//!                      │  └ Conflict
//! ```

mod answers;
mod foundation;
mod opening;
mod sealing;
mod spool;
mod staging;

use std::sync::Arc;

use futures::FutureExt;
use tarn_proto::state::Tests;
use tarn_proto::{
    AttemptId, ConversationId, HistoryQuery, Refusal, Signature, SignedHeader, SlotState,
    VerifyKey, wire,
};
use tokio::sync::mpsc;
use tonic::{Status, Streaming};
use wire::write_answer::Answer;
use wire::write_request::Request;

use crate::admission::{Ledger, Ticket};
use crate::parse::{self, BadStatement, BoxError};
use crate::server::Server;
use crate::slots::{LockedSlot, Outcome, Served, refusal_of};
use crate::store::Store;

use answers::Answers;
use sealing::SealOutcome;
use staging::{BadRun, Staging};

/// A sign of life is due when so many bytes were taken in since the last.
const STAGED_EVERY: u64 = 1 << 20;
/// Free space is looked at again when so many bytes were taken in since the last look.
const SPACE_EVERY: u64 = 16 << 20;

/// Serves one stream to its end.
pub(crate) async fn serve<S: Store>(
    server: Arc<Server<S>>,
    connection: Arc<Ledger>,
    inbound: Streaming<wire::WriteRequest>,
    outbound: mpsc::Sender<Result<wire::WriteAnswer, Status>>,
) {
    let mut stream =
        Stream { inbound, answers: Answers::new(&server, outbound), taken: Taken::default() };
    let ended = match opening::open(&server, connection, &mut stream).await {
        Ok(mut conversation) => {
            let ended = conversation.run(&mut stream).await;
            conversation.talk.with_evidence(ended).await
        }
        Err(end) => Err(end),
    };
    match ended {
        Ok(()) | Err(End::Gone) => {}
        Err(End::Refused(refused)) => {
            tracing::debug!(refusal = ?refused.refusal, detail = refused.detail, "refused");
            let _ = stream.answers.send(refused.into_answer()).await;
        }
        Err(End::Failed(status)) => {
            tracing::debug!(%status, "ended");
            stream.answers.fail(status).await;
        }
    }
}

/// Why a conversation ends without the answer that was asked for.
enum End {
    /// The client hung up, or takes no answers.
    Gone,
    /// The last answer is a refusal.
    Refused(Box<Refused>),
    /// A malformed message, or a server that cannot go on: a gRPC error.
    Failed(Status),
}

/// A refusal and its evidence. Without a state, the slot's present one is told.
struct Refused {
    refusal: Refusal,
    detail: String,
    state: Option<SlotState>,
}

impl Refused {
    fn into_answer(self) -> Answer {
        Answer::Refused(self.refusal.to_wire(self.detail, self.state.as_ref()))
    }
}

impl From<Refused> for End {
    fn from(refused: Refused) -> Self {
        Self::Refused(Box::new(refused))
    }
}

impl From<Refusal> for End {
    fn from(refusal: Refusal) -> Self {
        Self::refused(refusal, refusal.to_string())
    }
}

impl From<BadStatement> for End {
    fn from(bad: BadStatement) -> Self {
        match bad {
            BadStatement::Malformed(error) => Self::malformed(error),
            BadStatement::Forged => Refusal::BadSignature.into(),
        }
    }
}

impl End {
    fn refused(refusal: Refusal, detail: impl Into<String>) -> Self {
        Self::from(Refused { refusal, detail: detail.into(), state: None })
    }

    /// The message was malformed. It takes whatever says why.
    fn malformed(why: impl Into<BoxError>) -> Self {
        Self::Failed(parse::malformed(why))
    }
}

impl From<BadRun> for End {
    fn from(bad: BadRun) -> Self {
        match bad {
            BadRun::Mismatch(mismatch) => Self::refused(Refusal::BadShare, mismatch.to_string()),
            BadRun::TooLarge(what) => Self::refused(Refusal::TooLarge, what),
            BadRun::Store(error) => refusal_of(&error).into(),
            BadRun::BaseMissing => Self::refused(Refusal::BaseMissing, bad.to_string()),
            BadRun::Unreadable(status) => Self::Failed(*status),
            BadRun::Interrupted(_) => Self::Failed(Status::unavailable("the server is stopping")),
        }
    }
}

/// The two directions of one gRPC stream.
struct Stream {
    inbound: Streaming<wire::WriteRequest>,
    answers: Answers,
    taken: Taken,
}

/// Bytes of blocks and rows taken in.
#[derive(Default)]
struct Taken {
    bytes: u64,
    reported: u64,
    space_seen_at: u64,
}

impl Stream {
    /// The next message. While there is none, the client is told how far the server has come.
    async fn next(&mut self) -> Result<Request, End> {
        let message = match self.inbound.message().now_or_never() {
            Some(message) => message,
            None => {
                self.report();
                self.answers.waiting_for(self.inbound.message()).await?
            }
        };
        match message {
            Ok(Some(wire::WriteRequest { request: Some(request) })) => {
                // Messages that never cease must not hold a stopping server up. A Commit that arrived is carried out.
                if !matches!(request, Request::Commit(_)) {
                    self.answers.require_running()?;
                }
                Ok(request)
            }
            Ok(Some(wire::WriteRequest { request: None })) => {
                Err(End::malformed("the message holds no request"))
            }
            Ok(None) => Err(End::Gone),
            // A client that is gone never sees this; one that sent what cannot be decoded does.
            Err(status) => Err(End::Failed(status)),
        }
    }

    fn took(&mut self, bytes: u64) {
        self.taken.bytes += bytes;
        if self.taken.bytes - self.taken.reported >= STAGED_EVERY {
            self.report();
        }
    }

    fn report(&mut self) {
        if self.taken.reported < self.taken.bytes {
            self.give_sign_of_life();
        }
    }

    /// Tells how far the server has come. A client that has answers left to take is told later.
    fn give_sign_of_life(&mut self) {
        let bytes = self.taken.bytes;
        if self.answers.try_send(Answer::Staged(wire::Staged { bytes })) {
            self.taken.reported = bytes;
        }
    }
}

/// A conversation that was opened.
struct Conversation<S: Store> {
    talk: Talk<S>,
    staging: Staging<S>,
}

/// All of a conversation but what it has staged.
struct Talk<S: Store> {
    server: Arc<Server<S>>,
    id: ConversationId,
    verify_key: VerifyKey,
    tests: Tests,
    /// The tests given at Open were refused and answered, and no others came since.
    tests_refused: bool,
    /// What the version to be written was built on, as far as the client says so.
    ancestors: Vec<SignedHeader>,
    /// The attempt of the version that was last asked to be sealed.
    attempt: Option<AttemptId>,
    ticket: Ticket,
    served: Served<S>,
}

impl<S: Store> Conversation<S> {
    async fn run(&mut self, stream: &mut Stream) -> Result<(), End> {
        loop {
            match stream.next().await? {
                Request::Blocks(run) => {
                    let share = run.share.try_into().map_err(End::malformed)?;
                    let memory = self.staging.memory_of_blocks(share, run.data.len());
                    self.talk.take(stream, run.data.len(), memory).await?;
                    let (first, data) = (run.first_segment, run.data);
                    self.staging.blocks(share, first, data).await?;
                }
                Request::Rows(run) => {
                    if !run.proofs.is_empty() {
                        return Err(End::malformed("rows are written without proofs"));
                    }
                    let memory = self.staging.memory_of_rows(run.data.len());
                    self.talk.take(stream, run.data.len(), memory).await?;
                    self.staging.rows(run.first_segment, run.data).await?;
                }
                Request::Seal(seal) => match self.seal(stream, seal).await? {
                    SealOutcome::Promised => break,
                    SealOutcome::TryAgain => {}
                    SealOutcome::Brought => return Ok(()),
                },
                Request::Open(_) => return Err(End::malformed("a conversation is opened once")),
                Request::Extend(_) => stream.give_sign_of_life(),
                Request::Commit(_) => return Err(End::malformed("Commit comes after Sealed")),
            }
        }
        loop {
            match stream.next().await? {
                Request::Extend(_) => self.talk.extend(stream).await?,
                Request::Commit(commit) => return self.talk.commit(stream, commit).await,
                Request::Open(_) | Request::Blocks(_) | Request::Rows(_) | Request::Seal(_) => {
                    return Err(End::malformed("only Extend and Commit come after Sealed"));
                }
            }
        }
    }
}

impl<S: Store> Talk<S> {
    /// Counts bytes, and the memory they will hold, against quota and space before they are taken in.
    async fn take(&mut self, stream: &mut Stream, bytes: usize, memory: usize) -> Result<(), End> {
        if bytes == 0 {
            return Err(End::malformed("the run is empty"));
        }
        let bytes = bytes as u64;
        if !self.ticket.stage(bytes, memory as u64) {
            return Err(End::refused(Refusal::OverQuota, "too much is staged"));
        }
        if stream.taken.bytes - stream.taken.space_seen_at >= SPACE_EVERY {
            self.server.require_space(bytes).await?;
            stream.taken.space_seen_at = stream.taken.bytes;
        }
        stream.took(bytes);
        Ok(())
    }

    async fn extend(&self, stream: &mut Stream) -> Result<(), End> {
        let mut slot = self.lock().await?;
        let now = slot.now();
        let promise = slot.slot_mut().extend(now, self.id);
        let promise_ms = promise.map_err(|refusal| self.evidence(&slot, refusal))?.get();
        drop(slot);
        let extended = wire::Extended { promise_ms };
        stream.answers.send(Answer::Extended(extended)).await
    }

    /// Carries out a Commit. From here to the answer nothing waits for the client.
    async fn commit(&self, stream: &mut Stream, commit: wire::Commit) -> Result<(), End> {
        let signature = Signature::try_from(commit.header_signature.as_ref());
        let signature = signature.map_err(End::malformed)?;
        let mut slot = self.lock().await?;
        let outcome = slot
            .change(|slot, now| slot.commit(now, self.id, signature))
            .await
            .map_err(|refusal| self.evidence(&slot, refusal))?;
        slot.slot_mut().end(self.id);
        let storage_index = self.served.handle().storage_index();
        self.server.scattered.note(storage_index, slot.slot().manifest());
        let state = self.state(&slot).as_ref().map(Into::into);
        drop(slot);
        tracing::debug!(?outcome, "committed");
        stream
            .answers
            .send(match outcome {
                Outcome::Changed => Answer::Written(wire::Written { state }),
                Outcome::AlreadySo => Answer::AlreadyHeld(wire::AlreadyHeld { state }),
            })
            .await
    }

    async fn lock(&self) -> Result<LockedSlot<'_, S>, End> {
        let locked = self.served.handle().lock().await;
        locked.map_err(|error| refusal_of(&error).into())
    }

    fn state(&self, slot: &LockedSlot<'_, S>) -> Option<SlotState> {
        slot.state(self.attempt.map(HistoryQuery::from), Some(self.id))
    }

    /// A refusal with the very state that it was decided on, if that is known.
    fn evidence(&self, slot: &LockedSlot<'_, S>, refusal: Refusal) -> Refused {
        Refused { refusal, detail: refusal.to_string(), state: self.state(slot) }
    }

    /// A refusal that was decided without looking at the slot, or leaves open what it holds, is answered with the
    /// slot's present state; with none if the store does not tell it.
    async fn with_evidence(&self, ended: Result<(), End>) -> Result<(), End> {
        match ended {
            Err(End::Refused(mut refused)) if refused.state.is_none() => {
                let locked = self.served.handle().lock().await;
                refused.state = locked.ok().and_then(|slot| self.state(&slot));
                Err(End::Refused(refused))
            }
            Ok(()) | Err(End::Gone | End::Refused(_) | End::Failed(_)) => ended,
        }
    }
}
