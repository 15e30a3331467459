//! What is known of every file: the servers of its window, the shares on each, and counts that say whether a closer look
//! is needed. Knows no time and no failures.

use super::options::Terms;

/// A server; a replacement is another one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct ServerIndex(pub(super) u32);

/// A file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct FileIndex(pub(super) u32);

/// Shares of one file, by number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub(super) struct ShareSet(pub(super) u64);

/// What can be done with a file. From best to worst.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Condition {
    /// It can be read, and a quorum of its window can be reached.
    Writable,
    /// It can be read; no quorum can be reached.
    ReadOnly,
    /// Fewer than k distinct shares can be reached, but they are there.
    Unreadable,
    /// Fewer than k distinct shares are left.
    Lost,
}

/// A file in eight bytes, for the loops over all files of a server.
#[derive(Debug, Clone, Copy)]
pub(super) struct Standing {
    /// Servers of the window that can be reached.
    pub(super) up: u8,
    /// Servers of the window that are not lost.
    pub(super) live: u8,
    /// With so many servers up, whichever they are, it is writable.
    pub(super) ease: u8,
    /// Happiness of the servers that are not lost.
    pub(super) happiness: u8,
    pub(super) condition: Condition,
    /// A server of it came, went or was lost since it was last checked.
    pub(super) touched: bool,
    /// A repair is under way.
    pub(super) repairing: bool,
}

/// All files.
pub(super) struct Files {
    terms: Terms,
    /// The window of each file, one after the other, in rendezvous order; none where the server is lost.
    members: Vec<Option32>,
    /// What each member of a window has.
    shares: Vec<ShareSet>,
    standing: Vec<Standing>,
    /// The files in whose window a server is.
    kept_by: Vec<Vec<FileIndex>>,
}

/// A server or none, in four bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Option32(u32);

impl Option32 {
    const NONE: Self = Self(u32::MAX);

    fn get(self) -> Option<ServerIndex> {
        (self != Self::NONE).then_some(ServerIndex(self.0))
    }
}

impl ServerIndex {
    pub(super) const fn at(self) -> usize {
        self.0 as usize
    }
}

impl FileIndex {
    const fn at(self) -> usize {
        self.0 as usize
    }
}

impl ShareSet {
    pub(super) const fn count(self) -> usize {
        self.0.count_ones() as usize
    }

    pub(super) const fn is_empty(self) -> bool {
        self.0 == 0
    }

    pub(super) const fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    pub(super) const fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    pub(super) fn of(number: u8) -> Self {
        Self(1 << number)
    }

    /// The numbers of its shares.
    pub(super) fn numbers(self) -> impl Iterator<Item = u8> {
        (0..64).filter(move |number| self.0 >> number & 1 == 1)
    }
}

impl Files {
    pub(super) fn new(files: u32, terms: Terms, servers: u32) -> Self {
        let rows = files as usize * terms.window;
        Self {
            terms,
            members: Vec::with_capacity(rows),
            shares: Vec::with_capacity(rows),
            standing: Vec::with_capacity(files as usize),
            kept_by: vec![Vec::new(); servers as usize],
        }
    }

    /// Adds a file.
    pub(super) fn place(&mut self, window: &[ServerIndex], shares: &[ShareSet]) {
        self.members.extend(window.iter().map(|server| Option32(server.0)));
        self.shares.extend(shares);
        let all = narrow(window.len());
        self.standing.push(Standing {
            up: all,
            live: all,
            ease: 0,
            happiness: 0,
            condition: Condition::Writable,
            touched: false,
            repairing: false,
        });
        let file = FileIndex(u32::try_from(self.standing.len() - 1).unwrap_or(u32::MAX));
        self.summarise(file);
    }

    /// Lists each server's files, once all are placed.
    pub(super) fn index(&mut self) {
        let mut counts = vec![0_usize; self.kept_by.len()];
        for server in self.members.iter().filter_map(|member| member.get()) {
            counts[server.at()] += 1;
        }
        self.kept_by = counts.into_iter().map(Vec::with_capacity).collect();
        for file in self.all() {
            for slot in self.row(file) {
                if let Some(server) = self.members[slot].get() {
                    self.kept_by[server.at()].push(file);
                }
            }
        }
    }

    pub(super) fn all(&self) -> impl Iterator<Item = FileIndex> + use<> {
        (0..self.standing.len()).map(|i| FileIndex(u32::try_from(i).unwrap_or(u32::MAX)))
    }

    pub(super) fn len(&self) -> usize {
        self.standing.len()
    }

    pub(super) fn standing(&self, file: FileIndex) -> &Standing {
        &self.standing[file.at()]
    }

    pub(super) fn standing_mut(&mut self, file: FileIndex) -> &mut Standing {
        &mut self.standing[file.at()]
    }

    /// The files of a server, taken out so that they can be changed on the way; give them back with
    /// [`Self::keep`] unless the server is lost.
    pub(super) fn take_kept(&mut self, server: ServerIndex) -> Vec<FileIndex> {
        self.kept_by.get_mut(server.at()).map(std::mem::take).unwrap_or_default()
    }

    pub(super) fn keep(&mut self, server: ServerIndex, files: Vec<FileIndex>) {
        if self.kept_by.len() <= server.at() {
            self.kept_by.resize_with(server.at() + 1, Vec::new);
        }
        self.kept_by[server.at()] = files;
    }

    /// The servers of a file's window that are not lost, with their places and shares.
    pub(super) fn live(
        &self,
        file: FileIndex,
    ) -> impl Iterator<Item = (usize, ServerIndex, ShareSet)> {
        let row = self.row(file);
        let shares = self.shares[row.clone()].iter();
        let members = self.members[row].iter().zip(shares).enumerate();
        members.filter_map(|(slot, (member, &shares))| Some((slot, member.get()?, shares)))
    }

    /// A server of a file's window is lost, with what it had.
    pub(super) fn lose(&mut self, file: FileIndex, server: ServerIndex) {
        let Some((slot, ..)) = self.live(file).find(|(_, member, _)| *member == server) else {
            return;
        };
        let at = file.at() * self.terms.window + slot;
        self.members[at] = Option32::NONE;
        self.shares[at] = ShareSet::default();
        self.standing[file.at()].live -= 1;
        self.summarise(file);
    }

    /// A member that is still there gets shares. Says whether it is.
    pub(super) fn give(
        &mut self,
        file: FileIndex,
        slot: usize,
        server: ServerIndex,
        shares: ShareSet,
    ) -> bool {
        let at = file.at() * self.terms.window + slot;
        let present = self.members[at].get() == Some(server);
        if present {
            self.shares[at] = self.shares[at].with(shares);
            self.summarise(file);
        }
        present
    }

    /// An empty server that is up takes the first place in the window that a lost one left.
    pub(super) fn join(&mut self, file: FileIndex, server: ServerIndex) {
        let lost = self.row(file).find(|&at| self.members[at] == Option32::NONE);
        let Some(at) = lost else { return };
        self.members[at] = Option32(server.0);
        let standing = &mut self.standing[file.at()];
        standing.live += 1;
        standing.up += 1;
        if self.kept_by.len() <= server.at() {
            self.kept_by.resize_with(server.at() + 1, Vec::new);
        }
        self.kept_by[server.at()].push(file);
        self.summarise(file);
    }

    /// What can be done with a file now.
    pub(super) fn assess(&self, file: FileIndex, up: &[bool]) -> Condition {
        let k = usize::from(self.terms.shape.k());
        let (mut reachable, mut left) = (ShareSet::default(), ShareSet::default());
        for (_, server, shares) in self.live(file) {
            left = left.with(shares);
            if up[server.at()] {
                reachable = reachable.with(shares);
            }
        }
        let enough_up = usize::from(self.standing(file).up) >= self.terms.quorum;
        match (left.count() >= k, reachable.count() >= k, enough_up) {
            (false, ..) => Condition::Lost,
            (true, false, _) => Condition::Unreadable,
            (true, true, false) => Condition::ReadOnly,
            (true, true, true) => Condition::Writable,
        }
    }

    /// Shares on each server, of `servers` servers.
    pub(super) fn shares_by_server(&self, servers: usize) -> Vec<u64> {
        let mut counts = vec![0; servers];
        for (member, shares) in self.members.iter().zip(&self.shares) {
            if let Some(server) = member.get() {
                counts[server.at()] += shares.count() as u64;
            }
        }
        counts
    }

    fn row(&self, file: FileIndex) -> std::ops::Range<usize> {
        let first = file.at() * self.terms.window;
        first..first + self.terms.window
    }

    /// Recounts what the standing keeps of the placement.
    fn summarise(&mut self, file: FileIndex) {
        let mut held = [ShareSet::default(); 128];
        let mut servers = 0;
        for (_, _, shares) in self.live(file) {
            held[servers] = shares;
            servers += 1;
        }
        let held = &mut held[..servers];
        let happiness = happiness(held);
        let readable_with = readable_with(held, usize::from(self.terms.shape.k()));
        let standing = &mut self.standing[file.at()];
        standing.happiness = narrow(happiness);
        standing.ease = narrow(readable_with.max(self.terms.quorum));
    }
}

/// A count of servers of a window: at most 127, as n is at most 64.
fn narrow(count: usize) -> u8 {
    u8::try_from(count).unwrap_or(u8::MAX)
}

/// How many of these servers, whichever they are, are sure to have k distinct shares: the others can take no more with
/// them than the fullest have. One more than there are if even all have not.
fn readable_with(held: &mut [ShareSet], k: usize) -> usize {
    let all = held.iter().fold(ShareSet::default(), |all, shares| all.with(*shares)).count();
    held.sort_unstable_by_key(|shares| std::cmp::Reverse(shares.count()));
    let mut left = all;
    let mut spare = 0;
    if left < k {
        return held.len() + 1;
    }
    for shares in held.iter() {
        left = left.saturating_sub(shares.count());
        if left < k {
            break;
        }
        spare += 1;
    }
    held.len() - spare
}

/// The size of the largest matching of distinct shares to servers: [`tarn_client::quorum::happiness`] on bit sets.
pub(super) fn happiness(held: &[ShareSet]) -> usize {
    let (mut seen, mut holders, mut copies) = (ShareSet::default(), 0, false);
    for &shares in held.iter().filter(|shares| !shares.is_empty()) {
        copies |= seen.0 & shares.0 != 0;
        seen = seen.with(shares);
        holders += 1;
    }
    if !copies {
        return holders;
    }
    let mut home = [None; 64];
    (0..held.len())
        .filter(|&server| find_home(held, server, &mut home, &mut ShareSet::default()))
        .count()
}

/// Finds a share for `server`, moving other servers to other shares where that helps.
fn find_home(
    held: &[ShareSet],
    server: usize,
    home: &mut [Option<usize>; 64],
    tried: &mut ShareSet,
) -> bool {
    loop {
        let untried = held[server].without(*tried);
        if untried.is_empty() {
            return false;
        }
        let share = untried.0.trailing_zeros() as usize;
        *tried = tried.with(ShareSet(1 << share));
        let free = match home[share] {
            None => true,
            Some(other) => find_home(held, other, home, tried),
        };
        if free {
            home[share] = Some(server);
            return true;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;
    use tarn_client::quorum::{self, Placement};
    use tarn_proto::{ShareNumber, StoreId};

    use super::*;

    proptest! {
        #[test]
        fn happiness_on_bit_sets_is_the_shipped_one(
            held in prop::collection::vec(0_u64..1 << 7, 0..9),
        ) {
            let shipped: Placement = held
                .iter()
                .enumerate()
                .map(|(i, &shares)| {
                    let numbers = ShareSet(shares).numbers().filter_map(ShareNumber::new);
                    (StoreId::new([u8::try_from(i).unwrap(); 16]), numbers.collect::<BTreeSet<_>>())
                })
                .collect();
            let held: Vec<ShareSet> = held.into_iter().map(ShareSet).collect();
            prop_assert_eq!(happiness(&held), quorum::happiness(&shipped));
        }

        #[test]
        fn any_so_many_servers_have_k_distinct_shares(
            held in prop::collection::vec(0_u64..1 << 6, 1..7),
            k in 1_usize..6,
        ) {
            let held: Vec<ShareSet> = held.into_iter().map(ShareSet).collect();
            let enough = readable_with(&mut held.clone(), k);
            for up in 0_u32..1 << held.len() {
                let reachable = (0..held.len()).filter(|i| up >> i & 1 == 1);
                let shares = reachable.fold(ShareSet::default(), |all, i| all.with(held[i]));
                prop_assert!((up.count_ones() as usize) < enough || shares.count() >= k);
            }
        }
    }
}
