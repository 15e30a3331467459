//! What a seed stands for: everything that a run of the queue lane is drawn from. Printed before the run.

use std::fmt;

use rand::seq::IndexedRandom;
use rand::{Rng, RngExt};
use tarn_client::queue::Limits;
use tarn_client::time::Millis;

use crate::streams::stream;

/// All that a run depends on. Times are in milliseconds, shares in thousandths.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// What every random stream of the run grows from.
    pub seed: u64,
    /// Gateways, one or two, on one grid.
    pub gateways: u8,
    /// Files.
    pub files: u8,
    /// Callers.
    pub callers: u8,
    /// What bounds every queue.
    pub limits: Limits,
    /// When everything heals.
    pub horizon: u64,
    /// The mean pause between two acts of a caller.
    pub pause: u64,
    /// How often each caller acts at most.
    pub acts: u32,
    /// How often callers do what.
    pub habits: Habits,
    /// The share of overwrites and edits that carry a key.
    pub keyed: u32,
    /// The share of chains that are submitted to both gateways.
    pub both: u32,
    /// What lies between callers and gateways.
    pub network: Network,
    /// How publishes fare.
    pub runs: Runs,
    /// The mean time between versions of writers that use no gateway, if there are any.
    pub outsiders: Option<u64>,
    /// What befalls processes.
    pub faults: Faults,
}

/// How often callers do what, relative to each other.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Habits {
    /// Publishes after whatever is there.
    pub overwrite: u32,
    /// Publishes after a version that it saw.
    pub edit: u32,
    /// Submits several publishes at once, each after the one before it.
    pub chain: u32,
    /// Publishes after a task.
    pub follow: u32,
    /// Submits once more what it submitted, or something else under the same key.
    pub repeat: u32,
    /// Calls off a task.
    pub cancel: u32,
    /// Submits what would have to follow itself.
    pub circle: u32,
    /// Submits what follows a key that never comes.
    pub orphan: u32,
    /// Overwrites every file, twice.
    pub burst: u32,
}

/// What lies between callers and gateways.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Network {
    /// The shortest and longest time on the way.
    pub latency: (u64, u64),
    /// The shortest and longest time until a content is staged.
    pub staging: (u64, u64),
    /// The share of submissions and answers that are lost.
    pub lost: u32,
    /// The share of submissions that arrive twice.
    pub duplicated: u32,
    /// How long a caller waits before it submits once more what it had no answer to.
    pub patience: u64,
}

/// How publishes fare.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Runs {
    /// The shortest and longest time until one decides, and again until it has ended.
    pub takes: (u64, u64),
    /// The share that change nothing, for want of servers.
    pub fruitless: u32,
    /// The share whose outcome is not known.
    pub unsettled: u32,
    /// The longest time that a commit is on its way of which nobody heard.
    pub late: u64,
}

/// What befalls processes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Faults {
    /// The mean time between deaths at any moment, if there are any.
    pub deaths: Option<u64>,
    /// The share of steps in which the process dies, before or after they are on record.
    pub cuts: u32,
    /// The mean time between orderly stops, if there are any.
    pub stops: Option<u64>,
    /// The longest time for which a process is gone.
    pub gone: u64,
}

impl Options {
    /// Everything that follows from a seed.
    pub fn draw(seed: u64) -> Self {
        let rng = &mut stream(seed, "options", 0);
        Self {
            seed,
            gateways: pick(rng, &[1, 2, 2]),
            files: pick(rng, &[1, 1, 2, 3, 5]),
            callers: pick(rng, &[1, 2, 2, 3, 4]),
            limits: Limits {
                running: pick(rng, &[1, 1, 2, 4]),
                awaited: Millis(pick(rng, &[200, 2_000, 20_000])),
                repeats: pick(rng, &[0, 1, 3, 8]),
                rest: Millis(pick(rng, &[5, 50, 500])),
            },
            horizon: pick(rng, &[1_000, 3_000, 10_000]),
            pause: pick(rng, &[20, 100, 500]),
            acts: pick(rng, &[3, 6, 12]),
            habits: Habits::draw(rng),
            keyed: pick(rng, &[0, 300, 700, 1_000]),
            both: pick(rng, &[0, 200, 600]),
            network: Network {
                latency: pick(rng, &[(0, 0), (1, 5), (1, 100), (20, 300)]),
                staging: pick(rng, &[(0, 0), (1, 20), (1, 300)]),
                lost: pick(rng, &[0, 0, 30, 200]),
                duplicated: pick(rng, &[0, 0, 50, 200]),
                patience: pick(rng, &[100, 600]),
            },
            runs: Runs {
                takes: pick(rng, &[(0, 0), (5, 30), (20, 200), (100, 400)]),
                fruitless: pick(rng, &[0, 0, 50, 250]),
                unsettled: pick(rng, &[0, 0, 100, 400]),
                late: pick(rng, &[10, 200, 2_000]),
            },
            outsiders: sometimes(rng, &[50, 300, 2_000]),
            faults: Faults {
                deaths: sometimes(rng, &[150, 800, 4_000]),
                cuts: pick(rng, &[0, 0, 5, 40]),
                stops: rng.random_bool(0.2).then(|| pick(rng, &[400, 2_000])),
                gone: pick(rng, &[10, 300, 1_500]),
            },
        }
    }
}

impl Habits {
    fn draw(rng: &mut impl Rng) -> Self {
        Self {
            overwrite: pick(rng, &[1, 2, 5]),
            edit: pick(rng, &[0, 2, 5]),
            chain: pick(rng, &[0, 2, 5]),
            follow: pick(rng, &[0, 1, 3]),
            repeat: pick(rng, &[0, 1, 3]),
            cancel: pick(rng, &[0, 0, 1, 3]),
            circle: pick(rng, &[0, 0, 0, 1]),
            orphan: pick(rng, &[0, 0, 1]),
            burst: pick(rng, &[0, 0, 1, 3]),
        }
    }
}

fn pick<T: Copy>(rng: &mut impl Rng, choices: &[T]) -> T {
    *choices.choose(rng).expect("there is always a choice")
}

/// Off as often as not.
fn sometimes(rng: &mut impl Rng, means: &[u64]) -> Option<u64> {
    rng.random_bool(0.5).then(|| pick(rng, means))
}

impl fmt::Display for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { limits, habits, network, runs, faults, .. } = self;
        let mean =
            |mean: Option<u64>| mean.map_or("never".to_owned(), |ms| format!("every {ms} ms"));
        writeln!(f, "seed {}", self.seed)?;
        writeln!(
            f,
            "  {} gateways, {} files, {} callers, who act {} times with {} ms between; all heals at {} ms",
            self.gateways, self.files, self.callers, self.acts, self.pause, self.horizon
        )?;
        writeln!(
            f,
            "  {} run at once; predecessors are awaited for {}; {} repeats, the first after {}",
            limits.running, limits.awaited, limits.repeats, limits.rest
        )?;
        writeln!(
            f,
            "  habits: overwrite {}, edit {}, chain {}, follow {}, repeat {}, cancel {}, circle {}, orphan {}, burst {}",
            habits.overwrite,
            habits.edit,
            habits.chain,
            habits.follow,
            habits.repeat,
            habits.cancel,
            habits.circle,
            habits.orphan,
            habits.burst
        )?;
        writeln!(
            f,
            "  of 1000: {} keyed, {} to both gateways, {} lost, {} duplicated",
            self.keyed, self.both, network.lost, network.duplicated
        )?;
        writeln!(
            f,
            "  submissions take {:?} ms and {:?} to stage, and are made again after {} ms",
            network.latency, network.staging, network.patience
        )?;
        writeln!(
            f,
            "  publishes take twice {:?} ms; of 1000 {} are fruitless, {} unsettled, late by up to {} ms",
            runs.takes, runs.fruitless, runs.unsettled, runs.late
        )?;
        write!(
            f,
            "  others write: {}; deaths: {}, and in {} of 1000 steps; stops: {}; gone for up to {} ms",
            mean(self.outsiders),
            mean(faults.deaths),
            faults.cuts,
            mean(faults.stops),
            faults.gone
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_gives_the_same_options_and_another_others() {
        assert_eq!(Options::draw(7), Options::draw(7));
        assert_ne!(Options::draw(7).to_string(), Options::draw(8).to_string());
    }

    #[test]
    fn whatever_can_be_off_is_on_in_some_runs_and_off_in_others() {
        let drawn: Vec<Options> = (0..200).map(Options::draw).collect();
        let kinds: [fn(&Options) -> bool; 15] = [
            |o| o.gateways > 1,
            |o| o.habits.edit > 0,
            |o| o.habits.chain > 0,
            |o| o.habits.follow > 0,
            |o| o.habits.repeat > 0,
            |o| o.habits.cancel > 0,
            |o| o.habits.circle > 0,
            |o| o.habits.orphan > 0,
            |o| o.habits.burst > 0,
            |o| o.network.lost > 0,
            |o| o.network.duplicated > 0,
            |o| o.runs.unsettled > 0,
            |o| o.faults.deaths.is_some(),
            |o| o.faults.cuts > 0,
            |o| o.faults.stops.is_some(),
        ];
        for (index, kind) in kinds.iter().enumerate() {
            let on = drawn.iter().filter(|options| kind(options)).count();
            assert!(on > 0 && on < drawn.len(), "kind {index}: {on} of {}", drawn.len());
        }
    }
}
