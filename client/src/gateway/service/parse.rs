//! What callers send becomes checked types here, once. What they sent is never repeated to them: it may be a secret.

use tarn_proto::gateway as wire;
use tarn_proto::{Shape, StorageIndex, VersionId, Window};
use tonic::Status;

use crate::caps::{Cap, ReadCap, WriteCap};
use crate::gateway::submission::Named;
use crate::gateway::tasks::origin_of;
use crate::queue::{Key, TaskId};

pub(super) fn invalid(what: impl std::fmt::Display) -> Status {
    Status::invalid_argument(what.to_string())
}

pub(super) fn task(bytes: &[u8]) -> Result<TaskId, Status> {
    let id = bytes.try_into().map_err(|_| invalid("a task id has 16 bytes"))?;
    Ok(TaskId::new(id))
}

pub(super) fn version(bytes: &[u8]) -> Result<VersionId, Status> {
    let id = bytes.try_into().map_err(|_| invalid("a version id has 32 bytes"))?;
    Ok(VersionId::new(id))
}

/// A version that need not be named.
pub(super) fn optional_version(bytes: &[u8]) -> Result<Option<VersionId>, Status> {
    if bytes.is_empty() { Ok(None) } else { version(bytes).map(Some) }
}

pub(super) fn optional_file(bytes: &[u8]) -> Result<Option<StorageIndex>, Status> {
    if bytes.is_empty() {
        return Ok(None);
    }
    let id = bytes.try_into().map_err(|_| invalid("a storage index has 32 bytes"))?;
    Ok(Some(StorageIndex::new(id)))
}

pub(super) fn cap(text: &str) -> Result<Cap, Status> {
    text.parse().map_err(invalid)
}

pub(super) fn write_cap(text: &str) -> Result<WriteCap, Status> {
    text.parse().map_err(invalid)
}

pub(super) fn read_cap(text: &str) -> Result<ReadCap, Status> {
    cap(text)?.read_cap().ok_or_else(|| invalid("a read or write cap is needed here"))
}

pub(super) fn key(bytes: &[u8]) -> Result<Option<Key>, Status> {
    if bytes.is_empty() { Ok(None) } else { Key::new(bytes).map(Some).map_err(invalid) }
}

pub(super) fn shape(shape: Option<wire::Shape>) -> Result<Option<Shape>, Status> {
    shape.map(|shape| Shape::new(shape.k, shape.happy, shape.n).map_err(invalid)).transpose()
}

pub(super) fn origin(bytes: &[u8]) -> Result<Option<(Shape, Window)>, Status> {
    if bytes.is_empty() {
        return Ok(None);
    }
    origin_of(bytes).map(Some).ok_or_else(|| invalid("this is not an origin that CreateFile gave"))
}

pub(super) fn ticket(ticket: Option<wire::publish_header::Ticket>) -> Result<Named, Status> {
    use wire::publish_header::Ticket;
    let said = |said: bool, named| {
        if said {
            Ok(named)
        } else {
            Err(invalid("a ticket that is false says nothing: leave it out"))
        }
    };
    match ticket {
        None => Ok(Named::Overwrite),
        Some(Ticket::Overwrite(yes)) => said(yes, Named::Overwrite),
        Some(Ticket::Create(yes)) => said(yes, Named::Create),
        Some(Ticket::AfterVersion(id)) => version(&id).map(Named::Version),
        Some(Ticket::AfterTask(id)) => task(&id).map(Named::Task),
        Some(Ticket::AfterKey(name)) => Key::new(&name).map(Named::Key).map_err(invalid),
    }
}
