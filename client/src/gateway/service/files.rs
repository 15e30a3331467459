//! Files: their caps, where they are kept, and their new versions.

use std::sync::Arc;

use bytes::Bytes;
use futures::{StreamExt, stream};
use tarn_proto::gateway as wire;
use tarn_proto::{SequenceNumber, Shape, StorageIndex, VersionId};
use tonic::Status;

use super::{Answers, Service, parse};
use crate::base::Origin;
use crate::caps::WriteCap;
use crate::follow::Told;
use crate::gateway::registrar::Request;
use crate::gateway::tasks::{FileRow, origin_bytes};

pub(super) async fn create(
    service: &Service,
    request: wire::CreateFileRequest,
) -> Result<wire::CreateFileAnswer, Status> {
    let shape = parse::shape(request.shape)?.unwrap_or_else(Shape::default);
    let cap = WriteCap::generate(&mut rand::make_rng::<rand_chacha::ChaCha8Rng>());
    let file = cap.verify_cap().storage_index();
    let window = service.client.choose_window(file, shape).map_err(|error| {
        Status::failed_precondition(format!("this grid cannot keep such a file: {error}"))
    })?;
    if usize::from(shape.happy()) > window.stores().len() {
        return Err(Status::failed_precondition(format!(
            "this grid has {} servers for such a file, and {} are to count: ask for a smaller happy, or another k and n",
            window.stores().len(),
            shape.happy()
        )));
    }
    let answer = wire::CreateFileAnswer {
        write_cap: cap.to_text().as_str().to_owned(),
        read_cap: cap.read_cap().to_text().as_str().to_owned(),
        verify_cap: cap.verify_cap().to_text().as_str().to_owned(),
        storage_index: id(file),
        origin: origin_bytes(shape, &window).into(),
        shape: Some(wire::Shape {
            k: shape.k().into(),
            happy: shape.happy().into(),
            n: shape.n().into(),
        }),
    };
    let known = FileRow { file, window: Some(window), shape: Some(shape), high_water: None };
    service.registrar.ask(|answer| Request::Know(Box::new(known), answer)).await?;
    Ok(answer)
}

pub(super) fn derive(request: &wire::DeriveCapRequest) -> Result<wire::DeriveCapAnswer, Status> {
    let cap = parse::cap(&request.cap)?;
    let read_cap = cap.read_cap();
    let read_cap = read_cap.map_or_else(String::new, |cap| cap.to_text().as_str().to_owned());
    let verify_cap = cap.verify_cap();
    let storage_index = id(verify_cap.storage_index());
    let verify_cap = verify_cap.to_text().as_str().to_owned();
    Ok(wire::DeriveCapAnswer { read_cap, verify_cap, storage_index })
}

pub(super) async fn watch(
    service: &Arc<Service>,
    request: wire::WatchFileRequest,
) -> Result<Answers<wire::FileVersion>, Status> {
    let file = parse::cap(&request.cap)?.verify_cap().storage_index();
    let after = parse::optional_version(&request.after)?;
    let origin = service.origin(file).await?;
    let told = service.client.follow(file, origin, after);
    let told = told.map_err(|error| Status::resource_exhausted(error.to_string()))?;
    let stopping = service.stopping.clone();
    let versions = stream::try_unfold((told, stopping), |(mut told, stopping)| async {
        match stopping.run_until_cancelled(told.recv()).await.flatten() {
            Some(version) => Ok(Some((as_message(&version), (told, stopping)))),
            None => Err(Status::unavailable("the gateway is stopping")),
        }
    });
    Ok(versions.boxed())
}

impl Service {
    /// What the gateway knows of where a file is.
    pub(super) async fn origin(&self, file: StorageIndex) -> Result<Origin, Status> {
        let known = self.look(move |record| record.file(file)).await?;
        Ok(known.and_then(|known| known.window).map_or(Origin::CapHolder, Origin::Creator))
    }
}

fn as_message(told: &Told) -> wire::FileVersion {
    let bytes = |id: VersionId| Bytes::copy_from_slice(id.as_bytes());
    wire::FileVersion {
        version: bytes(told.version),
        sequence_number: told.sequence_number.map_or(0, SequenceNumber::get),
        predecessor: told.predecessor.map_or_else(Bytes::new, bytes),
        gap: told.gap,
    }
}

fn id(file: StorageIndex) -> Bytes {
    Bytes::copy_from_slice(file.as_bytes())
}
