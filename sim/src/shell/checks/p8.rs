//! P8: an acknowledged commit survives kill -9 and power loss. (DESIGN §10.)

use std::collections::BTreeSet;

use tarn_proto::VersionId;
use tarn_server::manifest::Manifest;

use crate::shell::report::{Broken, Promise};

const PROMISE: Promise =
    Promise { id: "P8", sentence: "an acknowledged commit survives kill -9 and power loss" };

/// Checks one slot against the versions that its server acknowledged: each is held, or remembered, or was followed by
/// one that is.
pub(in crate::shell) fn check(
    acknowledged: &BTreeSet<VersionId>,
    manifest: &Manifest,
) -> Result<(), Broken> {
    let held = manifest.generations.iter().map(|held| held.header.version());
    let remembered = manifest.history.iter().map(|record| record.entry.version);
    let kept: BTreeSet<VersionId> = held.chain(remembered).collect();
    match acknowledged.difference(&kept).next() {
        None => Ok(()),
        Some(lost) => Err(PROMISE.broken(format!("{lost:?} was acknowledged and is lost"))),
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{holding, remembering, version};
    use super::*;

    #[test]
    fn an_acknowledged_version_must_be_held_or_remembered() {
        let header = version(1, 1, None);
        let acknowledged = BTreeSet::from([header.version()]);
        assert_eq!(check(&acknowledged, &holding(&header)), Ok(()));
        assert_eq!(check(&acknowledged, &remembering(&header)), Ok(()));
        let lost = check(&acknowledged, &Manifest::default()).unwrap_err();
        assert_eq!(lost.promise, PROMISE);
    }
}
