//! Planted bugs of the queue lane: what a gateway would be if one of its rules were missing. They prove the lane: each must
//! be found, on a seed that is clean without it. They are hooks around the real queue and its record.

mod identity;
mod order;
mod record;
mod replaced;
mod runs;
mod tickets;

use super::checks::Broken;
use super::options::Options;
use super::plant::Plant;
use super::report::Report;

/// A planted bug.
#[derive(Debug)]
pub struct Bug {
    /// Its name on the command line.
    pub name: &'static str,
    /// The hazard of the design that it is, if it is one: `H1` to `H5`.
    pub hazard: Option<&'static str>,
    /// What is wrong, in one sentence.
    pub sentence: &'static str,
    /// The check that finds it, and a seed on which it does, and which is clean without it.
    pub found: (&'static str, u64),
    pub(super) plant: fn() -> Box<dyn Plant>,
}

/// Every planted bug.
pub fn all() -> impl Iterator<Item = &'static Bug> {
    [tickets::BUGS, replaced::BUGS, record::BUGS, identity::BUGS, order::BUGS, runs::BUGS]
        .into_iter()
        .flatten()
}

/// The bug of this name.
pub fn by_name(name: &str) -> Option<&'static Bug> {
    all().find(|bug| bug.name == name)
}

impl Bug {
    /// One run with the bug planted.
    pub fn run(&self, seed: u64) -> Report {
        super::run(Options::draw(seed), Some(self), false)
    }

    /// The same run without it.
    pub fn run_without(&self, seed: u64) -> Report {
        super::run(Options::draw(seed), None, false)
    }

    /// Runs seeds from `start` until one finds the bug, at most `most` of them.
    pub fn hunt(&self, start: u64, most: u64) -> Option<(u64, Broken)> {
        (start..start.saturating_add(most)).find_map(|seed| Some((seed, self.run(seed).broken?)))
    }
}
