//! Open: who is admitted, and whether what is announced fits the limits, before anything is taken in.

use std::sync::Arc;

use tarn_proto::geometry::{Geometry, GeometryError, Shape};
use tarn_proto::state::Tests;
use tarn_proto::{
    Certificate, ConversationId, Refusal, ShareNumber, SignedHeader, StorageIndex, VerifyKey,
    VersionId, convert, wire,
};
use wire::write_request::Request;

use super::foundation::Foundation;
use super::staging::{Plan, Staging};
use super::{Conversation, End, Refused, Stream, Talk};
use crate::admission::{Ledger, Ticket};
use crate::parse;
use crate::server::Server;
use crate::slot::Base;
use crate::slots::{Served, SlotHandle, refusal_of};
use crate::store::Store;

/// A header is held as the bytes that were signed and, read, as much again.
const HELD_PER_BYTE: u64 = 2;

/// What an Open says, well-formed but not yet admitted.
struct Opening {
    conversation: ConversationId,
    storage_index: StorageIndex,
    /// None when the bytes are no usable key of that file.
    verify_key: Option<VerifyKey>,
    shape: Shape,
    block_size: u32,
    data_length: Option<u64>,
    shares: Vec<ShareNumber>,
    tests: Tests,
    /// What an update is built on.
    base: Option<VersionId>,
    finalize: Option<wire::Certificate>,
    ancestors: Vec<wire::SignedHeader>,
}

/// A client that may write to the slot it names.
struct Permitted {
    verify_key: VerifyKey,
    certificate: Option<Certificate>,
}

/// What an Open was granted.
struct Admitted<S: Store> {
    ticket: Ticket,
    plan: Plan,
    foundation: Option<Foundation<S>>,
    verify_key: VerifyKey,
    ancestors: Vec<SignedHeader>,
}

/// Reads the first message and opens the conversation, or says why not.
pub(super) async fn open<S: Store>(
    server: &Arc<Server<S>>,
    connection: Arc<Ledger>,
    stream: &mut Stream,
) -> Result<Conversation<S>, End> {
    let Request::Open(message) = stream.next().await? else {
        return Err(End::malformed("a conversation begins with Open"));
    };
    if !server.admits(&message.token) {
        return Err(Refusal::Unauthenticated.into());
    }
    let opening = parse(message)?;
    let handle = server.slots.get(opening.storage_index);
    match admit(server, connection, &handle, &opening).await {
        Ok(admitted) => begin(server, stream, handle, opening, admitted).await,
        Err(End::Refused(refused)) => Err(End::Refused(with_state(&handle, refused).await)),
        Err(End::Gone) => Err(End::Gone),
        Err(End::Failed(status)) => Err(End::Failed(status)),
    }
}

fn parse(message: wire::Open) -> Result<Opening, End> {
    let storage_index = StorageIndex::try_from(message.storage_index.as_ref());
    let storage_index = storage_index.map_err(End::malformed)?;
    if message.verify_key.len() != 32 {
        return Err(End::malformed("a verification key has 32 bytes"));
    }
    let verify_key = VerifyKey::parse(&message.verify_key)
        .ok()
        .filter(|key| key.storage_index() == storage_index);
    let shape = Shape::with_default_happy(message.k, message.n).map_err(End::malformed)?;
    let shares = convert::shares(shape.n(), &message.shares).map_err(End::malformed)?;
    if shares.is_empty() {
        return Err(End::malformed("a conversation writes at least one share"));
    }
    let tests = message.tests.as_ref().map(Tests::try_from).transpose();
    Ok(Opening {
        conversation: ConversationId::try_from(message.conversation_id.as_ref())
            .map_err(End::malformed)?,
        storage_index,
        verify_key,
        shape,
        block_size: message.block_size,
        data_length: message.data_length,
        shares,
        tests: tests.map_err(End::malformed)?.unwrap_or_default(),
        base: parse::optional_id(&message.base_version_id).map_err(End::Failed)?,
        finalize: message.finalize,
        ancestors: message.ancestors,
    })
}

async fn admit<S: Store>(
    server: &Server<S>,
    connection: Arc<Ledger>,
    handle: &SlotHandle<S>,
    opening: &Opening,
) -> Result<Admitted<S>, End> {
    let Permitted { verify_key, certificate } = permit(server, opening)?;
    // Its own step, whatever becomes of the conversation.
    if let Some(certificate) = certificate {
        finalize(handle, certificate).await;
    }
    let plan = plan(server, opening)?;
    let foundation = match opening.base {
        None => None,
        Some(version) => {
            let (wanted, shares) = (&plan.geometry, &plan.shares);
            Some(Foundation::find(server, handle, version, wanted, shares).await?)
        }
    };
    let base = foundation.as_ref().map(Foundation::base);
    let announced = plan.announced_bytes(base.map(|base| &base.header().geometry));
    server.require_space(announced.max(1)).await?;
    let ticket = Ticket::conversation(connection, Arc::clone(&server.ledger));
    let busy = || End::refused(Refusal::OverQuota, "too many conversations are open");
    let mut ticket = ticket.ok_or_else(busy)?;
    let held =
        opening.ancestors.iter().map(|ancestor| HELD_PER_BYTE * ancestor.header.len() as u64);
    if !ticket.stage(0, held.sum::<u64>() + base.map_or(0, Base::memory)) {
        return Err(End::refused(Refusal::OverQuota, "too much is staged"));
    }
    let ancestors = parse::ancestors(opening.storage_index, &opening.ancestors)?;
    Ok(Admitted { ticket, plan, foundation, verify_key, ancestors })
}

fn permit<S: Store>(server: &Server<S>, opening: &Opening) -> Result<Permitted, End> {
    if server.config.read_only {
        return Err(Refusal::ReadOnly.into());
    }
    let verify_key = opening.verify_key.ok_or(Refusal::BadSignature)?;
    let certificate = match &opening.finalize {
        None => None,
        Some(message) => Some(parse::certificate(opening.storage_index, message)?),
    };
    Ok(Permitted { verify_key, certificate })
}

fn plan<S: Store>(server: &Server<S>, opening: &Opening) -> Result<Plan, End> {
    // Without a length yet, the geometry of no data shows whether the block size is one.
    let length = opening.data_length.unwrap_or(0);
    let geometry = match Geometry::new(opening.shape, opening.block_size, length) {
        Ok(geometry) => geometry,
        Err(error @ GeometryError::BlockSize { .. }) => return Err(End::malformed(error)),
        Err(error @ GeometryError::TooLarge { .. }) => {
            return Err(End::refused(Refusal::TooLarge, error.to_string()));
        }
    };
    let limits = &server.config.limits;
    let plan = Plan {
        geometry,
        length_known: opening.data_length.is_some(),
        shares: opening.shares.clone(),
        share_bytes_max: limits.share_bytes_max,
        table_bytes_max: limits.table_bytes_max,
    };
    plan.check_limits()?;
    Ok(plan)
}

/// Carries out the certificate that rides on an Open. What comes of it changes nothing for the conversation.
async fn finalize<S: Store>(handle: &SlotHandle<S>, certificate: Certificate) {
    match handle.lock().await {
        Ok(mut slot) => {
            let outcome = slot.change(|slot, _| slot.finalize(certificate)).await;
            tracing::debug!(?outcome, "finalized on the way");
        }
        Err(error) => {
            refusal_of(&error);
        }
    }
}

async fn begin<S: Store>(
    server: &Arc<Server<S>>,
    stream: &mut Stream,
    handle: SlotHandle<S>,
    opening: Opening,
    admitted: Admitted<S>,
) -> Result<Conversation<S>, End> {
    let served = Served::begin(handle, opening.conversation).await;
    let served = served
        .map_err(|error| End::from(refusal_of(&error)))?
        .ok_or_else(|| End::malformed("a conversation of this id is open already"))?;
    let mut conversation = Conversation {
        talk: Talk {
            server: Arc::clone(server),
            id: opening.conversation,
            verify_key: admitted.verify_key,
            tests: opening.tests,
            tests_refused: false,
            ancestors: admitted.ancestors,
            attempt: None,
            ticket: admitted.ticket,
            served,
        },
        staging: Staging::new(
            Arc::clone(&server.store),
            server.hashing(),
            admitted.plan,
            admitted.foundation,
        ),
    };
    conversation.talk.judge_tests(stream).await?;
    Ok(conversation)
}

impl<S: Store> Talk<S> {
    /// A writer whose tests fail already is told before it sends anything large. It may seal with other tests.
    async fn judge_tests(&mut self, stream: &mut Stream) -> Result<(), End> {
        let refused = {
            let slot = self.lock().await?;
            let judged = slot.slot().judge_tests(&self.tests);
            judged.err().map(|refusal| self.evidence(&slot, refusal))
        };
        if let Some(refused) = refused {
            self.tests_refused = true;
            stream.answers.send(refused.into_answer()).await?;
        }
        Ok(())
    }
}

async fn with_state<S: Store>(handle: &SlotHandle<S>, mut refused: Box<Refused>) -> Box<Refused> {
    let locked = handle.lock().await;
    refused.state = locked.ok().and_then(|slot| slot.state(None, None));
    refused
}
