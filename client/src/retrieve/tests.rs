//! The retrieve machine: a state, one event, the exact actions. One file per story.
#![allow(clippy::wildcard_enum_match_arm, reason = "a story looks for one kind among many")]

mod choosing;
mod endings;
mod reading;
mod slow_servers;

use std::collections::BTreeSet;

use ed25519_dalek::SigningKey;
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use tarn_proto::{
    AttemptId, Certificate, ConversationId, Generation, Geometry, Header, Origin as Came, Shape,
    ShareHealth, ShareNumber, SignedHeader, SlotState, StoreId, VerifyKey, Window,
};

use super::action::Action;
use super::event::Event;
use super::outcome::{Outcome, Report};
use super::{Request, Retrieve};
use crate::base::{HighWater, Origin};
use crate::fetch::{Run, RunFailure, RunId};
use crate::publish::Roster;
use crate::publish::action::{MessageId, Timer, Why};
use crate::servermap::{Failure, Patience, ServerMap};
use crate::time::Millis;

const KEY_CHECK: [u8; 16] = [4; 16];

/// A reader of a 2-of-n file on n stores, each of which is given share i if it holds anything; segments of 2 MiB, so
/// that a run is one segment.
struct Story {
    retrieve: Retrieve,
    key: SigningKey,
    stores: u8,
    now: u64,
    /// The queries asked last and not answered by the story yet.
    queries: Vec<(MessageId, u8)>,
}

impl Story {
    fn on(stores: u8) -> Self {
        Self::of(stores, |_| {})
    }

    /// A story whose request is changed before it begins.
    fn of(stores: u8, change: impl FnOnce(&mut Request)) -> Self {
        let mut request = Request {
            key_check: KEY_CHECK,
            origin: Origin::CapHolder,
            version: None,
            range: 0..u64::MAX,
            strict: false,
            allow_rollback: false,
            high_water: None,
            suspects: BTreeSet::new(),
            map: None,
        };
        change(&mut request);
        let roster = Roster((0..stores).map(store).collect());
        let rng = ChaCha8Rng::seed_from_u64(7);
        Self {
            retrieve: Retrieve::new(
                request,
                roster,
                Patience { floor: Millis(500), ..Patience::default() },
                rng,
            ),
            key: SigningKey::from_bytes(&[1; 32]),
            stores,
            now: 0,
            queries: Vec::new(),
        }
    }

    /// Steps, and remembers the queries.
    fn step(&mut self, event: Event) -> Vec<Action> {
        let actions = self.retrieve.step(Millis(self.now), event);
        let query = |action: &Action| match action {
            Action::Query { message, server } => Some((*message, server.as_bytes()[0])),
            _ => None,
        };
        self.queries.extend(actions.iter().filter_map(query));
        actions
    }

    /// Begins, and lets every server say what `state` gives it, `None` being dead; returns all that led to.
    fn mapped(&mut self, state: impl Fn(u8) -> Option<SlotState>) -> Vec<Action> {
        self.step(Event::Started);
        self.answer_queries(state)
    }

    fn answer_queries(&mut self, state: impl Fn(u8) -> Option<SlotState>) -> Vec<Action> {
        let mut led_to = Vec::new();
        while !self.queries.is_empty() {
            let (message, server) = self.queries.remove(0);
            led_to.extend(self.step(match state(server) {
                Some(state) => Event::Mapped { message, state },
                None => Event::Failed { message, failure: dead() },
            }));
        }
        led_to
    }

    /// Goes through rounds in which the servers say this, until it asks for something else or ends.
    fn rounds(
        &mut self,
        mut actions: Vec<Action>,
        state: impl Fn(u8) -> Option<SlotState>,
    ) -> Vec<Action> {
        for _ in 0..20 {
            let waits = |action: &Action| matches!(action, Action::WaitUntil { .. });
            if !actions.iter().all(waits) {
                return actions;
            }
            self.wait();
            actions = self.answer_queries(&state);
        }
        panic!("it never gets anywhere");
    }

    /// Waits for the machine's timer.
    fn wait(&mut self) -> Vec<Action> {
        let (timer, when) = self.retrieve.timer.expect("something to wait for");
        self.now = self.now.max(when.0);
        self.step(Event::TimedOut { timer })
    }

    /// Maps, lets the rows come, and returns the runs that are asked for.
    fn reading(&mut self, state: impl Fn(u8) -> Option<SlotState>) -> Vec<Run> {
        let actions = self.mapped(state);
        self.rows_come(&actions)
    }

    /// Lets the rows come that these actions ask for, and returns the runs that are asked for, with them or upon that.
    fn rows_come(&mut self, actions: &[Action]) -> Vec<Run> {
        let mut asked = runs(actions);
        let message = rows(actions);
        asked.extend(runs(&self.step(Event::RowsArrived { message })));
        asked
    }

    fn arrived(&mut self, run: &Run, segment: u32) -> Vec<Action> {
        self.step(Event::BlockArrived { run: run.id, segment })
    }

    /// A version of so many segments.
    fn version(&self, seqnum: u64, segments: u64, on: Option<&SignedHeader>) -> SignedHeader {
        self.version_with(seqnum, segments, on, |_| {})
    }

    fn version_with(
        &self,
        seqnum: u64,
        segments: u64,
        on: Option<&SignedHeader>,
        change: impl FnOnce(&mut Header),
    ) -> SignedHeader {
        let shape = Shape::new(2, 2, self.stores.into()).unwrap();
        let table_root = if segments == 0 { tarn_proto::merkle::empty_root() } else { [9; 32] };
        let mut header = Header {
            tombstone: false,
            storage_index: VerifyKey::of(&self.key).storage_index(),
            sequence_number: seqnum.try_into().unwrap(),
            predecessor: on.map(SignedHeader::version),
            shape,
            geometry: Geometry::new(shape, 1 << 20, segments << 21).unwrap(),
            table_root,
            attempt: AttemptId::new([7; 16]),
            key_check: KEY_CHECK,
            window: Window::new((0..self.stores).map(store).collect()).unwrap(),
            joint: None,
        };
        change(&mut header);
        SignedHeader::sign(&self.key, header)
    }

    fn certified(&self, header: &SignedHeader) -> Certificate {
        Certificate::sign(&self.key, header.header().sequence_number, header.version())
    }
}

fn store(number: u8) -> StoreId {
    StoreId::new([number; 16])
}

fn share(number: u8) -> ShareNumber {
    ShareNumber::new(number).unwrap()
}

fn dead() -> Failure {
    Failure::Dead("connection refused".to_owned())
}

fn empty(number: u8) -> SlotState {
    SlotState::empty(store(number))
}

/// What server `number` says when it holds its share of these versions, newest first.
fn holds(number: u8, versions: &[&SignedHeader]) -> SlotState {
    let mut state = empty(number);
    state.floor = versions.iter().copied().max_by_key(|header| header.order()).cloned();
    state.generations = versions
        .iter()
        .map(|&header| Generation {
            header: header.clone(),
            shares: [(share(number), ShareHealth::Whole)].into(),
            origin: Came::Committed(ConversationId::new([99; 16])),
        })
        .collect();
    state
}

/// The one message that asks for rows.
fn rows(actions: &[Action]) -> MessageId {
    let mut asked = actions.iter().filter_map(|action| match action {
        Action::ReadRows { message, .. } => Some(*message),
        _ => None,
    });
    let message = asked.next().unwrap_or_else(|| panic!("no ReadRows in {actions:?}"));
    assert_eq!(asked.next(), None);
    message
}

fn runs(actions: &[Action]) -> Vec<Run> {
    let run = |action: &Action| match action {
        Action::ReadBlocks(run) => Some(run.clone()),
        _ => None,
    };
    actions.iter().filter_map(run).collect()
}

fn brings(actions: &[Action]) -> Vec<(MessageId, u8)> {
    let bring = |action: &Action| match action {
        Action::Bring { message, server, .. } => Some((*message, server.as_bytes()[0])),
        _ => None,
    };
    actions.iter().filter_map(bring).collect()
}

/// The one report among these actions.
fn outcome(actions: &[Action]) -> Outcome {
    let mut reports = actions.iter().filter_map(|action| match action {
        Action::Finish(Report { outcome, .. }) => Some(outcome.clone()),
        _ => None,
    });
    let outcome = reports.next().unwrap_or_else(|| panic!("no Finish in {actions:?}"));
    assert_eq!(reports.next(), None, "a retrieve ends once");
    outcome
}

fn read(id: u32, server: u8, segment: u32) -> Run {
    let segments = segment..segment + 1;
    Run { id: RunId(id), server: store(server), share: share(server), segments }
}
