//! P13. A server's floor, and the highest number it sealed, are never below what they once durably were, on its disk or
//! in its slot; a lost disk's are forgotten with it. A caller is never given, as a version or as a mark, what is below
//! the mark that its task began with; that two tasks of one caller end in another order than they began lowers nothing.

use tarn_client::base::HighWater;
use tarn_server::manifest::Manifest;

use super::{Demanded, Promise, changed, is_told_or_durable, short, told};
use crate::ids::ClientId;
use crate::world::{ReadOutcome, Server, TaskRecord, Told, World};

/// No way back.
pub static P13: Promise = Promise {
    id: "P13",
    sentence: "floor and high-water mark never go down",
    source: "a server that was rolled back, or lies, must not make a client write or return what is old",
    against_liars: true,
    demanded: Demanded::Always,
    concerns: is_told_or_durable,
    check,
};

fn check(world: &World) -> Result<(), String> {
    for server in changed(world) {
        not_lowered(world, server, server.disk())?;
        if let Some(slot) = server.slot() {
            not_lowered(world, server, slot.manifest())?;
        }
    }
    for (client, record) in told(world) {
        if let Some(given) = world.oracle().given(client) {
            not_below(world, client, record, given)?;
        }
    }
    Ok(())
}

fn not_lowered(world: &World, server: &Server, manifest: &Manifest) -> Result<(), String> {
    let id = server.id();
    if manifest.floor.as_ref().map(tarn_proto::SignedHeader::order) < world.oracle().floor(id) {
        return Err(format!("the floor of {id} went down"));
    }
    if manifest.sealed < world.oracle().sealed(id) {
        return Err(format!("{id} forgot the highest sequence number it sealed"));
    }
    Ok(())
}

fn not_below(
    world: &World,
    client: ClientId,
    record: &TaskRecord,
    given: HighWater,
) -> Result<(), String> {
    let version = match record.told {
        Told::Read(ReadOutcome::Got { version, high_water, .. }) => {
            if high_water < Some(given) {
                return Err(format!("{client} was given a mark below its own"));
            }
            version
        }
        Told::Published { version, repeated: false } => version,
        // An earlier try's version may be as old as it likes.
        Told::Published { repeated: true, .. }
        | Told::Nothing
        | Told::Unchanged { .. }
        | Told::InDoubt { .. }
        | Told::Read(ReadOutcome::NotFound | ReadOutcome::Failed(_)) => return Ok(()),
    };
    match world.made(version) {
        Some(made) if !given.admits(&made.header) => {
            Err(format!("{client} was given {}, below its mark", short(version)))
        }
        Some(_) | None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Scene, judge, publish_task, read_task};
    use super::P13;
    use crate::ids::{ClientId, ServerId, Submission};
    use crate::world::{Fact, ReadOutcome, Told};
    use tarn_client::base::HighWater;
    use tarn_proto::SequenceNumber;

    const ONE: ServerId = ServerId(1);
    const DURABLE: [Fact; 1] = [Fact::Durable { server: ONE }];

    #[test]
    fn a_disk_or_a_slot_forgets_its_floor() {
        let mut scene = Scene::default();
        scene.publish(Submission(0));
        assert_eq!(judge(&mut scene.world, &P13, &DURABLE), Ok(()));
        let whole = scene.world.server_mut(ONE).disk().clone();

        scene.world.server_mut(ONE).disk_mut().floor = None;
        assert!(judge(&mut scene.world, &P13, &DURABLE).is_err(), "the disk");
        *scene.world.server_mut(ONE).disk_mut() = whole.clone();
        assert_eq!(judge(&mut scene.world, &P13, &DURABLE), Ok(()));

        let forgetful = tarn_server::manifest::Manifest { floor: None, ..whole };
        scene.world.server_mut(ONE).slot_mut().unwrap().became(forgetful);
        assert!(judge(&mut scene.world, &P13, &DURABLE).is_err(), "the slot");
    }

    #[test]
    fn a_disk_forgets_what_it_sealed() {
        let mut scene = Scene::default();
        scene.publish(Submission(0));
        scene.world.pretend_sealed(ONE, SequenceNumber::new(7).unwrap());
        assert!(judge(&mut scene.world, &P13, &DURABLE).is_err());
        for sealed in [7, 8] {
            scene.world.server_mut(ONE).disk_mut().sealed = SequenceNumber::new(sealed);
            let slot = scene.world.server(ONE).unwrap().disk().clone();
            scene.world.server_mut(ONE).slot_mut().unwrap().became(slot);
            assert_eq!(judge(&mut scene.world, &P13, &DURABLE), Ok(()));
        }
    }

    #[test]
    fn a_reader_goes_back_below_its_mark() {
        let mut scene = Scene::default();
        let old = scene.publish(Submission(0));
        let new = scene.publish(Submission(1));
        let client = ClientId(90);
        let mark = |version| Some(HighWater::of(&scene.world.made(version).unwrap().header));
        let (low, high) = (mark(old), mark(new));
        let mut verdict = |version, high_water| {
            scene.world.pretend_task(client, &read_task());
            let got = ReadOutcome::Got { version, confirmed: true, high_water };
            scene.world.pretend_told(client, Told::Read(got));
            judge(&mut scene.world, &P13, &[Fact::Told { client }])
        };
        assert_eq!(verdict(new, high), Ok(()));
        assert!(verdict(old, high).is_err(), "the version");
        assert!(verdict(new, low).is_err(), "the mark");
        assert!(verdict(new, None).is_err(), "no mark at all");
    }

    #[test]
    fn a_publish_builds_below_its_mark_unless_it_was_published_before() {
        let mut scene = Scene::default();
        let old = scene.publish(Submission(0));
        scene.publish(Submission(1));
        let client = ClientId(90);
        let mut verdict = |repeated| {
            scene.world.pretend_task(client, &publish_task(Submission(0)));
            scene.world.pretend_told(client, Told::Published { version: old, repeated });
            judge(&mut scene.world, &P13, &[Fact::Told { client }])
        };
        assert!(verdict(false).is_err());
        assert_eq!(verdict(true), Ok(()));
    }
}
