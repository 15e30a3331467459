//! A storage server that says what a test tells it to, over real gRPC on loopback. It stands for servers that
//! misbehave, which a real one cannot play; it knows nothing of the protocol.

use std::net::SocketAddr;
use std::sync::Arc;

use futures::stream::{self, BoxStream, StreamExt};
use tarn_proto::wire::storage_server::{Storage, StorageServer};
use tarn_proto::wire::{self, write_request::Request as Write};
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, mpsc};
use tokio::task::JoinHandle;
use tokio_stream::wrappers::{ReceiverStream, TcpListenerStream};
use tonic::{Request, Response, Status, Streaming};

use super::STORE;
use crate::transport::{MESSAGE_BYTES_MAX, ServerClient};

type Played<T> = BoxStream<'static, Result<T, Status>>;

/// What the server hears in a conversation.
#[derive(Debug, PartialEq)]
#[allow(clippy::large_enum_variant, reason = "there is one End to many messages")]
pub(super) enum Heard {
    Message(Write),
    /// The stream is over, or its handler was dropped.
    End,
}

/// What the server says to every call of a kind.
pub(super) struct Script {
    /// Nothing is said to Describe without this.
    pub(super) describe: Option<wire::DescribeAnswer>,
    pub(super) slot: Result<Option<wire::SlotState>, Status>,
    pub(super) finalize: Option<wire::finalize_answer::Answer>,
    pub(super) blocks: Vec<wire::read_blocks_answer::Answer>,
    pub(super) rows: Vec<wire::RowRun>,
    /// Said when a Seal arrives, which is also when the response headers are sent.
    pub(super) answers: Vec<wire::write_answer::Answer>,
    /// Streams of answers stay open after what is scripted.
    pub(super) stalls: bool,
    /// What is heard in conversations.
    pub(super) heard: mpsc::UnboundedSender<Heard>,
    /// Conversations are read once this has a permit.
    pub(super) gate: Arc<Semaphore>,
}

impl Default for Script {
    fn default() -> Self {
        Self {
            describe: None,
            slot: Ok(None),
            finalize: None,
            blocks: Vec::new(),
            rows: Vec::new(),
            answers: Vec::new(),
            stalls: false,
            heard: mpsc::unbounded_channel().0,
            gate: Arc::new(Semaphore::new(1)),
        }
    }
}

/// A server that is stopped when it is dropped.
pub(super) struct Running {
    pub(super) address: SocketAddr,
    task: JoinHandle<()>,
}

impl Running {
    pub(super) fn client(&self) -> ServerClient {
        ServerClient::dial(STORE, self.address.to_string(), Some("hush".to_owned())).unwrap()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Script {
    pub(super) async fn start(self) -> Running {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let service = StorageServer::new(self)
            .max_decoding_message_size(MESSAGE_BYTES_MAX)
            .max_encoding_message_size(2 * MESSAGE_BYTES_MAX);
        let server = tonic::transport::Server::builder().add_service(service);
        let task = tokio::spawn(async move {
            let incoming = TcpListenerStream::new(listener);
            server.serve_with_incoming(incoming).await.unwrap();
        });
        Running { address, task }
    }

    fn play<T: Send + 'static>(&self, items: Vec<T>) -> Played<T> {
        let items = stream::iter(items).map(Ok);
        if self.stalls { items.chain(stream::pending()).boxed() } else { items.boxed() }
    }
}

/// Reads a conversation, and tells what it heard.
struct Ear {
    requests: Streaming<wire::WriteRequest>,
    heard: mpsc::UnboundedSender<Heard>,
}

impl Ear {
    async fn hear(&mut self) -> Option<Write> {
        let request = self.requests.message().await.ok()??.request?;
        // A test that does not listen is no reason to stop.
        let _ = self.heard.send(Heard::Message(request.clone()));
        Some(request)
    }
}

impl Drop for Ear {
    fn drop(&mut self) {
        let _ = self.heard.send(Heard::End);
    }
}

#[tonic::async_trait]
impl Storage for Script {
    type ReadBlocksStream = Played<wire::ReadBlocksAnswer>;
    type ReadRowsStream = Played<wire::ReadRowsAnswer>;
    type TestAndWriteStream = Played<wire::WriteAnswer>;
    type WatchSlotStream = Played<wire::WatchSlotAnswer>;

    async fn describe(
        &self,
        _: Request<wire::DescribeRequest>,
    ) -> Result<Response<wire::DescribeAnswer>, Status> {
        match self.describe.clone() {
            Some(answer) => Ok(Response::new(answer)),
            None => std::future::pending().await,
        }
    }

    async fn read_slot(
        &self,
        _: Request<wire::ReadSlotRequest>,
    ) -> Result<Response<wire::ReadSlotAnswer>, Status> {
        let state = self.slot.clone()?;
        Ok(Response::new(wire::ReadSlotAnswer { state }))
    }

    async fn read_blocks(
        &self,
        _: Request<wire::ReadBlocksRequest>,
    ) -> Result<Response<Self::ReadBlocksStream>, Status> {
        let answers = self.blocks.iter().cloned().map(Some);
        let answers = answers.map(|answer| wire::ReadBlocksAnswer { answer });
        Ok(Response::new(self.play(answers.collect())))
    }

    async fn read_rows(
        &self,
        _: Request<wire::ReadRowsRequest>,
    ) -> Result<Response<Self::ReadRowsStream>, Status> {
        let runs = self.rows.iter().cloned();
        let answers = runs.map(|run| wire::ReadRowsAnswer {
            answer: Some(wire::read_rows_answer::Answer::Rows(run)),
        });
        Ok(Response::new(self.play(answers.collect())))
    }

    async fn test_and_write(
        &self,
        request: Request<Streaming<wire::WriteRequest>>,
    ) -> Result<Response<Self::TestAndWriteStream>, Status> {
        self.gate.acquire().await.unwrap().forget();
        let mut ear = Ear { requests: request.into_inner(), heard: self.heard.clone() };
        while let Some(request) = ear.hear().await {
            if matches!(request, Write::Seal(_)) {
                break;
            }
        }
        let (says, said) = mpsc::channel(self.answers.len() + 1);
        for answer in self.answers.iter().cloned().map(Some) {
            says.try_send(Ok(wire::WriteAnswer { answer })).unwrap();
        }
        let stays = self.stalls.then_some(says);
        tokio::spawn(async move {
            while ear.hear().await.is_some() {}
            drop(stays);
        });
        Ok(Response::new(ReceiverStream::new(said).boxed()))
    }

    async fn finalize(
        &self,
        _: Request<wire::FinalizeRequest>,
    ) -> Result<Response<wire::FinalizeAnswer>, Status> {
        let answer = self.finalize.clone();
        Ok(Response::new(wire::FinalizeAnswer { answer }))
    }

    async fn watch_slot(
        &self,
        _: Request<wire::WatchSlotRequest>,
    ) -> Result<Response<Self::WatchSlotStream>, Status> {
        let answer = wire::WatchSlotAnswer { state: self.slot.clone()? };
        Ok(Response::new(self.play(vec![answer.clone(), answer])))
    }
}
