//! Where hashing runs: small runs in place, large ones off the threads that serve connections.

/// Work on so many bytes is done in place; on more, handing it over costs less than holding others up.
const IN_PLACE_BYTES_MAX: usize = 256 << 10;

/// The runtime is going down; nothing came of the work.
#[derive(Debug, Clone, Copy, thiserror::Error)]
#[error("the server is stopping")]
pub(crate) struct Interrupted;

/// Runs work that reads `bytes` bytes.
pub(crate) async fn hashed<T: Send + 'static>(
    bytes: usize,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, Interrupted> {
    if bytes < IN_PLACE_BYTES_MAX {
        return Ok(work());
    }
    tokio::task::spawn_blocking(work).await.map_err(|_| Interrupted)
}
