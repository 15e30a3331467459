//! The tarn storage server: it keeps shares of files it cannot read, for writers it need not trust.
//!
//! A request's way, from the outside in:
//!
//! ```text
//!  gRPC ──▶ service ──▶ conversation ──▶ slot (pure: may this be sealed? committed?) ──▶ store (durable)
//!           convert,    stages blocks,   decides; says what the slot's                   one atomic change
//!           limits      hashes them      next manifest is                                of the manifest
//! ```
//!
//! - [`slot`]: the rules of a slot, a pure machine: no clock, no disk, no tokio
//! - [`manifest`]: what a slot keeps durably
//! - [`store`]: the trait every engine implements; [`store::local`] on SQLite and files, [`store::memory`] for tests
//! - `conversation`, `service`: the test-and-write stream and the other calls
//! - `reader`: one version read page by page, checked
//! - `slots`: one lock for each slot in use; `admission`: who may have how much at once
//! - `compaction`: what updates have scattered is written together again
//! - [`scrub`]: everything that is kept held against its tables
//! - [`serve()`]: a listener in, a running server out, told how to behave by a [`ServerConfig`]

mod admission;
mod clock;
mod compaction;
pub mod config;
mod conversation;
mod hashing;
pub mod manifest;
mod parse;
mod reader;
pub mod scrub;
mod serve;
mod server;
mod service;
pub mod slot;
mod slots;
pub mod store;

pub use config::ServerConfig;
pub use serve::{Connection, ServeError, connections, serve, serve_connections, transport};

#[cfg(test)]
mod testing;
