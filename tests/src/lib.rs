//! Stories that cross tarn's crates: the real command, real server processes, real gRPC on loopback, real kill -9.
//! The stories themselves are in `tests/`; here is what they share.
//!
//! A [`Home`] runs the command with folders of its own, a [`Cluster`] is ten or more server processes below one,
//! a [`Gateway`](gateway::Gateway) process publishes for callers; [`Told`] is what `tarn publish --json` said; a [`Lone`] server has a [`Disk`] that fails on cue. All of it is gone when
//! it is dropped, also when a story fails; and a story fails that leaves a process or a folder behind.
//!
//! The [`loops`] repeat one fault on a [`Fleet`] of servers as long as they are told to. What every [`Witness`] was told
//! goes into a log, which is held to the promises by [`history`].
#![allow(clippy::unwrap_used, reason = "a story that cannot go on must end")]

pub mod binary;
pub mod clock;
pub mod cluster;
pub mod content;
pub mod cut_off;
pub mod disk;
pub mod fleet;
pub mod gateway;
pub mod history;
pub mod home;
pub mod lone;
pub mod loops;
pub mod network;
mod remains;
pub mod rounds;
pub mod running;
pub mod told;
pub mod witness;

pub use cluster::Cluster;
pub use content::Content;
pub use disk::Disk;
pub use fleet::Fleet;
pub use home::{Home, Ran};
pub use lone::Lone;
pub use running::Running;
pub use told::Told;
pub use witness::Witness;
