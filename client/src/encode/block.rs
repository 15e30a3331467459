//! Verified bytes: a block that is as its version's table says. Unverified blocks are plain [`Bytes`], and nothing
//! that decodes takes those.

use bytes::Bytes;
use tarn_proto::hash::Digest32;
use tarn_proto::{Row, ShareNumber};

/// A block that matched a row. Only [`VerifiedBlock::check`] makes one out of bytes from outside.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerifiedBlock {
    segment: u32,
    share: ShareNumber,
    hash: Digest32,
    bytes: Bytes,
}

/// The bytes are not the block that the table names: whoever sent them is broken or lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the block of share {share} in segment {segment} is not the one its table names")]
pub struct BlockMismatch {
    /// The segment asked for.
    pub segment: u32,
    /// The share asked for.
    pub share: ShareNumber,
}

impl VerifiedBlock {
    /// Checks bytes from outside against the row of their segment.
    pub fn check(
        row: &Row,
        segment: u32,
        share: ShareNumber,
        bytes: Bytes,
    ) -> Result<Self, BlockMismatch> {
        match row.hash(share) {
            Some(hash) if row.matches(segment, share, &bytes) => {
                Ok(Self { segment, share, hash: *hash, bytes })
            }
            Some(_) | None => Err(BlockMismatch { segment, share }),
        }
    }

    /// Whether this block was checked against this row: blocks of two versions never mix.
    pub(super) fn belongs_to(&self, segment: u32, row: &Row) -> bool {
        self.segment == segment && row.hash(self.share) == Some(&self.hash)
    }

    /// The segment it is of.
    pub const fn segment(&self) -> u32 {
        self.segment
    }

    /// The share it is of.
    pub const fn share(&self) -> ShareNumber {
        self.share
    }

    /// The block.
    pub const fn bytes(&self) -> &Bytes {
        &self.bytes
    }

    /// The block, for whoever passes it on.
    pub fn into_bytes(self) -> Bytes {
        self.bytes
    }
}
