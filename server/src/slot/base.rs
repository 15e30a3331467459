//! What an update is built on: a version that is held, whose bytes it takes on where it changes none.

use std::collections::BTreeSet;

use tarn_proto::{Geometry, Header, Refusal, ShareNumber, VersionId};

use super::Slot;
use crate::manifest::{ChunkId, Content, Extent, StoredGeneration};

/// A version that is held, with those shares of it that an update writes, all of them whole. Only [`Slot::base`] makes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Base(StoredGeneration);

impl Slot {
    /// The base of an update that writes these shares, cut like `wanted`.
    ///
    /// # Errors
    ///
    /// `BaseMissing` if the version is not held with all of the shares whole, `Unsupported` if it is cut otherwise: the
    /// client is to send whole columns.
    pub fn base(
        &self,
        version: VersionId,
        wanted: &Geometry,
        shares: &[ShareNumber],
    ) -> Result<Base, Refusal> {
        let held = self.manifest.generation(version).ok_or(Refusal::BaseMissing)?;
        let geometry = &held.header.header().geometry;
        if !geometry.is_cut_as(wanted) {
            return Err(Refusal::Unsupported);
        }
        let mut base = held.clone();
        base.shares.retain(|share, _| shares.contains(share));
        let is_whole = |share: &ShareNumber| {
            let length = base.shares.get(share).map(|stored| stored.content.length());
            held.is_whole(*share) && length == Some(geometry.share_length())
        };
        if !shares.iter().all(is_whole) || base.table.length() != geometry.table_length() as u64 {
            return Err(Refusal::BaseMissing);
        }
        Ok(Base(base))
    }

    /// Refuses a base that was found to be damaged since. One that was dropped is still good: its bytes are pinned.
    pub fn judge_base(&self, base: &Base) -> Result<(), Refusal> {
        let Some(held) = self.manifest.generation(base.0.header.version()) else {
            return Ok(());
        };
        if base.0.shares.keys().all(|share| held.is_whole(*share)) {
            Ok(())
        } else {
            Err(Refusal::BaseMissing)
        }
    }
}

impl Base {
    /// The version, with no other shares than those the update writes.
    pub const fn generation(&self) -> &StoredGeneration {
        &self.0
    }

    /// The version's header.
    pub fn header(&self) -> &Header {
        self.0.header.header()
    }

    /// The chunks that its table and shares lie in.
    pub fn chunks(&self) -> BTreeSet<ChunkId> {
        self.contents().flat_map(Content::chunks).collect()
    }

    /// How much memory it holds, in bytes.
    pub fn memory(&self) -> u64 {
        let extents = self.contents().flat_map(|content| &content.0);
        let held = extents.map(|extent| match extent {
            Extent::Inline(bytes) => size_of::<Extent>() + bytes.len(),
            Extent::Chunk { .. } => size_of::<Extent>(),
        });
        (held.sum::<usize>() + self.0.page_roots.len()) as u64
    }

    fn contents(&self) -> impl Iterator<Item = &Content> {
        let shares = self.0.shares.values().map(|stored| &stored.content);
        shares.chain([&self.0.table])
    }
}
