//! The states of a task on record, and the ways between them.

use tarn_client::queue::State::{self, Ended, Held, Queued, Running};
use tarn_client::queue::Verdict::{Cancelled, Reported, Stale};

use super::super::fact::{Fact, word};
use super::super::names::Short;
use super::super::record::Move;
use super::super::seen::Seen;
use super::Check;

/// Forwards only.
pub(super) static EDGES: Check = Check {
    id: "edges",
    sentence: "a task on record moves along allowed edges, by compare-and-set, and never back",
    holds,
};

fn holds(_: &Seen, fact: &Fact) -> Result<(), String> {
    if let Fact::Clashed(clash) = fact {
        let (task, found) = (Short(clash.moved.task), clash.found.as_ref().map(word));
        return Err(format!("{task} was {found:?} when it was to be {}", word(&clash.moved.to)));
    }
    let Fact::Moved(Move { task, from, to, .. }) = fact else { return Ok(()) };
    if is_edge(from.as_ref(), to) {
        return Ok(());
    }
    let from = from.as_ref().map_or("nothing", word);
    Err(format!("{} went from {from} to {}", Short(*task), word(to)))
}

fn is_edge(from: Option<&State>, to: &State) -> bool {
    match (from, to) {
        (None | Some(Held), Queued | Ended(Stale(_)))
        | (None, Held)
        | (Some(Queued), Running | Ended(Stale(_)))
        | (Some(Held | Queued), Ended(Cancelled))
        | (Some(Running), Ended(Reported)) => true,
        (None, Running | Ended(Reported | Cancelled))
        | (Some(Held), Held | Running | Ended(Reported))
        | (Some(Queued), Held | Queued | Ended(Reported))
        | (Some(Running), Held | Queued | Running | Ended(Stale(_) | Cancelled))
        | (Some(Ended(_)), _) => false,
    }
}

#[cfg(test)]
mod tests {
    use tarn_client::queue::Because;

    use super::super::super::record::Clash;
    use super::super::testing::{Scene, moved};
    use super::*;

    #[test]
    fn whoever_ended_does_not_run_again() {
        let mut scene = Scene::default();
        scene.publish(1);
        for to in [Running, Queued, Held, Ended(Reported), Ended(Cancelled)] {
            let back = Fact::Moved(moved(1, Some(Ended(Reported)), to));
            assert!(scene.judge(&EDGES, &back).is_err());
        }
    }

    #[test]
    fn whoever_ran_is_neither_stale_nor_cancelled() {
        let scene = Scene::default();
        for to in [Ended(Stale(Because::Circular)), Ended(Cancelled), Queued] {
            let fact = Fact::Moved(moved(1, Some(Running), to));
            assert!(scene.judge(&EDGES, &fact).is_err());
        }
        let fact = Fact::Moved(moved(1, Some(Running), Ended(Reported)));
        assert_eq!(scene.judge(&EDGES, &fact), Ok(()));
    }

    #[test]
    fn a_record_that_is_not_as_it_was_left_was_written_by_somebody_else() {
        let clash = Clash { moved: moved(1, Some(Queued), Running), found: Some(Held) };
        assert!(Scene::default().judge(&EDGES, &Fact::Clashed(clash)).is_err());
    }
}
