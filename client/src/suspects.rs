//! A circuit breaker: which servers kept publishes waiting, so that the next one does not wait for them again. They are
//! asked all the same, so that every publish is a probe, and the first answer clears a server. Decides by the times it
//! is given; reads no clock and asks nobody.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use tarn_proto::StoreId;

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
    /// How many publishes in a row it kept waiting.
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

    /// A publish that could have asked `asked` has ended, and these of them had kept it waiting. The others answered, or
    /// failed at once, which keeps nobody waiting.
    pub fn note(
        &mut self,
        now: Duration,
        asked: impl IntoIterator<Item = StoreId>,
        silent: &BTreeSet<StoreId>,
    ) {
        for store in asked {
            if !silent.contains(&store) {
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

#[cfg(test)]
mod tests {
    use super::*;

    const SLOW: StoreId = StoreId::new([1; 16]);
    const QUICK: StoreId = StoreId::new([2; 16]);

    fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn a_server_that_kept_somebody_waiting_is_suspected_for_a_while() {
        let mut suspects = Suspects::default();
        suspects.note(seconds(10), [SLOW, QUICK], &[SLOW].into());
        assert_eq!(suspects.at(seconds(69)), [SLOW].into());
        assert_eq!(suspects.at(seconds(70)), BTreeSet::new());
    }

    #[test]
    fn it_is_suspected_for_longer_each_time_and_never_for_ever() {
        let mut suspects = Suspects::default();
        for _ in 0..2 {
            suspects.note(seconds(10), [SLOW], &[SLOW].into());
        }
        assert_eq!(suspects.at(seconds(129)), [SLOW].into());
        assert_eq!(suspects.at(seconds(130)), BTreeSet::new());
        for _ in 0..200 {
            suspects.note(seconds(10), [SLOW], &[SLOW].into());
        }
        assert_eq!(suspects.at(seconds(10) + LONGEST), BTreeSet::new());
    }

    #[test]
    fn a_clock_that_is_set_back_ends_it() {
        let mut suspects = Suspects::default();
        suspects.note(seconds(1_000_000), [SLOW], &[SLOW].into());
        assert_eq!(suspects.at(seconds(1_000)), BTreeSet::new());
    }

    #[test]
    fn the_first_answer_clears_it() {
        let mut suspects = Suspects::default();
        suspects.note(seconds(10), [SLOW], &[SLOW].into());
        suspects.note(seconds(11), [SLOW], &BTreeSet::new());
        assert_eq!(suspects, Suspects::default());
    }

    #[test]
    fn who_was_not_asked_stays_as_it_was() {
        let mut suspects = Suspects::default();
        suspects.note(seconds(10), [SLOW], &[SLOW].into());
        let remembered = Suspects::remembered(suspects.iter());
        suspects.note(seconds(11), [QUICK], &BTreeSet::new());
        assert_eq!(suspects, remembered);
    }
}
