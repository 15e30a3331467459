//! Reading the version chosen: its rows from any holder, and at the same time its segments from whoever has shares of it.
//!
//! Blocks are asked for without waiting for the rows they are checked against: that saves a round trip, and they wait
//! where they come in.

use std::ops::Range;

use tarn_proto::{Geometry, StoreId};

use super::action::Action;
use super::outcome::{During, Outcome};
use super::rows::Rows;
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
        let geometry = found.header.header().geometry;
        let segments = segments(&geometry, &found.range);
        let (sources, patience) = (self.sources.clone(), self.patience);
        let first_run = self.first_run;
        let fetch =
            Fetch::begin(self.now, &geometry, segments.clone(), sources, patience, first_run);
        self.rows = Rows::of(&geometry, segments, fetch.run_length());
        self.fetch = Some(fetch.before_its_rows());
        self.phase = Phase::Reading;
        // The blocks are asked for right after the rows: it is these that name the version.
        self.maintain_rows();
    }

    pub(super) fn maintain_reading(&mut self) {
        let Some(fetch) = &self.fetch else { return };
        if fetch.is_drained() {
            self.retrieved();
        } else if fetch.exhausted().is_some() {
            self.map_again();
        } else {
            self.maintain_rows();
        }
    }

    /// Asks one holder after the other for the rows that are wanted next: another one when one fails, or takes long.
    fn maintain_rows(&mut self) {
        let Some(fetch) = &self.fetch else { return };
        let Some(segments) = self.rows.wanted(fetch.horizon()) else { return };
        let owing = self.owing_rows();
        if !owing.is_empty() && self.rows.ask_next_at().is_none_or(|when| self.now < when) {
            return;
        }
        let may_be_asked =
            |store: &&StoreId| self.sources.contains_key(store) && !self.rows.was_asked(**store);
        let candidates = self.roster.0.iter().filter(may_be_asked);
        let next = candidates.min_by_key(|store| fetch.is_slow(**store)).copied();
        let patience = self.patience_with_rows();
        match next {
            Some(server) => {
                self.rows_late(&owing);
                self.rows.ask(self.now, server, self.now + patience);
                self.ask_rows(server, segments);
            }
            None if owing.is_empty() => self.map_again(),
            None => {
                self.rows.wait_for_those_asked();
                self.rows_late(&owing);
            }
        }
    }

    /// Who was asked for rows and has not answered.
    pub(super) fn owing_rows(&self) -> Vec<StoreId> {
        let owing = self.outstanding.values().filter(|sent| sent.kind == Kind::Rows);
        owing.map(|sent| sent.server).collect()
    }

    /// How long one holder may take for the rows before another is asked too.
    fn patience_with_rows(&self) -> Millis {
        self.patience.floor.times(self.patience.factor)
    }

    /// Whoever has not given the rows by now kept the reader waiting. They are taken all the same when they come.
    fn rows_late(&mut self, owing: &[StoreId]) {
        for &server in owing {
            let waited = self.rows.waited_for(self.now, server);
            self.trouble(server, During::Rows, Failure::Late(waited));
        }
    }

    fn ask_rows(&mut self, server: StoreId, segments: Range<u32>) {
        let Some(found) = &self.found else { return };
        let header = found.header.clone();
        let message = self.send(server, Kind::Rows);
        self.actions.push(Action::ReadRows { message, server, header, segments });
    }

    /// The rows are there, from whomever. Who was asked long before and still owes them is as late with its blocks.
    pub(super) fn rows_arrived(&mut self, server: StoreId) {
        let (took, patience) = (self.rows.waited_for(self.now, server), self.patience_with_rows());
        let is_late =
            |owing: &StoreId| self.rows.waited_for(self.now, *owing) >= patience.max(took);
        let late = self.owing_rows().into_iter().filter(is_late).collect();
        self.outstanding.retain(|_, sent| sent.kind != Kind::Rows);
        let until = self.rows.came();
        let Some(fetch) = &mut self.fetch else { return };
        fetch.rows_came(self.now, until, took);
        fetch.are_late(self.now, &late);
    }

    pub(super) fn rows_failed(&mut self, server: StoreId, failure: Failure) {
        if let Failure::Broken(_) = failure
            && let Some(shares) = self.sources.get(&server)
        {
            self.bad.entry(server).or_default().extend(shares);
        }
        self.sources.remove(&server);
        if let Some(fetch) = &mut self.fetch {
            fetch.lost(self.now, server);
        }
        self.trouble(server, During::Rows, failure);
    }

    pub(super) fn run_failed(&mut self, run: RunId, failure: RunFailure) {
        let Some(fetch) = &mut self.fetch else { return };
        let Some((server, share)) = fetch.failed(self.now, run, &failure) else {
            return;
        };
        let failure = match failure {
            RunFailure::Server(failure) => {
                self.sources.remove(&server);
                failure
            }
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

    /// When time alone changes something of what is being read.
    pub(super) fn reading_wakes_at(&self) -> Option<Millis> {
        let blocks = self.fetch.as_ref().and_then(Fetch::wake_at);
        blocks.into_iter().chain(self.rows.ask_next_at()).min()
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
