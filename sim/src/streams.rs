//! Child random streams: every subsystem draws from its own, so that one more draw in one shifts no other.

use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use sha2::{Digest, Sha256};

/// The stream of the subsystem of this name, and of this number among its like.
pub(crate) fn stream(seed: u64, subsystem: &str, number: u64) -> ChaCha8Rng {
    let digest = Sha256::new()
        .chain_update(seed.to_be_bytes())
        .chain_update(number.to_be_bytes())
        .chain_update(subsystem)
        .finalize();
    ChaCha8Rng::from_seed(digest.into())
}

#[cfg(test)]
mod tests {
    use rand::RngExt;

    use super::*;

    #[test]
    fn a_stream_depends_on_seed_name_and_number_and_on_nothing_else() {
        let draw = |seed, name, number| stream(seed, name, number).random::<u64>();
        assert_eq!(draw(1, "a", 1), draw(1, "a", 1));
        assert_ne!(draw(1, "a", 1), draw(2, "a", 1));
        assert_ne!(draw(1, "a", 1), draw(1, "b", 1));
        assert_ne!(draw(1, "a", 1), draw(1, "a", 2));
    }
}
