//! Clients that publish a file again at once, from what they remember of it, on real servers over real gRPC: others may have
//! written meanwhile.
#![allow(clippy::unwrap_used, reason = "a test ends where its stage cannot be set")]

mod real;

use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use real::{File, RealGrid, published};
use tarn_client::base::Origin;
use tarn_client::caps::fresh_attempt_id;
use tarn_client::client::{Client, PublishOptions};
use tarn_client::encode::source::Source;
use tarn_client::publish::Follows;
use tarn_client::publish::outcome::{Outcome, Report};
use tarn_client::publish::publishing::{NoJournal, Publishing};
use tarn_client::update::{Change, Place, Then, UpdateOptions, Updated};
use tarn_proto::{Shape, VersionId};

fn shape() -> Shape {
    Shape::new(2, 3, 4).unwrap()
}

/// Publishes, and does not wait for courtesies.
async fn publish(
    grid: &mut RealGrid,
    client: &Client,
    file: &File,
    content: String,
    follows: Follows,
) -> (Report, Publishing) {
    let options = PublishOptions { follows, ..grid.options(file) };
    let source = Source::Bytes(content.into());
    let mut publishing = client.publish(file.cap.clone(), source, options);
    (publishing.report().await.unwrap(), publishing)
}

async fn read(client: &Client, file: &File) -> Vec<u8> {
    let read = client.read(file.cap.read_cap(), 0..u64::MAX, ChaCha8Rng::seed_from_u64(1));
    read.await.unwrap().to_vec()
}

/// On how many servers a version is certified.
async fn certified(client: &Client, file: &File, version: VersionId) -> usize {
    let map = client.survey(file.cap.verify_cap().storage_index(), &file.origin).await;
    let certified = map.answers.values().filter(|state| {
        state.certificates.iter().any(|certificate| certificate.version() == version)
    });
    certified.count()
}

#[tokio::test]
async fn versions_that_follow_each_other_at_once_are_all_published_and_the_last_is_certified() {
    let mut grid = RealGrid::start(4).await;
    let file = File::new(&mut grid, shape());
    let client = grid.client();
    let (mut last, mut leaving) = (None, Vec::new());
    for number in 0..20 {
        let follows = last.map_or(Follows::Nothing, Follows::Version);
        let (report, publishing) =
            publish(&mut grid, &client, &file, format!("{number}"), follows).await;
        assert_eq!(report.rounds, 1, "{report:?}");
        last = Some(published(report).version);
        leaving.push(publishing);
    }
    for publishing in leaving {
        publishing.settled().await;
    }
    assert_eq!(read(&grid.client(), &file).await, b"19");
    assert_eq!(certified(&client, &file, last.unwrap()).await, 4);
}

#[tokio::test]
async fn certificates_go_by_themselves_when_nothing_follows() {
    let mut grid = RealGrid::start(4).await;
    let file = File::new(&mut grid, shape());
    let client = grid.client();
    let (report, publishing) =
        publish(&mut grid, &client, &file, "once".into(), Follows::Whatever).await;
    publishing.settled_in_time().await;
    assert_eq!(certified(&client, &file, published(report).version).await, 4);
}

#[tokio::test]
async fn what_others_published_meanwhile_is_followed_as_ever() {
    let mut grid = RealGrid::start(4).await;
    let file = File::new(&mut grid, shape());
    let clients = [grid.client(), grid.client()];
    for number in 0..12 {
        let client = &clients[number % 2];
        let content = format!("{number}");
        let (report, _leaving) =
            publish(&mut grid, client, &file, content, Follows::Whatever).await;
        assert_eq!(report.troubles, [].into());
        published(report);
    }
    assert_eq!(read(&grid.client(), &file).await, b"11");
}

#[tokio::test]
async fn a_version_that_others_replaced_long_ago_is_stale_and_no_uncoordinated_write() {
    let mut grid = RealGrid::start(4).await;
    let file = File::new(&mut grid, shape());
    let (ours, theirs) = (grid.client(), grid.client());
    let (report, _leaving) = publish(&mut grid, &ours, &file, "1".into(), Follows::Whatever).await;
    let first = published(report).version;
    let (report, _leaving) =
        publish(&mut grid, &theirs, &file, "2".into(), Follows::Whatever).await;
    let second = published(report).version;
    let (report, _) = publish(&mut grid, &ours, &file, "3".into(), Follows::Version(first)).await;
    let Outcome::Stale { now } = report.outcome else { panic!("{report:?}") };
    assert_eq!(now.unwrap().version(), second);
    assert_eq!(read(&grid.client(), &file).await, b"2");
}

#[tokio::test]
async fn changes_by_turns_are_all_made_with_one_try_each() {
    let mut grid = RealGrid::start(4).await;
    let file = File::new(&mut grid, shape());
    let clients = [grid.client(), grid.client()];
    let spools = tempfile::tempdir().unwrap();
    let mut copy = vec![b'.'; 300 << 10];
    published(grid.publish(&file, copy.clone()).await);
    for (number, client) in [0, 0, 1, 0, 1, 1, 1, 0].into_iter().enumerate() {
        let mut rng = ChaCha8Rng::seed_from_u64(1_000 + number as u64);
        let options = UpdateOptions {
            origin: Origin::CapHolder,
            first_shape: shape(),
            if_version: None,
            attempt: fresh_attempt_id(&mut rng, Duration::from_secs(1)),
            first_try: true,
            high_water: None,
            suspects: [].into(),
            journal: Arc::new(NoJournal),
            spools: spools.path().to_owned(),
            tries: NonZeroU32::MIN,
            rng,
        };
        let source = Source::Bytes(format!("{number}").into());
        let change = Change { at: Place::End, source, then: Then::Keeps };
        let updated = clients[client].update(&file.cap, &change, options).await.unwrap();
        let Updated { in_place, .. } = updated;
        assert!(in_place);
        copy.extend(format!("{number}").bytes());
    }
    assert!(read(&grid.client(), &file).await == copy);
}
