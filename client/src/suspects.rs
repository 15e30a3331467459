//! A circuit breaker: which servers kept somebody waiting, so that the next publish, read or survey does not wait for
//! them again. They are asked all the same, so that each of these is a probe, and the first answer clears a server.
//! Decides by the times it is given; reads no clock and asks nobody.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use tarn_proto::StoreId;

use crate::servermap::Failure;

/// How long a server is suspected after its first time; it doubles with every further one.
const FIRST: Duration = Duration::from_secs(60);
/// The longest.
const LONGEST: Duration = Duration::from_secs(60 * 60);

/// The servers that are not waited for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Suspects(BTreeMap<StoreId, Suspicion>);

/// What is held against a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Suspicion {
    /// How often in a row it kept somebody waiting.
    pub strikes: u32,
    /// Until when nobody waits for it, by the clock of whoever asks.
    pub until: Duration,
}

impl Suspects {
    /// As they were remembered.
    pub fn remembered(suspects: impl IntoIterator<Item = (StoreId, Suspicion)>) -> Self {
        Self(suspects.into_iter().collect())
    }

    /// Those that are not waited for at this time.
    pub fn at(&self, now: Duration) -> BTreeSet<StoreId> {
        // A clock that was set back must not make a suspicion last for ever.
        let lasts = |until: Duration| now < until && until <= now + LONGEST;
        let suspected = self.0.iter().filter(|(_, suspicion)| lasts(suspicion.until));
        suspected.map(|(&store, _)| store).collect()
    }

    /// Somebody who has asked servers has ended, and has heard this of them.
    pub fn note(&mut self, now: Duration, heard: &Heard) {
        for &store in &heard.asked {
            if !heard.silent.contains(&store) {
                self.0.remove(&store);
                continue;
            }
            let before = self.0.get(&store).map_or(0, |suspicion| suspicion.strikes);
            let time = FIRST.saturating_mul(1 << before.min(10)).min(LONGEST);
            let suspicion = Suspicion { strikes: before.saturating_add(1), until: now + time };
            self.0.insert(store, suspicion);
        }
    }

    /// All of them, to be remembered.
    pub fn iter(&self) -> impl Iterator<Item = (StoreId, Suspicion)> {
        self.0.iter().map(|(&store, &suspicion)| (store, suspicion))
    }
}

/// What somebody who asked servers learnt of how quick they are. Whoever was asked and neither answered nor was waited
/// for is not in it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Heard {
    /// Who answered, or failed, or kept it waiting.
    pub asked: BTreeSet<StoreId>,
    /// Those of them that kept it waiting and had not answered when it ended.
    pub silent: BTreeSet<StoreId>,
}

impl Heard {
    /// Whoever answers is not silent, whatever it says.
    pub fn answered(&mut self, store: StoreId) {
        self.asked.insert(store);
        self.silent.remove(&store);
    }

    /// A failure that comes at once keeps nobody waiting; who could not be asked, or was not waited for, told nothing.
    pub fn failed(&mut self, store: StoreId, failure: &Failure) {
        match failure {
            Failure::Unlisted | Failure::Suspected => return,
            Failure::Late(_) => {
                self.silent.insert(store);
            }
            Failure::Dead(_) | Failure::Refused(_) | Failure::Broken(_) => {}
        }
        self.asked.insert(store);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::Millis;

    const SLOW: StoreId = StoreId::new([1; 16]);
    const QUICK: StoreId = StoreId::new([2; 16]);

    fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    /// What is heard when everybody asked answers but these.
    fn heard(asked: &[StoreId], silent: &[StoreId]) -> Heard {
        Heard { asked: asked.iter().copied().collect(), silent: silent.iter().copied().collect() }
    }

    #[test]
    fn a_server_that_kept_somebody_waiting_is_suspected_for_a_while() {
        let mut suspects = Suspects::default();
        suspects.note(seconds(10), &heard(&[SLOW, QUICK], &[SLOW]));
        assert_eq!(suspects.at(seconds(69)), [SLOW].into());
        assert_eq!(suspects.at(seconds(70)), BTreeSet::new());
    }

    #[test]
    fn it_is_suspected_for_longer_each_time_and_never_for_ever() {
        let mut suspects = Suspects::default();
        for _ in 0..2 {
            suspects.note(seconds(10), &heard(&[SLOW], &[SLOW]));
        }
        assert_eq!(suspects.at(seconds(129)), [SLOW].into());
        assert_eq!(suspects.at(seconds(130)), BTreeSet::new());
        for _ in 0..200 {
            suspects.note(seconds(10), &heard(&[SLOW], &[SLOW]));
        }
        assert_eq!(suspects.at(seconds(10) + LONGEST), BTreeSet::new());
    }

    #[test]
    fn a_clock_that_is_set_back_ends_it() {
        let mut suspects = Suspects::default();
        suspects.note(seconds(1_000_000), &heard(&[SLOW], &[SLOW]));
        assert_eq!(suspects.at(seconds(1_000)), BTreeSet::new());
    }

    #[test]
    fn the_first_answer_clears_it() {
        let mut suspects = Suspects::default();
        suspects.note(seconds(10), &heard(&[SLOW], &[SLOW]));
        suspects.note(seconds(11), &heard(&[SLOW], &[]));
        assert_eq!(suspects, Suspects::default());
    }

    #[test]
    fn who_was_not_asked_stays_as_it_was() {
        let mut suspects = Suspects::default();
        suspects.note(seconds(10), &heard(&[SLOW], &[SLOW]));
        let remembered = Suspects::remembered(suspects.iter());
        suspects.note(seconds(11), &heard(&[QUICK], &[]));
        assert_eq!(suspects, remembered);
    }

    #[test]
    fn who_answers_at_last_was_not_silent_and_who_fails_at_once_never_was() {
        let mut told = Heard::default();
        told.failed(SLOW, &Failure::Late(Millis(50)));
        told.failed(QUICK, &Failure::Dead("refused".to_owned()));
        assert_eq!(told, heard(&[SLOW, QUICK], &[SLOW]));
        told.failed(SLOW, &Failure::Dead("reset".to_owned()));
        assert_eq!(told.silent, [SLOW].into(), "a connection that breaks is no answer");
        told.failed(SLOW, &Failure::Suspected);
        assert_eq!(told, heard(&[SLOW, QUICK], &[SLOW]), "nothing new");
        told.answered(SLOW);
        assert_eq!(told, heard(&[SLOW, QUICK], &[]));
    }
}
