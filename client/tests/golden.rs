//! Recomputes every line of `proto/vectors/v1.txt` and compares the exact text, so that no change of format passes
//! unnoticed. If one is meant, `TARN_REWRITE_VECTORS=1 cargo test -p tarn-client --test golden` writes the file anew
//! and fails once, so that it cannot be left on; look at the difference, and raise the format number.

#![allow(clippy::unwrap_used, reason = "a test may end at the first surprise")]

use std::fmt::{Display, Write};
use std::path::PathBuf;

use tarn_client::caps::{ReadCap, WriteCap};
use tarn_client::encode::{CodedSegment, SegmentEncoder};
use tarn_proto::hash::{derive, tagged};
use tarn_proto::signing::Statement;
use tarn_proto::{
    AttemptId, Certificate, Geometry, Header, SequenceNumber, Shape, SignedHeader, StoreId, Table,
    VersionId, Window, merkle,
};
use zeroize::Zeroizing;

const REWRITE: &str = "TARN_REWRITE_VECTORS";

#[test]
fn the_format_is_exactly_what_the_vectors_say() {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../proto/vectors/v1.txt");
    let now = vectors();
    if std::env::var_os(REWRITE).is_some() {
        std::fs::write(&path, now).unwrap();
        panic!("the vectors were written anew; unset {REWRITE} and run again");
    }
    let then = std::fs::read_to_string(&path).unwrap();
    for (number, (then, now)) in then.lines().zip(now.lines()).enumerate() {
        assert_eq!(now, then, "line {} of v1.txt", number + 1);
    }
    assert_eq!(now.len(), then.len(), "v1.txt has lines too many or too few");
}

/// One version whose every byte is fixed.
struct Case {
    name: &'static str,
    shape: (u32, u32, u32),
    /// The default choice where none is given.
    block_size: Option<u32>,
    length: u64,
    tombstone: bool,
    predecessor: Option<VersionId>,
    joint: bool,
}

impl Case {
    const fn new(name: &'static str, shape: (u32, u32, u32), length: u64) -> Self {
        Self {
            name,
            shape,
            block_size: None,
            length,
            tombstone: false,
            predecessor: None,
            joint: false,
        }
    }
}

fn cases() -> Vec<Case> {
    let predecessor = Some(VersionId::new([0xAA; 32]));
    vec![
        Case::new("an empty file", (3, 7, 10), 0),
        Case { tombstone: true, predecessor, ..Case::new("a tombstone", (3, 7, 10), 0) },
        Case::new("one byte", (3, 7, 10), 1),
        Case::new("the default shape", (3, 7, 10), 1000),
        Case {
            block_size: Some(16),
            predecessor,
            ..Case::new("several segments, the last one short", (3, 7, 10), 2 * 48 + 4)
        },
        Case {
            block_size: Some(16),
            joint: true,
            ..Case::new("a file on the move", (2, 2, 3), 32)
        },
        Case::new("the default block size", (3, 7, 10), 200_000),
        Case { block_size: Some(16), ..Case::new("k = 1", (1, 2, 3), 17) },
        Case { block_size: Some(16), ..Case::new("k = n", (5, 5, 5), 81) },
        Case::new("k = n = 1", (1, 1, 1), 5),
        Case::new("16 of 20", (16, 18, 20), 500),
        Case::new("254 of 255", (254, 255, 255), 1000),
    ]
}

const INTRODUCTION: &str = "\
# Test vectors of tarn's format 1, suite 1. Another implementation can test itself against this file.
#
# Every line is `name = value`; lists have a line for each element. Bytes are in hexadecimal, numbers in decimal, caps
# are text. T, D, frame and all fields are as in ARCHITECTURE.md, \"Keys and capabilities\" and \"A version, a share\".
#
# Fixed inputs of all versions: the write secret below; the data, whose byte i is i mod 251; the window, which is the
# stores below in their order. Only \"a file on the move\" has a joint window, of the one store ee..ee (16 bytes). Versions
# of sequence number 2 have the predecessor aa..aa (32 bytes), the others none. `shape` is k, happy, n.
#
# Of lists longer than ten (segments, shares) the first two and the last two are shown; the table root covers all.
# `block.J.I.begin` are the first bytes, at most 32, of share I's block in segment J. `segment_key.J` is the AES key.
# `proof.J` is the Merkle proof of the last row, from the leaf up. `prepare` and `discard` are for the first store of
# the window; `discard` drops the version ids 11..11 and 22..22 (32 bytes each).
";

fn vectors() -> String {
    let mut text = Lines(INTRODUCTION.to_owned());
    let cap = WriteCap::from_secret(Zeroizing::new(secret()));
    write_keys(&mut text, &cap);
    for case in cases() {
        write_version(&mut text, &cap, &case);
    }
    text.0
}

fn write_keys(text: &mut Lines, cap: &WriteCap) {
    let (read, verify) = (cap.read_cap(), cap.verify_cap());
    text.section("hashing");
    text.bytes("T(\"tag\", \"one\", \"two\")", tagged("tag", &[b"one", b"two"]));
    text.bytes("D(W, \"tag\", \"context\")", *derive(&secret(), "tag", b"context"));
    text.section("keys");
    text.bytes("write_secret", secret());
    text.line("write_cap", &*cap.to_text());
    text.line("read_cap", &*read.to_text());
    text.line("verify_cap", &*verify.to_text());
    text.bytes("signing_seed", cap.signing_key().to_bytes());
    text.bytes("verify_key", verify.verify_key().as_bytes());
    text.bytes("read_key", *derive(&secret(), "read", &[]));
    text.bytes("salt_key", *read.salt_key());
    text.bytes("key_check", read.key_check());
    text.line("storage_index", verify.storage_index());
    let keyed = cap.attempt_id_for(b"idempotency key", &[0x55; 32]);
    text.line("attempt_id for \"idempotency key\" and digest 55..55", keyed);
    for (i, store) in window().stores().iter().enumerate() {
        text.line(&format!("store.{i}"), store);
    }
}

fn write_version(text: &mut Lines, cap: &WriteCap, case: &Case) {
    let read = cap.read_cap();
    let (k, happy, n) = case.shape;
    let shape = Shape::new(k, happy, n).unwrap();
    let geometry = case
        .block_size
        .map_or_else(
            || Geometry::choose(shape, case.length),
            |size| Geometry::new(shape, size, case.length),
        )
        .unwrap();
    let attempt = AttemptId::new([0x77; 16]);
    let sequence_number =
        SequenceNumber::new(if case.predecessor.is_some() { 2 } else { 1 }).unwrap();
    let coded = encode(&SegmentEncoder::new(&read, geometry, attempt, sequence_number));
    let table = Table::from_rows(geometry.n(), coded.iter().map(|coded| coded.row.clone()));
    let header = Header {
        tombstone: case.tombstone,
        storage_index: cap.verify_cap().storage_index(),
        sequence_number,
        predecessor: case.predecessor,
        shape,
        geometry,
        table_root: table.root(),
        attempt,
        key_check: read.key_check(),
        window: window(),
        joint: case.joint.then(|| Window::new(vec![StoreId::new([0xEE; 16])]).unwrap()),
    };

    text.section(&format!("version: {}", case.name));
    text.line("shape", format!("{k} {happy} {n}"));
    text.line("length", case.length);
    text.line("block_size", geometry.block_size());
    text.line("segments", geometry.segments());
    text.line("tombstone", case.tombstone);
    text.line("seqnum", sequence_number);
    text.line("attempt_id", attempt);
    write_segments(text, &read, &coded);
    text.bytes("table_root", table.root());
    if let Some(last) = coded.last() {
        for sibling in merkle::proof(&table.leaves(), last.segment as usize).unwrap() {
            text.bytes(&format!("proof.{}", last.segment), sibling);
        }
    }
    write_statements(text, cap, header);
}

fn write_segments(text: &mut Lines, read: &ReadCap, coded: &[CodedSegment]) {
    for coded in ends(coded) {
        let segment = coded.segment;
        text.bytes(&format!("salt.{segment}"), coded.row.salt());
        text.bytes(&format!("segment_key.{segment}"), *read.segment_key(coded.row.salt()));
        let hashes: Vec<_> = coded.row.bytes()[32..].chunks(32).enumerate().collect();
        for (share, hash) in ends(&hashes) {
            text.bytes(&format!("hash.{segment}.{share}"), hash);
        }
        let blocks: Vec<_> = coded.blocks.iter().enumerate().collect();
        for (share, block) in ends(&blocks) {
            let begin = &block[..block.len().min(32)];
            text.bytes(&format!("block.{segment}.{share}.begin"), begin);
        }
    }
}

fn write_statements(text: &mut Lines, cap: &WriteCap, header: Header) {
    let key = cap.signing_key();
    let (storage_index, sequence_number) = (header.storage_index, header.sequence_number);
    let store = header.window.stores()[0];
    let signed = SignedHeader::sign(&key, header);
    let (version, header) = (signed.version(), signed.bytes());
    text.bytes("header", header);
    text.line("version_id", version);
    text.bytes("header_signature", signed.signature().as_bytes());
    let prepare = Statement::Prepare { store, header }.sign(&key);
    text.bytes("prepare_signature", prepare.as_bytes());
    let finalize = Certificate::sign(&key, sequence_number, version).signature();
    text.bytes("finalize_signature", finalize.as_bytes());
    let discard = Statement::Discard {
        storage_index,
        store,
        sealed: version,
        dropped: &[VersionId::new([0x11; 32]), VersionId::new([0x22; 32])],
    };
    text.bytes("discard_signature", discard.sign(&key).as_bytes());
}

fn encode(encoder: &SegmentEncoder) -> Vec<CodedSegment> {
    let cut = encoder.geometry();
    let data: Vec<u8> = (0..=250).cycle().take(usize::try_from(cut.length()).unwrap()).collect();
    let mut rest = data.as_slice();
    (0..cut.segments())
        .map(|segment| {
            let (plaintext, after) = rest.split_at(cut.segment_length(segment));
            rest = after;
            encoder.encode(segment, plaintext)
        })
        .collect()
}

/// All of a short list; the first and last two of a long one.
fn ends<T>(list: &[T]) -> impl Iterator<Item = &T> {
    let last = list.len().saturating_sub(2);
    let short = list.len() <= 10;
    list.iter()
        .enumerate()
        .filter(move |(i, _)| short || *i < 2 || *i >= last)
        .map(|(_, element)| element)
}

fn secret() -> [u8; 32] {
    std::array::from_fn(|i| u8::try_from(i).unwrap())
}

fn window() -> Window {
    Window::new((0xA0..0xAA).map(|byte| StoreId::new([byte; 16])).collect()).unwrap()
}

/// Text that grows by `name = value` lines.
struct Lines(String);

impl Lines {
    fn section(&mut self, name: &str) {
        writeln!(self.0, "\n[{name}]").unwrap();
    }

    fn line(&mut self, name: &str, value: impl Display) {
        writeln!(self.0, "{name} = {value}").unwrap();
    }

    fn bytes(&mut self, name: &str, value: impl AsRef<[u8]>) {
        self.line(name, hex::encode(value));
    }
}
