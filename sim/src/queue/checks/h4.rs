//! H4: what a version was made on.

use super::super::fact::Fact;
use super::super::names::Short;
use super::super::seen::{Seen, Task};
use super::super::submission::After;
use super::Check;

/// No silent overwrite.
pub(super) static H4: Check = Check {
    id: "H4",
    sentence: "no version is made by a task with a ticket on anything but what its ticket names",
    holds,
};

fn holds(seen: &Seen, fact: &Fact) -> Result<(), String> {
    let Fact::Appended { file, made } = fact else { return Ok(()) };
    let Some(task) = seen.maker(made) else { return Ok(()) };
    let base = made.base.and_then(|base| Some(&seen.chain(*file)[seen.place(*file, base)?]));
    let is_made_by =
        |task: Option<&Task>| base.zip(task).is_some_and(|(base, task)| seen.is_of(base, task));
    let is_right = match &task.submission.after {
        After::Whatever => true,
        After::Nothing => made.base.is_none(),
        After::Version(version) => made.base == Some(*version),
        After::Task(_) | After::Key(_) => is_made_by(seen.predecessor(task)),
    };
    if is_right {
        return Ok(());
    }
    let base = base.map_or_else(|| "nothing".to_owned(), |base| Short(base.version).to_string());
    let (version, id) = (Short(made.version), Short(task.id));
    Err(format!("{id} is {}, and made {version} on {base}", task.submission))
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Scene, key, keyed};
    use super::*;

    #[test]
    fn it_overwrites_what_its_caller_has_not_seen() {
        let mut scene = Scene::default();
        let first = scene.publish(1);
        scene.run(2, keyed(2, "b", After::Version(first)));
        let rightly = scene.clone().append(2);
        assert_eq!(scene.judge_after(&H4, &rightly), Ok(()));
        scene.publish(3);
        let wrongly = scene.append(2);
        assert!(scene.judge(&H4, &wrongly).is_err());
    }

    #[test]
    fn something_came_between_it_and_its_predecessor() {
        let mut scene = Scene::default();
        scene.run(1, keyed(1, "a", After::Whatever));
        scene.end_published(1);
        scene.run(2, keyed(2, "b", After::Key(key("a"))));
        let rightly = scene.clone().append(2);
        assert_eq!(scene.judge_after(&H4, &rightly), Ok(()));
        scene.publish(3);
        let wrongly = scene.append(2);
        assert!(scene.judge(&H4, &wrongly).is_err());
    }

    #[test]
    fn a_file_that_was_to_be_new_is_not() {
        let mut scene = Scene::default();
        scene.run(2, keyed(2, "b", After::Nothing));
        let rightly = scene.clone().append(2);
        assert_eq!(scene.judge_after(&H4, &rightly), Ok(()));
        scene.publish(1);
        let wrongly = scene.append(2);
        assert!(scene.judge(&H4, &wrongly).is_err());
    }
}
