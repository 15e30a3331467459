//! P5. The chain is that of the predecessor links. Whoever races from one base makes siblings, and no two of these are
//! on one chain. A certificate is the owner's word that a version was Published, so what is certified on a disk must be
//! on the chain of what callers were told, too.

use tarn_proto::VersionId;

use super::{Demanded, Promise, changed, is_told_or_durable, short, told};
use crate::made::Made;
use crate::world::{Told, World};

/// One chain.
pub static P05: Promise = Promise {
    id: "P5",
    sentence: "Published versions of a file form one chain; of writers racing from one base at most one is told \
               Published, every other is told the truth",
    source: "DESIGN 7.2; passing over a fragment on the strength of the map alone forked the model",
    against_liars: false,
    demanded: Demanded::Always,
    concerns: is_told_or_durable,
    check,
};

fn check(world: &World) -> Result<(), String> {
    for (_, record) in told(world) {
        if let Told::Published { version, .. } = record.told {
            for (other, _) in world.oracle().published() {
                on_one_chain(world, version, other)?;
            }
        }
    }
    let order = |made: &Made| made.header.order();
    let published = world.oracle().published().filter_map(|(version, _)| world.made(version));
    if let Some(newest) = published.max_by_key(|made| order(made)) {
        for certificate in changed(world).flat_map(|server| &server.disk().certificates) {
            on_one_chain(world, certificate.version(), newest.version())?;
        }
    }
    Ok(())
}

pub(super) fn on_one_chain(world: &World, one: VersionId, other: VersionId) -> Result<(), String> {
    if world.descends(one, other) || world.descends(other, one) {
        Ok(())
    } else {
        Err(format!("{} and {} are on no one chain", short(one), short(other)))
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Scene, judge, publish_task};
    use super::P05;
    use crate::ids::{ClientId, ServerId, Submission};
    use crate::world::{Fact, Told};

    #[test]
    fn two_siblings_are_told_published() {
        let mut scene = Scene::default();
        let base = scene.publish(Submission(0));
        scene.publish(Submission(1));
        assert_eq!(judge(&mut scene.world, &P05, &[Fact::Told { client: ClientId(1) }]), Ok(()));

        let sibling = scene.make(2, Some(base), Submission(2));
        let version = scene.world.invent(sibling);
        let client = ClientId(90);
        scene.world.pretend_task(client, &publish_task(Submission(2)));
        scene.world.pretend_told(client, Told::Published { version, repeated: false });
        assert!(judge(&mut scene.world, &P05, &[Fact::Told { client }]).is_err());
    }

    #[test]
    fn a_sibling_of_the_published_version_is_certified() {
        let mut scene = Scene::default();
        let base = scene.publish(Submission(0));
        scene.publish(Submission(1));
        let durable = [Fact::Durable { server: ServerId(1) }];
        assert_eq!(judge(&mut scene.world, &P05, &durable), Ok(()));

        let sibling = scene.make(2, Some(base), Submission(2));
        let certificate = sibling.certificate;
        scene.world.invent(sibling);
        scene.world.server_mut(ServerId(1)).disk_mut().certificates.push(certificate);
        assert!(judge(&mut scene.world, &P05, &durable).is_err());
    }
}
