//! How many round trips an operation takes, counted on virtual time: on a network where every way takes equally long and
//! nothing else takes any time, what has taken so long has gone back and forth so often.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use tarn_client::base::Origin;
use tarn_client::encode::source::Source;
use tarn_client::encode::workers::Workers;
use tarn_client::fetch::driver::Clients;
use tarn_client::publish::publishing::{Content, Job, Journal, JournalError, Publishing};
use tarn_client::publish::{Follows, Request};
use tarn_client::quorum::Placement;
use tarn_client::retrieve::reading::{RetrieveRequest, retrieve};
use tarn_client::servermap::Patience;
use tarn_proto::{AttemptId, Shape, SignedHeader};

use super::*;
use crate::streams::stream;

const ONE_WAY_MS: u64 = 10;
const ROUND_TRIP: Duration = Duration::from_millis(2 * ONE_WAY_MS);

/// A quiet grid, one file of it, and a process with connections of its own.
struct Quiet {
    run: Run,
    clients: Clients,
    publishes: u8,
}

impl Quiet {
    fn new(options: &Options) -> Self {
        let run = Run::new(options, World::new());
        run.stage.machines().iter_mut().for_each(Machine::start);
        let clients = run.caller(HostId(0)).clients;
        Self { run, clients, publishes: 0 }
    }

    fn file(&self) -> &File {
        &self.run.files[0]
    }

    /// Publishes so many bytes. Returns how long it took, once nothing of it is under way any more.
    async fn publish(&mut self, length: usize) -> Duration {
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
                changes: None,
                length: length as u64,
                tombstone: false,
            },
            write_cap: file.cap.clone(),
            content: Content::Whole(Source::Bytes(Bytes::from(vec![self.publishes; length]))),
            servers: Arc::clone(&self.clients),
            roster: file.roster.clone(),
            patience: Patience::default(),
            rng: stream(0, "publish", self.publishes.into()),
            journal: Arc::new(Forgetful),
            workers: Workers::InPlace,
        });
        let report = publishing.report().await.expect("it is not cut off");
        let took = began.elapsed();
        assert!(report.outcome.published().is_some(), "{:?}", report.outcome);
        publishing.settled().await;
        took
    }

    /// Reads this range. Returns how long the first byte took, and how long the last.
    async fn read(&self, range: Option<std::ops::Range<u64>>) -> (Duration, Duration) {
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
        };
        let (clients, roster) = (Arc::clone(&self.clients), file.roster.clone());
        let rng = stream(0, "read", 0);
        let began = Instant::now();
        let reading =
            retrieve(request, clients, roster, Patience::default(), rng, Workers::InPlace);
        let mut reading = reading.await.expect("it is there");
        let first = reading.next_segment().await.expect("it can be read");
        let first_byte = began.elapsed();
        assert!(first.is_some_and(|bytes| !bytes.is_empty()));
        while reading.next_segment().await.expect("it can be read").is_some() {}
        (first_byte, began.elapsed())
    }
}

/// Plays a story on a quiet grid of four servers, of which any two bring a file back.
fn on_a_quiet_grid(story: impl AsyncFnOnce(&mut Quiet)) {
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

#[test]
fn the_first_byte_of_a_read_comes_after_two_round_trips() {
    on_a_quiet_grid(async |quiet| {
        quiet.publish(1_024).await;
        assert_eq!(quiet.read(None).await, (2 * ROUND_TRIP, 2 * ROUND_TRIP));
        assert_eq!(quiet.read(Some(1_000..1_001)).await.0, 2 * ROUND_TRIP);
        quiet.publish(1 << 20).await;
        assert_eq!(quiet.read(None).await.0, 2 * ROUND_TRIP, "however long the file");
        assert_eq!(quiet.read(Some(1_000_000..1_000_001)).await.0, 2 * ROUND_TRIP);
    });
}

#[test]
fn a_connection_that_is_yet_to_be_made_takes_no_round_trip_but_its_own() {
    on_a_quiet_grid(async |quiet| {
        quiet.publish(1_024).await;
        quiet.clients = quiet.run.caller(HostId(1)).clients;
        let dialled = Duration::from_millis(ONE_WAY_MS);
        assert_eq!(quiet.read(None).await.0, dialled + 2 * ROUND_TRIP);
    });
}

#[test]
fn a_short_publish_takes_three_round_trips() {
    on_a_quiet_grid(async |quiet| {
        quiet.publish(1_024).await;
        assert_eq!(quiet.publish(1_024).await, 3 * ROUND_TRIP);
    });
}

/// A journal that keeps nothing: nobody comes back.
struct Forgetful;

impl Journal for Forgetful {
    fn record(&self, _: &SignedHeader, _: &Placement) -> Result<(), JournalError> {
        Ok(())
    }
}
