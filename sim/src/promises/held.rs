//! How much of a version is left: what P3 and P6 weigh. Counts; judges nothing.

use tarn_proto::{ShareNumber, VersionId};

use crate::made::Made;
use crate::world::World;

/// How many distinct shares bring a version back. One header alone recovers an empty one.
fn needed(made: &Made) -> u32 {
    let header = made.header.header();
    if header.geometry.length() == 0 { 1 } else { header.shape.k().into() }
}

/// Whether the disks bring a version back, whether or not their servers run.
pub(super) fn is_recoverable(world: &World, made: &Made) -> bool {
    let (version, mut whole) = (made.version(), Shares::default());
    for server in world.servers() {
        if let Some(held) = server.disk().generation(version) {
            let shares = held.shares.keys().filter(|share| server.has_whole(version, **share));
            whole.extend(shares);
        }
    }
    whole.count() >= needed(made)
}

/// Whether what servers acknowledged of a version, and no disk lost or rotted since, brings it back.
pub(super) fn is_owed(world: &World, made: &Made) -> bool {
    let (version, mut owed) = (made.version(), Shares::default());
    for (&id, shares) in world.oracle().acknowledged(version).into_iter().flatten() {
        if let Some(server) = world.server(id).filter(|server| !server.is_destroyed()) {
            owed.extend(shares.iter().filter(|share| !server.has_damaged(version, **share)));
        }
    }
    owed.count() >= needed(made)
}

/// Every version of which a disk has a certificate, once for each.
pub(super) fn certified(world: &World) -> impl Iterator<Item = VersionId> {
    let certificates = world.servers().flat_map(|server| &server.disk().certificates);
    certificates.map(tarn_proto::Certificate::version)
}

/// The version itself, or else some descendant, that the disks bring back.
pub(super) fn living(world: &World, made: &Made) -> Option<VersionId> {
    let version = made.version();
    if is_recoverable(world, made) {
        return Some(version);
    }
    let younger = |other: &&Made| other.header.order().0 > made.header.order().0;
    world
        .versions()
        .filter(younger)
        .find(|other| world.descends(other.version(), version) && is_recoverable(world, other))
        .map(Made::version)
}

/// Whether a version must be recoverable, itself or by a descendant: it is owed, and so is every descendant for whose
/// sake a server may have dropped it.
pub(super) fn must_live(world: &World, made: &Made) -> bool {
    let version = made.version();
    let dropped_for = |other: &VersionId| *other != version && world.descends(*other, version);
    is_owed(world, made)
        && certified(world)
            .filter(dropped_for)
            .all(|other| world.made(other).is_some_and(|other| is_owed(world, other)))
}

/// A set of share numbers.
#[derive(Default)]
struct Shares([u64; 4]);

impl Shares {
    fn extend<'a>(&mut self, shares: impl Iterator<Item = &'a ShareNumber>) {
        for share in shares {
            self.0[share.index() / 64] |= 1 << (share.index() % 64);
        }
    }

    fn count(&self) -> u32 {
        self.0.iter().map(|word| word.count_ones()).sum()
    }
}
