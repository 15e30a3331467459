//! What a conversation has taken in and nobody sees yet: blocks and rows are hashed and spooled as they arrive, and
//! checked as a whole at Seal.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use tarn_proto::hash::Digest32;
use tarn_proto::{Geometry, Header, ShareNumber, VersionId};
use tonic::Status;

use super::foundation::Foundation;
use super::spool::Spool;
use crate::hashing::{Hashing, Interrupted, Load};
use crate::manifest::{Content, INLINE_MAX};
use crate::slot::{
    Base, Columns, HashedBlocks, HashedRows, Mismatch, TableDigest, Verdict, VerifiedWrite,
};
use crate::store::{Store, StoreError};

/// What an Open announced.
pub(super) struct Plan {
    /// Of no data while the length is not known.
    pub(super) geometry: Geometry,
    pub(super) length_known: bool,
    pub(super) shares: Vec<ShareNumber>,
    pub(super) share_bytes_max: u64,
    pub(super) table_bytes_max: u64,
}

/// Why a run, or all that was staged, is not taken.
#[derive(Debug, thiserror::Error)]
pub(super) enum BadRun {
    #[error(transparent)]
    Mismatch(#[from] Mismatch),
    #[error("{0}")]
    TooLarge(&'static str),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Interrupted(#[from] Interrupted),
    #[error("the base of the update is damaged: send whole columns")]
    BaseMissing,
    #[error("the base of the update cannot be read: {0}")]
    Unreadable(Box<Status>),
}

impl Plan {
    /// Bytes that will be stored at the least, as far as the length is known: of an update, what its base does not have.
    pub(super) fn announced_bytes(&self, base: Option<&Geometry>) -> u64 {
        let of_base = base.map_or((0, 0), |base| (base.share_length(), base.table_length()));
        let share = self.geometry.share_length().saturating_sub(of_base.0);
        let table = self.geometry.table_length().saturating_sub(of_base.1);
        (self.shares.len() as u64).saturating_mul(share).saturating_add(table as u64)
    }

    pub(super) fn check_limits(&self) -> Result<(), BadRun> {
        self.check_share(self.geometry.share_length())?;
        self.check_table(self.geometry.table_length() as u64)
    }

    /// Whether a share may grow to so many bytes.
    fn check_staged_share(&self, bytes: u64) -> Result<(), BadRun> {
        if self.length_known && bytes > self.geometry.share_length() {
            return Err(Mismatch::PastEnd { what: "blocks" }.into());
        }
        self.check_share(bytes)
    }

    /// Whether the table may grow to so many bytes.
    fn check_staged_table(&self, bytes: u64) -> Result<(), BadRun> {
        if self.length_known && bytes > self.geometry.table_length() as u64 {
            return Err(Mismatch::PastEnd { what: "rows" }.into());
        }
        self.check_table(bytes)
    }

    const fn check_share(&self, bytes: u64) -> Result<(), BadRun> {
        if bytes > self.share_bytes_max {
            return Err(BadRun::TooLarge("the share is larger than this server takes"));
        }
        Ok(())
    }

    const fn check_table(&self, bytes: u64) -> Result<(), BadRun> {
        if bytes > self.table_bytes_max {
            return Err(BadRun::TooLarge("the table is larger than this server takes"));
        }
        Ok(())
    }

    /// Whether a header is of the shape, block size and length that were announced.
    fn announced(&self, header: &Header) -> bool {
        let (announced, sealed) = (&self.geometry, &header.geometry);
        announced.is_cut_as(sealed) && (!self.length_known || announced.length() == sealed.length())
    }
}

/// Blocks and rows of one conversation.
pub(super) struct Staging<S: Store> {
    store: Arc<S>,
    hashing: Hashing,
    plan: Plan,
    /// Of an update.
    foundation: Option<Foundation<S>>,
    columns: Columns,
    table: TableDigest,
    share_spools: BTreeMap<ShareNumber, Spool<S::Chunk>>,
    table_spool: Spool<S::Chunk>,
}

impl<S: Store> Staging<S> {
    pub(super) fn new(
        store: Arc<S>,
        hashing: Hashing,
        plan: Plan,
        foundation: Option<Foundation<S>>,
    ) -> Self {
        let spools = plan.shares.iter().map(|&share| (share, Spool::new()));
        let (columns, table) = match &foundation {
            None => (Columns::new(&plan.shares), TableDigest::default()),
            Some(_) => (Columns::of_update(&plan.shares), TableDigest::of_update()),
        };
        Self {
            store,
            hashing,
            foundation,
            columns,
            table,
            share_spools: spools.collect(),
            table_spool: Spool::new(),
            plan,
        }
    }

    /// What the rest is taken from, if this is an update.
    pub(super) fn base(&self) -> Option<&Base> {
        self.foundation.as_ref().map(Foundation::base)
    }

    /// Bytes of memory that a run of blocks will hold: a hash for each, and the run itself while its share is small.
    pub(super) fn memory_of_blocks(&self, share: ShareNumber, bytes: usize) -> usize {
        let hashes = bytes.div_ceil(self.plan.geometry.block_size() as usize);
        let held = self.share_spools.get(&share).map_or(0, |spool| spool.would_hold(bytes));
        held.saturating_add(hashes.saturating_mul(size_of::<Digest32>()))
    }

    /// The same for a run of rows: of each, its own hash and those of the blocks of every share.
    pub(super) fn memory_of_rows(&self, bytes: usize) -> usize {
        let rows = bytes / self.plan.geometry.row_length();
        let hashes = rows.saturating_mul(1 + self.plan.shares.len());
        let held = self.table_spool.would_hold(bytes);
        held.saturating_add(hashes.saturating_mul(size_of::<Digest32>()))
    }

    /// Takes in the blocks that follow in a share.
    pub(super) async fn blocks(
        &mut self,
        share: ShareNumber,
        first_segment: u32,
        data: Bytes,
    ) -> Result<(), BadRun> {
        let spool = self.share_spools.get_mut(&share).ok_or(Mismatch::Share { share })?;
        if spool.is_kept() {
            return Err(Mismatch::PastEnd { what: "blocks" }.into());
        }
        self.plan.check_staged_share(spool.length() + data.len() as u64)?;
        let (bytes, block_size) = (data.clone(), self.plan.geometry.block_size());
        let hashes = data.len().div_ceil(block_size as usize);
        self.columns.expect(share, first_segment, hashes)?;
        let run = self.hashing.run(Load { bytes: data.len(), hashes }, move || {
            HashedBlocks::hash(share, first_segment, block_size, &bytes)
        });
        self.columns.append(run.await?)?;
        spool.append(&*self.store, data).await?;
        Ok(())
    }

    /// Takes in the rows that follow.
    pub(super) async fn rows(&mut self, first_segment: u32, data: Bytes) -> Result<(), BadRun> {
        if self.table_spool.is_kept() {
            return Err(Mismatch::PastEnd { what: "rows" }.into());
        }
        let length = self.table_spool.length() + data.len() as u64;
        self.plan.check_staged_table(length)?;
        let hashes = data.len() / self.plan.geometry.row_length();
        self.table.expect(first_segment, hashes)?;
        let (bytes, n) = (data.clone(), self.plan.geometry.n());
        let shares = self.plan.shares.clone();
        let run = self.hashing.run(Load { bytes: data.len(), hashes }, move || {
            HashedRows::hash(n, &shares, first_segment, &bytes)
        });
        self.table.append(run.await??)?;
        self.table_spool.append(&*self.store, data).await?;
        Ok(())
    }

    /// Checks all that was staged against a header; of an update, together with its base.
    pub(super) async fn check(
        &mut self,
        header: &Header,
        version: VersionId,
    ) -> Result<Verdict, BadRun> {
        if !self.plan.announced(header) {
            return Err(Mismatch::Geometry.into());
        }
        match &self.foundation {
            None => Ok(Verdict::check(header, version, &self.table, &self.columns)?),
            Some(foundation) => foundation.check(header, version, &self.table, &self.columns).await,
        }
    }

    /// Makes large data durable. What is kept stays pinned as long as this lives.
    pub(super) async fn keep(&mut self, verdict: &Verdict) -> Result<VerifiedWrite, BadRun> {
        let Self { store, foundation, table_spool, share_spools, .. } = self;
        let room = |part| match &*foundation {
            None => INLINE_MAX as u64,
            Some(foundation) => foundation.room_inline(part),
        };
        let table = table_spool.keep(&**store, room(None)).await?;
        let mut shares: BTreeMap<ShareNumber, Content> = BTreeMap::new();
        for (&share, spool) in share_spools {
            shares.insert(share, spool.keep(&**store, room(Some(share))).await?);
        }
        VerifiedWrite::new(verdict, table, shares).ok_or(BadRun::Mismatch(Mismatch::Table))
    }
}
