//! Traces for tests: small worlds driven by hand.

use crate::event::{Event, Fate, Follow, PublishTask, ReadTask, Task, Timed};
use crate::ids::{ClientId, EnvelopeId, Leg, ServerId, Submission};
use crate::setup::Setup;
use crate::world::World;

use super::{Ending, Player, Trace};

pub(crate) fn publish(client: u16) -> Event {
    let task = PublishTask {
        caller: 0,
        submission: Submission(client),
        shape: None,
        length: 10,
        tombstone: false,
        follows: Follow::Whatever,
        part: false,
        once: false,
        cap_holder: false,
        spent: None,
        resumes: None,
        seed: client.into(),
    };
    Event::Began { client: ClientId(client), task: Task::Publish(task) }
}

pub(crate) fn read(client: u16) -> Event {
    let task = ReadTask { caller: 0, strict: false, cap_holder: false, seed: client.into() };
    Event::Began { client: ClientId(client), task: Task::Read(task) }
}

pub(crate) fn message(client: u16, number: u32, leg: Leg) -> EnvelopeId {
    EnvelopeId { client: ClientId(client), number, leg, copy: 0 }
}

/// Writes down a run while it happens.
pub(crate) struct Recorder {
    world: World,
    trace: Trace,
}

impl Recorder {
    pub(crate) fn new(setup: Setup) -> Self {
        let world = World::new(setup.clone(), None);
        Self { world, trace: Trace { title: "a sample".to_owned(), setup, events: vec![] } }
    }

    /// The event, a few milliseconds later. It must be able to happen.
    pub(crate) fn then(&mut self, event: Event) {
        let timed = Timed { at: self.world.now() + 3, event };
        assert!(self.world.apply(&timed), "{timed:?}");
        self.trace.events.push(timed);
    }

    /// Delivers so many of what is on its way, in the order of the names.
    pub(crate) fn deliver(&mut self, count: usize) {
        for _ in 0..count {
            let first = self.world.in_flight().find(|envelope| envelope.due.is_none());
            let envelope = first.expect("something is on its way").id;
            self.then(Event::Delivered { envelope });
        }
    }

    /// The trace, brought to rest.
    pub(crate) fn at_rest(self) -> Trace {
        let mut events = self.trace.events.clone();
        let mut player = Player::new(&self.trace, None, Ending::Drained);
        while let Some(step) = player.step() {
            if !step.own {
                events.push(step.timed);
            }
        }
        Trace { events, ..self.trace }
    }

    pub(crate) fn trace(self) -> Trace {
        self.trace
    }
}

/// One publish on three servers, one of which dies with the commit on its way; then a read.
pub(crate) fn publish_and_read() -> Trace {
    let mut recorder = Recorder::new(Setup::default());
    recorder.then(publish(0));
    recorder.deliver(18);
    recorder.then(Event::ServerCrashed { server: ServerId(2), unsynced: Fate::Lost });
    let mut trace = recorder.at_rest();
    let at = trace.events.last().expect("there are events").at;
    trace.events.push(Timed { at: at + 1000, event: read(1) });
    let player = Player::new(&trace, None, Ending::Drained);
    let drained = player.finish().drained;
    trace.events.extend(drained.into_iter().filter(|timed| timed.event != Event::Healed));
    trace
}
