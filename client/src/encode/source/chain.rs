//! Several sources as one: what was there before a change, the change, and what stays behind it.

use std::fmt;
use std::io::{self, Read};
use std::sync::Arc;

use super::{Source, SourceReader};

/// Sources that are read one after the other. Cheap to clone.
#[derive(Clone)]
pub struct Chain {
    parts: Arc<[Source]>,
    length: u64,
}

impl Chain {
    /// What it is made of.
    pub fn parts(&self) -> &[Source] {
        &self.parts
    }

    /// These, in this order.
    pub fn new(parts: impl IntoIterator<Item = Source>) -> Self {
        let parts: Arc<[Source]> = parts.into_iter().collect();
        let length = parts.iter().map(Source::length).fold(0, u64::saturating_add);
        Self { parts, length }
    }

    /// Bytes of all parts.
    pub const fn length(&self) -> u64 {
        self.length
    }

    pub(super) fn open(&self) -> io::Result<ChainReader> {
        let parts =
            self.parts.iter().map(|part| Ok(Part { reader: part.open()?, left: part.length() }));
        Ok(ChainReader { parts: parts.collect::<io::Result<_>>()?, reading: 0, overflows: false })
    }
}

impl fmt::Debug for Chain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.parts.iter()).finish()
    }
}

/// One reading of a chain.
pub struct ChainReader {
    parts: Vec<Part>,
    reading: usize,
    /// A part went on past its length.
    overflows: bool,
}

struct Part {
    reader: SourceReader,
    left: u64,
}

impl ChainReader {
    /// Whether every part still looks as it did when the chain was opened, and ended where it should.
    pub(super) fn unchanged(&self) -> io::Result<bool> {
        for part in &self.parts {
            if !part.reader.unchanged()? {
                return Ok(false);
            }
        }
        Ok(!self.overflows)
    }
}

impl Read for ChainReader {
    /// A part that ends early ends the chain: what follows it would be out of place.
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while let Some(part) = self.parts.get_mut(self.reading) {
            if part.left > 0 {
                let wanted =
                    usize::try_from(part.left).map_or(buffer.len(), |left| left.min(buffer.len()));
                let count = part.reader.read(&mut buffer[..wanted])?;
                part.left -= count as u64;
                return Ok(count);
            }
            self.overflows |= part.reader.read(&mut [0])? > 0;
            self.reading += 1;
        }
        Ok(0)
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    fn read(chain: &Chain) -> (Vec<u8>, bool) {
        let (mut reader, mut read) = (chain.open().unwrap(), Vec::new());
        reader.read_to_end(&mut read).unwrap();
        (read, reader.unchanged().unwrap())
    }

    #[test]
    fn parts_are_read_one_after_the_other() {
        let head = Source::Bytes(Bytes::from_static(b"head"));
        let inner = Chain::new([Source::Zeros(2), Source::Bytes(Bytes::from_static(b"tail"))]);
        let chain = Chain::new([head, Source::Bytes(Bytes::new()), Source::Chain(inner)]);
        assert_eq!(chain.length(), 10);
        for _ in 0..2 {
            assert_eq!(read(&chain), (b"head\0\0tail".to_vec(), true));
        }
        assert_eq!(read(&Chain::new([])), (Vec::new(), true));
    }

    #[test]
    fn a_part_that_is_longer_than_it_was_is_noticed_and_a_shorter_one_ends_the_chain() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        std::fs::write(&path, "12345").unwrap();
        let file = Source::file(&path).unwrap();
        let chain = Chain::new([file, Source::Bytes(Bytes::from_static(b"end"))]);
        assert_eq!(read(&chain), (b"12345end".to_vec(), true));
        std::fs::write(&path, "123456").unwrap();
        assert_eq!(read(&chain), (b"12345end".to_vec(), false));
        std::fs::write(&path, "123").unwrap();
        assert_eq!(read(&chain).0, b"123");
    }
}
