//! How long a server with very many slots takes from its start until it listens, after a clean stop and after kill -9 in
//! the midst of publishes, and what it says it found. Ignored, as filling a store through the service takes minutes:
//!
//! ```text
//! cargo build --release
//! TARN_BINARY=$PWD/target/release/tarn cargo test -p tarn-tests --test many_slots -- --ignored --nocapture
//! ```
//!
//! `TARN_SLOTS` says how many slots, 100,000 if it is not set. Every tenth has its share in a chunk of its own.
#![allow(clippy::unwrap_used, reason = "a story that cannot go on must end")]
#![allow(clippy::print_stdout, reason = "the times are the story's result")]

use std::collections::BTreeSet;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use tarn_client::base::Origin;
use tarn_client::caps::{WriteCap, fresh_attempt_id};
use tarn_client::client::{Client, PublishOptions};
use tarn_client::encode::source::Source;
use tarn_client::grid::Grid;
use tarn_client::publish::Follows;
use tarn_client::publish::outcome::{Outcome, Report};
use tarn_client::publish::publishing::NoJournal;
use tarn_client::servermap::Patience;
use tarn_client::time::Millis;
use tarn_proto::Shape;
use tarn_tests::Lone;
use tarn_tests::lone::Serving;
use tokio::task::JoinSet;
use tokio::time::Instant;

/// Publishes under way at once: they share the server's transactions.
const AT_ONCE: usize = 128;
/// Publishes that are begun before the server is killed in their midst.
const KILLED_AFTER: u64 = 1_000;
/// The length of most files, which are kept in the database, each on a page of its own; and of every tenth, which is not.
const SMALL: usize = 3_000;
const LARGE: usize = 70_000;

#[tokio::test(flavor = "multi_thread")]
#[ignore = "fills a store for minutes; its times are for people"]
async fn a_server_with_very_many_slots_starts_at_once() {
    let slots = std::env::var("TARN_SLOTS").map_or(100_000, |said| said.parse::<u64>().unwrap());
    let lone = Lone::init();
    let (empty, server) = start(&lone);
    println!("an empty store: {empty:?}");
    let began = Instant::now();
    let client = client(&lone);
    let mut publishing = JoinSet::new();
    let published = publish(&client, 0..slots, slots, &mut publishing).await;
    assert_eq!(published, slots);
    println!("{slots} slots filled in {:?}", began.elapsed());
    server.stop().well();

    let (clean, server) = start(&lone);
    // In the midst of publishes, some of which have chunks on their way.
    let more = slots..slots + 4 * KILLED_AFTER;
    let published = publish(&client, more, KILLED_AFTER, &mut publishing).await;
    let said = server.kill().said;
    publishing.shutdown().await;
    println!("after a clean stop: {clean:?}; {}", found(&said));
    assert!(found(&said).contains(&format!(" {slots} slots ")), "{said}");

    let (killed, server) = start(&lone);
    let said = server.stop().said;
    println!("after kill -9: {killed:?}; {}", found(&said));
    let words: Vec<&str> = found(&said).split(' ').collect();
    let there = words[words.iter().position(|&word| word == "slots").unwrap() - 1];
    assert!(there.parse::<u64>().unwrap() >= slots + published, "{said}");

    let (again, server) = start(&lone);
    println!("after that and a clean stop: {again:?}; {}", found(&server.stop().said));
}

/// Starts the server; answers how long it took until it listened, too.
fn start(lone: &Lone) -> (Duration, Serving) {
    let began = Instant::now();
    let server = Serving::start(lone.command());
    let took = began.elapsed();
    assert!(server.listens, "{:?}", server.ended());
    (took, server)
}

/// What a server said that it found.
fn found(said: &str) -> &str {
    said.lines().find(|line| line.contains(" holds ")).unwrap()
}

fn client(lone: &Lone) -> Client {
    let grid = Grid::read(&lone.home.path("grid.toml")).unwrap();
    // One busy server, and nobody to compare it with.
    let patience = Patience { limit: Millis(120_000), ..Patience::default() };
    Client::connect(&grid).unwrap().with_patience(patience)
}

/// Publishes a file of each of these numbers until so many are published, and answers how many were; others may be on
/// their way still.
async fn publish(
    client: &Client,
    files: Range<u64>,
    enough: u64,
    publishing: &mut JoinSet<bool>,
) -> u64 {
    let (mut files, mut published) = (files, 0);
    while published < enough {
        while publishing.len() < AT_ONCE
            && let Some(file) = files.next()
        {
            publishing.spawn(publish_one(client.clone(), file));
        }
        let Some(ended) = publishing.join_next().await else { break };
        published += u64::from(ended.unwrap());
    }
    published
}

async fn publish_one(client: Client, file: u64) -> bool {
    let mut rng = ChaCha8Rng::seed_from_u64(file);
    let cap = WriteCap::generate(&mut rng);
    let shape = Shape::new(1, 1, 1).unwrap();
    let window = client.choose_window(cap.verify_cap().storage_index(), shape).unwrap();
    let length = if file.is_multiple_of(10) { LARGE } else { SMALL };
    let options = PublishOptions {
        origin: Origin::Creator(window),
        follows: Follows::Nothing,
        shape: None,
        first_shape: shape,
        attempt: fresh_attempt_id(&mut rng, Duration::ZERO),
        first_try: true,
        tombstone: false,
        high_water: None,
        spent: None,
        suspects: BTreeSet::new(),
        left: None,
        journal: Arc::new(NoJournal),
        rng,
    };
    let mut publishing = client.publish(cap, Source::Bytes(vec![7; length].into()), options);
    let report = publishing.report().await.unwrap();
    publishing.settled().await;
    matches!(report, Report { outcome: Outcome::Published(_), .. })
}
