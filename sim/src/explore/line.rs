//! One more thing that a search may hold worlds against: what the design proves of its rules, beyond what any caller is
//! told.

use std::collections::BTreeSet;

use tarn_client::quorum::{Placement, is_quorum};
use tarn_proto::VersionId;

use crate::promises::{Broken, Demanded, Promise};
use crate::world::{Fact, World};

/// A stronger statement than P5, broken earlier.
static ONE_LINE: Promise = Promise {
    id: "P5",
    sentence: "of two versions, each told Published or held by a quorum, one descends from the other",
    source: "DESIGN 7.2; the model's COUNTFORK",
    against_liars: false,
    demanded: Demanded::Always,
    concerns: |fact| matches!(fact, Fact::Durable { .. } | Fact::Told { .. }),
    check: one_line,
};

/// Holds the world against it, if the last event may have broken it.
pub(super) fn hold_one_line(world: &World) -> Result<(), Broken> {
    if world.facts().iter().any(ONE_LINE.concerns) {
        (ONE_LINE.check)(world).map_err(|detail| Broken { promise: &ONE_LINE, detail })?;
    }
    Ok(())
}

fn one_line(world: &World) -> Result<(), String> {
    let published = world.oracle().published().map(|(version, _)| version);
    let mut line: BTreeSet<VersionId> = published.collect();
    for made in world.versions() {
        let version = made.version();
        let held: Placement = world
            .servers()
            .filter(|server| !server.is_destroyed())
            .filter_map(|server| Some((server.id().store(), server.disk().generation(version)?)))
            .map(|(store, held)| (store, held.shares.keys().copied().collect()))
            .collect();
        if is_quorum(made.header.header().into(), &held) {
            line.insert(version);
        }
    }
    for (at, &one) in line.iter().enumerate() {
        for &other in line.iter().skip(at + 1) {
            if !world.descends(one, other) && !world.descends(other, one) {
                return Err(format!("{one} and {other} are unrelated"));
            }
        }
    }
    Ok(())
}
