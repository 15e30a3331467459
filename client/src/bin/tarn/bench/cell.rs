//! One cell of the table: an operation done again and again on so many files of one size at once, in a closed loop.
//! Whoever finishes one begins the next; nothing is begun when the time is up.

use std::cell::Cell as Counter;
use std::fmt;
use std::time::Duration;

use futures::future::try_join_all;
use futures::{StreamExt, TryStreamExt, stream};
use tokio::time::Instant;

use super::file::{File, Inputs, Target};
use super::machine::{self, Peaks};
use super::operation::Operation;
use super::results::Measured;
use super::statistics::Latencies;
use crate::error::CommandError;
use crate::output::Size;

/// So often an operation is done, however long it takes.
const AT_LEAST: u32 = 3;
/// New files that are smaller stay until the end: they take little room.
const DELETED_FROM: u64 = 256 << 10;
/// How many files are deleted at once.
const DELETED_AT_ONCE: usize = 16;

/// What is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Cell {
    pub(super) operation: Operation,
    /// Bytes of each file.
    pub(super) size: u64,
    /// How many files are worked on at once.
    pub(super) at_once: u16,
    /// The network's round trip in milliseconds, if one was put before the servers.
    pub(super) latency: Option<u16>,
}

impl Cell {
    /// Measures it: `budget` says for how long, `servers` which processes serve.
    pub(super) async fn measure(
        self,
        on: &Target,
        inputs: &Inputs,
        budget: Duration,
        servers: &[u32],
    ) -> Result<Measured, CommandError> {
        // Once unmeasured: connections are made, and memory and disk blocks that were never used are got, which are
        // several times slower to come by than those used before.
        let warm = (0..self.at_once).map(|_| self.warmed(on, inputs));
        let files = try_join_all(warm).await?;
        machine::forget_peaks(servers);
        let begun = Instant::now();
        let done = Counter::new(0);
        let goes_on = || done.get() < AT_LEAST || begun.elapsed() < budget;
        let work = async |file| {
            let mut worker = Worker { cell: self, on, inputs, files: vec![file], took: Vec::new() };
            while worker.took.is_empty() || goes_on() {
                worker.once().await?;
                done.set(done.get() + 1);
            }
            Ok::<_, CommandError>(worker)
        };
        let workers = try_join_all(files.into_iter().map(work)).await?;
        let elapsed = begun.elapsed();
        let peaks = Peaks::look_at(servers);
        let took = workers.iter().flat_map(|worker| worker.took.iter().copied()).collect();
        if self.size >= DELETED_FROM {
            delete(workers.into_iter().flat_map(|worker| worker.files).collect()).await?;
        }
        Ok(Measured::new(self, Latencies::new(took), elapsed, peaks))
    }

    /// A file with which it was done once.
    async fn warmed(self, on: &Target, inputs: &Inputs) -> Result<File, CommandError> {
        let mut file = File::new(on)?;
        file.publish(inputs).await?;
        if !self.operation.makes_a_file() {
            self.operation.once(&mut file, inputs).await?;
        }
        Ok(file)
    }
}

/// One of those that work side by side.
struct Worker<'a> {
    cell: Cell,
    on: &'a Target,
    inputs: &'a Inputs,
    /// What it has worked on; the last one is worked on now.
    files: Vec<File>,
    took: Vec<Duration>,
}

impl Worker<'_> {
    async fn once(&mut self) -> Result<(), CommandError> {
        if self.cell.operation.makes_a_file() {
            self.files.push(File::new(self.on)?);
        }
        if let Some(file) = self.files.last_mut() {
            self.took.push(self.cell.operation.once(file, self.inputs).await?);
        }
        Ok(())
    }
}

async fn delete(files: Vec<File>) -> Result<(), CommandError> {
    let deletions = stream::iter(files).map(File::delete);
    deletions.buffer_unordered(DELETED_AT_ONCE).try_collect::<()>().await
}

impl fmt::Display for Cell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}, {} at once", self.operation, Size(self.size), self.at_once)?;
        match self.latency {
            Some(milliseconds) => write!(f, ", {milliseconds} ms away"),
            None => Ok(()),
        }
    }
}
