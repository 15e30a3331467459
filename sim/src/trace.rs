//! A run as a value: the setup and every event, in order. It needs no seed, so it outlives a change of how seeds are
//! drawn; it can be written to a file, edited by hand, checked in and played again.

use serde::{Deserialize, Serialize};

use crate::event::Timed;
use crate::setup::Setup;

/// A whole run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Trace {
    /// What it shows, for people.
    pub title: String,
    /// The world before its first event.
    pub setup: Setup,
    /// What happened.
    pub events: Vec<Timed>,
}
