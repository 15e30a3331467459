//! P14, of tasks: the same submission on both gateways, before and after a crash. That a predecessor failed or never came
//! is said of one gateway, and may be so although the other has published predecessor and follower long since.

use tarn_client::queue::{Because, State, Verdict};

use super::super::fact::Fact;
use super::super::names::Short;
use super::super::record::{Move, Outcome};
use super::super::seen::{Seen, Task};
use super::Check;

/// Once is enough.
pub(super) static P14: Check = Check {
    id: "P14",
    sentence: "same submission, same effect: one version of it is in the chain, and whoever submitted it is told of it",
    holds,
};

fn holds(seen: &Seen, fact: &Fact) -> Result<(), String> {
    if let Fact::Appended { made, .. } = fact {
        return seen.maker(made).map_or(Ok(()), |task| once(seen, task));
    }
    let Fact::Moved(Move { task, to, outcome, .. }) = fact else { return Ok(()) };
    let Some(task) = seen.task(*task) else { return Ok(()) };
    let mut chain = seen.chain(task.submission.file).iter();
    if let Some(Outcome::Published(version)) = outcome
        && !chain.any(|made| made.version == *version && seen.is_of(made, task))
    {
        let (task, version) = (Short(task.id), Short(*version));
        return Err(format!("{task} was told of {version}, which is not its own"));
    }
    // Whether it was replaced is for the chain to say; whoever asks the chain finds its own version there.
    if let State::Ended(Verdict::Stale(Because::Replaced { .. })) = to
        && let Some(made) = chain.find(|made| seen.is_of(made, task))
    {
        let (task, version) = (Short(task.id), Short(made.version));
        return Err(format!("{task} was told that it is stale, and it is {version}"));
    }
    Ok(())
}

fn once(seen: &Seen, task: &Task) -> Result<(), String> {
    let chain = seen.chain(task.submission.file);
    let versions: Vec<String> = chain
        .iter()
        .filter(|made| seen.is_of(made, task))
        .map(|made| Short(made.version).to_string())
        .collect();
    if versions.len() > 1 {
        return Err(format!("{} is {}", task.submission, versions.join(" and ")));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::super::submission::After;
    use super::super::testing::{Scene, ended, keyed, moved, overwrite, task};
    use super::*;

    #[test]
    fn two_gateways_make_two_versions_of_it() {
        let mut scene = Scene::default();
        scene.run(1, keyed(1, "a", After::Whatever));
        scene.run(101, keyed(1, "a", After::Whatever));
        let first = scene.append(1);
        assert_eq!(scene.judge(&P14, &first), Ok(()));
        let second = scene.append(101);
        assert!(scene.judge(&P14, &second).is_err());
    }

    #[test]
    fn one_task_makes_two_versions() {
        let mut scene = Scene::with_running(overwrite(1));
        scene.append(1);
        let again = scene.append(1);
        assert!(scene.judge(&P14, &again).is_err());
    }

    #[test]
    fn it_is_told_of_somebody_elses_version() {
        let mut scene = Scene::default();
        let theirs = scene.publish(1);
        scene.run(2, keyed(2, "b", After::Whatever));
        let told = ended(2, Outcome::Published(theirs));
        scene.see(&told);
        assert!(scene.judge(&P14, &told).is_err());
    }

    #[test]
    fn the_other_gateway_is_told_of_the_one_version() {
        let mut scene = Scene::default();
        scene.run(1, keyed(1, "a", After::Whatever));
        let version = scene.end_published(1);
        scene.run(101, keyed(1, "a", After::Whatever));
        let told = ended(101, Outcome::Published(version));
        scene.see(&told);
        assert_eq!(scene.judge(&P14, &told), Ok(()));
    }

    #[test]
    fn it_is_told_to_be_stale_and_the_other_gateway_has_published_it() {
        let mut scene = Scene::default();
        scene.run(1, keyed(1, "a", After::Whatever));
        scene.end_published(1);
        let version = scene.publish(2);
        scene.arrive(101, keyed(1, "a", After::Whatever), State::Queued);
        let because = Because::Replaced { by: task(2), version };
        let stale = |number| {
            let to = State::Ended(Verdict::Stale(because.clone()));
            Fact::Moved(moved(number, Some(State::Queued), to))
        };
        assert!(scene.judge(&P14, &stale(101)).is_err());
        scene.arrive(102, keyed(3, "c", After::Whatever), State::Queued);
        assert_eq!(scene.judge(&P14, &stale(102)), Ok(()));
    }
}
