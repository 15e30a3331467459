//! What is held against every run of the queue lane, after every event. One file per check; this is their registry. A
//! check compares a fact with what was seen before and with it; it changes nothing, and never asks a queue.

mod cancel;
mod edges;
mod ends;
mod h4;
mod keys;
mod limit;
mod one;
mod order;
mod p14;
mod p4;
mod record;
mod repeats;
mod stale;
mod stopped;
#[cfg(test)]
mod testing;
mod tickets;
mod turns;

use std::fmt;

use super::fact::Fact;
use super::seen::Seen;

/// A check.
#[derive(Debug)]
pub struct Check {
    /// What it is called: a promise's id, a hazard's, or a word.
    pub id: &'static str,
    /// What is demanded.
    pub sentence: &'static str,
    /// Says how what was seen breaks it, for people. The fact is part of it already.
    holds: fn(&Seen, &Fact) -> Result<(), String>,
}

/// Every check.
pub static CHECKS: &[&Check] = &[
    &record::RECORD,
    &edges::EDGES,
    &keys::KEYS,
    &one::ONE,
    &limit::LIMIT,
    &stopped::STOPPED,
    &tickets::TICKETS,
    &order::ORDER,
    &turns::TURNS,
    &repeats::REPEATS,
    &cancel::CANCEL,
    &stale::STALE,
    &p4::P4,
    &p14::P14,
    &h4::H4,
    &ends::ENDS,
];

/// A check that a run did not pass.
#[derive(Debug, Clone)]
pub struct Broken {
    /// Which.
    pub check: &'static Check,
    /// How, for people.
    pub detail: String,
}

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} is broken: {} ({})", self.check.id, self.check.sentence, self.detail)
    }
}

/// Holds a fact, which was seen, against every check.
pub(super) fn hold(seen: &Seen, fact: &Fact) -> Result<(), Broken> {
    CHECKS
        .iter()
        .try_for_each(|check| (check.holds)(seen, fact).map_err(|detail| Broken { check, detail }))
}
