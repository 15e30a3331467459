//! The process of one server: starting it so that it outlives us, finding it, ending it and no other. A server
//! holds its lock file as long as it lives, and its process id stands in it; the lock is what is believed.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom};
#[cfg(target_os = "linux")]
use std::os::fd::OwnedFd;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

#[cfg(target_os = "linux")]
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, Signal};
use tokio::process::{Child, Command};

use super::folder::{Cluster, Member};
use crate::lock::{FileLock, holder_of};
use crate::server;

/// How long a server that was asked to stop may take before it is killed.
const GRACE: Duration = Duration::from_secs(20);
/// How long the system may take to clear away a killed process.
const BURIAL: Duration = Duration::from_secs(10);
/// How much of a log's end is looked at for the reason of a failure, in bytes.
const LOG_TAIL: u64 = 4096;

/// How a server ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ended {
    /// It stopped when it was asked to.
    Stopped,
    /// It had to be killed.
    Killed,
}

/// The id of the process that serves a member's data; none if it does not run.
pub(super) fn running(cluster: &Cluster, member: &Member) -> io::Result<Option<u32>> {
    holder_of(&server::lock_file(&cluster.data(&member.name)))
}

/// Starts a member's server in a session of its own, away from our terminal and files.
pub(super) fn spawn(cluster: &Cluster, member: &Member) -> io::Result<Child> {
    let log = || {
        let mut options = OpenOptions::new();
        options.append(true).create(true).mode(0o600);
        options.open(cluster.log(member))
    };
    Command::new(std::env::current_exe()?)
        .args(["server", "run", "--own-session", "--threads", "1", "--listen"])
        .arg(member.address.to_string())
        .arg(cluster.data(&member.name))
        .current_dir("/")
        .stdin(Stdio::null())
        .stdout(log()?)
        .stderr(log()?)
        .spawn()
}

/// Waits until nobody serves a member's data any more; says whether that came within `patience`.
pub(super) async fn gone(
    cluster: &Cluster,
    member: &Member,
    patience: Duration,
) -> io::Result<bool> {
    FileLock::released(&server::lock_file(&cluster.data(&member.name)), patience).await
}

/// Ends a member's server and waits until it is gone; `None` if it did not run.
pub(super) async fn stop(cluster: &Cluster, member: &Member) -> io::Result<Option<Ended>> {
    let Some(process) = Process::serving(&cluster.data(&member.name))? else {
        return Ok(None);
    };
    process.signal(Signal::TERM)?;
    if process.ended(cluster, member, GRACE).await? {
        return Ok(Some(Ended::Stopped));
    }
    process.signal(Signal::KILL)?;
    if process.ended(cluster, member, BURIAL).await? {
        return Ok(Some(Ended::Killed));
    }
    Err(io::Error::other("it was killed and does not end"))
}

/// The last thing a member's server said; none if it said nothing.
pub(super) fn last_words(cluster: &Cluster, member: &Member) -> Option<String> {
    let mut file = File::open(cluster.log(member)).ok()?;
    let length = file.metadata().ok()?.len();
    file.seek(SeekFrom::Start(length.saturating_sub(LOG_TAIL))).ok()?;
    let mut tail = Vec::new();
    file.take(LOG_TAIL).read_to_end(&mut tail).ok()?;
    let tail = String::from_utf8_lossy(&tail);
    let lines = tail.lines().map(str::trim);
    let said = lines.rev().find(|line| line.starts_with("tarn: "))?;
    Some(said["tarn: ".len()..].to_owned())
}

/// A handle on a server's process that cannot come to mean another one.
struct Process {
    #[cfg(not(target_os = "linux"))]
    pid: Pid,
    #[cfg(target_os = "linux")]
    handle: OwnedFd,
}

impl Process {
    /// The process that serves this folder. The handle is opened on an id that may already be stale; if the lock is
    /// held under the same id afterwards, and by a `tarn server run` of this folder, the handle is its.
    fn serving(data: &Path) -> io::Result<Option<Self>> {
        let lock = server::lock_file(data);
        let Some(id) = holder_of(&lock)? else {
            return Ok(None);
        };
        let pid = i32::try_from(id).ok().and_then(Pid::from_raw);
        let pid = pid.ok_or_else(|| io::Error::other(format!("{id} is no process id")))?;
        let process = match Self::open(pid) {
            Err(error) if error == rustix::io::Errno::SRCH => return Ok(None),
            process => process?,
        };
        match holder_of(&lock)? {
            None => Ok(None),
            Some(still) if still == id && is_server(id, data) => Ok(Some(process)),
            Some(other) => Err(io::Error::other(format!(
                "{} is held by process {other}, which is no server of this cluster",
                lock.display()
            ))),
        }
    }

    #[cfg(target_os = "linux")]
    fn open(pid: Pid) -> rustix::io::Result<Self> {
        let handle = rustix::process::pidfd_open(pid, rustix::process::PidfdFlags::empty())?;
        Ok(Self { handle })
    }

    #[cfg(not(target_os = "linux"))]
    fn open(pid: Pid) -> rustix::io::Result<Self> {
        Ok(Self { pid })
    }

    /// Waits until the process has ended; says whether that came within `patience`.
    #[cfg(target_os = "linux")]
    async fn ended(&self, _: &Cluster, _: &Member, patience: Duration) -> io::Result<bool> {
        let handle = self.handle.try_clone()?;
        // A process handle becomes readable when its process has ended.
        let wait = move || {
            let mut handles = [PollFd::new(&handle, PollFlags::IN)];
            let timeout = Timespec::try_from(patience).map_err(io::Error::other)?;
            Ok(rustix::io::retry_on_intr(|| poll(&mut handles, Some(&timeout)))? > 0)
        };
        tokio::task::spawn_blocking(wait).await?
    }

    /// Waits until the process has let go of its data, the last thing it does.
    #[cfg(not(target_os = "linux"))]
    async fn ended(
        &self,
        cluster: &Cluster,
        member: &Member,
        patience: Duration,
    ) -> io::Result<bool> {
        gone(cluster, member, patience).await
    }

    /// Sends a signal; that the process is gone already is no error.
    fn signal(&self, signal: Signal) -> io::Result<()> {
        #[cfg(target_os = "linux")]
        let sent = rustix::process::pidfd_send_signal(&self.handle, signal);
        #[cfg(not(target_os = "linux"))]
        let sent = rustix::process::kill_process(self.pid, signal);
        match sent {
            Err(rustix::io::Errno::SRCH) => Ok(()),
            sent => Ok(sent?),
        }
    }
}

/// Whether a process's command line names this folder. Where command lines cannot be read, the lock alone speaks.
fn is_server(pid: u32, data: &Path) -> bool {
    use std::os::unix::ffi::OsStrExt;
    match std::fs::read(format!("/proc/{pid}/cmdline")) {
        Ok(line) => {
            line.split(|&byte| byte == 0).any(|argument| argument == data.as_os_str().as_bytes())
        }
        Err(_) => true,
    }
}
