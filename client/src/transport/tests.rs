//! The transport against servers that misbehave, each scripted over real gRPC on loopback.

use std::time::Duration;

use bytes::Bytes;
use ed25519_dalek::SigningKey;
use futures::StreamExt;
use tarn_proto::convert::ConvertError;
use tarn_proto::signing::SigningError;
use tarn_proto::state::GENERATIONS_MAX;
use tarn_proto::{
    AttemptId, Certificate, Generation, Geometry, Header, Origin, Refusal, SequenceNumber, Shape,
    ShareHealth, ShareNumber, SignedHeader, SlotState, StorageIndex, StoreId, Table, VerifyKey,
    Window, wire,
};
use tokio::net::TcpListener;
use tonic::{Code, Status};

use super::{CallError, FailureKind, FinalizeError, ServerClient};
use script::{Heard, Script};

mod conversation;
mod read;
mod script;

const STORE: StoreId = StoreId::new([1; 16]);
const OTHER_STORE: StoreId = StoreId::new([2; 16]);
/// Long enough never to matter.
const LONG: Duration = Duration::from_secs(600);
/// Short, where the server says nothing however long one waits.
const SHORT: Duration = Duration::from_millis(20);

fn key() -> SigningKey {
    SigningKey::from_bytes(&[7; 32])
}

fn storage_index() -> StorageIndex {
    VerifyKey::of(&key()).storage_index()
}

fn share(number: u8) -> ShareNumber {
    ShareNumber::new(number).unwrap()
}

/// A version of 20 bytes, 2-of-3 in blocks of 4: two segments and a shorter one.
fn version(table: &Table) -> SignedHeader {
    let shape = Shape::new(2, 3, 3).unwrap();
    let header = Header {
        tombstone: false,
        storage_index: storage_index(),
        sequence_number: SequenceNumber::FIRST,
        predecessor: None,
        shape,
        geometry: Geometry::new(shape, 4, 20).unwrap(),
        table_root: table.root(),
        attempt: AttemptId::new([3; 16]),
        key_check: [4; 16],
        window: Window::new(vec![STORE]).unwrap(),
        joint: None,
    };
    SignedHeader::sign(&key(), header)
}

fn state() -> SlotState {
    let header = version(&Table::from_rows(3, []));
    SlotState {
        floor: Some(header.clone()),
        generations: vec![Generation {
            header,
            shares: [(share(1), ShareHealth::Whole)].into(),
            origin: Origin::Brought,
        }],
        ..SlotState::empty(STORE)
    }
}

fn wire_state() -> wire::SlotState {
    (&state()).into()
}

async fn read_slot(slot: Result<Option<wire::SlotState>, Status>) -> Result<SlotState, CallError> {
    let script = Script { slot, ..Script::default() };
    let server = script.start().await;
    let client = server.client();
    client.read_slot(storage_index(), None, None, LONG).await
}

#[tokio::test]
async fn a_good_state_is_read() {
    assert_eq!(read_slot(Ok(Some(wire_state()))).await, Ok(state()));
}

#[tokio::test]
async fn the_state_of_another_store_is_refused() {
    let foreign = wire::SlotState {
        store_id: Bytes::copy_from_slice(OTHER_STORE.as_bytes()),
        ..wire_state()
    };
    let error = read_slot(Ok(Some(foreign))).await.unwrap_err();
    assert_eq!(error, CallError::OtherStore { expected: STORE, found: OTHER_STORE });
    assert_eq!(error.kind(), FailureKind::Broken);
}

#[tokio::test]
async fn a_server_that_describes_another_store_is_refused() {
    let mut answer = wire::DescribeAnswer {
        store_id: Bytes::copy_from_slice(STORE.as_bytes()),
        software: "scripted\x07".to_owned(),
        free_bytes: 9,
        ..Default::default()
    };
    let script = |answer: &wire::DescribeAnswer| Script {
        describe: Some(answer.clone()),
        ..Script::default()
    };
    let server = script(&answer).start().await;
    let said = server.client().describe(LONG).await.unwrap();
    assert_eq!((said.store, said.free_bytes), (STORE, 9));
    assert_eq!(said.software, "scripted ");

    answer.store_id = Bytes::copy_from_slice(OTHER_STORE.as_bytes());
    let server = script(&answer).start().await;
    assert!(matches!(
        server.client().describe(LONG).await,
        Err(CallError::OtherStore { found, .. }) if found == OTHER_STORE
    ));
}

#[tokio::test]
async fn malformed_states_are_refused_for_what_they_lack() {
    let broken = |change: fn(&mut wire::SlotState)| {
        let mut state = wire_state();
        change(&mut state);
        Ok(Some(state))
    };
    let cases = [
        (Ok(None), ConvertError::Missing("slot state")),
        (broken(|state| state.generations[0].header = None), ConvertError::Missing("header")),
        (
            broken(|state| state.generations = vec![state.generations[0].clone(); 17]),
            ConvertError::TooMany { what: "generations", max: GENERATIONS_MAX, got: 17 },
        ),
        (
            broken(|state| {
                let floor = state.floor.as_mut().unwrap();
                floor.signature = Bytes::from_static(&[0; 64]);
            }),
            ConvertError::Header(SigningError::Signature.into()),
        ),
    ];
    for (answer, why) in cases {
        let error = read_slot(answer).await.unwrap_err();
        assert_eq!(error, CallError::Malformed(why));
        assert_eq!(error.kind(), FailureKind::Broken);
    }
}

#[tokio::test]
async fn a_status_of_the_server_is_a_refusal() {
    let error = read_slot(Err(Status::unauthenticated("who?"))).await.unwrap_err();
    assert_eq!(error, CallError::Unauthenticated);
    let error = read_slot(Err(Status::invalid_argument("a\nb"))).await.unwrap_err();
    assert_eq!(
        error,
        CallError::Rejected { code: Code::InvalidArgument, message: "a b".to_owned() }
    );
    assert_eq!(error.kind(), FailureKind::Refused);
}

#[tokio::test]
async fn nobody_at_the_address_is_noticed_at_once() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let client = ServerClient::dial(STORE, address.to_string(), None).unwrap();
    let error = client.describe(LONG).await.unwrap_err();
    assert!(
        matches!(&error, CallError::Unreachable { cause } if cause.contains("refused")),
        "{error}"
    );
    assert_eq!(error.kind(), FailureKind::Dead);
}

#[tokio::test]
async fn a_connection_that_is_closed_at_once_is_dead() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let client = ServerClient::dial(STORE, address, None).unwrap();
    let accepts_and_closes = async { drop(listener.accept().await.unwrap()) };
    let (outcome, ()) = tokio::join!(client.describe(LONG), accepts_and_closes);
    assert_eq!(outcome.unwrap_err().kind(), FailureKind::Dead);
}

#[tokio::test]
async fn a_silent_server_is_late() {
    let server = Script::default().start().await;
    let error = server.client().describe(SHORT).await.unwrap_err();
    assert_eq!(error, CallError::TimedOut { after: SHORT });
    assert_eq!(error.kind(), FailureKind::Late);
}

#[tokio::test]
async fn a_certificate_is_recorded_or_refused_with_evidence() {
    use wire::finalize_answer::Answer;
    let header = version(&Table::from_rows(3, []));
    let certificate = Certificate::sign(&key(), SequenceNumber::FIRST, header.version());
    let refused = Refusal::NotHeld.to_wire("gone".to_owned(), Some(&state()));
    let cases = [
        (Some(Answer::Recorded(wire_state())), Ok(state())),
        (
            Some(Answer::Refused(refused)),
            Err(FinalizeError::Refused {
                refusal: Refusal::NotHeld,
                detail: "gone".to_owned(),
                state: Some(Box::new(state())),
            }),
        ),
        (None, Err(CallError::Malformed(ConvertError::Missing("answer")).into())),
    ];
    for (finalize, expected) in cases {
        let script = Script { finalize, ..Script::default() };
        let server = script.start().await;
        let outcome = server.client().finalize(storage_index(), &certificate, LONG).await;
        assert_eq!(outcome, expected);
    }
}

#[tokio::test]
async fn a_watcher_hears_every_state_and_the_end() {
    let script = Script { slot: Ok(Some(wire_state())), ..Script::default() };
    let server = script.start().await;
    let states: Vec<_> = server.client().watch_slot(storage_index(), LONG).collect().await;
    assert_eq!(states, [Ok(state()), Ok(state())]);
}

#[tokio::test]
async fn a_token_is_never_printed() {
    let server = Script::default().start().await;
    assert!(!format!("{:?}", server.client()).contains("hush"));
}
