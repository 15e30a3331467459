//! A publish whose caller has asked the servers already: it begins with what they said, and asks when that does not do.

use super::*;
use crate::publish::outcome::During;
use crate::servermap::ServerMap;
use tarn_proto::Refusal;

/// What servers said before it began, `None` being dead.
fn map(stores: u8, says: impl Fn(u8) -> Option<SlotState>) -> ServerMap {
    let mut map = ServerMap::default();
    for number in 0..stores {
        match says(number) {
            Some(state) => drop(map.answers.insert(store(number), state)),
            None => drop(map.failures.insert(store(number), dead())),
        }
    }
    map
}

/// A publish that begins with this.
fn knowing(stores: u8, says: impl Fn(u8) -> Option<SlotState>) -> Story {
    Story::of(stores, |request| request.map = Some(Learnt::Asked(map(stores, says))))
}

fn asked(actions: &[Action]) -> BTreeSet<u8> {
    let asked = |action: &Action| match action {
        Action::Query { server, .. } => Some(server.as_bytes()[0]),
        _ => None,
    };
    actions.iter().filter_map(asked).collect()
}

#[test]
fn it_sends_shares_at_once_with_tests_for_what_was_there() {
    let v1 = Story::on(3).version(1, 1, None);
    let mut story = knowing(3, |number| Some(holds(number, &[&v1])));
    let actions = story.step(Event::Started);
    let [Action::Prepare { draft, lanes, .. }] = actions.as_slice() else { panic!("{actions:?}") };
    assert_eq!(draft.predecessor, Some(v1.version()));
    for (number, lane) in (0..3).zip(lanes) {
        assert_eq!(lane.tests, version_test(&v1, number));
    }
    let (_, decided) = story.all_sealed(lanes, |number| holds(number, &[&v1]));
    assert!(matches!(decided.as_slice(), [Action::Journal { .. }]), "{decided:?}");
}

#[test]
fn what_came_since_costs_a_round_in_which_everybody_is_asked() {
    let v1 = Story::on(3).version(1, 1, None);
    let mut story = knowing(3, |number| Some(holds(number, &[&v1])));
    let theirs = story.version(2, 9, Some(&v1));
    let prepared = lanes(&story.step(Event::Started));
    let refused = Event::Refused {
        message: prepared[0].message,
        refusal: Refusal::Conflict,
        state: Some(holds(0, &[&theirs, &v1])),
    };
    let actions = story.step(refused);
    assert_eq!((released(&actions), asked(&actions)), ([0, 1, 2].into(), BTreeSet::new()));
    let mut next = story.wait();
    assert_eq!(asked(&next), [0, 1, 2].into());
    next = story.answer_queries(&mut next, |number| Some(holds(number, &[&theirs, &v1])));
    let [.., Action::Prepare { draft, .. }] = next.as_slice() else { panic!("{next:?}") };
    assert_eq!(draft.predecessor, Some(theirs.version()));
}

#[test]
fn what_came_since_unnoticed_is_noticed_under_promises() {
    // Whatever tests let pass, the base is chosen again from what is sealed.
    let v1 = Story::on(3).version(1, 1, None);
    let mut story = knowing(3, |number| Some(holds(number, &[&v1])));
    let theirs = story.version(2, 9, Some(&v1));
    let prepared = lanes(&story.step(Event::Started));
    story.encoded();
    story.sealed(&prepared[0], holds(0, &[&theirs, &v1]));
    story.sealed(&prepared[1], holds(1, &[&theirs, &v1]));
    let decided = story.sealed(&prepared[2], holds(2, &[&v1]));
    assert_eq!(released(&decided), [0, 1, 2].into());
    assert!(!decided.iter().any(|action| matches!(action, Action::Journal { .. })));
}

#[test]
fn a_map_that_tells_no_base_is_drawn_again() {
    let mut story = knowing(3, |number| (number == 0).then(|| empty(number)));
    let actions = story.step(Event::Started);
    assert_eq!(prepares(&actions), 0);
    let next = story.next_round(actions, |number| Some(empty(number)));
    assert_eq!(lanes(&next).len(), 3);
}

fn prepares(actions: &[Action]) -> usize {
    actions.iter().filter(|action| matches!(action, Action::Prepare { .. })).count()
}

#[test]
fn whoever_did_not_answer_then_is_done_without_and_named() {
    let mut story = knowing(3, |number| (number != 2).then(|| empty(number)));
    let prepared = lanes(&story.step(Event::Started));
    assert_eq!(prepared.iter().map(|lane| lane.server).collect::<Vec<_>>(), [0, 1].map(store));
    story.all_sealed(&prepared, empty);
    let messages = commits(&story.step(Event::Journaled));
    let mut ended = Vec::new();
    for message in messages.values() {
        ended.extend(story.step(Event::Written { message: *message }));
    }
    let report = report(&ended);
    assert!(report.outcome.published().is_some(), "{report:?}");
    assert_eq!((report.rounds, report.troubles[&store(2)].during), (1, During::Map));
    assert_eq!(report.heard.asked, [0, 1, 2].map(store).into());
}
