//! Bugs in how a writer chooses what to build on, and how it makes sure that it still may.

use std::collections::BTreeMap;

use tarn_client::base::Origin;
use tarn_client::publish::action::Action;
use tarn_client::publish::event::Event;
use tarn_client::publish::{Publish, Request, Step};
use tarn_client::retrieve;
use tarn_proto::{
    Generation, Header, Origin as Came, SequenceNumber, ShareHealth, ShareNumber, SignedHeader,
    SlotState, VersionId, Window,
};

use super::lens::Mistake;
use crate::event::{Lie, Manner};
use crate::ids::ClientId;
use crate::plant::Plant;
use crate::setup::key;
use crate::world::{Reply, Request as Asked, Server, World};

/// The slot state that an event tells of.
fn state_of(event: &mut Event) -> Option<&mut SlotState> {
    match event {
        Event::Mapped { state, .. }
        | Event::Sealed { state, .. }
        | Event::Refused { state: Some(state), .. } => Some(state),
        Event::Refused { state: None, .. }
        | Event::Started
        | Event::Encoded { .. }
        | Event::Progressed { .. }
        | Event::Stalled { .. }
        | Event::Extended { .. }
        | Event::LeftToNext { .. }
        | Event::Journaled
        | Event::JournalFailed { .. }
        | Event::Written { .. }
        | Event::Failed { .. }
        | Event::SourceFailed(_)
        | Event::TimedOut { .. }
        | Event::CancelRequested => None,
    }
}

/// What each writer builds on in its present round.
#[derive(Debug, Clone, Default)]
struct Bases(BTreeMap<ClientId, Option<VersionId>>);

impl Bases {
    fn note(&mut self, client: ClientId, actions: &[Action]) -> bool {
        let mut noted = false;
        for action in actions {
            if let Action::Prepare { draft, .. } = action {
                self.0.insert(client, draft.predecessor);
                noted = true;
            }
        }
        noted
    }

    /// A state from which nobody would choose anything but the base.
    fn agreeing(&self, world: &World, client: ClientId, state: &SlotState) -> SlotState {
        let mut agreeing =
            SlotState { conversation: state.conversation, ..SlotState::empty(state.store) };
        let base = self.0.get(&client).copied().flatten();
        if let Some(made) = base.and_then(|version| world.made(version)) {
            let shares = ShareNumber::all(made.header.header().shape.n());
            agreeing.floor = Some(made.header.clone());
            agreeing.certificates.push(made.certificate);
            agreeing.generations.push(Generation {
                header: made.header.clone(),
                shares: shares.map(|share| (share, ShareHealth::Whole)).collect(),
                origin: Came::Brought,
            });
        }
        agreeing
    }
}

/// What the servers say that have promised is not looked at: the map was good enough.
#[derive(Debug, Clone, Default)]
pub(super) struct MapAlone(Bases);

impl Plant for MapAlone {
    fn hears(
        &mut self,
        world: &World,
        client: ClientId,
        _: &mut Publish,
        mut event: Event,
    ) -> Vec<Event> {
        if let Event::Sealed { state, .. } = &mut event {
            *state = self.0.agreeing(world, client, state);
        }
        vec![event]
    }

    fn does(&mut self, _: &World, client: ClientId, actions: Vec<Action>) -> Vec<Action> {
        self.0.note(client, &actions);
        actions
    }
}

/// After the decision nothing is looked at again: whatever quorum accepts is a quorum. Beside the machine a twin runs
/// that hears of no reason to doubt; it takes over when the decision is made.
#[derive(Debug, Clone, Default)]
pub(super) struct FinishUnchecked {
    bases: Bases,
    twins: BTreeMap<ClientId, Box<Publish>>,
}

impl Plant for FinishUnchecked {
    fn hears(
        &mut self,
        world: &World,
        client: ClientId,
        machine: &mut Publish,
        event: Event,
    ) -> Vec<Event> {
        let Some(twin) = self.twins.get_mut(&client) else { return vec![event] };
        if event == Event::Journaled {
            if twin.progress() == machine.progress() {
                *machine = Publish::clone(twin);
            }
            self.twins.remove(&client);
            return vec![event];
        }
        let mut told = event.clone();
        if let Event::Sealed { state, .. } = &mut told {
            *state = self.bases.agreeing(world, client, state);
        }
        twin.step(world.elapsed(client), told);
        vec![event]
    }

    fn does(&mut self, world: &World, client: ClientId, actions: Vec<Action>) -> Vec<Action> {
        let machine = world.client(client).map(crate::world::Client::machine);
        if self.bases.note(client, &actions)
            && let Some(crate::world::Machine::Publish(machine)) = machine
            && machine.progress().step == Step::Preparing
        {
            self.twins.insert(client, machine.clone());
        }
        actions
    }
}

/// The newest version by its sequence number is the base, whether or not it can have been Published, and whatever
/// else may have been.
#[derive(Debug, Clone)]
pub(super) struct NewestWins;

impl Plant for NewestWins {
    fn hears(
        &mut self,
        world: &World,
        client: ClientId,
        _: &mut Publish,
        mut event: Event,
    ) -> Vec<Event> {
        let own = world.client(client).and_then(|client| client.attempt());
        if let Some(state) = state_of(&mut event) {
            let current = state.current().map(|current| &current.header);
            let foreign = current.filter(|header| Some(header.header().attempt) != own);
            if let Some(made) = foreign.and_then(|header| world.made(header.version())) {
                let certificate = made.certificate;
                if !state.certificates.contains(&certificate) {
                    state.certificates.push(certificate);
                }
            }
        }
        vec![event]
    }
}

/// The writers' word that a version was Published counts for nothing.
#[derive(Debug, Clone)]
pub(super) struct CertificatesIgnored;

impl Plant for CertificatesIgnored {
    fn hears(&mut self, _: &World, _: ClientId, _: &mut Publish, mut event: Event) -> Vec<Event> {
        if let Some(state) = state_of(&mut event) {
            state.certificates.clear();
        }
        vec![event]
    }

    fn reader_hears(
        &mut self,
        _: &World,
        _: ClientId,
        mut event: retrieve::event::Event,
    ) -> Vec<retrieve::event::Event> {
        if let retrieve::event::Event::Mapped { state, .. } = &mut event {
            state.certificates.clear();
        }
        vec![event]
    }
}

/// What a version was built on is not known to be its ancestor, and speaks against it.
#[derive(Debug, Clone)]
pub(super) struct NoAncestors;

impl Mistake for NoAncestors {
    fn takes(&self, _: &World, _: ClientId, header: &Header) -> Header {
        Header { predecessor: None, ..header.clone() }
    }
}

/// Nobody may begin from nothing.
#[derive(Debug, Clone)]
pub(super) struct NoEmptyBase;

impl Plant for NoEmptyBase {
    fn begins(&mut self, _: &World, _: ClientId, request: &mut Request) {
        request.origin = Origin::CapHolder;
    }
}

/// The window is the first stores of the grid as it is now, whatever the headers say.
#[derive(Debug, Clone, Default)]
pub(super) struct WindowOfGrid(BTreeMap<ClientId, Window>);

impl Mistake for WindowOfGrid {
    fn takes(&self, _: &World, client: ClientId, header: &Header) -> Header {
        let window = self.0.get(&client).unwrap_or(&header.window).clone();
        Header { window, ..header.clone() }
    }

    fn begins(&mut self, world: &World, client: ClientId, request: &mut Request) {
        let there = world.servers().filter(|server| !server.is_destroyed());
        let stores = there.map(|server| server.id().store()).take(world.setup().window.into());
        let Ok(window) = Window::new(stores.collect()) else { return };
        if let Origin::Creator(known) = &mut request.origin {
            known.clone_from(&window);
        }
        self.0.insert(client, window);
    }
}

/// A floor is believed without a look at its signature.
#[derive(Debug, Clone)]
pub(super) struct FloorBelieved;

impl Plant for FloorBelieved {
    fn says(&mut self, now: u64, server: &mut Server, _: &Asked, reply: &mut Reply) {
        if server.manner() != Manner::Lying(Lie::ForgesFloor) {
            return;
        }
        let (Reply::Forged(_), Some(mut state)) = (&*reply, server.state(now)) else { return };
        let Some(floor) = &state.floor else { return };
        // The type of a signed header lets nobody else's signature in: the owner's stands for the forged one.
        let number = SequenceNumber::new(floor.header().sequence_number.get() + 1_000_000);
        let Some(sequence_number) = number else { return };
        let forged = Header { sequence_number, ..floor.header().clone() };
        state.floor = Some(SignedHeader::sign(key(), forged));
        *reply = Reply::State(state);
    }
}
