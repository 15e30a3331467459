//! The content of versions: what a writer encodes, what a server checks, what a reader compares. Blocks are made up
//! from the attempt, the segment and the share; they are hashed, tabled and signed as real ones are.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use tarn_client::publish::action::Draft;
use tarn_proto::table::block_hash;
use tarn_proto::{
    Certificate, Geometry, Header, Row, ShareNumber, SignedHeader, StoreId, Table, VersionId,
};
use tarn_server::manifest::{Content, Extent};
use tarn_server::slot::{
    Columns, HashedBlocks, HashedRows, PreparedHeader, TableDigest, Verdict, VerifiedWrite,
};

use crate::setup::key;

/// A version as its writer made it.
#[derive(Debug, Clone)]
pub struct Made {
    /// Its signed header.
    pub header: SignedHeader,
    /// Its table.
    pub table: Table,
    /// The word that it was Published: signed in advance, told only when it is so.
    pub certificate: Certificate,
    /// What was asked for already: signing and hashing are most of the work of a world.
    known: Arc<Mutex<Known>>,
}

#[derive(Debug, Default)]
struct Known {
    writes: BTreeMap<BTreeSet<ShareNumber>, VerifiedWrite>,
}

/// So many versions are kept in case the same is made again, as searches and replays do all the time.
const KEPT: usize = 256;
/// Longer ones are not kept, in bytes.
const KEPT_LENGTH: u64 = 4096;

thread_local! {
    static MADE: RefCell<BTreeMap<Bytes, Made>> = const { RefCell::new(BTreeMap::new()) };
}

impl Made {
    /// Encodes and signs what a publish drafted; `edited` makes another version of the same draft.
    pub fn encode(draft: &Draft, geometry: Geometry, edited: bool) -> Self {
        // The header's content but for what only the blocks tell, so that the blocks' table can be made from it.
        let unknown = draft.complete(geometry, [0; 32], [edited.into(); 16]);
        if unknown.geometry.length() > KEPT_LENGTH {
            return Self::make(draft, &unknown);
        }
        MADE.with_borrow_mut(|kept| {
            if kept.len() >= KEPT {
                kept.clear();
            }
            let made = kept.entry(unknown.encode());
            made.or_insert_with(|| Self::make(draft, &unknown)).clone()
        })
    }

    fn make(draft: &Draft, unknown: &Header) -> Self {
        let shares: Vec<ShareNumber> = ShareNumber::all(unknown.shape.n()).collect();
        let rows = (0..unknown.geometry.segments()).map(|segment| {
            let hash =
                |share: &ShareNumber| block_hash(segment, *share, &block(unknown, segment, *share));
            Row::new(&[0; 32], &shares.iter().map(hash).collect::<Vec<_>>())
        });
        let table = Table::from_rows(unknown.shape.n(), rows);
        let header = SignedHeader::sign(
            key(),
            draft.complete(unknown.geometry, table.root(), unknown.key_check),
        );
        let certificate =
            Certificate::sign(key(), header.header().sequence_number, header.version());
        Self { header, table, certificate, known: Arc::default() }
    }

    /// The version.
    pub fn version(&self) -> VersionId {
        self.header.version()
    }

    /// One block.
    pub fn block(&self, segment: u32, share: ShareNumber) -> Bytes {
        block(self.header.header(), segment, share)
    }

    /// Whether this is that share's content, as it was made. No more than its first 4 KiB are looked at.
    pub fn is_content_of(&self, share: ShareNumber, content: &Content) -> bool {
        let header = self.header.header();
        let (mut left, mut segment) = (4096_usize, 0);
        for extent in &content.0 {
            let Extent::Inline(bytes) = extent else { return false };
            if segment >= header.geometry.segments()
                || bytes.len() != header.geometry.block_length(segment)
            {
                return false;
            }
            let looked_at = bytes.len().min(left);
            let fill = fill(header, segment, share);
            if bytes[..looked_at].iter().any(|&byte| byte != fill) {
                return false;
            }
            left -= looked_at;
            segment += 1;
        }
        segment == header.geometry.segments()
    }

    /// The header as a server knows it before its commit.
    pub fn prepared(&self, store: StoreId) -> PreparedHeader {
        PreparedHeader::of_signed(store, &self.header)
    }

    /// These shares, checked as a server checks them.
    pub fn write(&self, shares: &BTreeSet<ShareNumber>) -> VerifiedWrite {
        if self.header.header().geometry.length() > KEPT_LENGTH {
            return self.check(shares);
        }
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let write = known.writes.get(shares).cloned();
        write.unwrap_or_else(|| {
            let write = self.check(shares);
            known.writes.insert(shares.clone(), write.clone());
            write
        })
    }

    fn check(&self, shares: &BTreeSet<ShareNumber>) -> VerifiedWrite {
        let header = self.header.header();
        let listed: Vec<ShareNumber> = shares.iter().copied().collect();
        let (mut rows, mut columns) = (TableDigest::default(), Columns::new(&listed));
        let mut contents = BTreeMap::new();
        if header.geometry.segments() > 0 {
            let hashed = HashedRows::hash(header.shape.n(), &listed, 0, self.table.bytes());
            rows.append(hashed.expect("whole rows")).expect("the first run");
        }
        for &share in shares {
            let blocks: Vec<Bytes> =
                (0..header.geometry.segments()).map(|segment| self.block(segment, share)).collect();
            for (segment, block) in (0..).zip(&blocks) {
                let size = header.geometry.block_size();
                let hashed = HashedBlocks::hash(share, segment, size, block);
                columns.append(hashed).expect("blocks in order");
            }
            contents.insert(share, Content(blocks.into_iter().map(Extent::Inline).collect()));
        }
        let verdict = Verdict::check(header, self.version(), &rows, &columns)
            .expect("what was made is as its header says");
        let table = self.table.bytes().clone();
        let table = if table.is_empty() { vec![] } else { vec![Extent::Inline(table)] };
        VerifiedWrite::new(&verdict, Content(table), contents).expect("the very shares")
    }
}

fn block(header: &Header, segment: u32, share: ShareNumber) -> Bytes {
    vec![fill(header, segment, share); header.geometry.block_length(segment)].into()
}

/// Every byte of a block is the same.
fn fill(header: &Header, segment: u32, share: ShareNumber) -> u8 {
    let [high, low, ..] = *header.attempt.as_bytes();
    high ^ low.rotate_left(3) ^ share.get() ^ segment.to_be_bytes()[3]
}
