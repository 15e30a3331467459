//! The tasks of a world as a [`History`] names them: operations on one register. It passes on what it is told and judges
//! nothing.

use std::collections::BTreeMap;

use tarn_client::publish::Follows;
use tarn_proto::{AttemptId, VersionId};

use crate::history::{History, PublishId, PublishTold, ReadId, ReadTold};
use crate::ids::ClientId;

use super::oracle::{ReadOutcome, STALE, Told, UNCOORDINATED_WRITE};

/// A history, and which task each of its operations is.
#[derive(Debug, Clone, Default)]
pub(super) struct Operations {
    history: History,
    tasks: BTreeMap<ClientId, Operation>,
}

#[derive(Debug, Clone, Copy)]
enum Operation {
    Publish(PublishId),
    Read(ReadId),
}

impl Operations {
    pub(super) const fn history(&self) -> &History {
        &self.history
    }

    pub(super) fn publish_began(
        &mut self,
        event: u64,
        task: ClientId,
        attempt: AttemptId,
        follows: Follows,
    ) {
        let publish = self.history.publish_began(event, attempt, follows);
        self.tasks.insert(task, Operation::Publish(publish));
    }

    pub(super) fn read_began(&mut self, event: u64, task: ClientId) {
        let read = self.history.read_began(event);
        self.tasks.insert(task, Operation::Read(read));
    }

    pub(super) fn signed(
        &mut self,
        task: ClientId,
        version: VersionId,
        predecessor: Option<VersionId>,
    ) {
        if let Some(Operation::Publish(publish)) = self.tasks.get(&task) {
            self.history.signed(*publish, version, predecessor);
        }
    }

    pub(super) fn told(&mut self, event: u64, task: ClientId, told: &Told) {
        match self.tasks.get(&task) {
            Some(&Operation::Publish(publish)) => {
                if let Some(told) = told_of_publish(told) {
                    self.history.publish_ended(event, publish, told);
                }
            }
            Some(&Operation::Read(read)) => {
                if let Some(told) = told_of_read(told) {
                    self.history.read_ended(event, read, told);
                }
            }
            None => {}
        }
    }
}

fn told_of_publish(told: &Told) -> Option<PublishTold> {
    match told {
        Told::Published { version, .. } => Some(PublishTold::Published(*version)),
        Told::Unchanged { outcome: UNCOORDINATED_WRITE | STALE, .. } => Some(PublishTold::Conflict),
        Told::Unchanged { .. } => Some(PublishTold::Unchanged),
        Told::InDoubt { .. } => Some(PublishTold::Unknown),
        Told::Nothing | Told::Read(_) => None,
    }
}

const fn told_of_read(told: &Told) -> Option<ReadTold> {
    match told {
        Told::Read(ReadOutcome::Got { version, confirmed: true, .. }) => {
            Some(ReadTold::Confirmed(Some(*version)))
        }
        Told::Read(ReadOutcome::NotFound) => Some(ReadTold::Confirmed(None)),
        Told::Read(ReadOutcome::Got { confirmed: false, .. }) => Some(ReadTold::Unconfirmed),
        Told::Read(ReadOutcome::Failed(_)) => Some(ReadTold::Failed),
        Told::Nothing | Told::Published { .. } | Told::Unchanged { .. } | Told::InDoubt { .. } => {
            None
        }
    }
}
