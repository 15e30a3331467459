//! Clients that vanish, servers that stop, and what must not be left behind.

use futures::FutureExt;
use tonic::client::Grpc;
use tonic::codegen::http::uri::PathAndQuery;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;

use super::*;
use crate::store::memory::Operation;

#[tokio::test]
async fn a_lost_stream_drops_its_promise() {
    let harness = Harness::start().await;
    let (first, other) = (writer().version(1, 1, None), writer().version(2, 1, None));
    let mut lost = harness.talk(prepared(1, &first, &[0])).await;
    lost.sealed().await;
    drop(lost);
    until(|| async { harness.state().await.promised_ms.is_none() }).await;
    harness.publish(2, &other, &[0]).await;
    harness.stop().await;
}

#[tokio::test]
async fn a_lost_stream_drops_its_promise_while_others_use_the_slot() {
    let harness = Harness::start().await;
    let watch = wire::WatchSlotRequest {
        token: String::new(),
        storage_index: bytes(writer().storage_index().as_bytes()),
    };
    let mut watching = harness.client.clone().watch_slot(watch).await.unwrap().into_inner();
    watching.message().await.unwrap().unwrap();
    let first = writer().version(1, 1, None);
    let mut lost = harness.talk(prepared(1, &first, &[0])).await;
    lost.sealed().await;
    drop(lost);
    until(|| async { harness.state().await.promised_ms.is_none() }).await;
    assert_eq!(harness.server.slots.in_use(), 1);
    harness.stop().await;
}

#[tokio::test]
async fn a_commit_that_arrived_is_carried_out_when_its_client_has_vanished() {
    let harness = Harness::start().await;
    let first = writer().version(1, 1, None);
    let client = connect(&harness.address).await;
    let mut talk = Talk::begin(client, prepared(1, &first, &[0])).await;
    talk.sealed().await;
    let hold = harness.store.hold_changes();
    talk.send(commit(&first)).await;
    until(|| async { harness.store.changes_begun() == 1 }).await;
    drop(talk);
    // The connection is gone with its only stream. The server has time to notice while it answers others; the
    // change still waits for the disk.
    for number in 0..100 {
        let request =
            wire::ReadSlotRequest { storage_index: bytes(&[number; 32]), ..Default::default() };
        harness.client.clone().read_slot(request).await.unwrap();
    }
    assert_eq!(harness.store.changes_begun(), 1);
    drop(hold);
    assert_eq!(harness.state().await.current().unwrap().header, first.signed);
    harness.stop().await;
}

#[tokio::test]
async fn a_finalize_that_arrived_is_carried_out_when_its_client_has_vanished() {
    let harness = Harness::start().await;
    let first = writer().version(1, 1, None);
    harness.publish(1, &first, &[0]).await;
    let hold = harness.store.hold_changes();
    let calling = tokio::spawn({
        let request = wire::FinalizeRequest {
            token: String::new(),
            storage_index: bytes(writer().storage_index().as_bytes()),
            certificate: Some((&first.certificate()).into()),
        };
        let mut client = harness.client.clone();
        async move { client.finalize(request).await }
    });
    until(|| async { harness.store.changes_begun() == 1 }).await;
    calling.abort();
    assert!(calling.await.unwrap_err().is_cancelled());
    drop(hold);
    until(|| async { harness.state().await.certificates == [first.certificate()] }).await;
    harness.stop().await;
}

#[tokio::test]
async fn a_stream_that_is_lost_after_any_message_leaves_nothing_behind() {
    let harness = Harness::start().await;
    let version = writer().sized(1, 1, None, 64 << 10, 1 << 20);
    let messages = prepared(1, &version, &[0, 1]);
    let at_rest = harness.server.tasks.len();
    for sent in 0..=messages.len() {
        let mut talk = harness.talk(messages[..sent].to_vec()).await;
        if sent == messages.len() {
            talk.sealed().await;
        }
        drop(talk);
        let server = &harness.server;
        until(|| async { server.slots.in_use() == 0 && server.tasks.len() == at_rest }).await;
        assert_eq!(harness.store.chunks(), []);
    }
    assert_eq!(harness.state().await, SlotState::empty(STORE));
    harness.stop().await;
}

#[tokio::test]
async fn a_client_that_falls_silent_is_let_go() {
    let config = ServerConfig { idle: Duration::from_millis(1), ..ServerConfig::default() };
    let harness = Harness::with(config).await;
    let version = writer().version(1, 1, None);
    let mut talk = harness.talk(vec![open(1, &version, &[0])]).await;
    assert_eq!(talk.status().await, Code::DeadlineExceeded);
    until(|| async { harness.server.slots.in_use() == 0 }).await;
    harness.stop().await;
}

#[tokio::test]
async fn a_stopping_server_finishes_its_commits_and_ends_everything_else() {
    let harness = Harness::start().await;
    let (first, other) = (writer().version(1, 1, None), writer().version(2, 1, None));
    let watch = wire::WatchSlotRequest {
        token: String::new(),
        storage_index: bytes(writer().storage_index().as_bytes()),
    };
    let mut watching = harness.client.clone().watch_slot(watch).await.unwrap().into_inner();
    watching.message().await.unwrap().unwrap();
    let mut committing = harness.talk(prepared(1, &first, &[0])).await;
    committing.sealed().await;
    let foreign = Writer::new(8).version(2, 1, None);
    let mut staging = harness.talk(vec![open(2, &foreign, &[0]), blocks(&other, 0)]).await;
    staging.answers.message().await.unwrap().unwrap();

    let hold = harness.store.hold_changes();
    committing.send(commit(&first)).await;
    until(|| async { harness.store.changes_begun() == 1 }).await;
    harness.stop.send(()).unwrap();
    assert_eq!(staging.status().await, Code::Unavailable);
    while let Ok(Some(_)) = watching.message().await {}
    assert!(!harness.served.is_finished());
    drop(hold);
    assert!(matches!(committing.answer().await, Ok(Some(Answer::Written(_)))));
    harness.served.await.unwrap().unwrap();
}

#[tokio::test]
async fn nothing_acknowledged_is_lost_when_the_power_fails() {
    let harness = Harness::start().await;
    let version = writer().sized(1, 1, None, 64 << 10, 1 << 20);
    harness.publish(1, &version, &[0]).await;
    let store = harness.store.clone();
    harness.stop().await;
    store.crash();
    let harness = Harness::on(store, ServerConfig::default()).await;
    let state = harness.state().await;
    assert_eq!(state.current().unwrap().header, version.signed);
    harness.stop().await;
}

#[tokio::test]
async fn what_was_sealed_fences_a_bring_after_the_stream_was_lost_and_the_power_failed() {
    let harness = Harness::start().await;
    let base = writer().version(1, 1, None);
    let sibling = writer().version(2, 2, Some(base.id()));
    harness.publish(1, &base, &[0]).await;
    let mut lost = harness.talk(prepared(2, &writer().version(3, 3, Some(base.id())), &[0])).await;
    lost.sealed().await;
    drop(lost);
    let store = harness.store.clone();
    harness.stop().await;
    store.crash();
    let harness = Harness::on(store, ServerConfig::default()).await;
    let mut messages = staged(3, &sibling, &[0]);
    messages.push(bring(&sibling));
    let mut talk = harness.talk(messages).await;
    assert_eq!(talk.refusal().await, Refusal::Stale);
    assert_eq!(harness.state().await.current().unwrap().header, base.signed);
    harness.stop().await;
}

#[tokio::test]
async fn a_seal_that_cannot_be_remembered_is_refused_and_promises_nothing() {
    let harness = Harness::start().await;
    let (first, other) = (writer().version(1, 3, None), writer().version(2, 1, None));
    harness.store.fail_next(Operation::Replace);
    let mut talk = harness.talk(prepared(1, &first, &[0])).await;
    assert_eq!(talk.refusal().await, Refusal::StoreFailed);
    assert_eq!(harness.state().await.promised_ms, None);
    harness.publish(2, &other, &[0]).await;
    harness.stop().await;
}

#[tokio::test]
async fn health_and_reflection_are_on() {
    let harness = Harness::start().await;
    let endpoint = Endpoint::from_shared(harness.address.clone()).unwrap();
    let channel = endpoint.connect().await.unwrap();
    let mut health = HealthClient::new(channel);
    let request =
        tonic_health::pb::HealthCheckRequest { service: "tarn.storage.v1.Storage".to_owned() };
    let status = health.check(request).await.unwrap().into_inner().status;
    assert_eq!(status, i32::from(ServingStatus::Serving));
    drop(health);
    harness.stop().await;
}

/// Stops a server whose clients do not hang up.
async fn stop_while_clients_stay(harness: Harness) {
    harness.stop.send(()).unwrap();
    let served = tokio::time::timeout(Duration::from_secs(60), harness.served).await;
    served.expect("the server stops").unwrap().unwrap();
}

#[tokio::test]
async fn a_stopping_server_does_not_wait_for_a_connection_that_never_spoke() {
    let harness = Harness::start().await;
    let address = harness.address.trim_start_matches("http://");
    let silent = tokio::net::TcpStream::connect(address).await.unwrap();
    // Connections are accepted in order: once another one is served, the silent one was accepted.
    let mut other = connect(&harness.address).await;
    other.describe(wire::DescribeRequest::default()).await.unwrap();
    stop_while_clients_stay(harness).await;
    drop(silent);
}

#[tokio::test]
async fn a_stopping_server_does_not_wait_for_watchers_of_its_health() {
    let harness = Harness::start().await;
    let endpoint = Endpoint::from_shared(harness.address.clone()).unwrap();
    let mut health = HealthClient::new(endpoint.connect().await.unwrap());
    let request =
        tonic_health::pb::HealthCheckRequest { service: "tarn.storage.v1.Storage".to_owned() };
    let mut watching = health.watch(request).await.unwrap().into_inner();
    watching.message().await.unwrap().unwrap();
    stop_while_clients_stay(harness).await;
    assert!(watching.message().await.is_err());
}

#[tokio::test]
async fn a_stopping_server_does_not_wait_for_a_reader_that_takes_nothing() {
    let harness = Harness::start().await;
    let version = writer().sized(1, 1, None, 64 << 10, 8 << 20);
    harness.publish(1, &version, &[0]).await;
    let endpoint = Endpoint::from_shared(harness.address.clone()).unwrap();
    let channel = endpoint.initial_stream_window_size(65_535).connect().await.unwrap();
    let request = wire::ReadBlocksRequest {
        storage_index: bytes(writer().storage_index().as_bytes()),
        version_id: bytes(version.id().as_bytes()),
        segments: version.header().geometry.segments(),
        ..Default::default()
    };
    let reading = StorageClient::new(channel).read_blocks(request).await.unwrap();
    stop_while_clients_stay(harness).await;
    drop(reading);
}

#[tokio::test]
async fn a_stopping_server_takes_in_nothing_more_however_fast_it_comes() {
    let harness = Harness::start().await;
    harness.server.stopping.cancel();
    let version = writer().version(1, 1, None);
    let mut talk = harness.talk(prepared(1, &version, &[0, 1, 2, 3])).await;
    assert_eq!(talk.status().await, Code::Unavailable);
    drop(talk);
    harness.stop().await;
}

#[tokio::test]
async fn a_stopping_server_says_of_a_read_that_it_was_cut_short() {
    let harness = Harness::start().await;
    let version = writer().version(1, 1, None);
    harness.publish(1, &version, &[0]).await;
    harness.server.stopping.cancel();
    let request = wire::ReadBlocksRequest {
        storage_index: bytes(writer().storage_index().as_bytes()),
        version_id: bytes(version.id().as_bytes()),
        segments: version.header().geometry.segments(),
        ..Default::default()
    };
    let mut reading = harness.client.clone().read_blocks(request).await.unwrap().into_inner();
    assert_eq!(reading.message().await.unwrap_err().code(), Code::Unavailable);
    harness.stop().await;
}

fn impatient() -> ServerConfig {
    ServerConfig { idle: Duration::from_millis(1), ..ServerConfig::default() }
}

#[tokio::test]
async fn a_call_whose_request_never_comes_is_ended() {
    let harness = Harness::with(impatient()).await;
    let endpoint = Endpoint::from_shared(harness.address.clone()).unwrap();
    let mut calls = Grpc::new(endpoint.connect().await.unwrap());
    calls.ready().await.unwrap();
    let nothing = futures::stream::pending::<wire::ReadSlotRequest>();
    let codec = tonic_prost::ProstCodec::<_, wire::ReadSlotAnswer>::default();
    let path = PathAndQuery::from_static("/tarn.storage.v1.Storage/ReadSlot");
    let calling = calls.client_streaming(tonic::Request::new(nothing), path, codec);
    let called = tokio::time::timeout(Duration::from_secs(20), calling).await;
    assert_eq!(called.expect("it ends").unwrap_err().code(), Code::Cancelled);
    drop(calls);
    harness.stop().await;
}

#[tokio::test]
async fn a_stream_that_was_opened_outlives_the_time_for_opening_it() {
    let harness = Harness::with(impatient()).await;
    let watch = wire::WatchSlotRequest {
        storage_index: bytes(writer().storage_index().as_bytes()),
        ..Default::default()
    };
    let mut watching = harness.client.clone().watch_slot(watch).await.unwrap().into_inner();
    watching.message().await.unwrap().unwrap();
    tokio::time::sleep(Duration::from_millis(20)).await;
    assert!(watching.message().now_or_never().is_none());
    drop(watching);
    harness.stop().await;
}

#[tokio::test]
async fn after_a_commit_that_failed_only_the_store_says_what_the_slot_holds() {
    let harness = Harness::start().await;
    let _in_use = harness.server.slots.get(writer().storage_index());
    let first = writer().version(1, 1, None);
    let mut talk = harness.talk(prepared(1, &first, &[0])).await;
    talk.sealed().await;
    for operation in [Operation::Replace, Operation::Load] {
        harness.store.fail_next(operation);
    }
    talk.send(commit(&first)).await;
    let refused = talk.refused().await;
    assert_eq!(Refusal::try_from(&refused).unwrap(), Refusal::StoreFailed);
    assert_eq!(refused.state, None);

    harness.store.fail_next(Operation::Load);
    let request = wire::ReadSlotRequest {
        storage_index: bytes(writer().storage_index().as_bytes()),
        ..Default::default()
    };
    let status = harness.client.clone().read_slot(request).await.unwrap_err();
    assert_eq!(status.code(), Code::Unavailable);
    assert_eq!(harness.state().await, SlotState::empty(STORE));
    harness.stop().await;
}

#[tokio::test]
async fn a_commit_that_failed_and_was_made_all_the_same_is_told_as_made() {
    let harness = Harness::start().await;
    let first = writer().version(1, 1, None);
    let mut talk = harness.talk(prepared(1, &first, &[0])).await;
    talk.sealed().await;
    let watch = wire::WatchSlotRequest {
        token: String::new(),
        storage_index: bytes(writer().storage_index().as_bytes()),
    };
    let mut watching = harness.client.clone().watch_slot(watch).await.unwrap().into_inner();
    let before = watching.message().await.unwrap().unwrap();
    assert_eq!(verified(before.state).generations, []);

    harness.store.fail_next(Operation::Answer);
    talk.send(commit(&first)).await;
    let refused = talk.refused().await;
    assert_eq!(Refusal::try_from(&refused).unwrap(), Refusal::StoreFailed);
    assert_eq!(verified(refused.state).current().unwrap().header, first.signed);
    let after = watching.message().await.unwrap().unwrap();
    assert_eq!(verified(after.state).current().unwrap().header, first.signed);
    drop(watching);
    harness.stop().await;
}

#[tokio::test]
async fn a_finalize_that_failed_is_answered_with_what_the_store_says() {
    let harness = Harness::start().await;
    let first = writer().version(1, 1, None);
    harness.publish(1, &first, &[0]).await;
    let request = || wire::FinalizeRequest {
        token: String::new(),
        storage_index: bytes(writer().storage_index().as_bytes()),
        certificate: Some((&first.certificate()).into()),
    };
    let _in_use = harness.server.slots.get(writer().storage_index());
    let refused = async || {
        let answer = harness.client.clone().finalize(request()).await.unwrap().into_inner();
        match answer.answer.unwrap() {
            wire::finalize_answer::Answer::Refused(refused) => refused,
            recorded @ wire::finalize_answer::Answer::Recorded(_) => {
                panic!("expected Refused, got {recorded:?}")
            }
        }
    };
    // The slot is loaded before the failures are set, so that they meet what comes after the change.
    harness.state().await;
    for operation in [Operation::Replace, Operation::Load] {
        harness.store.fail_next(operation);
    }
    assert_eq!(refused().await.state, None);
    harness.state().await;
    harness.store.fail_next(Operation::Answer);
    assert_eq!(verified(refused().await.state).certificates, [first.certificate()]);
    harness.stop().await;
}
