//! An input that can be read only once: there is one pass over it, and nothing is begun anew that needs another.

use super::*;
use tarn_proto::Refusal;
use tarn_proto::geometry::BLOCK_SIZE_DEFAULT;

/// A publish of such an input on so many stores.
fn once(stores: u8) -> Story {
    Story::of(stores, |request| request.input = Input::Once)
}

/// A first version of fewer shares than there are stores: one store is left over.
fn with_a_spare_store() -> Story {
    Story::of(5, |request| {
        request.input = Input::Once;
        request.shape = Some(Shape::new(2, 2, 4).unwrap());
    })
}

fn failed(lane: &PrepareLane) -> Event {
    Event::Failed { message: lane.message, failure: dead() }
}

fn conflict(lane: &PrepareLane, state: SlotState) -> Event {
    Event::Refused { message: lane.message, refusal: Refusal::Conflict, state: Some(state) }
}

/// Everything that is asked for until it ends; every server says this.
fn end(
    story: &mut Story,
    mut actions: Vec<Action>,
    says: impl Fn(u8) -> Option<SlotState>,
) -> Report {
    for _ in 0..100 {
        assert!(!actions.iter().any(|action| matches!(action, Action::Prepare { .. })));
        if actions.iter().any(|action| matches!(action, Action::Finish(_))) {
            return report(&actions);
        }
        actions = story.next_round(actions, &says);
    }
    panic!("it never ends");
}

#[test]
fn it_goes_out_without_a_length_and_has_the_one_that_was_read() {
    let mut story = once(3);
    let prepared = lanes(&story.mapped(|number| Some(empty(number))));
    let cut = story.publish.draft.as_ref().unwrap().cut;
    assert_eq!((cut.length(), cut.room().block_size()), (None, BLOCK_SIZE_DEFAULT));
    let (header, _) = story.encoded_as(1_000_000);
    assert_eq!(header.header().geometry.length(), 1_000_000);
    story.sealed(&prepared[0], empty(0));
    story.sealed(&prepared[1], empty(1));
    let placement = [0, 1, 2].map(|n| (store(n), shares(&[n]))).into();
    let decided = story.sealed(&prepared[2], empty(2));
    assert_eq!(decided, [Action::Journal { header, placement }]);
}

#[test]
fn a_header_that_is_cut_otherwise_is_not_of_the_draft() {
    let mut story = once(3);
    story.mapped(|number| Some(empty(number)));
    let draft = story.publish.draft.clone().unwrap();
    let of = |geometry: Geometry| draft.complete(geometry, [9; 32], [0; 16]);
    let sized = |block_size| Geometry::new(draft.shape, block_size, 100).unwrap();
    assert!(draft.is_of(&of(sized(BLOCK_SIZE_DEFAULT))));
    assert!(!draft.is_of(&of(sized(BLOCK_SIZE_DEFAULT / 2))));
    let other_shape = Geometry::new(Shape::new(1, 2, 3).unwrap(), BLOCK_SIZE_DEFAULT, 100);
    assert!(!draft.is_of(&of(other_shape.unwrap())));
}

#[test]
fn a_share_that_loses_its_server_stays_missing_and_is_brought() {
    let mut story = with_a_spare_store();
    let prepared = lanes(&story.mapped(|number| Some(empty(number))));
    assert_eq!(prepared.len(), 4);
    let lost = story.step(failed(&prepared[1]));
    let conversation = prepared[1].conversation;
    assert_eq!(lost, [Action::Release { server: store(1), conversation }], "the spare has no pass");
    story.encoded();
    for lane in [&prepared[0], &prepared[2], &prepared[3]] {
        story.sealed(lane, empty(lane.server.as_bytes()[0]));
    }
    let messages = commits(&story.step(Event::Journaled));
    let mut ended = Vec::new();
    for message in messages.values() {
        ended.extend(story.step(Event::Written { message: *message }));
    }
    let Outcome::Published(published) = outcome(&ended) else { panic!("{ended:?}") };
    assert_eq!(published.missing, shares(&[1]));
    let brought = ended.iter().filter_map(|action| match action {
        Action::Bring { server, shares, .. } => Some((*server, shares.clone())),
        _ => None,
    });
    assert_eq!(brought.collect::<Vec<_>>(), [(store(0), shares(&[1]))]);
}

#[test]
fn it_is_not_read_on_when_no_quorum_is_left() {
    let mut story = with_a_spare_store();
    let prepared = lanes(&story.mapped(|number| Some(empty(number))));
    assert!(released(&story.step(failed(&prepared[0]))).contains(&0));
    // Three of five are a quorum, two are none; the spare would be the third if it could be sent anything.
    let actions = story.step(failed(&prepared[1]));
    assert_eq!(released(&actions), [1, 2, 3].into());
    let report = end(&mut story, actions, |number| Some(empty(number)));
    assert_eq!(report.outcome, Outcome::InputUsedUp);
    assert!(report.outcome.nothing_changed());
    assert_eq!(report.troubles.len(), 2, "who failed is told");
}

#[test]
fn too_few_servers_are_called_that() {
    let mut story = once(3);
    let prepared = lanes(&story.mapped(|number| Some(empty(number))));
    story.step(failed(&prepared[0]));
    let actions = story.step(failed(&prepared[1]));
    let report = end(&mut story, actions, |number| (number == 2).then(|| empty(number)));
    assert!(matches!(report.outcome, Outcome::NotEnoughServers(_)), "{report:?}");
}

#[test]
fn whoever_came_first_is_named_where_only_one_version_may_be_followed() {
    let v1 = Story::on(3).version(1, 1, None);
    for (follows, expected) in
        [(Follows::Whatever, None), (Follows::Version(v1.version()), Some(()))]
    {
        let mut story = Story::of(3, |request| {
            request.input = Input::Once;
            request.follows = follows;
        });
        let theirs = story.version(2, 9, Some(&v1));
        let prepared = lanes(&story.mapped(|number| Some(holds(number, &[&v1]))));
        story.encoded();
        let actions = story.step(conflict(&prepared[0], holds(0, &[&theirs, &v1])));
        let report = end(&mut story, actions, |number| Some(holds(number, &[&theirs, &v1])));
        let named = Outcome::UncoordinatedWrite { theirs: Some(theirs) };
        assert_eq!(report.outcome, expected.map_or(Outcome::InputUsedUp, |()| named));
    }
}

#[test]
fn rounds_that_fail_before_it_is_read_cost_nothing() {
    let mut story = once(3);
    let too_few = story.mapped(|number| (number == 0).then(|| empty(number)));
    let mut next = story.next_round(too_few, |number| Some(empty(number)));
    while !next.iter().any(|action| matches!(action, Action::Prepare { .. })) {
        next = story.next_round(next, |number| Some(empty(number)));
    }
    let prepared = lanes(&next);
    let (_, decided) = story.all_sealed(&prepared, empty);
    assert!(matches!(decided.as_slice(), [Action::Journal { .. }]), "{decided:?}");
}

/// A version that one of three accepted and the others did not. Returns it, and what followed.
fn fallen_short(story: &mut Story) -> (SignedHeader, Vec<Action>) {
    let prepared = lanes(&story.mapped(|number| Some(empty(number))));
    let (header, _) = story.all_sealed(&prepared, empty);
    let messages = commits(&story.step(Event::Journaled));
    story.step(Event::Written { message: messages[&0] });
    let refused = |number: u8| Event::Refused {
        message: messages[&number],
        refusal: Refusal::PromiseLost,
        state: Some(empty(number)),
    };
    story.step(refused(1));
    (header, story.step(refused(2)))
}

#[test]
fn what_fell_short_is_brought_where_it_can_be_read() {
    let mut story = Story::of(3, |request| {
        request.input = Input::Once;
        request.shape = Some(Shape::new(1, 2, 3).unwrap());
    });
    let (header, actions) = fallen_short(&mut story);
    let says = |number| if number == 0 { holds(0, &[&header]) } else { empty(number) };
    let mut actions = story.next_round(actions, |number| Some(says(number)));
    let brought = loop {
        let brings = actions.iter().filter_map(|action| match action {
            Action::Bring { message, .. } => Some(*message),
            _ => None,
        });
        let brings: Vec<_> = brings.collect();
        if !brings.is_empty() {
            break brings;
        }
        actions = story.next_round(actions, |number| Some(says(number)));
    };
    let mut last = Vec::new();
    for message in brought {
        last.extend(story.step(Event::Written { message }));
    }
    let Outcome::Published(published) = outcome(&last) else { panic!("{last:?}") };
    assert_eq!(published.version, header.version());
}

#[test]
fn what_fell_short_and_cannot_be_made_again_is_partial() {
    // Two shares of it are needed and one is there: another version would have to rule it out.
    let mut story = once(3);
    let (header, actions) = fallen_short(&mut story);
    let says = |number| if number == 0 { holds(0, &[&header]) } else { empty(number) };
    let report = end(&mut story, actions, |number| Some(says(number)));
    let Outcome::Partial(landed) = report.outcome else { panic!("{report:?}") };
    assert_eq!((landed.header, landed.accepted), (header, [store(0)].into()));
}

#[test]
fn a_long_pause_of_the_input_is_held_against_nobody() {
    let mut story = once(3);
    let prepared = lanes(&story.mapped(|number| Some(empty(number))));
    story.now = 3_600_000;
    for lane in &prepared {
        let waited = Millis(1_999);
        assert_eq!(story.step(Event::Stalled { message: lane.message, waited }), []);
    }
    // Nor is a server spared that takes nothing of what comes then.
    story.now += 20_000;
    let message = prepared[0].message;
    let dropped = story.step(Event::Stalled { message, waited: Millis(20_000) });
    assert_eq!(released(&dropped), [0].into());
}
