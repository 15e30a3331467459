//! P5's last words, *every other is told the truth*, for a caller that named the version it follows. Told Published,
//! its version was built on the very one it named. Told of a conflict, something is there that is not below what it
//! named; and a caller that named nothing is told of no conflict, as it has none.

use tarn_proto::VersionId;

use super::{Demanded, Promise, is_told, short, told};
use crate::event::{Follow, PublishTask, Task};
use crate::world::{TaskRecord, Told, UNCOORDINATED_WRITE, World};

/// What was named is what was replaced.
pub static TICKETS: Promise = Promise {
    id: "P5",
    sentence: "a publish that names a version replaces that version and no other, and is told of a conflict only \
               with something that came after it",
    source: "hazard H4: without a ticket a writer replaces what it has never seen",
    against_liars: false,
    demanded: Demanded::Always,
    concerns: is_told,
    check,
};

fn check(world: &World) -> Result<(), String> {
    for (client, record) in told(world) {
        let Task::Publish(task) = &record.task else { continue };
        let verdict = match &record.told {
            Told::Published { version, repeated: false } => follows(world, record, task, *version),
            Told::Unchanged { outcome, theirs: Some(theirs) }
                if *outcome == UNCOORDINATED_WRITE =>
            {
                conflicts(world, record, task, theirs.version())
            }
            // What an earlier try made followed what that one named.
            Told::Published { repeated: true, .. }
            | Told::Nothing
            | Told::Unchanged { .. }
            | Told::InDoubt { .. }
            | Told::Read(_) => Ok(()),
        };
        verdict.map_err(|why| format!("{client} {why}"))?;
    }
    Ok(())
}

/// What the caller named, if its name meant something when it began: none for "nothing at all".
fn named(world: &World, record: &TaskRecord, task: &PublishTask) -> Option<Option<VersionId>> {
    match task.follows {
        Follow::Whatever => None,
        Follow::Nothing => Some(None),
        Follow::ResultOf(client) => {
            let ended = world.oracle().task(client).and_then(|before| before.ended);
            let known = ended.is_some_and(|ended| ended < record.began);
            world.oracle().version_of(client).filter(|_| known).map(Some)
        }
    }
}

fn follows(
    world: &World,
    record: &TaskRecord,
    task: &PublishTask,
    version: VersionId,
) -> Result<(), String> {
    let (Some(named), Some(made)) = (named(world, record, task), world.made(version)) else {
        return Ok(());
    };
    let replaced = made.header.header().predecessor;
    if replaced == named {
        return Ok(());
    }
    let name = |version: Option<VersionId>| version.map_or_else(|| "nothing".to_owned(), short);
    Err(format!("named {}, and replaced {}", name(named), name(replaced)))
}

fn conflicts(
    world: &World,
    record: &TaskRecord,
    task: &PublishTask,
    theirs: VersionId,
) -> Result<(), String> {
    let Some(named) = named(world, record, task) else {
        return Err(format!("named no version, and was told of a conflict with {}", short(theirs)));
    };
    match named {
        Some(named) if world.descends(named, theirs) => {
            let (named, theirs) = (short(named), short(theirs));
            Err(format!(
                "named {named}, and was told of a conflict with {theirs}, which it follows"
            ))
        }
        Some(_) | None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Scene, judge, publish_task};
    use super::TICKETS;
    use crate::event::{Follow, PublishTask, Task};
    use crate::ids::{ClientId, Submission};
    use crate::world::{Fact, Told, UNCOORDINATED_WRITE};
    use tarn_proto::VersionId;

    const LATE: ClientId = ClientId(90);

    /// Somebody names the first of two versions, and is told.
    fn verdict(
        follows: Follow,
        told: impl FnOnce(&mut Scene, VersionId, VersionId) -> Told,
    ) -> Result<(), String> {
        let mut scene = Scene::default();
        let first = scene.publish(Submission(0));
        let second = scene.publish(Submission(1));
        let Task::Publish(task) = publish_task(Submission(5)) else { unreachable!() };
        scene.world.pretend_task(LATE, &Task::Publish(PublishTask { follows, ..task }));
        let told = told(&mut scene, first, second);
        scene.world.pretend_told(LATE, told);
        judge(&mut scene.world, &TICKETS, &[Fact::Told { client: LATE }])
    }

    fn published_on(scene: &mut Scene, base: VersionId) -> Told {
        let made = scene.make(3, Some(base), Submission(5));
        Told::Published { version: scene.world.invent(made), repeated: false }
    }

    fn conflict_with(scene: &Scene, version: VersionId) -> Told {
        let theirs = Some(scene.world.made(version).unwrap().header.clone());
        Told::Unchanged { outcome: UNCOORDINATED_WRITE, theirs }
    }

    #[test]
    fn another_version_than_the_named_one_was_replaced() {
        let named = Follow::ResultOf(ClientId(0));
        assert_eq!(verdict(named, |scene, first, _| published_on(scene, first)), Ok(()));
        assert!(verdict(named, |scene, _, second| published_on(scene, second)).is_err());
        assert!(verdict(Follow::Nothing, |scene, first, _| published_on(scene, first)).is_err());
        assert_eq!(
            verdict(Follow::Whatever, |scene, _, second| published_on(scene, second)),
            Ok(())
        );
    }

    #[test]
    fn a_conflict_with_what_the_named_version_was_built_on() {
        let named = Follow::ResultOf(ClientId(1));
        assert!(verdict(named, |scene, first, _| conflict_with(scene, first)).is_err());
        let named = Follow::ResultOf(ClientId(0));
        assert_eq!(verdict(named, |scene, _, second| conflict_with(scene, second)), Ok(()));
    }

    #[test]
    fn a_conflict_told_to_somebody_who_named_nothing() {
        let told = |scene: &mut Scene, _, second| conflict_with(scene, second);
        assert!(verdict(Follow::Whatever, told).is_err());
    }
}
