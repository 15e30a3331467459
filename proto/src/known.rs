//! Signed statements that were verified lately. Every server of a file tells the same few headers and certificates in
//! every answer; each is verified once, and recognised afterwards. Does not decide what is believed: what is recognised
//! here is byte for byte what was verified.

use std::sync::Arc;

use bytes::Bytes;
use quick_cache::Weighter;
use quick_cache::sync::Cache;

use crate::convert::ConvertError;
use crate::hash::{Digest32, tagged};
use crate::header::SignedHeader;
use crate::ids::{SequenceNumber, StorageIndex, VersionId};
use crate::signing::{Certificate, Signature, VerifyKey};
use crate::wire;

/// What is remembered weighs at most so many bytes.
const BYTES_MAX: u64 = 2 << 20;
/// What remembering one statement weighs beside its bytes.
const ENTRY_BYTES: u64 = 512;

/// Remembers what it verified, in bounded memory. Forgets first whatever was not asked for in a long while.
#[derive(Debug)]
pub struct Known {
    recent: Cache<Digest32, Statement, ByBytes>,
}

#[derive(Debug, Clone)]
enum Statement {
    Header(SignedHeader),
    Certificate(Arc<Certificate>),
}

impl Default for Known {
    fn default() -> Self {
        let statements = usize::try_from(BYTES_MAX / ENTRY_BYTES).unwrap_or(usize::MAX);
        Self { recent: Cache::with_weighter(statements, BYTES_MAX, ByBytes) }
    }
}

impl Known {
    /// The signed header of this file that the message holds.
    ///
    /// # Errors
    ///
    /// When it is malformed, of another file, or not signed by the file's key.
    pub fn header(
        &self,
        storage_index: StorageIndex,
        message: &wire::SignedHeader,
    ) -> Result<SignedHeader, ConvertError> {
        let place = place_of_header(storage_index, message);
        if let Some(Statement::Header(header)) = self.recent.get(&place) {
            return Ok(header);
        }
        let verify_key = VerifyKey::parse(&message.verify_key)?;
        let signature = Signature::try_from(message.signature.as_ref())?;
        // Copied, so that what is remembered does not keep the whole message that it came in.
        let bytes = Bytes::copy_from_slice(&message.header);
        let header = SignedHeader::verify(storage_index, bytes, verify_key, signature)?;
        self.recent.insert(place, Statement::Header(header.clone()));
        Ok(header)
    }

    /// The certificate of this file that the message holds.
    ///
    /// # Errors
    ///
    /// When it is malformed, of another file, or not signed by the file's key.
    pub fn certificate(
        &self,
        storage_index: StorageIndex,
        message: &wire::Certificate,
    ) -> Result<Certificate, ConvertError> {
        let place = place_of_certificate(storage_index, message);
        if let Some(Statement::Certificate(certificate)) = self.recent.get(&place) {
            return Ok(*certificate);
        }
        let certificate = Certificate::verify(
            storage_index,
            SequenceNumber::try_from(message.sequence_number)?,
            VersionId::try_from(message.version_id.as_ref())?,
            VerifyKey::parse(&message.verify_key)?,
            Signature::try_from(message.signature.as_ref())?,
        )?;
        self.recent.insert(place, Statement::Certificate(Arc::new(certificate)));
        Ok(certificate)
    }
}

impl Known {
    /// Remembers a header that was signed or verified here: it will be told by others.
    pub fn note_header(&self, header: &SignedHeader) {
        let place = place_of_header(header.header().storage_index, &header.into());
        self.recent.insert(place, Statement::Header(header.clone()));
    }

    /// Remembers a certificate that was signed or verified here.
    pub fn note_certificate(&self, certificate: &Certificate) {
        let file = certificate.verify_key().storage_index();
        let place = place_of_certificate(file, &certificate.into());
        self.recent.insert(place, Statement::Certificate(Arc::new(*certificate)));
    }
}

fn place_of_header(file: StorageIndex, message: &wire::SignedHeader) -> Digest32 {
    let wire::SignedHeader { header, verify_key, signature } = message;
    tagged("known-header", &[file.as_bytes(), header, verify_key, signature])
}

fn place_of_certificate(file: StorageIndex, message: &wire::Certificate) -> Digest32 {
    let number = message.sequence_number.to_be_bytes();
    let wire::Certificate { version_id, verify_key, signature, .. } = message;
    tagged("known-certificate", &[file.as_bytes(), &number, version_id, verify_key, signature])
}

#[derive(Debug, Clone)]
struct ByBytes;

impl Weighter<Digest32, Statement> for ByBytes {
    fn weight(&self, _: &Digest32, statement: &Statement) -> u64 {
        match statement {
            // A header is held as the bytes that were signed and, read, as much again.
            Statement::Header(header) => ENTRY_BYTES + 2 * header.bytes().len() as u64,
            Statement::Certificate(_) => ENTRY_BYTES,
        }
    }
}

#[cfg(test)]
mod tests {
    use ed25519_dalek::SigningKey;

    use super::*;

    fn key() -> SigningKey {
        SigningKey::from_bytes(&[7; 32])
    }

    fn certificate(number: u64) -> wire::Certificate {
        let number = SequenceNumber::new(number).unwrap();
        (&Certificate::sign(&key(), number, VersionId::new([9; 32]))).into()
    }

    #[test]
    fn what_was_verified_is_recognised() {
        let (known, file) = (Known::default(), VerifyKey::of(&key()).storage_index());
        let first = known.certificate(file, &certificate(1)).unwrap();
        assert_eq!(known.certificate(file, &certificate(1)), Ok(first));
        assert_eq!(known.recent.len(), 1);
    }

    #[test]
    fn what_was_signed_here_is_recognised_when_others_tell_it() {
        let (known, file) = (Known::default(), VerifyKey::of(&key()).storage_index());
        let number = SequenceNumber::new(1).unwrap();
        let signed = Certificate::sign(&key(), number, VersionId::new([9; 32]));
        known.note_certificate(&signed);
        assert_eq!(known.certificate(file, &certificate(1)), Ok(signed));
        assert_eq!(known.recent.len(), 1);
    }

    #[test]
    fn what_differs_in_a_single_byte_is_verified_anew() {
        let (known, file) = (Known::default(), VerifyKey::of(&key()).storage_index());
        let good = certificate(1);
        known.certificate(file, &good).unwrap();
        let mut signature = good.signature.to_vec();
        signature[5] ^= 1;
        let forged = wire::Certificate { signature: signature.into(), ..good.clone() };
        let other_place = wire::Certificate { sequence_number: 2, ..good.clone() };
        for bad in [forged, other_place] {
            assert!(known.certificate(file, &bad).is_err());
        }
        assert!(known.certificate(StorageIndex::new([0; 32]), &good).is_err());
        assert_eq!(known.recent.len(), 1);
    }

    #[test]
    fn memory_is_bounded_and_what_is_asked_for_stays() {
        let (known, file) = (Known::default(), VerifyKey::of(&key()).storage_index());
        let most = BYTES_MAX / ENTRY_BYTES;
        let asked_for = known.certificate(file, &certificate(1)).unwrap();
        let place = |number: u64| tagged("known-certificate", &[&number.to_be_bytes()]);
        for number in 0..3 * most {
            known.recent.insert(place(number), Statement::Certificate(Arc::new(asked_for)));
            known.certificate(file, &certificate(1)).unwrap();
        }
        assert!(known.recent.len() as u64 <= most);
    }
}
