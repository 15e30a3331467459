//! Where work runs that computes or blocks for long. Does not limit how much is begun: whoever begins it does.

use futures::future::{Either, ready};
use tokio::task::{JoinError, spawn_blocking};

/// Where coding, reading of sources and journals run.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Workers {
    /// On threads made for it, so that connections are served meanwhile.
    #[default]
    Threads,
    /// Where it is asked for, before anything else happens: nothing depends on how fast a thread is, so a run can be
    /// replayed.
    InPlace,
}

/// The runtime is going down; nothing came of the work.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the program is stopping")]
pub struct Stopped;

/// Coding so many bytes takes about as long as handing the work over and hearing its end.
const HANDED_OVER_MIN: u64 = 64 << 10;

impl Workers {
    /// Where to do work on so many bytes that are in memory: little of it is done sooner in place.
    #[must_use]
    pub const fn for_bytes(self, bytes: u64) -> Self {
        if bytes < HANDED_OVER_MIN { Self::InPlace } else { self }
    }

    /// How many pieces of work gain by being under way at once.
    pub fn side_by_side(self) -> usize {
        match self {
            Self::Threads => std::thread::available_parallelism().map_or(1, usize::from),
            Self::InPlace => 1,
        }
    }

    /// Begins the work at once. A panic of the work is the caller's.
    pub fn run<T: Send + 'static>(
        self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> impl Future<Output = Result<T, Stopped>> + Send {
        match self {
            Self::InPlace => Either::Left(ready(Ok(work()))),
            Self::Threads => {
                let job = spawn_blocking(work);
                Either::Right(async {
                    match job.await.map_err(JoinError::try_into_panic) {
                        Ok(result) => Ok(result),
                        Err(Ok(panic)) => std::panic::resume_unwind(panic),
                        Err(Err(_cancelled)) => Err(Stopped),
                    }
                })
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;

    use super::*;

    #[tokio::test]
    async fn work_in_place_is_done_before_it_is_awaited() {
        let thread = Workers::InPlace.run(|| std::thread::current().id());
        assert_eq!(thread.now_or_never(), Some(Ok(std::thread::current().id())));
    }

    #[tokio::test]
    async fn work_on_threads_leaves_the_caller_free() {
        let thread = Workers::Threads.run(|| std::thread::current().id()).await.unwrap();
        assert_ne!(thread, std::thread::current().id());
    }
}
