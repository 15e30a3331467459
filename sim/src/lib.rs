//! The simulation harness: runs the very state machines that ship on a simulated network, clock and disk, from one
//! seed, and holds them to tarn's promises. Nothing here is used by the other crates.

pub mod bugs;
pub mod coverage;
pub mod durability;
pub mod event;
pub mod explore;
pub mod history;
pub mod ids;
pub mod made;
pub mod minimize;
pub mod options;
pub mod plant;
pub mod promises;
pub mod queue;
pub mod render;
pub mod scenario;
pub mod schedule;
pub mod setup;
pub mod shell;
mod streams;
pub mod trace;
pub mod world;
