//! The servermap: what a client believes each server holds, and the machine that asks them.
//!
//! [`Mapping`] sends one query to each server and says when enough have answered. It chooses no base: that is
//! [`crate::base`], on the [`ServerMap`] this gives. It is a part of the publish and retrieve machines, and runs alone
//! for `tarn status`.

use std::collections::{BTreeMap, BTreeSet};

use tarn_proto::{SlotState, StoreId, Window};

use crate::base::{Choice, Evidence, Origin, choose};
use crate::quorum::Terms;
use crate::suspects::Heard;
use crate::time::Millis;

/// What each server said, or why it did not.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ServerMap {
    /// The slot as each server that answered has it.
    pub answers: BTreeMap<StoreId, SlotState>,
    /// Why the others did not answer.
    pub failures: BTreeMap<StoreId, Failure>,
}

impl ServerMap {
    /// The base that these answers allow.
    pub fn choose(&self, origin: &Origin) -> Choice {
        choose(&self.answers, origin)
    }

    /// What the answers show, by version.
    pub fn evidence(&self) -> Evidence {
        Evidence::gather(&self.answers)
    }

    /// Who kept whoever asked waiting, and who did not.
    pub fn heard(&self) -> Heard {
        let mut heard = Heard::default();
        for (&store, failure) in &self.failures {
            heard.failed(store, failure);
        }
        for &store in self.answers.keys() {
            heard.answered(store);
        }
        heard
    }
}

/// Why a server could not be used: what went wrong, and what that says of the message.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    /// Nobody listens there, or the connection broke.
    #[error("{0}")]
    Dead(String),
    /// It took far longer than the others. It may still answer.
    #[error("it did not answer within {0}")]
    Late(Millis),
    /// It had kept somebody waiting before, and the others sufficed. It may still answer.
    #[error("it did not answer before, and was not waited for")]
    Suspected,
    /// It refused.
    #[error("{0}")]
    Refused(tarn_proto::Refusal),
    /// It answered with nonsense, or in another store's name.
    #[error("{0}")]
    Broken(String),
    /// The grid configuration names no address for it.
    #[error("it is not in the grid configuration")]
    Unlisted,
}

/// The times that a machine waits by. Relative where it can be: a server is late when it takes a multiple of what the
/// faster ones took, and only below the floor does an absolute time matter. The floor is low: to do without a server
/// costs no more than a share in a worse place until the next publish, and to wait for a dead one costs every publish.
#[derive(Debug, Clone, Copy)]
pub struct Patience {
    /// Nobody is late before this.
    pub floor: Millis,
    /// Nobody who takes in bytes is given up before it has taken none for so long: disks pause.
    pub stall: Millis,
    /// Late is this many times what the faster half took.
    pub factor: u64,
    /// How long to wait when not even a quorum answers.
    pub limit: Millis,
}

impl Default for Patience {
    fn default() -> Self {
        Self { floor: Millis(50), stall: Millis(2_000), factor: 4, limit: Millis(5_000) }
    }
}

/// How many servers beyond the window are asked, in case shares strayed there.
const STRAYS_ASKED: usize = 3;
/// How many servers are asked by somebody who knows no window.
const ASKED_WITHOUT_WINDOW: usize = 64;

/// Whom to ask of a file, `order` being the stores known, those that the file prefers first.
pub fn stores_to_ask(window: Option<&Window>, order: &[StoreId]) -> Vec<StoreId> {
    let Some(window) = window else {
        return order.iter().copied().take(ASKED_WITHOUT_WINDOW).collect();
    };
    let beyond = order.iter().filter(|store| !window.contains(**store));
    window.stores().iter().chain(beyond.take(STRAYS_ASKED)).copied().collect()
}

/// One round of asking every server for its slot's state.
#[derive(Debug, Clone)]
pub struct Mapping {
    map: ServerMap,
    pending: BTreeSet<StoreId>,
    /// Every store a query may go to.
    reachable: BTreeSet<StoreId>,
    /// Stores that kept others waiting before: they are asked, and nobody waits for them while the others suffice.
    suspects: BTreeSet<StoreId>,
    began: Millis,
    patience: Patience,
    /// When the first half of those asked had answered.
    half_answered: Option<Millis>,
}

impl Mapping {
    /// Begins a round; the caller queries [`Mapping::pending`]. Of `wanted`, those that are not `reachable` have
    /// failed already.
    pub fn begin(
        now: Millis,
        wanted: impl IntoIterator<Item = StoreId>,
        reachable: BTreeSet<StoreId>,
        patience: Patience,
    ) -> Self {
        let mut mapping = Self {
            map: ServerMap::default(),
            pending: BTreeSet::new(),
            reachable,
            suspects: BTreeSet::new(),
            began: now,
            patience,
            half_answered: None,
        };
        mapping.want(wanted);
        mapping
    }

    /// The same, with stores that nobody is to wait for while the others suffice.
    #[must_use]
    pub fn suspecting(self, suspects: BTreeSet<StoreId>) -> Self {
        Self { suspects, ..self }
    }

    /// Who is asked and has not answered.
    pub const fn pending(&self) -> &BTreeSet<StoreId> {
        &self.pending
    }

    /// What is known so far.
    pub const fn map(&self) -> &ServerMap {
        &self.map
    }

    /// The map, as it is now.
    pub fn into_map(self) -> ServerMap {
        self.map
    }

    /// A server answered. Returns stores that its headers name and that were not asked yet: query them too.
    pub fn answered(&mut self, now: Millis, store: StoreId, state: SlotState) -> BTreeSet<StoreId> {
        let named: BTreeSet<StoreId> = state
            .headers()
            .flat_map(|signed| Terms::from(signed.header()).windows())
            .flat_map(|window| window.stores())
            .copied()
            .collect();
        self.pending.remove(&store);
        self.map.failures.remove(&store);
        self.map.answers.insert(store, state);
        self.note_progress(now);
        self.want(named)
    }

    /// A server did not answer.
    pub fn failed(&mut self, now: Millis, store: StoreId, failure: Failure) {
        self.pending.remove(&store);
        if !self.map.answers.contains_key(&store) {
            self.map.failures.insert(store, failure);
        }
        self.note_progress(now);
    }

    /// Whether to go on with what is known: everybody has answered or failed, or those who have not are late and
    /// the rest suffice for `enough`.
    pub fn is_over(&self, now: Millis, enough: bool) -> bool {
        self.pending.is_empty()
            || now >= self.began + self.patience.limit
            || enough && self.pending.is_subset(&self.suspects)
            || enough && self.late_at().is_some_and(|late| now >= late)
    }

    /// When to look again although nothing happened.
    pub fn wake_at(&self, enough: bool) -> Millis {
        let limit = self.began + self.patience.limit;
        if enough { self.late_at().map_or(limit, |late| late.min(limit)) } else { limit }
    }

    /// Gives up on those that have not answered.
    pub fn give_up(&mut self, now: Millis) {
        let waited = now.since(self.began);
        let is_late = now >= self.wake_at(true);
        for store in std::mem::take(&mut self.pending) {
            let was_waited_for = is_late || !self.suspects.contains(&store);
            let failure = if was_waited_for { Failure::Late(waited) } else { Failure::Suspected };
            self.map.failures.insert(store, failure);
        }
    }

    fn want(&mut self, stores: impl IntoIterator<Item = StoreId>) -> BTreeSet<StoreId> {
        let mut new = BTreeSet::new();
        for store in stores {
            let known = self.map.answers.contains_key(&store)
                || self.map.failures.contains_key(&store)
                || self.pending.contains(&store);
            if known {
                continue;
            }
            if self.reachable.contains(&store) {
                self.pending.insert(store);
                new.insert(store);
            } else {
                self.map.failures.insert(store, Failure::Unlisted);
            }
        }
        new
    }

    fn note_progress(&mut self, now: Millis) {
        if self.half_answered.is_none() && self.map.answers.len() >= self.pending.len() {
            self.half_answered = Some(now.since(self.began));
        }
    }

    fn late_at(&self) -> Option<Millis> {
        let took = self.half_answered?;
        Some(self.began + took.times(self.patience.factor).max(self.patience.floor))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn store(number: u8) -> StoreId {
        StoreId::new([number; 16])
    }

    fn patience() -> Patience {
        Patience { floor: Millis(500), ..Patience::default() }
    }

    fn mapping(stores: u8) -> Mapping {
        let all: BTreeSet<_> = (0..stores).map(store).collect();
        Mapping::begin(Millis(0), all.clone(), all, patience())
    }

    fn answer(mapping: &mut Mapping, now: u64, number: u8) {
        let new = mapping.answered(Millis(now), store(number), SlotState::empty(store(number)));
        assert!(new.is_empty());
    }

    #[test]
    fn it_is_over_when_everybody_answered_or_failed() {
        let mut mapping = mapping(3);
        answer(&mut mapping, 1, 0);
        answer(&mut mapping, 1, 1);
        assert!(!mapping.is_over(Millis(2), true));
        mapping.failed(Millis(2), store(2), Failure::Dead("refused".into()));
        assert!(mapping.is_over(Millis(2), false));
        assert_eq!(mapping.map().failures.len(), 1);
    }

    #[test]
    fn late_is_relative_to_the_faster_half_with_a_floor() {
        let mut quick = mapping(4);
        answer(&mut quick, 3, 0);
        answer(&mut quick, 3, 1);
        assert_eq!(quick.wake_at(true), Millis(500));
        let mut slow = mapping(4);
        answer(&mut slow, 400, 0);
        answer(&mut slow, 400, 1);
        assert_eq!(slow.wake_at(true), Millis(1_600));
        assert!(!slow.is_over(Millis(1_599), true) && slow.is_over(Millis(1_600), true));
        assert!(!slow.is_over(Millis(1_600), false), "not before the limit when it is not enough");
        assert!(slow.is_over(Millis(5_000), false));
    }

    #[test]
    fn nobody_waits_for_a_suspect_while_the_others_suffice() {
        let mut mapping = mapping(3).suspecting([store(2)].into());
        answer(&mut mapping, 1, 0);
        assert!(!mapping.is_over(Millis(1), true), "another is still asked");
        answer(&mut mapping, 2, 1);
        assert!(mapping.is_over(Millis(2), true));
        assert!(!mapping.is_over(Millis(2), false), "it is needed after all");
        answer(&mut mapping, 3, 2);
        assert_eq!(mapping.map().answers.len(), 3, "and may answer as any other");
    }

    #[test]
    fn nothing_new_is_held_against_a_suspect_that_nobody_waited_for() {
        let given_up_at = |now| {
            let mut mapping = mapping(3).suspecting([store(2)].into());
            answer(&mut mapping, 1, 0);
            answer(&mut mapping, 2, 1);
            mapping.give_up(Millis(now));
            (mapping.map().failures[&store(2)].clone(), mapping.map().heard())
        };
        let (failure, heard) = given_up_at(499);
        assert_eq!(failure, Failure::Suspected);
        assert_eq!((heard.asked, heard.silent), ([store(0), store(1)].into(), [].into()));
        let (failure, heard) = given_up_at(500);
        assert_eq!(failure, Failure::Late(Millis(500)), "as long as for anybody");
        assert_eq!(heard.silent, [store(2)].into());
    }

    #[test]
    fn a_map_tells_who_kept_it_waiting() {
        let all = (0..4).map(store);
        let mut mapping = Mapping::begin(Millis(0), all, (0..3).map(store).collect(), patience());
        answer(&mut mapping, 1, 0);
        mapping.failed(Millis(1), store(1), Failure::Dead("refused".into()));
        mapping.give_up(Millis(9));
        let heard = mapping.map().heard();
        assert_eq!(heard.asked, [store(0), store(1), store(2)].into(), "the fourth has no address");
        assert_eq!(heard.silent, [store(2)].into());
    }

    #[test]
    fn an_answer_after_giving_up_replaces_the_failure() {
        let mut mapping = mapping(1);
        mapping.give_up(Millis(9));
        assert_eq!(mapping.map().failures[&store(0)], Failure::Late(Millis(9)));
        answer(&mut mapping, 10, 0);
        assert!(mapping.map().failures.is_empty());
    }

    #[test]
    fn a_store_that_nobody_listed_has_failed_already() {
        let mapping =
            Mapping::begin(Millis(0), [store(0), store(1)], [store(0)].into(), patience());
        assert_eq!(mapping.pending(), &[store(0)].into());
        assert_eq!(mapping.map().failures[&store(1)], Failure::Unlisted);
    }
}
