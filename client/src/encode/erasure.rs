//! Reed-Solomon coding of one segment: k equal blocks to n and back, systematic, over GF(2^8) with polynomial 0x11D
//! and the Vandermonde matrix of the crate `reed-solomon-erasure`. Does not notice wrong blocks: callers hand it
//! verified ones and check what comes out.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use reed_solomon_erasure::galois_8::ReedSolomon;
use tarn_proto::{Geometry, ShareNumber};

/// The code of one (k, n). Cheap to clone: codes are made once and shared.
#[derive(Debug, Clone)]
pub struct Erasure {
    k: u8,
    n: u8,
    code: Code,
}

#[derive(Debug, Clone)]
enum Code {
    /// k = n: there is nothing to compute, and nothing may be missing.
    Plain,
    /// k = 1: every block is the same.
    Copies,
    /// All else.
    ReedSolomon(Arc<ReedSolomon>),
}

/// One block that a decoder is given. All blocks of one call have the same length.
#[derive(Debug, Clone, Copy)]
pub struct Piece<'a> {
    /// Which of the n it is.
    pub share: ShareNumber,
    /// Its bytes.
    pub block: &'a [u8],
}

/// Fewer than k different blocks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{needed} different blocks of a segment are needed, got {got}")]
pub struct TooFewBlocks {
    /// k.
    pub needed: u8,
    /// How many different ones came.
    pub got: usize,
}

impl Erasure {
    /// The code of this geometry's k and n.
    pub fn of(geometry: &Geometry) -> Self {
        let (k, n) = (geometry.k(), geometry.n());
        let code = match (k, n) {
            (k, n) if k == n => Code::Plain,
            (1, _) => Code::Copies,
            (k, n) => Code::ReedSolomon(shared_code(k, n)),
        };
        Self { k, n, code }
    }

    /// Computes the n − k secondary blocks from the k primary ones. Both are given as one run of equal blocks of
    /// `block_length` bytes.
    pub fn encode(&self, block_length: usize, primary: &[u8], secondary: &mut [u8]) {
        assert_eq!(primary.len(), usize::from(self.k) * block_length);
        assert_eq!(secondary.len(), usize::from(self.n - self.k) * block_length);
        if block_length == 0 {
            return;
        }
        match &self.code {
            Code::Plain => {}
            Code::Copies => {
                for block in secondary.chunks_exact_mut(block_length) {
                    block.copy_from_slice(primary);
                }
            }
            Code::ReedSolomon(code) => {
                let primary: Vec<&[u8]> = primary.chunks_exact(block_length).collect();
                let mut secondary: Vec<&mut [u8]> =
                    secondary.chunks_exact_mut(block_length).collect();
                code.encode_sep(&primary, &mut secondary)
                    .expect("counts and lengths were checked above");
            }
        }
    }

    /// Computes the k primary blocks, as one run, from any k different blocks of `block_length` bytes. Blocks of
    /// other lengths and shares beyond n count as missing.
    pub fn decode(
        &self,
        block_length: usize,
        pieces: &[Piece<'_>],
    ) -> Result<Vec<u8>, TooFewBlocks> {
        let mut by_share: Vec<Option<&[u8]>> = vec![None; usize::from(self.n)];
        for piece in pieces {
            if let Some(place) = by_share.get_mut(piece.share.index())
                && piece.block.len() == block_length
            {
                *place = Some(piece.block);
            }
        }
        let got = by_share.iter().flatten().count();
        if got < usize::from(self.k) {
            return Err(TooFewBlocks { needed: self.k, got });
        }
        Ok(self.primary(block_length, &by_share))
    }

    /// The primary blocks, from at least k of n.
    fn primary(&self, block_length: usize, by_share: &[Option<&[u8]>]) -> Vec<u8> {
        let k = usize::from(self.k);
        let mut primary = vec![0; k * block_length];
        if block_length == 0 {
            return primary;
        }
        let mut missing = false;
        for (place, block) in primary.chunks_exact_mut(block_length).zip(by_share) {
            match block {
                Some(block) => place.copy_from_slice(block),
                None => missing = true,
            }
        }
        if !missing {
            return primary;
        }
        match &self.code {
            Code::Plain => unreachable!("k of k blocks leave none missing"),
            Code::Copies => {
                if let Some(block) = by_share.iter().flatten().next() {
                    primary.copy_from_slice(block);
                }
            }
            Code::ReedSolomon(code) => reconstruct(code, block_length, &mut primary, by_share),
        }
        primary
    }
}

/// Fills in the missing blocks of `primary`, whose present ones are in place already.
fn reconstruct(
    code: &ReedSolomon,
    block_length: usize,
    primary: &mut [u8],
    by_share: &[Option<&[u8]>],
) {
    let (first, rest) = by_share.split_at(code.data_shard_count());
    // The library wants to own what it only reads, so the secondary blocks that stand in are copied: as many as are
    // missing, no more.
    let mut wanted = first.iter().filter(|block| block.is_none()).count();
    let mut secondary: Vec<Vec<u8>> = rest
        .iter()
        .map(|block| match block {
            Some(block) if wanted > 0 => {
                wanted -= 1;
                block.to_vec()
            }
            Some(_) | None => Vec::new(),
        })
        .collect();
    let mut shards: Vec<(&mut [u8], bool)> = primary
        .chunks_exact_mut(block_length)
        .zip(first)
        .map(|(place, block)| (place, block.is_some()))
        .chain(secondary.iter_mut().map(|block| {
            let present = !block.is_empty();
            (block.as_mut_slice(), present)
        }))
        .collect();
    code.reconstruct_data(&mut shards).expect("k equal blocks that are not empty are present");
}

/// Codes made lately, newest first. The matrix of a wide code takes tens of milliseconds to make.
static CODES: Mutex<VecDeque<Arc<ReedSolomon>>> = Mutex::new(VecDeque::new());
const CODES_MAX: usize = 8;

fn shared_code(k: u8, n: u8) -> Arc<ReedSolomon> {
    let (data, parity) = (usize::from(k), usize::from(n - k));
    let mut codes = CODES.lock().unwrap_or_else(PoisonError::into_inner);
    let known = codes
        .iter()
        .position(|code| code.data_shard_count() == data && code.parity_shard_count() == parity);
    let code = match known.and_then(|place| codes.remove(place)) {
        Some(code) => code,
        None => Arc::new(
            ReedSolomon::new(data, parity).expect("1 < k < n ≤ 255 are good counts for the field"),
        ),
    };
    codes.push_front(Arc::clone(&code));
    codes.truncate(CODES_MAX);
    code
}

#[cfg(test)]
mod tests;
