//! What is learnt of stored bytes, whoever reads them: it changes how versions are kept, never which.

use tarn_proto::{PageRoots, VersionId};

use super::{Change, Damage, Slot, change};
use crate::manifest::Manifest;

impl Slot {
    /// What is found to be damaged is marked so: held, but never served.
    pub fn damaged(&self, version: VersionId, damage: Damage) -> Change {
        self.becomes(change::damaged(&self.manifest, version, damage))
    }

    /// The page roots that were found for a version's table are kept, if they are those of its header.
    pub fn paged(&self, version: VersionId, roots: &PageRoots) -> Change {
        self.becomes(change::paged(&self.manifest, version, roots))
    }

    fn becomes(&self, next: Manifest) -> Change {
        if next == self.manifest { Change::AlreadySo } else { Change::Becomes(next) }
    }
}
