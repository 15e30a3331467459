//! Fetching, step by step: what is asked of whom, and what follows when it does not come.

use proptest::prelude::*;
use tarn_proto::Shape;

use super::*;
use crate::servermap::Failure;

fn store(number: u8) -> StoreId {
    StoreId::new([number; 16])
}

fn share(number: u8) -> ShareNumber {
    ShareNumber::new(number).unwrap()
}

/// 2-of-4 in segments of 2 MiB, so that a run is one segment and the horizon two.
fn geometry(segments: u64) -> Geometry {
    Geometry::new(Shape::new(2, 2, 4).unwrap(), 1 << 20, segments << 21).unwrap()
}

/// Store i has share i.
fn one_each(stores: u8) -> Placement {
    (0..stores).map(|number| (store(number), [share(number)].into())).collect()
}

fn patience() -> Patience {
    Patience { floor: Millis(500), ..Patience::default() }
}

fn fetch(segments: u32, sources: Placement) -> Fetch {
    let cut = geometry(segments.into());
    Fetch::begin(Millis(0), &cut, 0..segments, sources, patience(), RunId(0))
}

fn read(id: u32, server: u8, number: u8, segments: Range<u32>) -> Want {
    Want::Read(Run { id: RunId(id), server: store(server), share: share(number), segments })
}

fn deliver(segment: u32) -> Want {
    Want::Deliver { segment }
}

fn dead() -> RunFailure {
    RunFailure::Server(Failure::Dead("reset".to_owned()))
}

fn bad() -> RunFailure {
    RunFailure::Share(Failure::Broken("bent".to_owned()))
}

#[test]
fn k_primary_shares_are_asked_for_two_runs_ahead() {
    let mut fetch = fetch(9, one_each(4));
    let wants =
        [read(0, 0, 0, 0..1), read(1, 1, 1, 0..1), read(2, 0, 0, 1..2), read(3, 1, 1, 1..2)];
    assert_eq!(fetch.wants(), wants);
}

#[test]
fn a_segment_is_delivered_when_k_of_its_blocks_came_and_in_order() {
    let mut fetch = fetch(2, one_each(4));
    fetch.wants();
    for run in [2, 3, 0] {
        fetch.arrived(Millis(1), RunId(run), run / 2);
        assert_eq!(fetch.wants(), []);
    }
    fetch.arrived(Millis(2), RunId(1), 0);
    assert_eq!(fetch.wants(), [deliver(0), deliver(1)]);
    assert!(fetch.is_complete() && fetch.exhausted().is_none());
}

#[test]
fn nothing_more_is_asked_for_until_the_consumer_has_room() {
    let mut fetch = fetch(9, one_each(2));
    fetch.wants();
    for (run, segment) in [(0, 0), (1, 0), (2, 1), (3, 1)] {
        fetch.arrived(Millis(1), RunId(run), segment);
    }
    assert_eq!(fetch.wants(), [deliver(0), deliver(1)]);
    assert_eq!((fetch.wake_at(), fetch.exhausted()), (None, None));
    fetch.consumed(Millis(9), 0);
    assert_eq!(fetch.wants(), [read(4, 0, 0, 2..3), read(5, 1, 1, 2..3)]);
}

#[test]
fn shares_are_spread_over_servers_before_primary_ones_are_preferred() {
    let sources = [(store(0), [share(0), share(1)].into()), (store(1), [share(3)].into())];
    let mut fetch = fetch(1, sources.into());
    assert_eq!(fetch.wants(), [read(0, 0, 0, 0..1), read(1, 1, 3, 0..1)]);
}

#[test]
fn a_bad_block_is_replaced_from_another_share_and_only_that() {
    let mut fetch = fetch(1, one_each(4));
    fetch.wants();
    assert_eq!(fetch.failed(Millis(1), RunId(0), &bad()), Some((store(0), share(0))));
    assert_eq!(fetch.wants(), [read(2, 2, 2, 0..1)]);
    fetch.arrived(Millis(2), RunId(1), 0);
    fetch.arrived(Millis(2), RunId(2), 0);
    assert_eq!(fetch.wants(), [deliver(0)]);
}

#[test]
fn a_server_that_dies_in_mid_run_is_replaced_from_that_segment_on() {
    let shape = Shape::new(2, 2, 4).unwrap();
    let cut = Geometry::new(shape, 1 << 19, 2 << 20).unwrap();
    let mut fetch = Fetch::begin(Millis(0), &cut, 0..2, one_each(3), patience(), RunId(0));
    assert_eq!(fetch.wants(), [read(0, 0, 0, 0..2), read(1, 1, 1, 0..2)]);
    fetch.arrived(Millis(1), RunId(0), 0);
    fetch.failed(Millis(1), RunId(0), &dead());
    assert_eq!(fetch.wants(), [read(2, 2, 2, 1..2)]);
}

#[test]
fn a_server_far_slower_than_the_others_is_replaced_yet_heard() {
    let mut fetch = fetch(1, one_each(3));
    fetch.wants();
    assert_eq!(fetch.wake_at(), Some(Millis(5_000)), "nobody is late where nobody came");
    fetch.arrived(Millis(200), RunId(1), 0);
    assert_eq!(fetch.wake_at(), Some(Millis(800)));
    assert_eq!(fetch.overdue(Millis(799)), [].into());
    assert_eq!(fetch.overdue(Millis(800)), [(store(0), Millis(800))].into());
    assert_eq!(fetch.wants(), [read(2, 2, 2, 0..1)]);
    // A late block is as good as any.
    fetch.arrived(Millis(801), RunId(0), 0);
    assert_eq!(fetch.wants(), [deliver(0), Want::Abandon(RunId(2))]);
    fetch.arrived(Millis(802), RunId(2), 0);
    assert_eq!(fetch.wants(), []);
}

#[test]
fn nobody_is_late_before_the_rows_are_here() {
    let mut fetch = fetch(1, one_each(3)).before_its_rows();
    fetch.wants();
    assert_eq!((fetch.wake_at(), fetch.overdue(Millis(60_000))), (None, [].into()));
    fetch.rows_came(Millis(60_000), 1, Millis(200));
    assert_eq!(fetch.wake_at(), Some(Millis(65_000)));
    fetch.arrived(Millis(60_000), RunId(1), 0);
    assert_eq!(
        fetch.wake_at(),
        Some(Millis(60_600)),
        "four times three quarters of what rows took"
    );
}

#[test]
fn a_server_that_is_lost_is_asked_for_nothing_more() {
    let mut fetch = fetch(1, one_each(3));
    fetch.wants();
    fetch.lost(Millis(1), store(0));
    assert_eq!(fetch.wants(), [Want::Abandon(RunId(0)), read(2, 2, 2, 0..1)]);
}

#[test]
fn the_last_source_is_waited_for_however_slow() {
    let mut fetch = fetch(1, one_each(2));
    fetch.wants();
    fetch.arrived(Millis(1), RunId(1), 0);
    fetch.overdue(Millis(501));
    assert_eq!((fetch.wants(), fetch.exhausted(), fetch.wake_at()), (vec![], None, None));
    fetch.failed(Millis(900), RunId(0), &dead());
    assert_eq!(fetch.exhausted(), Some(NotEnoughShares { have: 1, need: 2 }));
    fetch.replace_sources(Millis(950), one_each(3));
    assert_eq!(fetch.wants(), [read(2, 0, 0, 0..1)]);
}

#[test]
fn reports_of_unknown_runs_and_segments_are_ignored() {
    let mut fetch = fetch(2, one_each(3));
    fetch.wants();
    fetch.arrived(Millis(1), RunId(0), 1);
    fetch.arrived(Millis(1), RunId(77), 0);
    assert_eq!(fetch.failed(Millis(1), RunId(77), &dead()), None);
    fetch.arrived(Millis(1), RunId(0), 0);
    fetch.arrived(Millis(1), RunId(0), 0);
    assert_eq!(fetch.wants(), [], "no block counts twice, nor for another segment");
    fetch.arrived(Millis(1), RunId(1), 0);
    assert_eq!(fetch.wants(), [deliver(0)]);
}

#[test]
fn a_fetch_that_is_ended_abandons_its_runs_and_numbers_on() {
    let mut fetch = fetch(1, one_each(3));
    fetch.wants();
    fetch.arrived(Millis(1), RunId(0), 0);
    assert_eq!(fetch.end(), RunId(2));
    assert_eq!(fetch.wants(), [Want::Abandon(RunId(1))]);
}

#[test]
fn nothing_to_fetch_is_complete_at_once() {
    let mut fetch = fetch(0, Placement::new());
    assert_eq!((fetch.wants(), fetch.is_complete(), fetch.exhausted()), (vec![], true, None));
}

/// What a store does with what it is asked.
#[derive(Debug, Clone, Copy)]
enum Manner {
    Gives,
    Bends,
    Dies,
    Stalls,
}

fn manner() -> impl Strategy<Value = Manner> {
    prop_oneof![
        4 => Just(Manner::Gives),
        1 => Just(Manner::Bends),
        1 => Just(Manner::Dies),
        2 => Just(Manner::Stalls),
    ]
}

proptest! {
    /// Whatever servers do, in whatever order it is heard: a segment is delivered only when k distinct shares of it
    /// came, in order; nothing beyond the horizon is asked for; and it ends, complete unless too few shares were left.
    #[test]
    fn every_segment_is_delivered_in_order_or_too_few_shares_are_left(
        manners in prop::collection::vec(manner(), 64),
        choices in prop::collection::vec(any::<prop::sample::Index>(), 400),
        held in prop::collection::vec(prop::collection::btree_set(0_u8..4, 1..3), 1..6),
        segments in 1_u32..7,
    ) {
        let sources: Placement = (0..)
            .zip(&held)
            .map(|(number, shares)| (store(number), shares.iter().copied().map(share).collect()))
            .collect();
        let mut fetch = fetch(segments, sources);
        let (mut open, mut came) = (BTreeMap::<RunId, Run>::new(), BTreeMap::new());
        let (mut next, mut taken, mut asked) = (0, 0, 0);
        let mut now = Millis(0);
        for choice in choices.iter().cycle().take(2_000) {
            for want in fetch.wants() {
                match want {
                    Want::Read(run) => {
                        prop_assert!(run.segments.end <= (taken + 2).min(segments));
                        asked += 1;
                        open.insert(run.id, run);
                    }
                    Want::Abandon(run) => drop(open.remove(&run)),
                    Want::Deliver { segment } => {
                        prop_assert_eq!(segment, next);
                        let shares: &BTreeSet<ShareNumber> = &came[&segment];
                        prop_assert!(shares.len() >= 2);
                        next += 1;
                    }
                }
            }
            if fetch.is_drained() || fetch.exhausted().is_some() {
                break;
            }
            now = now + Millis(10);
            let stalls = |run: &Run| matches!(manners[run.id.0 as usize % 64], Manner::Stalls);
            let moving: Vec<Run> = open.values().filter(|run| !stalls(run)).cloned().collect();
            if next > taken && (moving.is_empty() || choice.index(3) == 0) {
                fetch.consumed(now, taken);
                taken += 1;
            } else if moving.is_empty() {
                // Whoever stalls is replaced if it can be; else its connection breaks at last.
                match fetch.wake_at() {
                    Some(when) => {
                        now = now.max(when);
                        fetch.overdue(now);
                    }
                    None => {
                        let Some((run, _)) = open.pop_first() else { break };
                        fetch.failed(now, run, &dead());
                    }
                }
            } else {
                let run = &moving[choice.index(moving.len())];
                open.remove(&run.id);
                match manners[run.id.0 as usize % 64] {
                    Manner::Gives | Manner::Stalls => {
                        let segment = run.segments.start;
                        came.entry(segment).or_default().insert(run.share);
                        fetch.arrived(now, run.id, segment);
                    }
                    Manner::Bends => drop(fetch.failed(now, run.id, &bad())),
                    Manner::Dies => drop(fetch.failed(now, run.id, &dead())),
                }
            }
        }
        prop_assert!(fetch.is_drained() || fetch.exhausted().is_some(), "{asked} asked: {fetch:?}");
        prop_assert!(fetch.exhausted().is_some() || next == segments);
    }
}
