//! What a repair brings where, decided by the shipped plan, and how long the servers need for it. Changes no file.

use std::collections::{BTreeSet, HashMap};

use tarn_client::placement::plan;
use tarn_client::quorum::Placement;
use tarn_proto::{Shape, ShareNumber, StoreId};

use super::files::{FileIndex, ServerIndex, ShareSet};
use super::queue::{Moment, Span};

/// Most plans remembered.
const REMEMBERED_MAX: usize = 100_000;

/// Answers what the shipped plan adds to what the servers of a window have. Remembers its answers: files of one shape
/// are in few different states.
pub(super) struct Planner {
    shape: Shape,
    quorum: usize,
    remembered: HashMap<Box<[ShareSet]>, Box<[ShareSet]>>,
}

impl Planner {
    pub(super) fn new(shape: Shape, quorum: usize) -> Self {
        Self { shape, quorum, remembered: HashMap::new() }
    }

    /// What each of so many empty servers gets of a new file.
    pub(super) fn first(&mut self, servers: usize) -> Vec<ShareSet> {
        self.additions(&vec![ShareSet::default(); servers]).to_vec()
    }

    /// What each server, in rendezvous order, is to be brought. As in [`tarn_client::bring::Bring::plan`], what a
    /// plan would take away from a server stays there.
    pub(super) fn additions(&mut self, held: &[ShareSet]) -> &[ShareSet] {
        if !self.remembered.contains_key(held) {
            if self.remembered.len() >= REMEMBERED_MAX {
                self.remembered.clear();
            }
            let made = additions(self.shape, self.quorum, held);
            self.remembered.insert(held.into(), made.into());
        }
        self.remembered.get(held).map_or(&[], |made| made)
    }

    /// Whether it is plain that the plan adds nothing: all shares are there, no server could take one over, and no
    /// copies are missing.
    pub(super) fn adds_nothing(&self, held: &[ShareSet]) -> bool {
        let all = held.iter().fold(ShareSet::default(), |all, shares| all.with(*shares));
        let holders = held.iter().filter(|shares| !shares.is_empty()).count();
        let crowded = held.iter().any(|shares| shares.count() > 1);
        let all_hold = holders == held.len();
        let complete = all.count() == usize::from(self.shape.n());
        complete && (all_hold || !crowded && holders >= self.quorum)
    }
}

/// The shipped plan less what is there. The plan looks at store ids only in what it takes away, so the places in
/// rendezvous order do for them.
pub(super) fn additions(shape: Shape, quorum: usize, held: &[ShareSet]) -> Vec<ShareSet> {
    let store = |slot: usize| StoreId::new((slot as u128).to_be_bytes());
    let servers: Vec<StoreId> = (0..held.len()).map(store).collect();
    let before: Placement = held
        .iter()
        .enumerate()
        .map(|(slot, shares)| (store(slot), share_numbers(*shares)))
        .collect();
    let goal = plan(shape, &servers, &before, quorum);
    let added = held.iter().enumerate().map(|(slot, before)| {
        let wanted = goal.get(&store(slot)).into_iter().flatten();
        let wanted = wanted.fold(ShareSet::default(), |all, s| all.with(ShareSet::of(s.get())));
        wanted.without(*before)
    });
    added.collect()
}

fn share_numbers(shares: ShareSet) -> BTreeSet<ShareNumber> {
    shares.numbers().filter_map(ShareNumber::new).collect()
}

/// Shares on their way to servers of a file's window.
#[derive(Debug)]
pub(super) struct Repair {
    pub(super) file: FileIndex,
    /// The place in the window, its server, and what it is brought.
    pub(super) brought: Vec<(usize, ServerIndex, ShareSet)>,
}

/// Every server's reading and writing for repairs: one thing after the other.
pub(super) struct Bandwidth {
    share_bytes: u64,
    bytes_per_ms: f64,
    busy_until: Vec<Moment>,
    /// Bytes read and written by each server.
    moved: Vec<u64>,
    /// The longest that a repair had to wait from its check to its end.
    pub(super) longest: Span,
}

impl Bandwidth {
    pub(super) fn new(share_kib: u32, bandwidth_mib: f64) -> Self {
        Self {
            share_bytes: u64::from(share_kib) << 10,
            bytes_per_ms: bandwidth_mib * f64::from(1 << 20) / 1_000.0,
            busy_until: Vec::new(),
            moved: Vec::new(),
            longest: Span::default(),
        }
    }

    /// Reads k shares from those of `up` that are free soonest, and writes what is brought. Says when all is done.
    pub(super) fn spend(
        &mut self,
        now: Moment,
        k: usize,
        up: &[(usize, ServerIndex, ShareSet)],
        repair: &Repair,
    ) -> Moment {
        let mut sources: Vec<(ServerIndex, ShareSet)> =
            up.iter().map(|&(_, server, shares)| (server, shares)).collect();
        sources.sort_by_key(|(server, _)| self.free_at(*server, now));
        let (mut have, mut done) = (ShareSet::default(), now);
        for (server, shares) in sources {
            let wanted = shares.without(have).count().min(k - have.count());
            let taken = shares.without(have).numbers().take(wanted);
            have = taken.fold(have, |all, number| all.with(ShareSet::of(number)));
            done = done.max(self.move_shares(server, now, wanted));
        }
        for &(_, server, shares) in &repair.brought {
            done = done.max(self.move_shares(server, now, shares.count()));
        }
        self.longest = self.longest.max(done.since(now));
        done
    }

    /// Bytes read and written for repairs, by server.
    pub(super) fn moved(&self) -> &[u64] {
        &self.moved
    }

    fn free_at(&self, server: ServerIndex, now: Moment) -> Moment {
        self.busy_until.get(server.at()).copied().unwrap_or_default().max(now)
    }

    fn move_shares(&mut self, server: ServerIndex, now: Moment, count: usize) -> Moment {
        if count == 0 {
            return now;
        }
        if self.moved.len() <= server.at() {
            self.moved.resize(server.at() + 1, 0);
            self.busy_until.resize(server.at() + 1, Moment::default());
        }
        let bytes = self.share_bytes * count as u64;
        let done = self.free_at(server, now) + Span::milliseconds(bytes as f64 / self.bytes_per_ms);
        self.busy_until[server.at()] = done;
        self.moved[server.at()] += bytes;
        done
    }
}
