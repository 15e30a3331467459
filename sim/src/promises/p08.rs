//! P8. What a server acknowledged while it did not lie is on its disk as long as that disk exists, unless a certificate
//! on the same disk is of a version above: then it was dropped by right. A share that rotted is held still.

use super::{Demanded, Promise, is_durable, short};
use crate::world::{Fact, Said, Server, World};

/// An acknowledgement outlives the power.
pub static P08: Promise = Promise {
    id: "P8",
    sentence: "an acknowledged commit survives kill -9 and power loss",
    source: "DESIGN 6.3: nothing is acknowledged before the one atomic change of the manifest is durable",
    against_liars: true,
    demanded: Demanded::Always,
    concerns,
    check,
};

const fn concerns(fact: &Fact) -> bool {
    is_durable(fact) || matches!(fact, Fact::Served { said: Said::Written, .. })
}

fn check(world: &World) -> Result<(), String> {
    for fact in world.facts().iter().filter(|fact| concerns(fact)) {
        if let Fact::Durable { server } | Fact::Served { server, .. } = *fact
            && let Some(server) = world.server(server).filter(|server| !server.is_destroyed())
        {
            of_server(world, server)?;
        }
    }
    Ok(())
}

fn of_server(world: &World, server: &Server) -> Result<(), String> {
    let disk = server.disk();
    let certified = disk.certificates.iter().map(|word| (word.sequence_number(), word.version()));
    let certified = certified.max();
    for (version, acknowledged) in world.oracle().acknowledgements() {
        let Some(shares) = acknowledged.get(&server.id()) else { continue };
        let kept = match disk.generation(version) {
            Some(held) => shares.iter().all(|share| held.shares.contains_key(share)),
            None => {
                let order = world.made(version).map(|made| made.header.order());
                certified.is_some() && order < certified
            }
        };
        if !kept {
            return Err(format!(
                "{} acknowledged shares {shares:?} of {}, and does not have them",
                server.id(),
                short(version)
            ));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Scene, judge, shares};
    use super::P08;
    use crate::event::{Event, Fate};
    use crate::ids::{ServerId, Submission};
    use crate::world::Fact;

    const ONE: ServerId = ServerId(1);
    const DURABLE: [Fact; 1] = [Fact::Durable { server: ONE }];

    #[test]
    fn what_was_acknowledged_is_gone_after_a_crash() {
        let mut scene = Scene::default();
        scene.publish(Submission(0));
        scene.apply(Event::ServerCrashed { server: ONE, unsynced: Fate::Lost });
        scene.apply(Event::ServerRestarted { server: ONE });
        let restarted = scene.world.facts().to_vec();
        assert_eq!(judge(&mut scene.world, &P08, &restarted), Ok(()));

        let disk = scene.world.server_mut(ONE).disk_mut();
        let lost = std::mem::take(&mut disk.generations[0].shares);
        assert!(judge(&mut scene.world, &P08, &DURABLE).is_err());
        scene.world.server_mut(ONE).disk_mut().generations[0].shares = lost;
        assert_eq!(judge(&mut scene.world, &P08, &DURABLE), Ok(()));
        scene.world.server_mut(ONE).disk_mut().generations.clear();
        assert!(
            judge(&mut scene.world, &P08, &DURABLE).is_err(),
            "a certificate of itself is none of a newer"
        );
    }

    #[test]
    fn what_a_certified_version_took_the_place_of_may_go() {
        let mut scene = Scene::default();
        let first = scene.publish(Submission(0));
        scene.publish(Submission(1));
        assert!(scene.world.server(ONE).unwrap().disk().generation(first).is_none());
        assert_eq!(judge(&mut scene.world, &P08, &DURABLE), Ok(()));
        scene.world.server_mut(ONE).disk_mut().certificates.clear();
        assert!(judge(&mut scene.world, &P08, &DURABLE).is_err());
    }

    #[test]
    fn a_share_is_acknowledged_that_was_never_written() {
        let mut scene = Scene::default();
        let version = scene.publish(Submission(0));
        scene.world.pretend_acknowledged(ONE, version, &shares(&[7]));
        assert!(judge(&mut scene.world, &P08, &DURABLE).is_err());
        scene.apply(Event::ServerReplaced { server: ONE });
        assert_eq!(judge(&mut scene.world, &P08, &DURABLE), Ok(()), "its disk is lost");
    }
}
