//! What a task follows when it runs.

use super::super::fact::Fact;
use super::super::names::Short;
use super::super::seen::Seen;
use super::Check;

/// What it was submitted to follow.
pub(super) static TICKETS: Check = Check {
    id: "tickets",
    sentence: "a task runs when its ticket allows: its predecessor was published, and it follows exactly that version",
    holds,
};

fn holds(seen: &Seen, fact: &Fact) -> Result<(), String> {
    let Fact::Ran { task: id, follows, .. } = fact else { return Ok(()) };
    let Some(task) = seen.task(*id) else { return Ok(()) };
    match seen.follows(task) {
        None => {
            let id = Short(*id);
            Err(format!("{id} is {}, and runs before that is published", task.submission))
        }
        Some(rightly) if rightly != *follows => {
            Err(format!("{} follows {follows:?} and not {rightly:?}", Short(*id)))
        }
        Some(_) => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use tarn_client::publish::Follows;
    use tarn_client::queue::State;

    use super::super::super::submission::After;
    use super::super::testing::{Scene, key, keyed, task};
    use super::*;

    fn follows(follows: Follows) -> Fact {
        Fact::Ran { task: task(2), follows, restored: false }
    }

    #[test]
    fn it_runs_while_its_predecessor_does_and_then_after_something_else() {
        let mut scene = Scene::default();
        scene.run(1, keyed(1, "a", After::Whatever));
        scene.arrive(2, keyed(2, "b", After::Key(key("a"))), State::Held);
        assert!(scene.judge(&TICKETS, &follows(Follows::Whatever)).is_err());
        let version = scene.end_published(1);
        assert!(scene.judge(&TICKETS, &follows(Follows::Whatever)).is_err());
        assert!(scene.judge(&TICKETS, &follows(Follows::Nothing)).is_err());
        assert_eq!(scene.judge(&TICKETS, &follows(Follows::Version(version))), Ok(()));
    }

    #[test]
    fn it_follows_another_task_than_the_one_it_names() {
        let mut scene = Scene::default();
        let first = scene.publish(1);
        let other = scene.publish(3);
        scene.arrive(2, keyed(2, "b", After::Task(task(1))), State::Queued);
        assert!(scene.judge(&TICKETS, &follows(Follows::Version(other))).is_err());
        assert_eq!(scene.judge(&TICKETS, &follows(Follows::Version(first))), Ok(()));
    }

    #[test]
    fn it_overwrites_although_it_names_a_version() {
        let mut scene = Scene::default();
        let version = scene.publish(1);
        scene.arrive(2, keyed(2, "b", After::Version(version)), State::Queued);
        assert!(scene.judge(&TICKETS, &follows(Follows::Whatever)).is_err());
        assert_eq!(scene.judge(&TICKETS, &follows(Follows::Version(version))), Ok(()));
    }
}
