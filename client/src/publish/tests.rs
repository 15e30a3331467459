//! The publish machine: a state, one event, the exact actions. One file per story.
#![allow(clippy::wildcard_enum_match_arm, reason = "a story looks for one kind among many")]

mod conflicts;
mod given_maps;
mod happy_path;
mod lost_answers;
mod memory;
mod once;
mod outcomes;
mod parts;
mod promises;
mod servers_fail;
mod tahoe_877;

use std::collections::{BTreeMap, BTreeSet};

use ed25519_dalek::SigningKey;
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use tarn_proto::state::{ConversationStatus, Tests};
use tarn_proto::{
    AttemptId, Certificate, ConversationId, Generation, Geometry, Origin as Came, Shape,
    ShareHealth, ShareNumber, SignedHeader, SlotState, StoreId, VerifyKey, Window,
};

use super::action::{Action, Cut, Draft, MessageId, PrepareLane};
use super::event::Event;
use super::outcome::{Outcome, Report};
use super::{Follows, Input, Learnt, Publish, Request, Roster};
use crate::base::Origin;
use crate::servermap::{Failure, Patience};
use crate::time::Millis;

/// A publish of 100 bytes, 2-of-n on n stores, and what each store would say.
struct Story {
    publish: Publish,
    key: SigningKey,
    stores: u8,
    now: u64,
    /// What was asked and not answered by the story yet.
    asked: Vec<Action>,
}

impl Story {
    fn on(stores: u8) -> Self {
        Self::of(stores, |_| {})
    }

    /// A story whose request is changed before it begins.
    fn of(stores: u8, change: impl FnOnce(&mut Request)) -> Self {
        let key = SigningKey::from_bytes(&[1; 32]);
        let window = Window::new((0..stores).map(store).collect()).unwrap();
        let mut request = Request {
            storage_index: VerifyKey::of(&key).storage_index(),
            attempt: AttemptId::new([7; 16]),
            origin: Origin::Creator(window),
            follows: Follows::Whatever,
            shape: Some(Shape::new(2, 2, stores.into()).unwrap()),
            first_shape: Shape::default(),
            high_water: None,
            spent: None,
            suspects: BTreeSet::new(),
            left: None,
            map: None,
            input: Input::Whole { length: 100 },
            tombstone: false,
        };
        change(&mut request);
        let roster = Roster((0..stores).map(store).collect());
        let rng = ChaCha8Rng::seed_from_u64(7);
        let publish = Publish::new(
            request,
            roster,
            Patience { floor: Millis(500), ..Patience::default() },
            rng,
        );
        Self { publish, key, stores, now: 0, asked: Vec::new() }
    }

    /// Steps, and remembers what was asked.
    fn step(&mut self, event: Event) -> Vec<Action> {
        let actions = self.publish.step(Millis(self.now), event);
        self.asked.extend(actions.iter().cloned());
        actions
    }

    /// Begins, and lets every server say what `state` gives it, `None` being dead; returns what the last answer led
    /// to.
    fn mapped(&mut self, state: impl Fn(u8) -> Option<SlotState>) -> Vec<Action> {
        let mut last = self.step(Event::Started);
        for query in last.clone() {
            if matches!(query, Action::Query { .. }) {
                last = self.answer_queries(&mut vec![query], &state);
            }
        }
        last
    }

    /// Answers every query among `actions`; returns what that led to.
    fn answer_queries(
        &mut self,
        actions: &mut Vec<Action>,
        state: impl Fn(u8) -> Option<SlotState>,
    ) -> Vec<Action> {
        let mut led_to = Vec::new();
        for action in actions.drain(..) {
            if let Action::Query { message, server, .. } = action {
                led_to.extend(self.step(match state(server.as_bytes()[0]) {
                    Some(state) => Event::Mapped { message, state },
                    None => Event::Failed { message, failure: dead() },
                }));
            }
        }
        led_to
    }

    /// Waits out a back-off, if there is one, and answers the queries of the next round.
    fn next_round(
        &mut self,
        mut actions: Vec<Action>,
        state: impl Fn(u8) -> Option<SlotState>,
    ) -> Vec<Action> {
        while !actions.iter().any(|action| matches!(action, Action::Query { .. })) {
            actions = self.wait();
        }
        self.answer_queries(&mut actions, state)
    }

    /// Goes through rounds in which the servers say this, until it ends.
    fn until_it_ends(
        &mut self,
        mut actions: Vec<Action>,
        state: impl Fn(u8) -> Option<SlotState>,
    ) -> Report {
        for _ in 0..100 {
            if actions.iter().any(|action| matches!(action, Action::Finish(_))) {
                return report(&actions);
            }
            actions = self.next_round(actions, &state);
        }
        panic!("it never ends");
    }

    /// Waits for the machine's timer.
    fn wait(&mut self) -> Vec<Action> {
        let (timer, when) = self.publish.timer.unwrap_or_else(|| {
            panic!("nothing to wait for: {:?} {:?}", self.publish.phase, self.publish.lanes)
        });
        self.now = self.now.max(when.0);
        self.step(Event::TimedOut { timer })
    }

    fn encoded(&mut self) -> (SignedHeader, Vec<Action>) {
        let draft = self.publish.draft.clone().expect("a draft");
        self.encoded_as(draft.cut.length().unwrap_or(100))
    }

    /// The input had so many bytes.
    fn encoded_as(&mut self, length: u64) -> (SignedHeader, Vec<Action>) {
        let draft = self.publish.draft.clone().expect("a draft");
        let geometry = draft.geometry(length).unwrap();
        let header = SignedHeader::sign(&self.key, draft.complete(geometry, [9; 32], [0; 16]));
        let actions = self.step(Event::Encoded { header: header.clone() });
        (header, actions)
    }

    fn sealed(&mut self, lane: &PrepareLane, state: SlotState) -> Vec<Action> {
        let promise = Millis(30_000);
        self.step(Event::Sealed { message: lane.message, state, promise })
    }

    /// Every lane seals, each server as `state` has it; returns the header and what followed.
    fn all_sealed(
        &mut self,
        lanes: &[PrepareLane],
        state: impl Fn(u8) -> SlotState,
    ) -> (SignedHeader, Vec<Action>) {
        let (header, mut last) = self.encoded();
        for lane in lanes {
            last = self.sealed(lane, state(lane.server.as_bytes()[0]));
        }
        (header, last)
    }

    /// A version of another writer, or of an earlier time.
    fn version(&self, seqnum: u64, attempt: u8, on: Option<&SignedHeader>) -> SignedHeader {
        let shape = Shape::new(2, 2, self.stores.into()).unwrap();
        let geometry = Geometry::choose(shape, 100).unwrap();
        let draft = Draft {
            storage_index: VerifyKey::of(&self.key).storage_index(),
            sequence_number: seqnum.try_into().unwrap(),
            predecessor: on.map(SignedHeader::version),
            shape,
            cut: Cut::Known(geometry),
            tombstone: false,
            attempt: AttemptId::new([attempt; 16]),
            window: Window::new((0..self.stores).map(store).collect()).unwrap(),
            joint: None,
        };
        SignedHeader::sign(&self.key, draft.complete(geometry, [attempt; 32], [0; 16]))
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

fn shares(numbers: &[u8]) -> BTreeSet<ShareNumber> {
    numbers.iter().copied().map(share).collect()
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

/// The lanes of the one Prepare among these actions.
fn lanes(actions: &[Action]) -> Vec<PrepareLane> {
    let mut prepares = actions.iter().filter_map(|action| match action {
        Action::Prepare { lanes, .. } => Some(lanes.clone()),
        _ => None,
    });
    let lanes = prepares.next().unwrap_or_else(|| panic!("no Prepare in {actions:?}"));
    assert_eq!(prepares.next(), None);
    lanes
}

/// The messages of the commits among these actions, by server.
fn commits(actions: &[Action]) -> BTreeMap<u8, MessageId> {
    let commit = |action: &Action| match action {
        Action::Commit { message, server, .. } => Some((server.as_bytes()[0], *message)),
        _ => None,
    };
    actions.iter().filter_map(commit).collect()
}

/// The one report among these actions.
fn report(actions: &[Action]) -> Report {
    let mut reports = actions.iter().filter_map(|action| match action {
        Action::Finish(report) => Some(report.clone()),
        _ => None,
    });
    let report = reports.next().unwrap_or_else(|| panic!("no Finish in {actions:?}"));
    assert_eq!(reports.next(), None, "a publish ends once");
    report
}

fn outcome(actions: &[Action]) -> Outcome {
    report(actions).outcome
}

fn released(actions: &[Action]) -> BTreeSet<u8> {
    let release = |action: &Action| match action {
        Action::Release { server, .. } => Some(server.as_bytes()[0]),
        _ => None,
    };
    actions.iter().filter_map(release).collect()
}

fn version_test(header: &SignedHeader, number: u8) -> Tests {
    let expected = tarn_proto::state::Expected::Version(header.version());
    Tests { shares: [(share(number), expected)].into(), no_others: true }
}

fn closed(mut state: SlotState) -> SlotState {
    state.conversation = Some(ConversationStatus::Closed);
    state
}
