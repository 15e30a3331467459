//! The simulation harness: runs the very state machines that ship on a simulated network, clock and disk, from one
//! seed, and holds them to tarn's promises. Nothing here is used by the other crates.

pub mod event;
pub mod explore;
pub mod ids;
pub mod made;
pub mod plant;
pub mod promises;
pub mod setup;
pub mod trace;
pub mod world;
