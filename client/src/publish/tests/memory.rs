//! A publish whose caller remembers what its last one left: it begins with that, asks once it proves to be out of date, and
//! concludes nothing from it.

use super::*;
use crate::servermap::ServerMap;
use tarn_proto::{Refusal, VersionId};

/// A publish that remembers this of every store, and follows what it is to.
fn remembering(stores: u8, follows: Follows, left: impl Fn(u8) -> SlotState) -> Story {
    let answers = (0..stores).map(|number| (store(number), left(number))).collect();
    Story::of(stores, |request| {
        request.map = Some(Learnt::Remembered(ServerMap { answers, failures: BTreeMap::new() }));
        request.follows = follows;
    })
}

fn version_1() -> SignedHeader {
    Story::on(3).version(1, 1, None)
}

fn asked(actions: &[Action]) -> BTreeSet<u8> {
    let asked = |action: &Action| match action {
        Action::Query { server, .. } => Some(server.as_bytes()[0]),
        _ => None,
    };
    actions.iter().filter_map(asked).collect()
}

fn refused(lane: &PrepareLane, state: SlotState) -> Event {
    Event::Refused { message: lane.message, refusal: Refusal::Conflict, state: Some(state) }
}

#[test]
fn it_sends_shares_at_once_and_takes_the_certificate_along() {
    let v1 = version_1();
    let mut story = remembering(3, Follows::Whatever, |number| holds(number, &[&v1]));
    let actions = story.step(Event::Started);
    let [Action::Prepare { draft, finalize, lanes, .. }] = actions.as_slice() else {
        panic!("{actions:?}")
    };
    assert_eq!(draft.predecessor, Some(v1.version()));
    assert_eq!(*finalize, Some((v1.header().sequence_number, v1.version())));
    let (_, decided) = story.all_sealed(lanes, |number| holds(number, &[&v1]));
    assert!(matches!(decided.as_slice(), [Action::Journal { .. }]), "{decided:?}");
}

#[test]
fn what_came_since_is_asked_for_at_once_and_is_no_surprise() {
    let v1 = version_1();
    let named = Follows::Version(v1.version());
    let mut story = remembering(3, named, |number| holds(number, &[&v1]));
    let theirs = story.version(2, 9, Some(&v1));
    let prepared = lanes(&story.step(Event::Started));
    let mut next = story.step(refused(&prepared[0], holds(0, &[&theirs, &v1])));
    assert_eq!((released(&next), asked(&next)), ([0, 1, 2].into(), [0, 1, 2].into()));
    next = story.answer_queries(&mut next, |number| Some(holds(number, &[&theirs, &v1])));
    // It may have been there for long: nobody wrote at the same time as we did.
    let Outcome::Stale { now } = report(&next).outcome else { panic!("{next:?}") };
    assert_eq!(now.map(|now| now.version()), Some(theirs.version()));
    assert_eq!(report(&next).troubles, BTreeMap::new());
}

#[test]
fn what_comes_after_it_has_asked_is_a_surprise_as_ever() {
    let v1 = version_1();
    let v2 = Story::on(3).version(2, 2, Some(&v1));
    let named = Follows::Version(v2.version());
    // Remembered is not what is to be followed: it asks first.
    let mut story = remembering(3, named, |number| holds(number, &[&v1]));
    let mut queries = story.step(Event::Started);
    assert_eq!(asked(&queries), [0, 1, 2].into());
    let mapped = story.answer_queries(&mut queries, |number| Some(holds(number, &[&v2, &v1])));
    let theirs = story.version(3, 9, Some(&v2));
    let conflict = story.step(refused(&lanes(&mapped)[0], holds(0, &[&theirs, &v2])));
    let next = story.next_round(conflict, |number| Some(holds(number, &[&theirs, &v2])));
    assert!(matches!(report(&next).outcome, Outcome::UncoordinatedWrite { .. }), "{next:?}");
}

#[test]
fn what_it_remembers_of_too_few_or_of_a_newer_high_water_mark_is_not_built_on() {
    let v1 = version_1();
    let mut story = remembering(3, Follows::Nothing, |number| holds(number, &[&v1]));
    assert_eq!(asked(&story.step(Event::Started)), [0, 1, 2].into(), "it is to follow nothing");

    let answers = BTreeMap::from([(store(0), holds(0, &[&v1])), (store(1), holds(1, &[&v1]))]);
    let map = ServerMap { answers, failures: BTreeMap::new() };
    let mut story = Story::of(3, |request| request.map = Some(Learnt::Remembered(map)));
    assert_eq!(asked(&story.step(Event::Started)), [0, 1, 2].into(), "it remembers too few");

    let newer = crate::base::HighWater::of(&Story::on(3).version(2, 2, Some(&v1)));
    let answers = (0..3).map(|number| (store(number), holds(number, &[&v1]))).collect();
    let map = ServerMap { answers, failures: BTreeMap::new() };
    let mut story = Story::of(3, |request| {
        request.map = Some(Learnt::Remembered(map));
        request.high_water = Some(newer);
    });
    assert_eq!(asked(&story.step(Event::Started)), [0, 1, 2].into(), "it has seen a newer one");
}

#[test]
fn a_certificate_that_goes_along_with_the_next_publish_is_waited_for_no_more() {
    let mut story = Story::on(3);
    let mapped = story.mapped(|number| Some(empty(number)));
    story.all_sealed(&lanes(&mapped), empty);
    let mut ended = Vec::new();
    for message in commits(&story.step(Event::Journaled)).values() {
        ended.extend(story.step(Event::Written { message: *message }));
    }
    let left: Vec<(MessageId, VersionId)> = ended
        .iter()
        .filter_map(|action| match action {
            Action::Finalize { message, version, .. } => Some((*message, *version)),
            _ => None,
        })
        .collect();
    assert_eq!(left.len(), 3);
    for (message, _) in left {
        assert!(!story.publish.is_over());
        assert_eq!(story.step(Event::LeftToNext { message }), []);
    }
    assert!(story.publish.is_over());
}
