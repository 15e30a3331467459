//! Changes ranges of files on real servers over real gRPC, and compares each with a copy in memory.
#![allow(clippy::unwrap_used, reason = "a test ends where its stage cannot be set")]

mod real;

use std::num::NonZeroU32;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rand::{Rng, RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use real::{File, RealGrid, published};
use tarn_client::base::Origin;
use tarn_client::caps::fresh_attempt_id;
use tarn_client::client::Client;
use tarn_client::encode::source::Source;
use tarn_client::publish::outcome::Outcome;
use tarn_client::publish::publishing::NoJournal;
use tarn_client::retrieve::reading::RetrieveRequest;
use tarn_client::update::{Change, Place, Then, UpdateError, UpdateOptions, Updated};
use tarn_proto::{Shape, VersionId};

fn shape() -> Shape {
    Shape::new(2, 3, 4).unwrap()
}

/// A segment of two blocks of the usual size.
const SEGMENT: usize = 2 * (64 << 10);

fn options(seed: u64, spools: &Path) -> UpdateOptions {
    // Not the submissions that the stage draws.
    let mut rng = ChaCha8Rng::seed_from_u64(1_000_000 + seed);
    UpdateOptions {
        first_try: true,
        origin: Origin::CapHolder,
        first_shape: shape(),
        if_version: None,
        attempt: fresh_attempt_id(&mut rng, Duration::from_secs(seed)),
        high_water: None,
        suspects: [].into(),
        journal: Arc::new(NoJournal),
        spools: spools.to_owned(),
        tries: NonZeroU32::new(20).unwrap(),
        rng,
    }
}

fn bytes(seed: u64, length: usize) -> Vec<u8> {
    let mut bytes = vec![0; length];
    ChaCha8Rng::seed_from_u64(seed).fill_bytes(&mut bytes);
    bytes
}

fn change(at: Place, content: &[u8], then: Then) -> Change {
    Change { at, source: Source::Bytes(content.to_vec().into()), then }
}

/// What the change makes of a copy.
fn apply(copy: &mut Vec<u8>, change: &Change, content: &[u8]) {
    let start = match change.at {
        Place::Offset(offset) => usize::try_from(offset).unwrap(),
        Place::End => copy.len(),
    };
    let end = start + content.len();
    if copy.len() < end {
        copy.resize(end, 0);
    }
    copy[start..end].copy_from_slice(content);
    if change.then == Then::Ends {
        copy.truncate(end);
    }
}

async fn read(client: &Client, file: &File) -> Vec<u8> {
    let request = RetrieveRequest {
        cap: file.cap.read_cap(),
        origin: Origin::CapHolder,
        version: None,
        range: None,
        strict: true,
        allow_rollback: false,
        high_water: None,
        suspects: [].into(),
        map: None,
    };
    let mut reading = client.retrieve(request, ChaCha8Rng::seed_from_u64(1)).await.unwrap();
    let mut content = Vec::new();
    while let Some(segment) = reading.next_segment().await.unwrap() {
        content.extend_from_slice(&segment);
    }
    content
}

/// Changes the file, and waits for everything, courtesies included. Says too how many bytes were sent.
async fn update(
    client: &Client,
    file: &File,
    change: &Change,
    options: UpdateOptions,
) -> (VersionId, bool, u64) {
    let updated = client.update(&file.cap, change, options).await.unwrap();
    let Updated { published, in_place, publishing, .. } = updated;
    let status = publishing.status();
    publishing.settled().await;
    let (acknowledged, total) = (status.borrow().acknowledged, status.borrow().total.unwrap());
    assert!(acknowledged <= total, "servers took in more than was to be sent");
    (published.version, in_place, total)
}

#[tokio::test]
async fn every_kind_of_change_comes_out_as_in_a_copy() {
    let mut grid = RealGrid::start(4).await;
    let file = File::new(&mut grid, shape());
    let folder = tempfile::tempdir().unwrap();
    let mut copy = bytes(1, 5 * SEGMENT + 1000);
    published(grid.publish(&file, copy.clone()).await);
    let client = grid.client();
    let segment = SEGMENT as u64;
    let changes = [
        (Place::Offset(segment + 7), 100, Then::Keeps),
        (Place::Offset(2 * segment), SEGMENT, Then::Keeps),
        (Place::Offset(segment - 50), 100, Then::Keeps),
        (Place::Offset(5 * segment + 990), 10, Then::Keeps),
        (Place::End, 24, Then::Keeps),
        (Place::End, 3 * SEGMENT, Then::Keeps),
        (Place::Offset(10 * segment + 5), 1, Then::Keeps),
        (Place::Offset(9 * segment), 0, Then::Ends),
        (Place::Offset(7 * segment + 99), 1, Then::Ends),
        (Place::Offset(12 * segment), 0, Then::Ends),
        (Place::Offset(3), 0, Then::Keeps),
        (Place::Offset(0), 2 * SEGMENT + 1, Then::Ends),
    ];
    for (number, (at, length, then)) in (10..).zip(changes) {
        let content = bytes(number, length);
        let change = change(at, &content, then);
        let (_, in_place, _) =
            update(&client, &file, &change, options(number, folder.path())).await;
        apply(&mut copy, &change, &content);
        assert!(in_place, "{change:?}");
        assert!(read(&client, &file).await == copy, "{change:?}");
    }
}

#[tokio::test]
async fn random_changes_come_out_as_in_a_copy_whichever_way_they_are_made() {
    let mut grid = RealGrid::start(4).await;
    let file = File::new(&mut grid, shape());
    let folder = tempfile::tempdir().unwrap();
    let mut copy = bytes(2, 3 * SEGMENT);
    published(grid.publish(&file, copy.clone()).await);
    let client = grid.client();
    let mut rng = ChaCha8Rng::seed_from_u64(3);
    let (mut in_place, mut whole) = (0, 0);
    for number in 0..40 {
        let longest = if rng.random_bool(0.7) { 2000 } else { 2 * SEGMENT };
        let content = bytes(number, rng.random_range(0..=longest));
        let at = match rng.random_range(0..6) {
            0 => Place::End,
            1 => Place::Offset((copy.len() + rng.random_range(0..SEGMENT)) as u64),
            _ => Place::Offset(rng.random_range(0..=copy.len()) as u64),
        };
        let ends = rng.random_bool(0.2);
        let change = change(at, &content, if ends { Then::Ends } else { Then::Keeps });
        let ended = update(&client, &file, &change, options(100 + number, folder.path())).await;
        apply(&mut copy, &change, &content);
        assert!(read(&client, &file).await == copy, "{number}: {change:?}");
        if ended.1 { in_place += 1 } else { whole += 1 }
    }
    assert!(in_place > 10 && whole > 0, "{in_place} in place, {whole} whole");
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
}

#[tokio::test]
async fn what_is_sent_does_not_grow_with_the_file() {
    let mut grid = RealGrid::start(4).await;
    let client = grid.client();
    let folder = tempfile::tempdir().unwrap();
    let mut sent = Vec::new();
    for length in [1 << 20, 64 << 20] {
        let file = File::new(&mut grid, shape());
        published(grid.publish(&file, vec![7; length]).await);
        let change = change(Place::Offset(300_000), &[1; 1024], Then::Keeps);
        let (_, in_place, bytes) =
            update(&client, &file, &change, options(length as u64, folder.path())).await;
        assert!(in_place);
        sent.push(bytes);
    }
    // One segment of four blocks, and its row for each server.
    assert_eq!(sent, [4 * ((64 << 10) + 32 + 4 * 32); 2]);
}

#[tokio::test]
async fn without_a_server_the_rest_is_changed_and_its_share_is_brought() {
    let mut grid = RealGrid::start(4).await;
    let file = File::new(&mut grid, shape());
    let folder = tempfile::tempdir().unwrap();
    let mut copy = bytes(4, 4 * SEGMENT);
    published(grid.publish(&file, copy.clone()).await);
    grid.stop(2).await;
    let client = grid.client();
    for number in 1..4 {
        let content = bytes(number, 500);
        let change = change(Place::Offset(SEGMENT as u64 * number), &content, Then::Keeps);
        let (_, in_place, _) =
            update(&client, &file, &change, options(number, folder.path())).await;
        apply(&mut copy, &change, &content);
        assert!(in_place, "three of four are a quorum");
        assert!(read(&client, &file).await == copy);
    }
}

#[tokio::test]
async fn where_too_few_have_the_version_all_of_it_is_published() {
    let mut grid = RealGrid::start(5).await;
    let file = File::new(&mut grid, Shape::new(2, 3, 5).unwrap());
    let folder = tempfile::tempdir().unwrap();
    let mut copy = bytes(5, 4 * SEGMENT);
    published(grid.publish(&file, copy.clone()).await);
    // Three servers come back empty-handed: two have it, three are needed.
    for number in 0..3 {
        grid.empty(number).await;
    }
    let client = grid.client();
    let content = bytes(6, 500);
    let change = change(Place::Offset(SEGMENT as u64), &content, Then::Keeps);
    let (_, in_place, _) = update(&client, &file, &change, options(1, folder.path())).await;
    apply(&mut copy, &change, &content);
    assert!(!in_place);
    assert!(read(&client, &file).await == copy);
}

#[tokio::test]
async fn of_many_who_append_at_once_each_is_there_once() {
    let mut grid = RealGrid::start(4).await;
    let file = File::new(&mut grid, shape());
    let folder = tempfile::tempdir().unwrap();
    published(grid.publish(&file, vec![0; 2 * SEGMENT]).await);
    let client = grid.client();
    let append = async |number: u8| {
        let change = change(Place::End, &[number; 1000], Then::Keeps);
        let options = options(number.into(), folder.path());
        client.update(&file.cap, &change, options).await.unwrap().publishing.settled().await;
    };
    tokio::join!(append(1), append(2), append(3));
    let content = read(&client, &file).await;
    assert_eq!(content.len(), 2 * SEGMENT + 3000);
    let mut appended: Vec<u8> = content[2 * SEGMENT..]
        .chunks(1000)
        .map(|chunk| {
            assert!(chunk.iter().all(|byte| *byte == chunk[0]), "two are mixed");
            chunk[0]
        })
        .collect();
    appended.sort_unstable();
    assert_eq!(appended, [1, 2, 3]);
}

#[tokio::test]
async fn only_the_version_that_was_named_is_changed() {
    let mut grid = RealGrid::start(4).await;
    let file = File::new(&mut grid, shape());
    let folder = tempfile::tempdir().unwrap();
    let first = published(grid.publish(&file, vec![0; 2 * SEGMENT]).await).version;
    let client = grid.client();
    let change = change(Place::End, b"more", Then::Keeps);
    let on = |version| UpdateOptions { if_version: Some(version), ..options(1, folder.path()) };
    let (second, in_place, _) = update(&client, &file, &change, on(first)).await;
    assert!(in_place);
    let error = client.update(&file.cap, &change, on(first)).await.unwrap_err();
    let UpdateError::NotPublished(report) = error else { panic!("{error:?}") };
    let Outcome::Stale { now } = report.outcome else { panic!("{report:?}") };
    assert_eq!(now.unwrap().version(), second);
    assert_eq!(read(&client, &file).await.len(), 2 * SEGMENT + 4);
}

#[tokio::test]
async fn a_change_that_is_repeated_takes_effect_once() {
    let mut grid = RealGrid::start(4).await;
    let file = File::new(&mut grid, shape());
    let folder = tempfile::tempdir().unwrap();
    published(grid.publish(&file, vec![0; 2 * SEGMENT]).await);
    let client = grid.client();
    let change = change(Place::End, b"once", Then::Keeps);
    let (version, ..) = update(&client, &file, &change, options(1, folder.path())).await;
    let again = UpdateOptions { first_try: false, ..options(1, folder.path()) };
    let again = client.update(&file.cap, &change, again).await.unwrap();
    assert_eq!((again.published.version, again.published.repeated), (version, true));
    again.publishing.settled().await;
    assert_eq!(read(&client, &file).await.len(), 2 * SEGMENT + 4);
}

#[tokio::test]
async fn what_is_appended_to_a_file_without_versions_is_its_first() {
    let mut grid = RealGrid::start(4).await;
    let file = File::new(&mut grid, shape());
    let folder = tempfile::tempdir().unwrap();
    let client = grid.client();
    let options =
        |seed| UpdateOptions { origin: file.origin.clone(), ..options(seed, folder.path()) };
    for (seed, expected) in [(1, "one"), (2, "oneone")] {
        let change = change(Place::End, b"one", Then::Keeps);
        let (_, in_place, _) = update(&client, &file, &change, options(seed)).await;
        assert!(!in_place, "a small file is published as a whole");
        assert_eq!(read(&client, &file).await, expected.as_bytes());
    }
}
