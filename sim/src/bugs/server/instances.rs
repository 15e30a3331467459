//! Writing what follows from a state that is no longer so.

use std::collections::{BTreeMap, VecDeque};

use tarn_proto::ConversationId;
use tarn_server::manifest::Manifest;

use crate::bugs::{Bug, Found};
use crate::ids::ServerId;
use crate::plant::Plant;
use crate::world::{Reply, Request, Server};

pub(super) const STALE_OVERWRITE: Bug = Bug {
    name: "stale-overwrite",
    hazard: Some("H2"),
    sentence: "a conversation loads the slot when it seals, and its commit writes all of that back",
    plant: || Box::new(StaleOverwrite::default()),
    tune: |_| (),
    found: Found::BySeed(0),
};

pub(super) const LOAD_BEFORE_LOCK: Bug = Bug {
    name: "load-before-lock",
    hazard: Some("H5"),
    sentence: "a request is judged on the slot as it was before the request waited for the lock",
    plant: || Box::new(LoadBeforeLock::default()),
    tune: |_| (),
    found: Found::BySeed(0),
};

/// Each conversation has an instance of the slot of its own.
#[derive(Debug, Clone, Default)]
struct StaleOverwrite {
    loaded: BTreeMap<(ServerId, ConversationId), Manifest>,
}

impl Plant for StaleOverwrite {
    fn boxed(&self) -> Box<dyn Plant> {
        Box::new(self.clone())
    }

    fn serves(&mut self, _now: u64, server: &mut Server, request: &mut Request) -> bool {
        if let Request::Commit { conversation, .. } = request
            && let Some(stale) = self.loaded.remove(&(server.id(), *conversation))
        {
            believe(server, stale);
        }
        true
    }

    fn says(&mut self, _now: u64, server: &mut Server, request: &Request, reply: &mut Reply) {
        if let (Request::Seal { conversation, .. }, Reply::Sealed { .. }) = (&request, &reply) {
            self.loaded.insert((server.id(), *conversation), server.disk().clone());
        }
        let disk = server.disk().clone();
        believe(server, disk);
    }

    fn restarts(&mut self, server: &mut Server) {
        self.loaded.retain(|(id, _), _| *id != server.id());
    }
}

/// What the slot was when each of the waiting requests arrived, in their order.
#[derive(Debug, Clone, Default)]
struct LoadBeforeLock {
    arrived: BTreeMap<ServerId, VecDeque<Manifest>>,
}

impl Plant for LoadBeforeLock {
    fn boxed(&self) -> Box<dyn Plant> {
        Box::new(self.clone())
    }

    fn waits(&mut self, server: &mut Server, _request: &Request) {
        self.arrived.entry(server.id()).or_default().push_back(server.disk().clone());
    }

    fn serves(&mut self, _now: u64, server: &mut Server, request: &mut Request) -> bool {
        let waited = self.arrived.get_mut(&server.id()).and_then(VecDeque::pop_front);
        let writes = matches!(
            request,
            Request::Commit { .. } | Request::Bring { .. } | Request::Finalize { .. }
        );
        if let Some(loaded) = waited.filter(|_| writes) {
            believe(server, loaded);
        }
        true
    }

    fn says(&mut self, _now: u64, server: &mut Server, _request: &Request, _reply: &mut Reply) {
        let disk = server.disk().clone();
        believe(server, disk);
    }

    fn restarts(&mut self, server: &mut Server) {
        self.arrived.remove(&server.id());
    }
}

/// Until it is told otherwise, the slot judges by this.
fn believe(server: &mut Server, manifest: Manifest) {
    if let Some(slot) = server.slot_mut() {
        slot.became(manifest);
    }
}
