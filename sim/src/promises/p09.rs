//! P9. By what comes out: no segment is handed over before k of its blocks were checked, what a caller is told it
//! published or read was signed by the owner, and so is every version and every certificate that a disk holds.

use super::{Demanded, Promise, changed, is_step, is_told_or_durable, short, stepped, told};
use crate::world::{Fact, World};

/// Nothing is taken on trust.
pub static P09: Promise = Promise {
    id: "P9",
    sentence: "nothing unverified reaches a decoder, a disk commit or a caller",
    source: "DESIGN 5: unverified bytes have another type than verified ones",
    against_liars: true,
    demanded: Demanded::Always,
    concerns,
    check,
};

const fn concerns(fact: &Fact) -> bool {
    is_told_or_durable(fact) || is_step(fact)
}

fn check(world: &World) -> Result<(), String> {
    if let Some(client) = stepped(world).find(|client| client.was_short()) {
        return Err(format!("{} was handed a segment of unchecked blocks", client.id()));
    }
    for (client, record) in told(world) {
        if let Some(version) = record.told.version()
            && world.made(version).is_none()
        {
            return Err(format!("{client} was told of {}, which nobody signed", short(version)));
        }
    }
    for server in changed(world) {
        let held = server.disk().generations.iter().map(|held| held.header.version());
        let certified = server.disk().certificates.iter().map(tarn_proto::Certificate::version);
        if let Some(version) = held.chain(certified).find(|version| world.made(*version).is_none())
        {
            return Err(format!("{} holds {}, which nobody signed", server.id(), short(version)));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Scene, judge, read_task};
    use super::P09;
    use crate::ids::{ClientId, ServerId, Submission};
    use crate::world::{Fact, ReadOutcome, Told};

    #[test]
    fn a_segment_is_handed_over_unchecked() {
        let mut scene = Scene::default();
        scene.publish(Submission(0));
        let (client, _) = scene.read();
        let stepped = [Fact::Stepped { client }];
        assert_eq!(judge(&mut scene.world, &P09, &stepped), Ok(()));
        scene.world.pretend_short(client);
        assert!(judge(&mut scene.world, &P09, &stepped).is_err());
    }

    #[test]
    fn a_reader_is_given_what_nobody_signed() {
        let mut scene = Scene::default();
        let made = scene.make(1, None, Submission(3));
        let version = made.version();
        let client = ClientId(90);
        scene.world.pretend_task(client, &read_task());
        let got = ReadOutcome::Got { version, confirmed: false, high_water: None };
        scene.world.pretend_told(client, Told::Read(got));
        let told = [Fact::Told { client }];
        assert!(judge(&mut scene.world, &P09, &told).is_err());
        scene.world.invent(made);
        assert_eq!(judge(&mut scene.world, &P09, &told), Ok(()), "now somebody has");
    }

    #[test]
    fn a_certificate_of_nothing_is_on_a_disk() {
        let mut scene = Scene::default();
        scene.publish(Submission(0));
        let durable = [Fact::Durable { server: ServerId(2) }];
        assert_eq!(judge(&mut scene.world, &P09, &durable), Ok(()));
        let certificate = scene.make(9, None, Submission(3)).certificate;
        scene.world.server_mut(ServerId(2)).disk_mut().certificates.push(certificate);
        assert!(judge(&mut scene.world, &P09, &durable).is_err());
    }
}
