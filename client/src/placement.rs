//! Which stores a file's window names, and which share goes to which of them. Pure functions over the grid and the
//! servermap; sends nothing.

use std::collections::{BTreeMap, BTreeSet};

use tarn_proto::hash::tagged;
use tarn_proto::window::{WINDOW_MAX, WindowError};
use tarn_proto::{Shape, ShareNumber, StorageIndex, StoreId, Window};

use crate::quorum::Placement;

/// One server of the grid, as placement sees it.
#[derive(Debug, Clone, PartialEq)]
pub struct Candidate {
    /// The store.
    pub store: StoreId,
    /// The place it shares its fate with (a rack, a building), if known.
    pub zone: Option<String>,
    /// Its capacity relative to the others; 1 is ordinary.
    pub weight: u32,
}

/// The window of a new file: max(n, 2·happy − 1) stores, all in a smaller grid, in weighted rendezvous order, spread
/// over zones.
pub fn choose_window(
    storage_index: StorageIndex,
    shape: Shape,
    grid: &[Candidate],
) -> Result<Window, WindowError> {
    let size = usize::from(shape.n()).max(2 * usize::from(shape.happy()) - 1).min(WINDOW_MAX);
    let mut waiting = rendezvous_order(storage_index, grid);
    let mut picked_in: BTreeMap<&str, usize> = BTreeMap::new();
    let mut stores = Vec::new();
    while stores.len() < size && !waiting.is_empty() {
        // A store without a zone shares its fate with nobody; the first of the least used zones comes next.
        let used = |candidate: &Candidate| {
            candidate.zone.as_deref().and_then(|zone| picked_in.get(zone)).copied().unwrap_or(0)
        };
        let next = (0..waiting.len()).min_by_key(|&i| used(waiting[i])).unwrap_or(0);
        let candidate = waiting.remove(next);
        if let Some(zone) = candidate.zone.as_deref() {
            *picked_in.entry(zone).or_default() += 1;
        }
        stores.push(candidate.store);
    }
    Window::new(stores)
}

/// The grid in the order in which this file prefers its servers: weighted rendezvous hashing (Mosharaf et al., "Weighted
/// Rendezvous Hashing", SNIA 2015), score −weight / ln(h) with h in (0, 1) from T("place", SI ‖ store id).
pub fn rendezvous_order(storage_index: StorageIndex, grid: &[Candidate]) -> Vec<&Candidate> {
    let mut scored: Vec<(f64, &Candidate)> = grid
        .iter()
        .map(|candidate| (score(storage_index, candidate.store, candidate.weight), candidate))
        .collect();
    scored.sort_by(|(one, a), (two, b)| two.total_cmp(one).then(a.store.cmp(&b.store)));
    scored.into_iter().map(|(_, candidate)| candidate).collect()
}

fn score(storage_index: StorageIndex, store: StoreId, weight: u32) -> f64 {
    let place = [storage_index.as_bytes().as_slice(), store.as_bytes()].concat();
    let hash = tagged("place", &[&place]);
    let high = u32::from_be_bytes([hash[0], hash[1], hash[2], hash[3]]);
    let unit = (f64::from(high) + 0.5) / (f64::from(u32::MAX) + 1.0);
    -f64::from(weight) / unit.ln()
}

/// Plans where every share of a new version goes.
///
/// A share stays where it is, but that an empty server takes over a share from one that holds several, and a copy is
/// given up by a server that holds other shares too, or that can have one from a server with several. (A commit replaces what a server holds as a whole, so nothing
/// stale stays behind.) A homeless share goes to the server with the fewest shares, then in the order of `servers`.
/// When there are fewer shares than `servers_wanted`, further servers get copies, so that a quorum can be reached.
///
/// `servers` are those that can be written, in rendezvous order; `held` what they have now, of whatever version.
pub fn plan(
    shape: Shape,
    servers: &[StoreId],
    held: &Placement,
    servers_wanted: usize,
) -> Placement {
    let mut goal: Placement = servers.iter().map(|&store| (store, BTreeSet::new())).collect();
    for (store, shares) in held {
        if let Some(home) = goal.get_mut(store) {
            home.extend(shares.iter().filter(|share| share.get() < shape.n()));
        }
    }
    let homes: BTreeSet<ShareNumber> = goal.values().flatten().copied().collect();
    for share in ShareNumber::all(shape.n()).filter(|share| !homes.contains(share)) {
        if let Some(store) = least_loaded(servers, &goal) {
            goal.entry(store).or_default().insert(share);
        }
    }
    spread(servers, &mut goal);
    drop_spare_copies(shape, &mut goal);
    trade_copies(servers, &mut goal);
    copy_to_more_servers(shape, servers, &mut goal, servers_wanted);
    goal.retain(|_, shares| !shares.is_empty());
    goal
}

/// Plans where the shares of a version are changed in place: where they are, but that spare copies are given up as in
/// [`plan`]. `held` are those that can be changed.
pub fn plan_in_place(shape: Shape, mut held: Placement) -> Placement {
    drop_spare_copies(shape, &mut held);
    held
}

fn least_loaded(servers: &[StoreId], goal: &Placement) -> Option<StoreId> {
    servers.iter().copied().min_by_key(|store| goal.get(store).map_or(0, BTreeSet::len))
}

/// Moves a share from a server that holds several to each server that holds none.
fn spread(servers: &[StoreId], goal: &mut Placement) {
    for &empty in servers {
        if goal.get(&empty).is_some_and(|shares| !shares.is_empty()) {
            continue;
        }
        let Some(share) = take_from_crowded(servers, goal) else { return };
        goal.entry(empty).or_default().insert(share);
    }
}

/// A share of the server that holds most, if that is several.
fn take_from_crowded(servers: &[StoreId], goal: &mut Placement) -> Option<ShareNumber> {
    let crowded = servers.iter().copied().max_by_key(|store| goal[store].len())?;
    goal.get_mut(&crowded).filter(|shares| shares.len() > 1)?.pop_last()
}

/// Takes every share that several servers hold from those of them that hold other shares too, but for one.
fn drop_spare_copies(shape: Shape, goal: &mut Placement) {
    for share in ShareNumber::all(shape.n()) {
        let mut holders: Vec<StoreId> = goal
            .iter()
            .filter(|(_, shares)| shares.contains(&share))
            .map(|(&store, _)| store)
            .collect();
        holders.sort_by_key(|store| goal[store].len());
        for store in holders.into_iter().skip(1) {
            if let Some(shares) = goal.get_mut(&store).filter(|shares| shares.len() > 1) {
                shares.remove(&share);
            }
        }
    }
}

/// Moves a share from a server that holds several to each server that holds nothing but a copy of what one before it
/// holds: two servers with one and the same share count once.
fn trade_copies(servers: &[StoreId], goal: &mut Placement) {
    let mut homed = BTreeSet::new();
    for &store in servers {
        let is_copy = |shares: &BTreeSet<_>| !shares.is_empty() && shares.is_subset(&homed);
        if goal.get(&store).is_some_and(is_copy) {
            let Some(share) = take_from_crowded(servers, goal) else { return };
            goal.insert(store, [share].into());
        }
        homed.extend(goal.get(&store).into_iter().flatten().copied());
    }
}

/// Gives servers that would stay empty a copy, until so many servers hold something.
fn copy_to_more_servers(shape: Shape, servers: &[StoreId], goal: &mut Placement, wanted: usize) {
    let mut shares = ShareNumber::all(shape.n()).cycle();
    let mut holding = goal.values().filter(|shares| !shares.is_empty()).count();
    for &store in servers {
        if holding >= wanted {
            return;
        }
        if goal.get(&store).is_none_or(BTreeSet::is_empty) {
            goal.entry(store).or_default().extend(shares.next());
            holding += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::quorum::{distinct_shares, happiness};

    fn store(number: u8) -> StoreId {
        StoreId::new([number; 16])
    }

    fn stores(count: u8) -> Vec<StoreId> {
        (0..count).map(store).collect()
    }

    fn shape(k: u32, n: u32) -> Shape {
        Shape::with_default_happy(k, n).unwrap()
    }

    fn shares(numbers: &[u8]) -> BTreeSet<ShareNumber> {
        numbers.iter().map(|&number| ShareNumber::new(number).unwrap()).collect()
    }

    fn grid(count: u8, zone: impl Fn(u8) -> Option<String>) -> Vec<Candidate> {
        (0..count).map(|i| Candidate { store: store(i), zone: zone(i), weight: 1 }).collect()
    }

    const SI: StorageIndex = StorageIndex::new([9; 32]);

    #[test]
    fn a_new_file_is_spread_one_share_a_server() {
        let goal = plan(shape(3, 10), &stores(12), &Placement::new(), 7);
        assert_eq!((goal.len(), distinct_shares(&goal), happiness(&goal)), (10, 10, 10));
    }

    #[test]
    fn shares_stay_and_copies_are_written() {
        let held: Placement = [(store(4), shares(&[1])), (store(5), shares(&[1]))].into();
        let goal = plan(shape(1, 2), &stores(6), &held, 2);
        assert_eq!(goal[&store(4)], shares(&[1]));
        assert_eq!(goal[&store(5)], shares(&[1]));
        assert_eq!(goal[&store(0)], shares(&[0]));
    }

    #[test]
    fn a_lone_copy_is_traded_for_a_share_of_a_crowded_server() {
        // Share 1 was brought to server 1 while share 3, which it had lost, went to server 0.
        let held: Placement = [
            (store(0), shares(&[0, 3])),
            (store(1), shares(&[1])),
            (store(2), shares(&[1])),
            (store(3), shares(&[2])),
        ]
        .into();
        let goal = plan(shape(2, 4), &stores(4), &held, 4);
        assert_eq!((happiness(&goal), distinct_shares(&goal)), (4, 4), "{goal:?}");
        assert_eq!((&goal[&store(1)], &goal[&store(2)]), (&shares(&[1]), &shares(&[3])));
    }

    #[test]
    fn a_spare_copy_is_given_up_by_whoever_holds_other_shares() {
        // Server 1 was dead when its share was given to server 0 as well, and is back.
        let held: Placement = [(store(0), shares(&[0, 1])), (store(1), shares(&[1]))].into();
        let goal = plan(shape(1, 2), &stores(2), &held, 2);
        assert_eq!(goal, [(store(0), shares(&[0])), (store(1), shares(&[1]))].into());
    }

    #[test]
    fn a_small_grid_doubles_up_evenly() {
        let goal = plan(shape(3, 10), &stores(4), &Placement::new(), 4);
        let loads: Vec<usize> = goal.values().map(BTreeSet::len).collect();
        assert_eq!(loads, [3, 3, 2, 2]);
    }

    #[test]
    fn an_empty_server_takes_a_share_over_from_a_crowded_one() {
        let held: Placement = [(store(0), shares(&[0, 1])), (store(1), shares(&[2]))].into();
        let goal = plan(shape(2, 3), &stores(3), &held, 3);
        assert_eq!(goal[&store(0)], shares(&[0]));
        assert_eq!(goal[&store(2)], shares(&[1]));
    }

    #[test]
    fn fewer_shares_than_the_quorum_are_copied() {
        let goal = plan(shape(1, 1), &stores(10), &Placement::new(), 6);
        assert_eq!((goal.len(), distinct_shares(&goal)), (6, 1));
    }

    #[test]
    fn shares_beyond_n_are_dropped() {
        let held: Placement = [(store(0), shares(&[7])), (store(1), shares(&[0]))].into();
        let goal = plan(shape(1, 2), &stores(2), &held, 2);
        assert_eq!(goal, [(store(0), shares(&[1])), (store(1), shares(&[0]))].into());
    }

    #[test]
    fn no_servers_no_plan() {
        assert!(plan(shape(3, 10), &[], &Placement::new(), 7).is_empty());
    }

    #[test]
    fn a_window_has_room_for_every_quorum_and_spreads_over_zones() {
        let zones = grid(30, |i| Some(format!("zone-{}", i % 3)));
        let window = choose_window(SI, Shape::default(), &zones).unwrap();
        assert_eq!(window.stores().len(), 13);
        for zone in 0..3 {
            let inside = window.stores().iter().filter(|s| s.as_bytes()[0] % 3 == zone).count();
            assert!((4..=5).contains(&inside), "{inside} of zone {zone}");
        }
        let small = choose_window(SI, Shape::default(), &grid(4, |_| None)).unwrap();
        assert_eq!(small.stores().len(), 4);
        assert!(choose_window(SI, Shape::default(), &[]).is_err());
    }

    #[test]
    fn a_heavier_store_is_preferred_in_proportion() {
        let mut grid = grid(10, |_| None);
        grid[3].weight = 4;
        let first = (0..2_000_u32).filter(|i| {
            let si = StorageIndex::new(tagged("test", &[&i.to_be_bytes()]));
            rendezvous_order(si, &grid)[0].store == store(3)
        });
        let share = first.count();
        assert!((500..730).contains(&share), "4 of 13 of 2000 is 615, got {share}");
    }
}
