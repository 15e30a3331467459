//! The tarn client: publishes mutable files to storage servers that nobody has to trust, and reads them back.
//!
//! Decisions live in pure machines, the work around them in drivers:
//!
//! ```text
//!            events                                          actions
//!  Mapped, Sealed, Refused,      ┌────────────────────┐      Query, Prepare, Commit, Release,
//!  Written, Failed, TimedOut ──▶ │ publish, retrieve: │ ──▶  Journal, Bring, WaitUntil, Finish
//!        ▲                       │  step(now, event)  │            │
//!        │                       └────────────────────┘            │
//!        └───────── one queue ◀── a spawned task for each ◀── driver
//! ```
//!
//! An answer, however instant, comes back through the queue, so it can never enter a step that is running.

// What tests of the outside share is used inside, too.
#[cfg(test)]
extern crate self as tarn_client;

pub mod base;
pub mod bring;
pub mod caps;
pub mod client;
pub mod encode;
pub mod fetch;
pub mod follow;
pub mod gateway;
pub mod grid;
pub mod lately;
pub mod modify;
mod newest;
pub mod placement;
pub mod publish;
pub mod publish_queue;
pub mod queue;
pub mod quorum;
pub mod regenerate;
pub mod retrieve;
pub mod servermap;
pub mod survey;
pub mod suspects;
pub mod time;
pub mod transport;
mod tries;
pub mod update;
