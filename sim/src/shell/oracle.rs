//! The client oracle: what was submitted, what callers were told, and what servers acknowledged. It judges by the
//! checkers as soon as something new is known.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use tarn_client::publish::outcome::Outcome;
use tarn_client::quorum::Placement;
use tarn_proto::{AttemptId, SignedHeader, StorageIndex, StoreId, VersionId};
use tarn_server::manifest::Manifest;

use super::checks::{p4, p5, p8, p9};
use super::report::Broken;

/// What is known of a whole run.
#[derive(Debug, Default)]
pub(super) struct Oracle {
    submitted: BTreeMap<AttemptId, Bytes>,
    /// Every header that a writer decided on.
    decided: BTreeMap<VersionId, SignedHeader>,
    published: BTreeMap<StorageIndex, BTreeSet<VersionId>>,
    acknowledged: BTreeMap<(StoreId, StorageIndex), BTreeSet<VersionId>>,
    /// Submissions whose caller was told that nothing was changed.
    unchanged: BTreeSet<AttemptId>,
    /// Submissions of which some slot has or had a version.
    changed: BTreeSet<AttemptId>,
    under_way: BTreeMap<u64, String>,
    operations: u64,
}

impl Oracle {
    /// An operation begins; the number ends it.
    pub(super) fn begin(&mut self, what: String) -> u64 {
        self.operations += 1;
        self.under_way.insert(self.operations, what);
        self.operations
    }

    pub(super) fn end(&mut self, operation: u64) {
        self.under_way.remove(&operation);
    }

    pub(super) fn under_way(&self) -> Vec<String> {
        self.under_way.values().cloned().collect()
    }

    pub(super) fn submit(&mut self, attempt: AttemptId, content: Bytes) {
        self.submitted.insert(attempt, content);
    }

    /// A writer is about to commit this header.
    pub(super) fn decide(&mut self, header: SignedHeader) {
        self.decided.insert(header.version(), header);
    }

    /// A caller was told how its publish ended.
    pub(super) fn told(
        &mut self,
        file: StorageIndex,
        attempt: AttemptId,
        outcome: &Outcome,
    ) -> Result<(), Broken> {
        if outcome.nothing_changed() {
            self.unchanged.insert(attempt);
            p4::check(&self.unchanged, &self.changed)?;
        }
        if let Some(published) = outcome.published() {
            self.acknowledge(file, published.version, &published.placement);
            let versions = self.published.entry(file).or_default();
            versions.insert(published.version);
            p5::check(&self.decided, versions)?;
        }
        Ok(())
    }

    fn acknowledge(&mut self, file: StorageIndex, version: VersionId, placement: &Placement) {
        for &store in placement.keys() {
            self.acknowledged.entry((store, file)).or_default().insert(version);
        }
    }

    /// A slot was changed to this, durably as far as its server knows.
    pub(super) fn changed(&mut self, manifest: &Manifest) -> Result<(), Broken> {
        self.changed.extend(p4::attempts(manifest));
        p4::check(&self.unchanged, &self.changed)
    }

    /// What a slot holds after a crash, or at the end.
    pub(super) fn holds(
        &mut self,
        store: StoreId,
        file: StorageIndex,
        manifest: &Manifest,
    ) -> Result<(), Broken> {
        if let Some(acknowledged) = self.acknowledged.get(&(store, file)) {
            p8::check(acknowledged, manifest)?;
        }
        self.changed(manifest)
    }

    /// Files of which this store has acknowledged versions.
    pub(super) fn files_of(&self, store: StoreId) -> Vec<StorageIndex> {
        let known = self.acknowledged.keys().filter(|(of, _)| *of == store);
        known.map(|(_, file)| *file).collect()
    }

    /// A caller read this of a version of that submission.
    pub(super) fn read(
        &self,
        attempt: AttemptId,
        read: &[u8],
        to_the_end: bool,
    ) -> Result<(), Broken> {
        p9::check(self.submitted.get(&attempt), read, to_the_end)
    }
}

#[cfg(test)]
mod tests {
    use tarn_client::publish::outcome::Published;

    use super::super::checks::testing::{holding, version};
    use super::*;

    const STORE: StoreId = StoreId::new([1; 16]);

    fn published(header: &SignedHeader) -> Outcome {
        Outcome::Published(Published {
            header: Some(header.clone()),
            version: header.version(),
            placement: [(STORE, BTreeSet::new())].into(),
            missing: BTreeSet::new(),
            repeated: false,
        })
    }

    #[test]
    fn a_change_after_nothing_was_changed_is_found_and_one_before_it_too() {
        let header = version(1, 1, None);
        let (file, attempt) = (header.header().storage_index, header.header().attempt);
        let mut later = Oracle::default();
        assert_eq!(later.told(file, attempt, &Outcome::Cancelled), Ok(()));
        assert_eq!(later.changed(&holding(&header)).unwrap_err().promise.id, "P4");
        let mut before = Oracle::default();
        assert_eq!(before.changed(&holding(&header)), Ok(()));
        let told = before.told(file, attempt, &Outcome::Contended);
        assert_eq!(told.unwrap_err().promise.id, "P4");
    }

    #[test]
    fn two_writers_that_are_both_told_published_on_one_base_are_found() {
        let mut oracle = Oracle::default();
        for (attempt, breaks) in [(1, false), (2, true)] {
            let header = version(attempt, 1, None);
            oracle.decide(header.clone());
            let told = oracle.told(
                header.header().storage_index,
                header.header().attempt,
                &published(&header),
            );
            assert_eq!(told.err().map(|broken| broken.promise.id), breaks.then_some("P5"));
        }
    }

    #[test]
    fn a_store_that_lost_what_it_acknowledged_is_found() {
        let header = version(1, 1, None);
        let file = header.header().storage_index;
        let mut oracle = Oracle::default();
        oracle.decide(header.clone());
        assert_eq!(oracle.told(file, header.header().attempt, &published(&header)), Ok(()));
        assert_eq!(oracle.files_of(STORE), [file]);
        assert_eq!(oracle.holds(STORE, file, &holding(&header)), Ok(()));
        let lost = oracle.holds(STORE, file, &Manifest::default());
        assert_eq!(lost.unwrap_err().promise.id, "P8");
    }
}
