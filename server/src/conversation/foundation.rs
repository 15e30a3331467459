//! What an update stands on: its base, kept from being collected for as long as the conversation lasts, and read where the
//! check needs it. Holds no rules; those are the slot's.

use std::sync::Arc;

use tarn_proto::{Geometry, Header, Refusal, ShareNumber, VersionId};

use super::End;
use super::staging::BadRun;
use crate::manifest::INLINE_TOTAL_MAX;
use crate::reader::{Halt, Reader};
use crate::server::Server;
use crate::slot::{Base, Columns, TableDigest, UpdateCheck, Verdict};
use crate::slots::{SlotHandle, refusal_of};
use crate::store::{Pin, Store};

/// The base of an update, pinned.
pub(super) struct Foundation<S: Store> {
    base: Arc<Base>,
    reader: Reader<S>,
    _pin: Pin,
}

impl<S: Store> Foundation<S> {
    /// Finds the base in its slot and pins it, before anybody can drop it there.
    pub(super) async fn find(
        server: &Server<S>,
        handle: &SlotHandle<S>,
        version: VersionId,
        wanted: &Geometry,
        shares: &[ShareNumber],
    ) -> Result<Self, End> {
        let slot = handle.lock().await.map_err(|error| End::from(refusal_of(&error)))?;
        let base = slot.slot().base(version, wanted, shares).map_err(|refusal| match refusal {
            Refusal::Unsupported => {
                End::refused(refusal, "the base is cut otherwise: send whole columns")
            }
            other => other.into(),
        })?;
        let pin = server.store.pin(&base.chunks());
        drop(slot);
        let reader = Reader::new(server, handle.storage_index(), version);
        Ok(Self { base: Arc::new(base), reader, _pin: pin })
    }

    pub(super) fn base(&self) -> &Base {
        &self.base
    }

    /// Checks what was sent, together with the base.
    pub(super) async fn check(
        &self,
        header: &Header,
        version: VersionId,
        table: &TableDigest,
        columns: &Columns,
    ) -> Result<Verdict, BadRun> {
        let base = self.base.generation();
        let roots = self.reader.page_roots(base).await?;
        let mut check = UpdateCheck::begin(header, version, table, columns, &self.base, &roots)?;
        while let Some(number) = check.missing() {
            check.page(&self.reader.page(base, &roots, number).await?);
        }
        // Its blocks are taken on unread, as those of any version are that nobody reads; they must be there.
        for &share in base.shares.keys() {
            self.reader.probe(base, share).await?;
        }
        Ok(check.verdict()?)
    }

    /// How many bytes may be kept inline beside those that the base keeps so of a share, or of the table.
    pub(super) fn room_inline(&self, share: Option<ShareNumber>) -> u64 {
        let base = self.base.generation();
        let content = match share {
            None => Some(&base.table),
            Some(share) => base.shares.get(&share).map(|stored| &stored.content),
        };
        let held = content.map_or(0, |content| content.inline_length());
        INLINE_TOTAL_MAX.saturating_sub(held)
    }
}

impl From<Halt> for BadRun {
    fn from(halt: Halt) -> Self {
        match halt {
            Halt::Refused(_) | Halt::Moved => Self::BaseMissing,
            Halt::Failed(status) => Self::Unreadable(Box::new(status)),
        }
    }
}
