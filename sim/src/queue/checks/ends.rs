//! The end.

use super::super::fact::{Fact, word};
use super::super::names::Short;
use super::super::seen::Seen;
use super::Check;

/// Nothing is forgotten.
pub(super) static ENDS: Check = Check {
    id: "ends",
    sentence: "when all has healed and nothing is left to be done, every task has ended",
    holds,
};

fn holds(seen: &Seen, fact: &Fact) -> Result<(), String> {
    let Fact::Rested = fact else { return Ok(()) };
    match seen.tasks().find(|task| !task.has_ended()) {
        Some(task) => {
            let state = task.state.as_ref().map_or("not on record", word);
            Err(format!("{}, {}, is still {state}", Short(task.id), task.submission))
        }
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Scene, overwrite};
    use super::*;

    #[test]
    fn a_task_is_forgotten() {
        let mut scene = Scene::with_running(overwrite(1));
        assert!(scene.judge(&ENDS, &Fact::Rested).is_err());
        assert_eq!(scene.judge(&ENDS, &Fact::Healed), Ok(()));
        scene.end_published(1);
        assert_eq!(scene.judge(&ENDS, &Fact::Rested), Ok(()));
    }
}
