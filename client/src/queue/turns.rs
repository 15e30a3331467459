//! Whose turn it is: callers go round, and each brings the oldest of its tasks that may run.

use std::collections::{BTreeMap, BTreeSet};

use tarn_proto::StorageIndex;

use super::task::Caller;

/// The files that have a task which may run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Turns {
    ready: BTreeMap<Caller, BTreeSet<(u64, StorageIndex)>>,
    heads: BTreeMap<StorageIndex, (Caller, u64)>,
    /// Who had the last turn.
    last: Option<Caller>,
}

impl Turns {
    pub(super) const fn new() -> Self {
        Self { ready: BTreeMap::new(), heads: BTreeMap::new(), last: None }
    }

    /// The first in line of this file is now of this caller, and of this number; or there is none.
    pub(super) fn set(&mut self, file: StorageIndex, head: Option<(Caller, u64)>) {
        if let Some((caller, number)) = self.heads.remove(&file)
            && let Some(ready) = self.ready.get_mut(&caller)
        {
            ready.remove(&(number, file));
            if ready.is_empty() {
                self.ready.remove(&caller);
            }
        }
        if let Some((caller, number)) = head {
            self.ready.entry(caller.clone()).or_default().insert((number, file));
            self.heads.insert(file, (caller, number));
        }
    }

    /// The file whose turn it is.
    pub(super) fn next(&mut self) -> Option<StorageIndex> {
        let after = |last: &Caller| {
            self.ready.range::<Caller, _>(last..).find(|(caller, _)| *caller != last)
        };
        let next = self.last.as_ref().and_then(after).or_else(|| self.ready.first_key_value());
        let (caller, ready) = next?;
        let (caller, file) = (caller.clone(), ready.first()?.1);
        self.last = Some(caller);
        Some(file)
    }
}
