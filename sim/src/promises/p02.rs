//! P2. Held against every conflict that is reported: it names a version, one that was signed, and not one of the very
//! submission that is told of it. Where all publishes are one writer's, nobody can have been in its way but itself: a
//! conflict is forgiven only with a version of a submission that was killed, or ended in doubt, and that the writer
//! did not take up again, as its messages may still have been on their way; or with one that was sent to be committed and
//! came to nothing, if servers lie: one that refused it can keep it, and show it later.

use tarn_proto::SignedHeader;

use super::{Demanded, Promise, is_told, short, told};
use crate::event::Task;
use crate::ids::{ClientId, Submission};
use crate::world::{Told, UNCOORDINATED_WRITE, World};

/// No false conflict.
pub static P02: Promise = Promise {
    id: "P2",
    sentence: "with one writer, no fault whatever ends in UncoordinatedWrite",
    source: "Tahoe-LAFS #877: a single writer was told of an uncoordinated write that was its own",
    against_liars: true,
    demanded: Demanded::Always,
    concerns: is_told,
    check,
};

fn check(world: &World) -> Result<(), String> {
    for (client, record) in told(world) {
        if let (Told::Unchanged { outcome, theirs }, Task::Publish(task)) =
            (&record.told, &record.task)
        {
            let conflict = *outcome == UNCOORDINATED_WRITE;
            if let Some(theirs) = theirs {
                is_foreign(world, client, task.submission, theirs)?;
            } else if conflict {
                return Err(format!("{client} was told of a conflict with nothing"));
            }
            if conflict && world.setup().single_writer && !was_left_behind(world, theirs.as_ref()) {
                return Err(format!("{client} was told of a conflict, and it is the only writer"));
            }
        }
    }
    Ok(())
}

fn is_foreign(
    world: &World,
    client: ClientId,
    submission: Submission,
    theirs: &SignedHeader,
) -> Result<(), String> {
    let version = short(theirs.version());
    if theirs.header().attempt == submission.attempt() {
        return Err(format!("{client} was told of a conflict with {version}, its own version"));
    }
    if world.made(theirs.version()).is_none() {
        return Err(format!("{client} was told of {version}, which nobody ever signed"));
    }
    Ok(())
}

/// Whether that version is of a submission whose messages may have been on their way still, or that a liar may have
/// kept.
fn was_left_behind(world: &World, theirs: Option<&SignedHeader>) -> bool {
    theirs.is_some_and(|theirs| {
        let oracle = world.oracle();
        let mut tries = oracle.tries(theirs.header().attempt);
        tries.any(|(_, record)| record.killed || matches!(record.told, Told::InDoubt { .. }))
            || oracle.has_lied() && oracle.was_signed(theirs.version())
    })
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Scene, judge, publish_task};
    use super::P02;
    use crate::ids::{ClientId, Submission};
    use crate::setup::Setup;
    use crate::world::{Fact, Told, UNCOORDINATED_WRITE};
    use tarn_proto::SignedHeader;

    const LATE: ClientId = ClientId(90);

    fn conflict(theirs: Option<SignedHeader>) -> Told {
        Told::Unchanged { outcome: UNCOORDINATED_WRITE, theirs }
    }

    /// A submission tells of a conflict with the version that another published.
    fn scene(single_writer: bool, ours: Submission) -> Scene {
        let mut scene = Scene::of(Setup { single_writer, ..Setup::default() });
        let theirs = scene.publish(Submission(0));
        let header = scene.world.made(theirs).unwrap().header.clone();
        scene.world.pretend_task(LATE, &publish_task(ours));
        scene.world.pretend_told(LATE, conflict(Some(header)));
        scene
    }

    #[test]
    fn a_conflict_with_our_own_version() {
        let mut scene = scene(false, Submission(0));
        let broken = judge(&mut scene.world, &P02, &[Fact::Told { client: LATE }]).unwrap_err();
        assert!(broken.contains("its own version"), "{broken}");
    }

    #[test]
    fn a_conflict_with_a_version_that_nobody_signed() {
        let mut scene = Scene::default();
        let invented = scene.make(1, None, Submission(5));
        scene.world.pretend_task(LATE, &publish_task(Submission(6)));
        scene.world.pretend_told(LATE, conflict(Some(invented.header)));
        assert!(judge(&mut scene.world, &P02, &[Fact::Told { client: LATE }]).is_err());
    }

    #[test]
    fn a_conflict_that_names_nobody() {
        let mut scene = Scene::default();
        scene.world.pretend_task(LATE, &publish_task(Submission(6)));
        scene.world.pretend_told(LATE, conflict(None));
        assert!(judge(&mut scene.world, &P02, &[Fact::Told { client: LATE }]).is_err());
    }

    #[test]
    fn a_conflict_told_to_the_only_writer() {
        let told = [Fact::Told { client: LATE }];
        assert!(judge(&mut scene(true, Submission(1)).world, &P02, &told).is_err());
        assert_eq!(
            judge(&mut scene(false, Submission(1)).world, &P02, &told),
            Ok(()),
            "of several"
        );
    }

    #[test]
    fn the_only_writer_may_meet_a_submission_it_left_in_doubt() {
        let mut scene = scene(true, Submission(1));
        let earlier = ClientId(80);
        scene.world.pretend_task(earlier, &publish_task(Submission(0)));
        scene.world.pretend_told(earlier, Told::InDoubt { outcome: "unknown" });
        assert_eq!(judge(&mut scene.world, &P02, &[Fact::Told { client: LATE }]), Ok(()));
    }
}
