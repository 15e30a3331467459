//! What is counted while a grid is simulated: files by condition and by happiness, and for how long.

use super::files::{Condition, Standing};
use super::queue::{Moment, Span};

/// Every condition, in order.
const CONDITIONS: usize = 4;

/// How the files are at one moment.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Sample {
    pub(super) at: Moment,
    pub(super) lost: u64,
    /// Not lost, but with fewer servers left in the window than a write needs.
    pub(super) stuck: u64,
    /// Not lost and not stuck, and yet no write would succeed now.
    pub(super) unwritable: u64,
    /// Files that are not lost, by happiness of the servers left.
    pub(super) by_happiness: Vec<u64>,
    /// Bytes read and written for repairs so far.
    pub(super) moved: u64,
    pub(super) servers_lost: u64,
}

/// Counts and integrals over time.
pub(super) struct Measures {
    now: Moment,
    by_condition: [u64; CONDITIONS],
    stuck: u64,
    by_happiness: Vec<u64>,
    /// How long, all files together, in milliseconds.
    time_unwritable: u128,
    time_unreadable: u128,
    time_lost: u128,
    time_stuck: u128,
    pub(super) episodes_unwritable: u64,
    pub(super) episodes_unreadable: u64,
    pub(super) servers_lost: u64,
    pub(super) repairs: u64,
    pub(super) repairs_failed: u64,
    pub(super) moves: u64,
    pub(super) events: u64,
    pub(super) timeline: Vec<Sample>,
}

impl Measures {
    /// So many files, all writable, of this happiness.
    pub(super) fn new(files: u64, happiness: u8, window: usize) -> Self {
        let mut by_happiness = vec![0; window + 1];
        by_happiness[usize::from(happiness)] = files;
        Self {
            now: Moment::default(),
            by_condition: [files, 0, 0, 0],
            stuck: 0,
            by_happiness,
            time_unwritable: 0,
            time_unreadable: 0,
            time_lost: 0,
            time_stuck: 0,
            episodes_unwritable: 0,
            episodes_unreadable: 0,
            servers_lost: 0,
            repairs: 0,
            repairs_failed: 0,
            moves: 0,
            events: 0,
            timeline: Vec::new(),
        }
    }

    /// Counts what lasted until now.
    pub(super) fn advance(&mut self, now: Moment) {
        let Span(passed) = now.since(self.now);
        let time = |files: u64| u128::from(files) * u128::from(passed);
        self.time_unwritable += time(self.unwritable());
        self.time_unreadable += time(self.in_condition(Condition::Unreadable));
        self.time_lost += time(self.lost());
        self.time_stuck += time(self.stuck);
        self.now = now;
    }

    /// A file's condition is another now. A stuck file that is lost is lost.
    pub(super) fn condition_changed(&mut self, before: Condition, after: Condition, stuck: bool) {
        self.by_condition[before as usize] -= 1;
        self.by_condition[after as usize] += 1;
        if stuck && after == Condition::Lost {
            self.stuck -= 1;
        } else if before == Condition::Writable && after != Condition::Lost && !stuck {
            self.episodes_unwritable += 1;
        }
        if before < Condition::Unreadable && after == Condition::Unreadable {
            self.episodes_unreadable += 1;
        }
    }

    /// A file that is not lost has too few servers left to be written again, ever.
    pub(super) fn got_stuck(&mut self) {
        self.stuck += 1;
    }

    pub(super) fn happiness_changed(&mut self, before: u8, after: &Standing) {
        self.by_happiness[usize::from(before)] -= 1;
        if after.condition != Condition::Lost {
            self.by_happiness[usize::from(after.happiness)] += 1;
        }
    }

    pub(super) fn sample(&mut self, moved: u64) {
        self.timeline.push(Sample {
            at: self.now,
            lost: self.lost(),
            stuck: self.stuck,
            unwritable: self.unwritable(),
            by_happiness: self.by_happiness.clone(),
            moved,
            servers_lost: self.servers_lost,
        });
    }

    /// The part of all files' time in which a file was in such a state.
    pub(super) fn fractions(&self) -> Fractions {
        let files: u64 = self.by_condition.iter().sum();
        let all = (u128::from(files) * u128::from(self.now.0)).max(1) as f64;
        Fractions {
            unwritable: self.time_unwritable as f64 / all,
            unreadable: self.time_unreadable as f64 / all,
            stuck: self.time_stuck as f64 / all,
            lost: self.time_lost as f64 / all,
        }
    }

    pub(super) fn lost(&self) -> u64 {
        self.in_condition(Condition::Lost)
    }

    pub(super) fn stuck(&self) -> u64 {
        self.stuck
    }

    /// Files that cannot be written now, but are neither stuck nor lost. A stuck file never can.
    fn unwritable(&self) -> u64 {
        self.in_condition(Condition::ReadOnly) + self.in_condition(Condition::Unreadable)
            - self.stuck
    }

    fn in_condition(&self, condition: Condition) -> u64 {
        self.by_condition[condition as usize]
    }
}

/// Parts of all files' time.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Fractions {
    /// No quorum could be reached, but enough servers were left for one.
    pub(super) unwritable: f64,
    /// Fewer than k distinct shares could be reached, but they were there.
    pub(super) unreadable: f64,
    /// Fewer servers than a quorum were left.
    pub(super) stuck: f64,
    /// Fewer than k distinct shares were left.
    pub(super) lost: f64,
}
