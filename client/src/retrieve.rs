//! The retrieve loop: which version a reader gets, and from whom its segments come.
//!
//! ```text
//!            events                                        actions
//!   Mapped, Brought, Refused,      ┌──────────────┐   Query, Bring, ReadRows, ReadBlocks,
//!   RowsArrived, BlockArrived, ──▶ │   Retrieve   │ ──▶  Abandon, Announce(found), Deliver,
//!   RunFailed, Consumed, …         │ step(now,ev) │     WaitUntil(when, why), Finish(report)
//!                                  └──────────────┘
//!
//!   Mapping ──▶ certain ─────────────────────────▶ Reading ──▶ Ended
//!    ▲  │ └──▶ in doubt ──▶ Bringing ──▶ confirmed ───▲  │
//!    │  │                      └─ cannot: unconfirmed ─┘  │ too few
//!    │  └──▶ undecided: unconfirmed, or over              │ sources
//!    └── BackingOff ◀─────────────────────────────────────┘
//! ```
//!
//! Rows and blocks are asked for at the same time: the first byte comes after two round trips.
//!
//! A version that is certain is returned. One in doubt is first brought to a quorum, so that no later reader sees
//! less; where that cannot be done, it is returned marked unconfirmed, or refused to a strict reader.
//!
//! As in publish, [`Retrieve::step`] handles the event, then runs one maintenance pass; every message is on record
//! before it is returned; answers come back through the driver's queue. The machine never sees a byte of a block, and
//! asks for no more of them than [`crate::fetch`] has room for.
//!
//! It promises: P11, exactly one [`Action::Finish`]; P12, no more asked for than a bounded window ahead of the caller;
//! P13, the high-water mark reported is never below the one given; P15, what is confirmed is certain, or was at a
//! quorum before its first byte was handed over.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use tarn_proto::{ConversationId, StoreId, VersionId};

use crate::base::{HighWater, Origin};
use crate::bring::Bring;
use crate::caps::KEY_CHECK_LENGTH;
use crate::fetch::{Fetch, RunId, Want};
use crate::publish::Roster;
use crate::publish::action::{MessageId, Timer, Why};
use crate::quorum::Placement;
use crate::servermap::{Failure, Mapping, Patience, ServerMap};
use crate::suspects::Heard;
use crate::time::Millis;

pub mod action;
pub mod event;
pub mod outcome;
pub mod reading;

mod choose;
mod driver;
mod map;
mod read;
mod rows;

use action::Action;
use event::Event;
use outcome::{During, Found, Outcome, Report, Trouble};
use rows::Rows;

/// What is to be read.
#[derive(Debug, Clone)]
pub struct Request {
    /// What the file's headers must carry for the caller's read key to be the right one.
    pub key_check: [u8; KEY_CHECK_LENGTH],
    /// Whether the caller knows the file's window.
    pub origin: Origin,
    /// One version and no other; none for the newest.
    pub version: Option<VersionId>,
    /// The bytes wanted; what lies beyond the end is left out.
    pub range: Range<u64>,
    /// Whether nothing unconfirmed is good enough.
    pub strict: bool,
    /// Whether to return a version even if a newer one was seen before.
    pub allow_rollback: bool,
    /// The newest version that was seen before.
    pub high_water: Option<HighWater>,
    /// Servers that kept somebody waiting before: they are asked, and not waited for while the others suffice.
    pub suspects: BTreeSet<StoreId>,
    /// What servers held a moment ago, if the caller has asked them: it begins with that to read a version that is named.
    pub map: Option<ServerMap>,
}

/// One retrieve, from its request to its report. See the module's documentation.
#[derive(Debug, Clone)]
pub struct Retrieve {
    request: Request,
    roster: Roster,
    patience: Patience,
    rng: ChaCha8Rng,

    now: Millis,
    phase: Phase,
    /// How often it has mapped since it last handed a segment over.
    rounds: u32,
    /// What each server was last believed to hold.
    servermap: ServerMap,
    /// The version being read.
    found: Option<Found>,
    /// Who is believed to hold which of its shares.
    sources: Placement,
    /// Which of its rows are here.
    rows: Rows,
    fetch: Option<Fetch>,
    /// Where the next fetch begins to number its runs.
    first_run: RunId,
    /// Whether the caller knows what is being read, so that no other version can take its place.
    announced: bool,
    /// Shares that turned out to be bad; they are not believed again.
    bad: Placement,
    /// Every message sent and not yet answered. Runs of blocks are on record in the fetch.
    outstanding: BTreeMap<MessageId, Outstanding>,
    troubles: BTreeMap<StoreId, Trouble>,
    heard: Heard,
    next_message: u32,
    timer: Option<(Timer, Millis)>,
    next_timer: u32,
    actions: Vec<Action>,
}

/// A message sent and not yet answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Outstanding {
    server: StoreId,
    kind: Kind,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Query,
    Bring,
    Rows,
}

#[derive(Debug, Clone)]
enum Phase {
    /// Not begun.
    Idle,
    /// Learning what is there.
    Mapping(Mapping),
    /// Giving servers time before mapping again.
    BackingOff { until: Millis },
    /// Bringing a version in doubt to a quorum.
    Bringing { bring: Box<Bring>, refused: bool },
    /// Learning rows, and handing segments over.
    Reading,
    /// The caller was told.
    Ended,
}

/// How often a retrieve maps in a row without getting anywhere.
const ROUNDS_MAX: u32 = 4;
/// How often it maps merely because too few servers answered.
const ROUNDS_UNANSWERED_MAX: u32 = 2;
/// The bound on the first wait before mapping again, in milliseconds; it doubles with every round.
const BACK_OFF_FIRST: u64 = 20;

impl Retrieve {
    /// A retrieve that has not begun. `rng` decides conversation ids and jitter.
    pub fn new(request: Request, roster: Roster, patience: Patience, rng: ChaCha8Rng) -> Self {
        Self {
            request,
            roster,
            patience,
            rng,
            now: Millis::default(),
            phase: Phase::Idle,
            rounds: 0,
            servermap: ServerMap::default(),
            found: None,
            sources: Placement::new(),
            rows: Rows::default(),
            fetch: None,
            first_run: RunId(0),
            announced: false,
            bad: Placement::new(),
            outstanding: BTreeMap::new(),
            troubles: BTreeMap::new(),
            heard: Heard::default(),
            next_message: 0,
            timer: None,
            next_timer: 0,
            actions: Vec::new(),
        }
    }

    /// Handles one event and returns what is to be done about it, in order.
    pub fn step(&mut self, now: Millis, event: Event) -> Vec<Action> {
        if self.is_over() {
            return Vec::new();
        }
        self.now = now;
        self.note_sign_of_life(&event);
        self.handle(event);
        self.maintain();
        self.set_timer();
        std::mem::take(&mut self.actions)
    }

    /// Whether the caller was told the end.
    pub const fn is_over(&self) -> bool {
        matches!(self.phase, Phase::Ended)
    }

    fn handle(&mut self, event: Event) {
        match event {
            Event::Started => self.begin(),
            Event::Mapped { message, state } => {
                if let Some(server) = self.answered_as(message, Kind::Query) {
                    self.mapped(server, state);
                }
            }
            Event::Brought { message } => {
                if let Some(server) = self.answered_as(message, Kind::Bring) {
                    self.brought(server);
                }
            }
            Event::Refused { message, refusal } => {
                if let Some(server) = self.answered_as(message, Kind::Bring) {
                    self.not_brought(server, Failure::Refused(refusal));
                }
            }
            Event::RowsArrived { message } => {
                if let Some(server) = self.answered_as(message, Kind::Rows) {
                    self.rows_arrived(server);
                }
            }
            Event::Failed { message, failure } => {
                if let Some(message) = self.outstanding.remove(&message) {
                    self.failed(message, failure);
                }
            }
            Event::BlockArrived { run, segment } => {
                if let Some(fetch) = &mut self.fetch {
                    fetch.arrived(self.now, run, segment);
                }
            }
            Event::RunFailed { run, failure } => self.run_failed(run, failure),
            Event::Consumed { segment } => {
                if let Some(fetch) = &mut self.fetch {
                    fetch.consumed(self.now, segment);
                }
            }
            Event::Undecodable { cause } => self.undecodable(cause),
            Event::TimedOut { timer } => {
                if self.timer.is_some_and(|(armed, _)| armed == timer) {
                    self.timer = None;
                    self.give_up_late_runs();
                }
            }
        }
    }

    /// The maintenance pass: whatever the state now allows, until nothing more follows.
    fn maintain(&mut self) {
        loop {
            let before = (std::mem::discriminant(&self.phase), self.rounds);
            match &self.phase {
                Phase::Idle | Phase::Ended => return,
                Phase::Mapping(_) => self.maintain_mapping(),
                Phase::BackingOff { until } => {
                    if self.now >= *until {
                        self.map();
                    }
                }
                Phase::Bringing { .. } => self.maintain_bringing(),
                Phase::Reading => self.maintain_reading(),
            }
            self.carry_out_fetch();
            if before == (std::mem::discriminant(&self.phase), self.rounds) {
                return;
            }
        }
    }

    fn note_sign_of_life(&mut self, event: &Event) {
        let server = match event {
            Event::Mapped { message, .. }
            | Event::Brought { message }
            | Event::Refused { message, .. }
            | Event::RowsArrived { message } => {
                self.outstanding.get(message).map(|sent| sent.server)
            }
            Event::BlockArrived { run, .. } => {
                self.fetch.as_ref().and_then(|fetch| fetch.server_of(*run))
            }
            Event::Started
            | Event::Failed { .. }
            | Event::RunFailed { .. }
            | Event::Consumed { .. }
            | Event::Undecodable { .. }
            | Event::TimedOut { .. } => None,
        };
        if let Some(server) = server {
            self.heard.answered(server);
        }
    }

    /// Passes on what the fetch wants, in whatever phase: a block that was late may complete a segment at any time.
    fn carry_out_fetch(&mut self) {
        if self.is_over() {
            return;
        }
        let wants = self.fetch.as_mut().map(Fetch::wants).unwrap_or_default();
        self.carry_out(wants);
    }

    fn carry_out(&mut self, wants: Vec<Want>) {
        for want in wants {
            match want {
                Want::Read(run) => self.actions.push(Action::ReadBlocks(run)),
                Want::Abandon(run) => self.actions.push(Action::Abandon(run)),
                Want::Deliver { segment } => {
                    self.announce();
                    self.rounds = 0;
                    self.actions.push(Action::Deliver { segment });
                }
            }
        }
    }

    fn announce(&mut self) {
        if let Some(found) = &self.found
            && !self.announced
        {
            self.announced = true;
            self.actions.push(Action::Announce(found.clone()));
        }
    }

    /// Takes a message off the list of those outstanding. None for an answer to a message that was given up, or that
    /// answers something else: no other will come.
    fn answered_as(&mut self, message: MessageId, kind: Kind) -> Option<StoreId> {
        let sent = self.outstanding.remove(&message)?;
        if sent.kind != kind {
            self.failed(sent, Failure::Broken("it answered what it was not asked".to_owned()));
            return None;
        }
        Some(sent.server)
    }

    /// No answer came, or none that means anything.
    fn failed(&mut self, message: Outstanding, failure: Failure) {
        match message.kind {
            Kind::Query => self.map_failed(message.server, failure),
            Kind::Bring => self.not_brought(message.server, failure),
            Kind::Rows => self.rows_failed(message.server, failure),
        }
    }

    /// Records a message as outstanding. Nothing is ever sent that was not recorded first.
    fn send(&mut self, server: StoreId, kind: Kind) -> MessageId {
        let message = MessageId(self.next_message);
        self.next_message += 1;
        self.outstanding.insert(message, Outstanding { server, kind });
        message
    }

    fn draw_conversation(&mut self) -> ConversationId {
        ConversationId::new(self.rng.random())
    }

    fn trouble(&mut self, server: StoreId, during: During, failure: Failure) {
        self.heard.failed(server, &failure);
        self.troubles.insert(server, Trouble { during, failure, at: self.now });
    }

    /// Asks to be woken at the earliest moment at which time alone changes something.
    fn set_timer(&mut self) {
        let wanted = match &self.phase {
            Phase::Idle | Phase::Bringing { .. } | Phase::Ended => None,
            Phase::Mapping(mapping) => {
                Some((mapping.wake_at(self.map_suffices(mapping)), Why::Lateness))
            }
            Phase::BackingOff { until } => Some((*until, Why::BackOff)),
            Phase::Reading => self.reading_wakes_at().map(|when| (when, Why::Lateness)),
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

    /// Maps again after a wait with full jitter.
    fn begin_anew(&mut self) {
        let bound = BACK_OFF_FIRST << self.rounds.min(8);
        let wait = self.rng.random_range(0..=bound);
        self.phase = Phase::BackingOff { until: self.now + Millis(wait) };
    }

    fn finish(&mut self, outcome: Outcome) {
        self.phase = Phase::Ended;
        self.actions.push(Action::Finish(Report {
            outcome,
            troubles: self.troubles.clone(),
            heard: self.heard.clone(),
            elapsed: self.now,
        }));
    }
}

#[cfg(test)]
mod tests;
