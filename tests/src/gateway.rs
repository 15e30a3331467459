//! A gateway process on loopback, to be killed, stopped where it is and started again, and its callers.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::process::{Child, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use rustix::process::{Pid, Signal, kill_process};
use tarn_proto::gateway::gateway_client::GatewayClient;
use tarn_proto::gateway::publish_header::Ticket;
use tarn_proto::gateway::publish_request::Part;
use tarn_proto::gateway::{
    CreateFileAnswer, CreateFileRequest, FileVersion, Outcome, OutcomeKind, PublishAnswer,
    PublishHeader, PublishRequest, ReadRequest, StatusRequest, Task, TaskState, WatchFileRequest,
    WatchTaskRequest, read_answer,
};
use tonic::Status;
use tonic::transport::Channel;

use crate::cluster::Cluster;
use crate::home::Home;

/// The calls of a gateway.
pub type Calls = GatewayClient<Channel>;

/// How long whoever lost a gateway waits before asking again, and how often.
const REST: Duration = Duration::from_millis(50);
const TRIES: usize = 2_000;

/// A running gateway. Dropping it kills it.
#[derive(Debug)]
pub struct Gateway {
    /// The user who runs it.
    pub home: Home,
    more: Vec<String>,
    /// Where it listens, whenever it runs.
    pub address: String,
    child: Option<Child>,
    said: Arc<Mutex<String>>,
}

impl Gateway {
    /// A new gateway of this cluster.
    pub fn start(cluster: &Cluster) -> Self {
        Self::start_with(cluster, &[])
    }

    /// The same, with these words more.
    pub fn start_with(cluster: &Cluster, more: &[&str]) -> Self {
        let mut gateway = Self {
            home: cluster.home(),
            more: more.iter().map(ToString::to_string).collect(),
            address: "127.0.0.1:0".to_owned(),
            child: None,
            said: Arc::default(),
        };
        gateway.restart();
        gateway
    }

    /// Runs it again, where it was. Returns when it listens.
    pub fn restart(&mut self) {
        let mut words = vec!["gateway", "--listen", &self.address];
        words.extend(self.more.iter().map(String::as_str));
        let mut command = self.home.command(&words);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
        self.child = Some(child);
        loop {
            let line = lines.next().unwrap_or_else(|| panic!("it ended: {}", self.said())).unwrap();
            self.say(&line);
            if let Some((_, listening)) = line.split_once("listens on http://") {
                self.address = listening.split(' ').next().unwrap().to_owned();
                break;
            }
        }
        let said = Arc::clone(&self.said);
        std::thread::spawn(move || {
            for line in lines.map_while(Result::ok) {
                said.lock().unwrap().push_str(&(line + "\n"));
            }
        });
    }

    /// Ends it as kill -9 does.
    pub fn kill(&mut self) {
        let mut child = self.child.take().unwrap();
        child.kill().unwrap();
        child.wait().unwrap();
    }

    /// Tells it to stop as a person would; returns when it has.
    pub fn terminate(&mut self) {
        self.signal(Signal::TERM);
        let ended = self.child.take().unwrap().wait().unwrap();
        assert!(ended.success(), "{ended}: {}", self.said());
    }

    /// Stops it where it is, without ending it. Until [`Gateway::thaw`].
    pub fn freeze(&self) {
        self.signal(Signal::STOP);
    }

    /// Lets a frozen one go on.
    pub fn thaw(&self) {
        self.signal(Signal::CONT);
    }

    fn signal(&self, signal: Signal) {
        kill_process(self.pid(), signal).unwrap();
    }

    /// Its process.
    pub fn pid(&self) -> Pid {
        Pid::from_child(self.child.as_ref().unwrap())
    }

    /// All that it has said.
    pub fn said(&self) -> String {
        self.said.lock().unwrap().clone()
    }

    fn say(&self, line: &str) {
        self.said.lock().unwrap().push_str(&format!("{line}\n"));
    }

    /// A new connection to it; it may be down.
    pub fn calls(&self) -> Calls {
        calls(&self.address)
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            drop(child.kill());
            drop(child.wait());
        }
        if !std::thread::panicking() {
            assert!(!self.said().contains("panicked"), "{}", self.said());
        }
    }
}

/// A connection to the gateway at this address.
pub fn calls(address: &str) -> Calls {
    let endpoint = Channel::from_shared(format!("http://{address}")).unwrap();
    GatewayClient::new(endpoint.connect_lazy()).max_decoding_message_size(8 << 20)
}

/// A new file of 2 of 4 shares.
pub async fn create(calls: &mut Calls) -> CreateFileAnswer {
    let shape = tarn_proto::gateway::Shape { k: 2, happy: 3, n: 4 };
    calls.create_file(CreateFileRequest { shape: Some(shape) }).await.unwrap().into_inner()
}

/// What a publish of this file begins with.
pub fn header(file: &CreateFileAnswer, key: &str, ticket: Ticket) -> PublishHeader {
    PublishHeader {
        write_cap: file.write_cap.clone(),
        origin: file.origin.clone(),
        idempotency_key: Bytes::copy_from_slice(key.as_bytes()),
        ticket: Some(ticket),
        ..PublishHeader::default()
    }
}

/// Submits once.
pub async fn submit(
    calls: &mut Calls,
    header: PublishHeader,
    body: &[u8],
) -> Result<PublishAnswer, Status> {
    let part = |part| PublishRequest { part: Some(part) };
    let pieces = body.chunks(256 << 10).map(|piece| Part::Body(Bytes::copy_from_slice(piece)));
    let end = header.length.is_none().then_some(Part::Complete(true));
    let parts: Vec<_> =
        [Part::Header(header)].into_iter().chain(pieces).chain(end).map(part).collect();
    Ok(calls.publish(tokio_stream::iter(parts)).await?.into_inner())
}

/// Submits until it is accepted or refused: a gateway that is down comes back.
pub async fn submit_stubbornly(
    calls: &mut Calls,
    header: &PublishHeader,
    body: &[u8],
) -> Result<Task, Status> {
    for _ in 0..TRIES {
        match submit(calls, header.clone(), body).await {
            Ok(answer) => return Ok(answer.task.unwrap()),
            Err(status) if is_away(&status) => tokio::time::sleep(REST).await,
            Err(status) => return Err(status),
        }
    }
    panic!("no gateway comes back");
}

/// How the task ends: a watch that breaks off is taken up again.
pub async fn outcome(calls: &mut Calls, task: &Task) -> Outcome {
    for _ in 0..TRIES {
        let request = WatchTaskRequest { task_id: task.task_id.clone() };
        match calls.watch_task(request).await {
            Ok(told) => {
                let mut told = told.into_inner();
                while let Ok(Some(task)) = told.message().await {
                    if task.state() == TaskState::Ended {
                        return task.outcome.unwrap();
                    }
                }
            }
            Err(status) => assert!(is_away(&status), "{status}"),
        }
        tokio::time::sleep(REST).await;
    }
    panic!("the task never ends");
}

/// The content of the newest version.
pub async fn read(calls: &mut Calls, file: &CreateFileAnswer) -> Vec<u8> {
    let request =
        ReadRequest { cap: file.read_cap.clone(), strict: true, ..ReadRequest::default() };
    let mut answers = calls.read(request).await.unwrap().into_inner();
    let mut content = Vec::new();
    while let Some(answer) = answers.message().await.unwrap() {
        if let Some(read_answer::Part::Body(piece)) = answer.part {
            content.extend_from_slice(&piece);
        }
    }
    content
}

/// Expects that it was published, and answers its version.
pub fn published(outcome: &Outcome) -> Bytes {
    assert_eq!(outcome.kind(), OutcomeKind::Published, "{outcome:?}");
    outcome.version.clone()
}

/// What each version after `first` was built on, up to the newest.
pub async fn chain(
    calls: &mut Calls,
    file: &CreateFileAnswer,
    first: &Bytes,
) -> BTreeMap<Bytes, Bytes> {
    let status = StatusRequest { cap: file.verify_cap.clone() };
    let newest = calls.status(status).await.unwrap().into_inner().newest;
    let request = WatchFileRequest { cap: file.verify_cap.clone(), after: first.clone() };
    let mut versions = calls.watch_file(request).await.unwrap().into_inner();
    let mut chain = BTreeMap::new();
    let mut last = first.clone();
    while last != newest {
        let version = versions.message().await.unwrap().unwrap();
        assert!(!version.gap, "{version:?}");
        assert_eq!(version.predecessor, last);
        last = version.version.clone();
        chain.insert(version.version, version.predecessor);
    }
    chain
}

/// The newest version, and what it was built on: nothing if that is empty.
pub async fn newest(calls: &mut Calls, file: &CreateFileAnswer) -> FileVersion {
    let request = WatchFileRequest { cap: file.verify_cap.clone(), after: Bytes::new() };
    let mut versions = calls.watch_file(request).await.unwrap().into_inner();
    versions.message().await.unwrap().unwrap()
}

/// Whether nothing is said against asking again.
fn is_away(status: &Status) -> bool {
    use tonic::Code;
    matches!(
        status.code(),
        Code::Unavailable
            | Code::Unknown
            | Code::Cancelled
            | Code::Internal
            | Code::DeadlineExceeded
    )
}
