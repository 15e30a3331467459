//! Tagged hashing: `T` for public data, `D` for secrets. Every hash in tarn names what it is a hash of, and frames
//! its parts, so that no two different meanings can share an input.

use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

/// A SHA-256 digest.
pub type Digest32 = [u8; 32];

/// `T(tag, parts…)`: SHA-256(frame("tarn/v1/" + tag) ‖ frame(part)…), where frame(x) = u32 length ‖ x.
///
/// `‖` *inside* a part is plain concatenation of fixed-width fields: see [`Tagged`] to feed a part in pieces.
pub fn tagged(tag: &str, parts: &[&[u8]]) -> Digest32 {
    parts.iter().fold(Tagged::new(tag), |hash, part| hash.part(&[part])).finish()
}

/// `T` fed piece by piece, for parts that are concatenations.
#[derive(Clone)]
pub struct Tagged(Sha256);

impl Tagged {
    /// Starts the hash of what `tag` names.
    pub fn new(tag: &str) -> Self {
        let mut hash = Sha256::new();
        hash.update(frame_length(PREFIX.len() + tag.len()));
        hash.update(PREFIX);
        hash.update(tag);
        Self(hash)
    }

    /// Adds one part, the concatenation of `pieces`.
    #[must_use]
    pub fn part(mut self, pieces: &[&[u8]]) -> Self {
        self.0.update(frame_length(pieces.iter().map(|piece| piece.len()).sum()));
        for piece in pieces {
            self.0.update(piece);
        }
        self
    }

    /// The digest.
    pub fn finish(self) -> Digest32 {
        self.0.finalize().into()
    }
}

/// `D(secret, tag, ctx)`: HMAC-SHA-256(secret, frame("tarn/v1/" + tag) ‖ frame(ctx)).
pub fn derive(secret: &[u8; 32], tag: &str, context: &[u8]) -> Zeroizing<[u8; 32]> {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret).expect("HMAC takes keys of any length");
    mac.update(&frame_length(PREFIX.len() + tag.len()));
    mac.update(PREFIX.as_bytes());
    mac.update(tag.as_bytes());
    mac.update(&frame_length(context.len()));
    mac.update(context);
    Zeroizing::new(mac.finalize().into_bytes().into())
}

const PREFIX: &str = "tarn/v1/";

/// The length prefix of a frame. Nothing tarn hashes in one part comes near 4 GiB: a block is at most 4 MiB, a
/// header a few KiB, a row 8 KiB.
fn frame_length(length: usize) -> [u8; 4] {
    u32::try_from(length).expect("parts are far below 4 GiB").to_be_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn framing_keeps_parts_apart() {
        assert_ne!(tagged("x", &[b"ab", b"c"]), tagged("x", &[b"a", b"bc"]));
        assert_ne!(tagged("x", &[b"ab"]), tagged("xa", &[b"b"]));
        assert_eq!(tagged("x", &[b"abc"]), Tagged::new("x").part(&[b"a", b"bc"]).finish());
    }

    #[test]
    fn matches_the_definition_spelled_out() {
        let mut input = Vec::new();
        input.extend_from_slice(&9_u32.to_be_bytes());
        input.extend_from_slice(b"tarn/v1/t");
        input.extend_from_slice(&2_u32.to_be_bytes());
        input.extend_from_slice(b"hi");
        let expected: Digest32 = Sha256::digest(&input).into();
        assert_eq!(tagged("t", &[b"hi"]), expected);
    }
}
