//! Blocks of one share.

use bytes::Bytes;
use tarn_proto::state::ReadRefusal;
use tarn_proto::{ShareHealth, ShareNumber, pages, wire};
use tonic::Status;
use wire::read_blocks_answer::Answer;

use super::{AnswerStream, End, Halt, Range, Reader, Reading};
use crate::manifest::StoredGeneration;
use crate::parse::malformed;
use crate::reader::blocks_at_once;
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
    ) -> Result<(), End> {
        match generation.shares.get(&self.share) {
            None => return Err(Halt::Refused(ReadRefusal::ShareMissing).into()),
            Some(stored) if stored.health == ShareHealth::Damaged => {
                return Err(Halt::Refused(ReadRefusal::ShareDamaged).into());
            }
            Some(_) => {}
        }
        let geometry = generation.header.header().geometry;
        let segments = self.range.within(&geometry)?;
        if segments.is_empty() {
            return Ok(());
        }
        let roots = reader.page_roots(generation).await?;
        let at_once = blocks_at_once(&geometry);
        let step = u32::try_from(at_once).unwrap_or(u32::MAX);
        for page in pages::covering(&segments) {
            let page = reader.page(generation, &roots, page).await?;
            let asked = pages::common(page.rows(), &segments);
            for first in asked.clone().step_by(at_once) {
                let end = first.saturating_add(step).min(asked.end);
                let data = reader.blocks(generation, &page, self.share, first..end).await?;
                stream.send(Ok(self.answer(first, data))).await?;
                self.range.moved_to(end);
            }
        }
        Ok(())
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
