//! The publish machine alone: all steps of one publish to ten servers that do what they are asked at once.

use std::collections::{BTreeSet, VecDeque};

use criterion::Criterion;
use ed25519_dalek::SigningKey;
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use tarn_client::base::Origin;
use tarn_client::publish::action::{Action, Draft};
use tarn_client::publish::event::Event;
use tarn_client::publish::outcome::Report;
use tarn_client::publish::{Follows, Input, Publish, Request, Roster};
use tarn_client::servermap::Patience;
use tarn_client::time::Millis;
use tarn_proto::{AttemptId, Shape, SignedHeader, SlotState, StoreId, VerifyKey, Window};

const SERVERS: u8 = 10;

pub(crate) fn measure(criterion: &mut Criterion) {
    let key = SigningKey::from_bytes(&[1; 32]);
    // Every run makes the same version, so it is signed once: signing is no step.
    let mut signed = None;
    let mut sign = |draft: &Draft| {
        let sign = || SignedHeader::sign(&key, draft.complete(*draft.cut.room(), [9; 32], [0; 16]));
        signed.get_or_insert_with(sign).clone()
    };
    let mut run = || {
        let report = publish(request(&key), &mut sign);
        assert!(report.outcome.published().is_some(), "{report:?}");
        report
    };
    run();
    criterion
        .bench_function("machine, one publish to 10 servers", |bencher| bencher.iter(&mut run));
}

/// Runs a publish to its end and says how it ended.
fn publish(request: Request, sign: &mut impl FnMut(&Draft) -> SignedHeader) -> Report {
    let rng = ChaCha8Rng::seed_from_u64(7);
    let mut machine = Publish::new(request, Roster(stores()), Patience::default(), rng);
    let mut events = VecDeque::from([Event::Started]);
    let mut told = None;
    while let Some(event) = events.pop_front() {
        for action in machine.step(Millis(0), event) {
            if let Action::Finish(report) = action {
                told = Some(report);
            } else {
                events.extend(answers(action, sign));
            }
        }
    }
    assert!(machine.is_over(), "every action was answered");
    told.expect("a publish ends once")
}

/// What follows an action when servers are empty and willing.
fn answers(action: Action, sign: &mut impl FnMut(&Draft) -> SignedHeader) -> Vec<Event> {
    let empty = SlotState::empty;
    match action {
        Action::Query { message, server, .. } | Action::Finalize { message, server, .. } => {
            vec![Event::Mapped { message, state: empty(server) }]
        }
        Action::Prepare { draft, lanes, .. } => {
            let promise = Millis(30_000);
            let sealed = lanes.into_iter().map(|lane| Event::Sealed {
                message: lane.message,
                state: empty(lane.server),
                promise,
            });
            [Event::Encoded { header: sign(&draft) }].into_iter().chain(sealed).collect()
        }
        Action::Journal { .. } => vec![Event::Journaled],
        Action::Commit { message, .. } => vec![Event::Written { message }],
        // Nothing is refused, lacking or late, so that none of these is due.
        Action::Bring { .. }
        | Action::Retest { .. }
        | Action::Extend { .. }
        | Action::Release { .. }
        | Action::WaitUntil { .. }
        | Action::Finish(_) => Vec::new(),
    }
}

fn request(key: &SigningKey) -> Request {
    Request {
        storage_index: VerifyKey::of(key).storage_index(),
        attempt: AttemptId::new([7; 16]),
        origin: Origin::Creator(Window::new(stores()).expect("a good window")),
        follows: Follows::Whatever,
        shape: None,
        first_shape: Shape::default(),
        high_water: None,
        spent: None,
        suspects: BTreeSet::new(),
        left: None,
        map: None,
        input: Input::Whole { length: 1 << 20 },
        tombstone: false,
    }
}

fn stores() -> Vec<StoreId> {
    (1..=SERVERS).map(|number| StoreId::new([number; 16])).collect()
}
