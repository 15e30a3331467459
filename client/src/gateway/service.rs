//! The calls of the gateway protocol: fields become checked types, the registrar or the client does the work, answers go
//! back. Nothing here outlives its call, and no call that goes away takes anything along that was accepted.

mod files;
mod parse;
mod publish;
mod read;
mod status;
mod tasks;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures::stream::BoxStream;
use tarn_proto::gateway as wire;
use tarn_proto::gateway::gateway_server::Gateway;
use tokio_util::sync::CancellationToken;
use tonic::{Request, Response, Status, Streaming};

use super::board::Board;
use super::registrar::{Refused, Registrar};
use super::secret::SealingKey;
use super::staging::Staging;
use super::tasks::{TasksError, TasksReader};
use crate::client::Client;
use crate::grid::{Grid, GridServer};

/// What calls are answered with.
pub(super) struct Service {
    pub(super) client: Client,
    pub(super) grid: Grid,
    pub(super) registrar: Registrar,
    pub(super) record: Arc<Mutex<TasksReader>>,
    pub(super) staging: Staging,
    pub(super) key: Arc<SealingKey>,
    pub(super) board: Board,
    pub(super) body_bytes_max: u64,
    pub(super) keep: Duration,
    pub(super) stopping: CancellationToken,
}

type Answered<T> = Result<Response<T>, Status>;
type Answers<T> = BoxStream<'static, Result<T, Status>>;

/// The service as tonic calls it.
#[derive(Clone)]
pub(super) struct Calls(pub(super) Arc<Service>);

#[tonic::async_trait]
impl Gateway for Calls {
    type WatchTaskStream = Answers<wire::Task>;
    type ReadStream = Answers<wire::ReadAnswer>;
    type WatchFileStream = Answers<wire::FileVersion>;

    async fn describe(
        &self,
        _request: Request<wire::DescribeRequest>,
    ) -> Answered<wire::DescribeAnswer> {
        Ok(Response::new(self.0.describe()))
    }

    async fn create_file(
        &self,
        request: Request<wire::CreateFileRequest>,
    ) -> Answered<wire::CreateFileAnswer> {
        files::create(&self.0, request.into_inner()).await.map(Response::new)
    }

    async fn derive_cap(
        &self,
        request: Request<wire::DeriveCapRequest>,
    ) -> Answered<wire::DeriveCapAnswer> {
        files::derive(&request.into_inner()).map(Response::new)
    }

    async fn publish(
        &self,
        request: Request<Streaming<wire::PublishRequest>>,
    ) -> Answered<wire::PublishAnswer> {
        publish::submit(&self.0, request.into_inner()).await.map(Response::new)
    }

    async fn get_task(&self, request: Request<wire::GetTaskRequest>) -> Answered<wire::Task> {
        let task = parse::task(&request.get_ref().task_id)?;
        tasks::get(&self.0, task).await.map(Response::new)
    }

    async fn list_tasks(
        &self,
        request: Request<wire::ListTasksRequest>,
    ) -> Answered<wire::ListTasksAnswer> {
        tasks::list(&self.0, request.into_inner()).await.map(Response::new)
    }

    async fn watch_task(
        &self,
        request: Request<wire::WatchTaskRequest>,
    ) -> Answered<Self::WatchTaskStream> {
        let task = parse::task(&request.get_ref().task_id)?;
        tasks::watch(&self.0, task).await.map(Response::new)
    }

    async fn cancel_task(&self, request: Request<wire::CancelTaskRequest>) -> Answered<wire::Task> {
        let task = parse::task(&request.get_ref().task_id)?;
        tasks::cancel(&self.0, task).await.map(Response::new)
    }

    async fn delete_task(
        &self,
        request: Request<wire::DeleteTaskRequest>,
    ) -> Answered<wire::DeleteTaskAnswer> {
        let task = parse::task(&request.get_ref().task_id)?;
        tasks::delete(&self.0, task).await.map(Response::new)
    }

    async fn read(&self, request: Request<wire::ReadRequest>) -> Answered<Self::ReadStream> {
        read::serve(&self.0, request.into_inner()).await.map(Response::new)
    }

    async fn status(&self, request: Request<wire::StatusRequest>) -> Answered<wire::StatusAnswer> {
        status::serve(&self.0, &request.into_inner()).await.map(Response::new)
    }

    async fn watch_file(
        &self,
        request: Request<wire::WatchFileRequest>,
    ) -> Answered<Self::WatchFileStream> {
        files::watch(&self.0, request.into_inner()).await.map(Response::new)
    }
}

impl Service {
    fn describe(&self) -> wire::DescribeAnswer {
        let server = |server: &GridServer| wire::StorageServer {
            store_id: bytes::Bytes::copy_from_slice(server.store.as_bytes()),
            address: server.address.to_string(),
        };
        wire::DescribeAnswer {
            software: concat!("tarn-gateway ", env!("CARGO_PKG_VERSION")).to_owned(),
            servers: self.grid.servers().iter().map(server).collect(),
            body_bytes_max: self.body_bytes_max,
            keep_ms: u64::try_from(self.keep.as_millis()).unwrap_or(u64::MAX),
        }
    }

    /// Looks at the record, on a thread that may wait for the disk.
    async fn look<T: Send + 'static>(
        &self,
        look: impl FnOnce(&TasksReader) -> Result<T, TasksError> + Send + 'static,
    ) -> Result<T, Status> {
        let record = Arc::clone(&self.record);
        let looked = tokio::task::spawn_blocking(move || {
            look(&record.lock().unwrap_or_else(PoisonError::into_inner))
        });
        match looked.await {
            Ok(Ok(found)) => Ok(found),
            Ok(Err(error)) => {
                tracing::error!(%error, "the record of tasks cannot be read");
                Err(Status::internal("the gateway's record cannot be read"))
            }
            Err(_stopping) => Err(Status::unavailable("the gateway is stopping")),
        }
    }
}

impl From<Refused> for Status {
    fn from(refused: Refused) -> Self {
        let sentence = refused.to_string();
        match refused {
            Refused::NoSuchTask => Self::not_found(sentence),
            Refused::Pending => Self::failed_precondition(sentence),
            Refused::Unavailable => Self::unavailable(sentence),
        }
    }
}
