//! P12. What a world has of memory: how far beyond what its caller has taken a read asks for blocks. The fetch promises
//! two runs; a run is at most 256 segments, 1 MiB of a share and 8 MiB of segments, or one segment if that is larger.
//! Whatever was asked for may have to be kept. What an encoding pass keeps is the second lane's to see.

use tarn_proto::Geometry;

use super::{Demanded, Promise, is_step, stepped};
use crate::world::World;

/// A long file takes no more room.
pub static P12: Promise = Promise {
    id: "P12",
    sentence: "memory does not grow with file length beyond the table and a few blocks",
    source: "Tahoe-LAFS keeps a whole mutable file in memory, which bounds what it can store",
    against_liars: true,
    demanded: Demanded::Always,
    concerns: is_step,
    check,
};

const RUNS: u64 = 2;
const RUN_SEGMENTS: u64 = 256;
const RUN_SHARE_BYTES: u64 = 1 << 20;
const RUN_BYTES: u64 = 8 << 20;

fn check(world: &World) -> Result<(), String> {
    for client in stepped(world) {
        let Some(header) = client.reading() else { continue };
        let (ahead, most) = (client.furthest_ahead(), bound(&header.header().geometry));
        if u64::from(ahead) > most {
            return Err(format!(
                "{} asked for blocks {ahead} segments ahead of its caller, not at most {most}",
                client.id()
            ));
        }
    }
    Ok(())
}

/// The most segments that may be asked for and not taken.
fn bound(geometry: &Geometry) -> u64 {
    let block = u64::from(geometry.block_size()).max(1);
    let by_bytes = (RUN_SHARE_BYTES / block).min(RUN_BYTES / (block * u64::from(geometry.k())));
    RUNS * by_bytes.clamp(1, RUN_SEGMENTS)
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Scene, judge};
    use super::{P12, bound};
    use crate::ids::Submission;
    use crate::world::Fact;
    use tarn_proto::Geometry;

    #[test]
    fn a_long_file_is_read_within_two_runs_and_no_further() {
        let mut scene = Scene::default();
        scene.length = 6 << 20;
        let version = scene.publish(Submission(0));
        let geometry = scene.world.made(version).unwrap().header.header().geometry;
        let most = u32::try_from(bound(&geometry)).unwrap();
        assert!(geometry.segments() > most, "the file is longer than the bound");

        let (client, _) = scene.read();
        let stepped = [Fact::Stepped { client }];
        assert_eq!(scene.world.client(client).unwrap().furthest_ahead(), most, "it is reached");
        assert_eq!(judge(&mut scene.world, &P12, &stepped), Ok(()));
        scene.world.pretend_furthest(client, most + 1);
        assert!(judge(&mut scene.world, &P12, &stepped).is_err());
    }

    #[test]
    fn the_bound_does_not_grow_with_the_file() {
        let shape = tarn_proto::Shape::new(2, 3, 3).unwrap();
        let of = |length| bound(&Geometry::choose(shape, length).unwrap());
        assert_eq!(of(1 << 24), of(1 << 28));
    }
}
