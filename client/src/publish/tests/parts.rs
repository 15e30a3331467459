//! A change of a part of a version: it goes to those who have the version, and to nobody else.

use super::*;
use crate::publish::outcome::During;
use tarn_proto::Refusal;

/// A change of version 1, which it returns, to 300 bytes; on so many stores.
fn change(stores: u8) -> (Story, SignedHeader) {
    let v1 = Story::on(stores).version(1, 1, None);
    let story = Story::of(stores, |request| {
        request.input = Input::Part { of: v1.version(), length: 300 };
    });
    (story, v1)
}

/// All but two have lost a version that was Published.
fn rest_lost(number: u8, version: &SignedHeader, certificate: Certificate) -> SlotState {
    let state = if number < 2 { holds(number, &[version]) } else { empty(number) };
    SlotState { certificates: vec![certificate], ..state }
}

fn refused(lane: &PrepareLane, refusal: Refusal, state: SlotState) -> Event {
    Event::Refused { message: lane.message, refusal, state: Some(state) }
}

#[test]
fn whoever_has_the_version_is_told_to_take_the_rest_from_it() {
    let (mut story, v1) = change(4);
    let says = |number| if number == 3 { empty(3) } else { holds(number, &[&v1]) };
    let actions = story.mapped(|number| Some(says(number)));
    let prepared = lanes(&actions);
    assert_eq!(prepared.len(), 3, "store 3 has nothing to take the rest from");
    for (number, lane) in (0..).zip(&prepared) {
        assert_eq!((lane.server, &lane.shares), (store(number), &shares(&[number])));
        assert_eq!((lane.base, &lane.tests), (Some(v1.version()), &version_test(&v1, number)));
    }
    let draft = story.publish.draft.clone().unwrap();
    let (old, new) = (v1.header().geometry, *draft.cut.room());
    assert_eq!((draft.predecessor, draft.shape), (Some(v1.version()), v1.header().shape));
    assert_eq!((new.block_size(), new.length()), (old.block_size(), 300));
}

#[test]
fn what_is_sent_as_a_whole_is_taken_from_nowhere() {
    let mut story = Story::on(3);
    let v1 = story.version(1, 1, None);
    let prepared = lanes(&story.mapped(|number| Some(holds(number, &[&v1]))));
    assert!(prepared.iter().all(|lane| lane.base.is_none()));
}

#[test]
fn what_somebody_lacks_is_brought_when_the_rest_is_published() {
    let (mut story, v1) = change(4);
    let says = |number| if number == 3 { empty(3) } else { holds(number, &[&v1]) };
    let prepared = lanes(&story.mapped(|number| Some(says(number))));
    story.all_sealed(&prepared, says);
    let messages = commits(&story.step(Event::Journaled));
    let mut ended = Vec::new();
    for message in messages.values() {
        ended.extend(story.step(Event::Written { message: *message }));
    }
    let Outcome::Published(published) = outcome(&ended) else { panic!("{ended:?}") };
    assert_eq!(published.missing, shares(&[3]));
    let brought = ended.iter().filter_map(|action| match action {
        Action::Bring { shares, .. } => Some(shares.clone()),
        _ => None,
    });
    assert_eq!(brought.collect::<Vec<_>>(), [shares(&[3])]);
}

#[test]
fn damaged_shares_and_older_generations_are_nothing_to_take_the_rest_from() {
    let (mut story, v1) = change(4);
    let v2 = story.version(2, 2, Some(&v1));
    let mut damaged = holds(0, &[&v1]);
    damaged.generations[0].shares.insert(share(3), ShareHealth::Damaged);
    let mut rotten = holds(1, &[&v1]);
    rotten.generations[0].shares = [(share(1), ShareHealth::Damaged)].into();
    let says = |number| match number {
        0 => damaged.clone(),
        1 => rotten.clone(),
        2 => holds(2, &[&v1]),
        _ => holds(3, &[&v2, &v1]),
    };
    let ended = story.mapped(|number| Some(says(number)));
    let Outcome::BaseMissing(shortfall) = outcome(&ended) else { panic!("{ended:?}") };
    assert_eq!((shortfall.usable, shortfall.quorum, shortfall.window), (2, 3, 4));
}

#[test]
fn too_few_who_have_it_end_it_with_nothing_sent() {
    let (mut story, v1) = change(5);
    let certificate = story.certified(&v1);
    let ended = story.mapped(|number| Some(rest_lost(number, &v1, certificate)));
    let Outcome::BaseMissing(shortfall) = outcome(&ended) else { panic!("{ended:?}") };
    assert_eq!((shortfall.usable, shortfall.quorum), (2, 3));
    assert!(outcome(&ended).nothing_changed());
    assert!(!ended.iter().any(|action| matches!(action, Action::Prepare { .. })));
}

#[test]
fn a_server_that_lost_the_version_is_done_without() {
    let (mut story, v1) = change(3);
    let says = |number| holds(number, &[&v1]);
    let prepared = lanes(&story.mapped(|number| Some(says(number))));
    let (header, _) = story.encoded();
    story.sealed(&prepared[0], says(0));
    story.sealed(&prepared[1], says(1));
    let actions = story.step(refused(&prepared[2], Refusal::BaseMissing, empty(2)));
    let placement = [0, 1].map(|n| (store(n), shares(&[n]))).into();
    assert_eq!(released(&actions), [2].into());
    assert!(actions.contains(&Action::Journal { header, placement }), "{actions:?}");
    assert!(!actions.iter().any(|action| matches!(action, Action::Prepare { .. })));
}

#[test]
fn a_quorum_lost_while_preparing_is_told_in_the_next_round() {
    let (mut story, v1) = change(3);
    let says = |number| holds(number, &[&v1]);
    let prepared = lanes(&story.mapped(|number| Some(says(number))));
    story.encoded();
    story.sealed(&prepared[0], says(0));
    story.step(refused(&prepared[1], Refusal::BaseMissing, empty(1)));
    let actions = story.step(refused(&prepared[2], Refusal::BaseMissing, empty(2)));
    let report = story.until_it_ends(actions, |number| Some(says(number)));
    assert!(matches!(report.outcome, Outcome::BaseMissing(_)), "{report:?}");
    assert_eq!(report.troubles[&store(1)].during, During::Prepare);
}

#[test]
fn a_server_that_turns_out_to_hold_less_is_not_adopted() {
    let (mut story, v1) = change(3);
    let says = |number| holds(number, &[&v1]);
    let prepared = lanes(&story.mapped(|number| Some(says(number))));
    let actions = story.step(refused(&prepared[2], Refusal::Conflict, empty(2)));
    assert_eq!(
        actions,
        [Action::Release { server: store(2), conversation: prepared[2].conversation }]
    );
    // One more share of the version is no obstacle.
    let mut more = says(1);
    more.generations[0].shares.insert(share(2), ShareHealth::Whole);
    let actions = story.step(refused(&prepared[1], Refusal::Conflict, more));
    assert!(matches!(actions.as_slice(), [Action::Retest { .. }]), "{actions:?}");
}

#[test]
fn another_newest_version_is_not_changed() {
    let (mut story, v1) = change(3);
    let v2 = story.version(2, 2, Some(&v1));
    let ended = story.mapped(|number| Some(holds(number, &[&v2, &v1])));
    assert_eq!(outcome(&ended), Outcome::Stale { now: Some(v2) });
}

#[test]
fn what_may_have_landed_is_never_called_unchanged() {
    let (mut story, v1) = change(5);
    let certificate = story.certified(&v1);
    let says = |number| holds(number, &[&v1]);
    let prepared = lanes(&story.mapped(|number| Some(says(number))));
    story.all_sealed(&prepared, says);
    let messages = commits(&story.step(Event::Journaled));
    let mut last = Vec::new();
    for message in messages.values() {
        last.extend(story.step(Event::Failed { message: *message, failure: dead() }));
    }
    for _ in 0..100 {
        if last.iter().any(|action| matches!(action, Action::Finish(_))) {
            break;
        }
        let mut next = Vec::new();
        for action in std::mem::take(&mut last) {
            let Action::Query { message, server, conversation, .. } = action else { continue };
            let state = rest_lost(server.as_bytes()[0], &v1, certificate);
            next.extend(story.step(match conversation {
                Some(_) => Event::Failed { message, failure: dead() },
                None => Event::Mapped { message, state },
            }));
        }
        last = if next.is_empty() { story.wait() } else { next };
    }
    assert!(matches!(outcome(&last), Outcome::Unknown(_)), "{last:?}");
}
