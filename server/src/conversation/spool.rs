//! Bytes on their way to the store: in memory while they are few, in a chunk once they are more. Bounded memory
//! whatever comes.

use bytes::{Bytes, BytesMut};

use crate::manifest::{Content, Extent, INLINE_MAX};
use crate::store::{ChunkWriter, Pin, Store, StoreError};

/// Bytes being appended, then kept.
pub(super) enum Spool<C> {
    /// Few enough to live inside the manifest.
    Memory(BytesMut),
    /// In a chunk that is not durable yet.
    Chunk { writer: C, length: u64 },
    /// Durable, or small enough to become so with the manifest. The pin keeps the chunk.
    Kept { content: Content, _pin: Option<Pin> },
    /// A write failed: what is here is not to be used.
    Broken,
}

impl<C: ChunkWriter> Spool<C> {
    pub(super) fn new() -> Self {
        Self::Memory(BytesMut::new())
    }

    /// How many bytes there are.
    pub(super) fn length(&self) -> u64 {
        match self {
            Self::Memory(bytes) => bytes.len() as u64,
            Self::Chunk { length, .. } => *length,
            Self::Kept { content, .. } => content.length(),
            Self::Broken => 0,
        }
    }

    /// Whether nothing more can be added: what is kept was checked as a whole.
    pub(super) const fn is_kept(&self) -> bool {
        matches!(self, Self::Kept { .. })
    }

    /// How many of so many bytes would stay in memory if they were added.
    pub(super) fn would_hold(&self, bytes: usize) -> usize {
        match self {
            Self::Memory(held) if held.len().saturating_add(bytes) <= INLINE_MAX => bytes,
            Self::Memory(_) | Self::Chunk { .. } | Self::Kept { .. } | Self::Broken => 0,
        }
    }

    /// Adds bytes at the end.
    pub(super) async fn append<S>(&mut self, store: &S, bytes: Bytes) -> Result<(), StoreError>
    where
        S: Store<Chunk = C>,
    {
        let added = bytes.len() as u64;
        let (mut writer, length) = match std::mem::replace(self, Self::Broken) {
            Self::Memory(mut held) if held.len() + bytes.len() <= INLINE_MAX => {
                held.extend_from_slice(&bytes);
                *self = Self::Memory(held);
                return Ok(());
            }
            Self::Memory(held) => {
                let mut writer = store.chunk().await?;
                let length = held.len() as u64;
                if length > 0 {
                    writer.append(held.freeze()).await?;
                }
                (writer, length)
            }
            Self::Chunk { writer, length } => (writer, length),
            Self::Kept { .. } | Self::Broken => return Err(StoreError::Damaged),
        };
        writer.append(bytes).await?;
        *self = Self::Chunk { writer, length: length + added };
        Ok(())
    }

    /// Makes what is there durable, unless it is no more than `inline_max` bytes, and says where it is. Asked again, says
    /// the same.
    pub(super) async fn keep<S>(
        &mut self,
        store: &S,
        inline_max: u64,
    ) -> Result<Content, StoreError>
    where
        S: Store<Chunk = C>,
    {
        let (content, pin) = match std::mem::replace(self, Self::Broken) {
            Self::Memory(bytes) if bytes.is_empty() => (Content::default(), None),
            Self::Memory(bytes) if bytes.len() as u64 <= inline_max => {
                (Content(vec![Extent::Inline(bytes.freeze())]), None)
            }
            Self::Memory(bytes) => {
                let (mut writer, length) = (store.chunk().await?, bytes.len() as u64);
                writer.append(bytes.freeze()).await?;
                finish(writer, length).await?
            }
            Self::Chunk { writer, length } => finish(writer, length).await?,
            Self::Kept { content, _pin } => (content, _pin),
            Self::Broken => return Err(StoreError::Damaged),
        };
        *self = Self::Kept { content: content.clone(), _pin: pin };
        Ok(content)
    }
}

/// All of a chunk, durable, and what keeps it.
async fn finish<C: ChunkWriter>(
    writer: C,
    length: u64,
) -> Result<(Content, Option<Pin>), StoreError> {
    let pinned = writer.finish().await?;
    let extent = Extent::Chunk { id: pinned.id, offset: 0, length };
    Ok((Content(vec![extent]), Some(pinned.pin)))
}
