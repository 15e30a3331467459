//! Stories over real gRPC on loopback, with the memory store.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use tarn_proto::state::{Refusal, SlotState, Tests};
use tarn_proto::wire::storage_client::StorageClient;
use tarn_proto::{convert, wire};
use tokio::net::TcpListener;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::server::TcpIncoming;
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Status, Streaming};
use wire::write_answer::Answer;
use wire::write_request::Request;

use crate::config::ServerConfig;
use crate::serve::{ServeError, run};
use crate::server::Server;
use crate::store::memory::MemoryStore;
use crate::testing::{STORE, Version, Writer, share};

mod admission;
mod drops;
mod lifecycle;
mod malformed;
mod pages;
mod read;
mod scrub;
mod update;
mod write;

/// A running server and a client of it.
struct Harness {
    store: MemoryStore,
    server: Arc<Server<MemoryStore>>,
    client: StorageClient<Channel>,
    address: String,
    stop: oneshot::Sender<()>,
    served: JoinHandle<Result<(), ServeError>>,
}

impl Harness {
    async fn start() -> Self {
        Self::with(ServerConfig::default()).await
    }

    async fn with(config: ServerConfig) -> Self {
        let rng = ChaCha8Rng::seed_from_u64(1);
        Self::on(MemoryStore::new(STORE, 1 << 30, rng), config).await
    }

    async fn on(store: MemoryStore, config: ServerConfig) -> Self {
        let server = Server::new(Arc::new(store.clone()), config);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let (stop, stopped) = oneshot::channel::<()>();
        let incoming = TcpIncoming::from(listener).with_nodelay(Some(true));
        let running = Arc::clone(&server);
        let served = tokio::spawn(async move {
            let shutdown = async {
                let _ = stopped.await;
            };
            run(running, incoming, shutdown).await
        });
        Self { store, server, client: connect(&address).await, address, stop, served }
    }

    async fn talk(&self, messages: Vec<Request>) -> Talk {
        Talk::begin(self.client.clone(), messages).await
    }

    /// A whole conversation that must succeed.
    async fn publish(&self, number: u8, version: &Version, shares: &[u8]) {
        let mut talk = self.talk(prepared(number, version, shares)).await;
        talk.sealed().await;
        talk.send(commit(version)).await;
        assert!(matches!(talk.answer().await, Ok(Some(Answer::Written(_)))));
        assert!(matches!(talk.answer().await, Ok(None)));
    }

    async fn state(&self) -> SlotState {
        let request = wire::ReadSlotRequest {
            storage_index: bytes(writer().storage_index().as_bytes()),
            ..Default::default()
        };
        let answer = self.client.clone().read_slot(request).await.unwrap();
        verified(answer.into_inner().state)
    }

    async fn stop(self) {
        drop(self.client);
        let _ = self.stop.send(());
        self.served.await.unwrap().unwrap();
    }
}

async fn connect(address: &str) -> StorageClient<Channel> {
    let endpoint = Endpoint::from_shared(address.to_owned()).unwrap();
    StorageClient::new(endpoint.connect().await.unwrap())
}

/// Waits for something that is bound to come, however slow the machine.
async fn until<F: Future<Output = bool>>(mut holds: impl FnMut() -> F) {
    let waiting = async {
        while !holds().await {
            tokio::task::yield_now().await;
        }
    };
    // Only so that what never comes fails a test instead of hanging it.
    let waited = tokio::time::timeout(Duration::from_secs(60), waiting).await;
    waited.expect("it came");
}

/// The client's side of a conversation.
struct Talk {
    requests: mpsc::Sender<wire::WriteRequest>,
    answers: Streaming<wire::WriteAnswer>,
    staged: u64,
}

impl Talk {
    async fn begin(mut client: StorageClient<Channel>, messages: Vec<Request>) -> Self {
        let (requests, outbound) = mpsc::channel(1024);
        for message in messages {
            requests.try_send(wrap(message)).unwrap();
        }
        let answers = client.test_and_write(ReceiverStream::new(outbound)).await;
        Self { requests, answers: answers.unwrap().into_inner(), staged: 0 }
    }

    async fn send(&self, message: Request) {
        self.requests.send(wrap(message)).await.unwrap();
    }

    /// The next answer that is more than a sign of life.
    async fn answer(&mut self) -> Result<Option<Answer>, Status> {
        loop {
            match self.answers.message().await? {
                None => return Ok(None),
                Some(message) => {
                    let answer = message.answer.unwrap();
                    let Answer::Staged(staged) = answer else {
                        return Ok(Some(answer));
                    };
                    assert!(staged.bytes > self.staged);
                    self.staged = staged.bytes;
                }
            }
        }
    }

    async fn sealed(&mut self) -> wire::Sealed {
        match self.answer().await {
            Ok(Some(Answer::Sealed(sealed))) => sealed,
            other => panic!("expected Sealed, got {other:?}"),
        }
    }

    async fn refused(&mut self) -> wire::Refused {
        match self.answer().await {
            Ok(Some(Answer::Refused(refused))) => refused,
            other => panic!("expected Refused, got {other:?}"),
        }
    }

    /// The refusal, which must be the last answer.
    async fn refusal(&mut self) -> Refusal {
        let refused = self.refused().await;
        assert!(matches!(self.answer().await, Ok(None)));
        Refusal::try_from(&refused).unwrap()
    }

    async fn status(&mut self) -> Code {
        match self.answer().await {
            Err(status) => status.code(),
            other => panic!("expected a gRPC error, got {other:?}"),
        }
    }
}

fn wrap(message: Request) -> wire::WriteRequest {
    wire::WriteRequest { request: Some(message) }
}

fn writer() -> Writer {
    Writer::new(7)
}

fn bytes(bytes: &[u8]) -> Bytes {
    Bytes::copy_from_slice(bytes)
}

fn verified(state: Option<wire::SlotState>) -> SlotState {
    convert::slot_state(writer().storage_index(), state.unwrap()).unwrap()
}

fn open_message(number: u8, version: &Version, shares: &[u8]) -> wire::Open {
    let header = version.header();
    wire::Open {
        token: String::new(),
        conversation_id: bytes(&[number; 16]),
        storage_index: bytes(header.storage_index.as_bytes()),
        verify_key: bytes(version.signed.verify_key().as_bytes()),
        k: header.shape.k().into(),
        n: header.shape.n().into(),
        block_size: header.geometry.block_size(),
        data_length: Some(header.geometry.length()),
        shares: shares.iter().map(|&share| share.into()).collect(),
        tests: None,
        base_version_id: Bytes::new(),
        finalize: None,
        ancestors: Vec::new(),
    }
}

fn open(number: u8, version: &Version, shares: &[u8]) -> Request {
    Request::Open(open_message(number, version, shares))
}

fn blocks(version: &Version, number: u8) -> Request {
    Request::Blocks(wire::BlockRun {
        share: number.into(),
        first_segment: 0,
        data: version.column(share(number)),
    })
}

/// One message for each block.
fn single_blocks(version: &Version, number: u8) -> Vec<Request> {
    let blocks = (0..).zip(&version.columns[&share(number)]);
    blocks
        .map(|(first_segment, block)| {
            Request::Blocks(wire::BlockRun {
                share: number.into(),
                first_segment,
                data: block.clone(),
            })
        })
        .collect()
}

fn rows(version: &Version) -> Request {
    Request::Rows(wire::RowRun {
        first_segment: 0,
        data: version.table.bytes().clone(),
        proofs: Vec::new(),
    })
}

fn seal_message(version: &Version, tests: Option<&Tests>) -> wire::Seal {
    let signature = version.prepare_signature(STORE);
    wire::Seal {
        header: version.signed.bytes().clone(),
        authority: Some(wire::seal::Authority::PrepareSignature(bytes(signature.as_bytes()))),
        tests: tests.map(Into::into),
        discard: None,
    }
}

fn seal(version: &Version) -> Request {
    Request::Seal(seal_message(version, None))
}

fn bring(version: &Version) -> Request {
    Request::Seal(wire::Seal {
        header: version.signed.bytes().clone(),
        authority: Some(wire::seal::Authority::Bring(wire::Bring {
            header_signature: bytes(version.signature().as_bytes()),
            certificate: None,
        })),
        tests: None,
        discard: None,
    })
}

fn commit(version: &Version) -> Request {
    Request::Commit(wire::Commit { header_signature: bytes(version.signature().as_bytes()) })
}

/// Everything that is staged, in one flight.
fn staged(number: u8, version: &Version, shares: &[u8]) -> Vec<Request> {
    let mut messages = vec![open(number, version, shares)];
    messages.extend(shares.iter().map(|&share| blocks(version, share)));
    messages.push(rows(version));
    messages
}

/// Open to Seal in one flight.
fn prepared(number: u8, version: &Version, shares: &[u8]) -> Vec<Request> {
    let mut messages = staged(number, version, shares);
    messages.push(seal(version));
    messages
}
