//! Step 1 of a publish: learn what is there, and choose what to build on. Steps 2 and 3 follow in `prepare`.

use std::collections::BTreeSet;

use tarn_proto::{SequenceNumber, Shape, SignedHeader, SlotState, StoreId, VersionId};

use super::outcome::{During, Landed, Outcome, Published, Shortfall};
use super::{Follows, Kind, Phase, Publish, ROUNDS_UNANSWERED_MAX};
use crate::base::{Base, Choice, Evidence, Origin, Undecided};
use crate::bring::Bring;
use crate::quorum::{Placement, is_quorum};
use crate::servermap::{Failure, Mapping, stores_to_ask};

impl Publish {
    /// Begins a round.
    pub(super) fn map(&mut self) {
        self.rounds += 1;
        self.from_memory = false;
        self.lanes.clear();
        // What a server said to an earlier round says nothing of now.
        self.outstanding.retain(|_, message| message.kind != Kind::Query);
        self.busy.clear();
        self.surprise = false;
        self.draft = None;
        let reachable: BTreeSet<StoreId> = self.order().iter().copied().collect();
        let mapping = Mapping::begin(self.now, self.to_ask(), reachable, self.patience)
            .suspecting(self.request.suspects.clone());
        let asked = mapping.pending().clone();
        self.phase = Phase::Mapping(mapping);
        for server in asked {
            self.query(server, Kind::Query, None);
        }
    }

    fn to_ask(&self) -> Vec<StoreId> {
        let window = match (&self.base, &self.request.origin) {
            (Some(base), _) => Some(base.window()),
            (None, Origin::Creator(window)) => Some(window),
            (None, Origin::CapHolder) => None,
        };
        stores_to_ask(window, self.order())
    }

    pub(super) fn mapped(&mut self, server: StoreId, state: SlotState) {
        match &mut self.phase {
            Phase::Mapping(mapping) => {
                for named in mapping.answered(self.now, server, state) {
                    self.query(named, Kind::Query, None);
                }
            }
            // A late answer: the server may still be given shares that find no other home.
            Phase::Preparing { .. } => {
                self.servermap.failures.remove(&server);
                self.servermap.answers.insert(server, state);
            }
            Phase::Idle
            | Phase::BackingOff { .. }
            | Phase::Journaling { .. }
            | Phase::Committing { .. }
            | Phase::Bringing { .. }
            | Phase::Ended => {}
        }
    }

    pub(super) fn map_failed(&mut self, server: StoreId, failure: Failure) {
        self.trouble(server, During::Map, failure.clone());
        if let Phase::Mapping(mapping) = &mut self.phase {
            mapping.failed(self.now, server, failure);
        }
    }

    /// Whether what has answered so far would do: a base can be chosen, and a quorum could be written.
    pub(super) fn map_suffices(&self, mapping: &Mapping) -> bool {
        let map = mapping.map();
        match map.choose(&self.request.origin) {
            Choice::Chosen { base, .. } => {
                let usable = self.usable(&map.answers.keys().copied().collect());
                usable.len() >= self.quorum_size(&base)
            }
            Choice::Undecided(_) => false,
        }
    }

    pub(super) fn maintain_mapping(&mut self) {
        if self.cancelled {
            return self.cancel();
        }
        let Phase::Mapping(mapping) = &self.phase else {
            return;
        };
        if !mapping.is_over(self.now, self.map_suffices(mapping)) {
            return;
        }
        let mut mapping = mapping.clone();
        let late = mapping.pending().clone();
        mapping.give_up(self.now);
        self.servermap = mapping.into_map();
        for server in late {
            if let Some(failure) = self.servermap.failures.get(&server).cloned() {
                self.trouble(server, During::Map, failure);
            }
        }
        self.choose();
    }

    /// Chooses what this round builds on, or finds that there is nothing to build.
    pub(super) fn choose(&mut self) {
        let evidence = self.servermap.evidence();
        if let Some(version) = evidence.published_by(self.request.attempt) {
            return self.published_before(&evidence, version);
        }
        match self.servermap.choose(&self.request.origin) {
            Choice::Undecided(undecided) => self.undecided(undecided),
            Choice::Chosen { base, .. } => match self.below_high_water(&base) {
                Some(undecided) => self.undecided(undecided),
                None => match self.links_wanted(&base, &evidence) {
                    Some(since) => self.ask_for_links(since),
                    None => self.build_on(&base, &evidence),
                },
            },
        }
    }

    /// From which number on the servers' history is wanted, to tell whether what is to be built on was built on a version
    /// of ours; none if that is known, and once they were asked.
    pub(super) fn links_wanted(&self, base: &Base, evidence: &Evidence) -> Option<SequenceNumber> {
        let version = base.version().filter(|_| self.links_since.is_none())?;
        let remembered = evidence.links_wanted(version, self.request.attempt);
        let left = self.landed.as_ref().map(|landed| &landed.header).filter(|left| {
            let is_below = evidence.lineage_with_history(version).any(|id| id == left.version());
            !is_below && !evidence.rules_out(Some(version), left)
        });
        let left = left.map(|left| {
            let below = left.header().predecessor.and_then(|below| evidence.place(below));
            below.unwrap_or(SequenceNumber::FIRST)
        });
        remembered.into_iter().chain(left).min()
    }

    /// Maps again at once, asking everybody for more of its history.
    fn ask_for_links(&mut self, since: SequenceNumber) {
        self.links_since = Some(since);
        self.map();
    }

    /// Servers that were rolled back, or are lying, may agree on something older than what was seen.
    pub(super) fn below_high_water(&self, base: &Base) -> Option<Undecided> {
        let seen = self.request.high_water?;
        let silent = self.servermap.failures.keys().copied().collect();
        let admitted = base.header().is_some_and(|header| seen.admits(header));
        (!admitted).then_some(Undecided::BelowHighWater { silent, seen })
    }

    pub(super) fn build_on(&mut self, base: &Base, evidence: &Evidence) {
        if let Some(header) = base.header()
            && let Some(ours) = evidence.carried_by(header.version(), self.request.attempt)
        {
            let bring = Box::new(Bring::plan(header, &self.servermap, self.order()));
            self.has_landed(evidence, header, ours);
            self.phase = Phase::Bringing { bring, ours };
            return;
        }
        if let Some(landed) =
            self.landed.take_if(|landed| !evidence.rules_out(base.version(), &landed.header))
        {
            // What is there now may have been built on ours: another version of ours would be a second effect.
            return self.finish(Outcome::Partial(landed));
        }
        let follows = self.may_follow(base);
        if !follows && let Some(named) = self.went_back(base) {
            let silent = self.servermap.failures.keys().copied().collect();
            return self.undecided(Undecided::InDoubt { silent, newest: named });
        }
        if !follows {
            let newest = base.header().cloned();
            return self.finish_unchanged(if self.built_once {
                Outcome::UncoordinatedWrite { theirs: newest }
            } else {
                Outcome::Stale { now: newest }
            });
        }
        self.built_once = !self.from_memory;
        self.base = Some(base.clone());
        self.prepare(base, evidence);
    }

    /// Whether this is what the caller wants to follow.
    pub(super) fn may_follow(&self, base: &Base) -> bool {
        let version = base.version();
        let follows = match self.request.follows {
            Follows::Whatever => true,
            Follows::Version(named) => version == Some(named),
            Follows::Nothing => version.is_none(),
        };
        follows && self.request.input.changes().is_none_or(|named| version == Some(named))
    }

    /// The version of the caller's choice that we had built on, if what is chosen now is older than that: too little of it
    /// answers, and nobody else has published anything.
    fn went_back(&self, base: &Base) -> Option<SignedHeader> {
        let named = self.base_header().filter(|_| self.built_once)?;
        let is_older = base.header().is_none_or(|base| base.order() < named.order());
        is_older.then(|| named.clone())
    }

    /// A version of ours is there, by an earlier try: whatever happens now, something was changed.
    fn has_landed(&mut self, evidence: &Evidence, base: &SignedHeader, ours: VersionId) {
        let seen = evidence.seen(ours);
        self.landed.get_or_insert_with(|| Landed {
            header: seen.map_or_else(|| base.clone(), |seen| seen.header.clone()),
            accepted: seen.into_iter().flat_map(|seen| seen.holders.keys()).copied().collect(),
            unknown: BTreeSet::new(),
        });
    }

    /// An earlier try of this submission is Published already.
    fn published_before(&mut self, evidence: &Evidence, version: VersionId) {
        let seen = evidence.seen(version);
        let ours = self.take_landed(version);
        self.publish_ended(Published {
            header: seen.map(|seen| seen.header.clone()).or(ours),
            version,
            placement: seen.map(super::super::base::Seen::placement).unwrap_or_default(),
            missing: BTreeSet::new(),
            repeated: true,
        });
    }

    /// The header of this version of ours as it was committed, if it is the last that was: the servers may have dropped it
    /// for a newer one, and tell only its id.
    fn take_landed(&mut self, version: VersionId) -> Option<SignedHeader> {
        let header = self.landed.take()?.header;
        (header.version() == version).then_some(header)
    }

    fn undecided(&mut self, mut undecided: Undecided) {
        if let Undecided::NoHeader { silent } = &mut undecided {
            // Whoever has a cap and no window needs anybody who did not answer.
            silent.extend(self.servermap.failures.keys());
        }
        let unanswered = matches!(undecided, Undecided::NoMajority { .. });
        let patience = if unanswered { ROUNDS_UNANSWERED_MAX } else { 2 * ROUNDS_UNANSWERED_MAX };
        if self.rounds < patience {
            return self.begin_anew();
        }
        self.finish_unchanged(match undecided {
            Undecided::NoMajority { windows, .. } => {
                Outcome::NotEnoughServers(self.shortfall(&Base::Empty(windows)))
            }
            Undecided::InDoubt { .. }
            | Undecided::BelowHighWater { .. }
            | Undecided::Windows
            | Undecided::NoHeader { .. } => Outcome::Undecided(undecided),
        });
    }

    /// The version that this round, or the last one, builds on.
    pub(super) fn base_header(&self) -> Option<&SignedHeader> {
        self.base.as_ref().and_then(Base::header)
    }

    /// Its id; none for the empty base, too.
    pub(super) fn base_version(&self) -> Option<VersionId> {
        self.base.as_ref().and_then(Base::version)
    }

    /// Of these servers, those that this publish has not given up.
    pub(super) fn usable(&self, servers: &BTreeSet<StoreId>) -> Vec<StoreId> {
        let usable = |store: &&StoreId| servers.contains(store) && !self.avoid.contains(store);
        self.order().iter().filter(usable).copied().collect()
    }

    fn quorum_size(&self, base: &Base) -> usize {
        base.window().quorum(self.shape_on(base))
    }

    /// The shape of a version on this base: the caller's, else the base's, else a first version's. A changed part has the
    /// shape of the rest.
    pub(super) fn shape_on(&self, base: &Base) -> Shape {
        let kept = base.header().map(|header| header.header().shape);
        let said = self.request.shape.filter(|_| self.request.input.changes().is_none());
        said.or(kept).unwrap_or(self.request.first_shape)
    }

    /// How far the servers that answered fall short of a quorum.
    pub(super) fn shortfall(&self, base: &Base) -> Shortfall {
        let window = base.window();
        let answered = self.servermap.answers.keys().copied().collect();
        let usable = self.usable(&answered);
        Shortfall {
            usable: usable.iter().filter(|store| window.contains(**store)).count(),
            quorum: self.quorum_size(base),
            window: window.stores().len(),
        }
    }

    pub(super) fn maintain_bringing(&mut self) {
        if self.cancelled {
            return self.cancel();
        }
        let Phase::Bringing { bring, ours } = &mut self.phase else {
            return;
        };
        let ours = *ours;
        if bring.is_quorum() {
            let header = bring.header().clone();
            let placement = bring.held().clone();
            return self.brought_to_quorum(&header, ours, placement);
        }
        let sending = bring.send();
        if sending.is_empty() && bring.is_idle() {
            // Some server did not take it: somebody else got in between, or too few are left.
            return self.begin_anew();
        }
        let bring = bring.clone();
        self.send_bring(&bring, sending);
    }

    fn brought_to_quorum(&mut self, base: &SignedHeader, ours: VersionId, placement: Placement) {
        debug_assert!(is_quorum(base.header().into(), &placement));
        let is_base = base.version() == ours;
        let landed = self.take_landed(ours);
        self.publish_ended(Published {
            header: is_base.then(|| base.clone()).or(landed),
            version: ours,
            placement: if is_base { placement } else { Placement::new() },
            missing: BTreeSet::new(),
            repeated: true,
        });
    }
}
