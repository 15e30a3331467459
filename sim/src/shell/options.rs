//! What a seed stands for: the complete set of options of one run. Printed before the run begins.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::RangeInclusive;
use std::time::Duration;

use rand::seq::IndexedRandom;
use rand::{Rng, RngExt};
use tarn_proto::Shape;

use super::faults::FaultKind;
use crate::streams::stream;

/// All that a run depends on. The same options give the same run, byte for byte.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// What every random stream of the run grows from.
    pub seed: u64,
    /// Servers of the grid.
    pub servers: u8,
    /// k, happy and n of every file.
    pub shape: Shape,
    /// Files that are written.
    pub files: u8,
    /// Processes that write, each one publish after another.
    pub writers: u8,
    /// Processes that read.
    pub readers: u8,
    /// What each process does at most before the network heals.
    pub operations: u8,
    /// The longest content, in bytes.
    pub length_max: u32,
    /// The longest rest between two operations of a process.
    pub rest_max: Duration,
    /// How many of a hundred operations are called off or dropped in the middle.
    pub cancel_percent: u8,
    /// How many of a hundred publishes name the version they follow.
    pub if_version_percent: u8,
    /// How many of a hundred publishes change what they have just read.
    pub modify_percent: u8,
    /// What each write takes to arrive, in milliseconds.
    pub latency_ms: RangeInclusive<u64>,
    /// How many of a thousand writes stall in mid-stream.
    pub stall_per_mille: u16,
    /// The longest stall.
    pub stall_max: Duration,
    /// Writes that may be on their way in one direction of a connection.
    pub writes_in_flight: usize,
    /// How long a server's Sealed holds.
    pub promise: Duration,
    /// How long faults happen, from the beginning.
    pub faults_for: Duration,
    /// How often each kind of fault happens, as the mean time between two; a kind that is not here is off.
    pub faults: BTreeMap<FaultKind, Duration>,
    /// A bug put into the simulated part of a server, to show that it is found.
    pub planted: Option<Planted>,
}

/// A bug that can be planted in what surrounds the shipped code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Planted {
    /// The store says that a change is durable before it is: a crash within a second loses it.
    AcknowledgedBeforeSync,
}

impl Options {
    /// Expands a seed.
    pub fn draw(seed: u64) -> Self {
        let mut rng = stream(seed, "options", 0);
        let rng = &mut rng;
        let servers: u8 = rng.random_range(3..=7);
        let writers = pick(rng, &[1, 1, 2, 2, 3]);
        let latency_from = rng.random_range(0..=5);
        let latency_to = latency_from + pick(rng, &[0, 1, 10, 60]);
        Self {
            seed,
            servers,
            shape: draw_shape(rng, servers),
            files: pick(rng, &[1, 1, 1, 2]),
            writers,
            readers: rng.random_range(0..=2),
            operations: rng.random_range(2..=8),
            length_max: pick(rng, &[100, 5_000, 70_000, 200_000, 400_000]),
            rest_max: Duration::from_millis(pick(rng, &[10, 1_000, 8_000])),
            cancel_percent: pick(rng, &[0, 0, 10, 30]),
            if_version_percent: pick(rng, &[0, 20, 50]),
            modify_percent: pick(rng, &[0, 20, 50]),
            latency_ms: latency_from..=latency_to,
            stall_per_mille: pick(rng, &[0, 0, 5, 30]),
            stall_max: Duration::from_millis(pick(rng, &[300, 2_000, 10_000])),
            writes_in_flight: pick(rng, &[2, 8, 64]),
            promise: Duration::from_secs(pick(rng, &[5, 30, 3_600])),
            faults_for: Duration::from_secs(pick(rng, &[5, 20, 60])),
            faults: draw_faults(rng),
            planted: None,
        }
    }
}

fn draw_shape(rng: &mut impl Rng, servers: u8) -> Shape {
    loop {
        let n = rng.random_range(1..=u32::from(servers) + 1);
        let k = rng.random_range(1..=n.min(3));
        let happy = rng.random_range(1..=n.min(servers.into()));
        if let Ok(shape) = Shape::new(k, happy, n) {
            return shape;
        }
    }
}

fn draw_faults(rng: &mut impl Rng) -> BTreeMap<FaultKind, Duration> {
    let mut faults = BTreeMap::new();
    for kind in FaultKind::ALL {
        let every_ms = pick(rng, &[0, 0, 1_500, 5_000, 15_000]);
        if every_ms > 0 {
            faults.insert(kind, Duration::from_millis(every_ms));
        }
    }
    faults
}

/// One of these, each as likely as any other.
fn pick<T: Copy>(rng: &mut impl Rng, choices: &[T]) -> T {
    *choices.choose(rng).expect("there is always a choice")
}

impl fmt::Display for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { shape, latency_ms, .. } = self;
        writeln!(f, "seed {}", self.seed)?;
        writeln!(
            f,
            "  {} servers, {}-of-{} happy {}, promise {:?}",
            self.servers,
            shape.k(),
            shape.n(),
            shape.happy(),
            self.promise
        )?;
        writeln!(
            f,
            "  {} writers and {} readers of {} files, {} operations each, up to {} B, rests to {:?}",
            self.writers, self.readers, self.files, self.operations, self.length_max, self.rest_max
        )?;
        writeln!(
            f,
            "  {} % called off, {} % --if-version, {} % modify",
            self.cancel_percent, self.if_version_percent, self.modify_percent
        )?;
        writeln!(
            f,
            "  writes take {} to {} ms, {} in flight, {} of 1000 stall for up to {:?}",
            latency_ms.start(),
            latency_ms.end(),
            self.writes_in_flight,
            self.stall_per_mille,
            self.stall_max
        )?;
        write!(f, "  faults for {:?}:", self.faults_for)?;
        for kind in FaultKind::ALL {
            match self.faults.get(&kind) {
                Some(mean) => write!(f, " {kind} every {mean:?};")?,
                None => write!(f, " {kind} off;")?,
            }
        }
        if let Some(planted) = self.planted {
            write!(f, "\n  planted: {planted:?}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_stands_for_one_set_of_options_and_says_all_of_it() {
        let options = Options::draw(7);
        assert_eq!(options, Options::draw(7));
        assert_ne!(options, Options { seed: 7, ..Options::draw(8) });
        let banner = options.to_string();
        for kind in FaultKind::ALL {
            assert!(banner.contains(&format!(" {kind} ")), "{banner}");
        }
    }

    #[test]
    fn every_fault_is_off_in_some_runs_and_on_in_others() {
        let drawn: Vec<Options> = (0..64).map(Options::draw).collect();
        for kind in FaultKind::ALL {
            let on = drawn.iter().filter(|options| options.faults.contains_key(&kind)).count();
            assert!((1..64).contains(&on), "{kind}: {on} of 64");
        }
    }
}
