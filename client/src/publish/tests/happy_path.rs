//! A publish in which nothing goes wrong.

use super::*;
use crate::publish::action::{Draft, Timer, Why};

#[test]
fn it_begins_by_asking_every_store_of_the_window() {
    let mut story = Story::on(3);
    let query = |n: u8| Action::Query {
        message: MessageId(n.into()),
        server: store(n),
        since: None,
        conversation: None,
    };
    let wait = Action::WaitUntil { timer: Timer(0), when: Millis(5_000), why: Why::Lateness };
    assert_eq!(story.step(Event::Started), [query(0), query(1), query(2), wait]);
}

#[test]
fn a_first_version_goes_out_with_tests_for_an_empty_slot() {
    let mut story = Story::on(3);
    let actions = story.mapped(|number| Some(empty(number)));
    let [Action::Prepare { draft, finalize: None, ancestors, lanes }] = actions.as_slice() else {
        panic!("{actions:?}")
    };
    let Draft { sequence_number, predecessor, .. } = draft;
    assert_eq!((sequence_number.get(), *predecessor), (1, None));
    assert_eq!(*ancestors, []);
    for (number, lane) in (0..3).zip(lanes) {
        assert_eq!((lane.server, &lane.shares), (store(number), &shares(&[number])));
        let absent = (share(number), tarn_proto::state::Expected::Absent);
        assert_eq!(lane.tests, Tests { shares: [absent].into(), no_others: true });
    }
}

#[test]
fn a_later_version_follows_the_base_and_tests_for_it() {
    let mut story = Story::on(3);
    let v1 = story.version(1, 1, None);
    let actions = story.mapped(|number| Some(holds(number, &[&v1])));
    let [Action::Prepare { draft, finalize, ancestors, lanes }] = actions.as_slice() else {
        panic!("{actions:?}")
    };
    assert_eq!((draft.sequence_number.get(), draft.predecessor), (2, Some(v1.version())));
    assert_eq!(*finalize, Some((v1.header().sequence_number, v1.version())), "it rides along");
    assert_eq!(*ancestors, [], "what is Published is linked already");
    assert_eq!(lanes[2].tests, version_test(&v1, 2));
}

#[test]
fn what_is_not_known_to_be_published_goes_along_with_what_is_built_on_it() {
    let mut story = Story::on(5);
    let v1 = story.version(1, 1, None);
    let v2 = story.version(2, 2, Some(&v1));
    let v3 = story.version(3, 3, Some(&v2));
    // Two of five hold the newest; one of them tells of the one below, which nobody who answers holds.
    let told = SlotState { ancestors: vec![v2.clone()], ..holds(0, &[&v3]) };
    let actions = story.mapped(|number| match number {
        0 => Some(told.clone()),
        1 => Some(holds(1, &[&v3, &v1])),
        _ => Some(holds(number, &[&v1])),
    });
    let [Action::Prepare { draft, ancestors, .. }] = actions.as_slice() else {
        panic!("{actions:?}")
    };
    assert_eq!(draft.predecessor, Some(v3.version()));
    assert_eq!(*ancestors, [v3, v2], "down to v1, which is certain");
}

#[test]
fn it_decides_when_all_have_sealed_and_not_before() {
    let mut story = Story::on(3);
    let prepared = lanes(&story.mapped(|number| Some(empty(number))));
    let (header, _) = story.encoded();
    story.sealed(&prepared[0], empty(0));
    let second = story.sealed(&prepared[1], empty(1));
    assert!(!second.iter().any(|action| matches!(action, Action::Journal { .. })), "{second:?}");
    let placement = [0, 1, 2].map(|n| (store(n), shares(&[n]))).into();
    assert_eq!(story.sealed(&prepared[2], empty(2)), [Action::Journal { header, placement }]);
}

#[test]
fn it_commits_only_what_is_journaled() {
    let mut story = Story::on(3);
    let prepared = lanes(&story.mapped(|number| Some(empty(number))));
    let (header, _) = story.all_sealed(&prepared, empty);
    let commit = |n: u8| Action::Commit {
        message: MessageId(6 + u32::from(n)),
        server: store(n),
        conversation: prepared[usize::from(n)].conversation,
        header: header.clone(),
    };
    assert_eq!(story.step(Event::Journaled), [commit(0), commit(1), commit(2)]);
}

#[test]
fn published_is_told_once_and_then_finalized() {
    let mut story = Story::on(3);
    let prepared = lanes(&story.mapped(|number| Some(empty(number))));
    let (header, _) = story.all_sealed(&prepared, empty);
    let messages = commits(&story.step(Event::Journaled));
    let mut ended = Vec::new();
    for message in messages.values() {
        ended.extend(story.step(Event::Written { message: *message }));
    }
    let Outcome::Published(published) = outcome(&ended) else { panic!("{ended:?}") };
    assert_eq!((published.version, published.repeated), (header.version(), false));
    assert_eq!(published.missing, BTreeSet::new());
    let finalized = ended.iter().filter(|action| matches!(action, Action::Finalize { .. }));
    assert_eq!(finalized.count(), 3);
    assert!(!story.publish.is_over());
    let finalizing: Vec<_> = story.publish.outstanding.keys().copied().collect();
    for message in finalizing {
        assert_eq!(story.step(Event::Mapped { message, state: empty(0) }), []);
    }
    assert!(story.publish.is_over());
}

#[test]
fn the_quorum_does_not_wait_for_the_slowest_commit() {
    let mut story = Story::on(3);
    let prepared = lanes(&story.mapped(|number| Some(empty(number))));
    story.all_sealed(&prepared, empty);
    let messages = commits(&story.step(Event::Journaled));
    story.now = 10;
    story.step(Event::Written { message: messages[&0] });
    assert_eq!(story.step(Event::Written { message: messages[&1] }), [], "it waits a little");
    let Outcome::Published(published) = outcome(&story.wait()) else { panic!() };
    assert_eq!(story.now, 500, "the floor: four times 10 ms is no time");
    assert_eq!(published.missing, shares(&[2]));
}

#[test]
fn promises_are_renewed_while_others_still_seal() {
    let mut story = Story::on(3);
    let prepared = lanes(&story.mapped(|number| Some(empty(number))));
    story.sealed(&prepared[0], empty(0));
    story.now = 10_000;
    let timer = story.publish.timer.unwrap().0;
    let actions = story.step(Event::TimedOut { timer });
    assert!(
        matches!(actions.as_slice(), [Action::Extend { server, .. }] if *server == store(0)),
        "{actions:?}"
    );
}
