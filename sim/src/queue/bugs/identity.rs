//! What is wrong with recognising a submission.

use std::collections::BTreeSet;

use tarn_client::queue::{Event, TaskId};

use super::super::names::gateway_of;
use super::super::plant::Plant;
use super::super::record::Record;
use super::super::submission::Attempt;
use super::Bug;

pub(super) static BUGS: &[Bug] = &[
    Bug {
        name: "key-forgotten",
        hazard: Some("H2"),
        sentence: "keys are kept in memory, and a restart forgets them",
        found: ("keys", 0),
        plant: || Box::new(KeyForgotten::default()),
    },
    Bug {
        name: "attempt-fresh-after-restart",
        hazard: Some("H2"),
        sentence: "a task that is taken up again publishes under another attempt id",
        found: ("P14", 3),
        plant: || Box::new(AttemptOfLife),
    },
    Bug {
        name: "attempt-of-gateway",
        hazard: Some("H2"),
        sentence: "the attempt id of a keyed submission is another on each gateway",
        found: ("P14", 3),
        plant: || Box::new(AttemptOfGateway),
    },
];

#[derive(Debug, Default)]
struct KeyForgotten {
    known: BTreeSet<TaskId>,
}

impl Plant for KeyForgotten {
    fn hears(&mut self, _: &Record, event: Event) -> Vec<Event> {
        if let Event::Arrived(arrival) = &event {
            self.known.insert(arrival.task);
        }
        vec![event]
    }

    fn recognises(&self, task: TaskId) -> bool {
        self.known.contains(&task)
    }
}

#[derive(Debug)]
struct AttemptOfLife;

impl Plant for AttemptOfLife {
    fn attempt(&self, life: u32, _: TaskId, attempt: Attempt) -> Attempt {
        attempt.salted(life)
    }
}

#[derive(Debug)]
struct AttemptOfGateway;

impl Plant for AttemptOfGateway {
    fn attempt(&self, _: u32, task: TaskId, attempt: Attempt) -> Attempt {
        attempt.salted(gateway_of(task).into())
    }
}
