//! The promises of tarn, each with its id, its sentence and a check on a world. One file per promise; this is their
//! registry. A check looks at one moment, and at what the world's oracle remembers; it changes nothing.

use std::fmt;

use crate::world::{Fact, World};

/// A promise, and how it is held against a world.
#[derive(Debug)]
pub struct Promise {
    /// As in the design: `P1` to `P15`.
    pub id: &'static str,
    /// What is promised.
    pub sentence: &'static str,
    /// Where it comes from, and what it took to learn it.
    pub source: &'static str,
    /// Whether it holds against any number of lying servers.
    pub against_liars: bool,
    /// When it is demanded.
    pub demanded: Demanded,
    /// Whether a fact may have broken it: only then it is looked at.
    pub concerns: fn(&Fact) -> bool,
    /// Says how the world breaks it, for people.
    pub check: fn(&World) -> Result<(), String>,
}

/// When a promise is demanded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Demanded {
    /// At every moment.
    Always,
    /// When everything has healed, every task has ended and nothing is on its way.
    AtRest,
}

/// A promise that a world breaks.
#[derive(Debug, Clone)]
pub struct Broken {
    /// Which.
    pub promise: &'static Promise,
    /// How, for people.
    pub detail: String,
}

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} is broken: {} ({})", self.promise.id, self.promise.sentence, self.detail)
    }
}

/// Every promise.
pub static ALL: &[&Promise] = &[];

/// What was begun before everything healed has not ended long after.
pub fn endless(world: &World) -> Broken {
    let running: Vec<String> = world
        .clients()
        .filter(|client| client.is_running())
        .map(|client| client.id().to_string())
        .collect();
    let detail = format!("still running: {}", running.join(" "));
    Broken { promise: &PROGRESS, detail }
}

/// The last publish and read of a healed world came to this.
pub fn stuck(told: &[&str]) -> Broken {
    Broken { promise: &PROGRESS, detail: format!("they ended: {}", told.join(", ")) }
}

/// What a schedule demands once everything has healed. No single moment shows whether it is kept.
pub static PROGRESS: Promise = Promise {
    id: "P11",
    sentence: "every publish ends; when all has healed, a publish is Published and a read confirms it",
    source: "DESIGN §9: then the network heals and completion within a bound is demanded",
    against_liars: false,
    demanded: Demanded::AtRest,
    concerns: |_| false,
    check: |_| Ok(()),
};

/// Holds the world against every promise that the last event may have broken.
pub fn check(world: &World) -> Result<(), Broken> {
    hold(world, |promise| {
        promise.demanded == Demanded::Always && world.facts().iter().any(promise.concerns)
    })
}

/// Holds the world, in which nothing is left to be done, against every promise.
pub fn check_at_rest(world: &World) -> Result<(), Broken> {
    hold(world, |_| true)
}

fn hold(world: &World, wanted: impl Fn(&Promise) -> bool) -> Result<(), Broken> {
    let lied = world.oracle().has_lied();
    for &promise in ALL {
        if wanted(promise) && (promise.against_liars || !lied) {
            (promise.check)(world).map_err(|detail| Broken { promise, detail })?;
        }
    }
    Ok(())
}
