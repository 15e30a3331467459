//! What a set of answers shows of a file's versions: who holds which, what is certified, what descends from what.
//! Gathers; judges nothing.

use std::collections::{BTreeMap, BTreeSet};

use tarn_proto::{
    AttemptId, Certificate, HistoryEntry, SequenceNumber, ShareHealth, ShareNumber, SignedHeader,
    SlotState, StoreId, VersionId,
};

use crate::quorum::Placement;

/// Everything the answers show, by version.
#[derive(Debug, Clone, Default)]
pub struct Evidence {
    versions: BTreeMap<VersionId, Seen>,
    certificates: BTreeMap<VersionId, Certificate>,
    history: BTreeMap<VersionId, HistoryEntry>,
}

/// One version of which a signed header was seen.
#[derive(Debug, Clone)]
pub struct Seen {
    /// The header.
    pub header: SignedHeader,
    /// Who holds which of its shares, damaged ones included.
    pub holders: BTreeMap<StoreId, BTreeMap<ShareNumber, ShareHealth>>,
}

impl Seen {
    /// The shares held, damaged ones included: what counts towards a quorum.
    pub fn placement(&self) -> Placement {
        let held = self.holders.iter();
        held.map(|(&store, shares)| (store, shares.keys().copied().collect())).collect()
    }

    /// The shares held whole: what can be read.
    pub fn readable(&self) -> Placement {
        let whole = |shares: &BTreeMap<ShareNumber, ShareHealth>| {
            let whole = shares.iter().filter(|(_, health)| **health == ShareHealth::Whole);
            whole.map(|(&share, _)| share).collect::<BTreeSet<_>>()
        };
        self.holders
            .iter()
            .map(|(&store, shares)| (store, whole(shares)))
            .filter(|(_, shares)| !shares.is_empty())
            .collect()
    }

    /// Whether what was seen brings the version back. One header alone recovers an empty one.
    pub fn is_recoverable(&self) -> bool {
        let header = self.header.header();
        header.geometry.length() == 0 && !self.holders.is_empty()
            || self.recoverable_shares() >= usize::from(header.shape.k())
    }

    /// How many distinct shares could be read.
    pub fn recoverable_shares(&self) -> usize {
        crate::quorum::distinct_shares(&self.readable())
    }
}

impl Evidence {
    /// Gathers what these answers show.
    pub fn gather(answers: &BTreeMap<StoreId, SlotState>) -> Self {
        let mut evidence = Self::default();
        for (&store, state) in answers {
            if let Some(floor) = &state.floor {
                evidence.note(floor);
            }
            for generation in &state.generations {
                let seen = evidence.note(&generation.header);
                seen.holders.insert(store, generation.shares.clone());
            }
            for header in &state.ancestors {
                evidence.note(header);
            }
            for certificate in &state.certificates {
                evidence.certificates.insert(certificate.version(), *certificate);
            }
            for entry in &state.history {
                evidence.history.insert(entry.version, *entry);
            }
        }
        evidence
    }

    fn note(&mut self, header: &SignedHeader) -> &mut Seen {
        self.versions
            .entry(header.version())
            .or_insert_with(|| Seen { header: header.clone(), holders: BTreeMap::new() })
    }

    /// The version, if a header of it was seen.
    pub fn seen(&self, version: VersionId) -> Option<&Seen> {
        self.versions.get(&version)
    }

    /// Every version seen, by header or by certificate.
    pub fn ids(&self) -> impl Iterator<Item = VersionId> {
        let headerless = self.certificates.keys().filter(|id| !self.versions.contains_key(id));
        self.versions.keys().chain(headerless).copied()
    }

    /// Every header seen.
    pub fn headers(&self) -> impl Iterator<Item = &SignedHeader> {
        self.versions.values().map(|seen| &seen.header)
    }

    /// The versions of which headers were seen, by (sequence number, id), newest first.
    pub fn newest_first(&self) -> impl Iterator<Item = &Seen> {
        let mut versions: Vec<&Seen> = self.versions.values().collect();
        versions.sort_by_key(|seen| std::cmp::Reverse(seen.header.order()));
        versions.into_iter()
    }

    /// Whether a certificate of the version was seen.
    pub fn is_certified(&self, version: VersionId) -> bool {
        self.certificates.contains_key(&version)
    }

    /// The certificate of the version, if one was seen.
    pub fn certificate(&self, version: VersionId) -> Option<&Certificate> {
        self.certificates.get(&version)
    }

    /// The version's signed place.
    pub fn sequence_number(&self, version: VersionId) -> Option<SequenceNumber> {
        let certified = self.certificates.get(&version).map(Certificate::sequence_number);
        let signed = self.versions.get(&version).map(|seen| seen.header.header().sequence_number);
        signed.or(certified)
    }

    /// The version's place, signed or else by somebody's history.
    pub fn place(&self, version: VersionId) -> Option<SequenceNumber> {
        let remembered = || self.history.get(&version).map(|entry| entry.sequence_number);
        self.sequence_number(version).or_else(remembered)
    }

    /// The submission that made the version, by its header or else by somebody's history.
    pub fn attempt(&self, version: VersionId) -> Option<AttemptId> {
        let signed = self.versions.get(&version).map(|seen| seen.header.header().attempt);
        signed.or_else(|| self.history.get(&version).map(|entry| entry.attempt))
    }

    /// The version and its ancestors, by predecessor links through the headers seen.
    pub fn lineage(&self, version: VersionId) -> impl Iterator<Item = VersionId> {
        std::iter::successors(Some(version), |id| self.signed_predecessor(*id))
    }

    /// As [`Evidence::lineage`], through history entries too.
    pub fn lineage_with_history(&self, version: VersionId) -> impl Iterator<Item = VersionId> {
        let mut visited = BTreeSet::new();
        std::iter::successors(Some(version), |id| {
            let remembered = || self.history.get(id).and_then(|entry| entry.predecessor);
            self.signed_predecessor(*id).or_else(remembered)
        })
        // A lying server's history can go round in circles; signed links cannot, they are hashes.
        .take_while(move |id| visited.insert(*id))
    }

    /// Whether the way from `version` down to what `other` was built on is known, and `other` is not on it: then
    /// nothing that `version` stands for was ever built on `other`.
    pub fn rules_out(&self, version: Option<VersionId>, other: &SignedHeader) -> bool {
        let below = other.header().predecessor;
        let Some(version) = version else { return below.is_none() };
        let mut lowest = None;
        for ancestor in self.lineage_with_history(version) {
            if ancestor == other.version() {
                return false;
            }
            if Some(ancestor) == below {
                return true;
            }
            lowest = Some(ancestor);
        }
        below.is_none() && lowest.is_some_and(|lowest| self.is_first(lowest))
    }

    /// From which number on more history is wanted, to tell whether `version` was built on one that carries this attempt:
    /// that of the lowest such version between which and what is known of the lineage links are missing.
    pub fn links_wanted(&self, version: VersionId, attempt: AttemptId) -> Option<SequenceNumber> {
        let lineage: BTreeSet<VersionId> = self.lineage_with_history(version).collect();
        if lineage.iter().any(|&id| self.is_first(id) || self.attempt(id) == Some(attempt)) {
            return None;
        }
        let reached = lineage.iter().filter_map(|&id| self.place(id)).min()?;
        let signed = self.versions.keys();
        let known =
            signed.chain(self.history.keys()).filter(|&&id| self.attempt(id) == Some(attempt));
        known.filter_map(|&id| self.place(id)).filter(|&place| place < reached).min()
    }

    /// Whether the version is known to have been built on nothing.
    fn is_first(&self, version: VersionId) -> bool {
        let signed = self.versions.get(&version).map(|seen| seen.header.header().predecessor);
        let remembered = || self.history.get(&version).map(|entry| entry.predecessor);
        signed.or_else(remembered) == Some(None)
    }

    fn signed_predecessor(&self, version: VersionId) -> Option<VersionId> {
        self.versions.get(&version).and_then(|seen| seen.header.header().predecessor)
    }
}
