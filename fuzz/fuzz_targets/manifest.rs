//! Any rows of a server's database are checked; what is accepted as a manifest becomes the same rows again. Headers
//! and certificates are now and then really signed, so that the checks behind the signature are reached.
#![no_main]

use bytes::Bytes;
use ed25519_dalek::SigningKey;
use libfuzzer_sys::arbitrary::{Result, Unstructured};
use libfuzzer_sys::fuzz_target;
use tarn_proto::{
    AttemptId, Certificate, Geometry, Header, SequenceNumber, Shape, SignedHeader, StorageIndex,
    StoreId, VerifyKey, Window,
};
use tarn_server::store::local::rows::{
    CertificateRow, ExtentRow, GenerationRow, HeaderRow, HistoryRow, ManifestRows, ShareRow,
};

fuzz_target!(|data: &[u8]| {
    let key = SigningKey::from_bytes(&[7; 32]);
    let slot = VerifyKey::of(&key).storage_index();
    let Ok(rows) = rows(&mut Unstructured::new(data), &key, slot) else {
        return;
    };
    if let Ok(manifest) = rows.parse(slot) {
        let again = ManifestRows::of(slot, &manifest).expect("an accepted manifest has rows");
        assert_eq!(again.parse(slot), Ok(manifest));
    }
});

fn rows(from: &mut Unstructured<'_>, key: &SigningKey, slot: StorageIndex) -> Result<ManifestRows> {
    let mut rows = ManifestRows::default();
    if from.arbitrary()? {
        rows.floor = Some(header(from, key, slot)?);
    }
    rows.sealed = from.arbitrary()?;
    for _ in 0..from.int_in_range(0..=3)? {
        let mut generation = GenerationRow {
            header: header(from, key, slot)?,
            conversation: from.arbitrary::<Option<Vec<u8>>>()?.map(Bytes::from),
            shares: Vec::new(),
            extents: Vec::new(),
            page_roots: from.arbitrary::<Vec<u8>>()?.into(),
        };
        for _ in 0..from.int_in_range(0..=4)? {
            generation.shares.push(ShareRow { share: small(from)?, health: small(from)? });
        }
        for _ in 0..from.int_in_range(0..=6)? {
            generation.extents.push(extent(from)?);
        }
        rows.generations.push(generation);
    }
    for _ in 0..from.int_in_range(0..=3)? {
        rows.certificates.push(certificate(from, key)?);
    }
    for _ in 0..from.int_in_range(0..=3)? {
        rows.ancestors.push(header(from, key, slot)?);
    }
    for _ in 0..from.int_in_range(0..=3)? {
        rows.history.push(HistoryRow {
            attempt: bytes(from, 16)?,
            version: bytes(from, 32)?,
            predecessor: if from.arbitrary()? { Some(bytes(from, 32)?) } else { None },
            sequence_number: from.arbitrary()?,
            committed_at: from.arbitrary()?,
        });
    }
    Ok(rows)
}

fn header(from: &mut Unstructured<'_>, key: &SigningKey, slot: StorageIndex) -> Result<HeaderRow> {
    if from.ratio(1, 4)? {
        return Ok(HeaderRow {
            header: bytes(from, 200)?,
            verify_key: bytes(from, 32)?,
            signature: bytes(from, 64)?,
        });
    }
    let n = from.int_in_range(1..=6_u32)?;
    let shape = Shape::new(from.int_in_range(1..=n)?, 1, n).expect("k is at most n");
    let length = from.int_in_range(0..=100)?;
    let header = Header {
        tombstone: false,
        storage_index: slot,
        sequence_number: SequenceNumber::new(from.int_in_range(1..=9)?).expect("in range"),
        predecessor: None,
        shape,
        geometry: Geometry::choose(shape, length).expect("short"),
        table_root: if length == 0 { tarn_proto::merkle::empty_root() } else { [1; 32] },
        attempt: AttemptId::new([2; 16]),
        key_check: [3; 16],
        window: Window::new(vec![StoreId::new([4; 16])]).expect("one store"),
        joint: None,
    };
    let signed = SignedHeader::sign(key, header);
    Ok(HeaderRow {
        header: signed.bytes().clone(),
        verify_key: Bytes::copy_from_slice(signed.verify_key().as_bytes()),
        signature: Bytes::copy_from_slice(signed.signature().as_bytes()),
    })
}

fn certificate(from: &mut Unstructured<'_>, key: &SigningKey) -> Result<CertificateRow> {
    let number = SequenceNumber::new(from.int_in_range(1..=9)?).expect("in range");
    let version = tarn_proto::VersionId::new(from.arbitrary()?);
    let signed = Certificate::sign(key, number, version);
    let forged = from.ratio(1, 4)?;
    Ok(CertificateRow {
        sequence_number: if forged { from.arbitrary()? } else { number.get().cast_signed() },
        version: Bytes::copy_from_slice(version.as_bytes()),
        verify_key: Bytes::copy_from_slice(signed.verify_key().as_bytes()),
        signature: Bytes::copy_from_slice(signed.signature().as_bytes()),
    })
}

fn extent(from: &mut Unstructured<'_>) -> Result<ExtentRow> {
    let mut extent = ExtentRow {
        share: small(from)?,
        chunk: None,
        start: None,
        length: None,
        inline: None,
    };
    if from.arbitrary()? {
        extent.inline = Some(from.arbitrary::<Vec<u8>>()?.into());
    }
    if from.arbitrary()? {
        extent.chunk = Some(bytes(from, 16)?);
        (extent.start, extent.length) = (Some(from.arbitrary()?), Some(small(from)?));
    }
    Ok(extent)
}

/// A number near those that mean something, or any.
fn small(from: &mut Unstructured<'_>) -> Result<i64> {
    if from.ratio(1, 8)? { from.arbitrary() } else { from.int_in_range(-1..=6) }
}

/// So many bytes, or now and then another number of them.
fn bytes(from: &mut Unstructured<'_>, count: usize) -> Result<Bytes> {
    let count = if from.ratio(1, 8)? { from.int_in_range(0..=2 * count)? } else { count };
    Ok(Bytes::copy_from_slice(from.bytes(count)?))
}
