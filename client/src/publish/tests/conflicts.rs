//! Other writers: surprises that are none, surprises that are, promises to others.

use tarn_proto::Refusal;

use super::*;

fn refused(lane: &PrepareLane, refusal: Refusal, state: SlotState) -> Event {
    Event::Refused { message: lane.message, refusal, state: Some(state) }
}

#[test]
fn an_older_version_found_on_a_server_is_adopted() {
    // Server 2 was dead when the map was made and comes back with something older than the base.
    let mut story = Story::on(3);
    let v1 = story.version(1, 1, None);
    let v2 = story.version(2, 2, Some(&v1));
    let prepared = lanes(&story.mapped(|number| Some(holds(number, &[&v2]))));
    let conflict = refused(&prepared[2], Refusal::Conflict, holds(2, &[&v1]));
    let retest = Action::Retest {
        message: MessageId(6),
        server: store(2),
        conversation: prepared[2].conversation,
        tests: version_test(&v1, 2),
    };
    assert_eq!(story.step(conflict), [retest]);
}

#[test]
fn the_base_itself_found_where_it_was_not_expected_is_adopted() {
    let mut story = Story::on(3);
    let v1 = story.version(1, 1, None);
    let prepared = lanes(&story.mapped(|n| Some(if n < 2 { holds(n, &[&v1]) } else { empty(n) })));
    let conflict = refused(&prepared[2], Refusal::Conflict, holds(2, &[&v1]));
    let actions = story.step(conflict);
    assert!(matches!(actions.as_slice(), [Action::Retest { server, .. }] if *server == store(2)));
}

#[test]
fn a_newer_version_releases_everything_and_maps_again() {
    let mut story = Story::on(3);
    let v1 = story.version(1, 1, None);
    let theirs = story.version(2, 9, Some(&v1));
    let prepared = lanes(&story.mapped(|number| Some(holds(number, &[&v1]))));
    let actions = story.step(refused(&prepared[0], Refusal::Conflict, holds(0, &[&theirs, &v1])));
    assert_eq!(released(&actions), [0, 1, 2].into());
    let next = story.next_round(actions, |number| Some(holds(number, &[&theirs])));
    let [.., Action::Prepare { draft, .. }] = next.as_slice() else { panic!("{next:?}") };
    assert_eq!(draft.predecessor, Some(theirs.version()), "an overwrite follows what is there");
}

#[test]
fn a_conflict_after_the_callers_base_was_there_is_an_uncoordinated_write() {
    let mut story = Story::on(3);
    let v1 = story.version(1, 1, None);
    story.publish.request.follows = Follows::Version(v1.version());
    let theirs = story.version(2, 9, Some(&v1));
    let prepared = lanes(&story.mapped(|number| Some(holds(number, &[&v1]))));
    let conflict = refused(&prepared[0], Refusal::Conflict, holds(0, &[&theirs, &v1]));
    let actions = story.step(conflict);
    let ended = story.next_round(actions, |number| Some(holds(number, &[&theirs])));
    assert_eq!(outcome(&ended), Outcome::UncoordinatedWrite { theirs: Some(theirs) });
}

#[test]
fn a_base_that_is_not_the_newest_is_stale_at_once() {
    let mut story = Story::on(3);
    let v1 = story.version(1, 1, None);
    let v2 = story.version(2, 9, Some(&v1));
    story.publish.request.follows = Follows::Version(v1.version());
    let ended = story.mapped(|number| Some(holds(number, &[&v2])));
    assert_eq!(outcome(&ended), Outcome::Stale { now: Some(v2) });
}

#[test]
fn a_server_without_a_share_is_sealed_too_where_its_word_is_needed() {
    // A 2-of-2 file on three servers. One of them took a newer version whose writer died: the server that holds nothing
    // is the only one that can say that it was not Published.
    let shape = Shape::new(2, 2, 2).unwrap();
    let mut story = Story::of(3, |request| request.shape = Some(shape));
    let of_two = |story: &Story, seqnum, attempt, on: Option<&SignedHeader>| {
        let mut header = story.version(seqnum, attempt, on).header().clone();
        header.shape = shape;
        header.geometry = Geometry::choose(shape, 100).unwrap();
        SignedHeader::sign(&story.key, header)
    };
    let v1 = of_two(&story, 1, 1, None);
    let fragment = of_two(&story, 2, 2, Some(&v1));
    let state = |number| match number {
        0 => holds(0, &[&fragment, &v1]),
        1 => holds(1, &[&v1]),
        _ => empty(number),
    };
    let prepared = lanes(&story.mapped(|number| Some(state(number))));
    assert_eq!(prepared.len(), 3);
    let (_, decided) = story.all_sealed(&prepared, state);
    assert!(matches!(decided.as_slice(), [.., Action::Journal { .. }]), "{decided:?}");
}

#[test]
fn a_base_that_changed_between_map_and_promise_is_not_committed_on() {
    // The map says v1 everywhere. By the time the servers promise, two of three hold another's version.
    let mut story = Story::on(3);
    let v1 = story.version(1, 1, None);
    let theirs = story.version(2, 9, Some(&v1));
    let prepared = lanes(&story.mapped(|number| Some(holds(number, &[&v1]))));
    story.encoded();
    story.sealed(&prepared[0], holds(0, &[&theirs, &v1]));
    story.sealed(&prepared[1], holds(1, &[&theirs, &v1]));
    let decided = story.sealed(&prepared[2], holds(2, &[&v1]));
    assert_eq!(released(&decided), [0, 1, 2].into());
    assert!(!decided.iter().any(|action| matches!(action, Action::Journal { .. })));
}

#[test]
fn a_busy_server_is_done_without_when_the_rest_are_a_quorum() {
    let mut story = Story::on(3);
    let prepared = lanes(&story.mapped(|number| Some(empty(number))));
    story.encoded();
    story.sealed(&prepared[0], empty(0));
    story.sealed(&prepared[1], empty(1));
    let busy = refused(&prepared[2], Refusal::Busy { wait_ms: 9_000 }, empty(2));
    let decided = story.step(busy);
    assert!(matches!(decided.as_slice(), [Action::Release { .. }, Action::Journal { .. }]));
}

#[test]
fn without_a_quorum_everything_is_released_before_waiting() {
    let mut story = Story::on(3);
    let prepared = lanes(&story.mapped(|number| Some(empty(number))));
    story.encoded();
    story.sealed(&prepared[0], empty(0));
    story.step(refused(&prepared[1], Refusal::Busy { wait_ms: 9_000 }, empty(1)));
    let busy = refused(&prepared[2], Refusal::Busy { wait_ms: 9_000 }, empty(2));
    let actions = story.step(busy);
    assert_eq!(released(&actions), [0, 2].into(), "the busy one too");
    let Some(Action::WaitUntil { when, .. }) = actions.last() else { panic!("{actions:?}") };
    assert!(when.0 <= 40, "full jitter below its bound, not the other's promise: {when}");
    let next = story.next_round(actions, |number| Some(empty(number)));
    assert_eq!(lanes(&next).len(), 3, "a busy server is not avoided");
}

#[test]
fn endless_contention_ends() {
    let mut story = Story::on(3);
    let mut actions = story.mapped(|number| Some(empty(number)));
    for _ in 1..16 {
        let mut refusals = Vec::new();
        for lane in lanes(&actions) {
            let state = empty(lane.server.as_bytes()[0]);
            refusals = story.step(refused(&lane, Refusal::Busy { wait_ms: 9 }, state));
        }
        actions = story.next_round(refusals, |number| Some(empty(number)));
    }
    let mut ended = Vec::new();
    for lane in lanes(&actions) {
        let state = empty(lane.server.as_bytes()[0]);
        ended = story.step(refused(&lane, Refusal::Busy { wait_ms: 9 }, state));
    }
    let report = report(&ended);
    assert_eq!((report.outcome, report.rounds), (Outcome::Contended, 16));
}

#[test]
fn what_a_server_says_to_an_earlier_round_says_nothing_of_this_one() {
    let mut story = Story::on(3);
    let asked = story.step(Event::Started);
    let messages: Vec<MessageId> = asked
        .iter()
        .filter_map(|action| match action {
            Action::Query { message, .. } => Some(*message),
            _ => None,
        })
        .collect();
    for number in [0, 1] {
        let message = messages[usize::from(number)];
        story.step(Event::Mapped { message, state: empty(number) });
    }
    let prepared = lanes(&story.wait());
    let theirs = story.version(1, 9, None);
    let mut actions = story.step(refused(&prepared[0], Refusal::Conflict, holds(0, &[&theirs])));
    while !actions.iter().any(|action| matches!(action, Action::Query { .. })) {
        actions = story.wait();
    }
    assert_eq!(story.step(Event::Mapped { message: messages[2], state: empty(2) }), []);
    let crate::publish::Phase::Mapping(mapping) = &story.publish.phase else {
        panic!("{actions:?}")
    };
    assert!(mapping.pending().contains(&store(2)), "it is still to answer this round's query");
}

#[test]
fn a_base_of_which_too_little_answers_is_no_conflict() {
    let mut story = Story::on(4);
    let v1 = story.version(1, 1, None);
    story.publish.request.follows = Follows::Version(v1.version());
    let there = |number| if number % 3 == 0 { holds(number, &[&v1]) } else { empty(number) };
    let prepared = lanes(&story.mapped(|number| Some(there(number))));
    let actions = story.step(refused(&prepared[1], Refusal::PromiseLost, empty(1)));
    // One of its two holders is silent now: what is left of it could not have been Published, and nobody else was.
    let report = story.until_it_ends(actions, |number| (number != 0).then(|| there(number)));
    assert!(
        matches!(
            &report.outcome,
            Outcome::Undecided(crate::base::Undecided::InDoubt { newest, .. }) if *newest == v1
        ),
        "{report:?}"
    );
}

#[test]
fn our_own_version_below_the_base_shows_in_what_was_sealed_at_the_latest() {
    let mut story = Story::on(3);
    let ours = story.version(1, 7, None);
    let theirs = story.version(2, 9, Some(&ours));
    let prepared = lanes(&story.mapped(|number| Some(holds(number, &[&theirs]))));
    let (_, actions) = story.all_sealed(&prepared, |number| {
        let mut state = holds(number, &[&theirs]);
        state.history = vec![tarn_proto::HistoryEntry {
            attempt: ours.header().attempt,
            version: ours.version(),
            predecessor: None,
            sequence_number: ours.header().sequence_number,
        }];
        state
    });
    assert_eq!(released(&actions), [0, 1, 2].into());
    assert!(!actions.iter().any(|action| matches!(action, Action::Journal { .. })));
}

/// A chain of four of which ours is the first; server 0 fell behind after the second, the others do not remember ours.
fn far_above_ours(story: &Story) -> [SignedHeader; 4] {
    let ours = story.version(1, 7, None);
    let second = story.version(2, 8, Some(&ours));
    let third = story.version(3, 9, Some(&second));
    let fourth = story.version(4, 10, Some(&third));
    [ours, second, third, fourth]
}

fn remembering(mut state: SlotState, versions: &[SignedHeader]) -> SlotState {
    let entry = |version: &SignedHeader| tarn_proto::HistoryEntry {
        attempt: version.header().attempt,
        version: version.version(),
        predecessor: version.header().predecessor,
        sequence_number: version.header().sequence_number,
    };
    state.history = versions.iter().map(entry).collect();
    state
}

fn asked_since(actions: &[Action]) -> Vec<Option<u64>> {
    let since = |action: &Action| match action {
        Action::Query { since, .. } => Some(since.map(tarn_proto::SequenceNumber::get)),
        _ => None,
    };
    actions.iter().filter_map(since).collect()
}

#[test]
fn links_that_are_missing_between_the_base_and_a_version_of_ours_are_asked_for() {
    let mut story = Story::on(3);
    let chain = far_above_ours(&story);
    let behind = remembering(holds(0, &[&chain[1]]), &chain[..2]);
    let state = |number, told: &[SignedHeader]| match number {
        0 => behind.clone(),
        _ => remembering(holds(number, &[&chain[3]]), told),
    };
    let mut asked = story.mapped(|number| Some(state(number, &[])));
    assert_eq!(asked_since(&asked), [Some(1); 3]);
    let ended = story.answer_queries(&mut asked, |number| Some(state(number, &chain[1..])));
    let Outcome::Published(published) = outcome(&ended) else { panic!("{ended:?}") };
    assert_eq!((published.version, published.repeated), (chain[0].version(), true));
}

#[test]
fn links_that_nobody_remembers_are_asked_for_once() {
    let mut story = Story::on(3);
    let chain = far_above_ours(&story);
    let behind = remembering(holds(0, &[&chain[1]]), &chain[..2]);
    let state = |number| if number == 0 { behind.clone() } else { holds(number, &[&chain[3]]) };
    let mut asked = story.mapped(|number| Some(state(number)));
    assert_eq!(asked_since(&asked), [Some(1); 3]);
    let prepared = story.answer_queries(&mut asked, |number| Some(state(number)));
    let prepared = lanes(&prepared);
    let (_, actions) = story.all_sealed(&prepared, state);
    assert!(actions.iter().any(|action| matches!(action, Action::Journal { .. })), "{actions:?}");
}

#[test]
fn nobody_is_asked_for_links_to_what_cannot_be_below_the_base() {
    let mut story = Story::on(3);
    let base = story.version(1, 8, None);
    let sibling = story.version(2, 7, None);
    let stray = remembering(holds(0, &[&base]), std::slice::from_ref(&sibling));
    let actions = story
        .mapped(|number| Some(if number == 0 { stray.clone() } else { holds(number, &[&base]) }));
    assert_eq!(asked_since(&actions), []);
    assert_eq!(lanes(&actions).len(), 3);
}

#[test]
fn a_version_of_ours_that_only_shows_when_it_is_sealed_has_the_map_drawn_anew() {
    let mut story = Story::on(3);
    let chain = far_above_ours(&story);
    let prepared = lanes(&story.mapped(|number| Some(holds(number, &[&chain[3]]))));
    let (_, actions) =
        story.all_sealed(&prepared, |number| remembering(holds(number, &[&chain[3]]), &chain[..2]));
    assert_eq!(released(&actions), [0, 1, 2].into());
    assert!(!actions.iter().any(|action| matches!(action, Action::Journal { .. })));
}
