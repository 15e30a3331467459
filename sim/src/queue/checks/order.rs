//! Whose turn it is among the tasks of one file.

use tarn_client::queue::State;

use super::super::fact::Fact;
use super::super::names::{Short, gateway_of};
use super::super::seen::Seen;
use super::Check;

/// First come, first served.
pub(super) static ORDER: Check = Check {
    id: "order",
    sentence: "of a file's tasks that may run, the one that arrived first runs first",
    holds,
};

fn holds(seen: &Seen, fact: &Fact) -> Result<(), String> {
    let Fact::Ran { task: id, restored: false, .. } = fact else { return Ok(()) };
    let Some(task) = seen.task(*id) else { return Ok(()) };
    let mut others = seen.pending(gateway_of(*id)).filter(|other| {
        other.submission.file == task.submission.file
            && other.state == Some(State::Queued)
            && other.number < task.number
    });
    match others.next() {
        Some(other) => Err(format!("{} runs, and {} was first", Short(*id), Short(other.id))),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::submission::After;
    use super::super::testing::{Scene, key, keyed, of_file, overwrite, ran};
    use super::*;

    #[test]
    fn a_later_one_runs_first() {
        let mut scene = Scene::default();
        scene.arrive(1, overwrite(1), State::Queued);
        scene.run(2, overwrite(2));
        assert!(scene.judge(&ORDER, &ran(2)).is_err());
    }

    #[test]
    fn whoever_is_held_or_of_another_file_is_not_passed() {
        let mut scene = Scene::default();
        scene.arrive(1, keyed(1, "a", After::Key(key("b"))), State::Held);
        scene.arrive(3, of_file(3, 7), State::Queued);
        scene.run(2, overwrite(2));
        assert_eq!(scene.judge(&ORDER, &ran(2)), Ok(()));
    }
}
