//! Turns among callers.

use super::super::fact::Fact;
use super::super::names::gateway_of;
use super::super::record::Move;
use super::super::seen::Seen;
use super::Check;

/// Nobody waits for ever because somebody else submits much.
pub(super) static TURNS: Check = Check {
    id: "turns",
    sentence: "a caller that has a task which may run is served within as many starts as there are callers",
    holds,
};

fn holds(seen: &Seen, fact: &Fact) -> Result<(), String> {
    let Fact::Moved(Move { task, .. }) = fact else { return Ok(()) };
    let passed_over = &seen.processes[usize::from(gateway_of(*task))].passed_over;
    match passed_over.iter().find(|&(_, &times)| times >= seen.callers) {
        Some((caller, times)) => Err(format!("{} was passed over {times} times", caller.0)),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use tarn_client::queue::State;

    use super::super::testing::{CALLERS, Scene, by, moved};
    use super::*;

    /// One caller waits on file 0 while another has this many turns, on files of their own.
    fn after(turns: u8) -> Result<(), String> {
        let mut scene = Scene::default();
        scene.arrive(200, by("patient", 200, 0), State::Queued);
        for number in 1..=turns {
            scene.arrive(number, by("eager", number, number), State::Queued);
            scene.advance(number, State::Queued, State::Running);
            scene.end_published(number);
        }
        scene.judge(&TURNS, &Fact::Moved(moved(turns, Some(State::Queued), State::Running)))
    }

    #[test]
    fn one_caller_has_all_the_turns() {
        let most = u8::try_from(CALLERS).unwrap();
        assert_eq!(after(most - 1), Ok(()));
        assert!(after(most).is_err());
    }

    #[test]
    fn whoever_cannot_run_is_not_passed_over() {
        let mut scene = Scene::default();
        scene.arrive(200, by("patient", 200, 0), State::Held);
        for number in 1..=10 {
            scene.arrive(number, by("eager", number, number), State::Queued);
            scene.advance(number, State::Queued, State::Running);
        }
        let last = Fact::Moved(moved(10, Some(State::Queued), State::Running));
        assert_eq!(scene.judge(&TURNS, &last), Ok(()));
    }
}
