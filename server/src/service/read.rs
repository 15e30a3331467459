//! Reading blocks and rows: requests in, a stream of what was read out. Nothing is checked here; the reader gives out
//! nothing unchecked.

mod blocks;
mod rows;

use std::sync::Arc;

use tarn_proto::state::ReadRefusal;
use tarn_proto::{Geometry, StorageIndex, VersionId};
use tonic::Status;

use super::stream::{AnswerStream, Gone};
use crate::admission::Ticket;
use crate::manifest::StoredGeneration;
use crate::parse;
use crate::reader::{Halt, Reader};
use crate::server::Server;
use crate::store::Store;

pub(super) use blocks::Blocks;
pub(super) use rows::Rows;

/// A run of segments of one version.
#[derive(Debug, Clone, Copy)]
pub(super) struct Range {
    pub(super) storage_index: StorageIndex,
    version: VersionId,
    first: u32,
    count: u32,
}

impl Range {
    fn parse(storage_index: &[u8], version: &[u8], first: u32, count: u32) -> Result<Self, Status> {
        Ok(Self {
            storage_index: parse::id(storage_index)?,
            version: parse::id(version)?,
            first,
            count,
        })
    }

    /// The segments, if the version has them all.
    fn within(&self, geometry: &Geometry) -> Result<std::ops::Range<u32>, Halt> {
        match self.first.checked_add(self.count) {
            Some(end) if end <= geometry.segments() => Ok(self.first..end),
            Some(_) | None => Err(Halt::Refused(ReadRefusal::OutOfRange)),
        }
    }

    /// All below this segment was sent.
    const fn moved_to(&mut self, segment: u32) {
        self.count -= segment - self.first;
        self.first = segment;
    }
}

/// Why an answer ends before all was sent.
pub(super) enum End {
    Halted(Halt),
    /// The client takes no more.
    Gone,
}

impl From<Halt> for End {
    fn from(halt: Halt) -> Self {
        Self::Halted(halt)
    }
}

impl From<Gone> for End {
    fn from(Gone: Gone) -> Self {
        Self::Gone
    }
}

/// A request for a run of blocks or rows.
pub(super) trait Reading {
    type Answer: Send + 'static;

    fn token(&self) -> &str;
    fn range(&mut self) -> &mut Range;
    fn refused(refusal: ReadRefusal) -> Self::Answer;

    /// Sends what is asked from a generation. Moves the range on as it goes.
    fn send<S: Store>(
        &mut self,
        reader: &Reader<S>,
        generation: &StoredGeneration,
        stream: &AnswerStream<Self::Answer>,
    ) -> impl Future<Output = Result<(), End>> + Send;
}

/// Answers a request to its end. The ticket is kept until the client has taken the answers, or takes no more.
pub(super) async fn serve<S: Store, R: Reading>(
    server: Arc<Server<S>>,
    request: R,
    stream: AnswerStream<R::Answer>,
    ticket: Ticket,
) {
    answer(&server, request, &stream).await;
    stream.taken().await;
    drop(ticket);
}

async fn answer<S: Store, R: Reading>(
    server: &Server<S>,
    mut request: R,
    stream: &AnswerStream<R::Answer>,
) {
    let halt = if server.admits(request.token()) {
        let range = *request.range();
        let reader = Reader::new(server, range.storage_index, range.version);
        loop {
            let read = match reader.generation().await {
                Ok(generation) => request.send(&reader, &generation, stream).await,
                Err(halt) => Err(halt.into()),
            };
            match read {
                Ok(()) | Err(End::Gone) => return,
                Err(End::Halted(Halt::Moved)) => {}
                Err(End::Halted(halt)) => break halt,
            }
        }
    } else {
        Halt::Refused(ReadRefusal::Unauthenticated)
    };
    let _ = match halt {
        Halt::Refused(refusal) => {
            tracing::debug!(%refusal, "read refused");
            stream.send(Ok(R::refused(refusal))).await
        }
        Halt::Failed(status) => stream.send(Err(status)).await,
        Halt::Moved => Ok(()),
    };
}
