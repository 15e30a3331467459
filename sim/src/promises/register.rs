//! P15, and what P4, P5 and P14 say of the same thing, of the whole history at once: whether one register could have told
//! all callers what they were told. [`crate::history`] is exact where the other checks look at pairs. The detail names
//! the promise among these that is broken, and the operations that contradict each other.

use super::{Demanded, Promise, is_told};
use crate::world::World;

/// One register could have told it.
pub static REGISTER: Promise = Promise {
    id: "P15",
    sentence: "one register, changed by compare-and-set, could have told all callers what they were told",
    source: "DESIGN 7.3 and 10; Herlihy and Wing, Linearizability, 1990",
    against_liars: false,
    demanded: Demanded::Always,
    concerns: is_told,
    check,
};

fn check(world: &World) -> Result<(), String> {
    let held = world.oracle().history().check();
    held.map_err(|violation| format!("{}: {violation}", violation.promise()))
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Scene, judge, read_task};
    use super::REGISTER;
    use crate::event::Event;
    use crate::ids::{ClientId, Submission};
    use crate::world::{Fact, ReadOutcome, Told};
    use tarn_proto::VersionId;

    const LATE: ClientId = ClientId(90);

    /// A read ends now, and is told of this version.
    fn verdict(scene: &mut Scene, version: VersionId) -> Result<(), String> {
        let got = ReadOutcome::Got { version, confirmed: true, high_water: None };
        scene.world.pretend_told(LATE, Told::Read(got));
        judge(&mut scene.world, &REGISTER, &[Fact::Told { client: LATE }])
    }

    #[test]
    fn a_read_that_saw_too_little() {
        let mut scene = Scene::default();
        let first = scene.publish(Submission(0));
        scene.publish(Submission(1));
        scene.world.pretend_task(LATE, &read_task());
        let broken = verdict(&mut scene, first).expect_err("the second was there");
        assert!(broken.starts_with("P15: "), "{broken}");
    }

    #[test]
    fn a_read_that_began_before() {
        let mut scene = Scene::default();
        let first = scene.publish(Submission(0));
        scene.world.pretend_task(LATE, &read_task());
        scene.publish(Submission(1));
        assert_eq!(verdict(&mut scene, first), Ok(()));
    }

    #[test]
    fn what_a_killed_publish_had_committed_may_be_read() {
        let mut scene = Scene::default();
        let client = scene.begin(Submission(0));
        scene
            .run_until(|world| world.servers().any(|server| !server.disk().generations.is_empty()));
        scene.apply(Event::ClientKilled { client });
        scene.world.pretend_task(LATE, &read_task());
        let version = scene.world.versions().next().expect("it was signed").version();
        assert_eq!(verdict(&mut scene, version), Ok(()));
    }

    #[test]
    fn a_read_of_what_nobody_had_signed() {
        let mut scene = Scene::default();
        let base = scene.publish(Submission(0));
        scene.publish(Submission(1));
        let sibling = scene.make(2, Some(base), Submission(2));
        scene.world.pretend_task(LATE, &read_task());
        let sibling = scene.world.invent(sibling);
        let broken = verdict(&mut scene, sibling).expect_err("nobody asked for that");
        assert!(broken.starts_with("P9: "), "{broken}");
    }
}
