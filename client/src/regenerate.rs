//! Bringing shares of a version that is signed already to one server: reads any k blocks of every segment from the
//! servers that have them, regenerates the blocks wanted, and streams them. Needs no secret, and chooses neither the
//! shares nor the server: [`crate::bring`] does.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use futures::stream::FuturesUnordered;
use tarn_proto::state::Tests;
use tarn_proto::{
    Certificate, ConversationId, Refusal, ShareNumber, SignedHeader, SlotState, Table,
};
use tokio::time::timeout;

use crate::encode::workers::Workers;
use crate::encode::{BlockRepairer, DecodeError, VerifiedBlock};
use crate::fetch::NotEnoughShares;
use crate::fetch::driver::{Clients, FetchedSegment, Fetching, Rows, SILENCE_MAX};
use crate::quorum::Placement;
use crate::servermap::Failure;
use crate::transport::{
    Answer, CallError, ConversationAnswers, ConversationSender, OpenRequest, ServerClient,
};

/// How long one source may take for the table before another is asked too.
const TABLE_PATIENCE: Duration = Duration::from_secs(2);

/// What to bring.
#[derive(Debug, Clone)]
pub struct Brought {
    /// The version.
    pub header: SignedHeader,
    /// Its certificate, which lets it replace any older version.
    pub certificate: Option<Certificate>,
    /// What it was built on, back to a version known to be Published.
    pub ancestors: Vec<SignedHeader>,
    /// The conversation to use: fresh.
    pub conversation: ConversationId,
    /// Which of its shares.
    pub shares: BTreeSet<ShareNumber>,
    /// Who has shares of it that can be read.
    pub sources: Placement,
}

/// Why shares were not brought.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum BringFailure {
    /// The server did not take them; nothing was changed.
    #[error("{refusal}")]
    Refused {
        /// Why.
        refusal: Refusal,
        /// The slot as it is.
        state: Option<SlotState>,
    },
    /// The server failed; it may have taken them.
    #[error("{0}")]
    Failed(Failure),
    /// Try again when more servers can be read; nothing was changed.
    #[error(transparent)]
    NotEnoughShares(#[from] NotEnoughShares),
    /// No server's table can be read; nothing was changed.
    #[error("no server gives the table of the version")]
    NoTable,
    /// Its writer signed blocks that are no code word: no set of servers can bring the version back.
    #[error(transparent)]
    Unrecoverable(#[from] DecodeError),
    /// The program is ending; nothing was changed.
    #[error("the program is stopping")]
    Stopping,
}

impl From<BringFailure> for Failure {
    /// As a failure of the message to the server that was to be brought something.
    fn from(failure: BringFailure) -> Self {
        match failure {
            BringFailure::Refused { refusal, .. } => Self::Refused(refusal),
            BringFailure::Failed(failure) => failure,
            BringFailure::NotEnoughShares(_)
            | BringFailure::NoTable
            | BringFailure::Unrecoverable(_)
            | BringFailure::Stopping => Self::Broken(failure.to_string()),
        }
    }
}

/// Brings shares to `target`. When it returns Ok they are durable there, or were. Memory is bounded by the table and
/// a few segments; every call has a deadline. Dropping the future ends the conversation and all reading.
pub async fn bring_shares(
    clients: &Clients,
    target: &ServerClient,
    brought: Brought,
    workers: Workers,
) -> Result<(), BringFailure> {
    let table = read_table(clients, &brought).await?;
    let header = brought.header.header();
    let (mut sender, mut answers) = target.open(&OpenRequest {
        conversation: brought.conversation,
        verify_key: brought.header.verify_key(),
        shape: header.shape,
        block_size: header.geometry.block_size(),
        length: Some(header.geometry.length()),
        shares: brought.shares.iter().copied().collect(),
        tests: Tests::default(),
        base: None,
        finalize: None,
        ancestors: brought.ancestors.clone(),
    });
    // While blocks go out, the server may refuse at any moment; it need not say anything else.
    let verdict = tokio::select! {
        biased;
        verdict = hear(&mut answers, Duration::MAX) => return verdict,
        sent = send(clients, &mut sender, &brought, &table, workers) => sent,
    };
    match verdict {
        Ok(()) | Err(Sending::Ended) => hear(&mut answers, SILENCE_MAX).await,
        Err(Sending::Failed(failure)) => Err(failure),
    }
}

/// The table from whichever source gives it first: one is asked, and the next when that fails or takes long.
async fn read_table(clients: &Clients, brought: &Brought) -> Result<Table, BringFailure> {
    let header = &brought.header;
    if header.header().geometry.segments() == 0 {
        return Ok(Table::from_rows(header.header().shape.n(), []));
    }
    let mut sources = brought.sources.keys().filter_map(|store| clients.get(store));
    let mut asked = FuturesUnordered::new();
    loop {
        let next = sources.next();
        let is_last = next.is_none();
        asked.extend(next.map(|client| client.read_table(header, SILENCE_MAX)));
        let patience = if is_last { Duration::MAX } else { TABLE_PATIENCE };
        match timeout(patience, asked.next()).await {
            Ok(Some(Ok(table))) => return Ok(table),
            Ok(None) if is_last => return Err(BringFailure::NoTable),
            Ok(Some(Err(_)) | None) | Err(_) => {}
        }
    }
}

/// Why sending ended before the end.
enum Sending {
    /// The server ended the conversation; its last answer says why.
    Ended,
    Failed(BringFailure),
}

impl<E: Into<BringFailure>> From<E> for Sending {
    fn from(failure: E) -> Self {
        Self::Failed(failure.into())
    }
}

async fn send(
    clients: &Clients,
    sender: &mut ConversationSender,
    brought: &Brought,
    table: &Table,
    workers: Workers,
) -> Result<(), Sending> {
    let header = &brought.header;
    let geometry = header.header().geometry;
    let repairer = Arc::new(BlockRepairer::new(geometry));
    let wanted: Arc<[ShareNumber]> = brought.shares.iter().copied().collect();
    if !table.is_empty() {
        within(sender.rows(0, table.bytes().clone())).await?;
        let mut segments = Fetching::begin(
            Arc::clone(clients),
            header.clone(),
            Rows::of(table),
            0..geometry.segments(),
            brought.sources.clone(),
        );
        while let Some(fetched) = segments.next().await? {
            let segment = fetched.segment;
            for block in regenerate(workers, &repairer, fetched, &wanted).await? {
                within(sender.blocks(block.share(), segment, block.into_bytes())).await?;
            }
        }
    }
    let certificate = brought.certificate;
    within(sender.seal_bring(header.bytes().clone(), header.signature(), certificate)).await
}

/// Regenerates where such work is done.
async fn regenerate(
    workers: Workers,
    repairer: &Arc<BlockRepairer>,
    fetched: FetchedSegment,
    wanted: &Arc<[ShareNumber]>,
) -> Result<Vec<VerifiedBlock>, BringFailure> {
    let (repairer, wanted) = (Arc::clone(repairer), Arc::clone(wanted));
    let FetchedSegment { segment, row, blocks } = fetched;
    let made = workers.run(move || repairer.regenerate(segment, &row, &blocks, &wanted)).await;
    Ok(made.map_err(|_stopped| BringFailure::Stopping)??)
}

/// A message to the server, which must be taken before long.
async fn within<E>(sending: impl Future<Output = Result<(), E>>) -> Result<(), Sending> {
    match timeout(SILENCE_MAX, sending).await {
        Ok(Ok(())) => Ok(()),
        Ok(Err(_ended)) => Err(Sending::Ended),
        Err(_) => {
            let failure = Failure::from(CallError::TimedOut { after: SILENCE_MAX });
            Err(Sending::Failed(BringFailure::Failed(failure)))
        }
    }
}

/// The server's last word. `deadline` is for each of its answers.
async fn hear(answers: &mut ConversationAnswers, deadline: Duration) -> Result<(), BringFailure> {
    loop {
        match answers.next(deadline).await {
            Ok(Answer::Written { .. } | Answer::AlreadyHeld { .. }) => return Ok(()),
            Ok(Answer::Refused { refusal, state, .. }) => {
                return Err(BringFailure::Refused { refusal, state });
            }
            Ok(Answer::Staged { .. }) => {}
            Ok(Answer::Sealed { .. } | Answer::Extended { .. }) => {
                let words = "it promised where it should have written".to_owned();
                return Err(BringFailure::Failed(Failure::Broken(words)));
            }
            Err(error) => return Err(BringFailure::Failed(error.into())),
        }
    }
}
