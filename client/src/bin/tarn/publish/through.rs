//! `tarn --gateway URL publish`: the content goes to a gateway as it is, and the gateway publishes it. Whoever asked may
//! leave once the task is accepted; it goes on.

mod content;
mod told;

use std::time::Duration;

use bytes::Bytes;
use rand::Rng;
use tarn_client::caps::WriteCap;
use tarn_client::gateway::{origin_bytes, origin_of};
use tarn_client::queue::{Key, KeyError, TaskId};
use tarn_proto::gateway as wire;
use tarn_proto::{Shape, Window};
use tonic::{Code, Status};

use super::Args;
use super::file::Meant;
use super::input::Source;
use crate::cli::Global;
use crate::clock::UnixSeconds;
use crate::error::{CommandError, Exit};
use crate::home::Home;
use crate::names::{FileName, Found, Names, NewFile};
use crate::output;
use crate::remote::{self, Remote, Url};
use crate::servers::os_rng;
use told::Told;

/// How long a gateway that went away is waited for before it is asked again.
const REST: Duration = Duration::from_secs(1);
/// How often.
const TRIES: u32 = 60;

/// What only a gateway can do.
#[derive(Debug, Clone, Default, PartialEq, Eq, clap::Args)]
pub(crate) struct GatewayArgs {
    /// What to call this submission: repeated with the same content, it takes effect once. Needs --gateway.
    #[arg(long, value_name = "KEY", value_parser = parse_key)]
    key: Option<Key>,
    /// Publish on top of what the submission of this key makes, and of nothing else. Needs --gateway.
    #[arg(long, value_name = "KEY", conflicts_with_all = ["if_version", "after_task"],
          value_parser = parse_key)]
    after_key: Option<Key>,
    /// The same, by its task. Needs --gateway.
    #[arg(long, value_name = "TASK", conflicts_with_all = ["if_version", "key"])]
    after_task: Option<TaskId>,
    /// Do not wait for the end: print the task. Needs --gateway.
    #[arg(long)]
    detach: bool,
}

impl GatewayArgs {
    /// Whether any of it was said.
    pub(super) fn is_said(&self) -> bool {
        *self != Self::default()
    }
}

/// The key that was given, or one that nobody else draws: what is sent twice is one submission. What follows a task by its
/// id cannot have one.
fn key(through: &GatewayArgs) -> Bytes {
    match (&through.key, through.after_task) {
        (Some(key), _) => bytes(key),
        (None, Some(_)) => Bytes::new(),
        (None, None) => {
            let mut drawn = [0; 16];
            os_rng().fill_bytes(&mut drawn);
            hex::encode(drawn).into()
        }
    }
}

fn parse_key(text: &str) -> Result<Key, KeyError> {
    Key::new(text.as_bytes())
}

fn bytes(key: &Key) -> Bytes {
    Bytes::copy_from_slice(key.as_bytes())
}

/// The file to publish.
struct File {
    name: Option<FileName>,
    cap: WriteCap,
    /// How it began, unless it came as a cap.
    origin: Option<(Shape, Window)>,
    /// What was said of its shape.
    shape: Option<Shape>,
}

/// Runs the command.
pub(super) async fn run(
    args: &Args,
    url: &Url,
    global: &Global,
    home: &Home,
) -> Result<(), CommandError> {
    if args.part.at().is_some() || !args.more.is_empty() {
        return Err(CommandError::usage(
            "through a gateway, all of one file is published at a time",
        ));
    }
    if args.no_spool {
        return Err(CommandError::usage(
            "a gateway keeps what it publishes until its end; leave --no-spool out",
        ));
    }
    let meant = Meant::of(args)?;
    let mut remote = Remote::open(url, global).await?;
    let mut names = Names::open(home.data())?;
    let file = File::find(args, meant, &mut remote, &mut names).await?;
    let task = submit(args, header(args, &file), url, &mut remote, global).await?;
    let told = Told { file: &file, remote: &remote, json: args.json };
    if args.gateway.detach {
        return told.accepted(&task);
    }
    let task = finish(&task, url, &remote, global).await?;
    told.ended(&task, &mut names)
}

/// Has the task accepted. An answer that is lost says nothing of what became of it, so a file is sent again, under the key
/// that makes it the same submission.
async fn submit(
    args: &Args,
    header: wire::PublishHeader,
    url: &Url,
    remote: &mut Remote,
    global: &Global,
) -> Result<wire::Task, CommandError> {
    let can_repeat = matches!(args.source, Source::File(_)) && !header.idempotency_key.is_empty();
    let mut tries = 0;
    loop {
        let parts = content::Parts::open(&args.source, header.clone()).await?;
        let status = match parts.send(remote).await? {
            Ok(accepted) => return Ok(accepted.task.unwrap_or_default()),
            Err(status) => status,
        };
        if !is_away(&status) {
            return Err(remote::refused(&status));
        }
        tries += 1;
        if !can_repeat || tries > TRIES {
            let sentence = format!(
                "the gateway went away; it may have taken this or not: {}",
                status.message()
            );
            let error = CommandError::ended(sentence, Exit::Unsettled);
            return Err(error.hint("`tarn tasks` lists what it has taken"));
        }
        tokio::time::sleep(REST).await;
        if let Ok(again) = Remote::open(url, global).await {
            *remote = again;
        }
    }
}

/// Whether a call was cut off rather than answered.
fn is_away(status: &Status) -> bool {
    matches!(status.code(), Code::Unavailable | Code::Unknown | Code::Cancelled | Code::Internal)
}

fn header(args: &Args, file: &File) -> wire::PublishHeader {
    use wire::publish_header::Ticket;
    let through = &args.gateway;
    let after_version =
        args.if_version.map(|id| Ticket::AfterVersion(id.as_bytes().to_vec().into()));
    let after_key = through.after_key.as_ref().map(|key| Ticket::AfterKey(bytes(key)));
    let after_task =
        through.after_task.map(|task| Ticket::AfterTask(task.as_bytes().to_vec().into()));
    let origin = file.origin.as_ref().map(|(shape, window)| origin_bytes(*shape, window));
    wire::PublishHeader {
        write_cap: file.cap.to_text().as_str().to_owned(),
        ticket: after_version.or(after_key).or(after_task),
        idempotency_key: key(through),
        shape: file.shape.map(|shape| wire::Shape {
            k: shape.k().into(),
            happy: shape.happy().into(),
            n: shape.n().into(),
        }),
        origin: origin.unwrap_or_default().into(),
        ..Default::default()
    }
}

impl File {
    async fn find(
        args: &Args,
        meant: Meant,
        remote: &mut Remote,
        names: &mut Names,
    ) -> Result<Self, CommandError> {
        let said = args.shape.is_said();
        let wanted = match meant {
            Meant::Cap(cap) => {
                let shape = args.shape.applied_to(Shape::default())?;
                let shape = said.then_some(shape);
                return Ok(Self { name: None, cap, origin: None, shape });
            }
            Meant::Named(wanted) => wanted,
        };
        let record = match names.find_wanted(&wanted, remote.in_use())? {
            Some(record) => record,
            None => {
                let fresh = create(args.shape.applied_to(Shape::default())?, remote).await?;
                let now = UnixSeconds::now();
                match names.create_or_find(&wanted, remote.in_use(), now, || fresh)? {
                    Found::Created(record) | Found::Existing(record) => record,
                }
            }
        };
        let shape = args.shape.applied_to(record.shape)?;
        Ok(Self {
            name: Some(record.name),
            cap: record.cap,
            origin: record.window.map(|window| (record.shape, window)),
            shape: said.then_some(shape),
        })
    }
}

/// Has the gateway draw keys and choose servers.
async fn create(shape: Shape, remote: &mut Remote) -> Result<NewFile, CommandError> {
    let nonsense = || CommandError::failed("what the gateway says of the new file makes no sense");
    let wanted =
        wire::Shape { k: shape.k().into(), happy: shape.happy().into(), n: shape.n().into() };
    let request = wire::CreateFileRequest { shape: Some(wanted) };
    let created =
        remote.calls.create_file(request).await.map_err(|status| remote::refused(&status))?;
    let created = created.into_inner();
    let (shape, window) = origin_of(&created.origin).ok_or_else(nonsense)?;
    let cap = zeroize::Zeroizing::new(created.write_cap).parse().map_err(|_| nonsense())?;
    Ok(NewFile { cap, window: Some(window), shape })
}

/// The task once it has ended. A gateway that goes away meanwhile goes on with it when it is back.
async fn finish(
    task: &wire::Task,
    url: &Url,
    remote: &Remote,
    global: &Global,
) -> Result<wire::Task, CommandError> {
    let mut last = task.clone();
    let mut calls = remote.calls.clone();
    let mut tries = 0;
    while last.state() != wire::TaskState::Ended {
        let request = wire::WatchTaskRequest { task_id: task.task_id.clone() };
        let lost = match calls.watch_task(request).await {
            Ok(told) => {
                let mut told = told.into_inner();
                loop {
                    match told.message().await {
                        Ok(Some(task)) => (last, tries) = (task, 0),
                        Ok(None) => break None,
                        Err(status) => break Some(status),
                    }
                }
            }
            Err(status) => Some(status),
        };
        let Some(status) = lost else { continue };
        tries += 1;
        if !is_away(&status) {
            return Err(remote::refused(&status));
        }
        if tries > TRIES {
            let sentence = format!("the gateway went away: {}", status.message());
            return Err(CommandError::ended(sentence, Exit::Unsettled).hint(format_args!(
                "the task goes on: `tarn tasks` shows how it ends; it is {}",
                remote::version_text(&task.task_id)
            )));
        }
        if tries == 1 {
            output::say("the gateway went away; waiting for it to come back");
        }
        tokio::time::sleep(REST).await;
        if let Ok(again) = Remote::open(url, global).await {
            calls = again.calls;
        }
    }
    Ok(last)
}
