//! What is wrong with the record.

use tarn_client::queue::{Action, Event, State, TaskId, Verdict};

use super::super::plant::Plant;
use super::super::record::{Record, Row};
use super::Bug;

pub(super) static BUGS: &[Bug] = &[
    Bug {
        name: "whole-row-written-back",
        hazard: Some("H5"),
        sentence: "whoever calls off a task loads its row, and writes the whole of it back when more has happened",
        found: ("edges", 24),
        plant: || Box::new(WholeRow::default()),
    },
    Bug {
        name: "carried-out-first",
        hazard: None,
        sentence: "tasks are run and acknowledged before that is on record",
        found: ("record", 88),
        plant: || Box::new(CarriedOutFirst),
    },
    Bug {
        name: "cancelled-while-it-runs",
        hazard: None,
        sentence: "a task that runs is recorded as cancelled when its caller asks for that",
        found: ("edges", 35),
        plant: || Box::new(CancelledWhileItRuns),
    },
];

#[derive(Debug, Default)]
struct WholeRow {
    loaded: Option<(TaskId, Row)>,
    due: Option<(TaskId, Row)>,
}

impl Plant for WholeRow {
    fn hears(&mut self, record: &Record, event: Event) -> Vec<Event> {
        self.due = self.loaded.take();
        if let Event::CancelRequested { task } = event {
            self.loaded = record.row(task).map(|row| (task, row.clone()));
        }
        vec![event]
    }

    fn writes(&mut self, _: &Record) -> Vec<(TaskId, Row)> {
        self.due.take().into_iter().collect()
    }
}

#[derive(Debug)]
struct CarriedOutFirst;

impl Plant for CarriedOutFirst {
    fn carries_out_first(&self) -> bool {
        true
    }
}

#[derive(Debug)]
struct CancelledWhileItRuns;

impl Plant for CancelledWhileItRuns {
    fn does(&mut self, _: &Record, _: bool, mut actions: Vec<Action>) -> Vec<Action> {
        for action in &mut actions {
            if let Action::CancelRun { task } = *action {
                let (from, to) = (Some(State::Running), State::Ended(Verdict::Cancelled));
                *action = Action::Move { task, from, to };
            }
        }
        actions
    }
}
