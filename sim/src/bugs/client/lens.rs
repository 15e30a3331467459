//! A writer that sees other headers than there are: what it is shown is signed anew, and what it asks for is turned
//! back into what there is. For bugs that lie so deep in the machine that only what it knows can mislead it.

use std::collections::BTreeMap;
use std::fmt::Debug;

use tarn_client::base::HighWater;
use tarn_client::publish::action::{Action, Cut, Draft};
use tarn_client::publish::event::Event;
use tarn_client::publish::outcome::Outcome;
use tarn_client::publish::{Follows, Publish, Request};
use tarn_proto::state::{Expected, Tests};
use tarn_proto::{Certificate, Header, HistoryEntry, SignedHeader, SlotState, VersionId};

use crate::ids::ClientId;
use crate::plant::Plant;
use crate::setup::key;
use crate::world::World;

/// What a bug mistakes.
pub(super) trait Mistake: Debug + Clone + Send + Sync + 'static {
    /// What it takes a header for.
    fn takes(&self, _world: &World, _client: ClientId, header: &Header) -> Header {
        header.clone()
    }

    /// A publish begins.
    fn begins(&mut self, _world: &World, _client: ClientId, _request: &mut Request) {}

    /// What it really drafts.
    fn drafts(&mut self, _client: ClientId, _draft: &mut Draft) {}

    /// It commits what it drafted.
    fn commits(&mut self, _client: ClientId) {}
}

/// Between a writer and the world.
#[derive(Debug, Clone)]
pub(super) struct Lens<M> {
    mistake: M,
    /// What is behind each version that a writer was shown in place of another.
    real: BTreeMap<(ClientId, VersionId), SignedHeader>,
    /// What a writer believes to have drafted, and what it has.
    drafts: BTreeMap<ClientId, (Draft, Draft)>,
}

impl<M: Mistake> Lens<M> {
    pub(super) const fn new(mistake: M) -> Self {
        Self { mistake, real: BTreeMap::new(), drafts: BTreeMap::new() }
    }

    fn show(&mut self, world: &World, client: ClientId, header: &SignedHeader) -> SignedHeader {
        let taken = self.mistake.takes(world, client, header.header());
        if taken == *header.header() {
            return header.clone();
        }
        let shown = SignedHeader::sign(key(), taken);
        self.real.insert((client, shown.version()), header.clone());
        shown
    }

    fn show_version(&mut self, world: &World, client: ClientId, version: VersionId) -> VersionId {
        match world.made(version) {
            Some(made) => self.show(world, client, &made.header).version(),
            None => version,
        }
    }

    fn show_state(&mut self, world: &World, client: ClientId, state: &mut SlotState) {
        if let Some(floor) = &mut state.floor {
            *floor = self.show(world, client, floor);
        }
        for generation in &mut state.generations {
            generation.header = self.show(world, client, &generation.header);
        }
        for certificate in &mut state.certificates {
            let shown = self.show_version(world, client, certificate.version());
            *certificate = Certificate::sign(key(), certificate.sequence_number(), shown);
        }
        for HistoryEntry { version, predecessor, .. } in &mut state.history {
            *version = self.show_version(world, client, *version);
            *predecessor = predecessor.map(|id| self.show_version(world, client, id));
        }
    }

    /// The header that was made is shown as the one that was drafted.
    fn show_own(&mut self, client: ClientId, header: &SignedHeader) -> SignedHeader {
        let Some((believed, real)) = self.drafts.get(&client) else { return header.clone() };
        if !real.is_of(header.header()) || believed == real {
            return header.clone();
        }
        let Header { table_root, key_check, geometry, .. } = header.header();
        let geometry = match believed.cut {
            Cut::Known(geometry) => geometry,
            Cut::Open { .. } => *geometry,
        };
        let shown = believed.complete(geometry, *table_root, *key_check);
        let shown = SignedHeader::sign(key(), shown);
        self.real.insert((client, shown.version()), header.clone());
        shown
    }

    fn version(&self, client: ClientId, shown: VersionId) -> VersionId {
        self.real.get(&(client, shown)).map_or(shown, SignedHeader::version)
    }

    fn header(&self, client: ClientId, shown: &SignedHeader) -> SignedHeader {
        self.real.get(&(client, shown.version())).unwrap_or(shown).clone()
    }

    fn certificate(&self, client: ClientId, shown: &Certificate) -> Certificate {
        let version = self.version(client, shown.version());
        Certificate::sign(key(), shown.sequence_number(), version)
    }

    fn tests(&self, client: ClientId, tests: &mut Tests) {
        for expected in tests.shares.values_mut() {
            if let Expected::Version(version) = expected {
                *version = self.version(client, *version);
            }
        }
    }

    fn outcome(&self, client: ClientId, outcome: &mut Outcome) {
        match outcome {
            Outcome::Published(published) => {
                published.version = self.version(client, published.version);
                published.header =
                    published.header.as_ref().map(|header| self.header(client, header));
            }
            Outcome::UncoordinatedWrite { theirs: header } | Outcome::Stale { now: header } => {
                *header = header.as_ref().map(|header| self.header(client, header));
            }
            Outcome::Partial(landed) | Outcome::Unknown(landed) => {
                landed.header = self.header(client, &landed.header);
            }
            Outcome::Contended
            | Outcome::NotEnoughServers(_)
            | Outcome::BaseMissing(_)
            | Outcome::InputUsedUp
            | Outcome::Undecided(_)
            | Outcome::Cancelled
            | Outcome::SourceChanged
            | Outcome::Failed { .. } => {}
        }
    }

    fn turn_back(&mut self, client: ClientId, action: &mut Action) {
        match action {
            Action::Prepare { draft, finalize, ancestors, lanes } => {
                let believed = draft.clone();
                draft.predecessor = draft.predecessor.map(|id| self.version(client, id));
                self.mistake.drafts(client, draft);
                self.drafts.insert(client, (believed, draft.clone()));
                if let Some((_, version)) = finalize {
                    *version = self.version(client, *version);
                }
                for header in ancestors {
                    *header = self.header(client, header);
                }
                for lane in lanes {
                    self.tests(client, &mut lane.tests);
                }
            }
            Action::Retest { tests, .. } => self.tests(client, tests),
            Action::Journal { header, .. } => *header = self.header(client, header),
            Action::Commit { header, .. } => {
                *header = self.header(client, header);
                self.mistake.commits(client);
            }
            Action::Bring { header, certificate, ancestors, .. } => {
                *header = self.header(client, header);
                *certificate =
                    certificate.map(|certificate| self.certificate(client, &certificate));
                for header in ancestors {
                    *header = self.header(client, header);
                }
            }
            Action::Finalize { version, .. } => *version = self.version(client, *version),
            Action::Finish(report) => self.outcome(client, &mut report.outcome),
            Action::Query { .. }
            | Action::Extend { .. }
            | Action::Release { .. }
            | Action::WaitUntil { .. } => {}
        }
    }
}

impl<M: Mistake> Plant for Lens<M> {
    fn begins(&mut self, world: &World, client: ClientId, request: &mut Request) {
        self.mistake.begins(world, client, request);
        if let Follows::Version(version) = &mut request.follows {
            *version = self.show_version(world, client, *version);
        }
        let seen = request.high_water.and_then(|seen| world.made(seen.version));
        if let Some(made) = seen {
            request.high_water = Some(HighWater::of(&self.show(world, client, &made.header)));
        }
    }

    fn hears(
        &mut self,
        world: &World,
        client: ClientId,
        _: &mut Publish,
        mut event: Event,
    ) -> Vec<Event> {
        match &mut event {
            Event::Mapped { state, .. }
            | Event::Sealed { state, .. }
            | Event::Refused { state: Some(state), .. } => self.show_state(world, client, state),
            Event::Encoded { header } => *header = self.show_own(client, header),
            Event::Refused { state: None, .. }
            | Event::Started
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
            | Event::CancelRequested => {}
        }
        vec![event]
    }

    fn does(&mut self, _: &World, client: ClientId, mut actions: Vec<Action>) -> Vec<Action> {
        for action in &mut actions {
            self.turn_back(client, action);
        }
        actions
    }
}
