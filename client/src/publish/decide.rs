//! Step 4 of a publish: when enough servers have promised, choose the base again from what they say; or begin anew.
//! Also what is done while waiting for that: renewing promises, finding new homes, giving up on the late.

use std::collections::{BTreeMap, BTreeSet};

use tarn_proto::{ShareNumber, SignedHeader, SlotState, StoreId};

use super::action::{Action, Draft, Why};
use super::lane::{Lane, LaneState};
use super::outcome::{During, Outcome};
use super::{Encoded, Input, Kind, Phase, Publish, ROUNDS_MAX};
use crate::base::{Choice, Evidence, choose};
use crate::quorum::{Placement, is_quorum};
use crate::servermap::Failure;
use crate::time::Millis;

impl Publish {
    pub(super) fn maintain_preparing(&mut self) {
        if self.cancelled {
            return self.cancel();
        }
        if self.surprise {
            return self.begin_anew();
        }
        if self.reads_on_for_nothing() {
            return self.begin_anew();
        }
        self.renew_promises();
        self.give_up_late_lanes();
        self.rehome();
        if self.lanes.values().any(Lane::is_awaited) {
            return;
        }
        let Phase::Preparing { encoded, .. } = &self.phase else { return };
        let header = encoded.as_ref().map(|encoded| encoded.header.clone());
        if let Some(header) = header.filter(|_| self.sealed_are_quorum()) {
            self.decide(header);
        } else if self.lanes.values().any(Lane::is_preparing) && !self.out_of_patience() {
            // Too few without those that are late: they are waited for after all.
        } else if self.rounds >= ROUNDS_MAX {
            self.release_all();
            self.finish_unchanged(Outcome::Contended);
        } else {
            self.avoid_unsealed();
            self.begin_anew();
        }
    }

    /// Whether no quorum is left to seal what is read now and cannot be read again: no share finds a new home.
    fn reads_on_for_nothing(&self) -> bool {
        let lanes = self.lanes.iter().map(|(&store, lane)| (store, lane.shares.clone()));
        let quorum = |draft: &Draft| is_quorum(draft.terms(), &lanes.collect());
        self.used_up && !self.draft.as_ref().is_some_and(quorum)
    }

    /// Gives the shares that lost their server to servers that have no conversation yet. What is changed in place has
    /// no other place, and what can be read only once is not encoded again.
    fn rehome(&mut self) {
        let Input::Whole { .. } = self.request.input else { return };
        let Some(draft) = self.draft.as_ref() else { return };
        let in_time = self.lanes.values().filter(|lane| !lane.is_late());
        let housed: BTreeSet<ShareNumber> =
            in_time.flat_map(|lane| &lane.shares).copied().collect();
        let homeless: Vec<ShareNumber> =
            ShareNumber::all(draft.shape.n()).filter(|share| !housed.contains(share)).collect();
        let answered = self.servermap.answers.keys().copied().collect();
        let fresh: Vec<StoreId> = self
            .usable(&answered)
            .into_iter()
            .filter(|store| !self.lanes.contains_key(store) && !self.busy.contains(store))
            .filter(|store| draft.terms().windows().any(|window| window.contains(*store)))
            .collect();
        if homeless.is_empty() || fresh.is_empty() {
            return;
        }
        let mut goal = Placement::new();
        for (share, store) in homeless.into_iter().zip(fresh.into_iter().cycle()) {
            goal.entry(store).or_default().insert(share);
        }
        self.open_lanes(goal);
    }

    /// Chooses the base again, from what the servers that promised say and nothing else: a map is not a snapshot,
    /// but while promises hold nothing can change under this choice.
    fn decide(&mut self, header: SignedHeader) {
        if !self.may_commit() {
            return self.begin_anew();
        }
        let unsealed: Vec<StoreId> = self
            .lanes
            .iter()
            .filter(|(_, lane)| lane.is_preparing())
            .map(|(&store, _)| store)
            .collect();
        for server in unsealed {
            self.let_go(server);
        }
        let placement = self.sealed_placement();
        self.phase = Phase::Journaling { header: header.clone() };
        self.actions.push(Action::Journal { header, placement });
    }

    /// Whether what is sealed is a quorum and leads to the base that the version was made on; and whether nothing of our
    /// submission is below that, or may be: the map may have been too early to show it.
    pub(super) fn may_commit(&self) -> bool {
        let sealed = self.sealed_states();
        let same = match choose(&sealed, &self.request.origin) {
            Choice::Chosen { base, .. } => base.version() == self.base_version(),
            Choice::Undecided(_) => false,
        };
        let evidence = Evidence::gather(&sealed);
        let is_ours = |version| evidence.attempt(version) == Some(self.request.attempt);
        let below = self.base_version().into_iter();
        let repeats = below.flat_map(|base| evidence.lineage_with_history(base)).any(is_ours);
        same && !repeats && self.sealed_are_quorum() && !self.lacks_links(&evidence, sealed)
    }

    /// Whether a version of ours that the map did not show may be below the base.
    fn lacks_links(&self, evidence: &Evidence, sealed: BTreeMap<StoreId, SlotState>) -> bool {
        let Some(base) = self.base.as_ref() else { return false };
        if self.links_wanted(base, evidence).is_none() {
            return false;
        }
        // Some server that did not seal may have told them.
        let mut known = self.servermap.answers.clone();
        known.extend(sealed);
        self.links_wanted(base, &Evidence::gather(&known)).is_some()
    }

    fn sealed_states(&self) -> BTreeMap<StoreId, SlotState> {
        let sealed = self.lanes.iter().filter_map(|(&store, lane)| Some((store, lane.sealed()?)));
        sealed.map(|(store, state)| (store, state.clone())).collect()
    }

    fn sealed_placement(&self) -> Placement {
        let sealed = self.lanes.iter().filter(|(_, lane)| lane.sealed().is_some());
        sealed.map(|(&store, lane)| (store, lane.shares.clone())).collect()
    }

    fn sealed_are_quorum(&self) -> bool {
        self.draft.as_ref().is_some_and(|draft| is_quorum(draft.terms(), &self.sealed_placement()))
    }

    /// A promise was given that holds for so long: it is renewed in time.
    pub(super) fn renew_in(&mut self, promise: Millis) {
        if let Phase::Preparing { renew_at, .. } = &mut self.phase {
            let renew = self.now + Millis(promise.0 / 3);
            *renew_at = Some(renew_at.map_or(renew, |earlier| earlier.min(renew)));
        }
    }

    fn renew_promises(&mut self) {
        let Phase::Preparing { renew_at, .. } = &mut self.phase else {
            return;
        };
        if renew_at.is_none_or(|at| self.now < at) {
            return;
        }
        *renew_at = None;
        let sealed: Vec<(StoreId, _)> = self
            .lanes
            .iter()
            .filter(|(_, lane)| lane.sealed().is_some())
            .map(|(&store, lane)| (store, lane.conversation))
            .collect();
        for (server, conversation) in sealed {
            let message = self.send(server, Kind::Extend);
            self.actions.push(Action::Extend { message, server, conversation });
        }
    }

    /// A promise could not be renewed: the slot may be anybody's.
    pub(super) fn promise_lost(&mut self, server: StoreId, failure: Failure) {
        if self.lanes.get(&server).is_some_and(|lane| lane.sealed().is_some()) {
            self.prepare_failed(server, failure);
        }
    }

    /// Lanes that take far longer than those that sealed are no longer waited for.
    fn give_up_late_lanes(&mut self) {
        let (now, deadline) = (self.now, self.late_at());
        let Some(deadline) = deadline.filter(|deadline| now >= *deadline) else {
            return;
        };
        let mut late = Vec::new();
        for (&server, lane) in &mut self.lanes {
            if lane.is_awaited() {
                lane.state = LaneState::Preparing { late: true };
                late.push(server);
            }
        }
        for server in late {
            self.trouble(server, During::Prepare, Failure::Late(deadline));
        }
    }

    /// When the lanes that have not sealed are late: a multiple of what a quorum took since the source was encoded;
    /// or, while there is no quorum, when nobody has given a sign of life for long.
    fn late_at(&self) -> Option<Millis> {
        let Phase::Preparing { encoded: Some(Encoded { at: encoded, .. }), .. } = self.phase else {
            return None;
        };
        let last_sign = self.lanes.values().map(|lane| lane.alive_at).max().unwrap_or(encoded);
        if self.sealed_are_quorum() {
            let sealed = self.lanes.values().filter(|lane| lane.sealed().is_some());
            let took = sealed.map(|lane| lane.alive_at.since(encoded)).max().unwrap_or_default();
            Some(encoded + took.times(self.patience.factor).max(self.patience.floor))
        } else {
            Some(last_sign.max(encoded) + self.patience.limit)
        }
    }

    fn out_of_patience(&self) -> bool {
        let last_sign = self.lanes.values().map(|lane| lane.alive_at).max().unwrap_or_default();
        self.now >= last_sign + self.patience.limit
    }

    /// The round fell short: those that did not even seal are not tried again.
    fn avoid_unsealed(&mut self) {
        let unsealed = self.lanes.iter().filter(|(_, lane)| lane.is_preparing());
        self.avoid.extend(unsealed.map(|(&store, _)| store).collect::<Vec<_>>());
    }

    pub(super) fn preparing_wakes_at(&self) -> Option<(Millis, Why)> {
        let Phase::Preparing { renew_at, .. } = &self.phase else {
            return None;
        };
        let late = self.lanes.values().any(Lane::is_preparing).then(|| self.late_at()).flatten();
        let late = late.map(|at| (at, Why::Lateness));
        let renewal = renew_at.map(|at| (at, Why::Promises));
        late.into_iter().chain(renewal).min_by_key(|(at, _)| *at)
    }

    /// Ends the conversation with this server, if there is one.
    pub(super) fn let_go(&mut self, server: StoreId) {
        self.outstanding.retain(|_, message| {
            message.server != server || !matches!(message.kind, Kind::Prepare | Kind::Extend)
        });
        if let Some(Lane { conversation, .. }) = self.lanes.remove(&server) {
            self.actions.push(Action::Release { server, conversation });
        }
    }

    /// Ends every conversation that is not committed yet.
    pub(super) fn release_all(&mut self) {
        let open: Vec<StoreId> = self
            .lanes
            .iter()
            .filter(|(_, lane)| lane.is_preparing() || lane.sealed().is_some())
            .map(|(&store, _)| store)
            .collect();
        for server in open {
            self.let_go(server);
        }
    }
}
