//! A command that runs: it can be killed at any moment, and is when the story ends first.

use std::io::Write;
use std::process::{Child, ChildStdin, Command, Stdio};

use rustix::process::{Pid, Signal, kill_process};

use crate::home::Ran;

/// A started command, with both outputs kept for later.
#[derive(Debug)]
pub struct Running {
    child: Option<Child>,
}

impl Running {
    /// Starts it with nothing on standard input.
    pub fn start(mut command: Command) -> Self {
        Self::spawn(command.stdin(Stdio::null()))
    }

    /// Starts it and writes these bytes to its standard input. A reader that went away early is no error here.
    pub fn fed(mut command: Command, input: &[u8]) -> Self {
        let mut running = Self::spawn(command.stdin(Stdio::piped()));
        let stdin = running.child.as_mut().and_then(|child| child.stdin.take());
        drop(stdin.unwrap().write_all(input));
        running
    }

    /// Starts it at the other end of a pipe, which ends when it is dropped.
    pub fn piped(mut command: Command) -> (Self, ChildStdin) {
        let mut running = Self::spawn(command.stdin(Stdio::piped()));
        let pipe = running.child.as_mut().and_then(|child| child.stdin.take());
        (running, pipe.unwrap())
    }

    /// The most memory that it ever held, in bytes. Only while it runs.
    pub fn memory_at_most(&self) -> u64 {
        let child = self.child.as_ref().unwrap();
        let status = std::fs::read_to_string(format!("/proc/{}/status", child.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
        1024 * line.trim().trim_end_matches(" kB").parse::<u64>().unwrap()
    }

    /// Starts it with nothing on standard input, and this as its standard output.
    pub fn telling(mut command: Command, output: impl Into<Stdio>) -> Self {
        Self::spawn_telling(command.stdin(Stdio::null()), output.into())
    }

    fn spawn(command: &mut Command) -> Self {
        Self::spawn_telling(command, Stdio::piped())
    }

    fn spawn_telling(command: &mut Command, output: Stdio) -> Self {
        let child = command.stdout(output).stderr(Stdio::piped()).spawn();
        Self { child: Some(child.unwrap()) }
    }

    /// Whether it has not ended yet.
    pub fn runs(&mut self) -> bool {
        self.child.as_mut().is_some_and(|child| child.try_wait().unwrap().is_none())
    }

    /// Sends it a signal.
    pub fn signal(&self, signal: Signal) {
        let child = self.child.as_ref().unwrap();
        kill_process(Pid::from_child(child), signal).unwrap();
    }

    /// Waits for its end.
    pub fn ended(mut self) -> Ran {
        Ran::from(self.child.take().unwrap().wait_with_output().unwrap())
    }

    /// Ends it as kill -9 does. What it had said until then is answered.
    pub fn killed(mut self) -> Ran {
        let mut child = self.child.take().unwrap();
        child.kill().unwrap();
        Ran::from(child.wait_with_output().unwrap())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Some(child) = &mut self.child {
            drop(child.kill());
            drop(child.wait());
        }
    }
}
