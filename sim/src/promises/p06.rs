//! P6. Of the newest version that a caller was told is Published, at the instant after any disk changed or any caller
//! was told, and by what is on the disks: whether their servers run does not matter. Stricter than P3 as long as no
//! disk was ever lost and no share rotted: then nothing excuses a loss, not even that nobody acknowledged anything.

use super::held::{living, must_live};
use super::{Demanded, Promise, is_told_or_durable, short};
use crate::world::World;

/// There is always something to go back to.
pub static P06: Promise = Promise {
    id: "P6",
    sentence: "at every instant, crash or not, the last Published version or a descendant is recoverable from the \
               servers that still have their shares",
    source: "Tahoe-LAFS overwrites shares in place: a crash between two servers leaves neither version",
    against_liars: false,
    demanded: Demanded::Always,
    concerns: is_told_or_durable,
    check,
};

fn check(world: &World) -> Result<(), String> {
    let published = world.oracle().published().filter_map(|(version, _)| world.made(version));
    let Some(last) = published.max_by_key(|made| made.header.order()) else { return Ok(()) };
    if living(world, last).is_some() {
        return Ok(());
    }
    if !world.oracle().has_lost_shares() || must_live(world, last) {
        return Err(format!("nothing brings {} back, the last Published", short(last.version())));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Scene, judge, publish_task};
    use super::P06;
    use crate::event::{Event, Fate};
    use crate::ids::{ClientId, ServerId, Submission};
    use crate::world::{Fact, Told};

    const DURABLE: [Fact; 1] = [Fact::Durable { server: ServerId(0) }];

    #[test]
    fn the_disks_have_it_though_every_server_is_down() {
        let mut scene = Scene::default();
        scene.publish(Submission(0));
        for server in [0, 1, 2].map(ServerId) {
            scene.apply(Event::ServerCrashed { server, unsynced: Fate::Lost });
        }
        assert_eq!(judge(&mut scene.world, &P06, &DURABLE), Ok(()));
    }

    #[test]
    fn nobody_acknowledged_what_was_told_published() {
        let mut scene = Scene::default();
        let first = scene.publish(Submission(0));
        let second = scene.make(2, Some(first), Submission(1));
        let version = scene.world.invent(second);
        let client = ClientId(90);
        scene.world.pretend_task(client, &publish_task(Submission(1)));
        scene.world.pretend_told(client, Told::Published { version, repeated: true });
        assert!(judge(&mut scene.world, &P06, &DURABLE).is_err());
    }

    #[test]
    fn too_few_disks_are_left() {
        let mut scene = Scene::default();
        scene.publish(Submission(0));
        for server in [0, 1] {
            scene.apply(Event::ServerReplaced { server: ServerId(server) });
        }
        assert_eq!(judge(&mut scene.world, &P06, &DURABLE), Ok(()));
    }

    #[test]
    fn a_disk_that_was_left_forgot() {
        let mut scene = Scene::default();
        scene.publish(Submission(0));
        scene.apply(Event::ServerReplaced { server: ServerId(0) });
        assert_eq!(judge(&mut scene.world, &P06, &DURABLE), Ok(()));
        scene.world.server_mut(ServerId(1)).disk_mut().generations.clear();
        assert!(judge(&mut scene.world, &P06, &DURABLE).is_err());
    }
}
