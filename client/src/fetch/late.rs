//! Who keeps a fetch waiting, and from when on it goes on without them. Nobody is late whose blocks could not be told of,
//! because the rows they are checked against are not there.

use std::collections::{BTreeMap, BTreeSet};

use tarn_proto::StoreId;

use super::{Fetch, Outstanding};
use crate::time::Millis;

impl Fetch {
    /// The same fetch, whose rows are still to come: [`Fetch::rows_came`] says when.
    #[must_use]
    pub const fn before_its_rows(mut self) -> Self {
        self.rows_until = self.segments.start;
        self
    }

    /// The rows up to this segment are there, from a server that took so long for them. Whoever owes blocks of theirs is
    /// waited for from now on; as nobody knows yet how long a block takes, about as long as for rows.
    pub fn rows_came(&mut self, now: Millis, until: u32, took: Millis) {
        let could_not_report = self.rows_until;
        self.rows_until = self.rows_until.max(until);
        let pace_max = Millis(self.patience.limit.0 / self.patience.factor.max(1));
        self.pace = self.pace.or(Some(took.min(pace_max)));
        for outstanding in self.runs.values_mut() {
            if outstanding.run.segments.start >= could_not_report {
                outstanding.alive_at = now;
            }
        }
    }

    /// Gives up on servers that are late by now. To be called when [`Fetch::wake_at`] has come and every block that
    /// had come by then was reported. Returns those servers, and how long each was waited for.
    pub fn overdue(&mut self, now: Millis) -> BTreeMap<StoreId, Millis> {
        let late: BTreeMap<StoreId, Millis> = self
            .awaited_at_head()
            .filter(|outstanding| now >= self.late_at(outstanding))
            .map(|outstanding| (outstanding.run.server, now.since(outstanding.alive_at)))
            .collect();
        self.are_late(now, &late.keys().copied().collect());
        late
    }

    /// These servers keep others waiting: they are not counted on any more, though what they bring is taken.
    pub fn are_late(&mut self, now: Millis, servers: &BTreeSet<StoreId>) {
        if servers.is_empty() {
            return;
        }
        self.slow.extend(servers);
        for outstanding in self.runs.values_mut() {
            outstanding.late |= servers.contains(&outstanding.run.server);
        }
        self.plan(now);
    }

    /// Whether this server was late once.
    pub fn is_slow(&self, server: StoreId) -> bool {
        self.slow.contains(&server)
    }

    /// When somebody is late if nothing comes until then.
    pub fn wake_at(&self) -> Option<Millis> {
        self.awaited_at_head().map(|outstanding| self.late_at(outstanding)).min()
    }

    /// The runs that hold up the next segment; none if its row does.
    fn awaited_at_head(&self) -> impl Iterator<Item = &Outstanding> {
        let has_row = self.head < self.rows_until;
        self.covering(self.head).filter(move |outstanding| has_row && !outstanding.late)
    }

    /// When a run that owes a block of the head is late: a multiple of what blocks take, if somebody else's block of
    /// that segment is here already, and never before the floor.
    fn late_at(&self, outstanding: &Outstanding) -> Millis {
        let since = outstanding.alive_at.max(self.head_since);
        let others_came = !self.shares_arrived(self.head).is_empty();
        match self.pace.filter(|_| others_came) {
            Some(pace) => since + pace.times(self.patience.factor).max(self.patience.floor),
            None => since + self.patience.limit,
        }
    }
}
