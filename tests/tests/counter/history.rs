//! What callers of a counter were told, and the rules it is held to: the count never goes back, and no acknowledged bump
//! is skipped, doubled or lost. Knows nothing of processes.

use std::collections::BTreeSet;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

/// A state of the counter: how often it was reset, how often it was bumped since. Ordered by time.
pub(crate) type Count = (u64, u64);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Asked {
    Read,
    Bump,
    Reset,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Told {
    /// The count that was read, or made.
    Count(Count),
    /// That nothing was changed.
    Unchanged,
    /// Nothing, or that it is not known.
    Nothing,
}

/// One call, with its place among the beginnings and ends of all calls.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Call {
    pub(crate) asked: Asked,
    pub(crate) told: Told,
    pub(crate) began: u64,
    pub(crate) ended: u64,
}

/// Calls as they are made, by many callers at once.
#[derive(Debug, Default)]
pub(crate) struct History {
    moment: AtomicU64,
    calls: Mutex<Vec<Call>>,
}

/// How many calls ended in which way.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    pub(crate) reads: u64,
    pub(crate) changes: u64,
    pub(crate) unchanged: u64,
    pub(crate) unknown: u64,
    /// Changes that took effect though nobody was told.
    pub(crate) untold: u64,
}

impl History {
    /// The moment at which a call begins.
    pub(crate) fn begin(&self) -> u64 {
        self.moment.fetch_add(1, Ordering::SeqCst)
    }

    /// Puts a call on record that has ended just now.
    pub(crate) fn end(&self, asked: Asked, began: u64, told: Told) {
        let ended = self.moment.fetch_add(1, Ordering::SeqCst);
        self.calls.lock().unwrap().push(Call { asked, told, began, ended });
    }

    /// Expects that the calls followed the rules, `last` being what is there at the end.
    pub(crate) fn check(self, last: Count) -> Tally {
        check(&self.calls.into_inner().unwrap(), last).unwrap_or_else(|broken| panic!("{broken}"))
    }
}

/// Holds calls to the rules.
fn check(calls: &[Call], last: Count) -> Result<Tally, String> {
    never_back(calls, last)?;
    let untold = never_skipped(calls, last)?;
    let mut tally = Tally { untold, ..Tally::default() };
    for call in calls {
        *match (call.told, call.asked) {
            (Told::Count(_), Asked::Read) => &mut tally.reads,
            (Told::Count(_), Asked::Bump | Asked::Reset) => &mut tally.changes,
            (Told::Unchanged, _) => &mut tally.unchanged,
            (Told::Nothing, _) => &mut tally.unknown,
        } += 1;
    }
    Ok(tally)
}

/// Whoever asked after somebody else had been told of a count was told of a later one; a read, of that one at least.
fn never_back(calls: &[Call], last: Count) -> Result<(), String> {
    let mut made = BTreeSet::new();
    for call in calls {
        let Told::Count(count) = call.told else { continue };
        if count > last {
            return Err(format!("the count is {last:?} at the end: {call:?} is lost"));
        }
        if call.asked != Asked::Read && !made.insert(count) {
            return Err(format!("the same count was made twice: {call:?}"));
        }
        for later in calls.iter().filter(|later| later.began > call.ended) {
            let Told::Count(then) = later.told else { continue };
            if then < count || (then == count && later.asked != Asked::Read) {
                return Err(format!("the count went back from {call:?} to {later:?}"));
            }
        }
    }
    Ok(())
}

/// Every reset and every bump that is there was made by somebody: by one who was told, or by one who may have made it.
/// Answers how many were made by the latter.
fn never_skipped(calls: &[Call], last: Count) -> Result<u64, String> {
    let told = |wanted: Asked| {
        let counts = calls.iter().filter(move |call| call.asked == wanted);
        counts.filter_map(|call| match call.told {
            Told::Count(count) => Some(count),
            Told::Unchanged | Told::Nothing => None,
        })
    };
    let perhaps = |wanted: Asked| {
        let nothing = |call: &&Call| call.asked == wanted && call.told == Told::Nothing;
        calls.iter().filter(nothing).count() as u64
    };
    let untold_resets = last.0.saturating_sub(told(Asked::Reset).count() as u64);
    if untold_resets > perhaps(Asked::Reset) {
        return Err(format!("{untold_resets} resets were made by nobody"));
    }
    // The highest count that anybody saw between one reset and the next.
    let seen = told(Asked::Read).chain(told(Asked::Bump)).chain([last]).collect::<BTreeSet<_>>();
    let highest = |resets: u64| {
        seen.range((resets, 0)..=(resets, u64::MAX)).next_back().map_or(0, |count| count.1)
    };
    let bumps: u64 = (0..=last.0).map(highest).sum();
    let untold_bumps = bumps.saturating_sub(told(Asked::Bump).count() as u64);
    if untold_bumps > perhaps(Asked::Bump) {
        return Err(format!("{untold_bumps} bumps were made by nobody"));
    }
    Ok(untold_resets + untold_bumps)
}

#[cfg(test)]
mod tests {
    use super::Asked::{Bump, Read, Reset};
    use super::*;

    /// Calls one after the other.
    fn calls(calls: &[(Asked, Told)]) -> Vec<Call> {
        let call = |(place, &(asked, told)): (usize, &(Asked, Told))| {
            let began = 2 * place as u64;
            Call { asked, told, began, ended: began + 1 }
        };
        calls.iter().enumerate().map(call).collect()
    }

    fn at(resets: u64, bumps: u64) -> Told {
        Told::Count((resets, bumps))
    }

    #[test]
    fn a_good_history_is_tallied() {
        let good = calls(&[
            (Bump, at(0, 1)),
            (Read, at(0, 1)),
            (Bump, Told::Nothing),
            (Bump, at(0, 3)),
            (Bump, Told::Unchanged),
            (Reset, at(1, 0)),
            (Bump, at(1, 1)),
        ]);
        let tally = Tally { reads: 1, changes: 4, unchanged: 1, unknown: 1, untold: 1 };
        assert_eq!(check(&good, (1, 1)), Ok(tally));
    }

    #[test]
    fn calls_at_once_may_be_told_in_any_order() {
        let mut both = calls(&[(Bump, at(0, 2)), (Bump, at(0, 1))]);
        both[0].ended = 10;
        assert!(check(&both, (0, 2)).is_ok());
    }

    #[test]
    fn every_rule_can_be_broken() {
        let broken = |told: &[(Asked, Told)], last, rule: &str| {
            let said = check(&calls(told), last).unwrap_err();
            assert!(said.contains(rule), "{said}");
        };
        broken(&[(Bump, at(0, 2)), (Bump, Told::Nothing)], (0, 1), "is lost");
        broken(&[(Bump, at(0, 1)), (Read, at(0, 0))], (0, 1), "went back");
        broken(&[(Read, at(0, 1)), (Bump, at(0, 1))], (0, 1), "went back");
        broken(&[(Reset, at(1, 0)), (Read, at(0, 5))], (1, 0), "went back");
        broken(&[(Bump, at(0, 2))], (0, 2), "1 bumps were made by nobody");
        broken(&[(Bump, Told::Unchanged)], (0, 1), "1 bumps were made by nobody");
        broken(&[(Read, at(0, 3)), (Reset, at(1, 0))], (1, 0), "3 bumps were made by nobody");
        broken(&[(Bump, Told::Nothing)], (1, 0), "1 resets were made by nobody");
        let mut twice = calls(&[(Bump, at(0, 1)), (Bump, at(0, 1))]);
        twice[0].ended = 10;
        assert!(check(&twice, (0, 1)).unwrap_err().contains("made twice"));
    }
}
