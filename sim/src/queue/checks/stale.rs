//! Why a task is stale.

use std::collections::BTreeSet;

use tarn_client::publish::Follows;
use tarn_client::queue::{Because, State, Verdict};

use super::super::fact::Fact;
use super::super::names::Short;
use super::super::record::{Move, Outcome};
use super::super::seen::{Seen, Task};
use super::super::submission::After;
use super::Check;

/// The truth.
pub(super) static STALE: Check = Check {
    id: "stale",
    sentence: "whoever is told to be stale is told the truth: what came between is there, the predecessor failed, or \
               never came",
    holds,
};

fn holds(seen: &Seen, fact: &Fact) -> Result<(), String> {
    let Fact::Moved(Move { task: id, to: State::Ended(Verdict::Stale(because)), .. }) = fact else {
        return Ok(());
    };
    let Some(task) = seen.task(*id) else { return Ok(()) };
    judge(seen, task, because).map_err(|why| format!("{}: {why}", Short(*id)))
}

fn judge(seen: &Seen, task: &Task, because: &Because) -> Result<(), String> {
    match because {
        Because::Replaced { by, version } => {
            let file = task.submission.file;
            let Some(place) = seen.place(file, *version) else {
                return Err(format!("there is no {}", Short(*version)));
            };
            let Some(by) = seen.task(*by).filter(|by| seen.is_of(&seen.chain(file)[place], by))
            else {
                return Err(format!("{} is not what {} made", Short(*version), Short(*by)));
            };
            let Some(Follows::Version(followed)) = seen.follows(task) else {
                return Err(format!("it follows no version that {} could replace", Short(by.id)));
            };
            match seen.place(file, followed) {
                Some(theirs) if theirs >= place => {
                    Err(format!("{} is not after {}", Short(*version), Short(followed)))
                }
                Some(_) | None => Ok(()),
            }
        }
        Because::PredecessorFailed(predecessor) => {
            let its = seen.predecessor(task).filter(|its| its.id == *predecessor);
            let Some(its) = its else {
                return Err(format!("{} is not what it is to follow", Short(*predecessor)));
            };
            if !its.has_ended() || matches!(its.outcome, Some(Outcome::Published(_))) {
                return Err(format!("{} has not failed", Short(*predecessor)));
            }
            Ok(())
        }
        Because::PredecessorMissing(key) => {
            if task.submission.after != After::Key(key.clone()) {
                return Err(format!("it is not to follow {key}"));
            }
            if let Some(predecessor) = seen.predecessor(task) {
                return Err(format!("{key} is there: it is {}", Short(predecessor.id)));
            }
            let waited = seen.now - task.arrived_at;
            if waited < seen.limits.awaited.0 {
                return Err(format!("it waited for {key} for {waited} ms only"));
            }
            Ok(())
        }
        Because::Circular => {
            let next = |at: &&Task| seen.predecessor(at);
            let mut passed = BTreeSet::new();
            let mut line = std::iter::successors(next(&task), next);
            match line.find(|at| at.id == task.id || !passed.insert(at.id)) {
                Some(at) if at.id == task.id => Ok(()),
                Some(_) | None => Err("it does not come to follow itself".to_owned()),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use tarn_client::queue::TaskId;
    use tarn_proto::VersionId;

    use super::super::testing::{LIMITS, Scene, key, keyed, moved, task};
    use super::*;

    fn stale(number: u8, because: Because) -> Fact {
        let to = State::Ended(Verdict::Stale(because));
        Fact::Moved(moved(number, Some(State::Held), to))
    }

    #[test]
    fn what_came_between_did_not() {
        let mut scene = Scene::default();
        let (first, second) = (scene.publish(1), scene.publish(2));
        scene.arrive(3, keyed(3, "c", After::Version(second)), State::Queued);
        scene.arrive(4, keyed(4, "d", After::Version(first)), State::Queued);
        scene.arrive(5, keyed(5, "e", After::Whatever), State::Queued);
        let replaced = |number, by, version| {
            let fact = stale(number, Because::Replaced { by: task(by), version });
            scene.judge(&STALE, &fact)
        };
        assert_eq!(replaced(4, 2, second), Ok(()));
        assert!(replaced(3, 1, first).is_err(), "older than what it follows");
        assert!(replaced(3, 2, second).is_err(), "it follows that one");
        assert!(replaced(4, 2, first).is_err(), "it follows that one, which is another's");
        assert!(replaced(4, 1, second).is_err(), "another made it");
        assert!(replaced(4, 2, VersionId::new([9; 32])).is_err(), "it is not there");
        assert!(replaced(5, 2, second).is_err(), "it follows nothing");
    }

    #[test]
    fn a_version_off_the_chain_is_replaced_by_any() {
        let mut scene = Scene::default();
        let version = scene.publish(1);
        scene.arrive(2, keyed(2, "b", After::Version(VersionId::new([9; 32]))), State::Queued);
        let fact = stale(2, Because::Replaced { by: task(1), version });
        assert_eq!(scene.judge(&STALE, &fact), Ok(()));
    }

    #[test]
    fn the_predecessor_has_not_failed() {
        let mut scene = Scene::default();
        scene.run(1, keyed(1, "a", After::Whatever));
        scene.arrive(2, keyed(2, "b", After::Key(key("a"))), State::Held);
        let failed = |scene: &Scene, of: TaskId| {
            scene.judge(&STALE, &stale(2, Because::PredecessorFailed(of)))
        };
        assert!(failed(&scene, task(1)).is_err(), "it runs");
        let mut published = scene.clone();
        published.end_published(1);
        assert!(failed(&published, task(1)).is_err(), "it was published");
        scene.end(1, Outcome::Fruitless);
        assert_eq!(failed(&scene, task(1)), Ok(()));
        assert!(failed(&scene, task(7)).is_err(), "another one");
    }

    #[test]
    fn the_predecessor_is_there_or_was_not_waited_for() {
        let mut scene = Scene::default();
        scene.arrive(2, keyed(2, "b", After::Key(key("a"))), State::Held);
        let missing = |scene: &Scene, name| {
            scene.judge(&STALE, &stale(2, Because::PredecessorMissing(key(name))))
        };
        assert!(missing(&scene, "a").is_err(), "at once");
        scene.pass(LIMITS.awaited.0);
        assert_eq!(missing(&scene, "a"), Ok(()));
        assert!(missing(&scene, "z").is_err(), "another key");
        scene.arrive(1, keyed(1, "a", After::Whatever), State::Queued);
        assert!(missing(&scene, "a").is_err(), "it is there");
    }

    #[test]
    fn there_is_no_circle() {
        let mut scene = Scene::default();
        scene.arrive(1, keyed(1, "a", After::Key(key("b"))), State::Held);
        let circular = |scene: &Scene| scene.judge(&STALE, &stale(1, Because::Circular));
        assert!(circular(&scene).is_err());
        scene.arrive(2, keyed(2, "b", After::Key(key("a"))), State::Held);
        assert_eq!(circular(&scene), Ok(()));
        scene.arrive(3, keyed(3, "c", After::Key(key("a"))), State::Held);
        let beside = scene.judge(&STALE, &stale(3, Because::Circular));
        assert!(beside.is_err(), "it only leads into one");
    }
}
