//! Encoding: plaintext to encrypted, erasure-coded, hashed blocks, and back. Does not choose which share goes where,
//! speak to servers or sign: it makes rows and blocks, and takes them apart.
//!
//! ```text
//!            ┌ SegmentEncoder::encode ──────────────────────────────┐
//! plaintext ─┤ salt ─ AES-256-CTR ─ pad ─ Reed-Solomon ─ block hash ├─▶ CodedSegment { row, blocks }
//!            └──────────────────────────────────────────────────────┘
//!            ┌ SegmentDecoder::decode ──────────────────────────────┐
//! plaintext ◀┤ AES-256-CTR ─ all k hashes good? ─ Reed-Solomon      ├── Row, k × VerifiedBlock
//!            └──────────────────────────────────────────────────────┘
//! ```
//!
//! - [`segment`]: one segment, pure and synchronous: the two machines above, and the repairer, who has no key
//! - [`block`]: verified bytes, a type that only a matching row makes
//! - [`pass`]: reads a whole [`source`] once, or what can be read only once, and feeds the lanes that carry its blocks to
//!   servers
//! - [`reproduce`]: whether a source is still what a version was made of
//! - [`spool`]: what came through a pipe, kept so that it can be read more than once
//! - [`erasure`], [`cipher`], [`pool`]: what they stand on
//! - [`workers`]: where it all runs
//! - [`cpu`]: whether this processor can run the coding library; ask before anything else here

pub mod block;
pub mod cipher;
pub mod cpu;
pub mod erasure;
pub mod pass;
pub mod pool;
pub mod reproduce;
pub mod segment;
pub mod source;
pub mod spool;
pub mod workers;

pub use block::VerifiedBlock;
pub use segment::{BlockRepairer, CodedSegment, DecodeError, SegmentDecoder, SegmentEncoder};
