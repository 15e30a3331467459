//! One conversation with one server, from Open to its end: sends what it is given, and tells every answer. Dropping
//! the task ends the conversation, and the server releases what it promised.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tarn_proto::signing::Statement;
use tarn_proto::state::Tests;
use tarn_proto::{Certificate, Shape, Signature, SignedHeader};
use tokio::sync::{mpsc, watch};
use tokio::time::timeout;

use super::{Context, MESSAGE_DEADLINE};
use crate::encode::pass::LanePiece;
use crate::publish::action::{Cut, MessageId, PrepareLane};
use crate::publish::event::Event;
use crate::servermap::Failure;
use crate::time::Millis;
use crate::transport::{
    Answer, CallError, ConversationAnswers, ConversationEnded, ConversationSender, FailureKind,
    OpenRequest,
};

/// How often a server is told that there is more to come. It ends a conversation that is silent for a minute, and so do we.
const SIGN_OF_LIFE_EVERY: Duration = Duration::from_secs(15);

/// Something more to be said in a conversation, and the message whose answer it expects.
pub(super) struct Order {
    pub(super) message: MessageId,
    pub(super) command: Command,
}

pub(super) enum Command {
    Retest(Tests),
    Extend,
    Commit(Signature),
}

/// A conversation about to be opened.
pub(super) struct LaneTask {
    pub(super) context: Arc<Context>,
    pub(super) lane: PrepareLane,
    pub(super) shape: Shape,
    pub(super) cut: Cut,
    pub(super) finalize: Option<Certificate>,
    pub(super) ancestors: Vec<SignedHeader>,
    pub(super) pieces: mpsc::Receiver<LanePiece>,
    pub(super) complete: watch::Receiver<Option<SignedHeader>>,
}

impl LaneTask {
    /// Holds the conversation until it fails, commits, or the driver lets go of it.
    pub(super) async fn run(self, orders: mpsc::UnboundedReceiver<Order>) {
        let (context, message) = (Arc::clone(&self.context), self.lane.message);
        let server = match context.server(self.lane.server) {
            Ok(server) => server.clone(),
            Err(failure) => return context.tell(Event::Failed { message, failure }),
        };
        let (sender, answers) = server.open(&OpenRequest {
            conversation: self.lane.conversation,
            verify_key: context.read_cap.verify_cap().verify_key(),
            shape: self.shape,
            block_size: self.cut.room().block_size(),
            length: self.cut.length(),
            shares: self.lane.shares.iter().copied().collect(),
            tests: self.lane.tests.clone(),
            base: self.lane.base,
            finalize: self.finalize,
            ancestors: self.ancestors,
        });
        let feed = Feed {
            context: Arc::clone(&context),
            server: self.lane.server,
            pieces: self.pieces,
            complete: self.complete,
        };
        let talk = Talk { context, answers, expected: [message].into(), acknowledged: 0 };
        talk.run(feed, sender, orders).await;
    }
}

/// What a lane sends up to its Seal.
struct Feed {
    context: Arc<Context>,
    server: tarn_proto::StoreId,
    pieces: mpsc::Receiver<LanePiece>,
    complete: watch::Receiver<Option<SignedHeader>>,
}

/// A lane's sender once it has sealed, and what it sealed.
struct Fed {
    sender: ConversationSender,
    header: SignedHeader,
    prepare: Signature,
}

impl Feed {
    /// Sends all pieces, then the Seal. None when the pass came to nothing, or the connection is gone: its end is
    /// heard by whoever listens for answers.
    async fn run(mut self, mut sender: ConversationSender) -> Option<Fed> {
        self.pieces(&mut sender).await.ok()?;
        let header = self.complete.wait_for(Option::is_some).await.ok()?.clone()?;
        let statement = Statement::Prepare { store: self.server, header: header.bytes() };
        let prepare = statement.sign(&self.context.signing_key);
        sender.seal_prepare(header.bytes().clone(), prepare, None).await.ok()?;
        Some(Fed { sender, header, prepare })
    }

    async fn pieces(&mut self, sender: &mut ConversationSender) -> Result<(), ConversationEnded> {
        while let Some(piece) = self.next_piece(sender).await? {
            sender.rows(piece.segment, piece.row.bytes().clone()).await?;
            for (share, block) in piece.blocks {
                sender.blocks(share, piece.segment, block).await?;
            }
        }
        Ok(())
    }

    /// The next piece. While the source has none to give, the server is told that it will be.
    async fn next_piece(
        &mut self,
        sender: &mut ConversationSender,
    ) -> Result<Option<LanePiece>, ConversationEnded> {
        loop {
            match timeout(SIGN_OF_LIFE_EVERY, self.pieces.recv()).await {
                Ok(piece) => return Ok(piece),
                Err(_) => sender.extend().await?,
            }
        }
    }
}

/// The conversation itself: answers come in the order of what they answer.
struct Talk {
    context: Arc<Context>,
    answers: ConversationAnswers,
    /// Messages whose answers are to come, in order.
    expected: VecDeque<MessageId>,
    acknowledged: u64,
}

/// Whether the conversation goes on.
#[derive(PartialEq, Eq)]
enum Goes {
    On,
    Over,
}

/// Who ended a conversation.
#[derive(PartialEq, Eq)]
enum Ended {
    ByServer,
    ByDriver,
}

impl Talk {
    async fn run(
        mut self,
        feed: Feed,
        sender: ConversationSender,
        mut orders: mpsc::UnboundedReceiver<Order>,
    ) {
        if self.converse(feed.run(sender), &mut orders).await == Ended::ByServer {
            self.fail_what_still_comes(orders).await;
        }
    }

    /// Sends, hears and obeys until the server or the driver ends it. What is not fed by then is let go, so that a
    /// conversation that is over never holds up its pass.
    async fn converse(
        &mut self,
        feed: impl Future<Output = Option<Fed>>,
        orders: &mut mpsc::UnboundedReceiver<Order>,
    ) -> Ended {
        let mut feed = std::pin::pin!(feed);
        let (mut fed, mut is_fed) = (None, false);
        loop {
            tokio::select! {
                biased;
                answer = self.answers.next(MESSAGE_DEADLINE) => {
                    if self.hear(answer) == Goes::Over {
                        return Ended::ByServer;
                    }
                }
                end = &mut feed, if !is_fed => {
                    (fed, is_fed) = (end, true);
                }
                order = orders.recv(), if is_fed => {
                    let Some(order) = order else { return Ended::ByDriver };
                    self.expected.push_back(order.message);
                    fed = obey(fed, order.command).await;
                }
            }
        }
    }

    fn hear(&mut self, answer: Result<Answer, CallError>) -> Goes {
        match answer {
            Ok(Answer::Staged { bytes }) => {
                let more = bytes.saturating_sub(self.acknowledged);
                self.acknowledged = bytes;
                self.context.acknowledged.fetch_add(more, Ordering::Relaxed);
                // Saying the same again is no sign of life.
                if let Some(&message) = self.expected.front().filter(|_| more > 0) {
                    self.context.tell(Event::Progressed { message });
                }
                Goes::On
            }
            Ok(Answer::Sealed { state, promise_ms }) => self.answered(|message| Event::Sealed {
                message,
                state,
                promise: Millis(promise_ms),
            }),
            Ok(Answer::Extended { promise_ms }) => {
                self.answered(|message| Event::Extended { message, promise: Millis(promise_ms) })
            }
            Ok(Answer::Written { state } | Answer::AlreadyHeld { state }) => {
                self.context.note_left(state);
                self.answered(|message| Event::Written { message })
            }
            Ok(Answer::Refused { refusal, state, .. }) => {
                self.answered(|message| Event::Refused { message, refusal, state })
            }
            // Nothing was asked, so nothing is late.
            Err(error) if error.kind() == FailureKind::Late && self.expected.is_empty() => Goes::On,
            Err(error) => {
                let failure = Failure::from(error);
                for message in std::mem::take(&mut self.expected) {
                    self.context.tell(Event::Failed { message, failure: failure.clone() });
                }
                Goes::Over
            }
        }
    }

    fn answered(&mut self, event: impl FnOnce(MessageId) -> Event) -> Goes {
        if let Some(message) = self.expected.pop_front() {
            self.context.tell(event(message));
        }
        Goes::On
    }

    /// The connection is gone: whatever is still ordered fails at once.
    async fn fail_what_still_comes(self, mut orders: mpsc::UnboundedReceiver<Order>) {
        while let Some(Order { message, .. }) = orders.recv().await {
            let failure = Failure::Dead("the conversation has ended".to_owned());
            self.context.tell(Event::Failed { message, failure });
        }
    }
}

/// Says one more thing. Gives the sender back unless this was the last; if the connection is gone, its end is heard
/// with the answers.
async fn obey(fed: Option<Fed>, command: Command) -> Option<Fed> {
    let mut fed = fed?;
    match command {
        Command::Retest(tests) => {
            let header = fed.header.bytes().clone();
            fed.sender.seal_prepare(header, fed.prepare, Some(tests)).await.ok()?;
        }
        Command::Extend => fed.sender.extend().await.ok()?,
        Command::Commit(signature) => {
            fed.sender.commit(signature).await.ok()?;
            return None;
        }
    }
    Some(fed)
}
