//! What must hold after every step: P3, P4, P5.

use std::collections::BTreeSet;

use tarn_proto::{ShareNumber, VersionId};

use crate::World;

impl World {
    pub(crate) fn check(&self) {
        for (i, a) in self.published.iter().enumerate() {
            for b in &self.published[i + 1..] {
                let chain = self.descends(*a, *b) || self.descends(*b, *a);
                assert!(chain, "seed {}: P5 fork of {a:?} and {b:?}\n{}", self.seed, self.tail());
            }
            let lives = self
                .signed
                .keys()
                .any(|version| self.descends(*version, *a) && self.recoverable(*version));
            assert!(lives, "seed {}: P3 lost {a:?}\n{}", self.seed, self.tail());
        }
        for server in self.servers.values() {
            for generation in &server.slot.manifest().generations {
                let attempt = generation.header.header().attempt;
                let said = self.unchanged.contains(&attempt);
                assert!(
                    !said,
                    "seed {}: P4 {attempt:?} changed something\n{}",
                    self.seed,
                    self.tail()
                );
            }
        }
    }

    fn descends(&self, version: VersionId, ancestor: VersionId) -> bool {
        let predecessor =
            |id: &VersionId| self.signed.get(id).and_then(|header| header.header().predecessor);
        std::iter::successors(Some(version), predecessor).any(|id| id == ancestor)
    }

    fn recoverable(&self, version: VersionId) -> bool {
        let held: BTreeSet<ShareNumber> = self
            .servers
            .values()
            .filter_map(|server| server.slot.manifest().generation(version))
            .flat_map(|generation| generation.shares.keys().copied())
            .collect();
        held.len() >= usize::from(self.signed[&version].header().shape.k())
    }

    pub(crate) fn tail(&self) -> String {
        let from = self.log.len().saturating_sub(120);
        self.log[from..].join("\n")
    }
}
