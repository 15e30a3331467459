//! Writing what follows from a state that is no longer so.

use std::collections::{BTreeMap, VecDeque};

use tarn_proto::ConversationId;
use tarn_server::manifest::Manifest;
use tarn_server::slot::Change;

use crate::bugs::{Bug, Found};
use crate::ids::ServerId;
use crate::plant::Plant;
use crate::world::{Handled, Reply, Request, Server, Stage};

pub(super) const STALE_OVERWRITE: Bug = Bug {
    name: "stale-overwrite",
    hazard: Some("H2"),
    sentence: "a conversation loads the slot when it seals, and its commit writes all of that back",
    plant: || Box::new(StaleOverwrite::default()),
    tune: |_| (),
    found: Found::BySeed(31),
};

pub(super) const LOAD_BEFORE_LOCK: Bug = Bug {
    name: "load-before-lock",
    hazard: Some("H5"),
    sentence: "a request is judged on the slot as it was before the request waited for the lock",
    plant: || Box::new(LoadBeforeLock::default()),
    tune: |_| (),
    found: Found::BySeed(135),
};

/// Each conversation has an instance of the slot of its own.
#[derive(Debug, Clone, Default)]
struct StaleOverwrite {
    loaded: BTreeMap<(ServerId, ConversationId), Manifest>,
}

impl Plant for StaleOverwrite {
    fn says(&mut self, _now: u64, server: &mut Server, request: &Request, reply: &mut Reply) {
        if let (Request::Seal { conversation, .. }, Reply::Sealed { .. }) = (&request, &reply) {
            self.loaded.insert((server.id(), *conversation), server.disk().clone());
        }
    }

    fn handles(
        &mut self,
        now: u64,
        server: &mut Server,
        request: &Request,
        stage: &Stage,
    ) -> Option<Handled> {
        let Request::Commit { conversation, .. } = request else { return None };
        let loaded = self.loaded.get(&(server.id(), *conversation))?;
        as_it_was(loaded, now, server, request, stage)
    }

    fn restarts(&mut self, server: &mut Server) {
        self.loaded.retain(|(id, _), _| *id != server.id());
    }
}

/// What each slot was when the requests that wait for its lock arrived, in their order; and when the one arrived that
/// is handled now.
#[derive(Debug, Clone, Default)]
struct LoadBeforeLock {
    waiting: BTreeMap<ServerId, VecDeque<Manifest>>,
    handled: BTreeMap<ServerId, Manifest>,
}

impl Plant for LoadBeforeLock {
    fn waits(&mut self, server: &mut Server, _request: &Request) {
        self.waiting.entry(server.id()).or_default().push_back(server.disk().clone());
    }

    fn serves(&mut self, _now: u64, server: &mut Server, _request: &mut Request) -> bool {
        self.handled.remove(&server.id());
        let waited = self.waiting.get_mut(&server.id()).and_then(VecDeque::pop_front);
        self.handled.extend(waited.map(|loaded| (server.id(), loaded)));
        true
    }

    fn handles(
        &mut self,
        now: u64,
        server: &mut Server,
        request: &Request,
        stage: &Stage,
    ) -> Option<Handled> {
        as_it_was(self.handled.get(&server.id())?, now, server, request, stage)
    }

    fn restarts(&mut self, server: &mut Server) {
        self.waiting.remove(&server.id());
        self.handled.remove(&server.id());
    }
}

/// What a request that writes makes of the slot as it was; none if that is nothing.
fn as_it_was(
    loaded: &Manifest,
    now: u64,
    server: &Server,
    request: &Request,
    stage: &Stage,
) -> Option<Handled> {
    let (now, mut slot) = (server.now(now), server.slot()?.clone());
    slot.became(loaded.clone());
    let change = match request {
        Request::Commit { conversation, header } => {
            slot.commit(now, *conversation, header.signature())
        }
        Request::Bring { made, shares, certificate, ancestors } => {
            slot.bring(now, made.header.clone(), made.write(shares), *certificate, ancestors)
        }
        Request::Finalize { certificate } => slot.finalize(*certificate),
        Request::Query { .. }
        | Request::Seal { .. }
        | Request::Extend { .. }
        | Request::End { .. }
        | Request::ReadRows { .. }
        | Request::ReadBlocks { .. } => return None,
    };
    match change {
        Ok(Change::Becomes(manifest)) if *stage == Stage::Arrived => {
            Some(Handled::write(manifest, Stage::Done))
        }
        Ok(Change::Becomes(_) | Change::AlreadySo) | Err(_) => None,
    }
}
