//! Tasks as they are told: one, a page of them, one as it goes on; and calling off and forgetting.

use std::sync::Arc;

use bytes::Bytes;
use futures::{StreamExt, stream};
use prost::Message;
use tarn_proto::gateway as wire;
use tokio::sync::watch;
use tonic::Status;

use super::{Answers, Service, parse};
use crate::gateway::board::Latest;
use crate::gateway::registrar::Request;
use crate::gateway::submission::Named;
use crate::gateway::tasks::{Filter, Row};
use crate::queue::{Caller, Key, State, TaskId, Verdict};

const PAGE: usize = 100;
const PAGE_MAX: usize = 1_000;
/// Well below what callers take in one message.
const PAGE_BYTES_MAX: usize = 2 << 20;

pub(super) async fn get(service: &Service, task: TaskId) -> Result<wire::Task, Status> {
    let row = service.look(move |record| record.get(task)).await?;
    let row = row.ok_or_else(|| Status::not_found("there is no such task"))?;
    Ok(told(row, service.board.progress(task)))
}

pub(super) async fn list(
    service: &Service,
    request: wire::ListTasksRequest,
) -> Result<wire::ListTasksAnswer, Status> {
    let page = match request.page_size as usize {
        0 => PAGE,
        size => size.min(PAGE_MAX),
    };
    let before = match request.page_token.len() {
        0 => None,
        _ => {
            let token = request.page_token.as_ref().try_into();
            let token = token.map_err(|_| parse::invalid("this page token was not given here"))?;
            Some(u64::from_be_bytes(token))
        }
    };
    let filter = Filter {
        file: parse::optional_file(&request.storage_index)?,
        states: request.states.iter().map(|&state| state_of(state)).collect::<Result<_, _>>()?,
        caller: (!request.caller.is_empty()).then_some(Caller(request.caller)),
        before,
    };
    let rows = service.look(move |record| record.list(&filter, page + 1)).await?;
    let mut answer = wire::ListTasksAnswer::default();
    let (mut last, mut bytes) = (0_u64, 0);
    for row in rows {
        let number = row.number;
        let progress = service.board.progress(row.task);
        let task = told(row, progress);
        bytes += task.encoded_len();
        let is_full = answer.tasks.len() == page || bytes > PAGE_BYTES_MAX;
        if is_full && !answer.tasks.is_empty() {
            answer.next_page_token = Bytes::copy_from_slice(&last.to_be_bytes());
            break;
        }
        answer.tasks.push(task);
        last = number;
    }
    Ok(answer)
}

pub(super) async fn watch(
    service: &Arc<Service>,
    task: TaskId,
) -> Result<Answers<wire::Task>, Status> {
    // Changes are listened to before the record is read, so that none falls in between.
    let latest = service.board.watch(task);
    let first = get(service, task).await?;
    let watch =
        Watch { service: Arc::clone(service), task, latest, last: first.clone(), changes: 0 };
    let later = stream::try_unfold(watch, |mut watch| async move {
        let next = watch.next().await?;
        Ok(next.map(|task| (task, watch)))
    });
    Ok(stream::once(std::future::ready(Ok(first))).chain(later).boxed())
}

/// A task that is watched.
struct Watch {
    service: Arc<Service>,
    task: TaskId,
    latest: watch::Receiver<Latest>,
    last: wire::Task,
    changes: u64,
}

impl Watch {
    /// The task once it is not what was told last; an error if it is forgotten. None once its end was told.
    async fn next(&mut self) -> Result<Option<wire::Task>, Status> {
        while self.last.state() != wire::TaskState::Ended {
            tokio::select! {
                biased;
                () = self.service.stopping.cancelled() => {
                    return Err(Status::unavailable("the gateway is stopping"));
                }
                changed = self.latest.changed() => if changed.is_err() { return Ok(None) },
            }
            let latest = self.latest.borrow_and_update().clone();
            let mut now = self.last.clone();
            if latest.changes != self.changes {
                now = get(&self.service, self.task).await?;
            } else if latest.progress.is_some() {
                now.progress = latest.progress;
            }
            self.changes = latest.changes;
            if now != self.last {
                self.last = now.clone();
                return Ok(Some(now));
            }
        }
        Ok(None)
    }
}

pub(super) async fn cancel(service: &Service, task: TaskId) -> Result<wire::Task, Status> {
    service.registrar.ask(|answer| Request::Cancel(task, answer)).await?;
    get(service, task).await
}

pub(super) async fn delete(
    service: &Service,
    task: TaskId,
) -> Result<wire::DeleteTaskAnswer, Status> {
    service.registrar.ask(|answer| Request::Delete(task, answer)).await?;
    Ok(wire::DeleteTaskAnswer {})
}

/// A task as callers are told of it. `progress` is what it is doing, if it runs.
fn told(row: Row, progress: Option<wire::Progress>) -> wire::Task {
    let state = match row.state {
        State::Held => wire::TaskState::Held,
        State::Queued => wire::TaskState::Queued,
        State::Running => wire::TaskState::Running,
        State::Ended(_) => wire::TaskState::Ended,
    };
    // It ran, its outcome is noted and not known, and it does not run: it will again.
    let resting = || wire::Progress { phase: wire::Phase::Resting.into(), ..Default::default() };
    let rests = row.outcome.is_some() && state == wire::TaskState::Running;
    let progress = progress.or_else(|| rests.then(resting));
    wire::Task {
        task_id: Bytes::copy_from_slice(row.task.as_bytes()),
        storage_index: Bytes::copy_from_slice(row.file.as_bytes()),
        caller: row.caller.0,
        idempotency_key: row.key.as_ref().map_or_else(Bytes::new, key),
        labels: row.labels,
        state: state.into(),
        outcome: row.outcome.filter(|_| state == wire::TaskState::Ended),
        progress: progress.filter(|_| state == wire::TaskState::Running),
        length: row.length,
        sha256: Bytes::copy_from_slice(&row.sha256),
        submitted_at_ms: row.submitted_at.0,
        ended_at_ms: row.ended_at.map_or(0, |ended| ended.0),
        ticket: Some(ticket(&row.ticket)),
    }
}

fn ticket(named: &Named) -> wire::task::Ticket {
    use wire::task::Ticket;
    match named {
        Named::Overwrite => Ticket::Overwrite(true),
        Named::Create => Ticket::Create(true),
        Named::Version(version) => Ticket::AfterVersion(Bytes::copy_from_slice(version.as_bytes())),
        Named::Task(task) => Ticket::AfterTask(Bytes::copy_from_slice(task.as_bytes())),
        Named::Key(name) => Ticket::AfterKey(key(name)),
    }
}

fn key(key: &Key) -> Bytes {
    Bytes::copy_from_slice(key.as_bytes())
}

fn state_of(code: i32) -> Result<State, Status> {
    match wire::TaskState::try_from(code) {
        Ok(wire::TaskState::Held) => Ok(State::Held),
        Ok(wire::TaskState::Queued) => Ok(State::Queued),
        Ok(wire::TaskState::Running) => Ok(State::Running),
        Ok(wire::TaskState::Ended) => Ok(State::Ended(Verdict::Reported)),
        Ok(wire::TaskState::Unspecified) | Err(_) => Err(parse::invalid("there is no such state")),
    }
}
