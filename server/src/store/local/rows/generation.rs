//! The rows of one generation: its shares, and the extents of these and of its table.

use std::collections::BTreeMap;

use bytes::Bytes;
use tarn_proto::{ConversationId, Origin, ShareHealth, ShareNumber, StorageIndex};

use super::{HeaderRow, RowError, chunk_id, narrow, widen};
use crate::manifest::{Content, Extent, INLINE_MAX, StoredGeneration, StoredShare};

/// The `share` of an extent that belongs to the version's table.
pub const TABLE: i64 = -1;

/// A generation with the rows below it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GenerationRow {
    /// The version.
    pub header: HeaderRow,
    /// The conversation that committed it; none if it was brought.
    pub conversation: Option<Bytes>,
    /// The shares held, ascending.
    pub shares: Vec<ShareRow>,
    /// The extents, ascending by share, then in order.
    pub extents: Vec<ExtentRow>,
    /// The roots of the table's pages, which nobody believes unchecked.
    pub page_roots: Bytes,
}

/// A share held.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ShareRow {
    /// Its number.
    pub share: i64,
    /// 0: whole, 1: damaged.
    pub health: i64,
}

/// An extent of a share or table: either `inline`, or all of `chunk`, `start` and `length`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExtentRow {
    /// The share, or [`TABLE`].
    pub share: i64,
    /// The chunk's id, 16 bytes, big-endian.
    pub chunk: Option<Bytes>,
    /// Where the extent begins in the chunk, in bytes.
    pub start: Option<i64>,
    /// How many bytes of the chunk.
    pub length: Option<i64>,
    /// The bytes themselves.
    pub inline: Option<Bytes>,
}

impl GenerationRow {
    pub(super) fn of(slot: StorageIndex, generation: &StoredGeneration) -> Result<Self, RowError> {
        let mut shares = Vec::with_capacity(generation.shares.len());
        let mut extents = Vec::new();
        push_extents(&mut extents, TABLE, &generation.table)?;
        for (share, stored) in &generation.shares {
            let number = i64::from(share.get());
            if share.get() >= generation.header.header().shape.n() {
                return Err(RowError::Share(number));
            }
            let health = match stored.health {
                ShareHealth::Whole => 0,
                ShareHealth::Damaged => 1,
            };
            shares.push(ShareRow { share: number, health });
            push_extents(&mut extents, number, &stored.content)?;
        }
        Ok(Self {
            header: HeaderRow::of(slot, &generation.header)?,
            conversation: match generation.origin {
                Origin::Committed(id) => Some(Bytes::copy_from_slice(id.as_bytes())),
                Origin::Brought => None,
            },
            shares,
            extents,
            page_roots: generation.page_roots.clone(),
        })
    }

    pub(super) fn parse(self, slot: StorageIndex) -> Result<StoredGeneration, RowError> {
        let header = self.header.parse(slot)?;
        let n = header.header().shape.n();
        let mut shares = BTreeMap::new();
        for row in &self.shares {
            let share = u32::try_from(row.share)
                .ok()
                .and_then(|number| ShareNumber::try_from(number).ok())
                .filter(|share| share.get() < n)
                .ok_or(RowError::Share(row.share))?;
            let stored = StoredShare { health: row.health()?, content: Content::default() };
            if shares.insert(share, stored).is_some() {
                return Err(RowError::Share(row.share));
            }
        }
        let mut table = Content::default();
        for row in self.extents {
            let number = row.share;
            let content = match u8::try_from(number).ok().and_then(ShareNumber::new) {
                None if number == TABLE => &mut table,
                None => return Err(RowError::Share(number)),
                Some(share) => match shares.get_mut(&share) {
                    Some(stored) => &mut stored.content,
                    None => return Err(RowError::Share(number)),
                },
            };
            content.0.push(row.parse()?);
        }
        Ok(StoredGeneration {
            header,
            origin: match self.conversation {
                None => Origin::Brought,
                Some(id) => Origin::Committed(ConversationId::try_from(id.as_ref())?),
            },
            table,
            page_roots: self.page_roots,
            shares,
        })
    }
}

impl ShareRow {
    fn health(self) -> Result<ShareHealth, RowError> {
        match self.health {
            0 => Ok(ShareHealth::Whole),
            1 => Ok(ShareHealth::Damaged),
            other => Err(RowError::Range { field: "health", got: other.into() }),
        }
    }
}

fn push_extents(rows: &mut Vec<ExtentRow>, share: i64, content: &Content) -> Result<(), RowError> {
    for extent in &content.0 {
        let row = match extent {
            Extent::Inline(bytes) => ExtentRow {
                share,
                chunk: None,
                start: None,
                length: None,
                inline: Some(bytes.clone()),
            },
            Extent::Chunk { id, offset, length } => ExtentRow {
                share,
                chunk: Some(Bytes::copy_from_slice(&id.0.to_be_bytes())),
                start: Some(narrow("extent start", *offset)?),
                length: Some(narrow("extent length", *length)?),
                inline: None,
            },
        };
        row.clone().parse()?;
        rows.push(row);
    }
    Ok(())
}

impl ExtentRow {
    fn parse(self) -> Result<Extent, RowError> {
        match (self.inline, self.chunk, self.start, self.length) {
            (Some(bytes), None, None, None) if bytes.len() <= INLINE_MAX => {
                Ok(Extent::Inline(bytes))
            }
            (None, Some(chunk), Some(start), Some(length)) => {
                let (offset, length) =
                    (widen("extent start", start)?, widen("extent length", length)?);
                let id = chunk_id(&chunk).ok_or(RowError::Extent)?;
                // Both are below 2^63, so that their sum is a u64; the end must be one a file can have.
                narrow("extent end", offset + length)?;
                Ok(Extent::Chunk { id, offset, length })
            }
            _ => Err(RowError::Extent),
        }
    }
}
