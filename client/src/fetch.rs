//! Fetching: which blocks of a version to ask of whom, so that every segment gets k distinct shares from whoever holds
//! them. A part of the retrieve machine, and of bringing; pure; never sees a block, asks nothing itself.
//!
//! ```text
//!          delivered          complete      asked for, or to be       not asked for yet
//!  ├──────────────────────┼──────────────┼──────────────────────┼───────────────────────────┤
//!  begin               consumed        head                  horizon                       end
//! ```
//!
//! Blocks are asked for in *runs*: consecutive segments of one share from one server. The horizon lies at most two
//! runs beyond what the consumer has taken, so whoever holds the blocks always has room for everything that was asked
//! for. That bounds memory, and it rules out a deadlock: no reader ever stops reading its stream, so no stream can
//! use up the flow-control window that another one on the same connection waits for.
//!
//! Blocks may be asked for before the rows that they are checked against are there. Whoever holds them then waits with
//! them, and nobody is late whose blocks could not have been reported.
//!
//! Every segment is a matter of its own: when a run fails, is late or brings a bad block, only the segments that it
//! still owes are asked of others, whatever share that may be.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use tarn_proto::{Geometry, ShareNumber, StoreId};

use crate::quorum::{Placement, distinct_shares};
use crate::servermap::Patience;
use crate::time::Millis;

pub mod driver;
mod late;
mod run;

pub use run::{NotEnoughShares, Run, RunFailure, RunId, Want};

/// The fetching of a range of segments. See the module's documentation.
#[derive(Debug, Clone)]
pub struct Fetch {
    need: usize,
    segments: Range<u32>,
    run_length: u32,
    /// The first segment whose row is not there: no block from here on can be reported.
    rows_until: u32,
    patience: Patience,
    /// Who is believed to hold which shares that can be read.
    sources: Placement,
    /// Servers that were late once: asked again only where nobody else is left.
    slow: BTreeSet<StoreId>,
    /// Whose blocks of which segments have arrived; of the head and what comes after it.
    arrived: BTreeMap<u32, BTreeSet<ShareNumber>>,
    runs: BTreeMap<RunId, Outstanding>,
    next_run: RunId,
    /// The first segment that the consumer has not taken.
    consumed: u32,
    /// The first segment that is not complete.
    head: u32,
    head_since: Millis,
    /// How long a block takes to come, of late.
    pace: Option<Millis>,
    wants: Vec<Want>,
}

/// A run that still owes blocks.
#[derive(Debug, Clone)]
struct Outstanding {
    run: Run,
    /// When it was asked for, or gave its last block.
    alive_at: Millis,
    /// It is not counted on any more, though what it brings is taken.
    late: bool,
}

impl Fetch {
    /// Fetches these segments of a version, whose rows are there, from these sources; [`Fetch::wants`] says how. Its
    /// runs are numbered from `first_run`, so that those of two fetches are not taken for each other.
    pub fn begin(
        now: Millis,
        geometry: &Geometry,
        segments: Range<u32>,
        sources: Placement,
        patience: Patience,
        first_run: RunId,
    ) -> Self {
        let mut fetch = Self {
            need: geometry.k().into(),
            run_length: run::length(geometry),
            rows_until: segments.end,
            patience,
            sources,
            slow: BTreeSet::new(),
            arrived: BTreeMap::new(),
            runs: BTreeMap::new(),
            next_run: first_run,
            consumed: segments.start,
            head: segments.start,
            head_since: now,
            pace: None,
            wants: Vec::new(),
            segments,
        };
        fetch.plan(now);
        fetch
    }

    /// What is to be done now, in order. Every run is on record before it is returned.
    pub fn wants(&mut self) -> Vec<Want> {
        std::mem::take(&mut self.wants)
    }

    /// A good block came.
    pub fn arrived(&mut self, now: Millis, run: RunId, segment: u32) {
        let owed = |out: &&mut Outstanding| out.run.segments.contains(&segment);
        let Some(outstanding) = self.runs.get_mut(&run).filter(owed) else {
            return;
        };
        if !outstanding.late {
            let waited = now.since(outstanding.alive_at);
            let smoothed = |pace: Millis| Millis((3 * pace.0 + waited.0) / 4);
            self.pace = Some(self.pace.map_or(waited, smoothed));
        }
        outstanding.alive_at = now;
        outstanding.run.segments.start = segment + 1;
        let share = outstanding.run.share;
        if outstanding.run.segments.is_empty() {
            self.runs.remove(&run);
        }
        if segment >= self.head {
            self.arrived.entry(segment).or_default().insert(share);
        }
        self.advance(now);
    }

    /// A run brings no more. Returns what it was of, if it still owed something.
    pub fn failed(
        &mut self,
        now: Millis,
        run: RunId,
        failure: &RunFailure,
    ) -> Option<(StoreId, ShareNumber)> {
        let Run { server, share, .. } = self.runs.remove(&run)?.run;
        match failure {
            RunFailure::Server(_) => drop(self.sources.remove(&server)),
            RunFailure::Share(_) => {
                if let Some(shares) = self.sources.get_mut(&server) {
                    shares.remove(&share);
                }
            }
        }
        self.plan(now);
        Some((server, share))
    }

    /// A server is of no use for this version, whatever it was asked for.
    pub fn lost(&mut self, now: Millis, server: StoreId) {
        self.sources.remove(&server);
        let of_it = |outstanding: &Outstanding| outstanding.run.server == server;
        let runs = self.runs.iter().filter(|(_, outstanding)| of_it(outstanding));
        for id in runs.map(|(&id, _)| id).collect::<Vec<_>>() {
            self.abandon(id);
        }
        self.plan(now);
    }

    /// The consumer has taken this segment.
    pub fn consumed(&mut self, now: Millis, segment: u32) {
        let horizon = self.horizon();
        self.consumed = self.consumed.max(segment.saturating_add(1));
        if self.horizon() > horizon {
            self.plan(now);
        }
    }

    /// Other sources are known now.
    pub fn replace_sources(&mut self, now: Millis, sources: Placement) {
        self.sources = sources;
        self.slow.clear();
        self.plan(now);
    }

    /// One more source is known.
    pub fn add_source(&mut self, now: Millis, server: StoreId, shares: BTreeSet<ShareNumber>) {
        self.sources.insert(server, shares);
        self.plan(now);
    }

    /// Ends every run. Returns the number from which another fetch may number its own.
    pub fn end(&mut self) -> RunId {
        self.wants.retain(|want| !matches!(want, Want::Read(_)));
        self.wants.extend(std::mem::take(&mut self.runs).into_keys().map(Want::Abandon));
        self.next_run
    }

    /// How many segments a run has at most.
    pub const fn run_length(&self) -> u32 {
        self.run_length
    }

    /// Who gives this run, if it still owes something.
    pub fn server_of(&self, run: RunId) -> Option<StoreId> {
        self.runs.get(&run).map(|outstanding| outstanding.run.server)
    }

    /// Whether every segment was delivered.
    pub const fn is_complete(&self) -> bool {
        self.head >= self.segments.end
    }

    /// Whether the consumer has taken every segment.
    pub const fn is_drained(&self) -> bool {
        self.consumed >= self.segments.end
    }

    /// Whether the next segment can no longer be completed from the sources known.
    pub fn exhausted(&self) -> Option<NotEnoughShares> {
        if self.is_complete() || self.head >= self.horizon() {
            return None;
        }
        let mut possible = self.shares_arrived(self.head).clone();
        possible.extend(self.covering(self.head).map(|outstanding| outstanding.run.share));
        (possible.len() < self.need)
            .then(|| NotEnoughShares { have: distinct_shares(&self.sources), need: self.need })
    }

    /// Delivers what is complete, in order, and gives up runs that are not needed any more.
    fn advance(&mut self, now: Millis) {
        let before = self.head;
        while self.head < self.segments.end && self.shares_arrived(self.head).len() >= self.need {
            self.arrived.remove(&self.head);
            self.wants.push(Want::Deliver { segment: self.head });
            self.head += 1;
        }
        if self.head == before {
            return;
        }
        self.head_since = now;
        let unneeded = |outstanding: &Outstanding| outstanding.run.segments.end <= self.head;
        let ids = self.runs.iter().filter(|(_, outstanding)| unneeded(outstanding));
        for id in ids.map(|(&id, _)| id).collect::<Vec<_>>() {
            self.abandon(id);
        }
    }

    fn abandon(&mut self, run: RunId) {
        self.runs.remove(&run);
        self.wants.push(Want::Abandon(run));
    }

    /// Asks for what the segments up to the horizon lack.
    fn plan(&mut self, now: Millis) {
        for segment in self.head..self.horizon() {
            while self.lacks(segment) {
                let Some((server, share)) = self.best_source(segment) else {
                    break;
                };
                self.ask(now, server, share, segment);
            }
        }
    }

    fn ask(&mut self, now: Millis, server: StoreId, share: ShareNumber, first: u32) {
        let end = (first + 1..self.end_of_run(first))
            .find(|&segment| !self.lacks(segment) || self.is_expected(segment, share))
            .unwrap_or_else(|| self.end_of_run(first));
        let run = Run { id: self.next_run, server, share, segments: first..end };
        self.next_run = RunId(self.next_run.0 + 1);
        let outstanding = Outstanding { run: run.clone(), alive_at: now, late: false };
        self.runs.insert(run.id, outstanding);
        self.wants.push(Want::Read(run));
    }

    /// The best source of one more share of this segment: not slow, then the server that is asked for fewest shares of
    /// it, then primary shares, which need no arithmetic.
    fn best_source(&self, segment: u32) -> Option<(StoreId, ShareNumber)> {
        let asked = |server, share| {
            self.covering(segment).any(|out| (out.run.server, out.run.share) == (server, share))
        };
        let load = |server| self.covering(segment).filter(|out| out.run.server == server).count();
        self.sources
            .iter()
            .flat_map(|(&server, shares)| shares.iter().map(move |&share| (server, share)))
            .filter(|&(_, share)| !self.is_expected(segment, share))
            .filter(|&(server, share)| !asked(server, share))
            .min_by_key(|&(server, share)| {
                let secondary = share.index() >= self.need;
                (self.slow.contains(&server), load(server), secondary, share, server)
            })
    }

    /// Whether more must be asked for to complete this segment.
    fn lacks(&self, segment: u32) -> bool {
        let mut expected = self.shares_arrived(segment).clone();
        let awaited = self.covering(segment).filter(|outstanding| !outstanding.late);
        expected.extend(awaited.map(|outstanding| outstanding.run.share));
        expected.len() < self.need
    }

    /// Whether this share's block of this segment is here or on its way.
    fn is_expected(&self, segment: u32, share: ShareNumber) -> bool {
        self.shares_arrived(segment).contains(&share)
            || self.covering(segment).any(|out| !out.late && out.run.share == share)
    }

    fn shares_arrived(&self, segment: u32) -> &BTreeSet<ShareNumber> {
        static NONE: BTreeSet<ShareNumber> = BTreeSet::new();
        self.arrived.get(&segment).unwrap_or(&NONE)
    }

    /// The runs that owe a block of this segment.
    fn covering(&self, segment: u32) -> impl Iterator<Item = &Outstanding> {
        self.runs.values().filter(move |outstanding| outstanding.run.segments.contains(&segment))
    }

    /// Where the run that this segment belongs to ends.
    const fn end_of_run(&self, segment: u32) -> u32 {
        let runs = (segment - self.segments.start) / self.run_length + 1;
        let end = self.segments.start.saturating_add(runs.saturating_mul(self.run_length));
        if end < self.segments.end { end } else { self.segments.end }
    }

    /// Nothing is asked for from here on: two runs beyond what was consumed.
    pub const fn horizon(&self) -> u32 {
        if self.consumed >= self.segments.end {
            return self.segments.end;
        }
        let next = self.end_of_run(self.consumed);
        if next >= self.segments.end { next } else { self.end_of_run(next) }
    }
}

#[cfg(test)]
mod tests;
