//! No caller of a gateway is trusted to stay: every call, dropped at its every poll. The handlers are called without a
//! connection in between, so that it is they that are dropped.
#![expect(
    clippy::async_yields_async,
    reason = "operations are made here, and polled by what drops them"
)]

use std::cell::{Cell, RefCell};

use bytes::Bytes;
use tarn_drops::{Table, runtime, tasks_at_rest, until, until_tasks_are};
use tarn_proto::StorageIndex;
use tarn_proto::gateway as wire;
use tarn_proto::gateway::gateway_server::Gateway as _;
use tarn_proto::gateway::publish_header::Ticket;
use tarn_proto::gateway::publish_request::Part;
use tarn_proto::gateway::read_answer;
use tarn_server::store::Store as _;
use tempfile::TempDir;
use tonic::codec::{Codec, EncodeBody};
use tonic::{Code, Streaming};
use tonic_prost::ProstCodec;

use super::real::RealGrid;
use super::*;

/// Kept in its task's row, and in a file of its own.
const SHORT: usize = 1_000;
const LONG: usize = 200_000;
/// Room for a few contents: what is left behind would soon fill it.
const STAGED_MAX: u64 = 3 * LONG as u64;

/// A gateway of three servers with a file that was published.
struct Stage {
    grid: RealGrid,
    gateway: Gateway,
    folder: TempDir,
    file: wire::CreateFileAnswer,
    contents: Cell<u8>,
    tasks: usize,
}

impl Stage {
    async fn set() -> Self {
        let grid = RealGrid::start(3).await;
        let folder = tempfile::tempdir().unwrap();
        let config = GatewayConfig {
            staged_bytes_max: STAGED_MAX,
            ..GatewayConfig::in_folder(folder.path())
        };
        let gateway = Gateway::open(config, grid.client(), grid.grid.clone()).unwrap();
        let shape = Some(wire::Shape { k: 2, happy: 2, n: 3 });
        let created = Calls(Arc::clone(&gateway.service))
            .create_file(Request::new(wire::CreateFileRequest { shape }))
            .await;
        let file = created.unwrap().into_inner();
        let mut stage = Self { grid, gateway, folder, file, contents: Cell::new(0), tasks: 0 };
        stage.publishes_next().await;
        until(async || stage.is_certified().await).await;
        stage.tasks = tasks_at_rest().await;
        stage
    }

    /// Whether every server has a certificate: they wait a moment for a next publish, and a run waits for them.
    async fn is_certified(&self) -> bool {
        let file = StorageIndex::try_from(self.file.storage_index.as_ref()).unwrap();
        for server in &self.grid.servers {
            let slot = server.store.load(file).await.unwrap();
            if slot.is_none_or(|(manifest, _)| manifest.certificates.is_empty()) {
                return false;
            }
        }
        true
    }

    async fn strike(self) {
        let Self { mut grid, gateway, .. } = self;
        gateway.stop(Duration::from_secs(60)).await;
        for server in 0..grid.servers.len() {
            grid.stop(server).await;
        }
        until_tasks_are(0).await;
    }

    fn calls(&self) -> Calls {
        Calls(Arc::clone(&self.gateway.service))
    }

    /// What nobody has published before.
    fn fresh_content(&self, length: usize) -> Bytes {
        self.contents.set(self.contents.get().wrapping_add(1));
        vec![self.contents.get(); length].into()
    }

    fn submission(
        &self,
        ticket: Ticket,
        content: Bytes,
    ) -> Request<Streaming<wire::PublishRequest>> {
        let header = wire::PublishHeader {
            write_cap: self.file.write_cap.clone(),
            ticket: Some(ticket),
            length: Some(content.len() as u64),
            ..Default::default()
        };
        let parts = [Part::Header(header), Part::Body(content)];
        let parts = parts.map(|part| Ok(wire::PublishRequest { part: Some(part) }));
        let mut codec = ProstCodec::<wire::PublishRequest, wire::PublishRequest>::default();
        let body = EncodeBody::new_client(codec.encoder(), stream::iter(parts), None, None);
        Request::new(Streaming::new_request(codec.decoder(), body, None, None))
    }

    async fn submit(&self, ticket: Ticket, length: usize) -> Bytes {
        let submission = self.submission(ticket, self.fresh_content(length));
        let accepted = self.calls().publish(submission).await.unwrap().into_inner();
        accepted.task.unwrap().task_id
    }

    async fn get(&self, task_id: &Bytes) -> Result<wire::Task, Status> {
        let request = wire::GetTaskRequest { task_id: task_id.clone() };
        Ok(self.calls().get_task(Request::new(request)).await?.into_inner())
    }

    async fn list(&self) -> Vec<wire::Task> {
        let request =
            Request::new(wire::ListTasksRequest { page_size: 1_000, ..Default::default() });
        self.calls().list_tasks(request).await.unwrap().into_inner().tasks
    }

    async fn read(&self) -> Bytes {
        read(self.calls(), self.file.read_cap.clone()).await
    }

    /// Publishes, and reads what was published.
    async fn publishes_next(&self) {
        let content = self.fresh_content(LONG);
        let submission = self.submission(Ticket::Overwrite(true), content.clone());
        let accepted = self.calls().publish(submission).await.unwrap().into_inner();
        let ended = watched(self.calls(), accepted.task.unwrap().task_id).await;
        assert_eq!(ended.outcome.unwrap().kind(), wire::OutcomeKind::Published);
        assert!(self.read().await == content);
    }

    /// Every task that was accepted has ended, published or called off; nothing is left of contents, nothing runs and
    /// nobody holds the record.
    async fn is_at_rest(&self) {
        until_tasks_are(self.tasks).await;
        until(async || self.list().await.iter().all(|task| task.state() == wire::TaskState::Ended))
            .await;
        for task in self.list().await {
            let kind = task.outcome.unwrap().kind();
            let may_be = [wire::OutcomeKind::Published, wire::OutcomeKind::Cancelled];
            assert!(may_be.contains(&kind), "{kind:?}");
        }
        until_tasks_are(self.tasks).await;
        let contents = self.folder.path().join("contents");
        until(async || std::fs::read_dir(&contents).unwrap().next().is_none()).await;
        assert!(self.gateway.service.record.try_lock().is_ok());
    }

    async fn goes_on(&self) {
        self.is_at_rest().await;
        self.publishes_next().await;
        self.is_at_rest().await;
    }

    /// Drops a call that is not expected to change anything.
    async fn drop_each<F: Future>(
        &self,
        table: &mut Table,
        call: &str,
        make: impl AsyncFnMut() -> F,
        is_right: impl Fn(F::Output) -> bool,
    ) {
        let after = async |answer: Option<F::Output>| {
            assert!(answer.is_none_or(&is_right));
            self.goes_on().await;
        };
        table.polls(call, make, after).await;
    }
}

/// The task's last state, from a watch that is followed to its end.
async fn watched(calls: Calls, task_id: Bytes) -> wire::Task {
    let request = Request::new(wire::WatchTaskRequest { task_id });
    let told = calls.watch_task(request).await.unwrap().into_inner();
    told.map(Result::unwrap).fold(wire::Task::default(), async |_, task| task).await
}

async fn read(calls: Calls, cap: String) -> Bytes {
    let request = Request::new(wire::ReadRequest { cap, strict: true, ..Default::default() });
    let parts = calls.read(request).await.unwrap().into_inner();
    let content = parts.fold(Vec::new(), async |mut content, part| {
        if let Some(read_answer::Part::Body(piece)) = part.unwrap().part {
            content.extend_from_slice(&piece);
        }
        content
    });
    content.await.into()
}

#[test]
fn a_dropped_call_takes_nothing_along_and_leaves_nothing_behind() {
    runtime().block_on(async {
        let stage = Stage::set().await;
        let mut table = Table::new("calls to a gateway, which has three servers over gRPC");
        published(&mut table, &stage).await;
        looked_at(&mut table, &stage).await;
        called_off(&mut table, &stage).await;
        deleted(&mut table, &stage).await;
        of_files(&mut table, &stage).await;
        stage.strike().await;
    });
}

async fn published(table: &mut Table, stage: &Stage) {
    for (call, length) in [("Publish, of few bytes", SHORT), ("Publish, of many bytes", LONG)] {
        let writing = RefCell::new(Bytes::new());
        let before = RefCell::new((Bytes::new(), 0));
        let make = async || {
            before.replace((stage.read().await, stage.list().await.len()));
            let content = stage.fresh_content(length);
            writing.replace(content.clone());
            let (calls, submission) =
                (stage.calls(), stage.submission(Ticket::Overwrite(true), content));
            async move { calls.publish(submission).await.unwrap().into_inner() }
        };
        let after = async |accepted: Option<wire::PublishAnswer>| {
            stage.is_at_rest().await;
            let (content, tasks) = before.take();
            // Whoever is not told may have been accepted, and then it was published whole.
            match stage.list().await.len() - tasks {
                0 => assert!(accepted.is_none() && stage.read().await == content),
                more => assert!(more == 1 && stage.read().await == writing.take()),
            }
            stage.goes_on().await;
        };
        table.polls(call, make, after).await;
    }
}

async fn looked_at(table: &mut Table, stage: &Stage) {
    let get = async || {
        let task_id = stage.submit(Ticket::Overwrite(true), SHORT).await;
        async move { stage.get(&task_id).await.unwrap().length }
    };
    stage.drop_each(table, "GetTask", get, |length| length == SHORT as u64).await;
    let list = async || stage.list();
    stage.drop_each(table, "ListTasks", list, |tasks| !tasks.is_empty()).await;
    let watch = async || watched(stage.calls(), stage.submit(Ticket::Overwrite(true), LONG).await);
    stage
        .drop_each(table, "WatchTask, to its end", watch, |task| {
            task.outcome.unwrap().kind() == wire::OutcomeKind::Published
        })
        .await;
}

async fn called_off(table: &mut Table, stage: &Stage) {
    let held = RefCell::new(Bytes::new());
    let cancel = || {
        let request = wire::CancelTaskRequest { task_id: held.borrow().clone() };
        let calls = stage.calls();
        async move { calls.cancel_task(Request::new(request)).await.unwrap().into_inner() }
    };
    let make = async || {
        held.replace(stage.submit(Ticket::AfterKey("never".into()), LONG).await);
        cancel()
    };
    let after = async |_: Option<wire::Task>| {
        let task = cancel().await;
        assert_eq!(task.state(), wire::TaskState::Ended);
        stage.goes_on().await;
    };
    table.polls("CancelTask, of one that waits", make, after).await;
}

async fn deleted(table: &mut Table, stage: &Stage) {
    let ended = RefCell::new(Bytes::new());
    let delete = || {
        let request = wire::DeleteTaskRequest { task_id: ended.borrow().clone() };
        let calls = stage.calls();
        async move { calls.delete_task(Request::new(request)).await }
    };
    let make = async || {
        let task_id = stage.submit(Ticket::Overwrite(true), SHORT).await;
        watched(stage.calls(), task_id.clone()).await;
        ended.replace(task_id);
        delete()
    };
    let after = async |_: Option<_>| {
        if let Err(refused) = delete().await {
            assert_eq!(refused.code(), Code::NotFound, "it may be gone already");
        }
        let gone = stage.get(&ended.take()).await.unwrap_err();
        assert_eq!(gone.code(), Code::NotFound);
        stage.goes_on().await;
    };
    table.polls("DeleteTask", make, after).await;
}

async fn of_files(table: &mut Table, stage: &Stage) {
    let reading = async || read(stage.calls(), stage.file.read_cap.clone());
    stage.drop_each(table, "Read, to its end", reading, |content| content.len() == LONG).await;
    let status = async || {
        let request = wire::StatusRequest { cap: stage.file.verify_cap.clone() };
        let calls = stage.calls();
        async move { calls.status(Request::new(request)).await.unwrap().into_inner() }
    };
    stage.drop_each(table, "Status", status, |status| status.confirmed).await;
    let watch = async || {
        let cap = stage.file.verify_cap.clone();
        let request = wire::WatchFileRequest { cap, after: Bytes::new() };
        let calls = stage.calls();
        async move {
            let told = calls.watch_file(Request::new(request)).await.unwrap();
            told.into_inner().next().await.unwrap().unwrap()
        }
    };
    stage.drop_each(table, "WatchFile, to the first", watch, |told| told.sequence_number > 0).await;
    let create = async || {
        let request = wire::CreateFileRequest { shape: stage.file.shape };
        let calls = stage.calls();
        async move { calls.create_file(Request::new(request)).await.unwrap().into_inner() }
    };
    stage.drop_each(table, "CreateFile", create, |file| !file.write_cap.is_empty()).await;
}
