//! New versions of a file, whoever publishes them: every server of the file is watched, and a version is told once a quorum
//! of them shows that it was Published, after those it was built on. Servers that are lost are watched again.

mod chain;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use futures::StreamExt;
use futures::stream::{BoxStream, SelectAll};
use tarn_proto::{
    AttemptId, HistoryQuery, SequenceNumber, SlotState, StorageIndex, StoreId, VersionId,
};
use tokio::sync::mpsc;
use tokio::time::Instant;

use crate::base::{Base, Choice, Evidence, Origin, choose};
use crate::client::Client;
use crate::quorum::Terms;
use crate::servermap::stores_to_ask;
use crate::transport::CallError;

/// Versions that may wait for whoever is told.
const TOLD_MAX: usize = 16;
/// How long a server may take to take up a watch.
const DEADLINE: Duration = Duration::from_secs(5);
/// How long a server that was lost is left alone, at first and at most.
const REST: Duration = Duration::from_millis(500);
const REST_MAX: Duration = Duration::from_secs(30);

/// What a server said, or that it is lost.
type Heard = (StoreId, Result<SlotState, CallError>);

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

impl Client {
    /// New versions of a file, whoever publishes them, in order, until the receiver is dropped. `after` is the version that
    /// was told last: none is missed of those that followed it, but for a gap that is told. Without it, the newest comes
    /// first. Must be called within a tokio runtime with time.
    pub fn follow(
        &self,
        file: StorageIndex,
        origin: Origin,
        after: Option<VersionId>,
    ) -> mpsc::Receiver<Told> {
        let (listener, told) = mpsc::channel(TOLD_MAX);
        tokio::spawn(Follow::new(self.clone(), file, origin, after).run(listener));
        told
    }
}

/// A file that is watched.
struct Follow {
    client: Client,
    file: StorageIndex,
    origin: Origin,
    states: BTreeMap<StoreId, SlotState>,
    streams: SelectAll<BoxStream<'static, Heard>>,
    watched: BTreeSet<StoreId>,
    /// Who is watched again, and when; and how long the next rest is.
    lost: BTreeMap<StoreId, (Instant, Duration)>,
    /// The version that was told last.
    told: Option<VersionId>,
}

/// Nobody listens any more.
struct Gone;

impl Follow {
    /// `after` is the version that was told last, if this is not the beginning.
    fn new(client: Client, file: StorageIndex, origin: Origin, after: Option<VersionId>) -> Self {
        let (states, streams) = (BTreeMap::new(), SelectAll::new());
        let (watched, lost) = (BTreeSet::new(), BTreeMap::new());
        Self { client, file, origin, states, streams, watched, lost, told: after }
    }

    /// Tells versions until nobody listens any more.
    async fn run(mut self, listener: mpsc::Sender<Told>) {
        let roster = self.client.roster(self.file);
        let window = match &self.origin {
            Origin::Creator(window) => Some(window),
            Origin::CapHolder => None,
        };
        for store in stores_to_ask(window, &roster.0) {
            self.watch(store);
        }
        loop {
            let wakes = self.lost.values().map(|&(when, _)| when).min();
            let wakes = wakes.unwrap_or_else(|| Instant::now() + REST_MAX);
            tokio::select! {
                biased;
                () = listener.closed() => return,
                Some((store, heard)) = self.streams.next(), if !self.streams.is_empty() => {
                    if self.hear(store, heard, &listener).await.is_err() {
                        return;
                    }
                }
                () = tokio::time::sleep_until(wakes) => self.watch_again(),
            }
        }
    }

    fn watch(&mut self, store: StoreId) {
        let Some(server) = self.client.server(store) else { return };
        if self.watched.insert(store) {
            let states = server.watch_slot(self.file, DEADLINE).map(move |state| (store, state));
            // A stream that ends without an error is a server that stops.
            let ended = futures::stream::once(async move {
                (store, Err(CallError::TimedOut { after: DEADLINE }))
            });
            self.streams.push(states.chain(ended).boxed());
        }
    }

    fn watch_again(&mut self) {
        let now = Instant::now();
        let due: Vec<StoreId> = self
            .lost
            .iter()
            .filter(|(_, (when, _))| *when <= now)
            .map(|(&store, _)| store)
            .collect();
        for store in due {
            // Until it answers, the next rest is twice as long.
            if let Some((when, rest)) = self.lost.get_mut(&store) {
                *rest = (*rest * 2).min(REST_MAX);
                *when = now + *rest;
            }
            self.watch(store);
        }
    }

    async fn hear(
        &mut self,
        store: StoreId,
        heard: Result<SlotState, CallError>,
        listener: &mpsc::Sender<Told>,
    ) -> Result<(), Gone> {
        match heard {
            Ok(state) => {
                self.lost.remove(&store);
                let named: Vec<StoreId> = state
                    .headers()
                    .flat_map(|signed| Terms::from(signed.header()).windows())
                    .flat_map(|window| window.stores())
                    .copied()
                    .collect();
                self.states.insert(store, state);
                named.into_iter().for_each(|store| self.watch(store));
                self.tell(listener).await
            }
            Err(error) => {
                tracing::debug!(%store, %error, "a watched server is lost");
                self.watched.remove(&store);
                let rest = Instant::now() + REST;
                self.lost.entry(store).or_insert((rest, REST));
                Ok(())
            }
        }
    }

    /// Tells what is new, oldest first.
    async fn tell(&mut self, listener: &mpsc::Sender<Told>) -> Result<(), Gone> {
        // As a reader would choose it: with less than a majority, an older version may look like the newest.
        let Choice::Chosen { base: Base::Version(newest), certain: true } =
            choose(&self.states, &self.origin)
        else {
            return Ok(());
        };
        let evidence = Evidence::gather(&self.states);
        let told = self.told.and_then(|told| evidence.place(told));
        if self.told == Some(newest.version()) || told >= Some(newest.header().sequence_number) {
            return Ok(());
        }
        let newest = newest.version();
        let mut versions = chain::since(&evidence, newest, self.told);
        if versions.iter().any(|version| version.gap) {
            let history = self.with_history(told.unwrap_or(SequenceNumber::FIRST)).await;
            versions = chain::since(&history, newest, self.told);
        }
        for version in versions {
            listener.send(version).await.map_err(|_closed| Gone)?;
        }
        self.told = Some(newest);
        Ok(())
    }

    /// What servers remember of versions from this place on.
    fn with_history(&self, since: SequenceNumber) -> impl Future<Output = Evidence> + use<> {
        let query = HistoryQuery { attempt: AttemptId::new([0; 16]), since: Some(since) };
        let file = self.file;
        let asked = self.states.keys().filter_map(|&store| self.client.server(store).cloned());
        let asked: Vec<_> = asked
            .map(|server| async move {
                let state = server.read_slot(file, Some(query), None, DEADLINE).await;
                state.ok().map(|state| (server.store(), state))
            })
            .collect();
        let mut states = self.states.clone();
        async move {
            let answers = futures::future::join_all(asked).await;
            states.extend(answers.into_iter().flatten());
            Evidence::gather(&states)
        }
    }
}
