//! Processes that call: writers and readers over the shipped drivers, each one operation after another. Some operations
//! are called off, some are dropped in the middle.

mod draws;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use tarn_client::base::{HighWater, Origin};
use tarn_client::caps::fresh_attempt_id;
use tarn_client::encode::source::Source;
use tarn_client::encode::workers::Workers;
use tarn_client::fetch::driver::Clients;
use tarn_client::lately::Lately;
use tarn_client::publish::outcome::{Outcome, Report};
use tarn_client::publish::publishing::{Content, Job, Journal, JournalError, Publishing};
use tarn_client::publish::{Follows, Input, Request};
use tarn_client::quorum::Placement;
use tarn_client::retrieve::reading::{RetrieveError, RetrieveRequest, retrieve};
use tarn_client::servermap::Patience;
use tarn_proto::{AttemptId, SignedHeader, VersionId};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::checks::{p2, p11};
use super::files::File;
use super::machine::store_id;
use super::names;
use super::network::Network;
use super::options::Options;
use super::world::{HostId, ServerId, World};
use crate::streams::stream;

/// How long a publish that was dropped may still be under way.
const DROPPED_ENDS: Duration = Duration::from_secs(120);
/// How often a modify reads again after a conflict.
const MODIFY_TRIES: u8 = 3;

/// One process.
pub(super) struct Caller {
    host: HostId,
    options: Options,
    world: Arc<World>,
    files: Arc<Vec<File>>,
    rng: ChaCha8Rng,
    pub(super) clients: Clients,
    lately: Lately,
    known: BTreeMap<u8, VersionId>,
    high_water: BTreeMap<u8, HighWater>,
    /// From when on none of its own earlier publishes can be under way any more.
    alone_from: Duration,
}

/// How a caller goes on with what it began.
#[derive(Debug, Clone, Copy)]
enum Patient {
    Always,
    CallsOffAfter(Duration),
    DropsAfter(Duration),
}

/// What a read gave.
struct Read {
    version: VersionId,
    content: Bytes,
}

impl Caller {
    pub(super) fn new(
        host: HostId,
        options: &Options,
        world: &Arc<World>,
        network: &Arc<Network>,
        files: &Arc<Vec<File>>,
    ) -> Self {
        let servers = (0..options.servers).map(ServerId);
        let clients = servers.map(|server| (store_id(server), network.client((host, server))));
        Self {
            host,
            options: options.clone(),
            world: Arc::clone(world),
            files: Arc::clone(files),
            rng: stream(options.seed, "caller", host.0.into()),
            clients: Arc::new(clients.collect()),
            lately: Lately::default(),
            known: BTreeMap::new(),
            high_water: BTreeMap::new(),
            alone_from: Duration::ZERO,
        }
    }

    /// Publishes and reads, until it has done enough or the network heals.
    pub(super) async fn write(mut self, healed: CancellationToken) {
        for _ in 0..self.options.operations {
            if healed.run_until_cancelled(self.rest()).await.is_none() {
                return;
            }
            let file = self.draw_file();
            let draw = self.rng.random_range(0..100);
            let modify_to = self.options.modify_percent;
            if draw < modify_to {
                self.modify(file).await;
            } else if draw < modify_to + self.options.if_version_percent {
                let follows = self.known.get(&file).copied();
                self.publish(file, follows.map_or(Follows::Nothing, Follows::Version)).await;
            } else {
                self.publish(file, Follows::Whatever).await;
            }
        }
    }

    /// Reads, until it has done enough or the network heals.
    pub(super) async fn read_only(mut self, healed: CancellationToken) {
        for _ in 0..self.options.operations {
            if healed.run_until_cancelled(self.rest()).await.is_none() {
                return;
            }
            let (file, strict) = (self.draw_file(), self.rng.random());
            self.read(file, strict).await;
        }
    }

    /// Publishes every file and reads it back, on a network that nothing troubles: once to overcome what earlier
    /// troubles left, and once more without any.
    pub(super) async fn prove(mut self) {
        self.options.cancel_percent = 0;
        for file in 0..self.options.files {
            for smoothly in [false, true] {
                let report = self.publish(file, Follows::Whatever).await;
                let published = report.as_ref().and_then(|report| report.outcome.published());
                let smooth = report
                    .as_ref()
                    .is_some_and(|report| report.rounds == 1 && report.troubles.is_empty());
                let done = published.is_some() && (smooth || !smoothly);
                let name = report.as_ref().map(|report| names::of_publish(&report.outcome));
                let told = format!("{name:?}, smoothly: {smooth}");
                self.world.require(p11::check_untroubled(done, &told));
                let published = published.map(|published| published.version);
                let read = self.read(file, true).await.map(|read| read.version);
                let is_read = read.is_some() && read == published;
                let told = format!("{read:?} was read after {published:?} was published");
                self.world.require(p11::check_untroubled(is_read, &told));
            }
        }
    }

    async fn modify(&mut self, file: u8) {
        for _ in 0..MODIFY_TRIES {
            let Some(read) = self.read(file, false).await else { return };
            let Some(report) = self.publish(file, Follows::Version(read.version)).await else {
                return;
            };
            if !matches!(report.outcome, Outcome::Stale { .. } | Outcome::UncoordinatedWrite { .. })
            {
                return;
            }
        }
    }

    /// Publishes new content. None if it was dropped in the middle.
    async fn publish(&mut self, file: u8, follows: Follows) -> Option<Report> {
        let job = self.job(file, follows);
        let (attempt, input) = (job.request.attempt, job.request.input);
        let what = format!("publish {attempt:?} of file {file}");
        self.world.log(self.host, format_args!("begins {what}, {input:?} after {follows:?}"));
        let operation = self.world.oracle(|oracle| oracle.begin(format!("{} {what}", self.host)));
        let alone = self.options.writers == 1 && self.world.elapsed() >= self.alone_from;
        let patient = self.draw_patience();
        let settles = self.rng.random();

        let mut publishing = Publishing::begin(job);
        let told = match patient {
            Patient::Always => Some(publishing.report().await),
            Patient::CallsOffAfter(moment) => {
                let told = timeout(moment, publishing.report()).await.ok();
                if told.is_none() {
                    self.world.log(self.host, format_args!("calls off {what}"));
                    publishing.cancel();
                }
                Some(match told {
                    Some(told) => told,
                    None => publishing.report().await,
                })
            }
            Patient::DropsAfter(moment) => timeout(moment, publishing.report()).await.ok(),
        };
        let told = match told {
            None => {
                self.world.log(self.host, format_args!("drops {what}"));
                self.alone_from = self.world.elapsed() + DROPPED_ENDS;
                drop(publishing);
                None
            }
            Some(Err(_cut_off)) => {
                self.world.require(Err(p11::cut_off(&what)));
                None
            }
            Some(Ok(report)) => {
                self.hear(file, attempt, &report, alone);
                if settles {
                    publishing.settled().await;
                }
                Some(report)
            }
        };
        self.world.oracle(|oracle| oracle.end(operation));
        told
    }

    fn job(&mut self, file: u8, follows: Follows) -> Job {
        let attempt = fresh_attempt_id(&mut self.rng, self.world.elapsed());
        let content = self.draw_content();
        self.world.oracle(|oracle| oracle.submit(attempt, content.clone()));
        let of = &self.files[usize::from(file)];
        // The first writer drew the window; so, in some runs, did the others.
        let drew = self.host == HostId(0) || self.host.0 >= self.options.writers;
        let origin = if drew { Origin::Creator(of.window.clone()) } else { Origin::CapHolder };
        Job {
            request: Request {
                storage_index: of.storage_index(),
                attempt,
                origin,
                follows,
                shape: None,
                first_shape: self.options.shape,
                high_water: self.high_water.get(&file).copied(),
                spent: None,
                suspects: BTreeSet::new(),
                left: None,
                map: None,
                input: Input::Whole { length: content.len() as u64 },
                tombstone: false,
            },
            write_cap: of.cap.clone(),
            content: Content::Whole(Source::Bytes(content)),
            servers: Arc::clone(&self.clients),
            roster: of.roster.clone(),
            patience: Patience::default(),
            rng: self.draw_rng(),
            journal: Arc::new(Decisions(Arc::clone(&self.world))),
            workers: Workers::InPlace,
            first_try: true,
            lately: self.lately.clone(),
        }
    }

    /// Takes in how a publish ended.
    fn hear(&mut self, file: u8, attempt: AttemptId, report: &Report, alone: bool) {
        let name = names::of_publish(&report.outcome);
        let storage_index = self.files[usize::from(file)].storage_index();
        let (rounds, took) = (report.rounds, report.elapsed);
        let version = report.outcome.published().map(|published| published.version);
        self.world.log(
            self.host,
            format_args!("file {file}: {name} {version:?} after {rounds} rounds, {took}"),
        );
        for (store, trouble) in &report.troubles {
            let (during, failure) = (trouble.during, names::of_failure(&trouble.failure));
            self.world.log(self.host, format_args!("  {store:?} {during:?}: {failure}"));
        }
        self.world.count(|counts| *counts.outcomes.entry(name.to_owned()).or_default() += 1);
        self.world.require(p2::check(alone, &report.outcome));
        if let Some(published) = report.outcome.published() {
            self.known.insert(file, published.version);
            if let Some(header) = &published.header {
                self.has_seen(file, HighWater::of(header));
            }
        }
        self.world.require(
            self.world.oracle(|oracle| oracle.told(storage_index, attempt, &report.outcome)),
        );
    }

    fn has_seen(&mut self, file: u8, seen: HighWater) {
        let mark = self.high_water.entry(file).or_insert(seen);
        *mark = (*mark).max(seen);
    }

    /// Reads the newest version. None if it could not be read, or was dropped in the middle.
    async fn read(&mut self, file: u8, strict: bool) -> Option<Read> {
        let what = format!("read of file {file}");
        self.world.log(self.host, format_args!("begins {what}"));
        let operation = self.world.oracle(|oracle| oracle.begin(format!("{} {what}", self.host)));
        let patient = self.draw_patience();
        let reading = self.read_to_the_end(file, strict);
        let read = match patient {
            Patient::Always => Some(reading.await),
            Patient::CallsOffAfter(moment) | Patient::DropsAfter(moment) => {
                timeout(moment, reading).await.ok()
            }
        };
        let (name, read) = match read {
            None => ("read dropped", None),
            Some(Err(error)) => (names::of_read_failure(&error.failure), None),
            Some(Ok(read)) => ("read", Some(read)),
        };
        let length = read.as_ref().map(|read| read.content.len());
        self.world.log(self.host, format_args!("{what}: {name}, {length:?} B"));
        self.world.count(|counts| *counts.outcomes.entry(name.to_owned()).or_default() += 1);
        self.world.oracle(|oracle| oracle.end(operation));
        read
    }

    async fn read_to_the_end(&mut self, file: u8, strict: bool) -> Result<Read, RetrieveError> {
        let of = &self.files[usize::from(file)];
        let request = RetrieveRequest {
            cap: of.cap.read_cap(),
            origin: Origin::Creator(of.window.clone()),
            version: None,
            range: None,
            strict,
            allow_rollback: false,
            high_water: self.high_water.get(&file).copied(),
            suspects: BTreeSet::new(),
            map: None,
        };
        let (clients, roster) = (Arc::clone(&self.clients), of.roster.clone());
        let rng = self.draw_rng();
        let patience = Patience::default();
        let mut reading =
            retrieve(request, clients, roster, patience, rng, Workers::InPlace).await?;
        let found = reading.found().clone();
        let (attempt, version) = (found.header.header().attempt, found.header.version());
        let confirmed = found.confirmed;
        self.world.log(self.host, format_args!("finds {version:?}, confirmed: {confirmed}"));
        let mut content = Vec::new();
        let ended = loop {
            match reading.next_segment().await {
                Ok(Some(segment)) => content.extend_from_slice(&segment),
                Ok(None) => break Ok(()),
                Err(error) => break Err(error),
            }
        };
        let good = self.world.oracle(|oracle| oracle.read(attempt, &content, ended.is_ok()));
        self.world.require(good);
        ended?;
        if let Some(seen) = found.high_water {
            self.has_seen(file, seen);
        }
        self.known.insert(file, version);
        Ok(Read { version, content: content.into() })
    }
}

/// Tells the oracle of every header that is decided on.
struct Decisions(Arc<World>);

impl Journal for Decisions {
    fn record(&self, header: &SignedHeader, _: &Placement) -> Result<(), JournalError> {
        self.0.oracle(|oracle| oracle.decide(header.clone()));
        Ok(())
    }
}
