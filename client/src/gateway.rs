//! The gateway: publish as a service, for programs that should not link this library. Its protocol is specified in
//! `proto/tarn/gateway/v1/gateway.proto`.
//!
//! ```text
//! gRPC ──▶ service ──▶ staging        the content, durable first
//!                 └──▶ registrar      one thread: steps the queue, changes the record, all at once
//!                          │ actions
//!                          ▼
//!                       runner ──▶ publish, on the grid
//! ```
//!
//! - [`config`]: what bounds a gateway, and who may use it
//! - `service`: the calls, and nothing that outlives them
//! - `staging`: contents that wait, `secret`: write caps that wait
//! - `submission`: what was submitted, and by what name it is recognised
//! - `tasks`: the record, in a database; `registrar`: the only one who changes it
//! - `runner`: publishes what the queue lets run, `outcome`: how that ended, in the protocol's words
//! - `board`: progress and changes, for whoever watches
//! - [`serve`]: listeners in, a running gateway out
//!
//! What runs when, and what is stale, is decided by [`crate::queue`]; what a publish does, by [`crate::publish`].

mod board;
mod clock;
pub mod config;
mod outcome;
mod registrar;
mod runner;
mod secret;
pub mod serve;
mod service;
mod staging;
mod submission;
mod tasks;
#[cfg(test)]
mod testing;

pub use config::GatewayConfig;
pub use secret::KeyFileError;
pub use serve::{Gateway, OpenError, ServeError};
pub use tasks::{TasksError, origin_bytes, origin_of};
