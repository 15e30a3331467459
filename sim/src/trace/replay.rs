//! Plays a trace: applies its events to a world one by one, and holds the world against the promises after each.
//! Draws nothing and decides nothing, but for how a run that is cut short comes to rest.

use std::collections::VecDeque;

use crate::event::{Event, Manner, Timed};
use crate::ids::ServerId;
use crate::plant::Plant;
use crate::promises::{self, Broken};
use crate::world::World;

use super::Trace;

/// How many events may bring a run to rest. One that goes on longer is one that does not end.
const DRAIN_MAX: usize = 50_000;

/// What is done when the events of a trace are over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// Nothing.
    AsItIs,
    /// Everything heals, everything on its way arrives in the order in which it was sent, and the world is held
    /// against what is promised at rest.
    Drained,
}

/// What came of playing a trace.
#[derive(Debug)]
pub struct Replay {
    /// How many events did something.
    pub applied: usize,
    /// How many could not happen to the world as it was.
    pub ignored: usize,
    /// The promise that was broken first, and the index of the event that broke it. Nothing was played after it.
    pub broken: Option<(usize, Broken)>,
    /// The events that brought the world to rest, if that was asked for. Their indices follow the trace's.
    pub drained: Vec<Timed>,
    /// Whether nothing is left to be done.
    pub at_rest: bool,
    /// The world as it was left.
    pub world: World,
}

/// Plays the whole trace, with its planted bug if it has one.
pub fn replay(trace: &Trace, plant: Option<Box<dyn Plant>>, ending: Ending) -> Replay {
    Player::new(trace, plant, ending).finish()
}

/// Which checks a run is held to.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Judge {
    /// After every event.
    pub(crate) always: fn(&World) -> Result<(), Broken>,
    /// When nothing is left to be done.
    pub(crate) at_rest: fn(&World) -> Result<(), Broken>,
}

impl Judge {
    /// All of tarn's promises.
    pub(crate) const PROMISES: Self =
        Self { always: promises::check, at_rest: promises::check_at_rest };
}

/// Plays a trace event by event, for whoever wants to look at the world in between.
#[derive(Debug)]
pub struct Player {
    world: World,
    judge: Judge,
    coming: VecDeque<Timed>,
    ending: Ending,
    /// Events still allowed to bring the run to rest.
    left: usize,
    /// Whether the trace's own events are over.
    draining: bool,
    played: usize,
    over: bool,
}

/// One event that was played.
#[derive(Debug, Clone)]
pub struct Step {
    /// Its number, from 0.
    pub index: usize,
    /// The event.
    pub timed: Timed,
    /// Whether it could happen.
    pub applied: bool,
    /// Whether it is the trace's own: the others bring the run to rest.
    pub own: bool,
    /// The promise it broke. Nothing is played after it.
    pub broken: Option<Broken>,
}

impl Player {
    /// Nothing is played yet.
    pub fn new(trace: &Trace, plant: Option<Box<dyn Plant>>, ending: Ending) -> Self {
        Self::judged(trace, plant, ending, Judge::PROMISES)
    }

    pub(crate) fn judged(
        trace: &Trace,
        plant: Option<Box<dyn Plant>>,
        ending: Ending,
        judge: Judge,
    ) -> Self {
        Self {
            world: World::new(trace.setup.clone(), plant),
            judge,
            coming: trace.events.iter().cloned().collect(),
            ending,
            left: DRAIN_MAX,
            draining: false,
            played: 0,
            over: false,
        }
    }

    /// The world as it is after the last step.
    pub const fn world(&self) -> &World {
        &self.world
    }

    /// Plays the next event. None when there is none, or a promise was broken.
    pub fn step(&mut self) -> Option<Step> {
        if self.over {
            return None;
        }
        let Some((timed, own)) = self.next_event() else {
            self.over = true;
            return None;
        };
        let applied = self.world.apply(&timed);
        let mut judged = (self.judge.always)(&self.world);
        if judged.is_ok() && self.ending == Ending::Drained && self.is_last() {
            judged = (self.judge.at_rest)(&self.world);
        }
        let broken = judged.err();
        self.over = broken.is_some();
        let index = self.played;
        self.played += 1;
        Some(Step { index, timed, applied, own, broken })
    }

    /// Plays what is left.
    pub fn finish(mut self) -> Replay {
        let (mut applied, mut ignored, mut broken) = (0, 0, None);
        let mut drained = Vec::new();
        while let Some(step) = self.step() {
            if step.applied {
                applied += 1;
            } else {
                ignored += 1;
            }
            if !step.own {
                drained.push(step.timed);
            }
            broken = step.broken.map(|broken| (step.index, broken));
        }
        let at_rest = is_at_rest(&self.world);
        Replay { applied, ignored, broken, drained, at_rest, world: self.world }
    }

    fn next_event(&mut self) -> Option<(Timed, bool)> {
        if let Some(timed) = self.coming.pop_front() {
            return Some((timed, !self.draining));
        }
        if self.ending == Ending::AsItIs {
            return None;
        }
        if !self.draining {
            self.draining = true;
            self.coming = healing(&self.world).into();
            return Some((self.coming.pop_front()?, false));
        }
        self.left = self.left.checked_sub(1)?;
        Some((next_in_order(&self.world)?, false))
    }

    /// Whether the event just played was the last of all, at rest or for want of patience.
    fn is_last(&self) -> bool {
        self.draining
            && self.coming.is_empty()
            && (self.left == 0 || next_in_order(&self.world).is_none())
    }
}

fn is_at_rest(world: &World) -> bool {
    next_in_order(world).is_none() && world.clients().all(|client| !client.is_running())
}

/// What makes an end of all faults. Never empty.
fn healing(world: &World) -> Vec<Timed> {
    let at = world.now();
    let mut events = vec![Event::Healed];
    for server in world.servers().filter(|server| !server.is_destroyed()) {
        let server_id: ServerId = server.id();
        if !server.is_up() {
            events.push(Event::ServerRestarted { server: server_id });
        }
        match server.manner() {
            Manner::Full | Manner::ReadOnly => {
                events.push(Event::Turned { server: server_id, manner: Manner::Honest });
            }
            Manner::Honest | Manner::Lying(_) => {}
        }
    }
    events.into_iter().map(|event| Timed { at, event }).collect()
}

/// What is next when nothing fails: disks first, then what was sent first; timers when nothing else is left.
fn next_in_order(world: &World) -> Option<Timed> {
    if let Some(server) = world.servers().find(|server| server.is_up() && server.is_writing()) {
        return Some(Timed { at: world.now(), event: Event::DiskSynced { server: server.id() } });
    }
    let first = world.in_flight().min_by_key(|envelope| (envelope.due, envelope.sent, envelope.id));
    first.map(|envelope| Timed {
        at: envelope.due.unwrap_or_default().max(world.now()),
        event: Event::Delivered { envelope: envelope.id },
    })
}
