//! What is learnt of stored bytes, whoever reads them: it changes how versions are kept, never which.

use tarn_proto::{PageRoots, VersionId};

use super::{Change, Damage, Slot, change};
use crate::manifest::{Manifest, Relocation};

impl Slot {
    /// What is found to be damaged is marked so: held, but never served.
    pub fn damaged(&self, version: VersionId, damage: Damage) -> Change {
        self.becomes(change::damaged(&self.manifest, version, damage))
    }

    /// The page roots that were found for a version's table are kept, if they are those of its header.
    pub fn paged(&self, version: VersionId, roots: &PageRoots) -> Change {
        self.becomes(change::paged(&self.manifest, version, roots))
    }

    /// What was copied elsewhere is kept there, in every version that has it; what was changed since stays as it is.
    pub fn relocated(&self, relocation: &Relocation) -> Change {
        self.becomes(change::relocated(&self.manifest, relocation))
    }

    fn becomes(&self, next: Manifest) -> Change {
        if next == self.manifest { Change::AlreadySo } else { Change::Becomes(next) }
    }
}
