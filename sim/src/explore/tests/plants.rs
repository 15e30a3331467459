//! Bugs that a search must find, each around the real machines.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;

use tarn_client::publish::Publish;
use tarn_client::publish::event::Event;
use tarn_proto::state::Tests;
use tarn_proto::{ConversationId, ShareNumber, SlotState, StoreId};
use tarn_server::manifest::Manifest;
use tarn_server::slot::Claim;

use crate::ids::{ClientId, ServerId};
use crate::made::Made;
use crate::plant::Plant;
use crate::world::{Request, Server, World};

/// The base is chosen from the map, and what servers say under promise is not looked at.
#[derive(Debug, Clone, Default)]
pub(super) struct MapAlone(BTreeMap<(ClientId, StoreId), SlotState>);

impl Plant for MapAlone {
    fn boxed(&self) -> Box<dyn Plant> {
        Box::new(self.clone())
    }

    fn hears(&mut self, _: &World, id: ClientId, _: &mut Publish, event: Event) -> Vec<Event> {
        vec![match event {
            Event::Mapped { message, state } => {
                self.0.insert((id, state.store), state.clone());
                Event::Mapped { message, state }
            }
            Event::Sealed { message, state, promise } => {
                let mapped = self.0.get(&(id, state.store)).cloned();
                Event::Sealed { message, state: mapped.unwrap_or(state), promise }
            }
            other => other,
        }]
    }
}

/// A commit keeps nothing of what was there before.
#[derive(Debug, Clone)]
pub(super) struct DropsPrevious;

impl Plant for DropsPrevious {
    fn boxed(&self) -> Box<dyn Plant> {
        Box::new(self.clone())
    }

    fn changes(&mut self, _: ServerId, _: &Manifest, next: &mut Manifest) {
        next.generations.truncate(1);
    }
}

/// What was sealed is not remembered once the promise is over.
#[derive(Debug, Clone)]
pub(super) struct ForgetsSealed;

impl Plant for ForgetsSealed {
    fn boxed(&self) -> Box<dyn Plant> {
        Box::new(self.clone())
    }

    fn changes(&mut self, _: ServerId, _: &Manifest, next: &mut Manifest) {
        next.sealed = None;
    }
}

/// A commit is accepted although somebody else has sealed since, if only its tests pass and no promise holds.
#[derive(Clone, Default)]
pub(super) struct NoFence(BTreeMap<(ServerId, ConversationId), Sealing>);

type Sealing = (Tests, BTreeSet<ShareNumber>, Arc<Made>);

/// What it remembers says no more than what was served.
impl fmt::Debug for NoFence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("NoFence")
    }
}

impl Plant for NoFence {
    fn boxed(&self) -> Box<dyn Plant> {
        Box::new(self.clone())
    }

    fn serves(&mut self, now: u64, server: &mut Server, request: &mut Request) -> bool {
        let (id, now) = (server.id(), server.now(now));
        if let Request::Seal { conversation, tests, shares, made, .. } = request {
            let sealing = (tests.clone(), shares.clone(), Arc::clone(made));
            self.0.insert((id, *conversation), sealing);
        }
        if let Request::Commit { conversation, .. } = request
            && let Some((tests, shares, made)) = self.0.get(&(id, *conversation))
            && let Some(slot) = server.slot_mut()
        {
            let header = made.prepared(id.store());
            let claim = Claim { header, tests: tests.clone(), discard: None };
            // Refused where the real slot would refuse too.
            let _ = slot.seal(now, *conversation, claim, made.write(shares));
        }
        true
    }
}
