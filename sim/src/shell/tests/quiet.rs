//! A grid that nothing troubles, on virtual time: every way takes equally long, and nothing else takes any time.

use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZeroU32;

use bytes::Bytes;
use tarn_client::base::Origin;
use tarn_client::client::Client;
use tarn_client::encode::source::Source;
use tarn_client::encode::workers::Workers;
use tarn_client::fetch::driver::Clients;
use tarn_client::lately::Lately;
use tarn_client::placement::Candidate;
use tarn_client::publish::publishing::{Content, Job, NoJournal, Publishing};
use tarn_client::publish::{Follows, Request};
use tarn_client::retrieve::reading::{Reading, RetrieveRequest, retrieve};
use tarn_client::servermap::Patience;
use tarn_client::update::{Change, Place, Then, UpdateOptions};
use tarn_proto::{AttemptId, Shape, StoreId};

use super::*;
use crate::streams::stream;

pub(super) const ONE_WAY_MS: u64 = 10;
pub(super) const ROUND_TRIP: Duration = Duration::from_millis(2 * ONE_WAY_MS);

/// A quiet grid, one file of it, and a process with connections of its own.
pub(super) struct Quiet {
    pub(super) run: Run,
    pub(super) clients: Clients,
    /// What that process remembers of its publishes.
    pub(super) lately: Lately,
    publishes: u8,
}

impl Quiet {
    fn new(options: &Options) -> Self {
        let run = Run::new(options, World::new());
        run.stage.machines().iter_mut().for_each(Machine::start);
        let clients = run.caller(HostId(0)).clients;
        Self { run, clients, lately: Lately::default(), publishes: 0 }
    }

    pub(super) fn file(&self) -> &File {
        &self.run.files[0]
    }

    /// Publishes so many bytes. Returns how long it took, once nothing of it is under way any more.
    pub(super) async fn publish(&mut self, length: usize) -> Duration {
        let bytes = Bytes::from(vec![self.publishes; length]);
        self.publish_of(Content::Whole(Source::Bytes(bytes))).await
    }

    /// The same of any content.
    pub(super) async fn publish_of(&mut self, content: Content) -> Duration {
        self.publishes += 1;
        let file = self.file();
        let began = Instant::now();
        let mut publishing = Publishing::begin(Job {
            request: Request {
                storage_index: file.storage_index(),
                attempt: AttemptId::new([self.publishes; 16]),
                origin: Origin::Creator(file.window.clone()),
                follows: Follows::Whatever,
                shape: None,
                first_shape: self.run.options.shape,
                high_water: None,
                spent: None,
                suspects: BTreeSet::new(),
                left: None,
                map: None,
                input: content.input(),
                tombstone: false,
            },
            write_cap: file.cap.clone(),
            content,
            servers: Arc::clone(&self.clients),
            roster: file.roster.clone(),
            patience: Patience::default(),
            rng: stream(0, "publish", self.publishes.into()),
            journal: Arc::new(NoJournal),
            workers: Workers::InPlace,
            first_try: true,
            lately: self.lately.clone(),
        });
        let report = publishing.report().await.expect("it is not cut off");
        let took = began.elapsed();
        assert!(report.outcome.published().is_some(), "{:?}", report.outcome);
        assert!(report.troubles.is_empty(), "{:?}", report.troubles);
        publishing.settled().await;
        took
    }

    /// Changes some bytes at this place of the newest version. Returns how long it took, and whether only what they touch was
    /// sent, once nothing of it is under way any more.
    pub(super) async fn update(&mut self, at: u64, length: usize) -> (Duration, bool) {
        let client = self.client();
        self.update_by(&client, at, length).await
    }

    /// A client that remembers nothing yet.
    pub(super) fn client(&self) -> Client {
        let candidate = |&store: &StoreId| Candidate { store, zone: None, weight: 1 };
        let servers = self.clients.iter().map(|(store, client)| (candidate(store), client.clone()));
        Client::over(servers).with_workers(Workers::InPlace)
    }

    /// The same as [`Quiet::update`], by a client that may remember what it did before.
    pub(super) async fn update_by(
        &mut self,
        client: &Client,
        at: u64,
        length: usize,
    ) -> (Duration, bool) {
        self.publishes += 1;
        let change = Change {
            at: Place::Offset(at),
            source: Source::Bytes(vec![self.publishes; length].into()),
            then: Then::Keeps,
        };
        let file = self.file();
        let options = UpdateOptions {
            first_try: true,
            origin: Origin::Creator(file.window.clone()),
            first_shape: self.run.options.shape,
            if_version: None,
            attempt: AttemptId::new([self.publishes; 16]),
            high_water: None,
            suspects: BTreeSet::new(),
            journal: Arc::new(NoJournal),
            spools: std::env::temp_dir(),
            tries: NonZeroU32::MIN,
            rng: stream(0, "update", self.publishes.into()),
        };
        let began = Instant::now();
        let updated = client.update(&file.cap, &change, options).await.expect("it is changed");
        let took = began.elapsed();
        assert_eq!(updated.report.rounds, 1);
        updated.publishing.settled().await;
        (took, updated.in_place)
    }

    /// Bytes of the newest version.
    pub(super) async fn length(&self) -> u64 {
        let reading = self.begin_reading(Some(0..0)).await;
        reading.found().header.header().geometry.length()
    }

    async fn begin_reading(&self, range: Option<std::ops::Range<u64>>) -> Reading {
        let file = self.file();
        let request = RetrieveRequest {
            cap: file.cap.read_cap(),
            origin: Origin::CapHolder,
            version: None,
            range,
            strict: true,
            allow_rollback: false,
            high_water: None,
            suspects: BTreeSet::new(),
            map: None,
        };
        let (clients, roster) = (Arc::clone(&self.clients), file.roster.clone());
        let rng = stream(0, "read", 0);
        let reading =
            retrieve(request, clients, roster, Patience::default(), rng, Workers::InPlace);
        reading.await.expect("it is there")
    }

    /// Reads this range. Returns how long the first byte took, and how long the last.
    pub(super) async fn read(&self, range: Option<std::ops::Range<u64>>) -> (Duration, Duration) {
        let began = Instant::now();
        let mut reading = self.begin_reading(range).await;
        let first = reading.next_segment().await.expect("it can be read");
        let first_byte = began.elapsed();
        assert!(first.is_some_and(|bytes| !bytes.is_empty()));
        while reading.next_segment().await.expect("it can be read").is_some() {}
        (first_byte, began.elapsed())
    }
}

/// Plays a story on a quiet grid of four servers, of which any two bring a file back.
pub(super) fn on_a_quiet_grid(story: impl AsyncFnOnce(&mut Quiet)) {
    let options = Options {
        servers: 4,
        shape: Shape::new(2, 3, 4).expect("2 of 4"),
        files: 1,
        latency_ms: ONE_WAY_MS..=ONE_WAY_MS,
        stall_per_mille: 0,
        writes_in_flight: 1_000,
        faults: BTreeMap::new(),
        planted: None,
        ..Options::draw(0)
    };
    let mut runtime = Builder::new_current_thread();
    let runtime = runtime.enable_time().start_paused(true).build().expect("it needs nothing");
    runtime.block_on(async {
        let mut quiet = Quiet::new(&options);
        story(&mut quiet).await;
        quiet.run.stop().await;
    });
}
