//! What the next publish is built on, and whether it may be at all. Pure.

use std::collections::VecDeque;

use tarn_proto::{SequenceNumber, VersionId};

use crate::follow::Told;
use crate::publish::Follows;
use crate::publish::outcome::Published;

/// How many of our versions are remembered, to tell them from others'.
const OURS_MAX: usize = 256;

/// The versions that were built one on another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Chain {
    tip: Option<VersionId>,
    /// The tip's place, once it is known.
    place: Option<SequenceNumber>,
    ours: VecDeque<VersionId>,
    /// The highest place that was ever heard of: what is below is no news.
    heard: Option<SequenceNumber>,
    broken: Option<Broken>,
}

/// Why nothing is published until it is said what to build on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Broken {
    /// Somebody else published.
    Replaced {
        /// What is there now, if it is known.
        now: Option<VersionId>,
    },
    /// One of ours was not published.
    Failed,
}

impl Chain {
    pub(super) fn new(tip: Option<VersionId>) -> Self {
        Self { tip, place: None, ours: VecDeque::new(), heard: None, broken: None }
    }

    /// What the next publish must follow.
    pub(super) fn follows(&self) -> Result<Follows, Broken> {
        match self.broken {
            Some(broken) => Err(broken),
            None => Ok(self.tip.map_or(Follows::Nothing, Follows::Version)),
        }
    }

    /// One of ours was published on it.
    pub(super) fn extends(&mut self, published: &Published) {
        self.tip = Some(published.version);
        self.place = published.header.as_ref().map(|header| header.header().sequence_number);
        self.ours.push_back(published.version);
        if self.ours.len() > OURS_MAX {
            self.ours.pop_front();
        }
    }

    /// Somebody's version has this place.
    pub(super) fn heard_of(&mut self, place: Option<SequenceNumber>) {
        self.heard = self.heard.max(place);
    }

    /// Nothing more may be built on it. What it was first is what is told.
    pub(super) fn breaks(&mut self, broken: Broken) {
        self.broken.get_or_insert(broken);
    }

    /// The caller has seen what is there, and goes on from this.
    pub(super) fn build_on(&mut self, version: Option<VersionId>) {
        if self.tip != version {
            (self.tip, self.place) = (version, None);
        }
        self.broken = None;
    }

    /// Whether this version is news: neither what is built on, nor one of ours, nor older than that.
    pub(super) fn is_foreign(&self, told: &Told) -> bool {
        let newest = self.place.max(self.heard);
        let is_older = told.sequence_number.is_some() && told.sequence_number <= newest;
        self.tip != Some(told.version) && !self.ours.contains(&told.version) && !is_older
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use super::*;

    fn id(number: u8) -> VersionId {
        VersionId::new([number; 32])
    }

    fn told(number: u8) -> Told {
        let sequence_number = SequenceNumber::try_from(u64::from(number)).ok();
        Told { version: id(number), sequence_number, predecessor: None, gap: false }
    }

    fn published(number: u8) -> Published {
        Published {
            header: None,
            version: id(number),
            placement: BTreeMap::new(),
            missing: BTreeSet::new(),
            repeated: false,
        }
    }

    #[test]
    fn each_is_built_on_the_one_before() {
        let mut chain = Chain::new(None);
        assert_eq!(chain.follows(), Ok(Follows::Nothing));
        chain.extends(&published(1));
        assert_eq!(chain.follows(), Ok(Follows::Version(id(1))));
    }

    #[test]
    fn once_broken_nothing_is_built_until_the_caller_says_on_what() {
        let mut chain = Chain::new(Some(id(1)));
        chain.breaks(Broken::Failed);
        chain.breaks(Broken::Replaced { now: None });
        assert_eq!(chain.follows(), Err(Broken::Failed));
        chain.build_on(Some(id(2)));
        assert_eq!(chain.follows(), Ok(Follows::Version(id(2))));
    }

    #[test]
    fn ours_and_what_is_older_are_no_news() {
        let mut chain = Chain::new(Some(id(3)));
        assert!(!chain.is_foreign(&told(3)));
        assert!(chain.is_foreign(&told(4)));
        chain.extends(&published(5));
        chain.extends(&published(6));
        assert!(!chain.is_foreign(&told(5)));
        assert!(chain.is_foreign(&told(4)), "its place is not known to be below ours");
        chain.heard_of(SequenceNumber::try_from(6).ok());
        assert!(!chain.is_foreign(&told(4)));
        assert!(chain.is_foreign(&told(7)));
    }
}
