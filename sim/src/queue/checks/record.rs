//! What a crash may leave.

use tarn_client::queue::State;

use super::super::fact::Fact;
use super::super::gateway::Answer;
use super::super::names::Short;
use super::super::seen::Seen;
use super::Check;

/// First the record, then the rest.
pub(super) static RECORD: Check = Check {
    id: "record",
    sentence: "what is carried out or acknowledged is on record first",
    holds,
};

fn holds(seen: &Seen, fact: &Fact) -> Result<(), String> {
    let state = |task| seen.task(task).and_then(|task| task.state.as_ref());
    if let Fact::Ran { task, .. } = fact
        && state(*task) != Some(&State::Running)
    {
        return Err(format!("{} runs, and is not running on record", Short(*task)));
    }
    if let Fact::Answered { answer: Answer::Taken(task) | Answer::Known(task), .. } = fact
        && state(*task).is_none()
    {
        return Err(format!("{} was acknowledged, and is not on record", Short(*task)));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use tarn_client::publish::Follows;

    use super::super::testing::{Scene, overwrite, task};
    use super::*;

    #[test]
    fn a_task_runs_before_that_is_on_record() {
        let mut scene = Scene::default();
        scene.arrive(1, overwrite(1), State::Queued);
        let ran = Fact::Ran { task: task(1), follows: Follows::Whatever, restored: false };
        assert!(scene.judge(&RECORD, &ran).is_err());
        scene.advance(1, State::Queued, State::Running);
        assert_eq!(scene.judge(&RECORD, &ran), Ok(()));
    }

    #[test]
    fn a_task_is_acknowledged_and_lost() {
        let mut scene = Scene::default();
        let submission = overwrite(1);
        let answered = Fact::Answered { gateway: 0, submission, answer: Answer::Taken(task(1)) };
        assert!(scene.judge(&RECORD, &answered).is_err());
        scene.arrive(1, overwrite(1), State::Queued);
        assert_eq!(scene.judge(&RECORD, &answered), Ok(()));
    }
}
