//! Conversations with servers that answer late, otherwise, or not at all.

use std::sync::Arc;

use tarn_proto::state::Tests;
use tarn_proto::wire::write_answer::Answer as Said;
use tarn_proto::wire::write_request::Request;
use tarn_proto::{ConversationId, Signature};
use tokio::net::TcpStream;
use tokio::sync::{Semaphore, mpsc};

use super::*;
use crate::transport::{
    Answer, ConversationAnswers, ConversationEnded, ConversationSender, OpenRequest,
};

const BLOCK: usize = 64 << 10;
const SIGNATURE: Signature = Signature::new([9; 64]);

/// A conversation, the server it is with, the connection between them, and what that server hears.
struct Talk {
    _server: script::Running,
    _client: ServerClient,
    sender: ConversationSender,
    answers: ConversationAnswers,
    heard: mpsc::UnboundedReceiver<Heard>,
}

fn open_request() -> OpenRequest {
    OpenRequest {
        conversation: ConversationId::new([5; 16]),
        verify_key: VerifyKey::of(&key()),
        shape: Shape::new(2, 3, 3).unwrap(),
        block_size: BLOCK.try_into().unwrap(),
        length: None,
        shares: vec![share(0), share(2)],
        tests: Tests::default(),
        base: None,
        finalize: None,
        ancestors: Vec::new(),
    }
}

async fn talk(script: Script) -> Talk {
    let (hears, heard) = mpsc::unbounded_channel();
    let script = Script { heard: hears, ..script };
    let server = script.start().await;
    let client = server.client();
    let (sender, answers) = client.open(&open_request());
    Talk { _server: server, _client: client, sender, answers, heard }
}

fn block(mark: u8) -> Bytes {
    vec![mark; BLOCK].into()
}

fn sealed() -> Said {
    Said::Sealed(wire::Sealed { state: Some(wire_state()), promise_ms: 30_000 })
}

/// The shares, segments and first bytes of the blocks in a run.
fn marks(run: &wire::BlockRun) -> Vec<(u32, u32, u8)> {
    let blocks = run.data.chunks(BLOCK).zip(run.first_segment..);
    blocks.map(|(data, segment)| (run.share, segment, data[0])).collect()
}

#[tokio::test]
async fn open_to_seal_go_out_in_one_flight_and_arrive_in_order() {
    // The server sends not even response headers before it has read the Seal.
    let mut talk =
        talk(Script { answers: vec![sealed()], stalls: true, ..Script::default() }).await;
    for segment in 0..40_u8 {
        for number in [0, 2] {
            talk.sender.blocks(share(number), segment.into(), block(segment)).await.unwrap();
        }
    }
    let rows = Bytes::from_static(&[1; 128 * 40]);
    talk.sender.rows(0, rows.clone()).await.unwrap();
    let header = Bytes::from_static(b"header");
    talk.sender.seal_prepare(header.clone(), SIGNATURE, None).await.unwrap();
    assert_eq!(
        talk.answers.next(LONG).await,
        Ok(Answer::Sealed { state: state(), promise_ms: 30_000 })
    );
    talk.sender.extend().await.unwrap();
    talk.sender.commit(SIGNATURE).await.unwrap();

    let Some(Heard::Message(Request::Open(open))) = talk.heard.recv().await else {
        panic!("a conversation begins with Open");
    };
    assert_eq!((open.token.as_str(), open.shares), ("hush", vec![0, 2]));
    let mut blocks = Vec::new();
    let mut next = talk.heard.recv().await;
    while let Some(Heard::Message(Request::Blocks(run))) = &next {
        assert_eq!(run.data.len(), 4 * BLOCK);
        blocks.extend(marks(run));
        next = talk.heard.recv().await;
    }
    for number in [0, 2] {
        let column = blocks.iter().filter(|(share, ..)| *share == number);
        assert!(column.copied().eq((0..40).map(|j: u8| (number, j.into(), j))));
    }
    assert!(matches!(next, Some(Heard::Message(Request::Rows(run))) if run.data == rows));
    assert!(
        matches!(talk.heard.recv().await, Some(Heard::Message(Request::Seal(seal))) if seal.header == header)
    );
    assert_eq!(talk.heard.recv().await, Some(Heard::Message(Request::Extend(wire::Extend {}))));
    assert!(matches!(talk.heard.recv().await, Some(Heard::Message(Request::Commit(_)))));
    assert_eq!(talk.answers.next(LONG).await, Err(CallError::StreamEnded));
}

#[tokio::test]
async fn every_kind_of_answer_is_told_apart() {
    let refused = Refusal::Busy { wait_ms: 70 }.to_wire("later".to_owned(), Some(&state()));
    let mut talk = talk(Script {
        answers: vec![
            Said::Staged(wire::Staged { bytes: 5 }),
            Said::Extended(wire::Extended { promise_ms: 6 }),
            Said::Written(wire::Written { state: Some(wire_state()) }),
            Said::AlreadyHeld(wire::AlreadyHeld { state: Some(wire_state()) }),
            Said::Refused(refused),
            Said::Written(wire::Written { state: None }),
        ],
        ..Script::default()
    })
    .await;
    talk.sender.seal_bring(Bytes::new(), SIGNATURE, None).await.unwrap();
    let expected = [
        Ok(Answer::Staged { bytes: 5 }),
        Ok(Answer::Extended { promise_ms: 6 }),
        Ok(Answer::Written { state: state() }),
        Ok(Answer::AlreadyHeld { state: state() }),
        Ok(Answer::Refused {
            refusal: Refusal::Busy { wait_ms: 70 },
            detail: "later".to_owned(),
            state: Some(state()),
        }),
        Err(CallError::Malformed(ConvertError::Missing("slot state"))),
        Err(CallError::StreamEnded),
        Err(CallError::StreamEnded),
    ];
    for answer in expected {
        assert_eq!(talk.answers.next(LONG).await, answer);
    }
}

#[tokio::test]
async fn an_answer_of_another_store_is_refused() {
    let foreign = wire::SlotState {
        store_id: Bytes::copy_from_slice(OTHER_STORE.as_bytes()),
        ..wire_state()
    };
    let mut talk = talk(Script {
        answers: vec![Said::Written(wire::Written { state: Some(foreign) })],
        ..Script::default()
    })
    .await;
    let header = Bytes::new();
    talk.sender.seal_prepare(header, SIGNATURE, None).await.unwrap();
    assert_eq!(
        talk.answers.next(LONG).await,
        Err(CallError::OtherStore { expected: STORE, found: OTHER_STORE })
    );
}

#[tokio::test]
async fn a_late_answer_is_still_heard_after_the_deadline() {
    let mut talk = talk(Script { answers: vec![sealed()], ..Script::default() }).await;
    assert_eq!(talk.answers.next(SHORT).await, Err(CallError::TimedOut { after: SHORT }));
    let header = Bytes::new();
    talk.sender.seal_prepare(header, SIGNATURE, None).await.unwrap();
    let answer = talk.answers.next(LONG).await;
    assert!(matches!(answer, Ok(Answer::Sealed { .. })), "{answer:?}");
}

#[tokio::test]
async fn dropping_both_halves_ends_the_stream_on_the_server() {
    let mut talk = talk(Script { stalls: true, ..Script::default() }).await;
    assert!(matches!(talk.heard.recv().await, Some(Heard::Message(Request::Open(_)))));
    drop(talk.sender);
    drop(talk.answers);
    // The connection still stands: its client is kept.
    assert_eq!(talk.heard.recv().await, Some(Heard::End));
}

#[tokio::test]
async fn a_connection_lost_half_way_ends_both_halves() {
    let (hears, mut heard) = mpsc::unbounded_channel();
    let script =
        Script { heard: hears, answers: vec![sealed()], stalls: true, ..Script::default() };
    let server = script.start().await;
    let relay = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let client = ServerClient::dial(STORE, relay.local_addr().unwrap().to_string(), None).unwrap();
    let address = server.address;
    let wire = tokio::spawn(async move {
        let (mut near, _) = relay.accept().await.unwrap();
        let mut far = TcpStream::connect(address).await.unwrap();
        tokio::io::copy_bidirectional(&mut near, &mut far).await
    });
    let (mut sender, mut answers) = client.open(&open_request());
    sender.seal_prepare(Bytes::new(), SIGNATURE, None).await.unwrap();
    let answer = answers.next(LONG).await;
    assert!(matches!(answer, Ok(Answer::Sealed { .. })), "{answer:?}");

    wire.abort();
    let error = answers.next(LONG).await.unwrap_err();
    assert_eq!(error.kind(), FailureKind::Dead, "{error}");
    assert_eq!(sender.extend().await, Err(ConversationEnded));
    while heard.recv().await.is_some_and(|it| it != Heard::End) {}
}

#[tokio::test]
async fn nobody_at_the_address_ends_both_halves() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let client = ServerClient::dial(STORE, address.to_string(), None).unwrap();
    let (mut sender, mut answers) = client.open(&open_request());
    let error = answers.next(LONG).await.unwrap_err();
    assert_eq!(error.kind(), FailureKind::Dead);
    assert!(matches!(error, CallError::Unreachable { .. }), "{error}");
    assert_eq!(answers.next(LONG).await, Err(CallError::StreamEnded));
    assert_eq!(sender.extend().await, Err(ConversationEnded));
}

#[tokio::test]
async fn a_server_that_reads_nothing_holds_its_sender_back_and_loses_no_block() {
    let gate = Arc::new(Semaphore::new(0));
    let mut talk = talk(Script { gate: gate.clone(), ..Script::default() }).await;
    // Sends until it is held back, drops the call that waits, and takes it up again once the server reads.
    let mut segment = 0_u32;
    while let Ok(sent) = tokio::time::timeout(
        SHORT,
        talk.sender.blocks(share(0), segment, block(u8::try_from(segment).unwrap())),
    )
    .await
    {
        sent.unwrap();
        segment += 1;
        assert!(segment < 256, "16 MiB were taken from a sender that nobody reads");
    }
    gate.add_permits(1);
    talk.sender.blocks(share(0), segment, block(u8::try_from(segment).unwrap())).await.unwrap();
    talk.sender.seal_prepare(Bytes::new(), SIGNATURE, None).await.unwrap();

    assert!(matches!(talk.heard.recv().await, Some(Heard::Message(Request::Open(_)))));
    let mut blocks = Vec::new();
    while let Some(Heard::Message(Request::Blocks(run))) = talk.heard.recv().await {
        blocks.extend(marks(&run));
    }
    assert!(blocks.into_iter().eq((0..=segment).map(|j| (0, j, u8::try_from(j).unwrap()))));
}
