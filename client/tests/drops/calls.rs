//! Single calls to one server, and what reads from several: each dropped at its every poll.

use std::sync::Arc;

use futures::{StreamExt, TryStreamExt};
use tarn_client::base::Origin;
use tarn_client::fetch::driver::{Fetching, KnownRows, Rows, read_run};
use tarn_client::fetch::{Run, RunId};
use tarn_client::quorum::Placement;
use tarn_client::transport::UnverifiedBlock;
use tarn_drops::{Table, runtime};
use tarn_proto::{Certificate, Shape, ShareNumber, SignedHeader, StoreId};

use crate::stage::{Drops, LONG, Stage, drop_each};

const BOTH: [Drops; 2] = [Drops::AtEveryPoll, Drops::AtEveryTurn];

#[test]
fn a_dropped_call_leaves_nothing_behind() {
    runtime().block_on(async {
        let stage = Stage::set(Shape::new(2, 2, 3).unwrap()).await;
        let mut table = Table::new("calls to a server, over gRPC");
        for drops in BOTH {
            asked(&mut table, &stage, drops).await;
            read(&mut table, &stage, drops).await;
            fetched(&mut table, &stage, drops).await;
        }
        stage.strike().await;
    });
}

async fn asked(table: &mut Table, stage: &Stage, drops: Drops) {
    let (server, file) = (stage.server(), stage.storage_index());
    let describe = async || server.describe(LONG);
    drop_each(table, stage, ("ServerClient::describe", drops), describe, |said| {
        said.unwrap().store == server.store()
    })
    .await;
    let read_slot = async || server.read_slot(file, None, None, LONG);
    drop_each(table, stage, ("ServerClient::read_slot", drops), read_slot, |state| {
        state.unwrap().generations.len() == 1
    })
    .await;
    let finalize = async || {
        let certificate = certificate(stage);
        async move { server.finalize(file, &certificate, LONG).await }
    };
    drop_each(table, stage, ("ServerClient::finalize", drops), finalize, |state| {
        state.unwrap().certificates.len() == 1
    })
    .await;
    let watch = async || async {
        let mut states = server.watch_slot(file, LONG);
        let state = states.next().await.unwrap().unwrap();
        // The watch goes on meanwhile.
        server.describe(LONG).await.unwrap();
        state
    };
    drop_each(table, stage, ("ServerClient::watch_slot", drops), watch, |state| {
        state.current().is_some()
    })
    .await;
    let client = drops.client(stage);
    let survey = async || client.survey(file, &Origin::CapHolder);
    drop_each(table, stage, ("Client::survey", drops), survey, |map| map.answers.len() == 3).await;
}

/// The word that what was Published last was.
fn certificate(stage: &Stage) -> Certificate {
    let (newest, _) = stage.newest();
    let number = newest.header.unwrap().header().sequence_number;
    Certificate::sign(&stage.file.cap.signing_key(), number, newest.version)
}

fn header(stage: &Stage) -> SignedHeader {
    stage.newest().0.header.unwrap()
}

/// Which share the server has.
fn share_at(stage: &Stage, server: StoreId) -> ShareNumber {
    *stage.newest().0.placement[&server].first().unwrap()
}

async fn read(table: &mut Table, stage: &Stage, drops: Drops) {
    let server = stage.server();
    let read_table = async || {
        let header = header(stage);
        async move { server.read_table(&header, LONG).await }
    };
    drop_each(table, stage, ("ServerClient::read_table", drops), read_table, |read| {
        read.unwrap().root() == header(stage).header().table_root
    })
    .await;
    let read_rows = async || {
        let header = header(stage);
        async move { server.read_rows(&header, 1, 1, LONG).await }
    };
    drop_each(table, stage, ("ServerClient::read_rows", drops), read_rows, |rows| {
        rows.unwrap().len() == 1
    })
    .await;
    let read_proven_row = async || {
        let header = header(stage);
        async move { server.read_proven_row(&header, 1, LONG).await }
    };
    drop_each(table, stage, ("ServerClient::read_proven_row", drops), read_proven_row, |row| {
        row.unwrap().segment() == 1
    })
    .await;
    let read_blocks = async || {
        let (header, share) = (header(stage), share_at(stage, server.store()));
        async move {
            let blocks = server.read_blocks(&header, share, 0, 2, LONG);
            blocks.try_collect::<Vec<UnverifiedBlock>>().await
        }
    };
    drop_each(table, stage, ("ServerClient::read_blocks", drops), read_blocks, |blocks| {
        blocks.unwrap().len() == 2
    })
    .await;
}

async fn fetched(table: &mut Table, stage: &Stage, drops: Drops) {
    let server = stage.server();
    let read_rows = async || {
        let header = header(stage);
        async move { Rows::read(server, &header, 0..2).await }
    };
    drop_each(table, stage, ("Rows::read", drops), read_rows, |rows| {
        rows.unwrap().row(1).is_some()
    })
    .await;
    let run = async || {
        let (header, share) = (header(stage), share_at(stage, server.store()));
        let rows = KnownRows::from(Rows::read(server, &header, 0..2).await.unwrap()).reader();
        let run = Run { id: RunId(0), server: server.store(), share, segments: 0..2 };
        async move {
            let mut reported = 0;
            read_run(Some(server.clone()), header, rows, run, |_| reported += 1).await;
            reported
        }
    };
    drop_each(table, stage, ("read_run", drops), run, |reported| reported == 2).await;
    let fetch = async || {
        let (header, sources) = (header(stage), stage.newest().0.placement);
        let rows = Rows::read(server, &header, 0..2).await.unwrap();
        fetch(stage, header, rows, sources)
    };
    drop_each(table, stage, ("Fetching::next, to its end", drops), fetch, |segments| segments == 2)
        .await;
}

async fn fetch(stage: &Stage, header: SignedHeader, rows: Rows, sources: Placement) -> usize {
    let clients = Arc::clone(stage.client.servers());
    let mut fetching = Fetching::begin(clients, header, rows, 0..2, sources);
    let mut segments = 0;
    while fetching.next().await.unwrap().is_some() {
        segments += 1;
    }
    segments
}
