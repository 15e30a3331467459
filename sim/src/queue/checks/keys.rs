//! Idempotency keys, on one gateway.

use super::super::fact::Fact;
use super::super::gateway::Answer;
use super::super::names::{Short, gateway_of};
use super::super::seen::Seen;
use super::Check;

/// One key, one task.
pub(super) static KEYS: Check = Check {
    id: "keys",
    sentence: "on one gateway a key names one task of a file, whatever happens meanwhile",
    holds,
};

fn holds(seen: &Seen, fact: &Fact) -> Result<(), String> {
    if let Fact::Registered { task, submission } = fact
        && let Some(key) = &submission.key
        && let Some(first) = seen.named(gateway_of(*task), submission.file, key)
        && first.id != *task
    {
        return Err(format!("{key} names {}, and {} too", Short(first.id), Short(*task)));
    }
    if let Fact::Answered { submission, answer: Answer::Known(task), .. } = fact {
        let is_it = seen.task(*task).is_some_and(|known| {
            submission.key.is_some() && known.submission.is_repeated_by(submission)
        });
        if !is_it {
            return Err(format!("{submission} is not {}", Short(*task)));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::rc::Rc;

    use tarn_client::queue::State;

    use super::super::super::submission::{After, Submission};
    use super::super::testing::{Scene, keyed, task};
    use super::*;

    #[test]
    fn one_key_is_given_to_two_tasks() {
        let mut scene = Scene::default();
        scene.arrive(1, keyed(1, "a", After::Whatever), State::Queued);
        let again = Fact::Registered { task: task(2), submission: keyed(1, "a", After::Whatever) };
        scene.see(&again);
        assert!(scene.judge(&KEYS, &again).is_err());
    }

    #[test]
    fn a_caller_is_told_that_it_is_another_submission() {
        let mut scene = Scene::default();
        let submission = keyed(1, "a", After::Whatever);
        scene.arrive(1, Rc::clone(&submission), State::Queued);
        let known = |submission| {
            let answer = Answer::Known(task(1));
            scene.judge(&KEYS, &Fact::Answered { gateway: 0, submission, answer })
        };
        assert_eq!(known(Rc::clone(&submission)), Ok(()));
        assert!(known(Rc::new(Submission { content: 9, ..(*submission).clone() })).is_err());
    }
}
