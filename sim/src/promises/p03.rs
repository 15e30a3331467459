//! P3. A version counts as owed while the shares of it that servers *acknowledged*, and that no lost disk or rotting
//! share has taken since, would bring it back. A server drops a version for the sake of a certified descendant, so the
//! same is asked of every descendant that is certified on some disk; otherwise the loss is not the protocol's. That
//! later Published versions descend from it is P5's.
//!
//! A caller who is told Published is told that a quorum holds the version. While no share was ever lost, that is looked
//! up at once.

use std::collections::{BTreeMap, BTreeSet};

use tarn_client::quorum::{Placement, is_quorum};
use tarn_proto::VersionId;

use super::held::{certified, living, must_live};
use super::{Demanded, Promise, is_told_or_durable, short, told};
use crate::made::Made;
use crate::world::{Told, World};

/// What was published stays.
pub static P03: Promise = Promise {
    id: "P3",
    sentence: "a publish that reported Published is never lost: later versions descend from it, and it or a \
               descendant stays recoverable while the servers still holding their shares hold k distinct ones",
    source: "DESIGN 7.2; the previous version dropped at commit was found by exhaustive search of the model",
    against_liars: false,
    demanded: Demanded::Always,
    concerns: is_told_or_durable,
    check,
};

fn check(world: &World) -> Result<(), String> {
    told(world).try_for_each(|(client, record)| match record.told {
        Told::Published { version, repeated: false } if !is_at_quorum(world, version) => Err(
            format!("{client} was told that {} is Published, and no quorum has it", short(version)),
        ),
        Told::Published { .. }
        | Told::Nothing
        | Told::Unchanged { .. }
        | Told::InDoubt { .. }
        | Told::Read(_) => Ok(()),
    })?;
    let published = world.oracle().published().filter_map(|(version, _)| world.made(version));
    let mut published: Vec<&Made> = published.collect();
    published.sort_unstable_by_key(|made| std::cmp::Reverse(made.header.order()));
    // Newest first: what keeps one version alive keeps its ancestors alive.
    let mut alive = None;
    for made in published {
        let version = made.version();
        if alive.is_some_and(|alive| world.descends(alive, version)) {
            continue;
        }
        let found = living(world, made);
        if found.is_none() && must_live(world, made) {
            return Err(format!("{} was Published, and is lost", short(version)));
        }
        alive = found.or(alive);
    }
    Ok(())
}

/// Whether a quorum acknowledged the version or has it on disk; or whoever had it may have lost or dropped it since.
fn is_at_quorum(world: &World, version: VersionId) -> bool {
    let Some(made) = world.made(version) else { return true };
    let newer = |other: VersionId| other != version && world.descends(other, version);
    if world.oracle().has_lost_shares() || certified(world).any(newer) {
        return true;
    }
    let mut placement: Placement = BTreeMap::new();
    for (server, shares) in world.oracle().acknowledged(version).into_iter().flatten() {
        placement.insert(server.store(), shares.clone());
    }
    for server in world.servers() {
        if let Some(held) = server.disk().generation(version) {
            let shares: &mut BTreeSet<_> = placement.entry(server.id().store()).or_default();
            shares.extend(held.shares.keys());
        }
    }
    is_quorum(made.header.header().into(), &placement)
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Scene, judge, publish_task};
    use super::P03;
    use crate::event::Event;
    use crate::ids::{ClientId, ServerId, Submission};
    use crate::world::{Fact, Told};

    const DURABLE: [Fact; 1] = [Fact::Durable { server: ServerId(0) }];

    #[test]
    fn every_disk_forgets_a_published_version() {
        let mut scene = Scene::default();
        scene.publish(Submission(0));
        assert_eq!(judge(&mut scene.world, &P03, &DURABLE), Ok(()));
        for server in [0, 1] {
            scene.world.server_mut(ServerId(server)).disk_mut().generations.clear();
            let lost = judge(&mut scene.world, &P03, &DURABLE).is_err();
            assert_eq!(lost, server == 1, "k = 2: two of three shares are enough");
        }
    }

    #[test]
    fn disks_that_are_lost_are_nobodys_fault() {
        let mut scene = Scene::default();
        scene.publish(Submission(0));
        for server in [0, 1] {
            scene.apply(Event::ServerReplaced { server: ServerId(server) });
        }
        assert_eq!(judge(&mut scene.world, &P03, &DURABLE), Ok(()));
    }

    #[test]
    fn shares_that_rot_are_nobodys_fault() {
        let mut scene = Scene::default();
        scene.publish(Submission(0));
        for (server, generation) in scene.generations() {
            let share = generation.shares.keys().next().unwrap().get();
            scene.apply(Event::ShareRotted { server, share });
        }
        assert_eq!(judge(&mut scene.world, &P03, &DURABLE), Ok(()));
    }

    #[test]
    fn a_certified_descendant_takes_its_place() {
        let mut scene = Scene::default();
        let first = scene.publish(Submission(0));
        let second = scene.publish(Submission(1));
        assert!(scene.world.descends(second, first));
        let held = scene.generations();
        assert!(
            held.iter().all(|(_, held)| held.header.version() == second),
            "the first is dropped"
        );
        assert_eq!(judge(&mut scene.world, &P03, &DURABLE), Ok(()));
        for (server, _) in held {
            scene.world.server_mut(server).disk_mut().generations.clear();
        }
        assert!(judge(&mut scene.world, &P03, &DURABLE).is_err());
    }

    #[test]
    fn published_is_told_of_what_no_quorum_has() {
        let mut scene = Scene::default();
        let version = scene.publish(Submission(0));
        let liar = ClientId(90);
        let fragment = scene.make(2, Some(version), Submission(1));
        let fragment = scene.world.invent(fragment);
        scene.world.pretend_task(liar, &publish_task(Submission(1)));
        scene.world.pretend_told(liar, Told::Published { version: fragment, repeated: false });
        let broken = judge(&mut scene.world, &P03, &[Fact::Told { client: liar }]).unwrap_err();
        assert!(broken.contains("no quorum"), "{broken}");
    }
}
