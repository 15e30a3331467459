//! A program that serves the counter, to be asked, hung up on, and killed.

use std::io::{self, BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStderr, Command, Stdio};
use std::sync::{Condvar, Mutex, PoisonError};
use std::time::Duration;

use tarn_tests::binary;

use super::history::Told;

/// Longer than any answer takes.
const FOR_EVER: Duration = Duration::from_secs(120);

/// Serves the counter from one process after the other.
#[derive(Debug)]
pub(crate) struct Front {
    grid: PathBuf,
    cap: PathBuf,
    process: Mutex<Process>,
    answered: Condvar,
}

#[derive(Debug)]
struct Process {
    child: Child,
    address: SocketAddr,
    /// How many calls this process has answered.
    answers: u64,
    /// Kept open: it may have more to say.
    _stderr: BufReader<ChildStderr>,
}

impl Front {
    /// Starts it, and waits until it listens.
    pub(crate) fn start(grid: &Path, cap: &Path) -> Self {
        let process = Mutex::new(Process::start(grid, cap));
        Self { grid: grid.to_owned(), cap: cap.to_owned(), process, answered: Condvar::new() }
    }

    /// Asks for something; hangs up when the answer takes longer than `patience`.
    pub(crate) fn ask(&self, line: &str, patience: Option<Duration>) -> io::Result<Told> {
        let address = self.process.lock().unwrap().address;
        let mut socket = TcpStream::connect(address)?;
        socket.set_read_timeout(Some(patience.unwrap_or(FOR_EVER)))?;
        writeln!(socket, "{line}")?;
        let mut answer = String::new();
        let read = BufReader::new(socket).read_line(&mut answer)?;
        if read == 0 {
            return Ok(Told::Nothing);
        }
        let mut process = self.process.lock().unwrap();
        process.answers += u64::from(process.address == address);
        self.answered.notify_all();
        Ok(told(&answer))
    }

    /// Kills it with kill -9 as soon as it has answered so many, and starts another process in its place. One that does
    /// not answer as many for long lives on.
    pub(crate) fn die_after(&self, answers: u64) {
        let process = self.process.lock().unwrap();
        let waits = |process: &mut Process| process.answers < answers;
        let (mut process, _) =
            self.answered.wait_timeout_while(process, Duration::from_secs(1), waits).unwrap();
        if process.answers >= answers {
            process.child.kill().unwrap();
            process.child.wait().unwrap();
            *process = Process::start(&self.grid, &self.cap);
        }
    }
}

impl Process {
    fn start(grid: &Path, cap: &Path) -> Self {
        let mut command = Command::new(binary::counter());
        command.arg("--grid").arg(grid).arg("--cap").arg(cap).env_remove("RUST_LOG");
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let mut stderr = BufReader::new(child.stderr.take().unwrap());
        let mut said = String::new();
        stderr.read_line(&mut said).unwrap();
        let address = said.trim_end().strip_prefix("listening on ");
        let address = address.unwrap_or_else(|| panic!("it does not start: {said}"));
        Self { address: address.parse().unwrap(), child, answers: 0, _stderr: stderr }
    }
}

fn told(answer: &str) -> Told {
    if answer.starts_with("unchanged: ") {
        return Told::Unchanged;
    }
    if answer.starts_with("unknown: ") {
        return Told::Nothing;
    }
    let (resets, bumps) = answer.trim_end().split_once(' ').unwrap();
    Told::Count((resets.parse().unwrap(), bumps.parse().unwrap()))
}

impl Drop for Front {
    fn drop(&mut self) {
        let process = self.process.get_mut().unwrap_or_else(PoisonError::into_inner);
        // Both fail only if it has ended, which is what is wanted.
        drop(process.child.kill());
        drop(process.child.wait());
    }
}
