//! The contract both sides of tarn share: ids, the signed header, the table of block hashes, and the messages
//! that carry them.
//!
//! "Proto" means *wire* here: this crate holds no state machine, opens no socket and keeps no secret. It turns
//! untrusted bytes into types whose existence is the proof that they were checked:
//!
//! | bytes from outside | checked type | what the type proves |
//! |---|---|---|
//! | a cap's or header's key | [`VerifyKey`] | a point of the curve, not of small order |
//! | a signed header | [`SignedHeader`] | fields sane, signature good, key belongs to the storage index |
//! | a finalize statement | [`Certificate`] | signed by the file's key |
//! | rows of a table | [`Table`], [`Page`], [`Row`] | hash to the root that a signed header names |
//! | a slot's state | [`SlotState`] | every header and certificate in it is verified |
//!
//! # Layout
//!
//! - [`ids`]: the newtypes everything is named by
//! - [`hash`]: tagged hashing `T` and secret derivation `D`
//! - [`geometry`]: how a length is cut into segments and blocks
//! - [`header`]: the signed header of a version, [`window`]: the stores it names
//! - [`signing`]: keys and the statements that are signed
//! - [`table`] and [`merkle`]: rows, block hashes, roots and proofs; [`pages`]: 64 rows at a time; [`splice`]: the root of
//!   a table changed in part
//! - [`state`]: what a server says of a slot, verified
//! - [`gateway`]: the generated messages of a gateway's protocol, which only its own program reads
//! - [`wire`]: the generated messages, [`convert`]: the only place where they become the types above,
//!   [`known`]: what was verified lately

pub mod convert;
pub mod geometry;
pub mod hash;
pub mod header;
pub mod ids;
pub mod known;
pub mod merkle;
pub mod pages;
pub mod signing;
pub mod splice;
pub mod state;
pub mod table;
pub mod window;

pub use geometry::{Geometry, Shape};
pub use header::{Header, SignedHeader};
pub use ids::{
    AttemptId, ConversationId, SequenceNumber, ShareNumber, StorageIndex, StoreId, VersionId,
};
pub use pages::{Page, PageRoots};
pub use signing::{Certificate, Signature, VerifyKey};
pub use state::{Generation, HistoryEntry, HistoryQuery, Origin, Refusal, ShareHealth, SlotState};
pub use table::{Row, Table};
pub use window::Window;

/// The messages and service generated from `tarn/storage/v1/storage.proto`, which is the protocol's specification.
pub mod wire {
    #![allow(missing_docs, reason = "the .proto file carries the documentation")]
    #![allow(
        clippy::all,
        clippy::pedantic,
        unreachable_pub,
        elided_lifetimes_in_paths,
        reason = "generated code"
    )]
    #![allow(unused_qualifications, reason = "generated code")]
    tonic::include_proto!("tarn.storage.v1");

    /// The service's descriptors, for gRPC reflection.
    pub const DESCRIPTOR_SET: &[u8] =
        include_bytes!(concat!(env!("OUT_DIR"), "/storage_descriptor.bin"));
}

/// The messages and service generated from `tarn/gateway/v1/gateway.proto`, which is the gateway protocol's specification.
pub mod gateway {
    #![allow(missing_docs, reason = "the .proto file carries the documentation")]
    #![allow(
        clippy::all,
        clippy::pedantic,
        unreachable_pub,
        elided_lifetimes_in_paths,
        reason = "generated code"
    )]
    #![allow(unused_qualifications, reason = "generated code")]
    tonic::include_proto!("tarn.gateway.v1");

    /// The service's descriptors, for gRPC reflection.
    pub const DESCRIPTOR_SET: &[u8] =
        include_bytes!(concat!(env!("OUT_DIR"), "/gateway_descriptor.bin"));
}
