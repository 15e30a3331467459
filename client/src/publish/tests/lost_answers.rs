//! Commits whose answers are lost, and rounds that fall short after a commit.

use tarn_proto::Refusal;

use super::*;

/// A publish on three stores that has sent its commits.
fn committing() -> (Story, SignedHeader, BTreeMap<u8, MessageId>, Vec<PrepareLane>) {
    let mut story = Story::on(3);
    let prepared = lanes(&story.mapped(|number| Some(empty(number))));
    let (header, _) = story.all_sealed(&prepared, empty);
    let messages = commits(&story.step(Event::Journaled));
    (story, header, messages, prepared)
}

fn committed_by(lane: &PrepareLane, header: &SignedHeader) -> SlotState {
    let mut state = holds(lane.server.as_bytes()[0], &[header]);
    state.generations[0].origin = Came::Committed(lane.conversation);
    state
}

/// Loses the answer of server 2's commit; returns the message that asks after it.
fn lose_the_third(story: &mut Story, messages: &BTreeMap<u8, MessageId>) -> MessageId {
    let asked = story.step(Event::Failed { message: messages[&2], failure: dead() });
    match asked.as_slice() {
        [Action::Query { message, server, conversation: Some(_), .. }] if *server == store(2) => {
            *message
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_lost_answer_is_settled_by_the_conversation_recorded_there() {
    let (mut story, header, messages, prepared) = committing();
    story.step(Event::Written { message: messages[&0] });
    story.step(Event::Written { message: messages[&1] });
    let message = lose_the_third(&mut story, &messages);
    let state = closed(committed_by(&prepared[2], &header));
    let Outcome::Published(published) = outcome(&story.step(Event::Mapped { message, state }))
    else {
        panic!()
    };
    assert_eq!(published.placement.len(), 3);
}

#[test]
fn our_version_brought_there_by_somebody_else_does_not_settle_our_commit() {
    let (mut story, header, messages, _) = committing();
    story.step(Event::Written { message: messages[&0] });
    story.step(Event::Written { message: messages[&1] });
    let message = lose_the_third(&mut story, &messages);
    let mut state = closed(holds(2, &[&header]));
    state.generations[0].origin = Came::Brought;
    let ended = story.step(Event::Mapped { message, state });
    let Outcome::Published(published) = outcome(&ended) else { panic!("{ended:?}") };
    assert_eq!(published.missing, shares(&[2]));
}

#[test]
fn a_conversation_still_open_is_asked_after_again() {
    let (mut story, _, messages, _) = committing();
    let message = lose_the_third(&mut story, &messages);
    let mut state = empty(2);
    state.conversation = Some(ConversationStatus::SealedLast);
    let waiting = story.step(Event::Mapped { message, state });
    assert!(matches!(waiting.as_slice(), [Action::WaitUntil { when: Millis(200), .. }]));
    let again = story.wait();
    assert!(matches!(again.as_slice(), [Action::Query { conversation: Some(_), .. }]));
}

#[test]
fn commits_all_refused_change_nothing_and_are_tried_again() {
    let (mut story, _, messages, _) = committing();
    let mut actions = Vec::new();
    for (&number, &message) in &messages {
        actions = story.step(Event::Refused {
            message,
            refusal: Refusal::PromiseLost,
            state: Some(empty(number)),
        });
    }
    assert!(matches!(actions.as_slice(), [Action::WaitUntil { .. }]), "{actions:?}");
    assert_eq!(story.publish.landed, None);
    let next = story.next_round(actions, |number| Some(empty(number)));
    assert_eq!(lanes(&next).len(), 3);
}

#[test]
fn a_header_whose_commits_were_all_refused_is_never_committed_again() {
    let (mut story, first, messages, _) = committing();
    let mut actions = Vec::new();
    for &message in messages.values() {
        let refusal = Refusal::PromiseLost;
        actions = story.step(Event::Refused { message, refusal, state: None });
    }
    let next = story.next_round(actions, |number| Some(empty(number)));
    let [.., Action::Prepare { draft, .. }] = next.as_slice() else { panic!("{next:?}") };
    assert!(!draft.is_of(first.header()), "the same header would get a second round");
    assert_eq!(draft.sequence_number.get(), 2);
}

#[test]
fn a_version_that_fell_short_is_ruled_out_by_a_new_one_with_the_same_attempt() {
    let (mut story, first, actions) = fallen_short();
    // One holder of three cannot be a quorum when all have answered: the base is still the empty one.
    let next = story.next_round(actions, |number| {
        Some(if number == 0 { holds(0, &[&first]) } else { empty(number) })
    });
    let [.., Action::Prepare { draft, lanes, .. }] = next.as_slice() else { panic!("{next:?}") };
    assert_eq!((draft.sequence_number.get(), draft.predecessor), (2, None));
    assert_eq!(draft.attempt, first.header().attempt);
    assert_eq!(lanes[0].tests, version_test(&first, 0));
}

/// Our version was accepted by server 0 alone; the others refused.
fn fallen_short() -> (Story, SignedHeader, Vec<Action>) {
    let (mut story, ours, messages, _) = committing();
    story.step(Event::Written { message: messages[&0] });
    let mut actions = Vec::new();
    for number in [1, 2] {
        actions = story.step(Event::Refused {
            message: messages[&number],
            refusal: Refusal::PromiseLost,
            state: Some(empty(number)),
        });
    }
    (story, ours, actions)
}

#[test]
fn a_version_of_ours_that_may_have_been_built_on_gets_no_second_one() {
    let (mut story, ours, actions) = fallen_short();
    // Two others came after ours, and the one between was dropped everywhere: nobody can tell what it was built on.
    let between = story.version(2, 8, Some(&ours));
    let newest = story.version(3, 9, Some(&between));
    let certificate = story.certified(&newest);
    let state = |number| {
        let mut state = holds(number, &[&newest]);
        state.certificates.push(certificate);
        Some(state)
    };
    let mut asked = story.next_round(actions, state);
    assert!(asked.iter().any(|action| matches!(action, Action::Query { since: Some(_), .. })));
    let ended = story.answer_queries(&mut asked, state);
    let Outcome::Partial(landed) = outcome(&ended) else { panic!("{ended:?}") };
    assert_eq!(landed.header, ours);
}

#[test]
fn a_sibling_that_won_rules_ours_out_and_is_built_on() {
    let (mut story, ours, actions) = fallen_short();
    let sibling = story.version(1, 9, None);
    let next = story.next_round(actions, |number| {
        Some(if number == 0 { holds(0, &[&sibling, &ours]) } else { holds(number, &[&sibling]) })
    });
    let [.., Action::Prepare { draft, .. }] = next.as_slice() else { panic!("{next:?}") };
    assert_eq!(draft.predecessor, Some(sibling.version()));
}

#[test]
fn when_the_grid_falls_silent_after_a_commit_the_outcome_is_unknown_never_nothing_changed() {
    let (mut story, header, messages, _) = committing();
    story.step(Event::Written { message: messages[&0] });
    let mut actions = Vec::new();
    for number in [1, 2] {
        actions.extend(story.step(Event::Failed { message: messages[&number], failure: dead() }));
    }
    let report = story.until_it_ends(actions, |_| None);
    let Outcome::Unknown(landed) = report.outcome else { panic!("{report:?}") };
    assert_eq!(landed.header, header);
    assert_eq!((landed.accepted, landed.unknown), ([store(0)].into(), [store(1), store(2)].into()));
}

#[test]
fn a_certified_successor_on_our_version_makes_ours_published() {
    let (mut story, ours, actions) = fallen_short();
    let theirs = story.version(2, 9, Some(&ours));
    let certificate = story.certified(&theirs);
    let ended = story.next_round(actions, |number| {
        let mut state = holds(number, &[&theirs, &ours]);
        state.certificates.push(certificate);
        Some(state)
    });
    let Outcome::Published(published) = outcome(&ended) else { panic!("{ended:?}") };
    assert_eq!((published.version, published.repeated), (ours.version(), true));
}

#[test]
fn a_version_of_ours_that_was_dropped_for_its_successor_is_told_with_its_header() {
    let (mut story, ours, actions) = fallen_short();
    let theirs = story.version(2, 9, Some(&ours));
    let certificate = story.certified(&theirs);
    let ended = story.next_round(actions, |number| {
        let mut state = holds(number, &[&theirs]);
        state.certificates.push(certificate);
        state.history = vec![tarn_proto::HistoryEntry {
            attempt: ours.header().attempt,
            version: ours.version(),
            predecessor: None,
            sequence_number: ours.header().sequence_number,
        }];
        Some(state)
    });
    let Outcome::Published(published) = outcome(&ended) else { panic!("{ended:?}") };
    assert_eq!(published.header, Some(ours));
}

#[test]
fn an_accepted_commit_whose_generation_was_dropped_since_is_not_taken_for_refused() {
    let (mut story, ours, messages, _) = committing();
    story.publish.request.follows = Follows::Nothing;
    let theirs = story.version(2, 9, None);
    let certificate = story.certified(&theirs);
    for number in [1, 2] {
        let refusal = Refusal::PromiseLost;
        story.step(Event::Refused { message: messages[&number], refusal, state: None });
    }
    let asked = story.step(Event::Failed { message: messages[&0], failure: dead() });
    let [Action::Query { message, .. }] = asked.as_slice() else { panic!("{asked:?}") };
    let dropped = |number: u8| {
        let mut state = holds(number, &[&theirs]);
        state.certificates.push(certificate);
        if number == 0 {
            state.history = vec![tarn_proto::HistoryEntry {
                attempt: ours.header().attempt,
                version: ours.version(),
                predecessor: None,
                sequence_number: ours.header().sequence_number,
            }];
        }
        state
    };
    let actions = story.step(Event::Mapped { message: *message, state: closed(dropped(0)) });
    let report = story.until_it_ends(actions, |number| Some(dropped(number)));
    assert!(!report.outcome.nothing_changed(), "{:?}", report.outcome);
}

#[test]
fn a_commit_answered_with_something_else_is_asked_after() {
    let (mut story, _, messages, _) = committing();
    let asked = story.step(Event::Extended { message: messages[&2], promise: Millis(9) });
    assert!(matches!(asked.as_slice(), [Action::Query { conversation: Some(_), .. }]), "{asked:?}");
}
