//! The publish loop. "proto" is the wire in this project; this is the machine that decides what goes over it.
//!
//! ```text
//!            events                                         actions
//!   Mapped, Sealed, Refused,        ┌──────────────┐   Query, Prepare, Retest, Extend, Release,
//!   Written, Failed, TimedOut,  ──▶ │   Publish    │ ──▶  Journal, Commit, Bring, Finalize,
//!   Stalled, CancelRequested        │ step(now,ev) │      WaitUntil(when, why), Finish(report)
//!                                   └──────────────┘
//!
//!   Mapping ──▶ Preparing ──▶ Journaling ──▶ Committing ──▶ Ended
//!      ▲  │         │ released                  │ fell short
//!      │  └──▶ Bringing (our version is there already, in doubt)
//!      └── BackingOff ◀──────────────────────────┘
//! ```
//!
//! [`Publish::step`] handles the event, then runs one maintenance pass that does whatever the state now allows. It
//! never calls out. A message is in `outstanding` before `step` returns it; each is sent by a spawned task whose
//! answer comes back as an event through the driver's queue. So no answer, however instant, can enter a step that is
//! running, and nothing is sent twice: the re-entrant loop of Tahoe-LAFS #877 cannot be written here.
//!
//! The machine promises (the numbers are DESIGN's):
//!
//! - P1: at most one write message is outstanding for one server, share and version;
//! - P2: our own version, recognised by its attempt id, is never a surprise;
//! - P4: an outcome that says "nothing was changed" is only given when every commit and bring sent was refused;
//! - P11: every publish ends in exactly one [`Action::Finish`].
//!
//! It knows nothing of bytes, keys, tokio or tonic. Time and randomness are arguments.

use std::collections::{BTreeMap, BTreeSet};

use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use tarn_proto::{ConversationId, SequenceNumber, StoreId};

use crate::base::Base;
use crate::servermap::{Failure, Patience, ServerMap};
use crate::suspects::Heard;
use crate::time::Millis;

pub mod action;
mod driver;
pub mod event;
pub mod outcome;
pub mod publishing;

mod begin;
mod commit;
mod decide;
mod finish;
mod lane;
mod map;
mod part;
mod phase;
mod prepare;
mod progress;
mod request;

pub use progress::{Progress, Step};
pub use request::{Follows, Input, Learnt, Request, Roster};

use action::{Action, Draft, MessageId, Timer, Why};
use event::Event;
use lane::Lane;
use outcome::{During, Landed, Trouble};
use phase::{Encoded, Kind, Outstanding, Phase};

/// One publish, from its request to its report. See the module's documentation.
#[derive(Debug, Clone)]
pub struct Publish {
    request: Request,
    roster: Roster,
    patience: Patience,
    rng: ChaCha8Rng,

    now: Millis,
    phase: Phase,
    /// How often the machine has mapped.
    rounds: u32,
    /// What each server was last believed to hold.
    servermap: ServerMap,
    /// What this round builds on, once it is chosen; before that, what the last one did.
    base: Option<Base>,
    draft: Option<Draft>,
    /// An input that can be read only once is being read, or was.
    used_up: bool,
    /// The last sequence number under which commits were sent: a signed header gets one round.
    spent: Option<SequenceNumber>,
    /// From which number on every server is asked for its history, once links were missing.
    links_since: Option<SequenceNumber>,
    /// One conversation with each server that takes part in this round.
    lanes: BTreeMap<StoreId, Lane>,
    /// Every message sent and not yet answered.
    outstanding: BTreeMap<MessageId, Outstanding>,
    /// Servers not to be used again by this publish, with reasons.
    avoid: BTreeSet<StoreId>,
    /// Servers promised to another writer in this round.
    busy: BTreeSet<StoreId>,
    /// Somebody else's version got in the way of this round.
    surprise: bool,
    /// This round is built on what the caller remembered, and nobody was asked yet.
    from_memory: bool,
    /// A base of the caller's choice was there when we began, so what is there now came in between.
    built_once: bool,
    /// A version of ours of which some commit was accepted, or may have been.
    landed: Option<Landed>,
    troubles: BTreeMap<StoreId, Trouble>,
    /// Servers that were late, and have not answered since.
    heard: Heard,
    cancelled: bool,
    next_message: u32,
    timer: Option<(Timer, Millis)>,
    next_timer: u32,
    actions: Vec<Action>,
}

/// How often a publish begins anew before it gives up.
const ROUNDS_MAX: u32 = 16;
/// How often it maps again merely because too few servers answered.
const ROUNDS_UNANSWERED_MAX: u32 = 3;

impl Publish {
    /// A publish that has not begun. `rng` decides conversation ids and jitter.
    pub fn new(request: Request, roster: Roster, patience: Patience, rng: ChaCha8Rng) -> Self {
        let landed = request.left.clone();
        Self {
            spent: request.spent,
            links_since: None,
            request,
            roster,
            patience,
            rng,
            now: Millis::default(),
            phase: Phase::Idle,
            rounds: 0,
            servermap: ServerMap::default(),
            base: None,
            draft: None,
            used_up: false,
            lanes: BTreeMap::new(),
            outstanding: BTreeMap::new(),
            avoid: BTreeSet::new(),
            busy: BTreeSet::new(),
            surprise: false,
            from_memory: false,
            built_once: false,
            landed,
            troubles: BTreeMap::new(),
            heard: Heard::default(),
            cancelled: false,
            next_message: 0,
            timer: None,
            next_timer: 0,
            actions: Vec::new(),
        }
    }

    /// Handles one event and returns what is to be done about it, in order.
    pub fn step(&mut self, now: Millis, event: Event) -> Vec<Action> {
        self.now = now;
        self.note_sign_of_life(&event);
        self.handle(event);
        self.maintain();
        self.set_timer();
        std::mem::take(&mut self.actions)
    }

    /// Whether nothing is left to be done: the caller was told, and no courtesy is on its way. Answers to anything
    /// else would change nothing any more.
    pub fn is_over(&self) -> bool {
        let courtesy = |sent: &Outstanding| matches!(sent.kind, Kind::Finalize | Kind::Bring);
        matches!(self.phase, Phase::Ended) && !self.outstanding.values().any(courtesy)
    }

    fn handle(&mut self, event: Event) {
        match event {
            Event::Started => self.begin(),
            Event::Mapped { message, state } => match self.answered(message) {
                Some(Outstanding { server, kind: Kind::Query }) => self.mapped(server, state),
                Some(Outstanding { server, kind: Kind::Settle }) => self.settled(server, &state),
                Some(Outstanding { kind: Kind::Finalize, .. }) | None => {}
                Some(other) => self.failed(other, out_of_turn()),
            },
            Event::Encoded { header } => self.encoded(header),
            Event::Progressed { message } => self.progressed(message),
            Event::Stalled { message, waited } => self.stalled(message, waited),
            Event::Sealed { message, state, promise } => match self.answered(message) {
                Some(Outstanding { server, kind: Kind::Prepare }) => {
                    self.sealed(server, state, promise);
                }
                Some(other) => self.failed(other, out_of_turn()),
                None => {}
            },
            Event::Extended { message, promise } => match self.answered(message) {
                Some(Outstanding { kind: Kind::Extend, .. }) => self.renew_in(promise),
                Some(other) => self.failed(other, out_of_turn()),
                None => {}
            },
            Event::Refused { message, refusal, state } => match self.answered(message) {
                Some(Outstanding { server, kind: Kind::Prepare }) => {
                    self.prepare_refused(server, refusal, state);
                }
                Some(Outstanding { server, kind: Kind::Commit }) => {
                    self.commit_refused(server, refusal);
                }
                Some(message) => self.failed(message, Failure::Refused(refusal)),
                None => {}
            },
            Event::Journaled => self.journaled(),
            Event::JournalFailed { cause } => self.journal_failed(cause),
            Event::Written { message } => match self.answered(message) {
                Some(Outstanding { server, kind: Kind::Commit }) => self.written(server),
                Some(Outstanding { server, kind: Kind::Bring }) => self.brought(server),
                Some(other) => self.failed(other, out_of_turn()),
                None => {}
            },
            Event::Failed { message, failure } => {
                if let Some(message) = self.answered(message) {
                    self.failed(message, failure);
                }
            }
            Event::SourceFailed(failure) => self.source_failed(failure),
            Event::TimedOut { timer } => {
                if self.timer.is_some_and(|(armed, _)| armed == timer) {
                    self.timer = None;
                }
            }
            Event::LeftToNext { message } => drop(self.answered(message)),
            Event::CancelRequested => self.cancelled = true,
        }
    }

    /// The maintenance pass: whatever the state now allows, until nothing more follows.
    fn maintain(&mut self) {
        loop {
            let before = (std::mem::discriminant(&self.phase), self.rounds);
            match &self.phase {
                Phase::Idle | Phase::Journaling { .. } | Phase::Ended => {}
                Phase::Mapping(_) => self.maintain_mapping(),
                Phase::BackingOff { until } => {
                    if self.cancelled {
                        self.cancel();
                    } else if self.now >= *until {
                        self.map();
                    }
                }
                Phase::Preparing { .. } => self.maintain_preparing(),
                Phase::Committing { header, .. } => {
                    let header = header.clone();
                    self.maintain_committing(&header);
                }
                Phase::Bringing { .. } => self.maintain_bringing(),
            }
            if before == (std::mem::discriminant(&self.phase), self.rounds) {
                return;
            }
        }
    }

    /// Whoever answers is not silent, whatever it says.
    fn note_sign_of_life(&mut self, event: &Event) {
        let (Event::Mapped { message, .. }
        | Event::Progressed { message }
        | Event::Sealed { message, .. }
        | Event::Extended { message, .. }
        | Event::Refused { message, .. }
        | Event::Written { message }) = event
        else {
            return;
        };
        if let Some(sent) = self.outstanding.get(message) {
            self.heard.answered(sent.server);
        }
    }

    /// Takes a message off the list of those outstanding. None for a late answer to a message that was given up:
    /// whatever it says was settled otherwise.
    fn answered(&mut self, message: MessageId) -> Option<Outstanding> {
        self.outstanding.remove(&message)
    }

    /// Records a message as outstanding. Nothing is ever sent that was not recorded first.
    fn send(&mut self, server: StoreId, kind: Kind) -> MessageId {
        let message = MessageId(self.next_message);
        self.next_message += 1;
        self.outstanding.insert(message, Outstanding { server, kind });
        message
    }

    fn query(&mut self, server: StoreId, kind: Kind, conversation: Option<ConversationId>) {
        let (message, since) = (self.send(server, kind), self.links_since);
        self.actions.push(Action::Query { message, server, since, conversation });
    }

    fn draw_conversation(&mut self) -> ConversationId {
        ConversationId::new(self.rng.random())
    }

    /// No answer came, or none that means anything.
    fn failed(&mut self, message: Outstanding, failure: Failure) {
        match message.kind {
            Kind::Query => self.map_failed(message.server, failure),
            Kind::Prepare => self.prepare_failed(message.server, failure),
            Kind::Extend => self.promise_lost(message.server, failure),
            Kind::Commit => self.commit_unanswered(message.server, failure),
            Kind::Settle => self.not_settled(message.server),
            Kind::Bring => self.bring_failed(message.server, failure),
            Kind::Finalize => self.trouble(message.server, During::Finalize, failure),
        }
    }

    fn trouble(&mut self, server: StoreId, during: During, failure: Failure) {
        self.heard.failed(server, &failure);
        self.troubles.insert(server, Trouble { during, failure, at: self.now });
    }

    /// Asks to be woken at the earliest moment at which time alone changes something.
    fn set_timer(&mut self) {
        let wanted = match &self.phase {
            Phase::Idle | Phase::Journaling { .. } | Phase::Bringing { .. } | Phase::Ended => None,
            Phase::Mapping(mapping) => {
                Some((mapping.wake_at(self.map_suffices(mapping)), Why::Lateness))
            }
            Phase::BackingOff { until } => Some((*until, Why::BackOff)),
            Phase::Preparing { .. } => self.preparing_wakes_at(),
            Phase::Committing { .. } => self.committing_wakes_at(),
        };
        let Some((when, why)) = wanted else { return };
        if self.timer.is_some_and(|(_, armed)| armed <= when) {
            return;
        }
        let timer = Timer(self.next_timer);
        self.next_timer += 1;
        self.timer = Some((timer, when));
        self.actions.push(Action::WaitUntil { timer, when, why });
    }

    /// Whom it may talk to, those that the file prefers first.
    fn order(&self) -> &[StoreId] {
        &self.roster.0
    }
}

/// A server answered what it was not asked.
fn out_of_turn() -> Failure {
    Failure::Broken("it answered what it was not asked".to_owned())
}

#[cfg(test)]
mod tests;
