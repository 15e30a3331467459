//! Attempt ids: the name of one submission, by which a writer recognises its own versions. Does not remember them.

use std::time::Duration;

use rand::CryptoRng;
use tarn_proto::AttemptId;
use tarn_proto::hash::{Digest32, Tagged, derive};

use super::{WriteCap, first};

/// A new attempt id from fresh randomness, hedged with the clock: should a random number ever come again (a copied
/// virtual machine, a broken generator), the time since the epoch still keeps two submissions apart.
pub fn fresh_attempt_id(rng: &mut impl CryptoRng, since_epoch: Duration) -> AttemptId {
    let mut random = [0; 32];
    rng.fill_bytes(&mut random);
    let digest = Tagged::new("attempt-fresh")
        .part(&[&random, &since_epoch.as_nanos().to_be_bytes()])
        .finish();
    AttemptId::new(first(&digest))
}

impl WriteCap {
    /// The attempt id of a submission that carries an idempotency key: the same key and digest give the same id on
    /// any machine, so that a repeated submission is recognised wherever it arrives.
    ///
    /// `digest` is over (operation, offset, length, ticket, body). It has a fixed width and stands last, so keys of
    /// any length cannot run into it.
    pub fn attempt_id_for(&self, idempotency_key: &[u8], digest: &Digest32) -> AttemptId {
        let context = [idempotency_key, digest].concat();
        AttemptId::new(first(&derive(&self.0, "attempt", &context)))
    }
}
