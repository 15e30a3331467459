//! What this client left on servers a moment ago. Whoever publishes a file again at once begins with that instead of asking,
//! and takes along the certificate of the version before, which waits a moment for it. Believes nothing: what is
//! remembered is where a publish begins, and what holds is found out under promises.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use quick_cache::sync::Cache;
use tarn_proto::{StorageIndex, StoreId, VersionId};
use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::servermap::ServerMap;

/// How many files are remembered; each takes some kilobytes.
const FILES_MAX: usize = 256;
/// For how long. To begin from what somebody else has replaced meanwhile costs one round more than asking would.
const REMEMBERED_FOR: Duration = Duration::from_secs(2);
/// How long a certificate waits for the next publish of its file.
const CERTIFICATE_WAITS: Duration = Duration::from_millis(25);

/// The files that were published lately. Clones are the same.
#[derive(Debug, Clone)]
pub struct Lately(Arc<Cache<StorageIndex, Left>>);

/// What a publish left.
#[derive(Debug, Clone)]
struct Left {
    at: Instant,
    map: Arc<ServerMap>,
    certificates: Certificates,
}

impl Default for Lately {
    fn default() -> Self {
        Self(Arc::new(Cache::new(FILES_MAX)))
    }
}

impl Lately {
    /// Remembers what a publish has left: `map` is what each server said when it had written.
    pub(crate) fn remember(
        &self,
        file: StorageIndex,
        map: ServerMap,
        version: VersionId,
    ) -> Certificates {
        let certificates = Certificates::of(version);
        let left =
            Left { at: Instant::now(), map: Arc::new(map), certificates: certificates.clone() };
        self.0.insert(file, left);
        certificates
    }

    /// What the last publish left, if it ended a moment ago.
    pub(crate) fn look(&self, file: StorageIndex) -> Option<ServerMap> {
        let left = self.0.get(&file)?;
        (left.at.elapsed() < REMEMBERED_FOR).then(|| ServerMap::clone(&left.map))
    }

    /// Takes what the last publish left, if it ended a moment ago. It is taken once: a publish under way leaves its own.
    pub(crate) fn take(&self, file: StorageIndex) -> Option<Taken> {
        let (_, left) = self.0.remove(&file)?;
        let taken = Taken { map: left.map, certificates: left.certificates };
        (left.at.elapsed() < REMEMBERED_FOR).then_some(taken)
    }
}

/// What the last publish of a file left, in the hands of the next one. If that is dropped before it has sent the certificates,
/// they go alone.
#[derive(Debug)]
pub(crate) struct Taken {
    map: Arc<ServerMap>,
    certificates: Certificates,
}

impl Taken {
    /// What servers said when they had written.
    pub(crate) fn map(&self) -> ServerMap {
        ServerMap::clone(&self.map)
    }

    /// A certificate of this version goes along to these servers.
    pub(crate) fn goes_along(self, version: VersionId, servers: BTreeSet<StoreId>) {
        if version == self.certificates.version {
            self.certificates.decide(Fate::WithNext(servers));
        }
    }
}

impl Drop for Taken {
    fn drop(&mut self) {
        self.certificates.decide(Fate::Alone);
    }
}

/// The certificates of one version, one for each server, which wait for the next publish. Clones are the same.
#[derive(Debug, Clone)]
pub(crate) struct Certificates {
    version: VersionId,
    fate: watch::Sender<Fate>,
}

#[derive(Debug)]
enum Fate {
    Waiting,
    Alone,
    WithNext(BTreeSet<StoreId>),
}

impl Certificates {
    fn of(version: VersionId) -> Self {
        Self { version, fate: watch::Sender::new(Fate::Waiting) }
    }

    /// The first decision stands.
    fn decide(&self, decided: Fate) {
        self.fate.send_if_modified(|fate| {
            let is_first = matches!(fate, Fate::Waiting);
            if is_first {
                *fate = decided;
            }
            is_first
        });
    }

    /// Whether this server's is to be sent by itself. Waits a moment to see, unless somebody is in a hurry.
    pub(crate) async fn goes_alone(&self, server: StoreId, hurry: &CancellationToken) -> bool {
        let mut fate = self.fate.subscribe();
        tokio::select! {
            biased;
            decided = fate.wait_for(|fate| !matches!(fate, Fate::Waiting)) => match decided.as_deref() {
                Ok(Fate::WithNext(servers)) => !servers.contains(&server),
                Ok(Fate::Alone | Fate::Waiting) | Err(_) => true,
            },
            () = hurry.cancelled() => true,
            () = tokio::time::sleep(CERTIFICATE_WAITS) => true,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: StorageIndex = StorageIndex::new([1; 32]);
    const V1: VersionId = VersionId::new([2; 32]);
    const A: StoreId = StoreId::new([3; 16]);
    const B: StoreId = StoreId::new([4; 16]);

    fn calm() -> CancellationToken {
        CancellationToken::new()
    }

    #[tokio::test(start_paused = true)]
    async fn what_was_left_is_taken_once_and_soon() {
        let lately = Lately::default();
        lately.remember(FILE, ServerMap::default(), V1);
        assert!(lately.look(FILE).is_some());
        assert!(lately.take(FILE).is_some());
        assert!(lately.take(FILE).is_none());
        lately.remember(FILE, ServerMap::default(), V1);
        tokio::time::advance(REMEMBERED_FOR).await;
        assert!(lately.look(FILE).is_none());
        assert!(lately.take(FILE).is_none());
    }

    #[tokio::test(start_paused = true)]
    async fn certificates_go_along_with_the_next_publish_and_alone_where_it_does_not_go() {
        let lately = Lately::default();
        let certificates = lately.remember(FILE, ServerMap::default(), V1);
        lately.take(FILE).unwrap().goes_along(V1, [A].into());
        assert!(!certificates.goes_alone(A, &calm()).await);
        assert!(certificates.goes_alone(B, &calm()).await);
    }

    #[tokio::test(start_paused = true)]
    async fn certificates_go_alone_when_nothing_follows_or_it_takes_another_along() {
        let lately = Lately::default();
        let begun = Instant::now();
        let certificates = lately.remember(FILE, ServerMap::default(), V1);
        assert!(certificates.goes_alone(A, &calm()).await);
        assert_eq!(begun.elapsed(), CERTIFICATE_WAITS);

        let begun = Instant::now();
        let certificates = lately.remember(FILE, ServerMap::default(), V1);
        drop(lately.take(FILE));
        assert!(certificates.goes_alone(A, &calm()).await);
        let certificates = lately.remember(FILE, ServerMap::default(), V1);
        lately.take(FILE).unwrap().goes_along(VersionId::new([9; 32]), [A].into());
        assert!(certificates.goes_alone(A, &calm()).await);
        assert_eq!(begun.elapsed(), Duration::ZERO);
    }

    #[tokio::test(start_paused = true)]
    async fn nobody_waits_for_what_may_follow_once_somebody_is_in_a_hurry() {
        let certificates = Lately::default().remember(FILE, ServerMap::default(), V1);
        let (begun, hurry) = (Instant::now(), calm());
        hurry.cancel();
        assert!(certificates.goes_alone(A, &hurry).await);
        assert_eq!(begun.elapsed(), Duration::ZERO);
    }
}
