//! Where bytes are after they were copied into one chunk. They are the same bytes, so that whatever names the old place may
//! name the new one.

use std::collections::BTreeMap;

use super::content::{ChunkId, Content, Extent, Joined};

/// A content whose bytes, from its first to its last, are in one chunk now.
#[derive(Debug, Clone)]
pub struct Relocation {
    from: Content,
    to: ChunkId,
    /// By chunk and offset: what was there, how long it is, and where it is now.
    moved: BTreeMap<(ChunkId, u64), Moved>,
}

#[derive(Debug, Clone, Copy)]
struct Moved {
    length: u64,
    at: u64,
}

impl Relocation {
    /// Of a content that was copied to a chunk as a whole.
    pub fn new(from: Content, to: ChunkId) -> Self {
        let (mut moved, mut at) = (BTreeMap::new(), 0);
        for extent in &from.0 {
            if let Extent::Chunk { id, offset, length } = extent {
                moved.insert((*id, *offset), Moved { length: *length, at });
            }
            at += extent.length();
        }
        Self { from, to, moved }
    }

    /// Where a content is now; the same if nothing of it was moved. Of one that was changed since, what is the same is moved.
    pub fn of(&self, content: &Content) -> Content {
        if *content == self.from {
            return Content(vec![Extent::Chunk {
                id: self.to,
                offset: 0,
                length: content.length(),
            }]);
        }
        let places: Vec<_> = content.0.iter().map(|extent| self.place(extent)).collect();
        if places.iter().all(Option::is_none) {
            return content.clone();
        }
        let mut joined = Joined::default();
        for (extent, place) in content.0.iter().zip(places) {
            joined.push(place.unwrap_or_else(|| extent.clone()));
        }
        joined.finish()
    }

    /// Where an extent is now, if all of it lies in one that was moved.
    fn place(&self, extent: &Extent) -> Option<Extent> {
        let Extent::Chunk { id, offset, length } = extent else { return None };
        let (&(of, from), moved) = self.moved.range(..=(*id, *offset)).next_back()?;
        let within = offset - from.min(*offset);
        let is_inside = of == *id && within.checked_add(*length)? <= moved.length;
        is_inside.then(|| Extent::Chunk { id: self.to, offset: moved.at + within, length: *length })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chunk(id: u128, offset: u64, length: u64) -> Extent {
        Extent::Chunk { id: ChunkId(id), offset, length }
    }

    fn relocation() -> Relocation {
        let inline = Extent::Inline("abc".into());
        Relocation::new(Content(vec![chunk(1, 0, 10), inline, chunk(1, 13, 7)]), ChunkId(9))
    }

    #[test]
    fn what_was_copied_is_one_extent() {
        let relocation = relocation();
        assert_eq!(relocation.of(&relocation.from), Content(vec![chunk(9, 0, 20)]));
    }

    #[test]
    fn of_what_was_changed_since_the_rest_is_moved() {
        let updated =
            Content(vec![chunk(1, 0, 4), chunk(2, 0, 3), chunk(1, 7, 3), chunk(1, 15, 5)]);
        let expected = [chunk(9, 0, 4), chunk(2, 0, 3), chunk(9, 7, 3), chunk(9, 15, 5)];
        assert_eq!(relocation().of(&updated), Content(expected.to_vec()));
    }

    #[test]
    fn what_is_not_all_inside_stays() {
        for extent in
            [chunk(1, 9, 2), chunk(1, 12, 1), chunk(1, 13, 8), chunk(2, 0, 1), chunk(0, 0, 1)]
        {
            let content = Content(vec![extent]);
            assert_eq!(relocation().of(&content), content);
        }
    }
}
