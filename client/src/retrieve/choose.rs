//! Choosing the version to read from a finished map, or saying why there is none.

use std::collections::BTreeSet;

use tarn_proto::{SignedHeader, StoreId, VersionId};

use super::outcome::{Found, Outcome, Shortfall, Unrecoverable};
use super::{Phase, ROUNDS_UNANSWERED_MAX, Retrieve};
use crate::base::{Base, Choice, Evidence, HighWater, Seen, Undecided, Windows};
use crate::fetch::NotEnoughShares;

impl Retrieve {
    /// The map is finished: chooses what to read, or goes on with what the caller is being given already.
    pub(super) fn choose(&mut self) {
        if self.announced {
            return self.resume();
        }
        if let Some(version) = self.request.version {
            return self.choose_named(version);
        }
        match self.servermap.choose(&self.request.origin) {
            Choice::Chosen { base: Base::Empty(_), .. } => self.nothing_there(),
            Choice::Chosen { base: Base::Version(header), certain } => {
                if self.is_rollback(&header) {
                    self.rolled_back(Some(header));
                } else if certain {
                    self.open(&header, true);
                } else if header.header().key_check == self.request.key_check {
                    self.bring(&header);
                } else {
                    self.finish(Outcome::WrongReadKey { header });
                }
            }
            Choice::Undecided(undecided) => self.undecided(undecided),
        }
    }

    /// The caller named a version: it is read if it can be, and confirmed if it is known to have been Published.
    fn choose_named(&mut self, version: VersionId) {
        let evidence = self.evidence();
        let Some(seen) = evidence.seen(version) else {
            let nobody_was_asked = self.rounds == 0;
            if (nobody_was_asked || !self.servermap.failures.is_empty())
                && self.rounds < ROUNDS_UNANSWERED_MAX
            {
                return self.begin_anew();
            }
            return self.finish(Outcome::NotFound { silent: self.silent() });
        };
        if !seen.is_recoverable() {
            if self.rounds < ROUNDS_UNANSWERED_MAX {
                return self.begin_anew();
            }
            let (header, shortage) = (seen.header.clone(), shortage(seen));
            return self.finish(Outcome::NotEnoughShares { header, shortage });
        }
        let confirmed = evidence.ids().filter(|&id| evidence.is_certain(id)).any(|certain| {
            evidence.lineage_with_history(certain).any(|ancestor| ancestor == version)
        });
        if !confirmed && self.request.strict {
            let undecided =
                Undecided::InDoubt { silent: self.silent(), newest: seen.header.clone() };
            return self.finish(Outcome::Undecided(undecided));
        }
        self.open(&seen.header.clone(), confirmed);
    }

    fn nothing_there(&mut self) {
        if self.request.high_water.is_some() && !self.request.allow_rollback {
            return self.rolled_back(None);
        }
        self.finish(Outcome::NotFound { silent: self.silent() });
    }

    fn rolled_back(&mut self, now: Option<SignedHeader>) {
        if let Some(seen) = self.request.high_water {
            self.finish(Outcome::RolledBack { seen, now });
        }
    }

    /// Asks again, a bounded number of times; then makes do with the newest version that can be recovered.
    fn undecided(&mut self, undecided: Undecided) {
        if self.rounds < ROUNDS_UNANSWERED_MAX && !self.servermap.failures.is_empty() {
            return self.begin_anew();
        }
        let evidence = self.evidence();
        let recoverable = evidence.newest_first().find(|seen| seen.is_recoverable());
        match recoverable {
            Some(seen) if !self.request.strict => self.unconfirmed(&seen.header.clone()),
            Some(_) | None => self.finish_undecided(&evidence, undecided),
        }
    }

    fn finish_undecided(&mut self, evidence: &Evidence, undecided: Undecided) {
        let newest = evidence.newest_first().next();
        let outcome = match undecided {
            Undecided::NoMajority { silent, windows: Windows { window, .. } } => {
                let answered = |store: &&StoreId| self.servermap.answers.contains_key(store);
                Outcome::NotEnoughServers(Shortfall {
                    answered: window.stores().iter().filter(answered).count(),
                    majority: window.majority(),
                    window: window.stores().len(),
                    silent,
                })
            }
            Undecided::NoHeader { .. } => {
                Outcome::Undecided(Undecided::NoHeader { silent: self.silent() })
            }
            Undecided::InDoubt { .. } if !self.request.strict => match newest {
                Some(seen) => Outcome::NotEnoughShares {
                    header: seen.header.clone(),
                    shortage: shortage(seen),
                },
                None => Outcome::Undecided(undecided),
            },
            Undecided::InDoubt { .. } | Undecided::BelowHighWater { .. } | Undecided::Windows => {
                Outcome::Undecided(undecided)
            }
        };
        self.finish(outcome);
    }

    fn silent(&self) -> BTreeSet<StoreId> {
        self.servermap.failures.keys().copied().collect()
    }

    /// It cannot be told whether this version was Published, nor made so.
    pub(super) fn unconfirmed(&mut self, header: &SignedHeader) {
        if self.is_rollback(header) {
            return self.rolled_back(Some(header.clone()));
        }
        if self.request.strict {
            let undecided = Undecided::InDoubt { silent: self.silent(), newest: header.clone() };
            return self.finish(Outcome::Undecided(undecided));
        }
        self.open(header, false);
    }

    /// This version is what the caller gets.
    pub(super) fn open(&mut self, header: &SignedHeader, confirmed: bool) {
        if header.header().key_check != self.request.key_check {
            return self.finish(Outcome::WrongReadKey { header: header.clone() });
        }
        let found = self.found(header, confirmed);
        if header.header().tombstone {
            return self.finish(Outcome::Deleted(found));
        }
        let is_the_same = |before: &Found| before.header.version() == header.version();
        let goes_on = self.found.as_ref().is_some_and(is_the_same) && self.fetch.is_some();
        self.found = Some(found);
        if goes_on { self.resume() } else { self.begin_reading() }
    }

    fn found(&self, header: &SignedHeader, confirmed: bool) -> Found {
        let length = header.header().geometry.length();
        let start = self.request.range.start.min(length);
        let before = self.request.high_water;
        Found {
            header: header.clone(),
            confirmed,
            newer_unrecoverable: self
                .evidence()
                .newest_first()
                .take_while(|seen| seen.header.order() > header.order())
                .filter(|seen| !seen.is_recoverable())
                .map(|seen| Unrecoverable { header: seen.header.clone(), shortage: shortage(seen) })
                .collect(),
            high_water: if confirmed { before.max(Some(HighWater::of(header))) } else { before },
            range: start..self.request.range.end.clamp(start, length),
        }
    }

    /// Other sources may be known now of the version being read.
    fn resume(&mut self) {
        let Some(found) = &self.found else { return };
        self.sources = self.sources_of(found.header.version());
        self.phase = Phase::Reading;
        let owing = self.owing_rows();
        self.rows.ask_anew(self.now, &owing);
        if let Some(fetch) = &mut self.fetch {
            fetch.replace_sources(self.now, self.sources.clone());
        }
    }
}

fn shortage(seen: &Seen) -> NotEnoughShares {
    let need = seen.header.header().shape.k().into();
    NotEnoughShares { have: seen.recoverable_shares(), need }
}
