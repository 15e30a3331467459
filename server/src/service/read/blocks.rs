//! Blocks of one share.

use bytes::Bytes;
use tarn_proto::state::ReadRefusal;
use tarn_proto::{Geometry, ShareHealth, ShareNumber, Table, wire};
use tonic::Status;
use wire::read_blocks_answer::Answer;

use super::{AnswerStream, Halt, MESSAGE_BYTES, Range, Reader, Reading};
use crate::hashing::Load;
use crate::manifest::{StoredGeneration, StoredShare};
use crate::parse::malformed;
use crate::slot::Damage;
use crate::store::Store;

/// A request for blocks.
pub(in super::super) struct Blocks {
    token: String,
    pub(in super::super) range: Range,
    share: ShareNumber,
}

impl Blocks {
    pub(in super::super) fn parse(request: wire::ReadBlocksRequest) -> Result<Self, Status> {
        let (first, count) = (request.first_segment, request.segments);
        Ok(Self {
            range: Range::parse(&request.storage_index, &request.version_id, first, count)?,
            share: request.share.try_into().map_err(malformed)?,
            token: request.token,
        })
    }
}

impl Reading for Blocks {
    type Answer = wire::ReadBlocksAnswer;

    fn token(&self) -> &str {
        &self.token
    }

    fn range(&mut self) -> &mut Range {
        &mut self.range
    }

    fn refused(refusal: ReadRefusal) -> Self::Answer {
        wire::ReadBlocksAnswer { answer: Some(Answer::Refused(refusal.into())) }
    }

    async fn send<S: Store>(
        &mut self,
        reader: &Reader<S>,
        generation: &StoredGeneration,
        stream: &AnswerStream<Self::Answer>,
    ) -> Result<(), Halt> {
        let stored = match generation.shares.get(&self.share) {
            None => return Err(Halt::Refused(ReadRefusal::ShareMissing)),
            Some(stored) if stored.health == ShareHealth::Damaged => {
                return Err(Halt::Refused(ReadRefusal::ShareDamaged));
            }
            Some(stored) => stored,
        };
        let geometry = generation.header.header().geometry;
        let segments = self.range.within(&geometry)?;
        if segments.is_empty() {
            return Ok(());
        }
        let table = reader.table(generation).await?;
        let blocks_at_once = (MESSAGE_BYTES / geometry.block_size() as usize).max(1);
        let step = u32::try_from(blocks_at_once).unwrap_or(u32::MAX);
        for first in segments.clone().step_by(blocks_at_once) {
            let end = first.saturating_add(step).min(segments.end);
            let data = reader.blocks(&table, &geometry, self.share, stored, first..end).await?;
            stream.send(Ok(self.answer(first, data))).await?;
            self.range.count -= end - first;
            self.range.first = end;
        }
        Ok(())
    }
}

impl<S: Store> Reader<S> {
    /// The blocks of a share in these segments, checked against the table.
    pub(crate) async fn blocks(
        &self,
        table: &Table,
        geometry: &Geometry,
        share: ShareNumber,
        stored: &StoredShare,
        segments: std::ops::Range<u32>,
    ) -> Result<Bytes, Halt> {
        let offset = u64::from(segments.start) * u64::from(geometry.block_size());
        let length = segments.clone().map(|segment| geometry.block_length(segment)).sum();
        let part = Damage::Share(share);
        let data = self.read(part, &stored.content, offset, length).await?;
        let (table, geometry, bytes) = (table.clone(), *geometry, data.clone());
        let load = Load { bytes: length, hashes: segments.len() };
        let checked = self
            .hashing
            .run(load, move || are_blocks_of(&table, &geometry, share, segments, &bytes));
        if checked.await? { Ok(data) } else { Err(self.damaged(part, &stored.content).await) }
    }
}

impl Blocks {
    fn answer(&self, first_segment: u32, data: Bytes) -> wire::ReadBlocksAnswer {
        wire::ReadBlocksAnswer {
            answer: Some(Answer::Blocks(wire::BlockRun {
                share: self.share.get().into(),
                first_segment,
                data,
            })),
        }
    }
}

/// Whether these bytes are the blocks of a share in these segments.
fn are_blocks_of(
    table: &Table,
    geometry: &Geometry,
    share: ShareNumber,
    segments: std::ops::Range<u32>,
    bytes: &[u8],
) -> bool {
    let mut rest = bytes;
    for segment in segments {
        let Some((block, after)) = rest.split_at_checked(geometry.block_length(segment)) else {
            return false;
        };
        let row = table.row(segment);
        if !row.is_some_and(|row| row.matches(segment, share, block)) {
            return false;
        }
        rest = after;
    }
    rest.is_empty()
}
