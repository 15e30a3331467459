//! No caller of the client is trusted to stay: every public asynchronous operation, dropped at its every poll, and those
//! that work in tasks between any two polls of those tasks and of the servers. Over real gRPC to real servers on
//! loopback, in the one thread that runs them all.
#![allow(
    clippy::async_yields_async,
    reason = "operations are made here, and polled by what drops them"
)]
#![allow(clippy::unwrap_used, reason = "a test ends where its stage cannot be set")]

mod calls;
mod conversation;
mod encode;
mod publish;
#[path = "../real/mod.rs"]
mod real;
mod retrieve;
mod stage;
