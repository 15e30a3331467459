//! P4: a publish whose outcome says "nothing was changed" changed nothing, then or later. (DESIGN §10.)

use std::collections::BTreeSet;

use tarn_proto::AttemptId;
use tarn_server::manifest::Manifest;

use crate::shell::report::{Broken, Promise};

const PROMISE: Promise = Promise {
    id: "P4",
    sentence: "a publish whose outcome says nothing was changed changed nothing, then or later",
};

/// The submissions of which a slot holds or remembers a version.
pub(in crate::shell) fn attempts(manifest: &Manifest) -> BTreeSet<AttemptId> {
    let held = manifest.generations.iter().map(|held| held.header.header().attempt);
    let remembered = manifest.history.iter().map(|record| record.entry.attempt);
    let floor = manifest.floor.iter().map(|floor| floor.header().attempt);
    held.chain(remembered).chain(floor).collect()
}

/// Checks that no submission that changed nothing is among those that changed a slot.
pub(in crate::shell) fn check(
    unchanged: &BTreeSet<AttemptId>,
    changed: &BTreeSet<AttemptId>,
) -> Result<(), Broken> {
    match unchanged.intersection(changed).next() {
        None => Ok(()),
        Some(attempt) => Err(PROMISE.broken(format!("{attempt:?} changed a slot"))),
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{holding, remembering, version};
    use super::*;

    #[test]
    fn a_trace_of_a_publish_that_changed_nothing_is_found_wherever_it_is() {
        let header = version(1, 1, None);
        let unchanged = BTreeSet::from([header.header().attempt]);
        let floor = Manifest { floor: Some(header.clone()), ..Manifest::default() };
        for manifest in [holding(&header), remembering(&header), floor] {
            let broken = check(&unchanged, &attempts(&manifest)).unwrap_err();
            assert_eq!(broken.promise, PROMISE);
        }
        let other = attempts(&holding(&version(2, 1, None)));
        assert_eq!(check(&unchanged, &other), Ok(()));
    }
}
