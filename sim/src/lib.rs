//! The simulation harness: runs the very state machines that ship on a simulated network, clock and disk, from one
//! seed, and holds them to tarn's promises. It is still to be filled; nothing here is used by the other crates.
