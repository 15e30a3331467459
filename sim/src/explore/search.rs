//! The search itself: nearest or farthest states first, each visited once.

use std::collections::{HashSet, VecDeque};
use std::hash::{BuildHasherDefault, Hasher};

use super::identity::{Identity, Parts};
use super::moves::{Budgeted, Move};
use super::{Exploration, Order, Scope};
use crate::event::{Event, Timed};
use crate::plant::Plant;
use crate::promises::Broken;
use crate::trace::Trace;
use crate::world::{Fact, World};

/// One state: a world, what may still go wrong in it, and what its identity is made of.
#[derive(Debug, Clone)]
pub(super) struct Node {
    pub(super) world: World,
    pub(super) budget: Budgeted,
    pub(super) parts: Parts,
}

/// Goes through a scope.
struct Search<'a> {
    scope: &'a Scope,
    plant: Option<&'a dyn Plant>,
    /// What a caller is to be told for the search to end.
    wanted: Option<&'a str>,
    seen: HashSet<u128, BuildHasherDefault<AsItIs>>,
    found: Exploration,
}

/// How a state was reached.
struct Step {
    from: u32,
    by: Move,
    depth: u32,
}

pub(super) fn run(scope: &Scope, plant: Option<&dyn Plant>, wanted: Option<&str>) -> Exploration {
    let mut search =
        Search { scope, plant, wanted, seen: HashSet::default(), found: Exploration::default() };
    match Node::first(scope, plant.map(|plant| plant.boxed())) {
        Ok(node) => {
            search.is_new(&node);
            match scope.order {
                Order::Breadth => search.breadth(node),
                Order::Depth => search.depth(node),
            }
        }
        Err(broken) => search.end(&[], End::Broken(broken)),
    }
    search.found.states = search.seen.len();
    search.found
}

/// Why a search ended before its time.
enum End {
    Broken(Broken),
    Reached,
}

impl From<Broken> for End {
    fn from(broken: Broken) -> Self {
        Self::Broken(broken)
    }
}

impl Search<'_> {
    fn breadth(&mut self, first: Node) {
        let mut steps: Vec<Step> = Vec::new();
        // The first state has no step that leads to it.
        let mut frontier = VecDeque::from([(first, u32::MAX)]);
        let path = |steps: &[Step], mut at: u32| {
            let mut path = Vec::new();
            while let Some(step) = steps.get(at as usize) {
                path.push(step.by);
                at = step.from;
            }
            path.reverse();
            path
        };
        while let Some((node, from)) = frontier.pop_front() {
            let depth = steps.get(from as usize).map_or(0, |step| step.depth) + 1;
            for by in node.moves(self.scope) {
                match self.follow(&node, by) {
                    Ok(Some(next)) => {
                        if self.seen.len() >= self.scope.limit {
                            return;
                        }
                        self.found.deepest = depth;
                        let at = u32::try_from(steps.len()).unwrap_or(u32::MAX);
                        steps.push(Step { from, by, depth });
                        frontier.push_back((next, at));
                    }
                    Ok(None) => {}
                    Err(end) => {
                        let mut path = path(&steps, from);
                        path.push(by);
                        return self.end(&path, end);
                    }
                }
            }
        }
        self.found.complete = true;
    }

    fn depth(&mut self, first: Node) {
        let mut ways = vec![Way::new(first, self.scope)];
        while let Some(way) = ways.last_mut() {
            let Some(&by) = way.moves.get(way.taken) else {
                ways.pop();
                continue;
            };
            way.taken += 1;
            match self.follow(&way.node, by) {
                Ok(Some(next)) => {
                    if self.seen.len() >= self.scope.limit {
                        return;
                    }
                    ways.push(Way::new(next, self.scope));
                    let depth = u32::try_from(ways.len() - 1).unwrap_or(u32::MAX);
                    self.found.deepest = self.found.deepest.max(depth);
                }
                Ok(None) => {}
                Err(end) => {
                    let path: Vec<Move> = ways.iter().map(|way| way.moves[way.taken - 1]).collect();
                    return self.end(&path, end);
                }
            }
        }
        self.found.complete = true;
    }

    /// Makes a move. None when it leads to a state that was seen.
    fn follow(&mut self, node: &Node, by: Move) -> Result<Option<Node>, End> {
        self.found.transitions += 1;
        let mut told = Vec::new();
        let next = node.after(self.scope, by, &mut |world, _| note_told(world, &mut told))?;
        let reached = told.iter().any(|name| Some(*name) == self.wanted);
        for name in told {
            *self.found.told.entry(name.to_owned()).or_default() += 1;
        }
        if reached {
            return Err(End::Reached);
        }
        Ok(self.is_new(&next).then_some(next))
    }

    fn is_new(&mut self, node: &Node) -> bool {
        let Identity(identity) = node.identity();
        self.seen.insert(identity)
    }

    /// Plays the way to the end of the search again, and writes down its events.
    fn end(&mut self, path: &[Move], end: End) {
        let mut events: Vec<Timed> = Vec::new();
        let mut record = |_: &World, event: &Timed| events.push(event.clone());
        let plant = self.plant.map(|plant| plant.boxed());
        let mut node = Node::first_recorded(self.scope, plant, &mut record).ok();
        for &by in path {
            node = node.and_then(|node| node.after(self.scope, by, &mut record).ok());
        }
        let title = match &end {
            End::Broken(broken) => broken.to_string(),
            End::Reached => self.wanted.unwrap_or_default().to_owned(),
        };
        let trace = Trace { title, setup: self.scope.setup.clone(), events };
        match end {
            End::Broken(broken) => self.found.violation = Some((trace, broken)),
            End::Reached => self.found.reached = Some(trace),
        }
    }
}

/// A state on the way to the farthest, and which of its moves were tried.
struct Way {
    node: Node,
    moves: Vec<Move>,
    taken: usize,
}

impl Way {
    fn new(node: Node, scope: &Scope) -> Self {
        let moves = node.moves(scope);
        Self { node, moves, taken: 0 }
    }
}

fn note_told(world: &World, told: &mut Vec<&'static str>) {
    for fact in world.facts() {
        if let Fact::Told { client } = fact
            && let Some(record) = world.oracle().task(*client)
        {
            told.push(record.told.name());
        }
    }
}

/// Applies an event to a world and holds it against the promises.
pub(super) fn act(
    scope: &Scope,
    world: &mut World,
    event: Event,
    at: u64,
    watch: &mut dyn FnMut(&World, &Timed),
) -> Result<bool, Broken> {
    let timed = Timed { at: at.max(world.now()), event };
    let happened = world.apply(&timed);
    if happened {
        watch(world, &timed);
        crate::promises::check(world)?;
        if scope.one_line {
            super::line::hold_one_line(world)?;
        }
    }
    Ok(happened)
}

/// Identities are hashes already.
#[derive(Default)]
struct AsItIs(u64);

impl Hasher for AsItIs {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(byte);
        }
    }

    fn write_u128(&mut self, value: u128) {
        self.0 = u64::try_from(value >> 64).unwrap_or_default();
    }
}
