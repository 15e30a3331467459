//! P5: Published versions of a file form one chain; of writers racing from one base at most one is told Published.
//! (DESIGN §10.)

use std::collections::{BTreeMap, BTreeSet};

use tarn_proto::{SequenceNumber, SignedHeader, VersionId};

use crate::shell::report::{Broken, Promise};

const PROMISE: Promise = Promise {
    id: "P5",
    sentence: "published versions of a file form one chain, and of racing writers one is published",
};

/// Checks the versions of one file that somebody was told are Published. `decided` has every header that any writer
/// ever decided on.
pub(in crate::shell) fn check(
    decided: &BTreeMap<VersionId, SignedHeader>,
    published: &BTreeSet<VersionId>,
) -> Result<(), Broken> {
    let mut chain = Vec::new();
    for version in published {
        let header = decided.get(version).ok_or_else(|| {
            PROMISE.broken(format!("{version:?} is published, and nobody decided on it"))
        })?;
        chain.push((header.header().sequence_number, *version));
    }
    chain.sort();
    for pair in chain.windows(2) {
        let [older, newer] = [pair[0], pair[1]];
        if !descends(decided, newer.1, older) {
            return Err(PROMISE.broken(format!("{newer:?} does not descend from {older:?}")));
        }
    }
    Ok(())
}

fn descends(
    decided: &BTreeMap<VersionId, SignedHeader>,
    from: VersionId,
    ancestor: (SequenceNumber, VersionId),
) -> bool {
    let mut at = Some(from);
    while let Some(version) = at {
        if version == ancestor.1 {
            return true;
        }
        let header = decided.get(&version).map(SignedHeader::header);
        at = header.filter(|h| h.sequence_number > ancestor.0).and_then(|h| h.predecessor);
    }
    false
}

#[cfg(test)]
mod tests {
    use super::super::testing::version;
    use super::*;

    fn judge(decided: &[&SignedHeader], published: &[&SignedHeader]) -> Result<(), Broken> {
        let decided = decided.iter().map(|&h| (h.version(), h.clone())).collect();
        check(&decided, &published.iter().map(|h| h.version()).collect())
    }

    #[test]
    fn a_chain_may_have_links_that_nobody_was_told_of() {
        let first = version(1, 1, None);
        let unsure = version(2, 2, Some(first.version()));
        let third = version(3, 3, Some(unsure.version()));
        let all = [&first, &unsure, &third];
        assert_eq!(judge(&all, &[&first, &third]), Ok(()));
        assert_eq!(judge(&all, &all), Ok(()));
    }

    #[test]
    fn two_from_one_base_are_a_fork_whatever_their_numbers() {
        let first = version(1, 1, None);
        let one = version(2, 2, Some(first.version()));
        for other in [version(3, 2, Some(first.version())), version(3, 3, Some(first.version()))] {
            let all = [&first, &one, &other];
            assert_eq!(judge(&all, &all).unwrap_err().promise, PROMISE);
        }
    }

    #[test]
    fn a_published_version_that_nobody_decided_on_is_found() {
        let first = version(1, 1, None);
        assert_eq!(judge(&[], &[&first]).unwrap_err().promise, PROMISE);
    }
}
