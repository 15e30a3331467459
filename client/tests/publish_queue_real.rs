//! Publishes that are submitted without waiting, on real servers over real gRPC, alone and with somebody in between.
#![allow(clippy::unwrap_used, reason = "a test ends where its stage cannot be set")]

mod real;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use real::{File, RealGrid, published};
use tarn_client::encode::source::Source;
use tarn_client::publish::outcome::Outcome;
use tarn_client::publish::publishing::NoJournal;
use tarn_client::publish_queue::{Event, PublishQueue, QueueError, QueueOptions};
use tarn_proto::{Shape, VersionId};
use tokio::sync::mpsc::UnboundedReceiver;

fn start(
    grid: &RealGrid,
    file: &File,
    on: Option<VersionId>,
) -> (PublishQueue, UnboundedReceiver<Event>) {
    let options = QueueOptions {
        origin: file.origin.clone(),
        first_shape: file.shape,
        on,
        journal: Arc::new(NoJournal),
        since_epoch: Duration::from_secs(1),
        rng: ChaCha8Rng::seed_from_u64(7),
    };
    PublishQueue::start(grid.client(), file.cap.clone(), options)
}

fn text(number: usize) -> Source {
    Source::Bytes(Bytes::from(number.to_string()))
}

async fn read(grid: &RealGrid, file: &File) -> Bytes {
    let rng = ChaCha8Rng::seed_from_u64(8);
    grid.client().read(file.cap.read_cap(), 0..u64::MAX, rng).await.unwrap()
}

async fn stage() -> (RealGrid, File) {
    let mut grid = RealGrid::start(4).await;
    let file = File::new(&mut grid, Shape::with_default_happy(2, 4).unwrap());
    (grid, file)
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_submitted_without_waiting_is_published_in_order_each_on_the_one_before() {
    let (grid, file) = stage().await;
    let (queue, _events) = start(&grid, &file, None);
    let submitted: Vec<_> = (0..50).map(|number| queue.submit(text(number))).collect();
    // Whoever submitted may go: what was submitted is published.
    drop(queue);
    let mut before = None;
    for submitted in submitted {
        let header = submitted.await.unwrap().header.unwrap();
        assert_eq!(header.header().predecessor, before);
        before = Some(header.version());
    }
    assert_eq!(read(&grid, &file).await, "49");
}

#[tokio::test(flavor = "multi_thread")]
async fn somebody_elses_version_is_an_event_and_fails_what_was_built_on_the_state_before() {
    let (mut grid, file) = stage().await;
    let (queue, mut events) = start(&grid, &file, None);
    queue.submit(text(0)).await.unwrap();
    let theirs = published(grid.publish(&file, "theirs").await).version;
    assert_eq!(events.recv().await, Some(Event::Replaced { version: theirs }));
    for number in 1..4 {
        let failed = queue.submit(text(number)).await;
        let Err(QueueError::Replaced { now }) = failed else { panic!("{failed:?}") };
        assert_eq!(now, Some(theirs));
    }
    assert_eq!(read(&grid, &file).await, "theirs", "nothing was overwritten");
    queue.build_on(Some(theirs));
    let header = queue.submit(text(4)).await.unwrap().header.unwrap();
    assert_eq!(header.header().predecessor, Some(theirs));
    assert_eq!(read(&grid, &file).await, "4");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_comes_after_one_that_failed_is_not_published_without_it() {
    let (mut grid, file) = stage().await;
    let on = published(grid.publish(&file, "there").await).version;
    let (queue, _events) = start(&grid, &file, Some(on));
    for number in 0..3 {
        grid.stop(number).await;
    }
    let submitted: Vec<_> = (0..3).map(|number| queue.submit(text(number))).collect();
    let mut ends = Vec::new();
    for submitted in submitted {
        ends.push(submitted.await.unwrap_err());
    }
    let QueueError::NotPublished(report) = &ends[0] else { panic!("{:?}", ends[0]) };
    let undone = matches!(report.outcome, Outcome::Undecided(_) | Outcome::NotEnoughServers(_));
    assert!(undone, "{report:?}");
    assert!(ends[1..].iter().all(|end| matches!(end, QueueError::PredecessorFailed)), "{ends:?}");
}
