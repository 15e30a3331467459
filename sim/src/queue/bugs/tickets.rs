//! What is wrong with tickets, and with whoever waits for another.

use tarn_client::publish::Follows;
use tarn_client::queue::{Action, Arrival, Because, Limits, Predecessor, State, Ticket, Verdict};
use tarn_client::time::Millis;

use super::super::plant::Plant;
use super::super::record::Record;
use super::Bug;

pub(super) static BUGS: &[Bug] = &[
    Bug {
        name: "released-early",
        hazard: Some("H4"),
        sentence: "whoever is to follow a task runs before that one has ended",
        found: ("tickets", 0),
        plant: || Box::new(ReleasedEarly),
    },
    Bug {
        name: "ticket-left-behind",
        hazard: Some("H4"),
        sentence: "a follower is released in time, and then overwrites whatever is there",
        found: ("tickets", 0),
        plant: || Box::new(TicketLeftBehind),
    },
    Bug {
        name: "ticket-not-passed-on",
        hazard: Some("H4"),
        sentence: "the queue knows what a task is to follow, and its publish is not told",
        found: ("H4", 0),
        plant: || Box::new(TicketNotPassedOn),
    },
    Bug {
        name: "held-for-ever",
        hazard: None,
        sentence: "when a predecessor fails, nobody tells its followers",
        found: ("ends", 0),
        plant: || Box::new(HeldForEver),
    },
    Bug {
        name: "not-awaited",
        hazard: None,
        sentence: "whoever arrives before its predecessor is stale at once",
        found: ("stale", 0),
        plant: || Box::new(NotAwaited),
    },
    Bug {
        name: "looked-up-early",
        hazard: Some("H5"),
        sentence: "the predecessor is looked up before the content is staged, outside the critical section",
        found: ("stale", 0),
        plant: || Box::new(LookedUpEarly),
    },
];

#[derive(Debug)]
struct ReleasedEarly;

impl Plant for ReleasedEarly {
    fn arrives(&self, arrival: Arrival) -> Arrival {
        match arrival.ticket {
            Ticket::After(Predecessor::Pending(_) | Predecessor::Awaited(_)) => {
                Arrival { ticket: Ticket::Whatever, ..arrival }
            }
            Ticket::After(Predecessor::Published(_) | Predecessor::Fruitless(_))
            | Ticket::Whatever
            | Ticket::Nothing
            | Ticket::Version(_) => arrival,
        }
    }
}

#[derive(Debug)]
struct TicketLeftBehind;

impl Plant for TicketLeftBehind {
    fn does(&mut self, _: &Record, _: bool, mut actions: Vec<Action>) -> Vec<Action> {
        for action in &mut actions {
            if let Action::Run { follows, .. } = action {
                *follows = Follows::Whatever;
            }
        }
        actions
    }
}

#[derive(Debug)]
struct TicketNotPassedOn;

impl Plant for TicketNotPassedOn {
    fn passes_on(&self, _: Follows) -> Follows {
        Follows::Whatever
    }
}

#[derive(Debug)]
struct HeldForEver;

impl Plant for HeldForEver {
    fn does(&mut self, _: &Record, _: bool, mut actions: Vec<Action>) -> Vec<Action> {
        actions.retain(|action| {
            let Action::Move { from: Some(_), to: State::Ended(verdict), .. } = action else {
                return true;
            };
            !matches!(verdict, Verdict::Stale(Because::PredecessorFailed(_)))
        });
        actions
    }
}

#[derive(Debug)]
struct NotAwaited;

impl Plant for NotAwaited {
    fn limits(&self, limits: Limits) -> Limits {
        Limits { awaited: Millis(0), ..limits }
    }
}

#[derive(Debug)]
struct LookedUpEarly;

impl Plant for LookedUpEarly {
    fn looks_up_early(&self) -> bool {
        true
    }
}
