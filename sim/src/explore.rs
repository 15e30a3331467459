//! Exhaustive search: every state that the shipped machines can reach within a bounded scope. It draws nothing and
//! measures no time, so a scope always gives the same answer; what it cannot bound, it leaves to the sweep of seeds.
//!
//! ```text
//!            Scope                                 Exploration
//!   tasks, faults allowed,   ┌──────────────┐   states, transitions,
//!   rounds, limit        ──▶ │   explore    │ ──▶ told how often what,
//!                            └──────────────┘     the shortest trace that breaks a promise
//! ```
//!
//! What makes it feasible, and what it costs:
//!
//! - *Fewer interleavings.* What a client tells itself (begin, encoded, journaled) happens at once: nobody else sees
//!   when. A server's answer is heard as it is given, unless the scope allows late answers; any order of requests is
//!   tried anyway. The rows and blocks of a read come at once. The disk is instant: its own faults are the sweep's.
//! - *Time stands still* but for timers: one fires when its client waits for nothing else, or early where the scope
//!   allows it. [`calm`] stretches patience and promises so far that the sum of all pauses weighs nothing beside them.
//! - *State identity.* Two worlds are one state when they can only go on alike: see [`identity`]. Identities are SHA-256
//!   cut to 128 bits: in a search of 10^8 states, two different ones are taken for one with a probability below 10^-22.

pub mod identity;
mod line;
mod make;
mod moves;
mod scopes;
pub mod script;
mod search;

use std::collections::BTreeMap;

use crate::event::{Task, Timed};
use crate::ids::ClientId;
use crate::plant::Plant;
use crate::promises::Broken;
use crate::setup::Setup;
use crate::trace::Trace;

pub use scopes::{Named, Size, calm, named, publish, read};

/// What is explored.
#[derive(Debug, Clone)]
pub struct Scope {
    /// The world before its first event; best made by [`calm`].
    pub setup: Setup,
    /// What has happened before the search begins.
    pub opening: Vec<Timed>,
    /// What callers ask for, named by clients in this order after those of the opening.
    pub tasks: Vec<Planned>,
    /// How much may go wrong.
    pub faults: Faults,
    /// How often a task may map before it is no longer followed.
    pub rounds: u32,
    /// Whether the end of a stream may reach its server late, so that a promise lingers. Otherwise it does at once.
    pub linger: bool,
    /// Whether unrelated versions may never each be held by a quorum, told Published or not.
    pub one_line: bool,
    /// Which states come first.
    pub order: Order,
    /// States after which it gives up.
    pub limit: usize,
}

/// A task, and when it begins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Planned {
    /// What is asked.
    pub task: Task,
    /// When.
    pub begins: Begins,
}

/// When a task begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Begins {
    /// With the search.
    AtOnce,
    /// At any moment.
    AnyTime,
    /// As soon as the caller of that task was told its end, or it was killed.
    After(ClientId),
}

/// How much may go wrong, all told: every combination is tried. [`UNLIMITED`] is as often as it likes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Faults {
    /// Requests or answers lost.
    pub losses: u8,
    /// Requests doubled by the network.
    pub duplicates: u8,
    /// Answers that come later than they were given.
    pub delays: u8,
    /// Timers that fire although an answer is still to come.
    pub early_timers: u8,
    /// Promises that run out, on one server each.
    pub lapses: u8,
    /// Servers that crash and come back at once.
    pub restarts: u8,
    /// Servers that lose their disks.
    pub emptied: u8,
    /// Writers killed.
    pub kills: u8,
    /// Killed writers that try the same submission again.
    pub resumes: u8,
}

/// As often as it likes.
pub const UNLIMITED: u8 = u8::MAX;

/// Which states come first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// The nearest: a violation comes with a shortest trace. Keeps every world of the frontier in memory.
    Breadth,
    /// The farthest: a state costs 16 bytes, but traces are long.
    Depth,
}

/// What a search found.
#[derive(Debug, Default)]
pub struct Exploration {
    /// Different states.
    pub states: usize,
    /// Ways from one to another.
    pub transitions: u64,
    /// Whether there is no other state in the scope.
    pub complete: bool,
    /// The longest way from the beginning that was gone.
    pub deepest: u32,
    /// What callers were told, and in how many transitions.
    pub told: BTreeMap<String, u64>,
    /// How a promise was broken; the search ended there.
    pub violation: Option<(Trace, Broken)>,
    /// How a caller came to be told what was looked for; the search ended there.
    pub reached: Option<Trace>,
}

/// Visits every state of the scope.
pub fn explore(scope: &Scope) -> Exploration {
    search::run(scope, None, None)
}

/// As [`explore`], of machines in which a bug was planted.
pub fn explore_planted(scope: &Scope, plant: &dyn Plant) -> Exploration {
    search::run(scope, Some(plant), None)
}

/// Looks for a state in which a caller has just been told this (see [`crate::world::Told::name`]).
pub fn reach(scope: &Scope, told: &str) -> Exploration {
    search::run(scope, None, Some(told))
}

#[cfg(test)]
mod tests;
