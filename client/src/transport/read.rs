//! Reading a version from one server: its table, single rows, and the blocks of a share.
//!
//! Tables and rows come out verified against the header; blocks come out as [`UnverifiedBlock`]. These are long
//! streams, so a deadline here is for the next message, not for the whole. Nothing is allocated beyond what the
//! header, which its owner signed, has room for.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures::stream::{self, BoxStream, Stream, StreamExt, TryStreamExt};
use tarn_proto::convert::ConvertError;
use tarn_proto::hash::Digest32;
use tarn_proto::splice::ProvenRow;
use tarn_proto::state::ReadRefusal;
use tarn_proto::{Geometry, Row, ShareNumber, SignedHeader, Table, wire};
use tonic::Streaming;

use super::cut::{Cutter, Piece, RunError, UnverifiedBlock};
use super::error::{CallError, ReadError};
use super::{ServerClient, within};

impl ServerClient {
    /// The whole table of a version, verified.
    pub async fn read_table(
        &self,
        header: &SignedHeader,
        deadline: Duration,
    ) -> Result<Table, ReadError> {
        let geometry = header.header().geometry;
        let mut table = BytesMut::new();
        if geometry.segments() > 0 {
            let mut rows = self.row_runs(header, 0, geometry.segments(), false, deadline).await?;
            while let Some(run) = rows.next().await? {
                for piece in run.rows {
                    table.extend_from_slice(&piece.bytes);
                }
            }
        }
        Table::verify(&geometry, &header.header().table_root, table.freeze())
            .map_err(ReadError::Forged)
    }

    /// The rows of `count` segments from `first` on, each verified by its proof.
    pub async fn read_rows(
        &self,
        header: &SignedHeader,
        first: u32,
        count: u32,
        deadline: Duration,
    ) -> Result<Vec<Row>, ReadError> {
        let geometry = header.header().geometry;
        let end = end_of(&geometry, first, count)?;
        let mut verified = Vec::new();
        if count > 0 {
            let mut runs = self.row_runs(header, first, end, true, deadline).await?;
            while let Some(run) = runs.next().await? {
                verified.extend(run.verify(&geometry, &header.header().table_root)?);
            }
        }
        Ok(verified.into_iter().map(ProvenRow::into_row).collect())
    }

    /// The row of one segment, with its proof.
    pub async fn read_proven_row(
        &self,
        header: &SignedHeader,
        segment: u32,
        deadline: Duration,
    ) -> Result<ProvenRow, ReadError> {
        let geometry = header.header().geometry;
        let end = end_of(&geometry, segment, 1)?;
        let mut runs = self.row_runs(header, segment, end, true, deadline).await?;
        let mut proven = None;
        while let Some(run) = runs.next().await? {
            proven = run.verify(&geometry, &header.header().table_root)?.pop();
        }
        // A stream that ended without it is an error already.
        proven.ok_or(ReadError::Refused(ReadRefusal::OutOfRange))
    }

    /// The blocks of `share` in `count` segments from `first` on, in order. After an error nothing follows. `deadline`
    /// is for each message; the stream ends when the server has ended it too.
    pub fn read_blocks(
        &self,
        header: &SignedHeader,
        share: ShareNumber,
        first: u32,
        count: u32,
        deadline: Duration,
    ) -> BoxStream<'static, Result<UnverifiedBlock, ReadError>> {
        let geometry = header.header().geometry;
        let end = match end_of(&geometry, first, count) {
            Ok(end) => end,
            Err(error) => return stream::iter([Err(error)]).boxed(),
        };
        if count == 0 {
            return stream::empty().boxed();
        }
        let request = wire::ReadBlocksRequest {
            token: self.token(),
            storage_index: Bytes::copy_from_slice(header.header().storage_index.as_bytes()),
            version_id: Bytes::copy_from_slice(header.version().as_bytes()),
            share: share.get().into(),
            first_segment: first,
            segments: count,
        };
        let mut storage = self.storage.clone();
        stream::once(async move {
            let messages = within(deadline, storage.read_blocks(request)).await?;
            let runs = BlockRuns {
                messages: messages.into_inner(),
                geometry,
                share,
                cutter: Cutter::new(first, end),
                deadline,
            };
            Ok::<_, ReadError>(runs.into_blocks())
        })
        .try_flatten()
        .boxed()
    }

    async fn row_runs(
        &self,
        header: &SignedHeader,
        first: u32,
        end: u32,
        with_proofs: bool,
        deadline: Duration,
    ) -> Result<RowRuns, CallError> {
        let request = wire::ReadRowsRequest {
            token: self.token(),
            storage_index: Bytes::copy_from_slice(header.header().storage_index.as_bytes()),
            version_id: Bytes::copy_from_slice(header.version().as_bytes()),
            first_segment: first,
            segments: end - first,
            with_proofs,
        };
        let mut storage = self.storage.clone();
        let messages = within(deadline, storage.read_rows(request)).await?;
        Ok(RowRuns {
            messages: messages.into_inner(),
            row_length: header.header().geometry.row_length(),
            cutter: Cutter::new(first, end),
            deadline,
        })
    }
}

/// The segment after the last of `count` from `first` on, if the version has them all.
fn end_of(geometry: &Geometry, first: u32, count: u32) -> Result<u32, ReadError> {
    first
        .checked_add(count)
        .filter(|&end| end <= geometry.segments())
        .ok_or(ReadError::Refused(ReadRefusal::OutOfRange))
}

struct BlockRuns {
    messages: Streaming<wire::ReadBlocksAnswer>,
    geometry: Geometry,
    share: ShareNumber,
    cutter: Cutter,
    deadline: Duration,
}

impl BlockRuns {
    fn into_blocks(self) -> impl Stream<Item = Result<UnverifiedBlock, ReadError>> {
        stream::try_unfold(self, Self::step)
            .map_ok(|blocks| stream::iter(blocks.into_iter().map(Ok)))
            .try_flatten()
    }

    async fn step(mut self) -> Result<Option<(Vec<UnverifiedBlock>, Self)>, ReadError> {
        Ok(self.next().await?.map(|blocks| (blocks, self)))
    }

    async fn next(&mut self) -> Result<Option<Vec<UnverifiedBlock>>, ReadError> {
        let Some(message) = within(self.deadline, self.messages.message()).await? else {
            self.cutter.finish().map_err(ReadError::Malformed)?;
            return Ok(None);
        };
        let run = match message.answer.ok_or(ConvertError::Missing("answer"))? {
            wire::read_blocks_answer::Answer::Blocks(run) => run,
            wire::read_blocks_answer::Answer::Refused(refused) => return Err(refusal(&refused)),
        };
        let share = self.share;
        if run.share != u32::from(share.get()) {
            return Err(ReadError::Malformed(RunError::OtherShare {
                expected: share,
                got: run.share,
            }));
        }
        let pieces = self
            .cutter
            .cut(run.first_segment, run.data, |segment| self.geometry.block_length(segment))
            .map_err(ReadError::Malformed)?;
        let block = |Piece { segment, bytes }| UnverifiedBlock { share, segment, bytes };
        Ok(Some(pieces.into_iter().map(block).collect()))
    }
}

struct RowRuns {
    messages: Streaming<wire::ReadRowsAnswer>,
    row_length: usize,
    cutter: Cutter,
    deadline: Duration,
}

struct RowRun {
    first_segment: u32,
    rows: Vec<Piece>,
    proofs: Vec<Bytes>,
}

impl RowRuns {
    async fn next(&mut self) -> Result<Option<RowRun>, ReadError> {
        let Some(message) = within(self.deadline, self.messages.message()).await? else {
            self.cutter.finish().map_err(ReadError::Malformed)?;
            return Ok(None);
        };
        let run = match message.answer.ok_or(ConvertError::Missing("answer"))? {
            wire::read_rows_answer::Answer::Rows(run) => run,
            wire::read_rows_answer::Answer::Refused(refused) => return Err(refusal(&refused)),
        };
        let rows = self
            .cutter
            .cut(run.first_segment, run.data, |_| self.row_length)
            .map_err(ReadError::Malformed)?;
        Ok(Some(RowRun { first_segment: run.first_segment, rows, proofs: run.proofs }))
    }
}

impl RowRun {
    fn verify(self, geometry: &Geometry, root: &Digest32) -> Result<Vec<ProvenRow>, ReadError> {
        let misfit = ReadError::Malformed(RunError::Proofs { first_segment: self.first_segment });
        if self.proofs.len() != self.rows.len() {
            return Err(misfit);
        }
        let mut verified = Vec::with_capacity(self.rows.len());
        for (row, proof) in self.rows.into_iter().zip(&self.proofs) {
            let (siblings, rest) = proof.as_chunks();
            if !rest.is_empty() {
                return Err(misfit);
            }
            let row = ProvenRow::verify(geometry, root, row.segment, row.bytes, siblings)
                .map_err(ReadError::Forged)?;
            verified.push(row);
        }
        Ok(verified)
    }
}

fn refusal(message: &wire::ReadRefused) -> ReadError {
    ReadRefusal::try_from(message).map_or_else(ReadError::from, ReadError::Refused)
}
