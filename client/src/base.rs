//! The choice of the base: which version a new one is built on, and which version a reader returns.
//!
//! One pure function over a set of slot states. Publish calls it on its map, again on what the servers that promised
//! say, and once more before it reports Published; retrieve and check call it on their maps. It is never simply the
//! newest version: a newer fragment may be passed over only if it cannot have been Published, and an older version
//! may be chosen only if nothing seen contradicts it.
//!
//! The rule (DESIGN 7.2). For every version seen, judged by its own header:
//!
//! - *certain*: a certificate was seen, or its holders are a quorum;
//! - *possibly Published*: certain, or holders plus silent servers could be a quorum.
//!
//! The base is the newest recoverable version `b` such that no other version seen is possibly Published, leaving
//! aside `b`'s ancestors, and everything with a sequence number not above that of the newest certain version among
//! `b` and its ancestors (Published versions form one chain, so what was Published below it is its ancestor). The
//! last candidate is the empty base. Nothing is chosen before a majority of the window has answered.

use std::collections::{BTreeMap, BTreeSet};

use tarn_proto::state::ANCESTORS_MAX;
use tarn_proto::{
    AttemptId, Header, SequenceNumber, SignedHeader, SlotState, StoreId, VersionId, Window,
};

use crate::quorum::{Terms, could_be_quorum, distinct_shares, is_quorum};

mod evidence;

pub use evidence::{Evidence, Seen};

/// What a new version is built on, or a reader returns.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Base {
    /// This version.
    Version(SignedHeader),
    /// Nothing was ever Published. A first version is counted in these.
    Empty(Windows),
}

/// The stores in which a version's quorum is counted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Windows {
    /// The file's.
    pub window: Window,
    /// The one that it is leaving, while it moves.
    pub joint: Option<Window>,
}

impl Base {
    /// The base's id; none for the empty base.
    pub fn version(&self) -> Option<VersionId> {
        self.header().map(SignedHeader::version)
    }

    /// The base's header; none for the empty base.
    pub const fn header(&self) -> Option<&SignedHeader> {
        match self {
            Self::Version(header) => Some(header),
            Self::Empty(_) => None,
        }
    }

    /// The window of a version that is built on it.
    pub fn window(&self) -> &Window {
        match self {
            Self::Version(header) => &header.header().window,
            Self::Empty(windows) => &windows.window,
        }
    }

    /// The window that the file is leaving, while it moves.
    pub fn joint(&self) -> Option<&Window> {
        match self {
            Self::Version(header) => header.header().joint.as_ref(),
            Self::Empty(windows) => windows.joint.as_ref(),
        }
    }
}

/// What the answers allow.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Choice {
    /// This base, and no other.
    Chosen {
        /// The base.
        base: Base,
        /// Whether it is known to be Published. An empty base is.
        certain: bool,
    },
    /// The answers do not tell.
    Undecided(Undecided),
}

/// Why no base can be chosen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Undecided {
    /// Too few of the window have answered; any of these would help.
    NoMajority {
        /// Who has not answered.
        silent: BTreeSet<StoreId>,
        /// Of which windows.
        windows: Windows,
    },
    /// Some version may have been Published, and these servers would tell.
    InDoubt {
        /// Who has not answered.
        silent: BTreeSet<StoreId>,
        /// The newest version that may have been Published.
        newest: SignedHeader,
    },
    /// The newest version that these servers know is older than one that was seen before.
    BelowHighWater {
        /// Who has not answered.
        silent: BTreeSet<StoreId>,
        /// What was seen.
        seen: HighWater,
    },
    /// Headers name different windows, and none names both.
    Windows,
    /// The file is known to exist, yet no signed header of it was found.
    NoHeader {
        /// Who has not answered.
        silent: BTreeSet<StoreId>,
    },
}

impl Undecided {
    /// The servers whose answers could decide.
    pub fn needed(&self) -> BTreeSet<StoreId> {
        match self {
            Self::NoMajority { silent, .. }
            | Self::InDoubt { silent, .. }
            | Self::BelowHighWater { silent, .. }
            | Self::NoHeader { silent } => silent.clone(),
            Self::Windows => BTreeSet::new(),
        }
    }
}

/// Who may use the empty base, and in which window.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// The file's creator, who drew its window; it may begin from nothing.
    Creator(Window),
    /// Somebody who was given a cap: the file exists, so finding nothing means that the right servers are silent.
    CapHolder,
}

/// The newest version of a file that was ever seen here. It never goes down.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct HighWater {
    /// Its place.
    pub sequence_number: SequenceNumber,
    /// The version.
    pub version: VersionId,
}

impl HighWater {
    /// Of this version.
    pub fn of(header: &SignedHeader) -> Self {
        let (sequence_number, version) = header.order();
        Self { sequence_number, version }
    }

    /// Whether somebody who has seen this may be given that version: it is the same, or above.
    pub fn admits(&self, header: &SignedHeader) -> bool {
        header.version() == self.version || header.header().sequence_number > self.sequence_number
    }
}

/// Chooses the base from the answers of these servers, counting every other one as silent.
pub fn choose(answers: &BTreeMap<StoreId, SlotState>, origin: &Origin) -> Choice {
    let evidence = Evidence::gather(answers);
    let chosen_window = match evidence.window(origin) {
        Ok(window) => window,
        Err(undecided) => return Choice::Undecided(undecided),
    };
    let silent: BTreeSet<StoreId> = windows_of(&chosen_window)
        .flat_map(|window| window.stores())
        .filter(|store| !answers.contains_key(store))
        .copied()
        .collect();
    let answered = |window: &Window| {
        window.stores().iter().filter(|store| answers.contains_key(store)).count()
    };
    if windows_of(&chosen_window).any(|window| answered(window) < window.majority()) {
        let windows = owned(&chosen_window);
        return Choice::Undecided(Undecided::NoMajority { silent, windows });
    }
    evidence.choose(&chosen_window, &silent)
}

/// The window or windows in force, as some header or the creator names them.
type InForce<'a> = (&'a Window, Option<&'a Window>);

fn windows_of<'a>(in_force: &InForce<'a>) -> impl Iterator<Item = &'a Window> {
    std::iter::once(in_force.0).chain(in_force.1)
}

fn owned(in_force: &InForce<'_>) -> Windows {
    Windows { window: in_force.0.clone(), joint: in_force.1.cloned() }
}

impl Evidence {
    fn window<'a>(&'a self, origin: &'a Origin) -> Result<InForce<'a>, Undecided> {
        let mut headers = self.headers().map(|header| header.header());
        match (headers.next(), origin) {
            (None, Origin::Creator(window)) => Ok((window, None)),
            (None, Origin::CapHolder) => Err(Undecided::NoHeader { silent: BTreeSet::new() }),
            (Some(first), _) => self.window_of_headers(first),
        }
    }

    /// All headers name one window, or one that names both is among them.
    fn window_of_headers<'a>(&'a self, first: &'a Header) -> Result<InForce<'a>, Undecided> {
        let named: Vec<&Window> =
            self.headers().flat_map(|signed| Terms::from(signed.header()).windows()).collect();
        let joint = self.headers().map(SignedHeader::header).find(|header| header.joint.is_some());
        let in_force = match joint {
            Some(header) => (&header.window, header.joint.as_ref()),
            None => (&first.window, None),
        };
        if named.iter().all(|window| windows_of(&in_force).any(|known| same(known, window))) {
            Ok(in_force)
        } else {
            Err(Undecided::Windows)
        }
    }

    fn choose(&self, in_force: &InForce<'_>, silent: &BTreeSet<StoreId>) -> Choice {
        let possible: Vec<VersionId> =
            self.ids().filter(|&version| self.possibly_published(version, silent)).collect();
        for candidate in self.newest_first() {
            if candidate.is_recoverable()
                && possible.iter().all(|&other| self.leaves_aside(candidate, other))
            {
                return Choice::Chosen {
                    certain: self.is_certain(candidate.header.version()),
                    base: Base::Version(candidate.header.clone()),
                };
            }
        }
        let newest = self.newest_first().find(|seen| possible.contains(&seen.header.version()));
        match newest {
            None if possible.is_empty() => {
                Choice::Chosen { base: Base::Empty(owned(in_force)), certain: true }
            }
            None => Choice::Undecided(Undecided::NoHeader { silent: silent.clone() }),
            Some(seen) => Choice::Undecided(Undecided::InDoubt {
                silent: silent.clone(),
                newest: seen.header.clone(),
            }),
        }
    }

    /// Whether `other`, though it may have been Published, does not speak against `candidate`.
    fn leaves_aside(&self, candidate: &Seen, other: VersionId) -> bool {
        let mut certain_up_to: Option<SequenceNumber> = None;
        for ancestor in self.lineage(candidate.header.version()) {
            if ancestor == other {
                return true;
            }
            if self.is_certain(ancestor) {
                certain_up_to = certain_up_to.max(self.sequence_number(ancestor));
            }
        }
        self.sequence_number(other) <= certain_up_to && certain_up_to.is_some()
    }

    /// Whether the version is known to have been Published.
    pub fn is_certain(&self, version: VersionId) -> bool {
        self.is_certified(version)
            || self
                .seen(version)
                .is_some_and(|seen| is_quorum(seen.header.header().into(), &seen.placement()))
    }

    /// The newest version known to have been Published.
    pub fn newest_certain(&self) -> Option<VersionId> {
        let certain = self.ids().filter(|&version| self.is_certain(version));
        certain.max_by_key(|&version| self.sequence_number(version))
    }

    /// Where nobody is silent, fewer than k shares are a fragment that never was Published and never can be: nobody
    /// can regenerate what it lacks, and its writer's commits are refused by whoever has promised since.
    fn possibly_published(&self, version: VersionId, silent: &BTreeSet<StoreId>) -> bool {
        self.is_certain(version)
            || self.seen(version).is_some_and(|seen| {
                let header = seen.header.header();
                let holders = seen.holders.keys().copied().collect();
                let enough = header.geometry.length() == 0
                    || distinct_shares(&seen.placement()) >= usize::from(header.shape.k());
                could_be_quorum(header.into(), &holders, silent) && (enough || !silent.is_empty())
            })
    }

    /// A version that carries this attempt and was Published: certain, or an ancestor of a certain one by links
    /// through headers and history. A history entry off that chain means nothing.
    pub fn published_by(&self, attempt: AttemptId) -> Option<VersionId> {
        let certain: Vec<VersionId> =
            self.ids().filter(|&version| self.is_certain(version)).collect();
        certain
            .into_iter()
            .flat_map(|version| self.lineage_with_history(version))
            .find(|&version| self.attempt(version) == Some(attempt))
    }

    /// A version that carries this attempt among `base` and its ancestors above the last certain one.
    pub fn carried_by(&self, base: VersionId, attempt: AttemptId) -> Option<VersionId> {
        self.lineage(base)
            .take_while(|&version| !self.is_certain(version))
            .find(|&version| self.attempt(version) == Some(attempt))
    }

    /// What is handed along with a version that is built on `predecessor`: the headers from there down to the newest
    /// version that is certain, as far as they were seen. Every quorum of the new version then links it to what a quorum
    /// remembers already, whoever is silent later.
    pub fn ancestors(&self, predecessor: Option<VersionId>) -> Vec<SignedHeader> {
        let line = predecessor.into_iter().flat_map(|version| self.lineage(version));
        line.take_while(|&version| !self.is_certain(version))
            .filter_map(|version| self.seen(version))
            .map(|seen| seen.header.clone())
            .take(ANCESTORS_MAX)
            .collect()
    }

    /// The sequence number of a next version: one above every signed one seen, floors included. None when the
    /// file is worn out.
    pub fn next_sequence_number(&self) -> Option<SequenceNumber> {
        match self.ids().filter_map(|version| self.sequence_number(version)).max() {
            None => Some(SequenceNumber::FIRST),
            Some(highest) => highest.next(),
        }
    }
}

/// Whether two windows name the same stores, in whatever order.
fn same(one: &Window, other: &Window) -> bool {
    one.stores().len() == other.stores().len()
        && one.stores().iter().all(|store| other.contains(*store))
}

#[cfg(test)]
mod tests;
