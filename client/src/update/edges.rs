//! Reads what a change needs of the version that it changes: the rows at its edges with their proofs, and the bytes
//! that stay. Decides nothing, and keeps nothing but what it was asked for.

use std::ops::Range;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures::stream::{FuturesUnordered, StreamExt};
use rand_chacha::ChaCha8Rng;
use tarn_proto::splice::{Fringe, ProvenRow};
use tarn_proto::{SignedHeader, StoreId};

use super::layout::Edge;
use super::{UpdateError, UpdateOptions};
use crate::caps::WriteCap;
use crate::client::Client;
use crate::encode::source::Source;
use crate::encode::spool::Spool;
use crate::fetch::driver::SILENCE_MAX;
use crate::retrieve::reading::{Reading, RetrieveRequest};
use crate::servermap::ServerMap;
use crate::transport::{ReadError, ServerClient};

/// How long a server is waited for before the next one is asked too.
const NEXT_AFTER: Duration = Duration::from_millis(200);

/// The version that is changed, and what is known of it.
pub(super) struct Base<'a> {
    pub(super) client: &'a Client,
    pub(super) cap: &'a WriteCap,
    pub(super) header: &'a SignedHeader,
    /// What servers said when it was found, if they need not be asked again.
    pub(super) map: Option<&'a ServerMap>,
    pub(super) options: &'a UpdateOptions,
}

impl Base<'_> {
    /// What stays of its table.
    pub(super) async fn fringe(&self, edge: Edge) -> Result<Fringe, UpdateError> {
        let row = async |segment| self.proven_row(segment).await;
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

    /// One row from whoever gives it first; those that do not have it, by what they said, and those that kept somebody
    /// waiting before are asked last. A proof is as good from anybody.
    async fn proven_row(&self, segment: u32) -> Result<ProvenRow, UpdateError> {
        let mut order = self.client.roster(self.header.header().storage_index).0;
        order.sort_by_key(|store| (self.lacks_it(*store), self.options.suspects.contains(store)));
        let mut left = order.into_iter().filter_map(|store| self.client.server(store));
        let ask = |server: &ServerClient| {
            let (server, header) = (server.clone(), self.header.clone());
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

    /// Whether a server did not say that it has the version, where servers were asked.
    fn lacks_it(&self, store: StoreId) -> bool {
        let version = self.header.version();
        self.map.is_some_and(|map| {
            map.answers.get(&store).is_none_or(|state| state.generation(version).is_none())
        })
    }

    /// Some bytes of it, in memory: less than a segment.
    pub(super) async fn bytes(
        &self,
        range: Range<u64>,
        rng: ChaCha8Rng,
    ) -> Result<Source, UpdateError> {
        if range.is_empty() {
            return Ok(Source::Bytes(Bytes::new()));
        }
        let mut reading = self.read(range, rng).await?;
        let mut bytes = BytesMut::new();
        while let Some(segment) = reading.next_segment().await.map_err(UpdateError::read)? {
            bytes.extend_from_slice(&segment);
        }
        Ok(Source::Bytes(bytes.freeze()))
    }

    /// Bytes of it, however many, in a temporary file.
    pub(super) async fn spooled(
        &self,
        range: Range<u64>,
        rng: ChaCha8Rng,
    ) -> Result<Source, UpdateError> {
        if range.is_empty() {
            return Ok(Source::Bytes(Bytes::new()));
        }
        let limit = range.end - range.start;
        let reading = self.read(range, rng).await?;
        let spools = &self.options.spools;
        Ok(Source::Spool(Spool::fill(reading.into_async_read(), spools, limit).await?))
    }

    async fn read(&self, range: Range<u64>, rng: ChaCha8Rng) -> Result<Reading, UpdateError> {
        let request = RetrieveRequest {
            cap: self.cap.read_cap(),
            origin: self.options.origin.clone(),
            version: Some(self.header.version()),
            range: Some(range),
            strict: false,
            allow_rollback: false,
            high_water: self.options.high_water,
            suspects: self.options.suspects.clone(),
            map: self.map.cloned(),
        };
        self.client.retrieve(request, rng).await.map_err(UpdateError::read)
    }
}
