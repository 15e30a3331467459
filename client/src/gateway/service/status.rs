//! `Status`: what each server holds of a file, and what follows.

use bytes::Bytes;
use tarn_proto::gateway as wire;
use tarn_proto::{ShareHealth, SlotState, StoreId};
use tonic::Status;

use super::{Service, parse};
use crate::base::{Base, Choice, Evidence, Seen};
use crate::quorum::{distinct_shares, happiness};
use crate::servermap::ServerMap;

pub(super) async fn serve(
    service: &Service,
    request: &wire::StatusRequest,
) -> Result<wire::StatusAnswer, Status> {
    let file = parse::cap(&request.cap)?.verify_cap().storage_index();
    let origin = service.origin(file).await?;
    let map = service.client.survey(file, &origin).await;
    let evidence = map.evidence();
    let (newest, confirmed) = match map.choose(&origin) {
        Choice::Chosen { base: Base::Version(header), certain } => {
            (Bytes::copy_from_slice(header.version().as_bytes()), certain)
        }
        Choice::Chosen { base: Base::Empty(_), .. } | Choice::Undecided(_) => (Bytes::new(), false),
    };
    Ok(wire::StatusAnswer {
        storage_index: Bytes::copy_from_slice(file.as_bytes()),
        newest,
        confirmed,
        versions: evidence.newest_first().map(|seen| health(seen, &evidence)).collect(),
        servers: servers(&map, service),
    })
}

fn health(seen: &Seen, evidence: &Evidence) -> wire::VersionHealth {
    let header = seen.header.header();
    let (shape, readable) = (header.shape, seen.readable());
    let count = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
    wire::VersionHealth {
        version: Bytes::copy_from_slice(seen.header.version().as_bytes()),
        sequence_number: header.sequence_number.get(),
        length: header.geometry.length(),
        shape: Some(wire::Shape {
            k: shape.k().into(),
            happy: shape.happy().into(),
            n: shape.n().into(),
        }),
        shares: count(distinct_shares(&readable)),
        happiness: count(happiness(&readable)),
        certain: evidence.is_certain(seen.header.version()),
        recoverable: seen.is_recoverable(),
    }
}

fn servers(map: &ServerMap, service: &Service) -> Vec<wire::ServerStatus> {
    let status = |store: StoreId, error: String, held| wire::ServerStatus {
        store_id: Bytes::copy_from_slice(store.as_bytes()),
        address: service
            .grid
            .find(store)
            .map_or_else(String::new, |found| found.address.to_string()),
        error,
        held,
    };
    let answered =
        map.answers.iter().map(|(&store, state)| status(store, String::new(), held(state)));
    let failed =
        map.failures.iter().map(|(&store, failure)| status(store, failure.to_string(), Vec::new()));
    answered.chain(failed).collect()
}

fn held(state: &SlotState) -> Vec<wire::HeldVersion> {
    let of_health = |wanted: ShareHealth| {
        move |shares: &std::collections::BTreeMap<tarn_proto::ShareNumber, ShareHealth>| {
            let with = shares.iter().filter(move |(_, health)| **health == wanted);
            with.map(|(share, _)| share.get().into()).collect::<Vec<u32>>()
        }
    };
    let held = state.generations.iter().map(|generation| wire::HeldVersion {
        version: Bytes::copy_from_slice(generation.header.version().as_bytes()),
        shares: of_health(ShareHealth::Whole)(&generation.shares),
        damaged: of_health(ShareHealth::Damaged)(&generation.shares),
    });
    held.collect()
}
