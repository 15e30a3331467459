//! Where hashing runs: small runs in place, large ones off the threads that serve connections.

/// Work that costs as much as hashing so many bytes is done in place; with more, handing it over costs less than
/// holding others up.
const IN_PLACE_COST_MAX: usize = 256 << 10;
/// What beginning and ending one hash costs, in bytes hashed.
const HASH_COST: usize = 64;

/// The runtime is going down; nothing came of the work.
#[derive(Debug, Clone, Copy, thiserror::Error)]
#[error("the server is stopping")]
pub(crate) struct Interrupted;

/// How much there is to hash.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Load {
    /// Bytes of all hashes together.
    pub(crate) bytes: usize,
    /// How many hashes.
    pub(crate) hashes: usize,
}

impl Load {
    const fn is_small(self) -> bool {
        let cost = self.bytes.saturating_add(self.hashes.saturating_mul(HASH_COST));
        cost < IN_PLACE_COST_MAX
    }
}

/// Runs work that hashes.
pub(crate) async fn hashed<T: Send + 'static>(
    load: Load,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, Interrupted> {
    if load.is_small() {
        return Ok(work());
    }
    tokio::task::spawn_blocking(work).await.map_err(|_| Interrupted)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_short_hashes_are_as_much_work_as_one_long_one() {
        assert!(Load { bytes: 64 << 10, hashes: 1 }.is_small());
        assert!(!Load { bytes: 256 << 10, hashes: 1 }.is_small());
        assert!(!Load { bytes: 4096, hashes: 4096 }.is_small());
    }
}
