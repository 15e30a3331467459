//! Changes files on real servers over real gRPC by functions of what they hold.
#![allow(clippy::unwrap_used, reason = "a test ends where its stage cannot be set")]

mod real;

use std::cell::Cell;
use std::future::ready;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use real::{File, RealGrid, published};
use tarn_client::base::Undecided;
use tarn_client::client::Client;
use tarn_client::modify::{Modified, ModifyError, ModifyOptions};
use tarn_client::publish::Follows;
use tarn_client::publish::outcome::{Outcome, Published};
use tarn_client::publish::publishing::{Journal, JournalError};
use tarn_client::quorum::Placement;
use tarn_client::retrieve::reading::RetrieveFailure;
use tarn_proto::{Shape, SignedHeader};
use tarn_server::store::Store;

fn small() -> Shape {
    Shape::with_default_happy(2, 4).unwrap()
}

fn options(file: &File, seed: u64) -> ModifyOptions {
    let rng = ChaCha8Rng::seed_from_u64(1_000 + seed);
    let cap_holder = ModifyOptions::cap_holder(Duration::from_secs(seed), rng);
    ModifyOptions { origin: file.origin.clone(), first_shape: file.shape, ..cap_holder }
}

/// One more than the number that is there, which is zero where nothing is.
fn next(content: Option<&Bytes>) -> Bytes {
    let number =
        content.map_or(0, |content| str::from_utf8(content).unwrap().parse::<u64>().unwrap());
    (number + 1).to_string().into()
}

async fn bump(client: &Client, file: &File, seed: u64) -> (Published, Bytes) {
    let bumped = client
        .modify(&file.cap, options(file, seed), |content| ready(Some(next(content.as_ref()))))
        .await;
    let Ok(Modified::Published { published, content }) = bumped else { panic!("{bumped:?}") };
    (published, content)
}

#[tokio::test(flavor = "multi_thread")]
async fn each_change_is_built_on_the_version_it_was_made_from() {
    let mut grid = RealGrid::start(4).await;
    let file = File::new(&mut grid, small());
    let client = grid.client();
    let (first, content) = bump(&client, &file, 1).await;
    assert_eq!(content, "1");
    let (second, content) = bump(&client, &file, 2).await;
    assert_eq!(content, "2");
    assert_eq!(second.header.unwrap().header().predecessor, Some(first.version));
}

#[tokio::test(flavor = "multi_thread")]
async fn no_new_content_publishes_nothing() {
    let mut grid = RealGrid::start(4).await;
    let file = File::new(&mut grid, small());
    let client = grid.client();
    let keep = |_: Option<Bytes>| ready(None);
    let kept = client.modify(&file.cap, options(&file, 1), keep).await.unwrap();
    assert_eq!(kept, Modified::Unchanged { header: None });
    let slot = file.cap.verify_cap().storage_index();
    assert!(grid.servers[0].store.load(slot).await.unwrap().is_none());
    let (published, _) = bump(&client, &file, 2).await;
    let kept = client.modify(&file.cap, options(&file, 3), keep).await.unwrap();
    assert_eq!(kept, Modified::Unchanged { header: published.header });
    assert_eq!(bump(&client, &file, 4).await.1, "2");
}

#[tokio::test(flavor = "multi_thread")]
async fn changes_made_at_once_all_take_effect_once() {
    let mut grid = RealGrid::start(4).await;
    let file = Arc::new(File::new(&mut grid, small()));
    bump(&grid.client(), &file, 0).await;
    let writers = (1..=4).map(|writer| {
        let (client, file) = (grid.client(), Arc::clone(&file));
        tokio::spawn(async move {
            for round in 0..5 {
                bump(&client, &file, writer * 100 + round).await;
            }
        })
    });
    for writer in writers.collect::<Vec<_>>() {
        writer.await.unwrap();
    }
    assert_eq!(bump(&grid.client(), &file, 1_000).await.1, "22");
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_is_always_second_gives_up_and_has_changed_nothing() {
    let mut grid = RealGrid::start(4).await;
    let file = File::new(&mut grid, small());
    let client = grid.client();
    bump(&client, &file, 0).await;
    let rounds = Cell::new(0);
    let tries = NonZeroU32::new(3).unwrap();
    let options = ModifyOptions { tries, ..options(&file, 1) };
    let (theirs, theirs_of) = (&client, &file);
    let given_up = client.modify(&file.cap, options, |_| {
        rounds.set(rounds.get() + 1);
        let seed = 10 + rounds.get();
        async move {
            bump(theirs, theirs_of, seed).await;
            Some("mine".into())
        }
    });
    let error = given_up.await.unwrap_err();
    assert!(matches!(error, ModifyError::Contended { tries: said } if said == tries), "{error:?}");
    assert_eq!(rounds.get(), 3);
    assert_eq!(bump(&client, &file, 2).await.1, "5");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_does_not_fit_into_memory_is_not_read() {
    let mut grid = RealGrid::start(4).await;
    let file = File::new(&mut grid, small());
    published(grid.publish(&file, vec![b'1'; 1001]).await);
    let options = ModifyOptions { content_max: 1000, ..options(&file, 1) };
    let changed = grid.client().modify(&file.cap, options, |_| ready(Some(Bytes::new()))).await;
    let Err(error @ ModifyError::TooLarge { .. }) = changed else { panic!("{changed:?}") };
    assert_eq!(error.to_string(), "version 1 has 1001 bytes and at most 1000 are read into memory");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cap_holder_does_not_make_a_file_that_is_not_there() {
    let mut grid = RealGrid::start(4).await;
    let file = File::new(&mut grid, small());
    let options = ModifyOptions::cap_holder(Duration::ZERO, ChaCha8Rng::seed_from_u64(1));
    let changed = grid.client().modify(&file.cap, options, |_| ready(Some(Bytes::new()))).await;
    let Err(ModifyError::Read(error)) = changed else { panic!("{changed:?}") };
    let undecided = RetrieveFailure::Undecided(Undecided::NoHeader { silent: [].into() });
    assert_eq!(error.failure, undecided);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deleted_file_is_given_as_nothing_and_can_be_made_anew() {
    let mut grid = RealGrid::start(4).await;
    let file = File::new(&mut grid, small());
    let client = grid.client();
    let (first, _) = bump(&client, &file, 1).await;
    let mut deletion = grid.options(&file);
    deletion.tombstone = true;
    deletion.follows = Follows::Version(first.version);
    let nothing = tarn_client::encode::source::Source::Bytes(Bytes::new());
    published(client.publish(file.cap.clone(), nothing, deletion).report().await.unwrap());
    assert_eq!(bump(&client, &file, 2).await.1, "1");
}

#[tokio::test(flavor = "multi_thread")]
async fn too_few_servers_are_named_and_nothing_is_changed() {
    let mut grid = RealGrid::start(4).await;
    let file = File::new(&mut grid, small());
    bump(&grid.client(), &file, 1).await;
    for dead in [0, 1] {
        grid.stop(dead).await;
    }
    let options = options(&file, 2);
    let changed = grid.client().modify(&file.cap, options, |_| ready(Some("2".into()))).await;
    let Err(ModifyError::NotPublished(report)) = changed else { panic!("{changed:?}") };
    assert!(matches!(report.outcome, Outcome::NotEnoughServers(_)), "{report:#?}");
    assert_eq!(report.troubles.len(), 2);
}

/// Fails once, after which nothing can have been committed.
struct FailingOnce(std::sync::atomic::AtomicBool);

impl Journal for FailingOnce {
    fn record(&self, _: &SignedHeader, _: &Placement) -> Result<(), JournalError> {
        if self.0.swap(true, std::sync::atomic::Ordering::Relaxed) {
            return Ok(());
        }
        Err(JournalError { cause: "disk full".to_owned() })
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_stops_a_publish_is_told() {
    let mut grid = RealGrid::start(4).await;
    let file = File::new(&mut grid, small());
    let journal = Arc::new(FailingOnce(false.into()));
    let options = ModifyOptions { journal, ..options(&file, 1) };
    let changed = grid.client().modify(&file.cap, options, |_| ready(Some(Bytes::new()))).await;
    let Err(ModifyError::NotPublished(report)) = changed else { panic!("{changed:?}") };
    let cause = "the journal cannot be written: disk full".to_owned();
    assert_eq!(report.outcome, Outcome::Failed { cause });
    assert_eq!(bump(&grid.client(), &file, 2).await.1, "1");
}
