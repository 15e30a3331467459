//! `Read`: what is read, then its bytes as they come.

use bytes::Bytes;
use futures::{StreamExt, TryStreamExt, stream};
use std::collections::BTreeSet;
use tarn_proto::gateway as wire;
use tarn_proto::gateway::read_answer::Part;
use tonic::Status;

use super::{Answers, Service, parse};
use crate::retrieve::reading::{RetrieveError, RetrieveFailure, RetrieveRequest};

/// The longest piece of content in one message.
const PIECE: usize = 256 << 10;

pub(super) async fn serve(
    service: &Service,
    request: wire::ReadRequest,
) -> Result<Answers<wire::ReadAnswer>, Status> {
    let cap = parse::read_cap(&request.cap)?;
    let file = cap.verify_cap().storage_index();
    let end = request.length.map_or(u64::MAX, |length| request.offset.saturating_add(length));
    let known = service.look(move |record| record.file(file)).await?;
    let retrieve = RetrieveRequest {
        cap,
        origin: service.origin(file).await?,
        version: parse::optional_version(&request.version)?,
        range: Some(request.offset..end),
        strict: request.strict,
        allow_rollback: false,
        high_water: known.and_then(|known| known.high_water),
        suspects: BTreeSet::new(),
        map: None,
    };
    let reading = service.client.retrieve(retrieve, rand::make_rng()).await.map_err(refused)?;
    let found = reading.found();
    let header = found.header.header();
    let first = Part::Header(wire::ReadHeader {
        version: Bytes::copy_from_slice(found.header.version().as_bytes()),
        sequence_number: header.sequence_number.get(),
        length: header.geometry.length(),
        confirmed: found.confirmed,
    });
    let body = stream::try_unfold(reading, |mut reading| async {
        let segment = reading.next_segment().await.map_err(refused)?;
        Ok::<_, Status>(segment.map(|segment| (segment, reading)))
    });
    let body = body.map_ok(|segment| stream::iter(pieces(segment)).map(Ok)).try_flatten();
    let parts = stream::once(std::future::ready(Ok(first))).chain(body.map_ok(Part::Body));
    Ok(parts.map_ok(|part| wire::ReadAnswer { part: Some(part) }).boxed())
}

fn pieces(mut segment: Bytes) -> impl Iterator<Item = Bytes> {
    std::iter::from_fn(move || {
        let piece = segment.split_to(segment.len().min(PIECE));
        (!piece.is_empty()).then_some(piece)
    })
}

fn refused(error: RetrieveError) -> Status {
    let RetrieveError { failure, .. } = error;
    let sentence = failure.to_string();
    match failure {
        RetrieveFailure::NotFound { .. } | RetrieveFailure::Deleted { .. } => {
            Status::not_found(sentence)
        }
        RetrieveFailure::NotEnoughShares { .. }
        | RetrieveFailure::NotEnoughServers { .. }
        | RetrieveFailure::Undecided(_)
        | RetrieveFailure::Stopping => Status::unavailable(sentence),
        RetrieveFailure::RolledBack { .. } | RetrieveFailure::Undecodable { .. } => {
            Status::data_loss(sentence)
        }
        RetrieveFailure::WrongReadKey { .. } => Status::invalid_argument(sentence),
    }
}
