//! The network: every share through real gRPC over loopback, with the settings of the client and the server, to servers
//! that throw away what they get and give out what lies ready. They have threads of their own, as real ones do.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use bytes::Bytes;
use futures::future::try_join_all;
use futures::stream::{self, BoxStream, StreamExt};
use tarn_client::transport::{MESSAGE_BYTES_MAX, dial};
use tarn_proto::Geometry;
use tarn_proto::wire::storage_client::StorageClient;
use tarn_proto::wire::storage_server::{Storage, StorageServer};
use tarn_proto::wire::{self, write_request};
use tokio::net::TcpListener;
use tokio::runtime::{Builder, Runtime};
use tokio::time::Instant;
use tonic::transport::Channel;
use tonic::transport::server::TcpIncoming;
use tonic::{Request, Response, Status, Streaming};

use super::{AT_LEAST, BUDGET, Part, Stage};
use crate::bench::statistics::Latencies;
use crate::error::{CommandError, chain};

/// What the client puts into one message.
const SENT_AT_ONCE: usize = 256 << 10;
/// What a server puts into one message.
const GIVEN_AT_ONCE: usize = 512 << 10;

/// Servers that keep nothing.
pub(super) struct Sink {
    clients: Vec<StorageClient<Channel>>,
    /// Where they run. None only while this is dropped.
    runtime: Option<Runtime>,
}

impl Sink {
    /// So many servers. Must be called within a runtime, which is not theirs.
    pub(super) fn start(servers: u8) -> Result<Self, CommandError> {
        let failed =
            |error| CommandError::failed(format_args!("cannot listen on loopback: {error}"));
        let runtime = Builder::new_multi_thread().enable_all().build().map_err(failed)?;
        let clients = (0..servers).map(|_| {
            let address = serve(&runtime).map_err(failed)?;
            let endpoint = dial::endpoint(&address.to_string()).map_err(CommandError::failed)?;
            Ok(StorageClient::new(endpoint.connect_lazy())
                .max_decoding_message_size(MESSAGE_BYTES_MAX)
                .max_encoding_message_size(MESSAGE_BYTES_MAX))
        });
        let clients = clients.collect::<Result<_, CommandError>>()?;
        Ok(Self { clients, runtime: Some(runtime) })
    }

    /// How long it takes to send all shares and tables of a version, and to get k shares of it.
    pub(super) async fn measure(&self, geometry: &Geometry) -> Result<[Part; 2], CommandError> {
        let share = geometry.share_length();
        let sent = share + geometry.table_length() as u64;
        let given = &self.clients[..usize::from(geometry.k())];
        let sending = repeated(&self.clients, sent, send).await?;
        let getting = repeated(given, share, get).await?;
        let part = |time, bytes| Part { stage: Stage::Network, time, bytes };
        Ok([
            part(sending, sent * self.clients.len() as u64),
            part(getting, share * given.len() as u64),
        ])
    }
}

impl Drop for Sink {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

/// As its namesake does, with every server at once.
async fn repeated<F: Future<Output = Result<(), Status>> + Send + 'static>(
    clients: &[StorageClient<Channel>],
    bytes: u64,
    once: fn(StorageClient<Channel>, u64) -> F,
) -> Result<Duration, CommandError> {
    let all = || async {
        let begun = Instant::now();
        let calls = clients.iter().map(|client| tokio::spawn(once(client.clone(), bytes)));
        for outcome in try_join_all(calls).await.map_err(CommandError::failed)? {
            outcome.map_err(|status| CommandError::failed(chain(&status)))?;
        }
        Ok::<_, CommandError>(begun.elapsed())
    };
    all().await?;
    let begun = Instant::now();
    let mut took = Vec::new();
    while took.len() < AT_LEAST || begun.elapsed() < BUDGET {
        took.push(all().await?);
    }
    Ok(Latencies::new(took).median())
}

async fn send(mut client: StorageClient<Channel>, bytes: u64) -> Result<(), Status> {
    let piece = Bytes::from(vec![7; SENT_AT_ONCE]);
    let messages = cut(bytes, piece).map(|data| wire::WriteRequest {
        request: Some(write_request::Request::Blocks(run(data))),
    });
    let mut answers = client.test_and_write(stream::iter(messages)).await?.into_inner();
    answers.message().await.map(drop)
}

async fn get(mut client: StorageClient<Channel>, bytes: u64) -> Result<(), Status> {
    // Segments of this server have one byte.
    let segments = u32::try_from(bytes).map_err(|_| Status::out_of_range("too large a share"))?;
    let request = wire::ReadBlocksRequest { segments, ..wire::ReadBlocksRequest::default() };
    let mut blocks = client.read_blocks(request).await?.into_inner();
    while blocks.message().await?.is_some() {}
    Ok(())
}

/// So many bytes in pieces of this one.
fn cut(bytes: u64, piece: Bytes) -> impl Iterator<Item = Bytes> + Send {
    let mut rest = bytes;
    std::iter::from_fn(move || {
        let length = usize::try_from(rest).map_or(piece.len(), |rest| rest.min(piece.len()));
        rest -= length as u64;
        (length > 0).then(|| piece.slice(..length))
    })
}

const fn run(data: Bytes) -> wire::BlockRun {
    wire::BlockRun { share: 0, first_segment: 0, data }
}

/// Serves on a port of its own as long as the runtime lives.
fn serve(runtime: &Runtime) -> std::io::Result<SocketAddr> {
    let listener = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    listener.set_nonblocking(true)?;
    let address = listener.local_addr()?;
    let _within = runtime.enter();
    let incoming = TcpIncoming::from(TcpListener::from_std(listener)?).with_nodelay(Some(true));
    let service = StorageServer::new(Nothing)
        .max_decoding_message_size(MESSAGE_BYTES_MAX)
        .max_encoding_message_size(MESSAGE_BYTES_MAX);
    let serving = tarn_server::transport().add_service(service).serve_with_incoming(incoming);
    // Whoever waits for a server that ended is told by the connection.
    drop(runtime.spawn(serving));
    Ok(address)
}

/// A server that keeps nothing and checks nothing.
struct Nothing;

type Answers<T> = BoxStream<'static, Result<T, Status>>;

#[tonic::async_trait]
impl Storage for Nothing {
    type ReadBlocksStream = Answers<wire::ReadBlocksAnswer>;
    type ReadRowsStream = Answers<wire::ReadRowsAnswer>;
    type TestAndWriteStream = Answers<wire::WriteAnswer>;
    type WatchSlotStream = Answers<wire::WatchSlotAnswer>;

    async fn test_and_write(
        &self,
        request: Request<Streaming<wire::WriteRequest>>,
    ) -> Result<Response<Self::TestAndWriteStream>, Status> {
        let mut requests = request.into_inner();
        let answer = async move {
            while requests.message().await?.is_some() {}
            Ok(wire::WriteAnswer::default())
        };
        Ok(Response::new(stream::once(answer).boxed()))
    }

    async fn read_blocks(
        &self,
        request: Request<wire::ReadBlocksRequest>,
    ) -> Result<Response<Self::ReadBlocksStream>, Status> {
        let pieces = cut(request.get_ref().segments.into(), Bytes::from(vec![7; GIVEN_AT_ONCE]));
        let answers = pieces.map(|data| {
            let blocks = wire::read_blocks_answer::Answer::Blocks(run(data));
            Ok(wire::ReadBlocksAnswer { answer: Some(blocks) })
        });
        Ok(Response::new(stream::iter(answers).boxed()))
    }

    async fn describe(
        &self,
        _: Request<wire::DescribeRequest>,
    ) -> Result<Response<wire::DescribeAnswer>, Status> {
        Err(nothing())
    }

    async fn read_slot(
        &self,
        _: Request<wire::ReadSlotRequest>,
    ) -> Result<Response<wire::ReadSlotAnswer>, Status> {
        Err(nothing())
    }

    async fn read_rows(
        &self,
        _: Request<wire::ReadRowsRequest>,
    ) -> Result<Response<Self::ReadRowsStream>, Status> {
        Err(nothing())
    }

    async fn finalize(
        &self,
        _: Request<wire::FinalizeRequest>,
    ) -> Result<Response<wire::FinalizeAnswer>, Status> {
        Err(nothing())
    }

    async fn watch_slot(
        &self,
        _: Request<wire::WatchSlotRequest>,
    ) -> Result<Response<Self::WatchSlotStream>, Status> {
        Err(nothing())
    }
}

fn nothing() -> Status {
    Status::unimplemented("this server keeps nothing")
}
