//! The limits: how long this machine takes for each part of a publish or a read alone, one after the other. The parts of
//! one file, with the means that tarn uses for them, on all cores as far as tarn can use them. What is left out: mapping,
//! deciding, waiting, and the memory that goes back and forth between the parts.

mod compute;
mod disk;
mod wire;

use std::path::Path;
use std::time::Duration;

use serde::Serialize;
use tarn_proto::{Geometry, Shape};
use tokio::task::spawn_blocking;
use tokio::time::Instant;

use super::statistics::Latencies;
use crate::error::CommandError;
use disk::Disk;
use wire::Sink;

/// How long one part is repeated, at least [`AT_LEAST`] times.
const BUDGET: Duration = Duration::from_millis(200);
const AT_LEAST: usize = 3;

/// What is done with a file, as far as its parts go.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Work {
    /// Everything is encoded, sent, checked and made durable.
    Publish,
    /// One segment of a file is encoded, sent, checked and made durable. What is read of it before is not counted.
    Change,
    /// k shares are sent and decoded.
    Read,
}

impl Work {
    /// All of it, in the order in which it is told, by name.
    pub(super) const ALL: [(Self, &'static str); 3] =
        [(Self::Publish, "publish"), (Self::Change, "change"), (Self::Read, "read")];
}

/// One part of the work, in the order of a publish.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Stage {
    /// Keyed BLAKE3 of the plaintext.
    Salt,
    /// AES-256-CTR of the plaintext.
    Cipher,
    /// Reed-Solomon: n − k blocks of every k.
    Coding,
    /// SHA-256 of every block, by the client.
    Hashing,
    /// Every share through gRPC over loopback to somebody who throws it away, or from somebody who has it ready.
    Network,
    /// SHA-256 of every block, by the servers.
    ServerHashing,
    /// One durable write for each server.
    Disk,
}

/// How long one part of the work took.
#[derive(Debug, Clone, Copy)]
pub(super) struct Part {
    pub(super) stage: Stage,
    pub(super) time: Duration,
    /// How many bytes went through it.
    pub(super) bytes: u64,
}

/// How long the parts of the work on one size took.
#[derive(Debug, Clone)]
pub(super) struct Limits {
    /// Bytes of the file.
    pub(super) size: u64,
    pub(super) publish: Vec<Part>,
    pub(super) change: Vec<Part>,
    pub(super) read: Vec<Part>,
}

impl Stage {
    /// Its name, as it is printed.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Salt => "salt",
            Self::Cipher => "cipher",
            Self::Coding => "coding",
            Self::Hashing => "hashing",
            Self::Network => "network",
            Self::ServerHashing => "server hashing",
            Self::Disk => "disk",
        }
    }
}

impl Limits {
    /// The parts of this work.
    pub(super) fn of(&self, work: Work) -> &[Part] {
        match work {
            Work::Publish => &self.publish,
            Work::Change => &self.change,
            Work::Read => &self.read,
        }
    }

    /// What they take together.
    pub(super) fn sum(&self, work: Work) -> Duration {
        self.of(work).iter().map(|part| part.time).sum()
    }
}

/// Measures the parts for files of this size; `folder` is where the disk is tried.
pub(super) async fn measure(size: u64, folder: &Path) -> Result<Limits, CommandError> {
    let geometry = Geometry::choose(Shape::default(), size).map_err(CommandError::failed)?;
    let limits = measure_whole(geometry, folder).await?;
    if size <= geometry.segment_size() {
        return Ok(limits);
    }
    let segment = Geometry::choose(Shape::default(), geometry.segment_size());
    let segment = measure_whole(segment.map_err(CommandError::failed)?, folder).await?;
    Ok(Limits { change: segment.publish, ..limits })
}

/// The same, where a change is one of the whole file.
async fn measure_whole(geometry: Geometry, folder: &Path) -> Result<Limits, CommandError> {
    let folder = folder.to_owned();
    let alone = move || measure_alone(&geometry, &folder);
    let mut limits = spawn_blocking(alone).await.map_err(CommandError::failed)??;
    let sink = Sink::start(geometry.n())?;
    let [sent, received] = sink.measure(&geometry).await?;
    for (parts, network) in [(&mut limits.publish, sent), (&mut limits.read, received)] {
        parts.push(network);
        parts.sort_by_key(|part| part.stage);
    }
    limits.change = limits.publish.clone();
    Ok(limits)
}

/// Everything that needs no network. Blocks, and uses all cores.
fn measure_alone(geometry: &Geometry, folder: &Path) -> Result<Limits, CommandError> {
    let (k, n) = (geometry.k(), geometry.n());
    let cipher = compute::cipher(geometry);
    let failed = |error| CommandError::failed(format_args!("the disk cannot be tried: {error}"));
    let mut disk = Disk::prepare(geometry, folder).map_err(failed)?;
    Ok(Limits {
        size: geometry.length(),
        publish: vec![
            compute::salt(geometry),
            cipher,
            compute::coding(geometry),
            compute::hashing(geometry, n),
            compute::server_hashing(geometry, n),
            disk.measure().map_err(failed)?,
        ],
        change: Vec::new(),
        // As long as the first k shares come, there is nothing to decode.
        read: vec![cipher, compute::hashing(geometry, k), compute::server_hashing(geometry, k)],
    })
}

/// Does it once unmeasured, then some times measured; the median.
fn repeated<E>(mut once: impl FnMut() -> Result<Duration, E>) -> Result<Duration, E> {
    once()?;
    let begun = Instant::now();
    let mut took = Vec::new();
    while took.len() < AT_LEAST || begun.elapsed() < BUDGET {
        took.push(once()?);
    }
    Ok(Latencies::new(took).median())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(flavor = "multi_thread")]
    async fn every_part_of_a_small_and_a_large_file_has_its_bytes_and_a_time() {
        let folder = tempfile::tempdir().unwrap();
        for size in [1 << 10, 1 << 20] {
            let limits = measure(size, folder.path()).await.unwrap();
            let names =
                |work| limits.of(work).iter().map(|part| part.stage.name()).collect::<Vec<_>>();
            let publish =
                ["salt", "cipher", "coding", "hashing", "network", "server hashing", "disk"];
            assert_eq!(names(Work::Publish), publish);
            assert_eq!(names(Work::Change), publish);
            assert_eq!(names(Work::Read), ["cipher", "hashing", "network", "server hashing"]);
            for part in limits.publish.iter().chain(&limits.read) {
                assert!(part.time > Duration::ZERO && part.bytes >= size, "{part:?}");
            }
            assert!(limits.sum(Work::Publish) > limits.publish[0].time);
        }
    }
}
