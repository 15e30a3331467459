//! A conversation with one server, dropped as a whole at its every poll; and one whose every message and answer is
//! dropped at its every poll and asked for again, which must neither lose nor repeat anything.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;

use bytes::{Bytes, BytesMut};
use tarn_client::caps::WriteCap;
use tarn_client::encode::SegmentEncoder;
use tarn_client::transport::{
    Answer, CallError, ConversationAnswers, ConversationEnded, ConversationSender, OpenRequest,
    ServerClient,
};
use tarn_drops::{Table, runtime};
use tarn_proto::signing::Statement;
use tarn_proto::state::Tests;
use tarn_proto::{
    AttemptId, Certificate, ConversationId, Geometry, Header, SequenceNumber, Shape, ShareNumber,
    Signature, SignedHeader, SlotState, Table as Rows, Window,
};
use tokio::sync::Mutex;
use zeroize::Zeroizing;

use crate::stage::{Drops, LONG, Stage};

#[test]
fn a_dropped_conversation_leaves_nothing_behind() {
    runtime().block_on(async {
        let stage = Stage::set(Shape::new(2, 2, 3).unwrap()).await;
        let mut table = Table::new("conversations, over gRPC");
        let scribe = Scribe::new(stage.server().clone());
        for drops in [Drops::AtEveryPoll, Drops::AtEveryTurn] {
            dropped(&mut table, &stage, &scribe, drops).await;
        }
        drop(scribe);
        stage.strike().await;
    });
}

#[test]
fn what_is_dropped_and_said_or_asked_again_is_said_once_and_heard() {
    runtime().block_on(async {
        let stage = Stage::set(Shape::new(2, 2, 3).unwrap()).await;
        let mut table = Table::new("messages of one conversation, over gRPC");
        let scribe = Scribe::new(stage.server().clone());
        repeated(&mut table, &scribe).await;
        assert_eq!(scribe.state().await.generations.len(), 1);
        drop(scribe);
        stage.strike().await;
    });
}

/// What a conversation has come to for its client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Come {
    Nothing,
    Commit,
    Written,
}

async fn dropped(table: &mut Table, stage: &Stage, scribe: &Scribe, drops: Drops) {
    let come = Cell::new(Come::Nothing);
    let written = Cell::new(None);
    let make = async || {
        come.set(Come::Nothing);
        let version = scribe.next_version().await;
        written.set(Some(version.version()));
        scribe.converse(version, &come)
    };
    let after = async |_: Option<()>| {
        stage.is_at_rest().await;
        let state = scribe.state().await;
        assert_eq!(state.promised_ms, None);
        let is_there = state.current().map(|held| held.header.version()) == written.get();
        match come.get() {
            Come::Nothing => assert!(!is_there, "it was not committed"),
            Come::Commit => {}
            Come::Written => assert!(is_there, "it was written"),
        }
        if let Some(current) = state.current() {
            assert!(current.shares.keys().eq(scribe.columns.keys()), "both shares, or none");
        }
        // The next writer seals at once.
        let come = Cell::new(Come::Nothing);
        scribe.converse(scribe.next_version().await, &come).await;
        assert_eq!(come.get(), Come::Written);
    };
    match drops {
        Drops::AtEveryPoll => table.polls("ServerClient::open to Written", make, after).await,
        Drops::AtEveryTurn => table.turns("ServerClient::open to Written", make, after).await,
    }
}

/// One conversation, whose every call is dropped at its every poll until it completes.
async fn repeated(table: &mut Table, scribe: &Scribe) {
    let version = scribe.next_version().await;
    let (sender, answers) = scribe.open(&version);
    let (saying, answers) = (Mutex::new(sender), &Mutex::new(answers));
    let sender = &saying;
    said(table, "ConversationSender::rows", async || async {
        sender.lock().await.rows(0, scribe.table.bytes().clone()).await
    })
    .await;
    for (&share, column) in &scribe.columns {
        said(table, "ConversationSender::blocks", async || async {
            sender.lock().await.blocks(share, 0, column.clone()).await
        })
        .await;
    }
    let (header, prepare) = (version.bytes(), scribe.prepare(&version));
    said(table, "ConversationSender::seal_prepare", async || async {
        sender.lock().await.seal_prepare(header.clone(), prepare, None).await
    })
    .await;
    assert!(matches!(heard(table, answers).await, Answer::Sealed { .. }));
    said(table, "ConversationSender::extend", async || async {
        sender.lock().await.extend().await
    })
    .await;
    assert!(matches!(heard(table, answers).await, Answer::Extended { .. }));
    // A Commit takes the sender with it: it is dropped with the conversations above.
    saying.into_inner().commit(version.signature()).await.unwrap();
    assert!(matches!(heard(table, answers).await, Answer::Written { .. }));
}

async fn said<F: Future<Output = Result<(), ConversationEnded>>>(
    table: &mut Table,
    operation: &str,
    say: impl AsyncFnMut() -> F,
) {
    table.polls(operation, say, async |said| assert!(said.is_none_or(|said| said.is_ok()))).await;
}

/// The next answer that is more than a sign of life.
async fn heard(table: &mut Table, answers: &Mutex<ConversationAnswers>) -> Answer {
    let heard = RefCell::new(None);
    let hear = async || async { answers.lock().await.next(LONG).await };
    loop {
        let after = async |answer: Option<Result<Answer, CallError>>| {
            heard.replace(answer.map(Result::unwrap));
        };
        table.polls("ConversationAnswers::next", hear, after).await;
        match heard.take() {
            Some(Answer::Staged { .. }) => {}
            Some(answer) => return answer,
            None => unreachable!("a trial ends with an answer"),
        }
    }
}

/// A writer of versions that all have the same two shares of one content, for one server. It decides nothing.
struct Scribe {
    server: ServerClient,
    cap: WriteCap,
    geometry: Geometry,
    table: Rows,
    columns: BTreeMap<ShareNumber, Bytes>,
    conversations: Cell<u64>,
}

impl Scribe {
    fn new(server: ServerClient) -> Self {
        let cap = WriteCap::from_secret(Zeroizing::new([7; 32]));
        let geometry = Geometry::new(shape(), 64 << 10, 6 * (64 << 10)).unwrap();
        let attempt = AttemptId::new([1; 16]);
        let encoder =
            SegmentEncoder::new(&cap.read_cap(), geometry, attempt, SequenceNumber::FIRST);
        let (mut rows, mut columns) = (Vec::new(), BTreeMap::<ShareNumber, BytesMut>::new());
        for segment in 0..geometry.segments() {
            let coded = encoder.encode(segment, &vec![7; geometry.segment_length(segment)]);
            for share in ShareNumber::all(2) {
                columns.entry(share).or_default().extend_from_slice(&coded.blocks[share.index()]);
            }
            rows.push(coded.row);
        }
        Self {
            server,
            cap,
            geometry,
            table: Rows::from_rows(geometry.n(), rows),
            columns: columns.into_iter().map(|(share, column)| (share, column.freeze())).collect(),
            conversations: Cell::new(0),
        }
    }

    async fn state(&self) -> SlotState {
        let file = self.cap.verify_cap().storage_index();
        self.server.read_slot(file, None, None, LONG).await.unwrap()
    }

    /// A version that follows what the server holds.
    async fn next_version(&self) -> SignedHeader {
        let state = self.state().await;
        let base = state.current().map(|held| held.header.clone());
        let number = base
            .as_ref()
            .map_or(Some(SequenceNumber::FIRST), |base| base.header().sequence_number.next());
        // Every try is a version of its own.
        self.conversations.set(self.conversations.get() + 1);
        let header = Header {
            tombstone: false,
            storage_index: self.cap.verify_cap().storage_index(),
            sequence_number: number.unwrap(),
            predecessor: base.map(|base| base.version()),
            shape: shape(),
            geometry: self.geometry,
            table_root: self.table.root(),
            attempt: AttemptId::new(self.numbered()),
            key_check: self.cap.read_cap().key_check(),
            window: Window::new(vec![self.server.store()]).unwrap(),
            joint: None,
        };
        SignedHeader::sign(&self.cap.signing_key(), header)
    }

    fn numbered(&self) -> [u8; 16] {
        u128::from(self.conversations.get()).to_be_bytes()
    }

    fn prepare(&self, version: &SignedHeader) -> Signature {
        let statement = Statement::Prepare { store: self.server.store(), header: version.bytes() };
        statement.sign(&self.cap.signing_key())
    }

    /// What came before is Published by then: the slot does not fill up.
    fn open(&self, version: &SignedHeader) -> (ConversationSender, ConversationAnswers) {
        let header = version.header();
        let before = SequenceNumber::new(header.sequence_number.get() - 1);
        let finalize = before
            .zip(header.predecessor)
            .map(|(number, version)| Certificate::sign(&self.cap.signing_key(), number, version));
        self.server.open(&OpenRequest {
            conversation: ConversationId::new(self.numbered()),
            verify_key: version.verify_key(),
            shape: header.shape,
            block_size: header.geometry.block_size(),
            length: Some(header.geometry.length()),
            shares: self.columns.keys().copied().collect(),
            tests: Tests::default(),
            base: None,
            finalize,
            ancestors: Vec::new(),
        })
    }

    async fn converse(&self, version: SignedHeader, come: &Cell<Come>) {
        let (mut sender, mut answers) = self.open(&version);
        sender.rows(0, self.table.bytes().clone()).await.unwrap();
        for (&share, column) in &self.columns {
            sender.blocks(share, 0, column.clone()).await.unwrap();
        }
        let prepare = self.prepare(&version);
        sender.seal_prepare(version.bytes().clone(), prepare, None).await.unwrap();
        assert!(matches!(answer(&mut answers).await, Ok(Answer::Sealed { .. })));
        sender.extend().await.unwrap();
        assert!(matches!(answer(&mut answers).await, Ok(Answer::Extended { .. })));
        let committing = sender.commit(version.signature());
        committing.await.unwrap();
        come.set(Come::Commit);
        assert!(matches!(answer(&mut answers).await, Ok(Answer::Written { .. })));
        come.set(Come::Written);
        assert!(matches!(answer(&mut answers).await, Err(CallError::StreamEnded)));
    }
}

fn shape() -> Shape {
    Shape::new(2, 2, 3).unwrap()
}

async fn answer(answers: &mut ConversationAnswers) -> Result<Answer, CallError> {
    loop {
        match answers.next(LONG).await {
            Ok(Answer::Staged { .. }) => {}
            answer => return answer,
        }
    }
}
