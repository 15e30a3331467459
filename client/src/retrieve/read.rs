//! Reading the version chosen: its rows from any holder, then its segments from whoever has shares of it.

use std::collections::BTreeSet;
use std::ops::Range;

use tarn_proto::{Geometry, StoreId};

use super::action::Action;
use super::outcome::{During, Outcome};
use super::{Kind, Phase, ROUNDS_MAX, Retrieve};
use crate::fetch::{Fetch, NotEnoughShares, RunFailure, RunId};
use crate::quorum::distinct_shares;
use crate::servermap::Failure;
use crate::time::Millis;

impl Retrieve {
    /// Begins to read what was found.
    pub(super) fn begin_reading(&mut self) {
        if let Some(mut fetch) = self.fetch.take() {
            self.first_run = fetch.end();
            self.carry_out(fetch.wants());
        }
        self.outstanding.retain(|_, sent| sent.kind != Kind::Rows);
        let Some(found) = &self.found else { return };
        self.sources = self.sources_of(found.header.version());
        if found.range.is_empty() {
            return self.retrieved();
        }
        self.phase = Phase::ReadingRows { asked: BTreeSet::new(), ask_next_at: None };
    }

    /// Asks one holder after the other for the rows: the next one when one fails, or takes long.
    pub(super) fn maintain_rows(&mut self) {
        let is_asked = self.outstanding.values().any(|sent| sent.kind == Kind::Rows);
        let Phase::ReadingRows { asked, ask_next_at } = &mut self.phase else {
            return;
        };
        if is_asked && ask_next_at.is_none_or(|when| self.now < when) {
            return;
        }
        let patience = self.patience.floor.times(self.patience.factor);
        let ordered = self.roster.0.iter().filter(|store| self.sources.contains_key(store));
        let next = ordered.copied().find(|store| !asked.contains(store));
        match next {
            Some(server) => {
                asked.insert(server);
                *ask_next_at = Some(self.now + patience);
                self.rows_late(patience);
                self.ask_rows(server);
            }
            None if is_asked => {
                *ask_next_at = None;
                self.rows_late(patience);
            }
            None => self.map_again(),
        }
    }

    /// Whoever has not given the rows by now kept the reader waiting. They are taken all the same when they come.
    fn rows_late(&mut self, waited: Millis) {
        let owing = self.outstanding.values().filter(|sent| sent.kind == Kind::Rows);
        for server in owing.map(|sent| sent.server).collect::<Vec<_>>() {
            self.trouble(server, During::Rows, Failure::Late(waited));
        }
    }

    fn ask_rows(&mut self, server: StoreId) {
        let Some(found) = &self.found else { return };
        let header = found.header.clone();
        let segments = segments(&header.header().geometry, &found.range);
        let message = self.send(server, Kind::Rows);
        self.actions.push(Action::ReadRows { message, server, header, segments });
    }

    pub(super) fn rows_arrived(&mut self) {
        let (Phase::ReadingRows { .. }, Some(found)) = (&self.phase, &self.found) else {
            return;
        };
        let geometry = found.header.header().geometry;
        let segments = segments(&geometry, &found.range);
        let sources = self.sources.clone();
        self.outstanding.retain(|_, sent| sent.kind != Kind::Rows);
        self.fetch = Some(Fetch::begin(
            self.now,
            &geometry,
            segments,
            sources,
            self.patience,
            self.first_run,
        ));
        self.phase = Phase::Reading;
    }

    pub(super) fn rows_failed(&mut self, server: StoreId, failure: Failure) {
        if let Failure::Broken(_) = failure
            && let Some(shares) = self.sources.get(&server)
        {
            self.bad.entry(server).or_default().extend(shares);
        }
        self.sources.remove(&server);
        self.trouble(server, During::Rows, failure);
    }

    pub(super) fn maintain_reading(&mut self) {
        let Some(fetch) = &self.fetch else { return };
        if fetch.is_drained() {
            self.retrieved();
        } else if fetch.exhausted().is_some() {
            self.map_again();
        }
    }

    pub(super) fn run_failed(&mut self, run: RunId, failure: RunFailure) {
        let Some(fetch) = &mut self.fetch else { return };
        let Some((server, share)) = fetch.failed(self.now, run, &failure) else {
            return;
        };
        let failure = match failure {
            RunFailure::Server(failure) => failure,
            RunFailure::Share(failure) => {
                if let Failure::Broken(_) = failure {
                    self.bad.entry(server).or_default().insert(share);
                }
                failure
            }
        };
        self.trouble(server, During::Blocks, failure);
    }

    /// Servers that hold up the next segment by far longer than others took are not counted on.
    pub(super) fn give_up_late_runs(&mut self) {
        let (Phase::Reading, Some(fetch)) = (&self.phase, &mut self.fetch) else {
            return;
        };
        for (server, waited) in fetch.overdue(self.now) {
            self.trouble(server, During::Blocks, Failure::Late(waited));
        }
    }

    pub(super) fn undecodable(&mut self, cause: String) {
        if let Some(found) = &self.found {
            let header = found.header.clone();
            self.finish(Outcome::Undecodable { header, cause });
        }
    }

    /// Too few sources are left: perhaps other servers have shares by now, or another version is there.
    fn map_again(&mut self) {
        let Some(found) = &self.found else { return };
        if self.rounds < ROUNDS_MAX {
            return self.begin_anew();
        }
        let header = found.header.clone();
        let (have, need) = (distinct_shares(&self.sources), header.header().shape.k().into());
        let gone = NotEnoughShares { have, need };
        let shortage = self.fetch.as_ref().and_then(Fetch::exhausted).unwrap_or(gone);
        self.finish(Outcome::NotEnoughShares { header, shortage });
    }

    fn retrieved(&mut self) {
        self.announce();
        if let Some(found) = self.found.clone() {
            self.finish(Outcome::Retrieved(found));
        }
    }
}

/// The segments that these bytes lie in.
pub(super) fn segments(geometry: &Geometry, range: &Range<u64>) -> Range<u32> {
    let size = geometry.segment_size().max(1);
    let narrow = |segment: u64| u32::try_from(segment).unwrap_or(u32::MAX);
    if range.is_empty() {
        return 0..0;
    }
    narrow(range.start / size)..narrow(range.end.div_ceil(size)).min(geometry.segments())
}
