//! Which version a reader gets, and how sure it is.

use super::*;
use crate::base::Undecided;

/// A version that two of three servers may have committed: one says so, one is silent, one has nothing.
fn in_doubt(story: &Story) -> (SignedHeader, SignedHeader) {
    let v1 = story.version(1, 1, None);
    let v2 = story.version(2, 1, Some(&v1));
    (v1, v2)
}

/// Five stores, quorum three: 0 and 1 hold the new version, 2 holds the old one, 3 and 4 are dead.
fn torn(v1: &SignedHeader, v2: &SignedHeader) -> impl Fn(u8) -> Option<SlotState> {
    let (v1, v2) = (v1.clone(), v2.clone());
    move |number| match number {
        0 | 1 => Some(holds(number, &[&v2, &v1])),
        2 => Some(holds(number, &[&v1])),
        _ => None,
    }
}

#[test]
fn a_version_in_doubt_is_brought_to_a_quorum_and_then_confirmed() {
    let mut story = Story::on(5);
    let (v1, v2) = in_doubt(&story);
    let actions = story.mapped(torn(&v1, &v2));
    let Some(Action::Bring { message, server, header, certificate: None, shares, sources, .. }) =
        actions.last()
    else {
        panic!("{actions:?}")
    };
    assert_eq!((*server, header), (store(2), &v2), "who holds its predecessor takes it");
    assert_eq!((shares, sources.len()), (&[share(2)].into(), 2));
    let read = story.step(Event::Brought { message: *message });
    let asked = story.rows_come(&read);
    story.arrived(&asked[0], 0);
    let done = story.arrived(&asked[1], 0);
    let Some(Action::Announce(found)) = done.first() else { panic!("{done:?}") };
    assert!(found.confirmed);
    assert_eq!((&found.header, found.high_water), (&v2, Some(HighWater::of(&v2))));
}

/// The one server that would make it a quorum dies; returns what that leads to.
fn brought_to_nobody(story: &mut Story, v1: &SignedHeader, v2: &SignedHeader) -> Vec<Action> {
    let mut actions = story.mapped(torn(v1, v2));
    for (message, server) in brings(&actions) {
        actions = story.step(match server {
            2 => Event::Failed { message, failure: dead() },
            _ => Event::Brought { message },
        });
    }
    actions
}

/// Reads on until the announcement.
fn announced(story: &mut Story, actions: &[Action]) -> super::super::outcome::Found {
    let asked = story.rows_come(actions);
    story.arrived(&asked[0], 0);
    let done = story.arrived(&asked[1], 0);
    let Some(Action::Announce(found)) = done.first() else { panic!("{done:?}") };
    found.clone()
}

#[test]
fn a_version_that_cannot_be_brought_is_returned_unconfirmed() {
    let mut story = Story::on(5);
    let (v1, v2) = in_doubt(&story);
    let read = brought_to_nobody(&mut story, &v1, &v2);
    let found = announced(&mut story, &read);
    assert_eq!((found.confirmed, &found.header, found.high_water), (false, &v2, None));
}

#[test]
fn a_server_that_answers_a_bring_with_its_state_has_not_taken_it() {
    let mut story = Story::on(5);
    let (v1, v2) = in_doubt(&story);
    let mut read = story.mapped(torn(&v1, &v2));
    for (message, server) in brings(&read) {
        read = story.step(match server {
            2 => Event::Mapped { message, state: empty(2) },
            _ => Event::Brought { message },
        });
    }
    assert!(!announced(&mut story, &read).confirmed);
}

#[test]
fn a_server_that_refuses_is_looked_at_again() {
    let mut story = Story::on(5);
    let (v1, v2) = in_doubt(&story);
    let mut waits = story.mapped(torn(&v1, &v2));
    for (message, _) in brings(&waits) {
        let refusal = tarn_proto::Refusal::Conflict;
        waits = story.step(Event::Refused { message, refusal });
    }
    // In the meantime the writer has finished.
    let read = story.rounds(waits, |number| (number < 3).then(|| holds(number, &[&v2])));
    assert!(announced(&mut story, &read).confirmed);
}

#[test]
fn a_server_that_is_still_brought_something_is_not_brought_more() {
    let mut story = Story::on(5);
    let (v1, v2) = in_doubt(&story);
    let actions = story.mapped(|number| match number {
        3 => Some(holds(3, &[&v1])),
        _ => torn(&v1, &v2)(number),
    });
    let to = |actions: &[Action], wanted: u8| {
        brings(actions)
            .into_iter()
            .find(|(_, server)| *server == wanted)
            .map(|(message, _)| message)
    };
    let (first, late) = (to(&actions, 2).unwrap(), to(&actions, 3).unwrap());
    // Server 3 is slow, and those that have rows die: there is another round, in which 2 is silent.
    let mut actions = story.step(Event::Brought { message: first });
    let asked = runs(&actions);
    while actions.iter().any(|action| matches!(action, Action::ReadRows { .. })) {
        actions = story.step(Event::Failed { message: rows(&actions), failure: dead() });
    }
    story.wait();
    assert!(!story.queries.is_empty(), "it maps again");
    let actions = story.answer_queries(|number| match number {
        2 => None,
        3 => Some(holds(3, &[&v1])),
        _ => torn(&v1, &v2)(number),
    });
    assert_eq!(to(&actions, 3), None, "the first is not answered yet");
    let actions = story.step(Event::Brought { message: late });
    let again = to(&actions, 3).expect("what was brought before says nothing of this round");
    let read = story.step(Event::Brought { message: again });
    let instead = story.rows_come(&read);
    story.arrived(&asked[1], 0);
    let done = story.arrived(&instead[0], 0);
    let Some(Action::Announce(found)) = done.first() else { panic!("{done:?}") };
    assert!(found.confirmed);
}

#[test]
fn a_strict_reader_gets_nothing_unconfirmed() {
    let mut story = Story::of(5, |request| request.strict = true);
    let (v1, v2) = in_doubt(&story);
    let ended = brought_to_nobody(&mut story, &v1, &v2);
    let Outcome::Undecided(undecided) = outcome(&ended) else { panic!("{ended:?}") };
    assert_eq!(undecided.needed(), [store(3), store(4)].into());
}

#[test]
fn below_a_majority_the_newest_version_is_unconfirmed() {
    let mut story = Story::on(5);
    let (v1, v2) = in_doubt(&story);
    let two = |number| (number < 2).then(|| holds(number, &[&v2, &v1]));
    let waits = story.mapped(two);
    let read = story.rounds(waits, two);
    let found = announced(&mut story, &read);
    assert_eq!((found.confirmed, &found.header), (false, &v2));
}

#[test]
fn below_a_majority_a_strict_reader_is_told_how_many_answered() {
    let mut story = Story::of(5, |request| request.strict = true);
    let v1 = story.version(1, 1, None);
    let two = |number| (number < 2).then(|| holds(number, &[&v1]));
    let waits = story.mapped(two);
    let ended = story.rounds(waits, two);
    let Outcome::NotEnoughServers(shortfall) = outcome(&ended) else { panic!("{ended:?}") };
    assert_eq!((shortfall.answered, shortfall.majority, shortfall.window), (2, 3, 5));
}

#[test]
fn a_newer_version_that_cannot_be_recovered_is_reported() {
    let mut story = Story::on(3);
    let (v1, v2) = in_doubt(&story);
    // One fragment of the newer version among three answers: it was never Published.
    let actions =
        story.mapped(|number| Some(holds(number, &[&v2, &v1][usize::from(number != 0)..])));
    let found = announced(&mut story, &actions);
    assert_eq!((&found.header, found.confirmed), (&v1, true));
    let [newer] = &found.newer_unrecoverable[..] else { panic!("{found:?}") };
    assert_eq!((&newer.header, newer.shortage.have, newer.shortage.need), (&v2, 1, 2));
}

#[test]
fn going_back_below_the_high_water_mark_is_refused() {
    let (v1, v2) = in_doubt(&Story::on(3));
    let seen = HighWater::of(&v2);
    let mut story = Story::of(3, |request| request.high_water = Some(seen));
    let ended = story.mapped(|number| Some(holds(number, &[&v1])));
    assert_eq!(outcome(&ended), Outcome::RolledBack { seen, now: Some(v1) });
}

#[test]
fn going_back_is_allowed_when_asked_for_yet_the_mark_stays() {
    let (v1, v2) = in_doubt(&Story::on(3));
    let seen = HighWater::of(&v2);
    let mut story = Story::of(3, |request| {
        request.high_water = Some(seen);
        request.allow_rollback = true;
    });
    let actions = story.mapped(|number| Some(holds(number, &[&v1])));
    let found = announced(&mut story, &actions);
    assert_eq!((&found.header, found.high_water), (&v1, Some(seen)));
}

#[test]
fn a_file_seen_before_that_is_nowhere_now_was_rolled_back() {
    let (v1, _) = in_doubt(&Story::on(3));
    let seen = HighWater::of(&v1);
    let mut story = Story::of(3, |request| {
        request.high_water = Some(seen);
        request.origin = Origin::Creator(Window::new((0..3).map(store).collect()).unwrap());
    });
    let ended = story.mapped(|number| Some(empty(number)));
    assert_eq!(outcome(&ended), Outcome::RolledBack { seen, now: None });
}

#[test]
fn an_older_version_asked_for_is_confirmed_as_an_ancestor_of_a_certain_one() {
    let (v1, v2) = in_doubt(&Story::on(3));
    let mut story = Story::of(3, |request| request.version = Some(v1.version()));
    let certificate = story.certified(&v2);
    let actions = story.mapped(|number| {
        let mut state = holds(number, &[&v2, &v1]);
        state.certificates = vec![certificate];
        Some(state)
    });
    let found = announced(&mut story, &actions);
    assert_eq!((&found.header, found.confirmed), (&v1, true));
}

/// What all servers said before it began.
fn known(stores: u8, state: impl Fn(u8) -> SlotState) -> Option<ServerMap> {
    let answers = (0..stores).map(|number| (store(number), state(number))).collect();
    Some(ServerMap { answers, ..ServerMap::default() })
}

#[test]
fn a_version_asked_for_is_read_from_whoever_is_known_to_have_it() {
    let (v1, _) = in_doubt(&Story::on(3));
    let mut story = Story::of(3, |request| {
        request.version = Some(v1.version());
        request.map = known(3, |number| holds(number, &[&v1]));
    });
    let actions = story.step(Event::Started);
    assert!(matches!(actions.first(), Some(Action::ReadRows { .. })), "{actions:?}");
    assert!(story.queries.is_empty());
}

#[test]
fn servers_are_asked_when_what_is_known_does_not_do_and_always_for_the_newest() {
    let (v1, _) = in_doubt(&Story::on(3));
    for (version, holders) in [(Some(v1.version()), 0), (Some(v1.version()), 1), (None, 3)] {
        let mut story = Story::of(3, |request| {
            request.version = version;
            request.map =
                known(
                    3,
                    |number| if number < holders { holds(number, &[&v1]) } else { empty(number) },
                );
        });
        story.step(Event::Started);
        while story.queries.is_empty() {
            story.wait();
        }
        let certified = story.certified(&v1);
        let actions = story.answer_queries(|number| {
            Some(SlotState { certificates: vec![certified], ..holds(number, &[&v1]) })
        });
        assert_eq!(announced(&mut story, &actions).header, v1);
    }
}

#[test]
fn a_version_asked_for_that_was_never_published_is_not_confirmed_nor_brought() {
    let (v1, v2) = in_doubt(&Story::on(5));
    let mut story = Story::of(5, |request| request.version = Some(v2.version()));
    let actions = story.mapped(torn(&v1, &v2));
    assert_eq!(brings(&actions), []);
    let found = announced(&mut story, &actions);
    assert_eq!((&found.header, found.confirmed), (&v2, false));
}

#[test]
fn a_cap_holder_who_finds_nothing_cannot_tell() {
    let mut story = Story::on(3);
    let ended = story.mapped(|number| Some(empty(number)));
    let silent = BTreeSet::new();
    assert_eq!(outcome(&ended), Outcome::Undecided(Undecided::NoHeader { silent }));
}
