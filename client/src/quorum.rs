//! When shares on servers make a version durable: happiness, and the write quorum of a version. Pure counting over
//! whatever placements it is given; does not know where these come from.

use std::collections::{BTreeMap, BTreeSet};

use tarn_proto::{Header, Shape, ShareNumber, StoreId, Window};

/// Which shares are, or are to be, on which server.
pub type Placement = BTreeMap<StoreId, BTreeSet<ShareNumber>>;

/// The size of the largest matching of distinct shares to distinct servers.
///
/// Augmenting paths (Kuhn's algorithm): at most 511 servers and 255 shares, so simple is fast enough.
pub fn happiness(placement: &Placement) -> usize {
    let mut home: BTreeMap<ShareNumber, StoreId> = BTreeMap::new();
    placement
        .keys()
        .filter(|&&server| find_home(placement, server, &mut home, &mut BTreeSet::new()))
        .count()
}

/// Finds a share for `server`, moving other servers to other shares where that helps.
fn find_home(
    placement: &Placement,
    server: StoreId,
    home: &mut BTreeMap<ShareNumber, StoreId>,
    tried: &mut BTreeSet<ShareNumber>,
) -> bool {
    for &share in &placement[&server] {
        if !tried.insert(share) {
            continue;
        }
        let free = match home.get(&share) {
            None => true,
            Some(&other) => find_home(placement, other, home, tried),
        };
        if free {
            home.insert(share, server);
            return true;
        }
    }
    false
}

/// How many distinct shares there are.
pub fn distinct_shares(placement: &Placement) -> usize {
    placement.values().flatten().collect::<BTreeSet<_>>().len()
}

/// Whether these placements are a write quorum of the version: in its window, and in the window it is leaving if
/// there is one, at least max(happy, majority) servers, each with a share of its own as far as there are enough
/// shares, and at least k distinct shares among them.
///
/// A version of fewer shares than its quorum counts servers (it was given a larger window by an earlier version);
/// copies of a share then count once for happiness but each for the quorum, so any two quorums still meet.
pub fn is_quorum(terms: Terms<'_>, placement: &Placement) -> bool {
    terms.windows().all(|window| {
        let inside: Placement = placement
            .iter()
            .filter(|(store, shares)| window.contains(**store) && !shares.is_empty())
            .map(|(store, shares)| (*store, shares.clone()))
            .collect();
        let quorum = window.quorum(terms.shape);
        inside.len() >= quorum
            && happiness(&inside) >= quorum.min(usize::from(terms.shape.n()))
            && distinct_shares(&inside) >= usize::from(terms.shape.k())
    })
}

/// Whether so many more holders could make a quorum, counted plainly: an upper bound of [`is_quorum`] for whatever
/// the silent servers may hold. Where none is silent there is nothing to guess, and what is held must be a quorum.
pub fn could_be_quorum(terms: Terms<'_>, holders: &Placement, silent: &BTreeSet<StoreId>) -> bool {
    if terms.windows().flat_map(Window::stores).all(|store| !silent.contains(store)) {
        return is_quorum(terms, holders);
    }
    terms.windows().all(|window| {
        let possible = window
            .stores()
            .iter()
            .filter(|store| holders.contains_key(store) || silent.contains(store))
            .count();
        possible >= window.quorum(terms.shape)
    })
}

/// What a version's quorum is counted by: its shape, its window, and the window it is leaving.
#[derive(Debug, Clone, Copy)]
pub struct Terms<'a> {
    /// k, happy and n.
    pub shape: Shape,
    /// The window.
    pub window: &'a Window,
    /// The window being left, while a file moves.
    pub joint: Option<&'a Window>,
}

impl<'a> Terms<'a> {
    /// The windows, of each of which a quorum is needed.
    pub fn windows(self) -> impl Iterator<Item = &'a Window> {
        std::iter::once(self.window).chain(self.joint)
    }
}

impl<'a> From<&'a Header> for Terms<'a> {
    fn from(header: &'a Header) -> Self {
        Self { shape: header.shape, window: &header.window, joint: header.joint.as_ref() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn store(number: u8) -> StoreId {
        StoreId::new([number; 16])
    }

    fn placement(servers: &[(u8, &[u8])]) -> Placement {
        servers
            .iter()
            .map(|&(server, shares)| {
                let shares = shares.iter().map(|&s| ShareNumber::new(s).unwrap()).collect();
                (store(server), shares)
            })
            .collect()
    }

    #[test]
    fn happiness_is_a_matching_not_a_count() {
        assert_eq!(happiness(&placement(&[])), 0);
        assert_eq!(happiness(&placement(&[(1, &[0, 1, 2]), (2, &[0]), (3, &[0])])), 2);
        assert_eq!(happiness(&placement(&[(1, &[0, 1]), (2, &[0]), (3, &[1, 2])])), 3);
        assert_eq!(happiness(&placement(&[(1, &[0]), (2, &[0]), (3, &[0])])), 1);
    }

    #[test]
    fn happiness_never_exceeds_servers_or_shares_and_grows_with_either() {
        let mut grown = Placement::new();
        let mut last = 0;
        for step in 0..40_u8 {
            let share = ShareNumber::new(step % 11).unwrap();
            grown.entry(store(step % 9)).or_default().insert(share);
            let now = happiness(&grown);
            assert!(now >= last && now <= grown.len() && now <= distinct_shares(&grown));
            last = now;
        }
        assert_eq!(last, 9);
    }
}
