//! What comes through a pipe is published to real servers while it comes.
#![allow(clippy::unwrap_used, reason = "a story that cannot go on must end")]
#![allow(clippy::wildcard_enum_match_arm, reason = "any other outcome fails the test")]

mod real;

use std::time::Duration;

use real::{File, RealGrid, published};
use tarn_client::base::Origin;
use tarn_client::encode::source::Source;
use tarn_client::publish::Follows;
use tarn_client::publish::outcome::{Outcome, Report};
use tarn_client::publish::publishing::Publishing;
use tarn_proto::Shape;
use tokio::io::{AsyncWriteExt, DuplexStream};
use tokio::time::timeout;

/// A segment of 3 of 10.
const SEGMENT: usize = 3 * (64 << 10);
/// What a pipe holds.
const HELD: usize = 64 << 10;

fn content(length: usize) -> Vec<u8> {
    (0..length).map(|place| (place * 7 + place / 251).to_le_bytes()[0]).collect()
}

/// Begins a publish of what is written into the other end.
fn begin(grid: &mut RealGrid, file: &File, follows: Follows) -> (DuplexStream, Publishing) {
    let (pipe, input) = tokio::io::duplex(HELD);
    let mut options = grid.options(file);
    options.follows = follows;
    (pipe, grid.client().publish_once(file.cap.clone(), input, options))
}

async fn write(mut pipe: DuplexStream, bytes: &[u8]) {
    pipe.write_all(bytes).await.unwrap();
}

async fn publish(grid: &mut RealGrid, file: &File, bytes: &[u8]) -> Report {
    let (pipe, mut publishing) = begin(grid, file, Follows::Whatever);
    let (report, ()) = tokio::join!(publishing.report(), write(pipe, bytes));
    publishing.settled().await;
    report.unwrap()
}

async fn read(grid: &RealGrid, file: &File) -> Vec<u8> {
    let client = grid.client();
    client.read(file.cap.read_cap(), 0..u64::MAX, rand::make_rng()).await.unwrap().to_vec()
}

/// How many distinct shares of the newest version servers have.
async fn shares(grid: &RealGrid, file: &File) -> usize {
    let origin = Origin::CapHolder;
    let map = grid.client().survey(file.cap.verify_cap().storage_index(), &origin).await;
    let current = map.answers.values().filter_map(|state| state.current());
    let shares: std::collections::BTreeSet<_> =
        current.flat_map(|current| current.shares.keys().copied()).collect();
    shares.len()
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_its_length_it_is_read_back() {
    let mut grid = RealGrid::start(10).await;
    let file = File::new(&mut grid, Shape::default());
    for length in [0, 1, 3, SEGMENT - 1, SEGMENT, SEGMENT + 1, 20 * SEGMENT + 12_345] {
        let done = published(publish(&mut grid, &file, &content(length)).await);
        let geometry = done.header.unwrap().header().geometry;
        assert_eq!((geometry.length(), geometry.block_size()), (length as u64, 64 << 10));
        assert_eq!((done.placement.len(), done.missing.len()), (10, 0));
        assert_eq!(read(&grid, &file).await, content(length), "{length} bytes");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn it_is_sent_while_it_comes_and_nothing_is_visible_before_its_end() {
    let mut grid = RealGrid::start(10).await;
    let file = File::new(&mut grid, Shape::default());
    let (mut pipe, mut publishing) = begin(&mut grid, &file, Follows::Whatever);
    let status = publishing.status();
    pipe.write_all(&content(8 * SEGMENT)).await.unwrap();
    let mut seen = status.clone();
    let taken = seen.wait_for(|status| status.acknowledged > 8 * SEGMENT as u64).await;
    assert_eq!(taken.unwrap().total, None);
    assert_eq!(shares(&grid, &file).await, 0);
    drop(pipe);
    published(publishing.report().await.unwrap());
    assert_eq!(read(&grid, &file).await, content(8 * SEGMENT));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_share_whose_server_is_lost_meanwhile_is_brought_in_the_end() {
    let mut grid = RealGrid::start(10).await;
    let file = File::new(&mut grid, Shape::default());
    let (mut pipe, mut publishing) = begin(&mut grid, &file, Follows::Whatever);
    pipe.write_all(&content(10 * SEGMENT)).await.unwrap();
    grid.stop(3).await;
    grid.stop(7).await;
    pipe.write_all(&content(10 * SEGMENT)).await.unwrap();
    drop(pipe);
    let report = publishing.report().await.unwrap();
    assert_eq!(report.rounds, 1);
    let done = published(report);
    assert_eq!((done.placement.len(), done.missing.len()), (8, 2));
    publishing.settled().await;
    assert_eq!(shares(&grid, &file).await, 10, "the others have brought what was missing");
    assert_eq!(read(&grid, &file).await, [content(10 * SEGMENT), content(10 * SEGMENT)].concat());
}

#[tokio::test(flavor = "multi_thread")]
async fn when_too_few_servers_are_left_it_ends_without_waiting_for_the_rest() {
    let mut grid = RealGrid::start(10).await;
    let file = File::new(&mut grid, Shape::default());
    published(publish(&mut grid, &file, b"before").await);
    let (mut pipe, mut publishing) = begin(&mut grid, &file, Follows::Whatever);
    pipe.write_all(&content(4 * SEGMENT)).await.unwrap();
    for server in 0..4 {
        grid.stop(server).await;
    }
    let report = timeout(Duration::from_secs(30), publishing.report()).await.unwrap().unwrap();
    let Outcome::NotEnoughServers(shortfall) = &report.outcome else { panic!("{report:#?}") };
    assert_eq!((shortfall.usable, shortfall.quorum), (6, 7));
    assert!(pipe.write_all(&content(4 * SEGMENT)).await.is_err(), "nobody reads on");
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_publishes_meanwhile_comes_first() {
    let mut grid = RealGrid::start(5).await;
    let file = File::new(&mut grid, Shape::with_default_happy(2, 5).unwrap());
    let mut newest = published(publish(&mut grid, &file, b"first").await).version;
    for names_it in [false, true] {
        let follows = if names_it { Follows::Version(newest) } else { Follows::Whatever };
        let (mut pipe, mut publishing) = begin(&mut grid, &file, follows);
        // More than the pipe holds, so it is being read, and what it follows is chosen.
        pipe.write_all(&content(SEGMENT)).await.unwrap();
        newest = published(grid.publish(&file, "theirs").await).version;
        drop(pipe);
        match publishing.report().await.unwrap().outcome {
            Outcome::InputUsedUp if !names_it => {}
            Outcome::UncoordinatedWrite { theirs: Some(theirs) } if names_it => {
                assert_eq!(theirs.version(), newest);
            }
            other => panic!("{other:?}"),
        }
        assert_eq!(read(&grid, &file).await, b"theirs");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_input_that_breaks_off_is_not_published_as_far_as_it_came() {
    let mut grid = RealGrid::start(4).await;
    let file = File::new(&mut grid, Shape::with_default_happy(2, 4).unwrap());
    published(publish(&mut grid, &file, b"before").await);
    let broken = std::io::Error::other("the line is dead");
    let input = tokio_util::io::StreamReader::new(futures::stream::iter([
        Ok(bytes::Bytes::from(content(3 * SEGMENT))),
        Err(broken),
    ]));
    let options = grid.options(&file);
    let report = grid.client().publish_once(file.cap.clone(), input, options).report().await;
    let Outcome::Failed { cause } = report.unwrap().outcome else { panic!() };
    assert!(cause.contains("the line is dead"), "{cause}");
    assert_eq!(read(&grid, &file).await, b"before");
}

#[tokio::test(flavor = "multi_thread")]
async fn called_off_it_changes_nothing_and_lets_go_of_its_input() {
    let mut grid = RealGrid::start(4).await;
    let file = File::new(&mut grid, Shape::with_default_happy(2, 4).unwrap());
    let (mut pipe, mut publishing) = begin(&mut grid, &file, Follows::Whatever);
    pipe.write_all(&content(SEGMENT)).await.unwrap();
    publishing.cancel();
    assert_eq!(publishing.report().await.unwrap().outcome, Outcome::Cancelled);
    publishing.settled().await;
    assert!(pipe.write_all(&content(SEGMENT)).await.is_err());
    // An ordinary publish finds nothing of it in its way.
    let options = grid.options(&file);
    let source = Source::Bytes("after".into());
    let report = grid.client().publish(file.cap.clone(), source, options).report().await.unwrap();
    assert_eq!(report.rounds, 1);
    published(report);
}
