//! Reads from real servers over real gRPC what real publishes left there.

mod real;

use std::collections::BTreeSet;
use std::ops::Range;
use std::time::Duration;

use bytes::Bytes;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use real::{File, RealGrid, published};
use tarn_client::base::{Evidence, HighWater, Origin};
use tarn_client::client::Client;
use tarn_client::encode::source::Source;
use tarn_client::encode::workers::Workers;
use tarn_client::grid::Grid;
use tarn_client::publish::outcome::Published;
use tarn_client::regenerate::{BringFailure, Brought, bring_shares};
use tarn_client::retrieve::reading::{Reading, RetrieveError, RetrieveFailure, RetrieveRequest};
use tarn_client::servermap::{Failure, Patience};
use tarn_client::time::Millis;
use tarn_proto::{ConversationId, Refusal, Shape, ShareNumber, StoreId};
use tarn_server::manifest::Manifest;
use tarn_server::store::Store;
use tokio::io::AsyncReadExt;
use tokio::net::TcpListener;

fn content(length: usize) -> Bytes {
    let mut bytes = vec![0; length];
    ChaCha8Rng::seed_from_u64(length as u64).fill_bytes(&mut bytes);
    bytes.into()
}

fn shape(k: u32, n: u32) -> Shape {
    Shape::with_default_happy(k, n).expect("a shape within the limits")
}

/// A request for all of the newest version, by somebody who was given a cap.
fn request(file: &File) -> RetrieveRequest {
    RetrieveRequest {
        cap: file.cap.read_cap(),
        origin: Origin::CapHolder,
        version: None,
        range: None,
        strict: false,
        allow_rollback: false,
        high_water: None,
        suspects: BTreeSet::new(),
        map: None,
    }
}

async fn begin(client: &Client, request: RetrieveRequest) -> Result<Reading, RetrieveError> {
    client.retrieve(request, ChaCha8Rng::seed_from_u64(1)).await
}

async fn rest(reading: &mut Reading) -> Result<Vec<u8>, RetrieveError> {
    let mut bytes = Vec::new();
    while let Some(segment) = reading.next_segment().await? {
        bytes.extend_from_slice(&segment);
    }
    Ok(bytes)
}

async fn read(client: &Client, request: RetrieveRequest) -> Result<Vec<u8>, RetrieveError> {
    rest(&mut begin(client, request).await?).await
}

/// A grid with one file of this content.
async fn grid_with(servers: u8, shape: Shape, content: &Bytes) -> (RealGrid, File, Published) {
    let mut grid = RealGrid::start(servers).await;
    let file = File::new(&mut grid, shape);
    let made = published(grid.publish(&file, content.clone()).await);
    (grid, file, made)
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_published_is_read_back_at_lengths_around_every_boundary() {
    let mut grid = RealGrid::start(4).await;
    let client = grid.client();
    for (k, n) in [(1, 1), (4, 4), (2, 4), (1, 4)] {
        let file = File::new(&mut grid, shape(k, n));
        let segment = k as usize * (64 << 10);
        for length in [0, 1, k as usize, segment - 1, segment, segment + 1, 3 * segment + 7] {
            let content = content(length);
            published(grid.publish(&file, content.clone()).await);
            let mut reading = begin(&client, request(&file)).await.unwrap();
            assert!(reading.found().confirmed);
            assert!(rest(&mut reading).await.unwrap() == content, "{k}-of-{n}, {length} bytes");
            assert_eq!(reading.next_segment().await, Ok(None), "and that is the end");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_long_file_on_few_servers_comes_through_a_reader() {
    let content = content((40 << 20) + 5);
    let (grid, file, _) = grid_with(3, Shape::new(3, 3, 10).unwrap(), &content).await;
    let reading = begin(&grid.client(), request(&file)).await.unwrap();
    let mut reader = reading.into_async_read();
    let mut bytes = Vec::new();
    reader.read_to_end(&mut bytes).await.unwrap();
    assert!(bytes == content);
}

#[tokio::test(flavor = "multi_thread")]
async fn any_range_of_bytes_is_cut_out() {
    let segment = 2 * (64 << 10);
    let content = content(5 * segment + 100);
    let (grid, file, _) = grid_with(4, shape(2, 4), &content).await;
    let client = grid.client();
    let ranges: [Range<usize>; 6] = [
        0..1,
        segment - 1..segment + 1,
        segment..2 * segment,
        3 * segment + 5..content.len(),
        7..7,
        content.len() - 1..content.len() + 10,
    ];
    for range in ranges {
        let wanted = Some(range.start as u64..range.end as u64);
        let bytes = read(&client, RetrieveRequest { range: wanted, ..request(&file) }).await;
        let expected = &content[range.start..range.end.min(content.len())];
        assert!(bytes.unwrap() == expected, "{range:?}");
        let wanted = range.start as u64..range.end as u64;
        let rng = ChaCha8Rng::seed_from_u64(2);
        assert!(client.read(file.cap.read_cap(), wanted, rng).await.unwrap() == expected);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn servers_that_die_in_the_middle_are_replaced() {
    let content = content(30 << 20);
    let (mut grid, file, _) = grid_with(10, Shape::default(), &content).await;
    let mut reading = begin(&grid.client(), request(&file)).await.unwrap();
    let mut bytes = reading.next_segment().await.unwrap().unwrap().to_vec();
    for number in [0, 2, 4, 5, 6, 8, 9] {
        grid.stop(number).await;
    }
    bytes.extend(rest(&mut reading).await.unwrap());
    assert!(bytes == content);
}

#[tokio::test(flavor = "multi_thread")]
async fn too_few_servers_left_end_it_with_an_error_after_good_bytes() {
    let content = content(60 << 20);
    let (mut grid, file, made) = grid_with(4, shape(2, 4), &content).await;
    let mut reading = begin(&grid.client(), request(&file)).await.unwrap();
    let first = reading.next_segment().await.unwrap().unwrap();
    assert!(content.starts_with(&first));
    for number in 0..3 {
        grid.stop(number).await;
    }
    let mut length = first.len();
    let failed = loop {
        match reading.next_segment().await {
            Ok(Some(segment)) => {
                assert!(content[length..].starts_with(&segment));
                length += segment.len();
            }
            Ok(None) => panic!("the end came early"),
            Err(error) => break error,
        }
    };
    let RetrieveFailure::NotEnoughShares { header, shortage } = failed.failure else {
        panic!("{failed:?}")
    };
    assert_eq!((header.version(), shortage.have, shortage.need), (made.version, 1, 2));
    assert_eq!(failed.troubles.len(), 3, "every dead server is named");
}

#[tokio::test(flavor = "multi_thread")]
async fn bytes_that_rotted_on_a_disk_are_replaced_from_other_shares() {
    let content = content(3 << 20);
    let (grid, file, _) = grid_with(4, shape(2, 4), &content).await;
    for server in &grid.servers[..2] {
        for chunk in server.store.chunks() {
            server.store.tamper_chunk(chunk, |bytes| {
                let middle = bytes.len() / 2;
                bytes[middle] ^= 1;
            });
        }
    }
    assert!(read(&grid.client(), request(&file)).await.unwrap() == content);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_version_replaced_while_it_is_read_is_never_mixed_with_its_successor() {
    let before = content(60 << 20);
    let (mut grid, file, made) = grid_with(4, shape(2, 4), &before).await;
    let mut reading = begin(&grid.client(), request(&file)).await.unwrap();
    let first = reading.next_segment().await.unwrap().unwrap();
    let after = published(grid.publish(&file, content(1 << 20)).await);
    let mut length = first.len();
    let ended = loop {
        match reading.next_segment().await {
            Ok(Some(segment)) => {
                assert!(before[length..].starts_with(&segment));
                length += segment.len();
            }
            Ok(None) => panic!("it was dropped everywhere"),
            Err(error) => break error,
        }
    };
    let RetrieveFailure::NotEnoughShares { header, .. } = ended.failure else {
        panic!("{ended:?}")
    };
    assert_eq!(header.version(), made.version);
    let now = begin(&grid.client(), request(&file)).await.unwrap();
    assert_eq!(now.found().header.version(), after.version);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_version_in_doubt_is_brought_to_a_quorum_for_later_readers() {
    for content in [content(2 << 20), Bytes::new()] {
        let (mut grid, file, made) = grid_with(5, shape(2, 5), &content).await;
        let si = file.cap.verify_cap().storage_index();
        // The certificates were never handed out, and two servers lost their disks.
        for (number, server) in grid.servers.iter().enumerate() {
            server.store.tamper(si, |manifest| {
                manifest.certificates.clear();
                if number < 2 {
                    *manifest = Manifest::default();
                }
            });
        }
        let mut reading = begin(&grid.client(), request(&file)).await.unwrap();
        assert!(reading.found().confirmed);
        assert_eq!(reading.found().high_water, Some(HighWater::of(&reading.found().header)));
        assert!(rest(&mut reading).await.unwrap() == content);

        let map = grid.client().survey(si, &Origin::CapHolder).await;
        let evidence = Evidence::gather(&map.answers);
        assert!(evidence.is_certain(made.version), "{:?}", evidence.seen(made.version));
        // What was brought is what was there before: those who kept theirs can go.
        grid.stop(2).await;
        grid.stop(3).await;
        assert!(read(&grid.client(), request(&file)).await.unwrap() == content);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn below_a_majority_a_reader_is_warned_and_a_strict_one_refused() {
    let content = content(100_000);
    let (mut grid, file, _) = grid_with(5, shape(2, 5), &content).await;
    let si = file.cap.verify_cap().storage_index();
    for server in &grid.servers {
        server.store.tamper(si, |manifest| manifest.certificates.clear());
    }
    for number in 0..3 {
        grid.stop(number).await;
    }
    let mut reading = begin(&grid.client(), request(&file)).await.unwrap();
    assert_eq!((reading.found().confirmed, reading.found().high_water), (false, None));
    assert!(rest(&mut reading).await.unwrap() == content);
    let strict = RetrieveRequest { strict: true, ..request(&file) };
    let refused = begin(&grid.client(), strict).await.unwrap_err();
    let RetrieveFailure::NotEnoughServers { shortfall } = refused.failure else {
        panic!("{refused:?}")
    };
    assert_eq!((shortfall.answered, shortfall.majority), (2, 3));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deleted_file_says_so() {
    let (mut grid, file, _) = grid_with(4, shape(2, 4), &content(10)).await;
    let mut options = grid.options(&file);
    options.tombstone = true;
    let source = Source::Bytes(Bytes::new());
    let mut publishing = grid.client().publish(file.cap.clone(), source, options);
    published(publishing.report().await.unwrap());
    let error = begin(&grid.client(), request(&file)).await.unwrap_err();
    assert!(matches!(error.failure, RetrieveFailure::Deleted { confirmed: true, .. }), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn shares_are_brought_once_and_then_held_already() {
    let content = content(3 << 20);
    let (grid, file, made) = grid_with(4, shape(2, 4), &content).await;
    let si = file.cap.verify_cap().storage_index();
    let lost = &grid.servers[0];
    let (was, _) = lost.store.load(si).await.unwrap().unwrap();
    lost.store.tamper(si, |manifest| *manifest = Manifest::default());
    let client = grid.client();
    let mut sources = made.placement.clone();
    let shares = sources.remove(&lost.store.id()).unwrap();
    let target = client.server(lost.store.id()).unwrap();
    let bring = |conversation: u8, shares: BTreeSet<ShareNumber>| {
        let brought = Brought {
            header: made.header.clone().unwrap(),
            certificate: None,
            ancestors: Vec::new(),
            conversation: ConversationId::new([conversation; 16]),
            shares,
            sources: sources.clone(),
        };
        bring_shares(client.servers(), target, brought, Workers::default())
    };
    assert_eq!(bring(1, shares.clone()).await, Ok(()));
    assert_eq!(bring(2, shares.clone()).await, Ok(()));
    let (is, _) = lost.store.load(si).await.unwrap().unwrap();
    let held = |manifest: &Manifest| manifest.generations[0].shares.keys().copied().collect();
    let (before, now): (BTreeSet<_>, BTreeSet<_>) = (held(&was), held(&is));
    assert_eq!((before, now), (shares.clone(), shares));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_has_gone_on_refuses_what_is_brought() {
    let (mut grid, file, first) = grid_with(4, shape(2, 4), &content(10)).await;
    let si = file.cap.verify_cap().storage_index();
    let mut before = Vec::new();
    for server in &grid.servers {
        before.push(server.store.load(si).await.unwrap().unwrap().0);
    }
    published(grid.publish(&file, content(20)).await);
    // All but one were restored from copies.
    for (server, before) in grid.servers.iter().zip(before).skip(1) {
        server.store.tamper(si, |manifest| *manifest = before);
    }
    let client = grid.client();
    let ahead = grid.servers[0].store.id();
    let brought = Brought {
        header: first.header.clone().unwrap(),
        certificate: None,
        ancestors: Vec::new(),
        conversation: ConversationId::new([1; 16]),
        shares: first.placement[&ahead].clone(),
        sources: first.placement.clone(),
    };
    let target = client.server(ahead).unwrap();
    let refused =
        bring_shares(client.servers(), target, brought, Workers::default()).await.unwrap_err();
    let BringFailure::Refused { refusal: Refusal::Stale, state: Some(state) } = refused else {
        panic!("{refused:?}")
    };
    assert_eq!(state.current().unwrap().header.header().sequence_number.get(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reading_that_is_dropped_leaves_no_task_behind() {
    let content = content(30 << 20);
    let (grid, file, _) = grid_with(4, shape(2, 4), &content).await;
    let client = grid.client();
    read(&client, request(&file)).await.unwrap();
    let tasks = || tokio::runtime::Handle::current().metrics().num_alive_tasks();
    settle(tasks, usize::MAX).await;
    let before = tasks();
    let mut reading = begin(&client, request(&file)).await.unwrap();
    reading.next_segment().await.unwrap().unwrap();
    assert!(tasks() > before);
    drop(reading);
    settle(tasks, before).await;
    let begun = tokio::time::timeout(Duration::from_millis(1), begin(&client, request(&file)));
    drop(begun.await);
    settle(tasks, before).await;
}

/// Waits until there are at most so many tasks; or, when any number will do, until their number stays the same.
async fn settle(tasks: impl Fn() -> usize, most: usize) {
    let waiting = async {
        loop {
            let count = tasks();
            tokio::time::sleep(Duration::from_millis(50)).await;
            if count <= most && tasks() == count {
                return;
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(20), waiting).await.expect("tasks are left behind");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_survey_says_what_each_server_holds_and_who_does_not_answer() {
    let (mut grid, file, made) = grid_with(4, shape(2, 4), &content(10)).await;
    grid.stop(3).await;
    let si = file.cap.verify_cap().storage_index();
    let map = grid.client().survey(si, &Origin::CapHolder).await;
    assert_eq!((map.answers.len(), map.failures.len()), (3, 1));
    let evidence = Evidence::gather(&map.answers);
    assert_eq!(evidence.seen(made.version).unwrap().recoverable_shares(), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_survey_waits_for_a_server_that_hangs_no_longer_than_a_publish_does() {
    let (mut grid, file, made) = grid_with(4, shape(2, 4), &content(10)).await;
    let (_hung, listed) = hang(&mut grid, 3).await;
    // Whoever waits for this limit is not back in a minute.
    let patience = Patience { limit: Millis(3_600_000), ..Patience::default() };
    let client = grid.client().with_patience(patience);
    let si = file.cap.verify_cap().storage_index();
    let survey = client.survey(si, &file.origin);
    let map = tokio::time::timeout(Duration::from_secs(60), survey).await.expect("it waits");
    assert!(map.evidence().is_certain(made.version));
    assert!(matches!(map.failures[&listed], Failure::Late(_)), "{:?}", map.failures);
    assert_eq!(map.heard().silent, [listed].into());
}

/// Puts in a server's place one that takes connections and answers nothing, as long as what is returned lives.
async fn hang(grid: &mut RealGrid, number: usize) -> (TcpListener, StoreId) {
    grid.stop(number).await;
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("it listens");
    let mut servers = grid.grid.servers().to_vec();
    servers[number].address = address.to_string().parse().expect("an address");
    let store = servers[number].store;
    grid.grid = Grid::new(servers).expect("as many as before");
    (listener, store)
}
