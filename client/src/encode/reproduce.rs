//! Whether a source is still what a version was made of. Encrypting and coding are functions of the plaintext, the
//! file's key and the header, so the same plaintext gives the same table, and nothing else does.

use std::sync::Arc;

use tarn_proto::{Header, merkle};

use super::pass::{Pass, PassError, Reading};
use super::segment::SegmentEncoder;
use super::source::Source;
use super::workers::Workers;
use crate::caps::ReadCap;

/// Reads the source once, and says whether a version with this header is made of it. Costs what encoding costs.
///
/// # Errors
///
/// When the source cannot be read, or changes meanwhile.
pub async fn reproduces(
    cap: &ReadCap,
    header: &Header,
    source: &Source,
    workers: Workers,
) -> Result<bool, PassError> {
    if source.length() != header.geometry.length() || cap.key_check() != header.key_check {
        return Ok(false);
    }
    let encoder = SegmentEncoder::new(cap, header.geometry, header.attempt, header.sequence_number);
    let pass = Pass {
        source: source.clone(),
        segments: 0..header.geometry.segments(),
        encoder: Arc::new(encoder),
        reading: Reading::First,
        workers,
    };
    let leaves = pass.run(Vec::new(), |_| {}).await?;
    Ok(merkle::root(&leaves) == header.table_root)
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use tarn_proto::{AttemptId, Geometry, SequenceNumber, Shape, StoreId, Window};
    use zeroize::Zeroizing;

    use super::*;
    use crate::caps::WriteCap;

    #[tokio::test]
    async fn only_the_same_bytes_under_the_same_header_reproduce_it() {
        let write_cap = WriteCap::from_secret(Zeroizing::new([7; 32]));
        let cap = write_cap.read_cap();
        let content = Source::Bytes(Bytes::from(vec![3; 300_000]));
        let shape = Shape::new(2, 2, 3).unwrap();
        let mut header = Header {
            tombstone: false,
            storage_index: write_cap.verify_cap().storage_index(),
            sequence_number: SequenceNumber::FIRST,
            predecessor: None,
            shape,
            geometry: Geometry::choose(shape, content.length()).unwrap(),
            table_root: [0; 32],
            attempt: AttemptId::new([1; 16]),
            key_check: cap.key_check(),
            window: Window::new(vec![StoreId::new([1; 16])]).unwrap(),
            joint: None,
        };
        let encoder =
            SegmentEncoder::new(&cap, header.geometry, header.attempt, header.sequence_number);
        let pass = Pass {
            source: content.clone(),
            segments: 0..header.geometry.segments(),
            encoder: Arc::new(encoder),
            reading: Reading::First,
            workers: Workers::InPlace,
        };
        header.table_root = merkle::root(&pass.run(Vec::new(), |_| {}).await.unwrap());

        let is = async |header: &Header, source: &Source| {
            reproduces(&cap, header, source, Workers::InPlace).await.unwrap()
        };
        assert!(is(&header, &content).await);
        let mut other = vec![3; 300_000];
        other[299_999] = 4;
        assert!(!is(&header, &Source::Bytes(other.into())).await);
        assert!(!is(&header, &Source::Bytes(Bytes::from(vec![3; 299_999]))).await);
        header.attempt = AttemptId::new([2; 16]);
        assert!(!is(&header, &content).await);
    }
}
