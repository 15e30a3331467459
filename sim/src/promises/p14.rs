//! P14. Every try of a submission that is told Published is told of one version; and of all versions that bear its
//! attempt id, as many as its tries may have made, at most one is on the chain: no version that was told Published or
//! is certified has an ancestor, other than itself, of the same submission.

use tarn_proto::{AttemptId, VersionId};

use super::{Demanded, Promise, changed, is_told_or_durable, short, told};
use crate::event::Task;
use crate::ids::Submission;
use crate::made::Made;
use crate::world::{Told, World};

/// Once is enough.
pub static P14: Promise = Promise {
    id: "P14",
    sentence: "same submission, same effect: repeats, on any gateway, change nothing and report the version it became",
    source: "DESIGN 7.2: our attempt found Published is success with that version; it is never built on",
    against_liars: false,
    demanded: Demanded::Always,
    concerns: is_told_or_durable,
    check,
};

fn check(world: &World) -> Result<(), String> {
    for (client, record) in told(world) {
        let Task::Publish(task) = &record.task else { continue };
        if let Told::Published { version, .. } = record.told {
            is_ours(world, version, task.submission)?;
            for (other, other_record) in world.oracle().tries(task.submission.attempt()) {
                if let Told::Published { version: theirs, .. } = other_record.told
                    && theirs != version
                {
                    let (version, theirs) = (short(version), short(theirs));
                    return Err(format!("{client} was told of {version}, and {other} of {theirs}"));
                }
            }
            only_once(world, version)?;
        }
    }
    let certificates = changed(world).flat_map(|server| &server.disk().certificates);
    certificates.map(tarn_proto::Certificate::version).try_for_each(|id| only_once(world, id))
}

fn is_ours(world: &World, version: VersionId, submission: Submission) -> Result<(), String> {
    match world.made(version).map(attempt_of) {
        Some(attempt) if attempt != submission.attempt() => {
            let whose = Submission::of(attempt);
            Err(format!("{submission} was told of {}, which is of {whose}", short(version)))
        }
        Some(_) | None => Ok(()),
    }
}

/// Whether no version below this one on the chain is of its submission.
fn only_once(world: &World, version: VersionId) -> Result<(), String> {
    let below = |made: &&Made| made.header.header().predecessor.and_then(|id| world.made(id));
    let Some(newest) = world.made(version) else { return Ok(()) };
    let mut ancestors = std::iter::successors(below(&newest), below);
    match ancestors.find(|made| attempt_of(made) == attempt_of(newest)) {
        Some(older) => {
            let (submission, older) = (Submission::of(attempt_of(newest)), short(older.version()));
            Err(format!("{submission} is on the chain twice: as {older} and {}", short(version)))
        }
        None => Ok(()),
    }
}

fn attempt_of(made: &Made) -> AttemptId {
    made.header.header().attempt
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Scene, judge, publish_task};
    use super::P14;
    use crate::ids::{ClientId, ServerId, Submission};
    use crate::world::{Fact, Told};
    use tarn_proto::VersionId;

    const AGAIN: ClientId = ClientId(90);

    /// Another try of the first of two submissions is told that it is this version.
    fn verdict(scene: &mut Scene, version: VersionId) -> Result<(), String> {
        scene.world.pretend_task(AGAIN, &publish_task(Submission(0)));
        scene.world.pretend_told(AGAIN, Told::Published { version, repeated: true });
        judge(&mut scene.world, &P14, &[Fact::Told { client: AGAIN }])
    }

    #[test]
    fn a_second_try_is_told_of_another_version() {
        let mut scene = Scene::default();
        let first = scene.publish(Submission(0));
        let second = scene.publish(Submission(1));
        assert_eq!(verdict(&mut scene, first), Ok(()));
        assert!(verdict(&mut scene, second).is_err(), "somebody else's");
        let sibling = scene.make(2, Some(first), Submission(0));
        let sibling = scene.world.invent(sibling);
        assert!(verdict(&mut scene, sibling).is_err(), "its own, once more");
    }

    #[test]
    fn a_submission_is_certified_twice() {
        let mut scene = Scene::default();
        let first = scene.publish(Submission(0));
        let second = scene.publish(Submission(1));
        let durable = [Fact::Durable { server: ServerId(0) }];
        assert_eq!(judge(&mut scene.world, &P14, &durable), Ok(()));
        let third = scene.make(3, Some(second), Submission(0));
        assert!(scene.world.descends(second, first));
        let certificate = third.certificate;
        scene.world.invent(third);
        scene.world.server_mut(ServerId(0)).disk_mut().certificates.push(certificate);
        assert!(judge(&mut scene.world, &P14, &durable).is_err());
    }

    #[test]
    fn a_real_second_try_finds_the_first_ones_version() {
        let mut scene = Scene::default();
        let first = scene.publish(Submission(0));
        scene.publish(Submission(1));
        assert_eq!(scene.publish(Submission(0)), first);
        assert_eq!(judge(&mut scene.world, &P14, &[Fact::Told { client: ClientId(2) }]), Ok(()));
    }
}
