//! A stream of answers to one client, given up when the client takes none for too long or the server stops.

use std::time::Duration;

use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;
use tonic::{Response, Status};

use crate::server::Server;
use crate::store::Store;

/// Answers that may wait for their client: with the blocks in them, what one slow reader costs.
const ANSWERS_MAX: usize = 2;

/// The client takes no more answers.
#[derive(Debug, Clone, Copy)]
pub(super) struct Gone;

/// The server's end of a stream.
pub(super) struct AnswerStream<T> {
    outbound: mpsc::Sender<Result<T, Status>>,
    pub(super) stopping: CancellationToken,
    idle: Duration,
}

/// Both ends of a stream of answers.
pub(super) fn answers<S: Store, T>(
    server: &Server<S>,
) -> (AnswerStream<T>, Response<ReceiverStream<Result<T, Status>>>) {
    let (outbound, answers) = mpsc::channel(ANSWERS_MAX);
    let stream =
        AnswerStream { outbound, stopping: server.stopping.clone(), idle: server.config.idle };
    (stream, Response::new(ReceiverStream::new(answers)))
}

impl<T> AnswerStream<T> {
    /// Sends an answer, if the client takes it in time. Once the server is stopping, says that and no more.
    pub(super) async fn send(&self, answer: Result<T, Status>) -> Result<(), Gone> {
        tokio::select! {
            biased;
            () = self.stopping.cancelled() => {
                // Without room for it, the connection ends before the stream does.
                let _ = self.outbound.try_send(Err(Status::unavailable("the server is stopping")));
                Err(Gone)
            }
            sent = self.outbound.send(answer) => sent.map_err(|_| Gone),
            () = tokio::time::sleep(self.idle) => Err(Gone),
        }
    }

    /// Comes back when the client has taken all answers, or as soon as it can be given up.
    pub(super) async fn taken(&self) {
        tokio::select! {
            biased;
            _ = self.outbound.reserve_many(ANSWERS_MAX) => {}
            () = self.stopping.cancelled() => {}
            () = tokio::time::sleep(self.idle) => {}
        }
    }

    /// Comes back when the client is gone.
    pub(super) async fn closed(&self) {
        self.outbound.closed().await;
    }
}
