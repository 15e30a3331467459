//! A server that is dropped while its client is at work, and a scrub that is.

use std::net::{SocketAddr, TcpListener as StdListener};

use tarn_drops::{tasks_at_rest, until_tasks_are};
use tarn_proto::ShareHealth;

use super::*;
use crate::scrub::{DamagedShare, Pace, Scrubbing, scrub};
use crate::serve::serve;

#[test]
fn a_dropped_server_leaves_no_task_and_its_port_is_free() {
    runtime().block_on(async {
        let mut table = Table::new("a server as a whole");
        for drops in [Drops::AtEveryPoll, Drops::AtEveryTurn] {
            served(&mut table, drops).await;
        }
    });
}

async fn served(table: &mut Table, drops: Drops) {
    let base = &base();
    let at_rest = tasks_at_rest().await;
    let address = StdListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let served_disk = RefCell::new(None);
    let make = async || {
        let (store, disk) = MemoryStore::fresh();
        Stage::on(store.clone(), disk.clone()).publish(1, base, &SHARES).await;
        served_disk.replace(Some(disk));
        let listener = StdListener::bind(address).expect("the port is free");
        listener.set_nonblocking(true).unwrap();
        let (done, stopped) = oneshot::channel();
        tokio::spawn(client(address, done));
        let config = ServerConfig { scrubbing: Some(Scrubbing::default()), ..Default::default() };
        let shutdown = async { drop(stopped.await) };
        serve(Arc::new(store), config, TcpListener::from_std(listener).unwrap(), shutdown)
    };
    let after = async |outcome: Option<Result<(), ServeError>>| {
        drop(StdListener::bind(address).expect("the port is free"));
        assert!(outcome.is_none_or(|served| served.is_ok()));
        until_tasks_are(at_rest).await;
        let disk = served_disk.take().unwrap();
        Stage::on(disk.clone(), disk).goes_on(&[base]).await;
    };
    match drops {
        Drops::AtEveryPoll => table.polls("serve", make, after).await,
        Drops::AtEveryTurn => table.turns("serve", make, after).await,
    }
}

/// A client that watches, and has a promise, when it says that the server may stop. It is not dropped with the server: it
/// hears of it from its connection.
async fn client(address: SocketAddr, done: oneshot::Sender<()>) {
    let at_work = async {
        let endpoint = Endpoint::from_shared(format!("http://{address}")).unwrap();
        let mut client = StorageClient::new(endpoint.connect().await.ok()?);
        let watch = wire::WatchSlotRequest { storage_index: slot(), ..Default::default() };
        let mut watching = client.watch_slot(watch).await.ok()?.into_inner();
        watching.message().await.ok()??;
        let messages = prepared(2, &successor(&base()), &SHARES);
        let (requests, outbound) = mpsc::channel(messages.len());
        for message in messages {
            requests.try_send(wrap(message)).unwrap();
        }
        let talking = client.test_and_write(ReceiverStream::new(outbound)).await;
        let mut answers = talking.ok()?.into_inner();
        while !matches!(answers.message().await.ok()??.answer, Some(Answer::Sealed(_))) {}
        done.send(()).ok()
    };
    at_work.await;
}

#[test]
fn a_dropped_scrub_leaves_nothing_behind_and_the_next_one_finds_the_same() {
    runtime().block_on(async {
        let mut table = Table::new("scrubs");
        scrubbed::<MemoryStore>(&mut table).await;
        scrubbed::<LocalStore>(&mut table).await;
    });
}

async fn scrubbed<E: Engine>(table: &mut Table) {
    let base = &base();
    let damaged = SHARES.map(|number| DamagedShare {
        slot: writer().storage_index(),
        version: base.id(),
        share: share(number),
    });
    let scrubbed_store = RefCell::new(None);
    let make = async || {
        let stage = Stage::<E>::fresh();
        stage.publish(1, base, &SHARES).await;
        E::bend_chunks(&stage.disk);
        let store = Arc::clone(&stage.server.store);
        scrubbed_store.replace(Some((Arc::clone(&store), stage.disk)));
        scrub(store, Pace::default())
    };
    let after = async |outcome: Option<Result<crate::scrub::Scrubbed, _>>| {
        let (store, disk) = scrubbed_store.take().unwrap();
        let again = scrub(Arc::clone(&store), Pace::default()).await;
        for scrubbed in outcome.into_iter().chain([again]) {
            assert_eq!(scrubbed.unwrap().damaged, damaged);
        }
        let store = Arc::into_inner(store).expect("what was dropped has the store still");
        let stage = Stage::on(store, disk);
        stage.comes_to_rest().await;
        let state = stage.state().await;
        let is_damaged = |health: &ShareHealth| *health == ShareHealth::Damaged;
        assert!(state.current().unwrap().shares.values().all(is_damaged));
        stage.takes_the_next(base).await;
    };
    table.polls(&format!("scrub, {} store", E::NAME), make, after).await;
}
