//! Learning what is there, and bringing what is in doubt to a quorum.

use std::collections::BTreeSet;

use tarn_proto::{ShareHealth, ShareNumber, SignedHeader, SlotState, StoreId, VersionId};

use super::action::Action;
use super::outcome::During;
use super::{Kind, Phase, ROUNDS_MAX, Retrieve};
use crate::base::{Base, Choice, Evidence, Origin};
use crate::bring::Bring;
use crate::quorum::Placement;
use crate::servermap::{Failure, Mapping, stores_to_ask};

impl Retrieve {
    /// Begins with what the caller has learnt, or by asking.
    pub(super) fn begin(&mut self) {
        match self.request.map.take() {
            // Which version is the newest shows only to whoever asks now.
            Some(map) if self.request.version.is_some() => {
                self.servermap = map;
                self.choose();
            }
            Some(_) | None => self.map(),
        }
    }

    /// Begins a round.
    pub(super) fn map(&mut self) {
        self.rounds += 1;
        let reachable: BTreeSet<StoreId> = self.roster.0.iter().copied().collect();
        let mapping = Mapping::begin(self.now, self.to_ask(), reachable, self.patience)
            .suspecting(self.request.suspects.clone());
        let asked = mapping.pending().clone();
        self.phase = Phase::Mapping(mapping);
        for server in asked {
            self.query(server);
        }
    }

    fn query(&mut self, server: StoreId) {
        let message = self.send(server, Kind::Query);
        self.actions.push(Action::Query { message, server });
    }

    fn to_ask(&self) -> Vec<StoreId> {
        let window = match (&self.found, &self.request.origin) {
            (Some(found), _) => Some(&found.header.header().window),
            (None, Origin::Creator(window)) => Some(window),
            (None, Origin::CapHolder) => None,
        };
        stores_to_ask(window, &self.roster.0)
    }

    /// A server answered. One that answers late, while its version is being read already, is one more source.
    pub(super) fn mapped(&mut self, server: StoreId, state: SlotState) {
        match &mut self.phase {
            Phase::Mapping(mapping) => {
                for named in mapping.answered(self.now, server, state) {
                    self.query(named);
                }
            }
            Phase::Reading => {
                let Some(found) = &self.found else { return };
                let shares = self.readable(server, &state, found.header.version());
                if !shares.is_empty() {
                    self.sources.insert(server, shares.clone());
                    if let Some(fetch) = &mut self.fetch {
                        fetch.add_source(self.now, server, shares);
                    }
                }
            }
            Phase::Idle | Phase::BackingOff { .. } | Phase::Bringing { .. } | Phase::Ended => {}
        }
    }

    /// The shares of a version that a server says are whole, but for those known to be bad.
    fn readable(
        &self,
        server: StoreId,
        state: &SlotState,
        version: VersionId,
    ) -> BTreeSet<ShareNumber> {
        let bad =
            |share: &ShareNumber| self.bad.get(&server).is_some_and(|bad| bad.contains(share));
        let held = state.generation(version).map(|generation| generation.shares.iter());
        held.into_iter()
            .flatten()
            .filter(|(share, health)| **health == ShareHealth::Whole && !bad(share))
            .map(|(&share, _)| share)
            .collect()
    }

    /// Who, by the map, has shares of this version that can be read.
    pub(super) fn sources_of(&self, version: VersionId) -> Placement {
        let answers = self.servermap.answers.iter();
        answers
            .map(|(&server, state)| (server, self.readable(server, state, version)))
            .filter(|(_, shares)| !shares.is_empty())
            .collect()
    }

    pub(super) fn map_failed(&mut self, server: StoreId, failure: Failure) {
        self.trouble(server, During::Map, failure.clone());
        if let Phase::Mapping(mapping) = &mut self.phase {
            mapping.failed(self.now, server, failure);
        }
    }

    /// Whether what has answered so far would do, if the others are late.
    pub(super) fn map_suffices(&self, mapping: &Mapping) -> bool {
        let map = mapping.map();
        if let Some(version) = self.version_wanted() {
            return map.evidence().seen(version).is_some_and(|seen| seen.is_recoverable());
        }
        match map.choose(&self.request.origin) {
            Choice::Chosen { .. } => true,
            Choice::Undecided(_) => false,
        }
    }

    /// Whether nothing that is still to come could change the choice: a certain version stays so.
    fn is_settled(&self, mapping: &Mapping) -> bool {
        if self.version_wanted().is_some() {
            return false;
        }
        match mapping.map().choose(&self.request.origin) {
            Choice::Chosen { base: Base::Version(header), certain: true } => {
                !self.is_rollback(&header)
            }
            Choice::Chosen { base: Base::Version(_), certain: false }
            | Choice::Chosen { base: Base::Empty(_), .. }
            | Choice::Undecided(_) => false,
        }
    }

    /// The one version to be read: the caller named it, or was told of it already.
    fn version_wanted(&self) -> Option<VersionId> {
        let announced = self.found.as_ref().filter(|_| self.announced);
        announced.map(|found| found.header.version()).or(self.request.version)
    }

    pub(super) fn is_rollback(&self, header: &SignedHeader) -> bool {
        !self.request.allow_rollback
            && self.request.high_water.is_some_and(|seen| !seen.admits(header))
    }

    pub(super) fn maintain_mapping(&mut self) {
        let Phase::Mapping(mapping) = &self.phase else {
            return;
        };
        if !mapping.is_over(self.now, self.map_suffices(mapping)) && !self.is_settled(mapping) {
            return;
        }
        let mut mapping = mapping.clone();
        let is_settled = self.is_settled(&mapping);
        let late = mapping.pending().clone();
        mapping.give_up(self.now);
        self.servermap = mapping.into_map();
        for server in late.into_iter().filter(|_| !is_settled) {
            if let Some(failure) = self.servermap.failures.get(&server).cloned() {
                self.trouble(server, During::Map, failure);
            }
        }
        self.choose();
    }

    pub(super) fn evidence(&self) -> Evidence {
        self.servermap.evidence()
    }

    /// Brings a version in doubt to a quorum before it is read.
    pub(super) fn bring(&mut self, header: &SignedHeader) {
        let bring = Box::new(Bring::plan(header, &self.servermap, &self.roster.0));
        self.phase = Phase::Bringing { bring, refused: false };
    }

    pub(super) fn maintain_bringing(&mut self) {
        // What an earlier round brings a server may be on its way still; its answer says nothing of this version.
        let brought = self.outstanding.values().filter(|sent| sent.kind == Kind::Bring);
        let busy = brought.map(|sent| sent.server).collect();
        let Phase::Bringing { bring, refused } = &mut self.phase else {
            return;
        };
        let header = bring.header().clone();
        if bring.is_quorum() {
            return self.open(&header, true);
        }
        let sending = bring.send_but(&busy);
        if sending.is_empty() && bring.is_idle() {
            // Whoever refused saw something else than the map did: it may be worth another look.
            if *refused && self.rounds < ROUNDS_MAX {
                return self.begin_anew();
            }
            return self.unconfirmed(&header);
        }
        let bring = bring.clone();
        for (server, shares) in sending {
            let (message, conversation) =
                (self.send(server, Kind::Bring), self.draw_conversation());
            self.actions.push(Action::Bring {
                message,
                server,
                conversation,
                header: header.clone(),
                certificate: bring.certificate(),
                ancestors: bring.ancestors().to_vec(),
                shares,
                sources: bring.sources().clone(),
            });
        }
    }

    pub(super) fn brought(&mut self, server: StoreId) {
        if let Phase::Bringing { bring, .. } = &mut self.phase {
            bring.arrived(server);
        }
    }

    pub(super) fn not_brought(&mut self, server: StoreId, failure: Failure) {
        let was_refused = matches!(failure, Failure::Refused(_));
        self.trouble(server, During::Bring, failure);
        if let Phase::Bringing { bring, refused } = &mut self.phase {
            bring.failed(server);
            *refused |= was_refused;
        }
    }
}
