//! Reads what a change needs of the version that it changes: the rows at its edges with their proofs, and the bytes
//! that stay. Decides nothing, and keeps nothing but what it was asked for.

use std::ops::Range;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures::stream::{FuturesUnordered, StreamExt};
use rand_chacha::ChaCha8Rng;
use tarn_proto::SignedHeader;
use tarn_proto::splice::{Fringe, ProvenRow};

use super::layout::Edge;
use super::{UpdateError, UpdateOptions};
use crate::caps::WriteCap;
use crate::client::Client;
use crate::encode::source::Source;
use crate::encode::spool::Spool;
use crate::fetch::driver::SILENCE_MAX;
use crate::newest::split;
use crate::retrieve::reading::{Reading, RetrieveRequest};
use crate::transport::{ReadError, ServerClient};

/// How long a server is waited for before the next one is asked too.
const NEXT_AFTER: Duration = Duration::from_millis(200);

impl Client {
    /// What stays of a version's table.
    pub(super) async fn fringe(
        &self,
        header: &SignedHeader,
        edge: Edge,
        options: &UpdateOptions,
    ) -> Result<Fringe, UpdateError> {
        let row = async |segment| self.proven_row(header, segment, options).await;
        Ok(match edge {
            Edge::Nothing => Fringe::empty(),
            Edge::Before(segment) => Fringe::before(&row(segment).await?),
            Edge::Through(segment) => Fringe::through(&row(segment).await?),
            Edge::Around(first, last) => {
                let (first, last) = tokio::try_join!(row(first), row(last))?;
                // Both were checked against this header, and are in order.
                Fringe::around(&first, &last).ok_or(UpdateError::RowsMissing(None))?
            }
        })
    }

    /// One row from whoever gives it first; those that kept somebody waiting before are asked last. A proof is as good
    /// from anybody.
    async fn proven_row(
        &self,
        header: &SignedHeader,
        segment: u32,
        options: &UpdateOptions,
    ) -> Result<ProvenRow, UpdateError> {
        let mut order = self.roster(header.header().storage_index).0;
        order.sort_by_key(|store| options.suspects.contains(store));
        let mut left = order.into_iter().filter_map(|store| self.server(store));
        let ask = |server: &ServerClient| {
            let (server, header) = (server.clone(), header.clone());
            async move { server.read_proven_row(&header, segment, SILENCE_MAX).await }
        };
        let mut asked: FuturesUnordered<_> = left.next().map(ask).into_iter().collect();
        let mut why: Option<ReadError> = None;
        loop {
            tokio::select! {
                biased;
                answer = asked.next() => match answer {
                    Some(Ok(row)) => return Ok(row),
                    Some(Err(error)) => why = Some(error),
                    None => return Err(UpdateError::RowsMissing(why)),
                },
                () = tokio::time::sleep(NEXT_AFTER) => {}
            }
            asked.extend(left.next().map(ask));
        }
    }

    /// Some bytes of a version, in memory: less than a segment.
    pub(super) async fn edge_bytes(
        &self,
        cap: &WriteCap,
        header: &SignedHeader,
        range: Range<u64>,
        options: &UpdateOptions,
        rng: ChaCha8Rng,
    ) -> Result<Source, UpdateError> {
        if range.is_empty() {
            return Ok(Source::Bytes(Bytes::new()));
        }
        let mut reading = self.kept(cap, header, range, options, rng).await?;
        let mut bytes = BytesMut::new();
        while let Some(segment) = reading.next_segment().await.map_err(UpdateError::read)? {
            bytes.extend_from_slice(&segment);
        }
        Ok(Source::Bytes(bytes.freeze()))
    }

    /// Bytes of a version, however many, in a temporary file.
    pub(super) async fn spooled(
        &self,
        cap: &WriteCap,
        header: &SignedHeader,
        range: Range<u64>,
        options: &mut UpdateOptions,
    ) -> Result<Source, UpdateError> {
        if range.is_empty() {
            return Ok(Source::Bytes(Bytes::new()));
        }
        let (limit, rng) = (range.end - range.start, split(&mut options.rng));
        let reading = self.kept(cap, header, range, options, rng).await?;
        let spool = Spool::fill(reading.into_async_read(), &options.spools, limit).await?;
        Ok(Source::Spool(spool))
    }

    async fn kept(
        &self,
        cap: &WriteCap,
        header: &SignedHeader,
        range: Range<u64>,
        options: &UpdateOptions,
        rng: ChaCha8Rng,
    ) -> Result<Reading, UpdateError> {
        let request = RetrieveRequest {
            cap: cap.read_cap(),
            origin: options.origin.clone(),
            version: Some(header.version()),
            range: Some(range),
            strict: false,
            allow_rollback: false,
            high_water: options.high_water,
            suspects: options.suspects.clone(),
        };
        self.retrieve(request, rng).await.map_err(UpdateError::read)
    }
}
