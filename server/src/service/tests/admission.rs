//! Tokens and limits.

use super::*;
use crate::config::{Limits, Token};
use crate::store::memory::MemoryStore;

fn limited(change: impl FnOnce(&mut Limits)) -> ServerConfig {
    let mut config = ServerConfig::default();
    change(&mut config.limits);
    config
}

async fn open_refusal(harness: &Harness, message: wire::Open) -> Refusal {
    harness.talk(vec![Request::Open(message)]).await.refusal().await
}

#[tokio::test]
async fn a_server_describes_itself() {
    let config = ServerConfig { reserved_bytes: 1 << 20, ..ServerConfig::default() };
    let harness = Harness::with(config).await;
    let answer = harness.client.clone().describe(wire::DescribeRequest::default()).await;
    let answer = answer.unwrap().into_inner();
    assert_eq!(answer.store_id, bytes(STORE.as_bytes()));
    assert_eq!(answer.free_bytes, (1 << 30) - (1 << 20));
    assert_eq!((answer.promise_ms, answer.read_only), (30_000, false));
    harness.stop().await;
}

#[tokio::test]
async fn without_the_token_nothing_is_told_and_nothing_done() {
    let config = ServerConfig { token: Some(Token::new("open sesame")), ..ServerConfig::default() };
    let harness = Harness::with(config).await;
    let mut client = harness.client.clone();
    let version = writer().version(1, 1, None);
    let storage_index = bytes(writer().storage_index().as_bytes());
    let version_id = bytes(version.id().as_bytes());

    let described = client.describe(wire::DescribeRequest::default()).await;
    assert_eq!(described.unwrap_err().code(), Code::Unauthenticated);
    let read = wire::ReadSlotRequest { storage_index: storage_index.clone(), ..Default::default() };
    let read = client.read_slot(read).await;
    assert_eq!(read.unwrap_err().code(), Code::Unauthenticated);
    let watch =
        wire::WatchSlotRequest { storage_index: storage_index.clone(), ..Default::default() };
    let watch = client.watch_slot(watch).await;
    assert_eq!(watch.unwrap_err().code(), Code::Unauthenticated);
    let blocks = wire::ReadBlocksRequest {
        storage_index: storage_index.clone(),
        version_id,
        ..Default::default()
    };
    let blocks = client.read_blocks(blocks).await.unwrap().into_inner().message().await;
    let refused = wire::read_blocks_answer::Answer::Refused(wire::ReadRefused {
        reason: wire::ReadRefusal::ReadUnauthenticated.into(),
    });
    assert_eq!(blocks.unwrap().unwrap().answer, Some(refused));
    let finalize = wire::FinalizeRequest {
        token: "open sesam".to_owned(),
        storage_index,
        certificate: Some((&version.certificate()).into()),
    };
    let finalized = client.finalize(finalize).await.unwrap().into_inner().answer;
    let Some(wire::finalize_answer::Answer::Refused(refused)) = finalized else {
        panic!("expected a refusal");
    };
    assert_eq!(Refusal::try_from(&refused), Ok(Refusal::Unauthenticated));

    let mut talk = harness.talk(prepared(1, &version, &[0])).await;
    let refused = talk.refused().await;
    assert_eq!(Refusal::try_from(&refused), Ok(Refusal::Unauthenticated));
    assert_eq!(refused.state, None);
    let admitted =
        wire::Open { token: "open sesame".to_owned(), ..open_message(1, &version, &[0]) };
    let mut messages = prepared(1, &version, &[0]);
    messages[0] = Request::Open(admitted);
    harness.talk(messages).await.sealed().await;
    harness.stop().await;
}

#[tokio::test]
async fn a_read_only_server_refuses_every_write() {
    let config = ServerConfig { read_only: true, ..ServerConfig::default() };
    let harness = Harness::with(config).await;
    let version = writer().version(1, 1, None);
    let refusal = open_refusal(&harness, open_message(1, &version, &[0])).await;
    assert_eq!(refusal, Refusal::ReadOnly);
    let request = wire::FinalizeRequest {
        token: String::new(),
        storage_index: bytes(writer().storage_index().as_bytes()),
        certificate: Some((&version.certificate()).into()),
    };
    let answer = harness.client.clone().finalize(request).await.unwrap();
    let Some(wire::finalize_answer::Answer::Refused(refused)) = answer.into_inner().answer else {
        panic!("expected a refusal");
    };
    assert_eq!(Refusal::try_from(&refused), Ok(Refusal::ReadOnly));
    harness.stop().await;
}

#[tokio::test]
async fn what_is_larger_than_the_limits_is_refused_at_open() {
    let harness = Harness::with(limited(|limits| {
        limits.share_bytes_max = 9;
        limits.table_bytes_max = 640;
    }))
    .await;
    let fits = writer().sized(1, 1, None, 4, 18);
    let long = writer().sized(1, 1, None, 4, 20);
    harness.publish(1, &fits, &[0]).await;
    let refusal = open_refusal(&harness, open_message(2, &long, &[0])).await;
    assert_eq!(refusal, Refusal::TooLarge);
    let many_rows = writer().sized(1, 1, None, 1, 10);
    let refusal = open_refusal(&harness, open_message(2, &many_rows, &[0])).await;
    assert_eq!(refusal, Refusal::TooLarge);
    let endless = wire::Open { data_length: Some(u64::MAX), ..open_message(2, &fits, &[0]) };
    assert_eq!(open_refusal(&harness, endless).await, Refusal::TooLarge);
    harness.stop().await;
}

#[tokio::test]
async fn what_grows_larger_than_the_limits_without_announcing_it_is_refused_too() {
    let harness = Harness::with(limited(|limits| limits.share_bytes_max = 9)).await;
    let long = writer().sized(1, 1, None, 4, 20);
    let mut messages = prepared(1, &long, &[0]);
    messages[0] = Request::Open(wire::Open { data_length: None, ..open_message(1, &long, &[0]) });
    assert_eq!(harness.talk(messages).await.refusal().await, Refusal::TooLarge);
    harness.stop().await;
}

#[tokio::test]
async fn conversations_are_counted_by_connection_and_overall() {
    let harness = Harness::with(limited(|limits| {
        limits.connection.conversations_max = 1;
        limits.server.conversations_max = 2;
    }))
    .await;
    let version = writer().version(1, 1, None);
    let message = |number| open_message(number, &version, &[0]);
    let staged = |number| vec![Request::Open(message(number)), blocks(&version, 0)];
    let mut one = harness.talk(staged(1)).await;
    one.answers.message().await.unwrap().unwrap();
    assert_eq!(open_refusal(&harness, message(2)).await, Refusal::OverQuota);

    let second = connect(&harness.address).await;
    let mut two = Talk::begin(second, staged(3)).await;
    two.answers.message().await.unwrap().unwrap();
    let third = connect(&harness.address).await;
    let mut three = Talk::begin(third.clone(), staged(4)).await;
    assert_eq!(three.refusal().await, Refusal::OverQuota);

    drop(one);
    until(|| async {
        let mut talk = Talk::begin(third.clone(), prepared(5, &version, &[0])).await;
        matches!(talk.answer().await, Ok(Some(Answer::Sealed(_))))
    })
    .await;
    harness.stop().await;
}

#[tokio::test]
async fn staged_bytes_are_counted() {
    let harness = Harness::with(limited(|limits| {
        limits.connection.staged_bytes_max = 10;
    }))
    .await;
    let version = writer().version(1, 1, None);
    let mut talk = harness.talk(prepared(1, &version, &[0])).await;
    assert_eq!(talk.refusal().await, Refusal::OverQuota);
    harness.stop().await;
}

#[tokio::test]
async fn what_does_not_fit_into_the_space_left_is_refused_at_open() {
    let config = ServerConfig { reserved_bytes: (1 << 30) - 100, ..ServerConfig::default() };
    let harness = Harness::with(config).await;
    let version = writer().version(1, 1, None);
    let refusal = open_refusal(&harness, open_message(1, &version, &[0])).await;
    assert_eq!(refusal, Refusal::NoSpace);
    harness.stop().await;
}

#[tokio::test]
async fn a_disk_that_fills_up_while_staging_is_no_space() {
    let harness = Harness::start().await;
    let version = writer().sized(1, 1, None, 64 << 10, 1 << 20);
    let mut messages = prepared(1, &version, &[0]);
    messages[0] =
        Request::Open(wire::Open { data_length: None, ..open_message(1, &version, &[0]) });
    harness.stop().await;

    let tiny = MemoryStore::new(STORE, 1000, ChaCha8Rng::seed_from_u64(1));
    let config = ServerConfig { reserved_bytes: 0, ..ServerConfig::default() };
    let harness = Harness::on(tiny, config).await;
    assert_eq!(harness.talk(messages).await.refusal().await, Refusal::NoSpace);
    harness.stop().await;
}

#[tokio::test]
async fn another_files_key_and_forged_ancestors_are_refused_at_open_and_an_update_not_known() {
    let harness = Harness::start().await;
    let version = writer().version(1, 1, None);
    for key in [Writer::new(8).verify_key().as_bytes(), &[0; 32]] {
        let message = wire::Open { verify_key: bytes(key), ..open_message(1, &version, &[0]) };
        assert_eq!(open_refusal(&harness, message).await, Refusal::BadSignature);
    }
    let forged = wire::SignedHeader {
        signature: bytes(&[7; 64]),
        ..wire::SignedHeader::from(&version.signed)
    };
    let message = wire::Open { ancestors: vec![forged], ..open_message(1, &version, &[0]) };
    assert_eq!(open_refusal(&harness, message).await, Refusal::BadSignature);
    let update = wire::Open {
        base_version_id: bytes(version.id().as_bytes()),
        ..open_message(1, &version, &[0])
    };
    assert_eq!(open_refusal(&harness, update).await, Refusal::BaseMissing);
    harness.stop().await;
}

#[tokio::test]
async fn what_goes_beyond_the_announced_length_is_refused_as_it_comes() {
    let harness = Harness::start().await;
    let (announced, longer) = (writer().version(1, 1, None), writer().sized(1, 1, None, 4, 40));
    for run in [blocks(&longer, 0), rows(&longer)] {
        // No Seal is sent: the run itself is refused.
        let mut talk = harness.talk(vec![open(1, &announced, &[0]), run]).await;
        assert_eq!(talk.refusal().await, Refusal::BadShare);
    }
    harness.stop().await;
}

#[tokio::test]
async fn a_certificate_that_rides_on_an_open_is_recorded_whatever_becomes_of_the_open() {
    let harness = Harness::start().await;
    let first = writer().version(1, 1, None);
    harness.publish(1, &first, &[0]).await;
    let store = harness.store.clone();
    harness.stop().await;
    let full = ServerConfig { reserved_bytes: u64::MAX, ..ServerConfig::default() };
    let harness = Harness::on(store, full).await;
    let second = writer().version(2, 2, Some(first.id()));
    let riding = wire::Open {
        finalize: Some((&first.certificate()).into()),
        ..open_message(2, &second, &[0])
    };
    let mut talk = harness.talk(vec![Request::Open(riding)]).await;
    let refused = talk.refused().await;
    assert_eq!(Refusal::try_from(&refused), Ok(Refusal::NoSpace));
    assert_eq!(verified(refused.state).certificates, [first.certificate()]);
    assert_eq!(harness.state().await.certificates, [first.certificate()]);
    harness.stop().await;
}

#[tokio::test]
async fn memory_is_counted_by_hashes_and_by_what_is_not_in_a_chunk() {
    // Ten bytes and three hashes of blocks; 480 bytes of three rows, and for each its own hash and one share's.
    let needed = (10 + 3 * 32) + (480 + 3 * 2 * 32);
    let version = writer().version(1, 1, None);
    let enough = Harness::with(limited(|limits| limits.connection.memory_bytes_max = needed)).await;
    enough.talk(prepared(1, &version, &[0])).await.sealed().await;
    enough.stop().await;
    let short = Harness::with(limited(|limits| limits.connection.memory_bytes_max = needed - 1));
    let short = short.await;
    let refusal = short.talk(prepared(1, &version, &[0])).await.refusal().await;
    assert_eq!(refusal, Refusal::OverQuota);
    short.stop().await;
}

#[tokio::test]
async fn reads_are_counted_until_their_answers_are_taken() {
    let harness = Harness::with(limited(|limits| limits.connection.reads_max = 1)).await;
    let version = writer().sized(1, 1, None, 64 << 10, 8 << 20);
    harness.publish(1, &version, &[0]).await;
    let endpoint = Endpoint::from_shared(harness.address.clone()).unwrap();
    let channel = endpoint.initial_stream_window_size(65_535).connect().await.unwrap();
    let mut client = StorageClient::new(channel);
    let request = |segments| wire::ReadBlocksRequest {
        storage_index: bytes(writer().storage_index().as_bytes()),
        version_id: bytes(version.id().as_bytes()),
        segments,
        ..Default::default()
    };
    let stalled = client.read_blocks(request(64)).await.unwrap();
    let refused = client.read_blocks(request(0)).await.unwrap_err();
    assert_eq!(refused.code(), Code::ResourceExhausted);
    drop(stalled);
    until(|| {
        let mut client = client.clone();
        async move { client.read_blocks(request(0)).await.is_ok() }
    })
    .await;
    drop(client);
    harness.stop().await;
}
