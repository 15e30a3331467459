//! Where hashing runs: small runs in place, large ones off the threads that serve connections.

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
    const fn cost(self) -> usize {
        self.bytes.saturating_add(self.hashes.saturating_mul(HASH_COST))
    }
}

/// Runs work that hashes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Hashing {
    /// What costs less is done in place.
    pub(crate) in_place_max: usize,
}

impl Hashing {
    pub(crate) async fn run<T: Send + 'static>(
        self,
        load: Load,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Interrupted> {
        if load.cost() < self.in_place_max {
            return Ok(work());
        }
        tokio::task::spawn_blocking(work).await.map_err(|_| Interrupted)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn many_short_hashes_are_as_much_work_as_one_long_one() {
        let hashing = Hashing { in_place_max: 256 << 10 };
        let here = std::thread::current().id();
        for (bytes, hashes, in_place) in
            [(64 << 10, 1, true), (256 << 10, 1, false), (4096, 4096, false)]
        {
            let load = Load { bytes, hashes };
            let there = hashing.run(load, || std::thread::current().id()).await.unwrap();
            assert_eq!(there == here, in_place, "{load:?}");
        }
    }
}
