//! New versions of a file, whoever publishes them: every server of the file is watched, and a version is told once it would
//! be read as the newest and is known to have been Published, after those it was built on.

mod chain;
mod observer;

use std::time::Duration;

use tarn_proto::{AttemptId, HistoryQuery, SequenceNumber, StorageIndex, VersionId};
use tokio::sync::{mpsc, watch};

use crate::base::{Base, Choice, Evidence, Origin, choose};
use crate::client::Client;
pub(crate) use observer::Observed;
use observer::States;

/// Versions that may wait for whoever is told.
const TOLD_MAX: usize = 16;
/// How long a server may take to tell its history.
const DEADLINE: Duration = Duration::from_secs(5);

/// A version that is new.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Told {
    /// The version.
    pub version: VersionId,
    /// Its place, if it is remembered.
    pub sequence_number: Option<SequenceNumber>,
    /// What it was built on.
    pub predecessor: Option<VersionId>,
    /// Whether versions between the one told before and this one may be missing: nobody remembers that far back.
    pub gap: bool,
}

/// Stop following another file, or use another client.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{most} files are followed already")]
pub struct TooManyFollowed {
    /// How many there may be.
    pub most: usize,
}

impl Client {
    /// New versions of a file, whoever publishes them, in order, until the receiver is dropped. `after` is the version that
    /// was told last: none is missed of those that followed it, but for a gap that is told. Without it, the newest comes
    /// first. All who follow one file on clones of a client share its servers' answers. Must be called within a tokio runtime
    /// with time.
    pub fn follow(
        &self,
        file: StorageIndex,
        origin: Origin,
        after: Option<VersionId>,
    ) -> Result<mpsc::Receiver<Told>, TooManyFollowed> {
        let states = self.observed.states(self, file, &origin)?;
        let (listener, told) = mpsc::channel(TOLD_MAX);
        let follower = Follower { client: self.clone(), file, origin, told: after };
        tokio::spawn(follower.run(states, listener));
        Ok(told)
    }
}

/// Somebody who follows a file.
struct Follower {
    client: Client,
    file: StorageIndex,
    origin: Origin,
    /// The version that was told last.
    told: Option<VersionId>,
}

/// Nobody listens any more.
struct Gone;

impl Follower {
    /// Tells versions until nobody listens any more.
    async fn run(mut self, mut states: watch::Receiver<States>, listener: mpsc::Sender<Told>) {
        loop {
            let now = States::clone(&states.borrow_and_update());
            if self.tell(&now, &listener).await.is_err() {
                return;
            }
            tokio::select! {
                biased;
                () = listener.closed() => return,
                changed = states.changed() => if changed.is_err() { return },
            }
        }
    }

    /// Tells what is new, oldest first.
    async fn tell(&mut self, states: &States, listener: &mpsc::Sender<Told>) -> Result<(), Gone> {
        // As a reader would choose it: with less than a majority, an older version may look like the newest.
        let Choice::Chosen { base: Base::Version(newest), certain: true } =
            choose(states, &self.origin)
        else {
            return Ok(());
        };
        let evidence = Evidence::gather(states);
        let told = self.told.and_then(|told| evidence.place(told));
        if self.told == Some(newest.version()) || told >= Some(newest.header().sequence_number) {
            return Ok(());
        }
        let newest = newest.version();
        let mut versions = chain::since(&evidence, newest, self.told);
        if versions.iter().any(|version| version.gap) {
            let since = told.unwrap_or(SequenceNumber::FIRST);
            let history = self.with_history(states, since).await;
            versions = chain::since(&history, newest, self.told);
        }
        for version in versions {
            listener.send(version).await.map_err(|_closed| Gone)?;
        }
        self.told = Some(newest);
        Ok(())
    }

    /// What servers remember of versions from this place on.
    async fn with_history(&self, states: &States, since: SequenceNumber) -> Evidence {
        let query = HistoryQuery { attempt: AttemptId::new([0; 16]), since: Some(since) };
        let file = self.file;
        let asked = states.keys().filter_map(|&store| self.client.server(store).cloned());
        let asked = asked.map(|server| async move {
            let state = server.read_slot(file, Some(query), None, DEADLINE).await;
            state.ok().map(|state| (server.store(), state))
        });
        let answers = futures::future::join_all(asked).await;
        let mut all = std::collections::BTreeMap::clone(states);
        all.extend(answers.into_iter().flatten());
        Evidence::gather(&all)
    }
}
