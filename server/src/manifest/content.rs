//! Bytes as a manifest names them: extents, inside the manifest or in chunks. Knows nothing of what they mean.

use std::ops::Range;

use bytes::Bytes;

/// Extents up to this many bytes live inside the manifest, so that a small commit is one durable transaction.
pub const INLINE_MAX: usize = 64 << 10;

/// Bytes, as a list of extents in order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Content(pub Vec<Extent>);

/// A run of bytes, inside the manifest or in a chunk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Extent {
    /// At most [`INLINE_MAX`] bytes.
    Inline(Bytes),
    /// Part of a chunk.
    Chunk {
        /// The chunk.
        id: ChunkId,
        /// Where the extent begins in it, in bytes.
        offset: u64,
        /// How many bytes.
        length: u64,
    },
}

/// Names an immutable chunk. Ids are drawn at random and never used again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ChunkId(pub u128);

/// More than this is not kept inline of one content, however many updates it is joined from.
pub const INLINE_TOTAL_MAX: u64 = 2 * INLINE_MAX as u64;

impl Content {
    /// How many bytes of it live inside the manifest.
    pub fn inline_length(&self) -> u64 {
        let inline = self.0.iter().filter(|extent| matches!(extent, Extent::Inline(_)));
        inline.map(Extent::length).sum()
    }

    /// How many bytes there are; damaged extents may say more than a number holds.
    pub fn length(&self) -> u64 {
        self.0.iter().map(Extent::length).fold(0, u64::saturating_add)
    }

    /// The chunks the content lies in.
    pub fn chunks(&self) -> impl Iterator<Item = ChunkId> {
        self.0.iter().filter_map(|extent| match extent {
            Extent::Inline(_) => None,
            Extent::Chunk { id, .. } => Some(*id),
        })
    }
}

impl Extent {
    /// How many bytes there are.
    pub fn length(&self) -> u64 {
        match self {
            Self::Inline(bytes) => bytes.len() as u64,
            Self::Chunk { length, .. } => *length,
        }
    }

    /// Some of its bytes; none if it does not have them.
    fn slice(&self, range: Range<u64>) -> Option<Self> {
        if range.start > range.end || range.end > self.length() {
            return None;
        }
        Some(match self {
            Self::Inline(bytes) => {
                let (start, end) =
                    (usize::try_from(range.start).ok()?, usize::try_from(range.end).ok()?);
                Self::Inline(bytes.slice(start..end))
            }
            Self::Chunk { id, offset, .. } => Self::Chunk {
                id: *id,
                offset: offset.checked_add(range.start)?,
                length: range.end - range.start,
            },
        })
    }
}

/// A content being joined from extents. Those that follow each other in one chunk become one, and so do small ones that are
/// inline.
#[derive(Debug, Default)]
pub struct Joined {
    extents: Vec<Extent>,
    inline: Vec<Bytes>,
    inline_length: usize,
}

impl Joined {
    /// Adds an extent at the end.
    pub fn push(&mut self, extent: Extent) {
        match extent {
            _ if extent.length() == 0 => {}
            Extent::Inline(bytes) => {
                if self.inline_length + bytes.len() > INLINE_MAX {
                    self.end_inline();
                }
                self.inline_length += bytes.len();
                self.inline.push(bytes);
            }
            Extent::Chunk { id, offset, length } => {
                self.end_inline();
                match self.extents.last_mut() {
                    Some(Extent::Chunk { id: last, offset: from, length: so_far })
                        if *last == id && from.checked_add(*so_far) == Some(offset) =>
                    {
                        *so_far += length;
                    }
                    Some(_) | None => self.extents.push(extent),
                }
            }
        }
    }

    /// All of it.
    pub fn finish(mut self) -> Content {
        self.end_inline();
        Content(self.extents)
    }

    fn end_inline(&mut self) {
        self.inline_length = 0;
        match std::mem::take(&mut self.inline).as_slice() {
            [] => {}
            [only] => self.extents.push(Extent::Inline(only.clone())),
            several => self.extents.push(Extent::Inline(several.concat().into())),
        }
    }
}

/// Copies slices of a content, in ascending order: together at the cost of going through it once.
#[derive(Debug)]
pub struct Slices<'a> {
    rest: &'a [Extent],
    /// Where the first of the rest begins.
    at: u64,
}

impl<'a> Slices<'a> {
    /// Of this content.
    pub fn of(content: &'a Content) -> Self {
        Self { rest: &content.0, at: 0 }
    }

    /// Adds the bytes in this range, which begins no earlier than the last ended; none if they are not all there.
    pub fn copy(&mut self, range: Range<u64>, into: &mut Joined) -> Option<()> {
        let mut from = range.start;
        while from < range.end {
            let (first, rest) = self.rest.split_first()?;
            let end = self.at.checked_add(first.length())?;
            if end <= from {
                (self.rest, self.at) = (rest, end);
                continue;
            }
            let to = end.min(range.end);
            into.push(first.slice(from.checked_sub(self.at)?..to - self.at)?);
            from = to;
        }
        Some(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chunk(id: u128, offset: u64, length: u64) -> Extent {
        Extent::Chunk { id: ChunkId(id), offset, length }
    }

    fn inline(text: &'static str) -> Extent {
        Extent::Inline(text.into())
    }

    fn joined(extents: &[Extent]) -> Content {
        let mut joined = Joined::default();
        for extent in extents {
            joined.push(extent.clone());
        }
        joined.finish()
    }

    #[test]
    fn extents_that_follow_each_other_become_one() {
        let extents = [
            chunk(1, 0, 4),
            chunk(1, 4, 2),
            chunk(1, 7, 1),
            chunk(2, 8, 1),
            inline("ab"),
            inline(""),
            inline("cd"),
            chunk(2, 9, 0),
            chunk(2, 9, 1),
        ];
        let expected = [chunk(1, 0, 6), chunk(1, 7, 1), chunk(2, 8, 1), inline("abcd")];
        let expected = [&expected[..], &[chunk(2, 9, 1)]].concat();
        assert_eq!(joined(&extents), Content(expected));
    }

    #[test]
    fn what_is_joined_inline_is_never_too_long_to_be() {
        let half = Extent::Inline(Bytes::from(vec![7; INLINE_MAX / 2]));
        let lengths = |content: Content| content.0.iter().map(Extent::length).collect::<Vec<_>>();
        let three = joined(&[half.clone(), half.clone(), half]);
        assert_eq!(lengths(three), [INLINE_MAX as u64, INLINE_MAX as u64 / 2]);
    }

    #[test]
    fn slices_are_by_reference_and_end_with_the_content() {
        let content = Content(vec![inline("abcdef"), chunk(1, 10, 5), inline("xyz")]);
        let mut slices = Slices::of(&content);
        let mut joined = Joined::default();
        assert_eq!(slices.copy(1..3, &mut joined), Some(()));
        assert_eq!(slices.copy(5..8, &mut joined), Some(()));
        assert_eq!(slices.copy(9..9, &mut joined), Some(()));
        assert_eq!(slices.copy(10..14, &mut joined), Some(()));
        let expected = [inline("bcf"), chunk(1, 10, 2), chunk(1, 14, 1), inline("xyz")];
        assert_eq!(joined.finish(), Content(expected.to_vec()));
        let mut joined = Joined::default();
        assert_eq!(Slices::of(&content).copy(13..15, &mut joined), None);
    }
}
