//! Before step 1 of a publish: what its caller knows already. A map that was asked for is as good as our own; of one that is only
//! remembered nothing is concluded.

use super::{Learnt, Publish};
use crate::base::Choice;
use crate::publish::outcome::During;
use crate::servermap::ServerMap;

impl Publish {
    /// Begins with what the caller has learnt, or by asking.
    pub(super) fn begin(&mut self) {
        match self.request.map.take() {
            Some(Learnt::Asked(map)) => self.begin_with(map),
            Some(Learnt::Remembered(map)) => self.begin_from_memory(map),
            None => self.map(),
        }
    }

    fn begin_with(&mut self, map: ServerMap) {
        self.rounds += 1;
        for &server in map.answers.keys() {
            self.heard.answered(server);
        }
        for (&server, failure) in &map.failures {
            self.trouble(server, During::Map, failure.clone());
        }
        self.servermap = map;
        self.choose();
    }

    /// Builds on what is remembered, if that is what the caller wants to follow and leaves nothing to find out; else asks.
    fn begin_from_memory(&mut self, map: ServerMap) {
        let evidence = map.evidence();
        let Choice::Chosen { base, .. } = map.choose(&self.request.origin) else {
            return self.map();
        };
        let nothing_of_ours = evidence.published_by(self.request.attempt).is_none()
            && base
                .version()
                .is_none_or(|version| evidence.carried_by(version, self.request.attempt).is_none())
            && self.links_wanted(&base, &evidence).is_none();
        let answered = base.window().stores().iter().all(|s| map.answers.contains_key(s));
        if !nothing_of_ours
            || !answered
            || self.landed.is_some()
            || self.below_high_water(&base).is_some()
            || !self.may_follow(&base)
        {
            return self.map();
        }
        self.rounds += 1;
        self.from_memory = true;
        self.servermap = map;
        self.build_on(&base, &evidence);
    }
}
