//! Fetching, step by step: what is asked of whom, and what follows when it does not come.

use tarn_proto::Shape;

use super::*;

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

fn fetch(segments: u32, sources: Placement) -> Fetch {
    Fetch::begin(Millis(0), &geometry(segments.into()), 0..segments, sources, Patience::default())
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
        assert!(fetch.arrived(Millis(1), RunId(run), run / 2));
        assert_eq!(fetch.wants(), []);
    }
    assert!(fetch.arrived(Millis(2), RunId(1), 0));
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
    assert_eq!(fetch.failed(Millis(1), RunId(0), &bad()), Some(store(0)));
    assert_eq!(fetch.wants(), [read(2, 2, 2, 0..1)]);
    fetch.arrived(Millis(2), RunId(1), 0);
    fetch.arrived(Millis(2), RunId(2), 0);
    assert_eq!(fetch.wants(), [deliver(0)]);
}

#[test]
fn a_server_that_dies_in_mid_run_is_replaced_from_that_segment_on() {
    let shape = Shape::new(2, 2, 4).unwrap();
    let cut = Geometry::new(shape, 1 << 19, 2 << 20).unwrap();
    let mut fetch = Fetch::begin(Millis(0), &cut, 0..2, one_each(3), Patience::default());
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
    assert_eq!(fetch.overdue(Millis(800)), [store(0)].into());
    assert_eq!(fetch.wants(), [read(2, 2, 2, 0..1)]);
    assert!(fetch.arrived(Millis(801), RunId(0), 0), "a late block is as good as any");
    assert_eq!(fetch.wants(), [deliver(0), Want::Abandon(RunId(2))]);
    assert!(!fetch.arrived(Millis(802), RunId(2), 0));
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
    assert!(!fetch.arrived(Millis(1), RunId(0), 1), "run 0 is of segment 0");
    assert!(!fetch.arrived(Millis(1), RunId(77), 0));
    assert_eq!(fetch.failed(Millis(1), RunId(77), &dead()), None);
    assert!(fetch.arrived(Millis(1), RunId(0), 0));
    assert!(!fetch.arrived(Millis(1), RunId(0), 0), "no block counts twice");
    assert_eq!(fetch.wants(), []);
}

#[test]
fn nothing_to_fetch_is_complete_at_once() {
    let mut fetch = fetch(0, Placement::new());
    assert_eq!((fetch.wants(), fetch.is_complete(), fetch.exhausted()), (vec![], true, None));
}
