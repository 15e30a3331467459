//! What is wrong with whose turn it is.

use tarn_client::queue::{Arrival, Caller, Event, Limits, State, Ticket};
use tarn_proto::StorageIndex;

use super::super::plant::Plant;
use super::super::record::Record;
use super::Bug;

pub(super) static BUGS: &[Bug] = &[
    Bug {
        name: "two-of-a-file",
        hazard: Some("H4"),
        sentence: "two overwrites of one file run at once",
        found: ("one", 1),
        plant: || Box::new(TwoOfAFile),
    },
    Bug {
        name: "order-of-ids",
        hazard: None,
        sentence: "after a restart tasks are queued in the order of their ids",
        found: ("order", 3),
        plant: || Box::new(OrderOfIds),
    },
    Bug {
        name: "turns-not-taken",
        hazard: None,
        sentence: "whoever arrived first runs first, however much its caller submits",
        found: ("turns", 0),
        plant: || Box::new(TurnsNotTaken),
    },
    Bug {
        name: "too-many-run",
        hazard: None,
        sentence: "one more runs than may",
        found: ("limit", 0),
        plant: || Box::new(TooManyRun),
    },
    Bug {
        name: "starts-while-it-stops",
        hazard: None,
        sentence: "a process that is to stop starts what is next",
        found: ("stopped", 8),
        plant: || Box::new(StartsWhileItStops),
    },
];

/// Every other overwrite is queued as if it were of another file.
#[derive(Debug)]
struct TwoOfAFile;

impl Plant for TwoOfAFile {
    fn arrives(&self, arrival: Arrival) -> Arrival {
        let is_odd = arrival.task.as_bytes()[0] % 2 == 1;
        if !is_odd || arrival.key.is_some() || arrival.ticket != Ticket::Whatever {
            return arrival;
        }
        let file = StorageIndex::new(arrival.file.as_bytes().map(|byte| byte + 100));
        Arrival { file, ..arrival }
    }
}

#[derive(Debug)]
struct OrderOfIds;

impl Plant for OrderOfIds {
    fn restores(&mut self, mut recorded: Vec<(Arrival, State)>) -> Vec<(Arrival, State)> {
        recorded.sort_by_key(|(arrival, _)| arrival.task);
        recorded
    }
}

/// All callers are one.
#[derive(Debug)]
struct TurnsNotTaken;

impl Plant for TurnsNotTaken {
    fn arrives(&self, arrival: Arrival) -> Arrival {
        Arrival { caller: Caller(String::new()), ..arrival }
    }
}

#[derive(Debug)]
struct TooManyRun;

impl Plant for TooManyRun {
    fn limits(&self, limits: Limits) -> Limits {
        Limits { running: limits.running + 1, ..limits }
    }
}

#[derive(Debug)]
struct StartsWhileItStops;

impl Plant for StartsWhileItStops {
    fn hears(&mut self, _: &Record, event: Event) -> Vec<Event> {
        if event == Event::Stopping { Vec::new() } else { vec![event] }
    }
}
