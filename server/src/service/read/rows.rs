//! Rows of a version's table, with their proofs if asked.

use tarn_proto::state::ReadRefusal;
use tarn_proto::{pages, wire};
use tonic::Status;
use wire::read_rows_answer::Answer;

use super::super::proofs::{self, ProofTree};
use super::{AnswerStream, End, Range, Reader, Reading};
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
    ) -> Result<(), End> {
        let geometry = generation.header.header().geometry;
        let segments = self.range.within(&geometry)?;
        if segments.is_empty() {
            return Ok(());
        }
        let roots = reader.page_roots(generation).await?;
        let above = self.with_proofs.then(|| ProofTree::new(roots.roots().to_vec()));
        for page in pages::covering(&segments) {
            let page = reader.page(generation, &roots, page).await?;
            let asked = pages::common(page.rows(), &segments);
            let proofs = above.as_ref().map_or_else(Vec::new, |above| {
                proofs::through(
                    &ProofTree::new(page.leaves().to_vec()),
                    above,
                    &page,
                    asked.clone(),
                )
            });
            let run = wire::RowRun {
                first_segment: asked.start,
                data: page.bytes_of(asked.clone()),
                proofs,
            };
            let answer = wire::ReadRowsAnswer { answer: Some(Answer::Rows(run)) };
            stream.send(Ok(answer)).await?;
            self.range.moved_to(asked.end);
        }
        Ok(())
    }
}
