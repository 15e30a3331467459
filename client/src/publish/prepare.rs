//! Steps 2 to 4 of a publish: plan, encode and prepare, decide. Nothing becomes visible anywhere before the end of
//! this.

use std::collections::{BTreeMap, BTreeSet};

use tarn_proto::{
    Geometry, Refusal, SequenceNumber, ShareNumber, SignedHeader, SlotState, StoreId, VersionId,
};

use super::action::{Action, Draft, MessageId, PrepareLane, Why};
use super::event::SourceFailure;
use super::lane::{Lane, LaneState, tests};
use super::outcome::{During, Outcome};
use super::{Kind, Outstanding, Phase, Publish, ROUNDS_MAX};
use crate::base::{Choice, Evidence, Origin, choose};
use crate::placement::plan;
use crate::quorum::{Placement, is_quorum};
use crate::servermap::Failure;
use crate::time::Millis;

/// How often a server's tests are put right within one round.
const RETESTS_MAX: u8 = 3;
/// A server that alone blocks the encoding pass for so many floors is stalled.
const STALL_FLOORS: u64 = 4;

impl Publish {
    /// Plans a version on the chosen base and sends it out.
    pub(super) fn prepare(&mut self, evidence: &Evidence) {
        let draft = match self.draft_on(evidence) {
            Ok(draft) => draft,
            Err(cause) => return self.finish_unchanged(Outcome::Failed { cause }),
        };
        let goal = self.goal(&draft);
        if !is_quorum(draft.terms(), &goal) {
            let outcome = match self.shortfall(&self.base) {
                Some(shortfall) => Outcome::NotEnoughServers(shortfall),
                None => Outcome::Failed { cause: "no window is known for the file".to_owned() },
            };
            return self.finish_unchanged(outcome);
        }
        self.draft = Some(draft);
        self.phase = Phase::Preparing { encoded: None, renew_at: None };
        self.open_lanes(goal);
    }

    fn draft_on(&self, evidence: &Evidence) -> Result<Draft, String> {
        let base = self.base.header().map(SignedHeader::header);
        let shape = self.request.shape.or(base.map(|base| base.shape)).unwrap_or_default();
        let (window, joint) = match (base, &self.request.origin) {
            (Some(base), _) => (base.window.clone(), base.joint.clone()),
            (None, Origin::Creator(window)) => (window.clone(), None),
            (None, Origin::CapHolder) => return Err("the file has no window".to_owned()),
        };
        let geometry = Geometry::choose(shape, self.request.length).map_err(|e| e.to_string())?;
        let sequence_number = evidence
            .next_sequence_number()
            .ok_or("the file has used up all its sequence numbers: publish it under a new name")?;
        Ok(Draft {
            storage_index: self.request.storage_index,
            sequence_number,
            predecessor: self.base.version(),
            shape,
            geometry,
            tombstone: self.request.tombstone,
            attempt: self.request.attempt,
            window,
            joint,
        })
    }

    /// Which share goes where: in the window by plan; and strays beyond it keep, renewed, what they hold.
    fn goal(&self, draft: &Draft) -> Placement {
        let held: Placement = self
            .servermap
            .answers
            .iter()
            .filter_map(|(&store, state)| Some((store, state.current()?)))
            .map(|(store, current)| (store, current.shares.keys().copied().collect()))
            .collect();
        let usable = self.usable(&self.servermap.answers.keys().copied().collect());
        let (inside, beyond): (Vec<StoreId>, Vec<StoreId>) = usable
            .into_iter()
            .partition(|store| draft.terms().windows().any(|w| w.contains(*store)));
        let mut goal = plan(draft.shape, &inside, &held, draft.window.quorum(draft.shape));
        for stray in beyond {
            let kept = held.get(&stray).into_iter().flatten();
            let kept: BTreeSet<_> = kept.filter(|s| s.get() < draft.shape.n()).copied().collect();
            if !kept.is_empty() {
                goal.insert(stray, kept);
            }
        }
        goal
    }

    /// Opens a conversation with each server of the goal. All are outstanding before any is sent.
    fn open_lanes(&mut self, goal: Placement) {
        let Some(draft) = self.draft.clone() else {
            return;
        };
        let mut lanes = Vec::new();
        for (server, shares) in goal {
            let conversation = self.draw_conversation();
            let message = self.send(server, Kind::Prepare);
            let tests = tests(self.servermap.answers.get(&server), &shares);
            self.lanes.insert(
                server,
                Lane {
                    conversation,
                    shares: shares.clone(),
                    retests: 0,
                    alive_at: self.now,
                    state: LaneState::Preparing { late: false },
                },
            );
            lanes.push(PrepareLane { message, server, conversation, shares, tests });
        }
        self.actions.push(Action::Prepare { draft, finalize: self.certain_base(), lanes });
    }

    /// The base, if it is known to be Published and some server has no certificate of it yet.
    fn certain_base(&self) -> Option<(SequenceNumber, VersionId)> {
        let base = self.base.header()?;
        let evidence = self.servermap.evidence();
        let version = base.version();
        let everywhere = self.servermap.answers.values().all(|state| {
            state.certificates.iter().any(|certificate| certificate.version() == version)
        });
        (evidence.is_certain(version) && !everywhere)
            .then(|| (base.header().sequence_number, version))
    }

    pub(super) fn encoded(&mut self, header: SignedHeader) {
        // A pass of an earlier round may end only now. Its header counts if it is the very one this round makes.
        let expected = self.draft.as_ref().is_some_and(|draft| draft.is_of(header.header()));
        if let Phase::Preparing { encoded, .. } = &mut self.phase
            && encoded.is_none()
            && expected
        {
            *encoded = Some(self.now);
            self.header = Some(header);
        }
    }

    pub(super) fn progressed(&mut self, message: MessageId) {
        if let Some(Outstanding { server, .. }) = self.outstanding.get(&message)
            && let Some(lane) = self.lanes.get_mut(server)
        {
            lane.alive_at = self.now;
        }
    }

    /// Everybody waits for this server, so it is slow by comparison whatever the clock says.
    pub(super) fn stalled(&mut self, message: MessageId, waited: Millis) {
        if waited < self.patience.floor.times(STALL_FLOORS) {
            return;
        }
        if let Some(server) = self.answered_as(message, Kind::Prepare) {
            self.release(server);
            self.prepare_failed(server, Failure::Late(waited));
        }
    }

    pub(super) fn sealed(&mut self, server: StoreId, state: SlotState, promise: Millis) {
        let Some(lane) = self.lanes.get_mut(&server) else {
            return;
        };
        lane.alive_at = self.now;
        lane.state = LaneState::Sealed(state);
        if let Phase::Preparing { renew_at, .. } = &mut self.phase {
            let renew = self.now + Millis(promise.0 / 3);
            *renew_at = Some(renew_at.map_or(renew, |earlier| earlier.min(renew)));
        }
    }

    pub(super) fn prepare_refused(
        &mut self,
        server: StoreId,
        refusal: Refusal,
        state: Option<SlotState>,
    ) {
        match refusal {
            Refusal::Conflict => match state {
                Some(state) if self.may_adopt(&state) => self.adopt(server, state),
                Some(_) | None => self.surprised(server),
            },
            Refusal::Stale | Refusal::Superseded | Refusal::PromiseLost => self.surprised(server),
            Refusal::Busy { .. } => {
                self.trouble(server, During::Prepare, Failure::Refused(refusal));
                self.busy.insert(server);
                self.lanes.remove(&server);
            }
            Refusal::BaseMissing
            | Refusal::TooManyGenerations
            | Refusal::BadSignature
            | Refusal::BadShare
            | Refusal::NoSpace
            | Refusal::OverQuota
            | Refusal::ReadOnly
            | Refusal::Unauthenticated
            | Refusal::TooLarge
            | Refusal::Unsupported
            | Refusal::StoreFailed
            | Refusal::NotHeld => self.prepare_failed(server, Failure::Refused(refusal)),
        }
    }

    /// Whether what a server turned out to hold is no surprise: nothing, the base, one of its ancestors, or anything
    /// older than the base.
    fn may_adopt(&self, state: &SlotState) -> bool {
        let Some(current) = state.current() else {
            return true;
        };
        let Some(base) = self.base.header() else {
            return false;
        };
        current.header.header().sequence_number < base.header().sequence_number
            || self
                .servermap
                .evidence()
                .lineage(base.version())
                .any(|ancestor| ancestor == current.header.version())
    }

    fn adopt(&mut self, server: StoreId, state: SlotState) {
        let Some(lane) = self.lanes.get_mut(&server) else {
            return;
        };
        if lane.retests >= RETESTS_MAX {
            self.release(server);
            return self.prepare_failed(server, Failure::Refused(Refusal::Conflict));
        }
        lane.retests += 1;
        lane.alive_at = self.now;
        let (conversation, tests) = (lane.conversation, tests(Some(&state), &lane.shares));
        self.servermap.answers.insert(server, state);
        let message = self.send(server, Kind::Prepare);
        self.actions.push(Action::Retest { message, server, conversation, tests });
    }

    fn surprised(&mut self, server: StoreId) {
        self.trouble(server, During::Prepare, Failure::Refused(Refusal::Conflict));
        self.surprise = true;
    }

    pub(super) fn prepare_failed(&mut self, server: StoreId, failure: Failure) {
        self.trouble(server, During::Prepare, failure);
        self.avoid.insert(server);
        self.lanes.remove(&server);
    }

    /// A promise could not be renewed: the slot may be anybody's.
    pub(super) fn promise_lost(&mut self, server: StoreId, failure: Failure) {
        if self.lanes.get(&server).is_some_and(|lane| lane.sealed().is_some()) {
            self.release(server);
            self.prepare_failed(server, failure);
        }
    }

    pub(super) fn source_failed(&mut self, failure: SourceFailure) {
        if !matches!(self.phase, Phase::Preparing { .. }) {
            return;
        }
        self.release_all();
        self.finish_unchanged(match failure {
            SourceFailure::Changed => Outcome::SourceChanged,
            SourceFailure::Unreadable { cause } => Outcome::Failed { cause },
        });
    }

    pub(super) fn maintain_preparing(&mut self) {
        if self.cancelled {
            return self.cancel();
        }
        if self.surprise {
            return self.begin_anew();
        }
        self.renew_promises();
        self.give_up_late_lanes();
        self.rehome();
        if self.lanes.values().any(Lane::is_awaited) {
            return;
        }
        if self.header.is_some() && self.sealed_are_quorum() {
            self.decide();
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

    /// Gives the shares that lost their server to servers that have no conversation yet.
    fn rehome(&mut self) {
        let Some(draft) = &self.draft else { return };
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

    /// Chooses the base again, from what the servers that promised say and nothing else: a map is not a snapshot,
    /// but while promises hold nothing can change under this choice.
    fn decide(&mut self) {
        match choose(&self.sealed_states(), &self.request.origin) {
            Choice::Chosen { base, .. } if base.version() == self.base.version() => {}
            Choice::Chosen { .. } | Choice::Undecided(_) => return self.begin_anew(),
        }
        let Some(header) = self.header.clone() else {
            return;
        };
        let unsealed: Vec<StoreId> = self
            .lanes
            .iter()
            .filter(|(_, lane)| lane.is_preparing())
            .map(|(&store, _)| store)
            .collect();
        for server in unsealed {
            self.release(server);
            self.lanes.remove(&server);
        }
        let placement = self.sealed_placement();
        self.phase = Phase::Journaling;
        self.actions.push(Action::Journal { header, placement });
    }

    /// Ends the conversation with this server.
    pub(super) fn release(&mut self, server: StoreId) {
        self.outstanding.retain(|_, message| {
            message.server != server || !matches!(message.kind, Kind::Prepare | Kind::Extend)
        });
        if let Some(lane) = self.lanes.get(&server) {
            let conversation = lane.conversation;
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
            self.release(server);
            self.lanes.remove(&server);
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
        let Phase::Preparing { encoded: Some(encoded), .. } = self.phase else {
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
}
