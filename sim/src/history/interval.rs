//! Whether an instant can be found for every version of the chain, in the chain's order, and one
//! for every read.
//!
//! A version takes effect *after* its publish began, after every read that confirmed its
//! predecessor began, and after every publish of its attempt began that was told of another's
//! version in the way; and *before* anybody was told that it is Published and before any read that
//! confirmed it ended. Such instants exist, in the chain's order, exactly if no version must be in
//! effect before it, or one of its ancestors, can be.
//!
//! Every read then has its instant too: after its own beginning and its version's instant, before
//! its own end and the next version's instant. Each of the former is before each of the latter: a
//! read begins before it ends, instants are in order, and the two other pairs are among the bounds
//! above.

use std::collections::BTreeMap;

use tarn_proto::{AttemptId, VersionId};

use super::chain::Chain;
use super::{History, InEffect, Moment, NotYet, PublishTold, Read, Violation};

/// Checks that the instants exist.
pub(super) fn check(history: &History, chain: &Chain) -> Result<(), Violation> {
    let bounds = Bounds::of(history, chain.versions());
    let mut latest: Option<(Moment, NotYet)> = None;
    for (after, before) in bounds.after.into_iter().zip(bounds.before) {
        latest = latest.max(Some(after));
        if let (Some((not_before, not_yet)), Some((by, in_effect))) = (latest, before)
            && by < not_before
        {
            return Err(Violation::OutOfOrder { in_effect, by, not_yet, not_before });
        }
    }
    Ok(())
}

/// For every version of the chain, between which moments its instant lies, and who says so.
struct Bounds {
    after: Vec<(Moment, NotYet)>,
    before: Vec<Option<(Moment, InEffect)>>,
}

impl Bounds {
    fn of(history: &History, versions: &[VersionId]) -> Self {
        let mut bounds = Self { after: Vec::new(), before: vec![None; versions.len()] };
        let mut places = BTreeMap::new();
        let mut attempts = BTreeMap::new();
        for (place, &version) in versions.iter().enumerate() {
            let publish = history.signer(&history.versions[&version]);
            let signer = history.publish(publish);
            bounds.after.push((signer.began, NotYet::Began { publish, version }));
            places.insert(version, place);
            attempts.insert(signer.attempt, place);
        }
        bounds.add_publishes(history, &places, &attempts);
        bounds.add_reads(history, &places);
        bounds
    }

    fn add_publishes(
        &mut self,
        history: &History,
        places: &BTreeMap<VersionId, usize>,
        attempts: &BTreeMap<AttemptId, usize>,
    ) {
        for (id, publish) in history.publishes() {
            match publish.ended {
                Some((told, PublishTold::Published(version))) => {
                    let in_effect = InEffect::Published { publish: id, version };
                    self.must_be_before(places[&version], told, in_effect);
                }
                Some((_, PublishTold::Conflict)) => {
                    if let Some(&place) = attempts.get(&publish.attempt) {
                        self.must_be_after(place, publish.began, NotYet::Conflict { publish: id });
                    }
                }
                Some((_, PublishTold::Unchanged | PublishTold::Unknown)) | None => {}
            }
        }
    }

    fn add_reads(&mut self, history: &History, places: &BTreeMap<VersionId, usize>) {
        for (read, Read { began, .. }, ended, found) in history.confirmed_reads() {
            let next = found.map_or(0, |version| places[&version] + 1);
            self.must_be_after(next, *began, NotYet::Read { read, found });
            if let Some(version) = found {
                self.must_be_before(places[&version], ended, InEffect::Read { read, version });
            }
        }
    }

    fn must_be_after(&mut self, place: usize, moment: Moment, not_yet: NotYet) {
        if let Some(bound) = self.after.get_mut(place)
            && bound.0 < moment
        {
            *bound = (moment, not_yet);
        }
    }

    fn must_be_before(&mut self, place: usize, moment: Moment, in_effect: InEffect) {
        let bound = &mut self.before[place];
        if bound.is_none_or(|(earlier, _)| moment < earlier) {
            *bound = Some((moment, in_effect));
        }
    }
}
