//! The queue lane: the real [`tarn_client::queue::Queue`], seed by seed, in a world of its own. It checks the order of
//! publishes that a gateway promises, and what is left of it after a crash; how a publish gets to the servers it leaves
//! to the other lanes.
//!
//! ```text
//!  callers ─▶ network ─▶ gateway: registrar + Queue ─▶ publishes ─▶ grid: a chain of versions for every file
//!            lose, delay,         │       ▲                │              ▲
//!            double, reorder      ▼       │ restored       └─ end, late ──┘  others write too
//!                               record ───┘ after a death at any moment, also within a step
//! ```
//!
//! Whatever happens is told as a fact. An onlooker keeps what it has seen, and every check is held against it after every
//! fact: no check asks a queue. Until the horizon anything may fail; then everything heals, and every task must end.

mod agenda;
pub mod bugs;
mod checks;
mod fact;
mod gateway;
mod grid;
mod names;
mod options;
mod plant;
mod record;
mod report;
mod seen;
mod submission;
mod world;

pub use bugs::Bug;
pub use checks::{Broken, CHECKS, Check};
pub use options::{Faults, Habits, Network, Options, Runs};
pub use report::{COUNTED, Report};

use plant::{Plant, Sound};
use world::World;

/// Plays one run to its end, with this bug planted, if any. `tells` if its story is to be written down.
pub fn run(options: Options, bug: Option<&Bug>, tells: bool) -> Report {
    let sound: fn() -> Box<dyn Plant> = || Box::new(Sound);
    World::new(options, bug.map_or(sound, |bug| bug.plant), tells).run()
}

#[cfg(test)]
mod tests;
