//! Rows of a version's table, with their proofs if asked.

use tarn_proto::state::ReadRefusal;
use tarn_proto::wire;
use tonic::Status;
use wire::read_rows_answer::Answer;

use super::super::proofs::ProofTree;
use super::{AnswerStream, Halt, MESSAGE_BYTES, Range, Reader, Reading};
use crate::hashing::Load;
use crate::manifest::StoredGeneration;
use crate::store::Store;

/// A request for rows.
pub(in super::super) struct Rows {
    token: String,
    pub(in super::super) range: Range,
    with_proofs: bool,
}

impl Rows {
    pub(in super::super) fn parse(request: wire::ReadRowsRequest) -> Result<Self, Status> {
        let (first, count) = (request.first_segment, request.segments);
        Ok(Self {
            range: Range::parse(&request.storage_index, &request.version_id, first, count)?,
            token: request.token,
            with_proofs: request.with_proofs,
        })
    }
}

impl Reading for Rows {
    type Answer = wire::ReadRowsAnswer;

    fn token(&self) -> &str {
        &self.token
    }

    fn range(&mut self) -> &mut Range {
        &mut self.range
    }

    fn refused(refusal: ReadRefusal) -> Self::Answer {
        wire::ReadRowsAnswer { answer: Some(Answer::Refused(refusal.into())) }
    }

    async fn send<S: Store>(
        &mut self,
        reader: &Reader<S>,
        generation: &StoredGeneration,
        stream: &AnswerStream<Self::Answer>,
    ) -> Result<(), Halt> {
        let geometry = generation.header.header().geometry;
        let segments = self.range.within(&geometry)?;
        if segments.is_empty() {
            return Ok(());
        }
        let table = reader.table(generation).await?;
        let tree = if self.with_proofs {
            let table = table.clone();
            let hashes = 2 * geometry.segments() as usize;
            let load = Load { bytes: geometry.table_length(), hashes };
            Some(reader.hashing.run(load, move || ProofTree::new(table.leaves())).await?)
        } else {
            None
        };
        let rows_at_once = (MESSAGE_BYTES / geometry.row_length()).max(1);
        let step = u32::try_from(rows_at_once).unwrap_or(u32::MAX);
        for first in segments.clone().step_by(rows_at_once) {
            let end = first.saturating_add(step).min(segments.end);
            let bytes = table.bytes();
            let of = |segment: u32| segment as usize * geometry.row_length();
            let proofs = tree.iter().flat_map(|tree| {
                let segments = first as usize..end as usize;
                segments.map(|segment| tree.proof(segment))
            });
            let run = wire::RowRun {
                first_segment: first,
                data: bytes.slice(of(first)..of(end)),
                proofs: proofs.collect(),
            };
            let answer = wire::ReadRowsAnswer { answer: Some(Answer::Rows(run)) };
            stream.send(Ok(answer)).await?;
            self.range.count -= end - first;
            self.range.first = end;
        }
        Ok(())
    }
}
