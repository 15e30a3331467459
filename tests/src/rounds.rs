//! How often stories repeat what chance decides, and the chance itself.

use std::time::Duration;

use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

/// How many rounds: what `TARN_ROUNDS` says, else `default`.
pub fn rounds(default: u64) -> u64 {
    let said = std::env::var("TARN_ROUNDS").ok();
    said.map_or(default, |said| said.parse().unwrap())
}

/// A story's own chance, which is the same in every run: processes race enough.
pub fn rng(seed: u64) -> ChaCha8Rng {
    ChaCha8Rng::seed_from_u64(seed)
}

/// Lets this time pass: for a fault that is to come at a random moment. Never for something to happen first.
#[expect(clippy::disallowed_methods, reason = "the moment itself is what is wanted")]
pub fn let_pass(time: Duration) {
    std::thread::sleep(time);
}
