//! The promises of tarn, each with its id, its sentence and a check on a world. One file per promise; this is their
//! registry. A check looks at one moment, and at what the world's oracle remembers; it changes nothing.

mod held;
mod numbers;
mod once;
mod p01;
mod p02;
mod p03;
mod p04;
mod p05;
mod p06;
mod p07;
mod p08;
mod p09;
mod p10;
mod p11;
mod p12;
mod p13;
mod p14;
mod p15;
mod register;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;
mod tickets;

use std::fmt;

use tarn_proto::VersionId;

use crate::ids::ClientId;
use crate::world::{Client, Fact, Server, TaskRecord, World};

pub use numbers::NUMBERS;
pub use once::ONCE;
pub use p01::P01;
pub use p02::P02;
pub use p03::P03;
pub use p04::P04;
pub use p05::P05;
pub use p06::P06;
pub use p07::P07;
pub use p08::P08;
pub use p09::P09;
pub use p10::P10;
pub use p11::P11;
pub use p12::P12;
pub use p13::P13;
pub use p14::P14;
pub use p15::P15;
pub use register::REGISTER;
pub use tickets::TICKETS;

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
pub static ALL: &[&Promise] = &[
    &P01, &P02, &P03, &P04, &P05, &TICKETS, &P06, &P07, &P08, &P09, &NUMBERS, &P10, &P11, &P12,
    &ONCE, &P13, &P14, &P15, &REGISTER,
];

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
    hold(&world.seen_whole(), |_| true)
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

/// The servers whose disks the last event may have changed.
fn changed(world: &World) -> impl Iterator<Item = &Server> {
    world.facts().iter().filter_map(|fact| {
        let Fact::Durable { server } = *fact else { return None };
        world.server(server).filter(|server| !server.is_destroyed())
    })
}

/// The clients whose machines made a step.
fn stepped(world: &World) -> impl Iterator<Item = &Client> {
    world.facts().iter().filter_map(|fact| {
        let Fact::Stepped { client } = *fact else { return None };
        world.client(client)
    })
}

/// The tasks whose callers were just told.
fn told(world: &World) -> impl Iterator<Item = (ClientId, &TaskRecord)> {
    world.facts().iter().filter_map(|fact| {
        let Fact::Told { client } = *fact else { return None };
        world.oracle().task(client).map(|task| (client, task))
    })
}

const fn is_told(fact: &Fact) -> bool {
    matches!(fact, Fact::Told { .. })
}

const fn is_durable(fact: &Fact) -> bool {
    matches!(fact, Fact::Durable { .. })
}

const fn is_step(fact: &Fact) -> bool {
    matches!(fact, Fact::Stepped { .. })
}

const fn is_told_or_durable(fact: &Fact) -> bool {
    is_told(fact) || is_durable(fact)
}

/// Versions for people, as in the lines of a run.
fn short(version: VersionId) -> String {
    hex::encode(&version.as_bytes()[..4])
}
