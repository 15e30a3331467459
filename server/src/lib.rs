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
//! - `serve`: a listener in, a running server out

pub mod manifest;
pub mod slot;
pub mod store;

#[cfg(test)]
mod testing;
