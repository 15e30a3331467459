//! Runs whose outcome is not known.

use super::super::fact::Fact;
use super::super::names::Short;
use super::super::record::{Move, Outcome};
use super::super::seen::Seen;
use super::Check;

/// It is tried again.
pub(super) static REPEATS: Check = Check {
    id: "repeats",
    sentence: "whose outcome is not known is run again, as often as the limits say, unless it was called off",
    holds,
};

fn holds(seen: &Seen, fact: &Fact) -> Result<(), String> {
    let Fact::Moved(Move { task: id, outcome: Some(Outcome::Unsettled), .. }) = fact else {
        return Ok(());
    };
    match seen.task(*id) {
        Some(task) if task.runs <= seen.limits.repeats && !task.cancelled => {
            Err(format!("{} was given up after {} runs", Short(*id), task.runs))
        }
        Some(_) | None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{LIMITS, Scene, ended, overwrite, ran, task};
    use super::*;

    #[test]
    fn it_is_given_up_too_early() {
        let mut scene = Scene::with_running(overwrite(1));
        let given_up = ended(1, Outcome::Unsettled);
        assert!(scene.judge(&REPEATS, &given_up).is_err());
        for _ in 0..LIMITS.repeats {
            scene.see(&ran(1));
        }
        assert_eq!(scene.judge(&REPEATS, &given_up), Ok(()));
    }

    #[test]
    fn whoever_called_it_off_is_not_waited_for() {
        let mut scene = Scene::with_running(overwrite(1));
        scene.see(&Fact::CancelRequested { task: task(1) });
        assert_eq!(scene.judge(&REPEATS, &ended(1, Outcome::Unsettled)), Ok(()));
    }
}
