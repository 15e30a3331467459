//! Steps 2 and 3 of a publish: plan, encode and prepare. Nothing becomes visible anywhere by any of this; when it
//! is enough, `decide` says.

use std::collections::BTreeSet;

use tarn_proto::geometry::{BLOCK_SIZE_DEFAULT, GeometryError};
use tarn_proto::{
    Geometry, Refusal, SequenceNumber, Shape, SignedHeader, SlotState, StoreId, VersionId,
};

use super::action::{Action, Cut, Draft, MessageId, PrepareLane};
use super::event::SourceFailure;
use super::lane::{Lane, LaneState, tests};
use super::outcome::{During, Outcome};
use super::{Encoded, Input, Kind, Outstanding, Phase, Publish};
use crate::base::{Base, Choice, Evidence, choose};
use crate::placement::plan;
use crate::quorum::{Placement, is_quorum};
use crate::servermap::Failure;
use crate::time::Millis;

/// How often a server's tests are put right within one round.
const RETESTS_MAX: u8 = 3;
/// One that gives no sign of life for so many limits is stalled whatever the others do.
const LIFELESS_LIMITS: u64 = 4;
/// A report that a server blocks the pass holds for so long; they come several times a second.
const BLOCKED_LATELY: Millis = Millis(500);

impl Publish {
    /// Plans a version on the chosen base and sends it out.
    pub(super) fn prepare(&mut self, base: &Base, evidence: &Evidence) {
        let draft = match self.draft_on(base, evidence) {
            Ok(draft) => draft,
            Err(cause) => return self.finish_unchanged(Outcome::Failed { cause }),
        };
        let in_place = self.request.input.changes().is_some();
        let goal = if in_place { self.goal_in_place(&draft) } else { self.goal(&draft) };
        if !is_quorum(draft.terms(), &goal) {
            return self.finish_unchanged(if in_place {
                Outcome::BaseMissing(self.shortfall_in_place(base, &goal))
            } else {
                Outcome::NotEnoughServers(self.shortfall(base))
            });
        }
        if self.used_up {
            return self.finish_unchanged(Outcome::InputUsedUp);
        }
        self.draft = Some(draft);
        self.phase = Phase::Preparing { encoded: None, renew_at: None };
        self.open_lanes(goal);
    }

    fn draft_on(&self, base: &Base, evidence: &Evidence) -> Result<Draft, String> {
        let shape = self.shape_on(base);
        let cut = self.cut(shape, base).map_err(|error| error.to_string())?;
        // Where nobody tells of our last version, the next one must not come out as the same.
        let after_ours = self.spent.map_or(Some(SequenceNumber::FIRST), SequenceNumber::next);
        let sequence_number = evidence
            .next_sequence_number()
            .zip(after_ours)
            .map(|(after_all, after_ours)| after_all.max(after_ours))
            .ok_or("the file has used up all its sequence numbers: publish it under a new name")?;
        Ok(Draft {
            storage_index: self.request.storage_index,
            sequence_number,
            predecessor: base.version(),
            shape,
            cut,
            tombstone: self.request.tombstone,
            attempt: self.request.attempt,
            window: base.window().clone(),
            joint: base.joint().cloned(),
        })
    }

    fn cut(&self, shape: Shape, base: &Base) -> Result<Cut, GeometryError> {
        Ok(match (self.request.input, base.header()) {
            (Input::Once, _) => Cut::Open { room: Geometry::longest(shape, BLOCK_SIZE_DEFAULT)? },
            (Input::Part { length, .. }, Some(rest)) => {
                let block_size = rest.header().geometry.block_size();
                Cut::Known(Geometry::new(shape, block_size, length)?)
            }
            (Input::Part { length, .. } | Input::Whole { length }, _) => {
                Cut::Known(Geometry::choose(shape, length)?)
            }
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
        let mut goal = self.deciding_plan(draft, &inside, &held);
        for stray in beyond {
            let kept = held.get(&stray).into_iter().flatten();
            let kept: BTreeSet<_> = kept.filter(|s| s.get() < draft.shape.n()).copied().collect();
            if !kept.is_empty() {
                goal.insert(stray, kept);
            }
        }
        goal
    }

    /// The plan that writes as few servers as lead to the base again when only they are asked: the window may have
    /// more servers than the version has shares, and one without any says what no other can.
    fn deciding_plan(&self, draft: &Draft, inside: &[StoreId], held: &Placement) -> Placement {
        let quorum = draft.window.quorum(draft.shape);
        let plan_for = |wanted| plan(draft.shape, inside, held, wanted);
        let decides = |goal: &Placement| {
            let mut answers = self.servermap.answers.clone();
            answers.retain(|store, _| goal.contains_key(store));
            match choose(&answers, &self.request.origin) {
                Choice::Chosen { base, .. } => base.version() == self.base_version(),
                Choice::Undecided(_) => false,
            }
        };
        let mut plans = (quorum..=inside.len().max(quorum)).map(plan_for);
        plans.find(decides).unwrap_or_else(|| plan_for(quorum))
    }

    /// Opens a conversation with each server of the goal. All are outstanding before any is sent.
    pub(super) fn open_lanes(&mut self, goal: Placement) {
        let Some(draft) = self.draft.clone() else {
            return;
        };
        self.used_up |= self.request.input.is_read_once();
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
                    blocked_at: None,
                    state: LaneState::Preparing { late: false },
                },
            );
            let base = self.request.input.changes();
            lanes.push(PrepareLane { message, server, conversation, shares, tests, base });
        }
        let (finalize, ancestors) = (self.certain_base(), self.ancestors());
        self.actions.push(Action::Prepare { draft, finalize, ancestors, lanes });
    }

    /// What goes along so that the new version is linked to what was Published before.
    fn ancestors(&self) -> Vec<SignedHeader> {
        self.servermap.evidence().ancestors(self.base_version())
    }

    /// The base, if it is known to be Published and some server has no certificate of it yet.
    fn certain_base(&self) -> Option<(SequenceNumber, VersionId)> {
        let base = self.base_header()?;
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
        let Phase::Preparing { encoded, .. } = &mut self.phase else { return };
        if !expected {
            return;
        }
        match encoded {
            None => *encoded = Some(Encoded { header, at: self.now }),
            // Shares that found a new home were encoded again, and came out otherwise.
            Some(first) if first.header.version() != header.version() => {
                self.source_failed(SourceFailure::Changed);
            }
            Some(_) => {}
        }
    }

    pub(super) fn progressed(&mut self, message: MessageId) {
        if let Some(Outstanding { server, .. }) = self.outstanding.get(&message)
            && let Some(lane) = self.lanes.get_mut(server)
        {
            lane.alive_at = self.now;
        }
    }

    /// A server holds up the encoding pass. If a quorum does not, it is slow by comparison, whatever the clock says,
    /// and is done without. If most do, it is the way to them that is slow, and only one that gives no sign of life
    /// at all is.
    pub(super) fn stalled(&mut self, message: MessageId, waited: Millis) {
        let now = self.now;
        let sent = self.outstanding.get(&message).filter(|sent| sent.kind == Kind::Prepare);
        let Some(server) = sent.map(|sent| sent.server) else { return };
        let Some(lane) = self.lanes.get_mut(&server) else { return };
        lane.blocked_at = Some(now);
        // It cannot have shown life for what came only now.
        let silent = now.since(lane.alive_at).min(waited);
        let lifeless = silent >= self.patience.limit.times(LIFELESS_LIMITS);
        let patient = waited < self.patience.stall;
        if lifeless || !patient && self.others_flow() {
            self.prepare_failed(server, Failure::Late(waited));
        }
    }

    /// Whether the lanes that do not hold up the pass would be a quorum.
    fn others_flow(&self) -> bool {
        let blocked =
            |lane: &Lane| lane.blocked_at.is_some_and(|at| self.now.since(at) <= BLOCKED_LATELY);
        let flowing = self.lanes.iter().filter(|(_, lane)| !blocked(lane));
        let placement = flowing.map(|(&store, lane)| (store, lane.shares.clone())).collect();
        self.draft.as_ref().is_some_and(|draft| is_quorum(draft.terms(), &placement))
    }

    pub(super) fn sealed(&mut self, server: StoreId, state: SlotState, promise: Millis) {
        let Some(lane) = self.lanes.get_mut(&server) else { return };
        lane.alive_at = self.now;
        lane.state = LaneState::Sealed(state);
        self.renew_in(promise);
    }

    pub(super) fn prepare_refused(
        &mut self,
        server: StoreId,
        refusal: Refusal,
        state: Option<SlotState>,
    ) {
        match refusal {
            Refusal::Conflict => match state {
                Some(state) if !self.still_serves(server, &state) && self.may_adopt(&state) => {
                    self.prepare_failed(server, Failure::Refused(Refusal::BaseMissing));
                }
                Some(state) if self.may_adopt(&state) => self.adopt(server, state),
                Some(_) | None => self.surprised(server),
            },
            Refusal::Stale | Refusal::Superseded | Refusal::PromiseLost => self.surprised(server),
            Refusal::Busy { .. } => {
                self.trouble(server, During::Prepare, Failure::Refused(refusal));
                self.busy.insert(server);
                self.let_go(server);
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
        let Some(base) = self.base_header() else {
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
        // No server is to blame for what nobody asked it.
        if !self.from_memory {
            self.trouble(server, During::Prepare, Failure::Refused(Refusal::Conflict));
        }
        self.surprise = true;
    }

    pub(super) fn prepare_failed(&mut self, server: StoreId, failure: Failure) {
        self.trouble(server, During::Prepare, failure);
        self.avoid.insert(server);
        self.let_go(server);
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
}
