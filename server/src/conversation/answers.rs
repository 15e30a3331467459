//! The way of answers to one client: bounded, and given up when the client takes none for too long or the server
//! stops.

use std::future::Future;
use std::time::Duration;

use tarn_proto::wire;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tonic::Status;

use super::End;
use crate::server::Server;
use crate::store::Store;

use wire::write_answer::Answer;

pub(super) struct Answers {
    outbound: mpsc::Sender<Result<wire::WriteAnswer, Status>>,
    stopping: CancellationToken,
    idle: Duration,
}

impl Answers {
    pub(super) fn new<S: Store>(
        server: &Server<S>,
        outbound: mpsc::Sender<Result<wire::WriteAnswer, Status>>,
    ) -> Self {
        Self { outbound, stopping: server.stopping.clone(), idle: server.config.idle }
    }

    /// Sends an answer, if the client takes it in time.
    pub(super) async fn send(&self, answer: Answer) -> Result<(), End> {
        let message = wire::WriteAnswer { answer: Some(answer) };
        self.deliver(Ok(message)).await
    }

    /// Sends an answer if there is room for it at once.
    pub(super) fn try_send(&self, answer: Answer) -> bool {
        let message = wire::WriteAnswer { answer: Some(answer) };
        self.outbound.try_send(Ok(message)).is_ok()
    }

    /// Ends the stream with a gRPC error.
    pub(super) async fn fail(&self, status: Status) {
        let _ = self.deliver(Err(status)).await;
    }

    /// Refuses to go on once the server is stopping.
    pub(super) fn require_running(&self) -> Result<(), End> {
        if self.stopping.is_cancelled() { Err(stopping()) } else { Ok(()) }
    }

    /// Waits for the client's next message, as long as it may be waited for.
    pub(super) async fn waiting_for<T>(&self, next: impl Future<Output = T>) -> Result<T, End> {
        tokio::select! {
            biased;
            next = next => Ok(next),
            () = self.stopping.cancelled() => Err(stopping()),
            () = tokio::time::sleep(self.idle) => {
                Err(End::Failed(Status::deadline_exceeded("the conversation was idle for too long")))
            }
        }
    }

    async fn deliver(&self, message: Result<wire::WriteAnswer, Status>) -> Result<(), End> {
        let message = match self.outbound.try_send(message) {
            Ok(()) => return Ok(()),
            Err(mpsc::error::TrySendError::Closed(_)) => return Err(End::Gone),
            Err(mpsc::error::TrySendError::Full(message)) => message,
        };
        tokio::select! {
            biased;
            sent = self.outbound.send(message) => sent.map_err(|_| End::Gone),
            () = self.stopping.cancelled() => Err(End::Gone),
            () = tokio::time::sleep(self.idle) => Err(End::Gone),
        }
    }
}

fn stopping() -> End {
    End::Failed(Status::unavailable("the server is stopping"))
}
