//! Openings of scopes: what happens before a search begins, told in steps rather than events.

use crate::event::{Event, Task, Timed};
use crate::ids::{ClientId, Leg, ServerId};
use crate::setup::Setup;
use crate::world::{Body, Local, RequestKind, World};

/// A world on its way to where a search begins, and every event so far.
#[derive(Debug)]
pub struct Script {
    world: World,
    events: Vec<Timed>,
}

impl Script {
    /// Nothing has happened yet.
    pub fn new(setup: &Setup) -> Self {
        Self { world: World::new(setup.clone(), None), events: Vec::new() }
    }

    /// This happens.
    pub fn act(&mut self, event: Event) -> &mut Self {
        self.act_at(self.world.now(), event)
    }

    fn act_at(&mut self, at: u64, event: Event) -> &mut Self {
        let timed = Timed { at, event };
        self.world.apply(&timed);
        self.events.push(timed);
        self
    }

    /// A task begins.
    pub fn begin(&mut self, client: ClientId, task: Task) -> &mut Self {
        self.act(Event::Began { client, task })
    }

    /// Every request that is `wanted` is handled and its answer heard, until there is none; clients hear themselves,
    /// but for timers.
    pub fn run(&mut self, wanted: impl Fn(RequestKind, ServerId) -> bool) -> &mut Self {
        loop {
            let next = self.world.in_flight().find(|envelope| match &envelope.body {
                Body::Request { server, request } => wanted(request.kind(), *server),
                Body::Answer { .. } => true,
                Body::Local(local) => !matches!(local, Local::TimedOut(_)),
            });
            let Some(envelope) = next.map(|envelope| envelope.id) else { return self };
            self.act(Event::Delivered { envelope });
            if self.world.envelope(envelope.on(Leg::Answer)).is_some() {
                self.act(Event::Delivered { envelope: envelope.on(Leg::Answer) });
            }
        }
    }

    /// Every request on its way that is `wanted` is lost.
    pub fn lose(&mut self, wanted: impl Fn(RequestKind, ServerId) -> bool) -> &mut Self {
        let lost = self.world.in_flight().filter(|envelope| match &envelope.body {
            Body::Request { server, request } => wanted(request.kind(), *server),
            Body::Answer { .. } | Body::Local(_) => false,
        });
        let lost: Vec<_> = lost.map(|envelope| envelope.id).collect();
        for envelope in lost {
            self.act(Event::Lost { envelope });
        }
        self
    }

    /// The last timer that a client set fires, when it is due.
    pub fn fire(&mut self, client: ClientId) -> &mut Self {
        let timers = self.world.in_flight().filter_map(|envelope| match &envelope.body {
            Body::Local(Local::TimedOut(timer)) if envelope.id.client == client => {
                Some((*timer, envelope.due, envelope.id))
            }
            Body::Local(_) | Body::Request { .. } | Body::Answer { .. } => None,
        });
        let Some((_, due, envelope)) = timers.max_by_key(|(timer, ..)| *timer) else { return self };
        let at = due.unwrap_or(0).max(self.world.now());
        self.act_at(at, Event::Delivered { envelope })
    }

    /// What happened.
    pub fn events(&self) -> Vec<Timed> {
        self.events.clone()
    }
}

/// These tasks, one after the other, in a world where nothing goes wrong.
pub fn opening(setup: &Setup, tasks: &[Task]) -> Vec<Timed> {
    let mut script = Script::new(setup);
    for (client, task) in (0..).map(ClientId).zip(tasks) {
        script.begin(client, task.clone()).run(|_, _| true);
    }
    script.events()
}
