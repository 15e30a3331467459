//! P15. By intervals of events: a confirmed read returns what was told Published, or was read confirmed, before it
//! began, or a descendant of that; it does not say that there is no file then; and confirmed reads and told-Published
//! versions lie on one chain. An unconfirmed read promises nothing. The search for a legal order of a whole history is
//! in [`crate::history`]; this finds the commonest way to have none at the very event.

use tarn_proto::VersionId;

use super::p05::on_one_chain;
use super::{Demanded, Promise, is_told, short, told};
use crate::ids::ClientId;
use crate::world::{ReadOutcome, TaskRecord, Told, World};

/// Nobody sees less than somebody saw before.
pub static P15: Promise = Promise {
    id: "P15",
    sentence: "confirmed reads and publishes of one file are linearizable",
    source: "DESIGN 7.3: a version in doubt is brought to a quorum before it is returned, so no later reader sees less",
    against_liars: false,
    demanded: Demanded::Always,
    concerns: is_told,
    check,
};

fn check(world: &World) -> Result<(), String> {
    for (client, record) in told(world) {
        match record.told {
            Told::Read(ReadOutcome::Got { version, confirmed: true, .. }) => {
                for (seen, at) in seen(world, client) {
                    if at < record.began && !world.descends(version, seen) {
                        let (version, seen) = (short(version), short(seen));
                        return Err(format!("{client} read {version}, after {seen} was there"));
                    }
                    on_one_chain(world, version, seen)?;
                }
            }
            Told::Read(ReadOutcome::NotFound) => {
                if seen(world, client).any(|(_, at)| at < record.began) {
                    return Err(format!("{client} was told that there is no such file"));
                }
            }
            Told::Published { version, .. } => {
                for (seen, _) in confirmed(world, client) {
                    on_one_chain(world, version, seen)?;
                }
            }
            Told::Nothing
            | Told::Unchanged { .. }
            | Told::InDoubt { .. }
            | Told::Read(ReadOutcome::Got { confirmed: false, .. } | ReadOutcome::Failed(_)) => {}
        }
    }
    Ok(())
}

/// Every version that others were told is Published, and at which event.
fn seen(world: &World, but: ClientId) -> impl Iterator<Item = (VersionId, u64)> {
    world.oracle().published().chain(confirmed(world, but))
}

/// What others read confirmed, and at which event they had it.
fn confirmed(world: &World, but: ClientId) -> impl Iterator<Item = (VersionId, u64)> {
    let read = |record: &TaskRecord| match record.told {
        Told::Read(ReadOutcome::Got { version, confirmed: true, .. }) => {
            Some((version, record.ended?))
        }
        Told::Nothing
        | Told::Published { .. }
        | Told::Unchanged { .. }
        | Told::InDoubt { .. }
        | Told::Read(_) => None,
    };
    let others = world.oracle().tasks().filter(move |(id, _)| *id != but);
    others.filter_map(move |(_, record)| read(record))
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Scene, judge, read_task};
    use super::P15;
    use crate::ids::{ClientId, Submission};
    use crate::world::{Fact, ReadOutcome, Told};
    use tarn_proto::VersionId;

    const LATE: ClientId = ClientId(90);

    fn got(version: VersionId, confirmed: bool) -> Told {
        Told::Read(ReadOutcome::Got { version, confirmed, high_water: None })
    }

    fn tell(scene: &mut Scene, client: ClientId, told: Told) -> Result<(), String> {
        scene.world.pretend_told(client, told);
        judge(&mut scene.world, &P15, &[Fact::Told { client }])
    }

    #[test]
    fn a_read_returns_less_than_was_published_before_it_began() {
        let mut scene = Scene::default();
        let old = scene.publish(Submission(0));
        scene.world.pretend_task(LATE, &read_task());
        let new = scene.publish(Submission(1));
        assert_eq!(tell(&mut scene, LATE, got(old, true)), Ok(()), "it began before");
        scene.world.pretend_task(LATE, &read_task());
        assert!(tell(&mut scene, LATE, got(old, true)).is_err());
        assert_eq!(tell(&mut scene, LATE, got(old, false)), Ok(()), "unconfirmed");
        assert_eq!(tell(&mut scene, LATE, got(new, true)), Ok(()));
    }

    #[test]
    fn a_read_returns_less_than_was_read_before_it_began() {
        let mut scene = Scene::default();
        let old = scene.publish(Submission(0));
        let new = scene.make(2, Some(old), Submission(1));
        let new = scene.world.invent(new);
        let first = ClientId(80);
        scene.world.pretend_task(first, &read_task());
        let (during, after) = (ClientId(81), ClientId(82));
        scene.world.pretend_task(during, &read_task());
        assert_eq!(tell(&mut scene, first, got(new, true)), Ok(()));
        scene.world.pretend_task(after, &read_task());
        assert_eq!(tell(&mut scene, during, got(old, true)), Ok(()));
        assert!(tell(&mut scene, after, got(old, true)).is_err());
    }

    #[test]
    fn a_read_is_off_the_chain() {
        let mut scene = Scene::default();
        let base = scene.publish(Submission(0));
        scene.world.pretend_task(LATE, &read_task());
        scene.publish(Submission(1));
        let sibling = scene.make(2, Some(base), Submission(2));
        let sibling = scene.world.invent(sibling);
        assert!(tell(&mut scene, LATE, got(sibling, true)).is_err());
        assert!(judge(&mut scene.world, &P15, &[Fact::Told { client: ClientId(1) }]).is_err());
    }

    #[test]
    fn a_published_file_is_not_found() {
        let mut scene = Scene::default();
        let not_found = Told::Read(ReadOutcome::NotFound);
        scene.world.pretend_task(LATE, &read_task());
        scene.publish(Submission(0));
        assert_eq!(tell(&mut scene, LATE, not_found.clone()), Ok(()));
        scene.world.pretend_task(LATE, &read_task());
        assert!(tell(&mut scene, LATE, not_found).is_err());
    }

    #[test]
    fn a_real_read_returns_what_was_published() {
        let mut scene = Scene::default();
        let version = scene.publish(Submission(0));
        let (client, told) = scene.read();
        assert!(
            matches!(told, Told::Read(ReadOutcome::Got { confirmed: true, version: v, .. }) if v == version)
        );
        assert_eq!(judge(&mut scene.world, &P15, &[Fact::Told { client }]), Ok(()));
    }
}
