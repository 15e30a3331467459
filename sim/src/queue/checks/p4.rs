//! P4, of tasks: whoever is told that nothing was changed. What another gateway makes of the same submission is its own.

use super::super::fact::Fact;
use super::super::grid::{Made, Maker};
use super::super::names::Short;
use super::super::record::Move;
use super::super::seen::Seen;
use super::Check;

/// Nothing means nothing.
pub(super) static P4: Check = Check {
    id: "P4",
    sentence: "a task that was stale, called off in time, or said to have changed nothing made no version, then or later",
    holds,
};

fn holds(seen: &Seen, fact: &Fact) -> Result<(), String> {
    let id = if let Fact::Moved(Move { task, .. }) = fact {
        task
    } else if let Fact::Appended { made: Made { by: Maker::Task(task, _), .. }, .. } = fact {
        task
    } else {
        return Ok(());
    };
    let Some(task) = seen.task(*id).filter(|task| task.is_told_of_nothing()) else { return Ok(()) };
    let mut chain = seen.chain(task.submission.file).iter();
    match chain.find(|made| matches!(&made.by, Maker::Task(by, _) if by == id)) {
        Some(made) => Err(format!("{} made {}", Short(*id), Short(made.version))),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use tarn_client::queue::{State, Verdict};

    use super::super::super::record::Outcome;
    use super::super::testing::{Scene, ended, moved, overwrite};
    use super::*;

    #[test]
    fn it_took_effect_before() {
        let mut scene = Scene::with_running(overwrite(1));
        scene.append(1);
        let told = ended(1, Outcome::Fruitless);
        scene.see(&told);
        assert!(scene.judge(&P4, &told).is_err());
    }

    #[test]
    fn it_takes_effect_later() {
        for outcome in [Outcome::Fruitless, Outcome::Unsettled] {
            let mut scene = Scene::with_running(overwrite(1));
            scene.see(&ended(1, outcome));
            let appended = scene.append(1);
            let verdict = scene.judge(&P4, &appended);
            assert_eq!(verdict.is_err(), outcome == Outcome::Fruitless);
        }
    }

    #[test]
    fn it_was_called_off_and_runs() {
        let mut scene = Scene::default();
        scene.arrive(1, overwrite(1), State::Queued);
        let to = State::Ended(Verdict::Cancelled);
        scene.see(&Fact::Moved(moved(1, Some(State::Queued), to)));
        let appended = scene.append(1);
        assert!(scene.judge(&P4, &appended).is_err());
    }
}
