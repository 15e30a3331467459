//! `tarn tasks`: what a gateway has to do and has done.

use serde_json::{Value, json};
use tarn_client::queue::TaskId;
use tarn_proto::gateway as wire;

use crate::cli::Global;
use crate::error::CommandError;
use crate::home::Home;
use crate::output::{self, Size};
use crate::remote::{Remote, Url, name, refused, sentence, version_text};
use crate::table::{Column, Table};

/// Shows what a gateway has to do and has done, newest first; or calls a task off, or forgets one.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  tarn tasks                       those that have not ended, of the gateway on this machine
  tarn tasks --all --json
  tarn tasks --cancel TASK")]
pub(crate) struct Args {
    /// Those that have ended, too.
    #[arg(long)]
    all: bool,
    /// Call this task off.
    #[arg(long, value_name = "TASK", group = "act")]
    cancel: Option<TaskId>,
    /// Forget this task, which has ended.
    #[arg(long, value_name = "TASK", group = "act")]
    delete: Option<TaskId>,
    /// Print one JSON object a line.
    #[arg(long)]
    json: bool,
}

/// Runs the command.
pub(crate) async fn run(args: &Args, global: &Global, home: &Home) -> Result<(), CommandError> {
    let mut remote = Remote::open(&at(global, home)?, global).await?;
    if let Some(task) = args.cancel {
        let request = wire::CancelTaskRequest { task_id: task.as_bytes().to_vec().into() };
        let told = remote.calls.cancel_task(request).await.map_err(|status| refused(&status))?;
        return tell(&[told.into_inner()], args.json);
    }
    if let Some(task) = args.delete {
        let request = wire::DeleteTaskRequest { task_id: task.as_bytes().to_vec().into() };
        remote.calls.delete_task(request).await.map_err(|status| refused(&status))?;
        output::say(format_args!("task {task} is forgotten"));
        return Ok(());
    }
    let pending = [wire::TaskState::Held, wire::TaskState::Queued, wire::TaskState::Running];
    let mut request = wire::ListTasksRequest {
        states: if args.all { Vec::new() } else { pending.map(Into::into).to_vec() },
        ..Default::default()
    };
    let mut tasks = Vec::new();
    loop {
        let page = remote.calls.list_tasks(request.clone()).await;
        let page = page.map_err(|status| refused(&status))?.into_inner();
        tasks.extend(page.tasks);
        if page.next_page_token.is_empty() {
            return tell(&tasks, args.json);
        }
        request.page_token = page.next_page_token;
    }
}

/// The gateway that was named, or the one on this machine.
pub(crate) fn at(global: &Global, home: &Home) -> Result<Url, CommandError> {
    if let Some(url) = &global.gateway {
        return Ok(url.clone());
    }
    let socket = home.gateway().join("socket");
    if socket.exists() {
        return Ok(Url::Unix(socket));
    }
    Err(CommandError::usage("no gateway runs here")
        .hint("`tarn gateway` runs one; --gateway names another"))
}

fn tell(tasks: &[wire::Task], json: bool) -> Result<(), CommandError> {
    if json {
        return tasks.iter().try_for_each(|task| output::print(as_json(task)));
    }
    if tasks.is_empty() {
        return output::print("nothing is to be done");
    }
    let mut table = Table::new(&[
        Column::Text("TASK"),
        Column::Text("FILE"),
        Column::Number("SIZE"),
        Column::Text("STATE"),
    ]);
    for task in tasks {
        table.row([
            version_text(&task.task_id),
            version_text(task.storage_index.get(..8).unwrap_or_default()),
            Size(task.length).to_string(),
            sentence(task),
        ]);
    }
    output::print(table)
}

fn as_json(task: &wire::Task) -> Value {
    let state = match task.state() {
        wire::TaskState::Held => "held",
        wire::TaskState::Queued => "queued",
        wire::TaskState::Running => "running",
        wire::TaskState::Ended => "ended",
        wire::TaskState::Unspecified => "unknown",
    };
    let outcome = task.outcome.as_ref().map(|outcome| {
        json!({
            "kind": name(outcome.kind()),
            "sentence": outcome.sentence,
            "version": version_text(&outcome.version),
            "seqnum": outcome.sequence_number,
        })
    });
    json!({
        "task": version_text(&task.task_id),
        "storage_index": version_text(&task.storage_index),
        "key": String::from_utf8_lossy(&task.idempotency_key),
        "caller": task.caller,
        "labels": task.labels,
        "state": state,
        "bytes": task.length,
        "submitted_at_ms": task.submitted_at_ms,
        "ended_at_ms": task.ended_at_ms,
        "outcome": outcome,
    })
}
