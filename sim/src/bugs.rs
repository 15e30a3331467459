//! Planted bugs: what tarn would be if one of its rules were missing, or one of its predecessors' mistakes were made
//! again. They prove the harness: each must be found, by a sweep of seeds or by the explorer. They live around the real
//! machines, as [`Plant`]s; no shipped line knows of them.

mod client;
mod server;

use crate::options::Options;
use crate::plant::Plant;
use crate::promises::Broken;
use crate::schedule::{Report, Run};

/// A planted bug.
#[derive(Debug)]
pub struct Bug {
    /// Its name on the command line.
    pub name: &'static str,
    /// The hazard of the design that it is, if it is one: `H1` to `H5`.
    pub hazard: Option<&'static str>,
    /// What is wrong, in one sentence.
    pub sentence: &'static str,
    /// The bug, ready to be planted.
    pub plant: fn() -> Box<dyn Plant>,
    /// Narrows what a seed draws, where the bug needs a world that is drawn too rarely; else changes nothing.
    pub tune: fn(&mut Options),
    /// How it is found.
    pub found: Found,
}

/// How a planted bug is found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Found {
    /// By running seeds; this one finds it.
    BySeed(u64),
    /// By the explorer, in the scope of this name.
    ByExplorer(&'static str),
    /// Not at all, as nothing can show that it matters; this is why, and why the rule stays.
    Never(&'static str),
}

/// Every planted bug.
pub fn all() -> impl Iterator<Item = &'static Bug> {
    client::BUGS.iter().chain(server::BUGS)
}

/// The bug of this name.
pub fn by_name(name: &str) -> Option<&'static Bug> {
    all().find(|bug| bug.name == name)
}

impl Bug {
    /// What a seed draws for this bug.
    pub fn options(&self, seed: u64) -> Options {
        let mut options = Options::draw(seed);
        (self.tune)(&mut options);
        options.setup.bug = Some(self.name.to_owned());
        options
    }

    /// One run with the bug planted.
    pub fn run(&self, seed: u64) -> Report {
        Run::new(self.options(seed), Some((self.plant)())).run()
    }

    /// The same run without it.
    pub fn run_without(&self, seed: u64) -> Report {
        Run::new(self.options_without(seed), None).run()
    }

    /// The world that a seed draws for this bug, for a run without it.
    pub fn options_without(&self, seed: u64) -> Options {
        let mut options = self.options(seed);
        options.setup.bug = None;
        options
    }

    /// Runs seeds from `start` until one finds the bug, at most `most` of them.
    pub fn hunt(&self, start: u64, most: u64) -> Option<(u64, Broken)> {
        (start..start.saturating_add(most)).find_map(|seed| Some((seed, self.run(seed).broken?)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::explore::{explore, explore_planted, named};

    #[test]
    fn what_the_explorer_is_to_find_it_finds_in_a_scope_that_is_clean_without_it() {
        for bug in all() {
            let Found::ByExplorer(name) = bug.found else { continue };
            let scope = named().into_iter().find(|named| named.name == name).expect("it is named");
            let found = explore_planted(&scope.scope, (bug.plant)().as_ref());
            assert!(found.violation.is_some(), "{} is not found", bug.name);
            let clean = explore(&scope.scope);
            assert!(clean.complete && clean.violation.is_none(), "{name}: {:?}", clean.violation);
        }
    }
}
