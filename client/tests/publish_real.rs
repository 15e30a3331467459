//! Publishes to real servers over real gRPC.
#![allow(clippy::wildcard_enum_match_arm, reason = "any other outcome fails the test")]

mod real;

use std::collections::BTreeMap;

use real::{File, RealGrid, published};
use tarn_client::publish::Follows;
use tarn_client::publish::outcome::Outcome;
use tarn_proto::Shape;
use tarn_server::store::Store;

#[tokio::test(flavor = "multi_thread")]
async fn a_first_and_a_second_version_reach_every_server() {
    let mut grid = RealGrid::start(10).await;
    let file = File::new(&mut grid, Shape::default());
    let first = published(grid.publish(&file, "first").await);
    assert_eq!((first.placement.len(), first.missing.len()), (10, 0));
    let second = published(grid.publish(&file, vec![7; 1 << 20]).await);
    let header = second.header.unwrap();
    assert_eq!(header.header().sequence_number.get(), 2);
    assert_eq!(header.header().predecessor, Some(first.version));

    let si = file.cap.verify_cap().storage_index();
    for server in &grid.servers {
        let (manifest, _) = server.store.load(si).await.unwrap().unwrap();
        let held: Vec<_> = manifest.generations.iter().map(|g| g.header.version()).collect();
        assert_eq!(held, [second.version], "finalized: the first generation is dropped");
        assert_eq!(manifest.certificates.len(), 1);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn lengths_around_every_boundary_are_published() {
    let mut grid = RealGrid::start(4).await;
    for (k, n) in [(1, 1), (4, 4), (2, 4), (1, 4)] {
        let file = File::new(&mut grid, Shape::with_default_happy(k, n).unwrap());
        let segment = k as usize * (64 << 10);
        for length in [0, 1, k as usize, segment - 1, segment, segment + 1, 3 * segment + 7] {
            let report = grid.publish(&file, vec![3; length]).await;
            let header = published(report).header.unwrap();
            assert_eq!(header.header().geometry.length(), length as u64);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn more_shares_than_servers_are_doubled_up() {
    let mut grid = RealGrid::start(5).await;
    let file = File::new(&mut grid, Shape::new(254, 5, 255).unwrap());
    let done = published(grid.publish(&file, vec![1; 100_000]).await);
    let counts: Vec<usize> = done.placement.values().map(std::collections::BTreeSet::len).collect();
    assert_eq!(counts, [51; 5]);
}

#[tokio::test(flavor = "multi_thread")]
async fn dead_servers_are_done_without_down_to_the_quorum_and_not_below() {
    let mut grid = RealGrid::start(10).await;
    let file = File::new(&mut grid, Shape::default());
    published(grid.publish(&file, "first").await);
    for number in 0..3 {
        grid.stop(number).await;
    }
    let second = published(grid.publish(&file, "second").await);
    assert_eq!((second.placement.len(), second.missing.len()), (7, 0));
    grid.stop(3).await;
    let report = grid.publish(&file, "third").await;
    let Outcome::NotEnoughServers(shortfall) = &report.outcome else { panic!("{report:#?}") };
    assert_eq!((shortfall.usable, shortfall.quorum), (6, 7));
    assert_eq!(report.troubles.len(), 4, "every dead server is named");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stale_base_is_refused_with_the_newest_version() {
    let mut grid = RealGrid::start(4).await;
    let file = File::new(&mut grid, Shape::with_default_happy(2, 4).unwrap());
    let first = published(grid.publish(&file, "first").await);
    let second = published(grid.publish(&file, "second").await);
    let mut options = grid.options(&file);
    options.follows = Follows::Version(first.version);
    let source = tarn_client::encode::source::Source::Bytes("third".into());
    let report = grid.client().publish(file.cap.clone(), source, options).report().await.unwrap();
    let Outcome::Stale { now: Some(now) } = report.outcome else { panic!("{report:#?}") };
    assert_eq!(now.version(), second.version);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_submission_again_changes_nothing_and_names_its_version() {
    let mut grid = RealGrid::start(4).await;
    let file = File::new(&mut grid, Shape::with_default_happy(2, 4).unwrap());
    let options = grid.options(&file);
    let attempt = options.attempt;
    let source = || tarn_client::encode::source::Source::Bytes("content".into());
    let mut first = grid.client().publish(file.cap.clone(), source(), options);
    let made = published(first.report().await.unwrap());
    first.settled().await;
    published(grid.publish(&file, "another came after").await);

    let mut again = grid.options(&file);
    again.attempt = attempt;
    let report = grid.client().publish(file.cap.clone(), source(), again).report().await.unwrap();
    let told = published(report);
    assert_eq!((told.version, told.repeated), (made.version, true));
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_writers_on_one_base_at_most_one_is_published() {
    let mut grid = RealGrid::start(5).await;
    let file = File::new(&mut grid, Shape::with_default_happy(2, 5).unwrap());
    let mut base = published(grid.publish(&file, "base").await).version;
    let mut told = BTreeMap::<&str, usize>::new();
    for _ in 0..30 {
        let mut begin = |content: &'static str| {
            let mut options = grid.options(&file);
            options.follows = Follows::Version(base);
            let source = tarn_client::encode::source::Source::Bytes(content.into());
            grid.client().publish(file.cap.clone(), source, options)
        };
        let (mut one, mut two) = (begin("one"), begin("two"));
        let (one, two) = tokio::join!(one.report(), two.report());
        let mut winners = Vec::new();
        for report in [one.unwrap(), two.unwrap()] {
            match report.outcome {
                Outcome::Published(published) => winners.push(published.version),
                Outcome::UncoordinatedWrite { .. } => {
                    *told.entry("uncoordinated").or_default() += 1;
                }
                Outcome::Stale { .. } => *told.entry("stale").or_default() += 1,
                Outcome::Contended => *told.entry("contended").or_default() += 1,
                _ => panic!("{report:#?}"),
            }
        }
        assert!(winners.len() <= 1, "both were told Published from one base");
        if let Some(&winner) = winners.first() {
            base = winner;
            *told.entry("published").or_default() += 1;
        }
    }
    assert!(told["published"] >= 20, "{told:?}");
}
