//! No caller is trusted to stay: whatever can be asked of the service is dropped at its every poll, and a conversation
//! between any two polls of its task. Called without a connection in between, so that it is the handlers themselves that
//! are dropped.
#![expect(
    clippy::async_yields_async,
    reason = "operations are made here, and polled by what drops them"
)]

use std::cell::RefCell;
use std::collections::BTreeSet;

use bytes::BytesMut;
use futures::{Stream, StreamExt};
use tarn_drops::{Table, runtime, until};
use tarn_proto::wire::storage_server::Storage;
use tonic::codec::{Codec, EncodeBody};
use tonic_prost::ProstCodec;

use super::*;
use crate::admission::Ledger;
use crate::service::StorageService;
use crate::store::local::LocalStore;
use crate::testing::Engine;

mod calls;
mod conversations;
mod serving;

/// The shares that are written here, too large to lie in a manifest.
const SHARES: [u8; 2] = [0, 1];

/// What the slot holds when a trial begins.
fn base() -> Version {
    version(1, 1, None)
}

/// What may come after it.
fn successor(base: &Version) -> Version {
    version(2, 2, Some(base))
}

fn version(label: u8, sequence_number: u64, base: Option<&Version>) -> Version {
    let (block_size, segments_twice) = (32 << 10, 5);
    let length = u64::from(segments_twice * block_size);
    writer().sized(label, sequence_number, base.map(Version::id), block_size, length)
}

/// A server that is called directly, on a store of its own.
struct Stage<E: Engine> {
    server: Arc<Server<E>>,
    /// Of the connection that every call is said to come on.
    connection: Arc<Ledger>,
    disk: E::Disk,
}

impl<E: Engine> Stage<E> {
    fn fresh() -> Self {
        let (store, disk) = E::fresh();
        Self::on(store, disk)
    }

    fn on(store: E, disk: E::Disk) -> Self {
        let config = ServerConfig::default();
        let connection = Ledger::new(config.limits.connection);
        Self { server: Server::new(Arc::new(store), config), connection, disk }
    }

    fn service(&self) -> StorageService<E> {
        StorageService::new(Arc::clone(&self.server))
    }

    fn request<T>(&self, message: T) -> tonic::Request<T> {
        let mut request = tonic::Request::new(message);
        request.extensions_mut().insert(Arc::clone(&self.connection));
        request
    }

    async fn state(&self) -> SlotState {
        let request = wire::ReadSlotRequest { storage_index: slot(), ..Default::default() };
        let answer = self.service().read_slot(self.request(request)).await.unwrap();
        verified(answer.into_inner().state)
    }

    async fn blocks(&self, version: &Version, number: u8) -> Bytes {
        use wire::read_blocks_answer::Answer;
        let request = wire::ReadBlocksRequest {
            token: String::new(),
            storage_index: slot(),
            version_id: bytes(version.id().as_bytes()),
            share: number.into(),
            first_segment: 0,
            segments: version.header().geometry.segments(),
        };
        let answers = self.service().read_blocks(self.request(request)).await.unwrap();
        let mut answers = answers.into_inner();
        let mut read = BytesMut::new();
        while let Some(answer) = answers.next().await {
            match answer.unwrap().answer.unwrap() {
                Answer::Blocks(run) => read.extend_from_slice(&run.data),
                Answer::Refused(refused) => panic!("{refused:?}"),
            }
        }
        read.freeze()
    }

    /// A whole conversation, in which nobody else is in the way.
    async fn publish(&self, number: u8, version: &Version, shares: &[u8]) {
        let mut talk = Direct::begin(self, prepared(number, version, shares)).await;
        assert!(matches!(talk.answer().await, Some(Ok(Answer::Sealed(_)))));
        talk.send(commit(version)).await;
        assert!(matches!(talk.answer().await, Some(Ok(Answer::Written(_)))));
        assert!(talk.answer().await.is_none());
        self.comes_to_rest().await;
    }

    /// Waits until no task, slot, quota or chunk is in use that nobody needs.
    async fn comes_to_rest(&self) {
        let server = &self.server;
        until(async || server.tasks.is_empty()).await;
        assert_eq!(server.slots.in_use(), 0);
        assert!(server.ledger.is_idle() && self.connection.is_idle());
        until(async || {
            let stored = server.store.load(writer().storage_index()).await.unwrap();
            let named = stored.map(|(manifest, _)| manifest.chunks().collect::<BTreeSet<_>>());
            E::chunks(&self.disk) == named.map_or(0, |named| named.len())
        })
        .await;
    }

    /// Nothing is left of what was dropped, one of these versions is there whole, and the next writer goes on from it.
    async fn goes_on(self, held: &[&Version]) {
        self.comes_to_rest().await;
        let state = self.state().await;
        assert_eq!(state.promised_ms, None);
        let current = state.current().unwrap();
        let held = held.iter().find(|version| version.signed == current.header);
        let held = held.expect("the slot holds what it may");
        assert!(current.shares.keys().copied().eq(SHARES.map(share)));
        assert_eq!(self.blocks(held, SHARES[1]).await, held.column(share(SHARES[1])));
        self.takes_the_next(held).await;
    }

    /// The next writer can seal at once, and what it writes is there when the server starts again.
    async fn takes_the_next(self, held: &Version) {
        let next = writer().version(9, 9, Some(held.id()));
        self.publish(9, &next, &[0]).await;
        let Self { server, disk, .. } = self;
        assert!(Arc::into_inner(server).is_some(), "somebody has the server still");
        let again = Self::on(E::again(&disk), disk);
        assert_eq!(again.state().await.current().unwrap().header, next.signed);
    }
}

fn slot() -> Bytes {
    bytes(writer().storage_index().as_bytes())
}

/// The client's side of a conversation that has no connection under it.
struct Direct {
    requests: mpsc::Sender<Result<wire::WriteRequest, Status>>,
    answers: ReceiverStream<Result<wire::WriteAnswer, Status>>,
}

impl Direct {
    async fn begin<E: Engine>(stage: &Stage<E>, messages: Vec<Request>) -> Self {
        let (requests, queue) = mpsc::channel(messages.len() + 1);
        for message in messages {
            requests.try_send(Ok(wrap(message))).unwrap();
        }
        let inbound = inbound(ReceiverStream::new(queue));
        let answers = stage.service().test_and_write(stage.request(inbound)).await.unwrap();
        Self { requests, answers: answers.into_inner() }
    }

    async fn send(&self, message: Request) {
        self.requests.send(Ok(wrap(message))).await.unwrap();
    }

    /// The next answer that is more than a sign of life.
    async fn answer(&mut self) -> Option<Result<Answer, Status>> {
        loop {
            match self.answers.next().await?.map(|message| message.answer.unwrap()) {
                Ok(Answer::Staged(_)) => {}
                answer => return Some(answer),
            }
        }
    }
}

/// These messages as tonic hands them to a handler.
fn inbound(
    messages: impl Stream<Item = Result<wire::WriteRequest, Status>> + Send + 'static,
) -> Streaming<wire::WriteRequest> {
    let mut codec = ProstCodec::<wire::WriteRequest, wire::WriteRequest>::default();
    let body = EncodeBody::new_client(codec.encoder(), messages, None, None);
    Streaming::new_request(codec.decoder(), body, None, None)
}

/// When an operation is dropped.
#[derive(Debug, Clone, Copy)]
enum Drops {
    AtEveryPoll,
    AtEveryTurn,
}

impl Drops {
    /// When operations on this engine are dropped.
    fn on<E: Engine>() -> &'static [Self] {
        let all = &[Self::AtEveryPoll, Self::AtEveryTurn];
        if E::HAS_NO_THREADS { all } else { &all[..1] }
    }
}

/// Drops an operation, each time on a stage of its own that holds the base. `held` looks at what came of it, and says
/// what the slot may hold then.
async fn drop_each<'v, E: Engine, F: Future>(
    table: &mut Table,
    (operation, drops): (&str, Drops),
    base: &Version,
    begin: impl Fn(Arc<Stage<E>>) -> F,
    held: impl Fn(Option<F::Output>) -> Vec<&'v Version>,
) {
    let staged = RefCell::new(None);
    let make = async || {
        let stage = Arc::new(Stage::<E>::fresh());
        stage.publish(1, base, &SHARES).await;
        staged.replace(Some(Arc::clone(&stage)));
        begin(stage)
    };
    let after = async |outcome| {
        let stage = staged.take().and_then(Arc::into_inner);
        let stage = stage.expect("what was dropped holds nothing");
        stage.goes_on(&held(outcome)).await;
    };
    match drops {
        Drops::AtEveryPoll => table.polls(operation, make, after).await,
        Drops::AtEveryTurn => table.turns(operation, make, after).await,
    }
}
