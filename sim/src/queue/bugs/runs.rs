//! What is wrong with what a run came to, and with what a crash left of it.

use std::collections::BTreeSet;

use tarn_client::queue::{Action, End, Event, Limits, State, TaskId};

use super::super::plant::Plant;
use super::super::record::Record;
use super::Bug;

pub(super) static BUGS: &[Bug] = &[
    Bug {
        name: "unsettled-is-failure",
        hazard: Some("H4"),
        sentence: "a run of which nobody knows is reported as one that changed nothing, and followers go stale",
        found: ("P4", 2),
        plant: || Box::new(UnsettledIsFailure),
    },
    Bug {
        name: "unsettled-is-final",
        hazard: None,
        sentence: "a run of which nobody knows is not repeated",
        found: ("repeats", 2),
        plant: || Box::new(UnsettledIsFinal),
    },
    Bug {
        name: "not-taken-up-again",
        hazard: None,
        sentence: "what ran before a crash is running on record, and nobody runs it",
        found: ("ends", 0),
        plant: || Box::new(NotTakenUpAgain),
    },
    Bug {
        name: "cancel-unheard",
        hazard: None,
        sentence: "a task that is called off before it runs is run all the same",
        found: ("cancel", 49),
        plant: || Box::new(CancelUnheard),
    },
    Bug {
        name: "alarm-unheeded",
        hazard: None,
        sentence: "nobody wakes a queue in which something rests or is awaited",
        found: ("ends", 0),
        plant: || Box::new(AlarmUnheeded),
    },
];

#[derive(Debug)]
struct UnsettledIsFailure;

impl Plant for UnsettledIsFailure {
    fn ends(&self, end: End) -> End {
        if end == End::Unsettled { End::Fruitless } else { end }
    }
}

#[derive(Debug)]
struct UnsettledIsFinal;

impl Plant for UnsettledIsFinal {
    fn limits(&self, limits: Limits) -> Limits {
        Limits { repeats: 0, ..limits }
    }
}

#[derive(Debug)]
struct NotTakenUpAgain;

impl Plant for NotTakenUpAgain {
    fn does(&mut self, _: &Record, restored: bool, mut actions: Vec<Action>) -> Vec<Action> {
        let starting = |action: &Action| match action {
            Action::Move { task, to: State::Running, .. } => Some(*task),
            Action::Move { .. } | Action::Run { .. } | Action::CancelRun { .. } => None,
        };
        let starting: BTreeSet<TaskId> = actions.iter().filter_map(starting).collect();
        actions.retain(|action| match action {
            Action::Run { task, .. } => !restored || starting.contains(task),
            Action::Move { .. } | Action::CancelRun { .. } => true,
        });
        actions
    }
}

#[derive(Debug)]
struct CancelUnheard;

impl Plant for CancelUnheard {
    fn hears(&mut self, _: &Record, event: Event) -> Vec<Event> {
        if matches!(event, Event::CancelRequested { .. }) { Vec::new() } else { vec![event] }
    }
}

#[derive(Debug)]
struct AlarmUnheeded;

impl Plant for AlarmUnheeded {
    fn hears(&mut self, _: &Record, event: Event) -> Vec<Event> {
        if event == Event::TimePassed { Vec::new() } else { vec![event] }
    }
}
