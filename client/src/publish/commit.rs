//! Step 5 of a publish: commit on all that sealed, settle lost answers, and find out what became of it. A signed
//! header gets one round: one Seal and one Commit per server, ever.

use std::collections::{BTreeMap, BTreeSet};

use tarn_proto::state::ConversationStatus;
use tarn_proto::{Origin as Came, Refusal, SignedHeader, SlotState, StoreId};

use super::action::{Action, Why};
use super::lane::{Lane, LaneState};
use super::outcome::{During, Landed, Outcome, Published};
use super::{Kind, Phase, Publish};
use crate::base::{Choice, choose};
use crate::quorum::{Placement, is_quorum};
use crate::servermap::Failure;
use crate::time::Millis;

/// How often a server is asked after a lost answer.
const SETTLE_ASKS_MAX: u8 = 6;
/// The pause before asking again, doubled each time.
const SETTLE_PAUSE: Millis = Millis(100);

impl Publish {
    pub(super) fn journaled(&mut self) {
        let Phase::Journaling { header } = &self.phase else { return };
        let header = header.clone();
        if self.cancelled {
            return self.cancel();
        }
        // Promises may have been lost while the journal was written.
        if !self.may_commit() {
            return self.begin_anew();
        }
        self.spent = Some(header.header().sequence_number);
        self.phase =
            Phase::Committing { header: header.clone(), since: self.now, quorum_after: None };
        let sealed: Vec<StoreId> = self
            .lanes
            .iter()
            .filter(|(_, lane)| lane.sealed().is_some())
            .map(|(&store, _)| store)
            .collect();
        for server in sealed {
            let message = self.send(server, Kind::Commit);
            let Some(lane) = self.lanes.get_mut(&server) else {
                continue;
            };
            if let LaneState::Sealed(state) = &lane.state {
                lane.state = LaneState::Committing(state.clone());
            }
            let conversation = lane.conversation;
            let header = header.clone();
            self.actions.push(Action::Commit { message, server, conversation, header });
        }
    }

    pub(super) fn journal_failed(&mut self, cause: String) {
        if matches!(self.phase, Phase::Journaling { .. }) {
            self.release_all();
            self.finish_unchanged(Outcome::Failed { cause });
        }
    }

    pub(super) fn written(&mut self, server: StoreId) {
        let Some(lane) = self.lanes.get_mut(&server) else {
            return;
        };
        if let LaneState::Committing(sealed) = &lane.state {
            lane.state = LaneState::Accepted(sealed.clone());
        }
    }

    pub(super) fn commit_refused(&mut self, server: StoreId, refusal: Refusal) {
        self.trouble(server, During::Commit, Failure::Refused(refusal));
        // A failed disk says nothing of what had reached it: the server is asked, like one whose answer was lost.
        if refusal == Refusal::StoreFailed {
            self.unsettle(server);
        } else if let Some(lane) = self.lanes.get_mut(&server) {
            lane.state = LaneState::Refused;
        }
    }

    /// The answer to a commit was lost. Whether it was accepted must be learnt from the server.
    pub(super) fn commit_unanswered(&mut self, server: StoreId, failure: Failure) {
        self.trouble(server, During::Commit, failure);
        self.unsettle(server);
    }

    fn unsettle(&mut self, server: StoreId) {
        let now = self.now;
        let Some(lane) = self.lanes.get_mut(&server) else {
            return;
        };
        if let LaneState::Committing(sealed) = &lane.state {
            lane.state = LaneState::Unsettled { sealed: sealed.clone(), asked: 0, ask_at: now };
        }
    }

    /// A server told how our conversation ended, or that it has not.
    pub(super) fn settled(&mut self, server: StoreId, state: &SlotState) {
        let Phase::Committing { header, .. } = &self.phase else { return };
        let Some(lane) = self.lanes.get_mut(&server) else {
            return;
        };
        let LaneState::Unsettled { sealed, .. } = &lane.state else {
            return;
        };
        let recorded = state
            .generations
            .iter()
            .any(|generation| generation.origin == Came::Committed(lane.conversation));
        if recorded {
            lane.state = LaneState::Accepted(sealed.clone());
            return;
        }
        if state.history.iter().any(|entry| entry.version == header.version()) {
            // It was here, and newer certified versions have dropped it since: by whose commit is not known.
            lane.state = LaneState::Unknown;
            return;
        }
        match state.conversation {
            // It can never commit any more.
            Some(ConversationStatus::Closed | ConversationStatus::Open) => {
                lane.state = LaneState::Refused;
            }
            Some(ConversationStatus::SealedLast) | None => self.not_settled(server),
        }
    }

    pub(super) fn not_settled(&mut self, server: StoreId) {
        let now = self.now;
        let Some(lane) = self.lanes.get_mut(&server) else {
            return;
        };
        if let LaneState::Unsettled { asked, ask_at, .. } = &mut lane.state {
            if *asked >= SETTLE_ASKS_MAX {
                lane.state = LaneState::Unknown;
            } else {
                *ask_at = now + SETTLE_PAUSE.times(1 << *asked);
            }
        }
    }

    pub(super) fn maintain_committing(&mut self, header: &SignedHeader) {
        self.ask_after_lost_answers();
        let open = self.lanes.values().any(Lane::is_open);
        if open && self.has_quorum() && !self.commits_are_late() {
            // What there is to decide is decided with the others' answers, or without them once they are late.
            return;
        }
        let accepted = self.accepted_placement();
        if self.accepted_suffice(header, &accepted) {
            self.note_quorum();
            if !open || self.commits_are_late() {
                self.finish_published(header, accepted);
            }
        } else if !open {
            self.fell_short(header);
        }
    }

    fn ask_after_lost_answers(&mut self) {
        let (now, mut ask) = (self.now, Vec::new());
        for (&server, lane) in &mut self.lanes {
            if let LaneState::Unsettled { asked, ask_at, .. } = &mut lane.state
                && now >= *ask_at
            {
                let waiting = self
                    .outstanding
                    .values()
                    .any(|sent| sent.server == server && sent.kind == Kind::Settle);
                if !waiting {
                    *asked += 1;
                    ask.push((server, lane.conversation));
                }
            }
        }
        for (server, conversation) in ask {
            self.query(server, Kind::Settle, Some(conversation));
        }
    }

    fn accepted_placement(&self) -> Placement {
        let accepted = self.lanes.iter().filter(|(_, lane)| lane.accepted().is_some());
        accepted.map(|(&store, lane)| (store, lane.shares.clone())).collect()
    }

    /// Whether the accepted placements are a quorum and, counting every other server as silent, what exactly those
    /// servers held when they sealed still leads to our base.
    fn accepted_suffice(&self, header: &SignedHeader, accepted: &Placement) -> bool {
        if !is_quorum(header.header().into(), accepted) {
            return false;
        }
        let states: BTreeMap<StoreId, SlotState> = self
            .lanes
            .iter()
            .filter_map(|(&store, lane)| Some((store, lane.accepted()?.clone())))
            .collect();
        match choose(&states, &self.request.origin) {
            Choice::Chosen { base, .. } => base.version() == self.base_version(),
            Choice::Undecided(_) => false,
        }
    }

    fn note_quorum(&mut self) {
        if let Phase::Committing { since, quorum_after, .. } = &mut self.phase {
            quorum_after.get_or_insert(self.now.since(*since));
        }
    }

    /// Whether a quorum was accepted already.
    const fn has_quorum(&self) -> bool {
        matches!(self.phase, Phase::Committing { quorum_after: Some(_), .. })
    }

    fn commits_late_at(&self) -> Option<Millis> {
        let Phase::Committing { since, quorum_after: Some(took), .. } = self.phase else {
            return None;
        };
        Some(since + took.times(self.patience.factor).max(self.patience.floor))
    }

    fn commits_are_late(&self) -> bool {
        self.commits_late_at().is_some_and(|late| self.now >= late)
    }

    fn finish_published(&mut self, header: &SignedHeader, placement: Placement) {
        let placed: BTreeSet<_> = placement.values().flatten().copied().collect();
        let missing = tarn_proto::ShareNumber::all(header.header().shape.n())
            .filter(|share| !placed.contains(share))
            .collect();
        self.landed = None;
        self.publish_ended(Published {
            version: header.version(),
            header: Some(header.clone()),
            placement,
            missing,
            repeated: false,
        });
    }

    /// Fewer than a quorum were accepted. If none was, and none may have been, nothing was changed and the round is
    /// tried again. Otherwise mapping again tells what became of it: our version may turn out Published, or the
    /// base, or ruled out.
    fn fell_short(&mut self, header: &SignedHeader) {
        let of = |wanted: fn(&Lane) -> bool| {
            let lanes = self.lanes.iter().filter(move |(_, lane)| wanted(lane));
            lanes.map(|(&store, _)| store).collect::<BTreeSet<StoreId>>()
        };
        let accepted = of(|lane| lane.accepted().is_some());
        let mut unknown = of(|lane| matches!(lane.state, LaneState::Unknown));
        if let Some(earlier) = &self.landed {
            unknown.extend(&earlier.unknown);
        }
        if !accepted.is_empty() || !unknown.is_empty() {
            self.landed = Some(Landed { header: header.clone(), accepted, unknown });
        }
        self.begin_anew();
    }

    pub(super) fn committing_wakes_at(&self) -> Option<(Millis, Why)> {
        let late = self.commits_late_at().map(|at| (at, Why::Lateness));
        let waiting = self.lanes.values().filter_map(|lane| match &lane.state {
            LaneState::Unsettled { ask_at, .. } if *ask_at > self.now => {
                Some((*ask_at, Why::Settlement))
            }
            LaneState::Unsettled { .. }
            | LaneState::Preparing { .. }
            | LaneState::Sealed(_)
            | LaneState::Committing(_)
            | LaneState::Accepted(_)
            | LaneState::Refused
            | LaneState::Unknown => None,
        });
        waiting.chain(late).min_by_key(|(at, _)| *at)
    }
}
