//! A publish whose caller goes away: at every poll of what is awaited of it, and between any two polls of its driver, its
//! lanes and the servers.

use std::cell::{Cell, RefCell};
use std::num::NonZeroU32;
use std::path::Path;

use bytes::Bytes;
use tarn_client::encode::source::Source;
use tarn_client::publish::outcome::Report;
use tarn_client::publish::publishing::{CutOff, Publishing};
use tarn_client::update::{Change, Place, Then, UpdateOptions};
use tarn_drops::{Table, runtime};
use tarn_proto::{Certificate, Shape};
use tokio::sync::Mutex;

use crate::real::published;
use crate::stage::{Drops, LONG, Stage};

#[test]
fn a_dropped_publish_happened_or_did_not() {
    runtime().block_on(async {
        let stage = Stage::set(Shape::new(2, 2, 3).unwrap()).await;
        let mut table = Table::new("publishes, over gRPC");
        for drops in [Drops::AtEveryPoll, Drops::AtEveryTurn] {
            dropped(&mut table, &stage, drops).await;
            updated(&mut table, &stage, drops).await;
        }
        asked_again(&mut table, &stage).await;
        settled(&mut table, &stage).await;
        stage.strike().await;
    });
}

fn begin(stage: &Stage, drops: Drops, content: Bytes) -> Publishing {
    let source = Source::Bytes(content);
    drops.client(stage).publish(stage.file.cap.clone(), source, stage.options())
}

/// The whole of it: begun, reported and settled.
async fn dropped(table: &mut Table, stage: &Stage, drops: Drops) {
    let (writing, told) = (RefCell::new(Bytes::new()), RefCell::new(None::<Report>));
    let make = async || {
        let content = stage.fresh_content();
        writing.replace(content.clone());
        told.replace(None);
        async {
            let mut publishing = begin(stage, drops, content);
            told.replace(Some(publishing.report().await.unwrap()));
            publishing.settled().await;
        }
    };
    let after = async |_: Option<()>| {
        let content = writing.take();
        match told.take() {
            // It may have been committed all the same, or never.
            None => stage.goes_on(&[&content]).await,
            Some(report) => {
                stage.was_published(published(report), content);
                stage.goes_on(&[]).await;
            }
        }
    };
    let operation = "Client::publish, report, settled";
    match drops {
        Drops::AtEveryPoll => table.polls(operation, make, after).await,
        Drops::AtEveryTurn => table.turns(operation, make, after).await,
    }
}

/// A change of a part, from what it reads to what it leaves behind.
async fn updated(table: &mut Table, stage: &Stage, drops: Drops) {
    let spools = tempfile::tempdir().unwrap();
    let (writing, told) = (RefCell::new(Bytes::new()), RefCell::new(None::<Report>));
    let make = async || {
        let part = stage.fresh_content().slice(..1000);
        let mut content = stage.newest().1.to_vec();
        content[150_000..151_000].copy_from_slice(&part);
        writing.replace(content.into());
        told.replace(None);
        let change =
            Change { at: Place::Offset(150_000), source: Source::Bytes(part), then: Then::Keeps };
        let options = update_options(stage, spools.path());
        let told = &told;
        async move {
            let client = drops.client(stage);
            let updated = client.update(&stage.file.cap, &change, options).await.unwrap();
            assert!(updated.in_place);
            told.replace(Some(updated.report));
            updated.publishing.settled().await;
        }
    };
    let after = async |_: Option<()>| {
        let content = writing.take();
        match told.take() {
            None => stage.goes_on(&[&content]).await,
            Some(report) => {
                stage.was_published(published(report), content);
                stage.goes_on(&[]).await;
            }
        }
    };
    let operation = "Client::update, settled";
    match drops {
        Drops::AtEveryPoll => table.polls(operation, make, after).await,
        Drops::AtEveryTurn => table.turns(operation, make, after).await,
    }
}

fn update_options(stage: &Stage, spools: &Path) -> UpdateOptions {
    let options = stage.options();
    UpdateOptions {
        first_try: true,
        origin: options.origin,
        first_shape: options.first_shape,
        if_version: None,
        attempt: options.attempt,
        high_water: None,
        suspects: options.suspects,
        journal: options.journal,
        spools: spools.to_owned(),
        tries: const { NonZeroU32::new(5).unwrap() },
        rng: options.rng,
    }
}

/// Only the waiting for its report is dropped, and begun anew: the publish goes on, and tells.
async fn asked_again(table: &mut Table, stage: &Stage) {
    let content = stage.fresh_content();
    let publishing = Mutex::new(begin(stage, Drops::AtEveryPoll, content.clone()));
    let told = Cell::new(None);
    let make = async || async { publishing.lock().await.report().await };
    let after = async |report: Option<Result<Report, CutOff>>| told.set(report);
    table.polls("Publishing::report, asked again", make, after).await;
    publishing.into_inner().settled().await;
    stage.was_published(published(told.take().unwrap().unwrap()), content);
    stage.goes_on(&[]).await;
}

/// Only the waiting for its courtesies is dropped: they are done all the same.
async fn settled(table: &mut Table, stage: &Stage) {
    let make = async || {
        let content = stage.fresh_content();
        let mut publishing = begin(stage, Drops::AtEveryPoll, content.clone());
        let report = publishing.report().await.unwrap();
        stage.was_published(published(report), content);
        publishing.settled()
    };
    let after = async |_: Option<()>| {
        stage.is_at_rest().await;
        for server in stage.client.servers().values() {
            let state = server.read_slot(stage.storage_index(), None, None, LONG).await.unwrap();
            let certified = state.certificates.iter().map(Certificate::version);
            assert!(certified.eq([stage.newest().0.version]), "the certificate was left");
        }
        stage.goes_on(&[]).await;
    };
    table.polls("Publishing::settled", make, after).await;
}
