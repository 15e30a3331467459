//! The cipher of a segment and the salt that its key comes from. Does not authenticate: the table's hashes do.

use aes::Aes256;
use ctr::Ctr128BE;
use ctr::cipher::{KeyIvInit, StreamCipher};
use tarn_proto::table::SALT_LENGTH;
use tarn_proto::{AttemptId, SequenceNumber};

/// Encrypts or decrypts a segment in place: AES-256-CTR, the counter from zero. A key serves one segment of one
/// content only, as it comes from that segment's salt.
pub fn apply(key: &[u8; 32], segment: &mut [u8]) {
    Ctr128BE::<Aes256>::new(key.into(), &[0; 16].into()).apply_keystream(segment);
}

/// The salt of one segment: BLAKE3 keyed with the file's salt key over attempt id ‖ sequence number ‖ segment ‖
/// plaintext. Equal salts imply equal plaintext, so no retry and no repeated random number makes a two-time pad.
pub fn salt(
    salt_key: &[u8; 32],
    attempt: AttemptId,
    sequence_number: SequenceNumber,
    segment: u32,
    plaintext: &[u8],
) -> [u8; SALT_LENGTH] {
    let mut hasher = blake3::Hasher::new_keyed(salt_key);
    hasher.update(attempt.as_bytes());
    hasher.update(&sequence_number.get().to_be_bytes());
    hasher.update(&segment.to_be_bytes());
    hasher.update(plaintext);
    *hasher.finalize().as_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_counter_starts_at_zero_and_counts_big_endian() {
        // AES-256 of the all-zero block and of the block 00…01 under the all-zero key (NIST's known answers).
        let mut stream = [0; 32];
        apply(&[0; 32], &mut stream);
        assert_eq!(hex::encode(&stream[..16]), "dc95c078a2408989ad48a21492842087");
        assert_eq!(hex::encode(&stream[16..]), "530f8afbc74536b9a963b4f1c4cb738b");
    }

    #[test]
    fn every_part_of_a_salt_counts() {
        let first = SequenceNumber::FIRST;
        let second = first.next().unwrap();
        let [a, b] = [AttemptId::new([1; 16]), AttemptId::new([2; 16])];
        let salts = [
            salt(&[0; 32], a, first, 0, b"x"),
            salt(&[1; 32], a, first, 0, b"x"),
            salt(&[0; 32], b, first, 0, b"x"),
            salt(&[0; 32], a, second, 0, b"x"),
            salt(&[0; 32], a, first, 1, b"x"),
            salt(&[0; 32], a, first, 0, b"y"),
        ];
        let distinct: std::collections::BTreeSet<_> = salts.iter().collect();
        assert_eq!(distinct.len(), salts.len());
        assert_eq!(salts[0], salt(&[0; 32], a, first, 0, b"x"));
    }
}
