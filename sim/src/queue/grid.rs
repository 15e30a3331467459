//! The grid as a queue's tasks meet it: of every file a chain of versions, each with the attempt id of whoever made it.
//! How a publish gets there, and what may go wrong, the other lanes know.

use std::collections::BTreeMap;

use tarn_client::publish::Follows;
use tarn_client::queue::TaskId;
use tarn_proto::{StorageIndex, VersionId};

use super::names;
use super::submission::Attempt;

/// Every file's chain.
#[derive(Debug, Clone, Default)]
pub(super) struct Grid {
    chains: BTreeMap<StorageIndex, Vec<Made>>,
}

/// A version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Made {
    pub(super) version: VersionId,
    pub(super) base: Option<VersionId>,
    pub(super) by: Maker,
}

/// Who made a version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Maker {
    Task(TaskId, Attempt),
    /// Somebody who uses no gateway.
    Outsider,
}

/// What a publish decides when it knows what is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Decision {
    /// An earlier try of the same submission made this version.
    Repeated(VersionId),
    /// Something else is there than it must follow.
    Stale,
    /// It may follow this.
    Follow(Option<VersionId>),
}

impl Grid {
    pub(super) fn decide(
        &self,
        file: StorageIndex,
        attempt: &Attempt,
        follows: Follows,
    ) -> Decision {
        let (chain, newest) = (self.chain(file), self.newest(file));
        let is_ours =
            |made: &&Made| matches!(&made.by, Maker::Task(_, theirs) if theirs == attempt);
        if let Some(made) = chain.iter().find(is_ours) {
            return Decision::Repeated(made.version);
        }
        let may = match follows {
            Follows::Whatever => true,
            Follows::Nothing => newest.is_none(),
            Follows::Version(version) => newest == Some(version),
        };
        if may { Decision::Follow(newest) } else { Decision::Stale }
    }

    /// A version comes after `base`, if that is still the newest.
    pub(super) fn append(
        &mut self,
        file: StorageIndex,
        base: Option<VersionId>,
        by: Maker,
    ) -> Option<Made> {
        if base != self.newest(file) {
            return None;
        }
        let chain = self.chains.entry(file).or_default();
        let position = u32::try_from(chain.len() + 1).ok()?;
        let made = Made { version: names::version(file, position), base, by };
        chain.push(made.clone());
        Some(made)
    }

    pub(super) fn newest(&self, file: StorageIndex) -> Option<VersionId> {
        self.chain(file).last().map(|made| made.version)
    }

    pub(super) fn chain(&self, file: StorageIndex) -> &[Made] {
        self.chains.get(&file).map_or(&[], Vec::as_slice)
    }
}
