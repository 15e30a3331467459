//! The codec of one segment, pure and synchronous: [`SegmentEncoder`] makes a row and n blocks of plaintext,
//! [`SegmentDecoder`] makes plaintext of a row and any k verified blocks, [`BlockRepairer`] makes missing blocks of
//! them without any key. Does not read sources or run threads: [`super::pass`] does.

use std::fmt;

use bytes::Bytes;
use tarn_proto::hash::Digest32;
use tarn_proto::table::block_hash;
use tarn_proto::{AttemptId, Geometry, Row, SequenceNumber, ShareNumber};
use zeroize::Zeroizing;

use super::block::VerifiedBlock;
use super::cipher;
use super::erasure::{Erasure, Piece, TooFewBlocks};
use super::pool::{Buffer, BufferPool};
use crate::caps::ReadCap;

/// Encodes the segments of one version. Segments are independent of each other and may be encoded side by side.
pub struct SegmentEncoder {
    read_cap: ReadCap,
    salt_key: Zeroizing<[u8; 32]>,
    geometry: Geometry,
    attempt: AttemptId,
    sequence_number: SequenceNumber,
    erasure: Erasure,
    pool: BufferPool,
}

/// What a segment became: its row of the table, and the block of every share.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CodedSegment {
    /// Its place in the version.
    pub segment: u32,
    /// Salt and block hashes.
    pub row: Row,
    /// One block for each of the n shares, in their order; slices of one buffer.
    pub blocks: Vec<Bytes>,
}

impl SegmentEncoder {
    /// The encoder of one version: the one that `attempt` makes at `sequence_number`.
    pub fn new(
        read_cap: &ReadCap,
        geometry: Geometry,
        attempt: AttemptId,
        sequence_number: SequenceNumber,
    ) -> Self {
        Self {
            read_cap: read_cap.clone(),
            salt_key: read_cap.salt_key(),
            geometry,
            attempt,
            sequence_number,
            erasure: Erasure::of(&geometry),
            pool: BufferPool::default(),
        }
    }

    /// How the version is cut.
    pub const fn geometry(&self) -> &Geometry {
        &self.geometry
    }

    /// Encodes one segment.
    ///
    /// # Panics
    /// When `plaintext` is not as long as the geometry says of this segment: the caller cut it.
    pub fn encode(&self, segment: u32, plaintext: &[u8]) -> CodedSegment {
        let mut buffer = self.buffer(segment);
        buffer.plaintext_mut().copy_from_slice(plaintext);
        self.encode_buffer(buffer)
    }

    /// A buffer to read this segment's plaintext into: what [`Self::encode_buffer`] takes, without a copy.
    pub fn buffer(&self, segment: u32) -> SegmentBuffer {
        let length = usize::from(self.geometry.n()) * self.geometry.block_length(segment);
        SegmentBuffer {
            segment,
            plaintext_length: self.geometry.segment_length(segment),
            bytes: self.pool.take(length),
        }
    }

    /// Encodes a segment in the buffer it was read into.
    pub fn encode_buffer(&self, buffer: SegmentBuffer) -> CodedSegment {
        let SegmentBuffer { segment, plaintext_length, mut bytes } = buffer;
        let (k, n) = (usize::from(self.geometry.k()), usize::from(self.geometry.n()));
        let block_length = plaintext_length.div_ceil(k);
        let coded = &mut bytes.as_mut()[..n * block_length];
        let (primary, secondary) = coded.split_at_mut(k * block_length);
        let (data, padding) = primary.split_at_mut(plaintext_length);

        let salt = cipher::salt(&self.salt_key, self.attempt, self.sequence_number, segment, data);
        cipher::apply(&self.read_cap.segment_key(&salt), data);
        padding.fill(0);
        self.erasure.encode(block_length, primary, secondary);

        let blocks: Vec<Bytes> = slices(&bytes.freeze(), block_length, self.geometry.n());
        let hashes: Vec<Digest32> = ShareNumber::all(self.geometry.n())
            .zip(&blocks)
            .map(|(share, block)| block_hash(segment, share, block))
            .collect();
        CodedSegment { segment, row: Row::new(&salt, &hashes), blocks }
    }
}

impl fmt::Debug for SegmentEncoder {
    /// Leaves the salt key out: it is a secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SegmentEncoder")
            .field("file", &self.read_cap)
            .field("geometry", &self.geometry)
            .field("attempt", &self.attempt)
            .field("sequence_number", &self.sequence_number)
            .finish_non_exhaustive()
    }
}

/// Room for one coded segment, whose front holds the plaintext until it is encoded in place: as long as the geometry says,
/// unless the data turned out to end earlier.
#[derive(Debug)]
pub struct SegmentBuffer {
    segment: u32,
    plaintext_length: usize,
    bytes: Buffer,
}

impl SegmentBuffer {
    /// Bytes of plaintext that it holds, or is to hold.
    pub const fn plaintext_length(&self) -> usize {
        self.plaintext_length
    }

    /// The plaintext ends after so many bytes, if that is earlier than a segment of this place would: it is the last one.
    pub fn shorten(&mut self, plaintext_length: usize) {
        self.plaintext_length = self.plaintext_length.min(plaintext_length);
    }

    /// Where the segment's plaintext goes. Holds bytes of earlier use until it is filled.
    pub fn plaintext_mut(&mut self) -> &mut [u8] {
        &mut self.bytes.as_mut()[..self.plaintext_length]
    }
}

/// Why blocks that are as the table says do not give a segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// More blocks are needed.
    #[error(transparent)]
    TooFewBlocks(#[from] TooFewBlocks),
    /// The version has fewer shares: the caller asked for one it does not have.
    #[error("the version has no share {share}")]
    NoSuchShare {
        /// The share asked for.
        share: ShareNumber,
    },
    /// A block was checked against another row: the caller mixed versions or segments.
    #[error("the block of share {share} was not checked against this row")]
    ForeignBlock {
        /// The block's share.
        share: ShareNumber,
    },
    /// The writer signed a table over blocks of the wrong length: no set of servers can bring the version back.
    #[error("the block of share {share} should have {expected} bytes and has {got}")]
    BlockLength {
        /// The block's share.
        share: ShareNumber,
        /// Bytes that the geometry asks for.
        expected: usize,
        /// Bytes it has.
        got: usize,
    },
    /// The writer signed a table over blocks that are no code word: different shares would decode differently.
    #[error("segment {segment} does not decode to the blocks that its writer signed")]
    Inconsistent {
        /// The segment.
        segment: u32,
    },
}

/// Decodes the segments of one version for a reader.
#[derive(Debug)]
pub struct SegmentDecoder {
    read_cap: ReadCap,
    blocks: BlockRepairer,
}

impl SegmentDecoder {
    /// The decoder of a version of this geometry.
    pub fn new(read_cap: &ReadCap, geometry: Geometry) -> Self {
        Self { read_cap: read_cap.clone(), blocks: BlockRepairer::new(geometry) }
    }

    /// The plaintext of a segment, from its row and any k of its blocks.
    pub fn decode(
        &self,
        segment: u32,
        row: &Row,
        blocks: &[VerifiedBlock],
    ) -> Result<Vec<u8>, DecodeError> {
        let mut data = self.blocks.primary(segment, row, blocks)?;
        data.truncate(self.blocks.geometry.segment_length(segment));
        cipher::apply(&self.read_cap.segment_key(row.salt()), &mut data);
        Ok(data)
    }
}

/// Makes missing blocks of a version from those that are there, byte for byte as they were. Needs no key.
#[derive(Debug)]
pub struct BlockRepairer {
    geometry: Geometry,
    erasure: Erasure,
}

impl BlockRepairer {
    /// The repairer of a version of this geometry.
    pub fn new(geometry: Geometry) -> Self {
        Self { geometry, erasure: Erasure::of(&geometry) }
    }

    /// The blocks of the `wanted` shares, in that order, from a segment's row and any k of its blocks.
    pub fn regenerate(
        &self,
        segment: u32,
        row: &Row,
        blocks: &[VerifiedBlock],
        wanted: &[ShareNumber],
    ) -> Result<Vec<VerifiedBlock>, DecodeError> {
        let block_length = self.geometry.block_length(segment);
        let mut all = self.primary(segment, row, blocks)?;
        let k = usize::from(self.geometry.k());
        let primary_length = all.len();
        if wanted.iter().any(|share| share.index() >= k) {
            all.resize(usize::from(self.geometry.n()) * block_length, 0);
            let (primary, secondary) = all.split_at_mut(primary_length);
            self.erasure.encode(block_length, primary, secondary);
        }
        let made = slices(&all.into(), block_length, self.geometry.n());
        wanted
            .iter()
            .map(|&share| {
                let block = made.get(share.index()).ok_or(DecodeError::NoSuchShare { share })?;
                VerifiedBlock::check(row, segment, share, block.clone())
                    .map_err(|_| DecodeError::Inconsistent { segment })
            })
            .collect()
    }

    /// The k primary blocks as one run, each of them checked against the row, whichever blocks they came from.
    fn primary(
        &self,
        segment: u32,
        row: &Row,
        blocks: &[VerifiedBlock],
    ) -> Result<Vec<u8>, DecodeError> {
        let block_length = self.geometry.block_length(segment);
        for block in blocks {
            let share = block.share();
            if !block.belongs_to(segment, row) {
                return Err(DecodeError::ForeignBlock { share });
            }
            if block.bytes().len() != block_length {
                return Err(DecodeError::BlockLength {
                    share,
                    expected: block_length,
                    got: block.bytes().len(),
                });
            }
        }
        let pieces: Vec<Piece<'_>> = blocks
            .iter()
            .map(|block| Piece { share: block.share(), block: block.bytes() })
            .collect();
        let primary = self.erasure.decode(block_length, &pieces)?;
        self.check_primary(segment, row, blocks, &primary)?;
        Ok(primary)
    }

    /// A writer could sign hashes of blocks that are no code word; then which plaintext appears would depend on who
    /// answered first. Blocks that were given are checked already, the computed ones are checked here.
    fn check_primary(
        &self,
        segment: u32,
        row: &Row,
        given: &[VerifiedBlock],
        primary: &[u8],
    ) -> Result<(), DecodeError> {
        let block_length = self.geometry.block_length(segment);
        let computed = ShareNumber::all(self.geometry.k())
            .filter(|share| given.iter().all(|block| block.share() != *share));
        for share in computed {
            let start = share.index() * block_length;
            if !row.matches(segment, share, &primary[start..start + block_length]) {
                return Err(DecodeError::Inconsistent { segment });
            }
        }
        Ok(())
    }
}

/// The run of equal blocks, cut; as many as there are, at most `count`.
fn slices(run: &Bytes, block_length: usize, count: u8) -> Vec<Bytes> {
    (0..usize::from(count))
        .map(|i| i * block_length..(i + 1) * block_length)
        .take_while(|range| range.end <= run.len())
        .map(|range| run.slice(range))
        .collect()
}

#[cfg(test)]
mod tests;
