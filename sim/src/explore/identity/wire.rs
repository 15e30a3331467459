//! What is stored and what travels, written down for an identity: versions by their ids, content not at all.

use std::fmt::Write as _;

use tarn_proto::state::{Expected, Tests};
use tarn_proto::{Origin, ShareHealth, SignedHeader, SlotState, VersionId};
use tarn_server::manifest::Manifest;

use super::Identity;
use crate::world::{Reply, Request};

pub(super) fn write_manifest(manifest: &Manifest, out: &mut Writer) {
    out.option(manifest.sealed.map(tarn_proto::SequenceNumber::get));
    out.version(manifest.floor.as_ref().map(SignedHeader::version));
    for held in &manifest.generations {
        out.byte(b'g').version(Some(held.header.version()));
        match held.origin {
            Origin::Committed(stream) => out.byte(b'c').bytes(stream.as_bytes()),
            Origin::Brought => out.byte(b'b'),
        };
        for (share, stored) in &held.shares {
            out.byte(share.get()).byte(u8::from(stored.health == ShareHealth::Whole));
        }
    }
    for certificate in &manifest.certificates {
        out.byte(b'z').version(Some(certificate.version()));
    }
    write_ancestors(&manifest.ancestors, out);
    for record in manifest.history.iter() {
        out.byte(b'h').version(Some(record.entry.version));
    }
}

pub(super) fn write_request(request: &Request, out: &mut Writer) {
    match request {
        Request::Query { history, conversation } => {
            out.byte(0);
            if let Some(since) = history.and_then(|asked| asked.since) {
                out.number(since.get());
            }
            if let Some(stream) = conversation {
                out.bytes(stream.as_bytes());
            }
        }
        Request::Seal { conversation, shares, tests, base, made, finalize, ancestors } => {
            out.byte(1).bytes(conversation.as_bytes()).version(Some(made.version()));
            for share in shares {
                out.byte(share.get());
            }
            write_tests(tests, out);
            if base.is_some() {
                out.version(*base);
            }
            out.version(finalize.map(|certificate| certificate.version()));
            write_ancestors(ancestors, out);
        }
        Request::Extend { conversation } => {
            out.byte(2).bytes(conversation.as_bytes());
        }
        Request::Commit { conversation, header } => {
            out.byte(3).bytes(conversation.as_bytes()).version(Some(header.version()));
        }
        Request::Bring { made, shares, certificate, ancestors } => {
            out.byte(4).version(Some(made.version()));
            for share in shares {
                out.byte(share.get());
            }
            out.byte(u8::from(certificate.is_some()));
            write_ancestors(ancestors, out);
        }
        Request::Finalize { certificate } => {
            out.byte(5).version(Some(certificate.version()));
        }
        Request::End { conversation } => {
            out.byte(6).bytes(conversation.as_bytes());
        }
        Request::ReadRows { version, segments } => {
            out.byte(7).version(Some(*version));
            let _ = write!(out, "{segments:?}");
        }
        Request::ReadBlocks { run, version, share, segments } => {
            out.byte(8).version(Some(*version)).byte(share.get());
            let _ = write!(out, "{run:?}{segments:?}");
        }
    }
}

pub(super) fn write_reply(reply: &Reply, out: &mut Writer) {
    match reply {
        Reply::State(state) => write_state(state, out.byte(0)),
        Reply::Sealed { state, .. } => write_state(state, out.byte(1)),
        Reply::Refused { refusal, state } => {
            let _ = write!(out.byte(2), "{refusal:?}");
            if let Some(state) = state {
                write_state(state, out);
            }
        }
        Reply::Extended { .. }
        | Reply::Written
        | Reply::Rows
        | Reply::NoShare
        | Reply::Dead(_)
        | Reply::Forged(_)
        | Reply::Blocks(_) => {
            let _ = write!(out.byte(3), "{reply:?}");
        }
    }
}

fn write_state(state: &SlotState, out: &mut Writer) {
    out.version(state.floor.as_ref().map(SignedHeader::version));
    for held in &state.generations {
        out.byte(b'g').version(Some(held.header.version()));
        let _ = write!(out, "{:?}{:?}", held.origin, held.shares);
    }
    for certificate in &state.certificates {
        out.byte(b'z').version(Some(certificate.version()));
    }
    write_ancestors(&state.ancestors, out);
    for entry in &state.history {
        out.byte(b'h').version(Some(entry.version));
    }
    let _ = write!(out, "{:?}{}", state.conversation, state.promised_ms.is_some());
}

fn write_ancestors(ancestors: &[SignedHeader], out: &mut Writer) {
    for header in ancestors {
        out.byte(b'u').version(Some(header.version()));
    }
}

/// Tells the tests of one Seal from those of another.
pub(in crate::explore) fn tests_digest(tests: &Tests) -> Identity {
    let mut out = Writer(Vec::new());
    write_tests(tests, &mut out);
    Identity::of(&out.0)
}

fn write_tests(tests: &Tests, out: &mut Writer) {
    for (share, expected) in &tests.shares {
        out.byte(share.get());
        match expected {
            Expected::Absent => out.byte(b'-'),
            Expected::Damaged => out.byte(b'!'),
            Expected::Version(version) => out.version(Some(*version)),
        };
    }
    out.byte(u8::from(tests.no_others));
}

/// Collects what is hashed.
pub(super) struct Writer(pub(super) Vec<u8>);

impl Writer {
    pub(super) fn byte(&mut self, byte: u8) -> &mut Self {
        self.0.push(byte);
        self
    }

    pub(super) fn bytes(&mut self, bytes: &[u8]) -> &mut Self {
        self.0.extend_from_slice(bytes);
        self
    }

    pub(super) fn number(&mut self, number: u64) -> &mut Self {
        self.bytes(&number.to_be_bytes())
    }

    pub(super) fn option(&mut self, number: Option<impl Into<u64>>) -> &mut Self {
        match number {
            Some(number) => self.byte(1).number(number.into()),
            None => self.byte(0),
        }
    }

    /// Sixteen bytes of an id tell versions apart as well as the identity tells states apart.
    pub(super) fn version(&mut self, version: Option<VersionId>) -> &mut Self {
        match version {
            Some(version) => self.byte(b'v').bytes(&version.as_bytes()[..16]),
            None => self.byte(b'-'),
        }
    }
}

impl std::fmt::Write for Writer {
    fn write_str(&mut self, text: &str) -> std::fmt::Result {
        self.0.extend_from_slice(text.as_bytes());
        Ok(())
    }
}
