//! What every server of a file says of it, now and after every change, shared by all who follow that file: a server is asked
//! once, however many listen. Servers that are lost are asked again.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures::StreamExt;
use futures::stream::{BoxStream, SelectAll};
use tarn_proto::{SlotState, StorageIndex, StoreId};
use tokio::sync::watch;
use tokio::time::Instant;

use super::TooManyFollowed;
use crate::base::Origin;
use crate::client::Client;
use crate::quorum::Terms;
use crate::servermap::stores_to_ask;
use crate::transport::CallError;

/// How many files one client follows: each takes a stream on the connection to each of its servers, and others need some.
const FILES_MAX: usize = 512;
/// How long a server may take to take up a watch.
const DEADLINE: Duration = Duration::from_secs(5);
/// How long a server that was lost is left alone, at first and at most.
const REST: Duration = Duration::from_millis(500);
const REST_MAX: Duration = Duration::from_secs(30);

/// What each server said last.
pub(super) type States = Arc<BTreeMap<StoreId, SlotState>>;

/// The files that are followed. Clones share them.
#[derive(Debug, Clone, Default)]
pub(crate) struct Observed(Arc<Mutex<BTreeMap<StorageIndex, Arc<watch::Sender<States>>>>>);

impl Observed {
    /// What the file's servers say, from somebody who listens already or begins to.
    pub(super) fn states(
        &self,
        client: &Client,
        file: StorageIndex,
        origin: &Origin,
    ) -> Result<watch::Receiver<States>, TooManyFollowed> {
        let mut files = self.lock();
        if let Some(states) = files.get(&file) {
            return Ok(states.subscribe());
        }
        if files.len() >= FILES_MAX {
            return Err(TooManyFollowed { most: FILES_MAX });
        }
        let (states, listener) = watch::channel(States::default());
        let states = Arc::new(states);
        files.insert(file, Arc::clone(&states));
        let observer = Observer::new(client.clone(), file, states);
        tokio::spawn(observer.run(self.clone(), origin.clone()));
        Ok(listener)
    }

    /// Ends it if nobody listens. Whoever begins to does so under the same lock.
    fn forget(&self, file: StorageIndex) -> bool {
        let mut files = self.lock();
        let unheard = files.get(&file).is_none_or(|states| states.receiver_count() == 0);
        if unheard {
            files.remove(&file);
        }
        unheard
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<StorageIndex, Arc<watch::Sender<States>>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What a server said, or that it is lost.
type Heard = (StoreId, Result<SlotState, CallError>);

struct Observer {
    client: Client,
    file: StorageIndex,
    states: Arc<watch::Sender<States>>,
    streams: SelectAll<BoxStream<'static, Heard>>,
    watched: BTreeSet<StoreId>,
    /// Who is watched again, and when; and how long the next rest is.
    lost: BTreeMap<StoreId, (Instant, Duration)>,
}

impl Observer {
    fn new(client: Client, file: StorageIndex, states: Arc<watch::Sender<States>>) -> Self {
        let (streams, watched, lost) = (SelectAll::new(), BTreeSet::new(), BTreeMap::new());
        Self { client, file, states, streams, watched, lost }
    }

    async fn run(mut self, all: Observed, origin: Origin) {
        let roster = self.client.roster(self.file);
        let window = match &origin {
            Origin::Creator(window) => Some(window),
            Origin::CapHolder => None,
        };
        for store in stores_to_ask(window, &roster.0) {
            self.watch(store);
        }
        let states = Arc::clone(&self.states);
        loop {
            let wakes = self.lost.values().map(|&(when, _)| when).min();
            let wakes = wakes.unwrap_or_else(|| Instant::now() + REST_MAX);
            tokio::select! {
                biased;
                () = states.closed() => if all.forget(self.file) { return },
                Some((store, heard)) = self.streams.next(), if !self.streams.is_empty() => {
                    self.hear(store, heard);
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
        let due = self.lost.iter().filter(|(_, (when, _))| *when <= now);
        let due: Vec<StoreId> = due.map(|(&store, _)| store).collect();
        for store in due {
            // Until it answers, the next rest is twice as long.
            if let Some((when, rest)) = self.lost.get_mut(&store) {
                *rest = (*rest * 2).min(REST_MAX);
                *when = now + *rest;
            }
            self.watch(store);
        }
    }

    fn hear(&mut self, store: StoreId, heard: Result<SlotState, CallError>) {
        match heard {
            Ok(state) => {
                self.lost.remove(&store);
                let named: Vec<StoreId> = state
                    .headers()
                    .flat_map(|signed| Terms::from(signed.header()).windows())
                    .flat_map(|window| window.stores())
                    .copied()
                    .collect();
                self.states.send_modify(|states| {
                    Arc::make_mut(states).insert(store, state);
                });
                named.into_iter().for_each(|store| self.watch(store));
            }
            Err(error) => {
                tracing::debug!(%store, %error, "a watched server is lost");
                self.watched.remove(&store);
                let rest = Instant::now() + REST;
                self.lost.entry(store).or_insert((rest, REST));
            }
        }
    }
}
