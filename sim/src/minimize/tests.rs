//! A planted bug whose trace is made as short as it gets.

use tarn_client::publish::action::Action;

use crate::event::{Event, Fate, Timed};
use crate::ids::{ClientId, ServerId};
use crate::plant::Plant;
use crate::promises::{Broken, Demanded, Promise};
use crate::setup::Setup;
use crate::trace::sample::{Recorder, publish, read};
use crate::trace::{Ending, Judge, Player, Trace};
use crate::world::World;

use super::{NothingBroken, minimize_judged};

/// A publish that says nothing of how it ended.
#[derive(Debug, Clone)]
struct Mute;

impl Plant for Mute {
    fn does(&mut self, _: &World, client: ClientId, mut actions: Vec<Action>) -> Vec<Action> {
        if client == ClientId(1) {
            actions.retain(|action| !matches!(action, Action::Finish(_)));
        }
        actions
    }
}

static TOLD: Promise = Promise {
    id: "P98",
    sentence: "who publishes is told so before anything is final",
    source: "a test",
    against_liars: true,
    demanded: Demanded::Always,
    concerns: |_| true,
    check: |world| {
        let finalizing = world.in_flight().find(|envelope| match &envelope.body {
            crate::world::Body::Request { request, .. } => {
                request.kind() == crate::world::RequestKind::Finalize
            }
            crate::world::Body::Answer { .. } | crate::world::Body::Local(_) => false,
        });
        let Some(client) = finalizing.map(|envelope| envelope.id.client) else { return Ok(()) };
        match world.oracle().task(client) {
            Some(record) if record.times_told == 0 => Err(format!("{client} was not told")),
            Some(_) | None => Ok(()),
        }
    },
};

fn check(world: &World) -> Result<(), Broken> {
    (TOLD.check)(world).map_err(|detail| Broken { promise: &TOLD, detail })
}

const JUDGE: Judge = Judge { always: check, at_rest: check };

/// Three tasks one after another, and faults that have nothing to do with it.
fn long_trace() -> Trace {
    let mut recorder = Recorder::new(Setup::default());
    recorder.then(read(0));
    recorder.deliver(3);
    recorder.then(Event::Noted { text: "nothing yet".to_owned() });
    recorder.then(publish(1));
    recorder.then(Event::ServerCrashed { server: ServerId(0), unsynced: Fate::Lost });
    recorder.then(Event::ServerRestarted { server: ServerId(0) });
    recorder.then(publish(2));
    recorder.at_rest()
}

fn breaks(trace: &Trace) -> bool {
    Player::judged(trace, Some(Box::new(Mute)), Ending::AsItIs, JUDGE).finish().broken.is_some()
}

#[test]
fn what_is_left_still_breaks_and_needs_every_event() {
    let long = long_trace();
    let small = minimize_judged(&long, Some(&Mute), Ending::AsItIs, 10_000, JUDGE).unwrap();
    assert!(small.is_minimal);
    assert_eq!(small.promise, "P98");
    assert_eq!(small.dropped, long.events.len() - small.trace.events.len());
    assert!(breaks(&small.trace));
    for left_out in 0..small.trace.events.len() {
        let mut shorter = small.trace.clone();
        shorter.events.remove(left_out);
        assert!(!breaks(&shorter), "event {left_out} is not needed");
    }
    let publish = ClientId(1);
    let of_it = |timed: &Timed| {
        matches!(&timed.event, Event::Began { client, .. } if *client == publish)
            || matches!(&timed.event, Event::Delivered { envelope } if envelope.client == publish)
    };
    assert!(small.trace.events.iter().all(of_it), "{:?}", small.trace.events);
}

#[test]
fn the_same_trace_gives_the_same_result() {
    let twice =
        || minimize_judged(&long_trace(), Some(&Mute), Ending::AsItIs, 10_000, JUDGE).unwrap();
    assert_eq!(twice(), twice());
}

#[test]
fn what_is_left_when_the_replays_run_out_still_breaks() {
    let long = long_trace();
    let small = minimize_judged(&long, Some(&Mute), Ending::AsItIs, 5, JUDGE).unwrap();
    assert!(!small.is_minimal);
    assert_eq!(small.replays, 5);
    assert!(breaks(&small.trace));
}

#[test]
fn a_run_that_breaks_only_on_its_way_to_rest_is_left_with_its_task_alone() {
    let mut recorder = Recorder::new(Setup::default());
    recorder.then(publish(0));
    recorder.then(publish(1));
    recorder.deliver(6);
    let trace = recorder.trace();
    assert!(!breaks(&trace));
    let small = minimize_judged(&trace, Some(&Mute), Ending::Drained, 10_000, JUDGE).unwrap();
    assert_eq!(small.trace.events.len(), 1);
    assert!(matches!(small.trace.events[0].event, Event::Began { client: ClientId(1), .. }));
}

#[test]
fn a_trace_that_breaks_nothing_is_left_alone() {
    let result = minimize_judged(&long_trace(), None, Ending::AsItIs, 10_000, JUDGE);
    assert_eq!(result, Err(NothingBroken));
}
