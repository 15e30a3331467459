//! A reader that goes away, also one that has to bring shares before it may be sure of what it reads.

use std::cell::{Cell, RefCell};

use bytes::{Bytes, BytesMut};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use tarn_client::encode::workers::Workers;
use tarn_client::regenerate::{BringFailure, Brought, bring_shares};
use tarn_client::retrieve::reading::RetrieveError;
use tarn_drops::{Table, runtime};
use tarn_proto::{ConversationId, Shape, StoreId};
use tarn_server::manifest::Manifest;
use tarn_server::store::Store;
use tokio::io::AsyncReadExt;
use tokio::sync::Mutex;

use crate::stage::{Drops, LONG, Stage, drop_each};

const BOTH: [Drops; 2] = [Drops::AtEveryPoll, Drops::AtEveryTurn];

#[test]
fn a_dropped_reader_leaves_nothing_behind() {
    runtime().block_on(async {
        let stage = Stage::set(Shape::new(2, 2, 3).unwrap()).await;
        let mut table = Table::new("readers, over gRPC");
        for drops in BOTH {
            read(&mut table, &stage, drops).await;
            read_as_a_stream(&mut table, &stage, drops).await;
        }
        asked_again(&mut table, &stage).await;
        stage.strike().await;
    });
}

#[test]
fn a_dropped_bringer_leaves_a_share_or_none() {
    runtime().block_on(async {
        // All three servers make the quorum: with one that lost its disk, the version is in doubt.
        let stage = Stage::set(Shape::new(2, 3, 3).unwrap()).await;
        let mut table = Table::new("bringing, over gRPC");
        for drops in BOTH {
            read_in_doubt(&mut table, &stage, drops).await;
            brought(&mut table, &stage, drops).await;
        }
        stage.strike().await;
    });
}

async fn read(table: &mut Table, stage: &Stage, drops: Drops) {
    let read = async || stage.read(drops.client(stage));
    drop_each(table, stage, ("Client::retrieve, next_segment", drops), read, |read| {
        read.unwrap() == stage.newest().1
    })
    .await;
}

async fn read_as_a_stream(table: &mut Table, stage: &Stage, drops: Drops) {
    let read = async || async {
        let rng = ChaCha8Rng::seed_from_u64(1);
        let reading = drops.client(stage).retrieve(stage.request(), rng).await.unwrap();
        let mut bytes = Vec::new();
        reading.into_async_read().read_to_end(&mut bytes).await.unwrap();
        bytes
    };
    drop_each(table, stage, ("Reading::into_async_read", drops), read, |read| {
        read == stage.newest().1
    })
    .await;
}

/// Only the waiting for a segment is dropped, and begun anew: none is lost.
async fn asked_again(table: &mut Table, stage: &Stage) {
    let rng = ChaCha8Rng::seed_from_u64(1);
    let reading = Mutex::new(stage.client.retrieve(stage.request(), rng).await.unwrap());
    let mut read = BytesMut::new();
    loop {
        let segment = RefCell::new(None);
        let make = async || async { reading.lock().await.next_segment().await };
        let after = async |next: Option<Result<Option<Bytes>, RetrieveError>>| {
            segment.replace(next.and_then(Result::unwrap));
        };
        table.polls("Reading::next_segment, asked again", make, after).await;
        match segment.into_inner() {
            Some(segment) => read.extend_from_slice(&segment),
            None => break,
        }
    }
    drop(reading);
    assert!(read == stage.newest().1);
    stage.goes_on(&[]).await;
}

/// One server loses its disk, and all forget that what they hold was Published.
fn lose_one(stage: &Stage) -> StoreId {
    let grid = stage.grid.borrow();
    for (number, server) in grid.servers.iter().enumerate() {
        server.store.tamper(stage.storage_index(), |manifest| {
            manifest.certificates.clear();
            if number == 0 {
                *manifest = Manifest::default();
            }
        });
    }
    grid.servers[0].store.id()
}

async fn read_in_doubt(table: &mut Table, stage: &Stage, drops: Drops) {
    let read = async || {
        lose_one(stage);
        stage.read(drops.client(stage))
    };
    drop_each(table, stage, ("Client::retrieve, in doubt", drops), read, |read| {
        read.unwrap() == stage.newest().1
    })
    .await;
}

async fn brought(table: &mut Table, stage: &Stage, drops: Drops) {
    let workers = match drops {
        Drops::AtEveryPoll => Workers::Threads,
        Drops::AtEveryTurn => Workers::InPlace,
    };
    let conversations = Cell::new(0);
    let bring = |lost: StoreId| {
        conversations.set(conversations.get() + 1_u128);
        let mut sources = stage.newest().0.placement;
        let brought = Brought {
            header: stage.newest().0.header.unwrap(),
            certificate: None,
            ancestors: Vec::new(),
            conversation: ConversationId::new(conversations.get().to_be_bytes()),
            shares: sources.remove(&lost).unwrap(),
            sources,
        };
        let target = stage.client.server(lost).unwrap();
        bring_shares(stage.client.servers(), target, brought, workers)
    };
    let lost = Cell::new(None);
    let make = async || {
        let store = lose_one(stage);
        lost.set(Some(store));
        bring(store)
    };
    let after = async |outcome: Option<Result<(), BringFailure>>| {
        assert!(outcome.is_none_or(|brought| brought.is_ok()));
        stage.is_at_rest().await;
        let (store, (newest, _)) = (lost.get().unwrap(), stage.newest());
        // Bringing is what the next one does, too: it finds all of it there, or brings it.
        assert_eq!(bring(store).await, Ok(()));
        let target = stage.client.server(store).unwrap();
        let state = target.read_slot(stage.storage_index(), None, None, LONG).await.unwrap();
        let held = state.generation(newest.version).unwrap();
        assert!(held.shares.keys().eq(&newest.placement[&store]));
        stage.is_at_rest().await;
    };
    match drops {
        Drops::AtEveryPoll => table.polls("bring_shares", make, after).await,
        Drops::AtEveryTurn => table.turns("bring_shares", make, after).await,
    }
    stage.goes_on(&[]).await;
}
