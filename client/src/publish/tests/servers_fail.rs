//! Servers that are dead, full, slow or stalled.

use tarn_proto::Refusal;

use super::*;

#[test]
fn a_dead_servers_share_is_planned_elsewhere() {
    let mut story = Story::on(4);
    let prepared = lanes(&story.mapped(|number| (number != 2).then(|| empty(number))));
    let placed: Vec<_> = prepared.iter().map(|lane| (lane.server, lane.shares.clone())).collect();
    assert_eq!(
        placed,
        [(store(0), shares(&[0, 3])), (store(1), shares(&[1])), (store(3), shares(&[2])),]
    );
}

#[test]
fn a_share_that_loses_its_server_moves_to_one_that_has_none() {
    let mut story = Story::of(5, |request| request.shape = Some(Shape::new(2, 2, 3).unwrap()));
    let prepared = lanes(&story.mapped(|number| Some(empty(number))));
    assert_eq!(prepared.iter().map(|lane| lane.server).collect::<Vec<_>>(), [0, 1, 2].map(store));
    let full = Event::Refused {
        message: prepared[1].message,
        refusal: Refusal::NoSpace,
        state: Some(empty(1)),
    };
    let moved = lanes(&story.step(full));
    assert_eq!((moved.len(), moved[0].server, &moved[0].shares), (1, store(3), &shares(&[1])));
    // The next one fails too, and so on, until no server is left.
    let moved = lanes(&story.step(Event::Failed { message: moved[0].message, failure: dead() }));
    assert_eq!(moved[0].server, store(4));
    let none = story.step(Event::Failed { message: moved[0].message, failure: dead() });
    assert!(matches!(none.as_slice(), [Action::Release { .. }]), "{none:?}");
}

#[test]
fn a_late_lane_is_not_waited_for_but_counts_when_it_seals_before_the_decision() {
    let mut story = Story::of(5, |request| request.shape = Some(Shape::new(2, 2, 4).unwrap()));
    let prepared = lanes(&story.mapped(|number| Some(empty(number))));
    let (header, _) = story.encoded();
    story.now = 20;
    for lane in &prepared[..3] {
        story.sealed(lane, empty(lane.server.as_bytes()[0]));
    }
    let moved = lanes(&story.wait());
    assert_eq!((story.now, moved[0].server), (500, store(4)), "its share goes to the spare");
    story.sealed(&prepared[3], empty(3));
    let decided = story.sealed(&moved[0], empty(4));
    let mut placement: BTreeMap<_, _> = (0..4).map(|n| (store(n), shares(&[n]))).collect();
    placement.insert(store(4), shares(&[3]));
    assert_eq!(decided, [Action::Journal { header, placement }]);
}

#[test]
fn a_lane_that_has_not_sealed_at_the_decision_is_released() {
    let mut story = Story::on(3);
    let prepared = lanes(&story.mapped(|number| Some(empty(number))));
    story.encoded();
    story.sealed(&prepared[0], empty(0));
    story.sealed(&prepared[1], empty(1));
    let decided = story.wait();
    assert_eq!(released(&decided), [2].into());
    let committing = story.step(Event::Journaled);
    assert_eq!(commits(&committing).len(), 2);
    // Its Sealed comes after all, and commits nothing.
    assert_eq!(story.sealed(&prepared[2], empty(2)), []);
}

#[test]
fn a_server_that_stalls_the_pass_is_dropped() {
    let mut story = Story::on(3);
    let prepared = lanes(&story.mapped(|number| Some(empty(number))));
    let message = prepared[1].message;
    assert_eq!(story.step(Event::Stalled { message, waited: Millis(1_999) }), []);
    let dropped = story.step(Event::Stalled { message, waited: Millis(2_000) });
    assert_eq!(released(&dropped), [1].into());
    assert_eq!(story.publish.troubles[&store(1)].failure, Failure::Late(Millis(2_000)));
}

#[test]
fn too_few_servers_end_it_with_nothing_changed() {
    let mut story = Story::on(5);
    let actions = story.mapped(|number| (number < 2).then(|| empty(number)));
    let report = story.until_it_ends(actions, |number| (number < 2).then(|| empty(number)));
    let Outcome::NotEnoughServers(shortfall) = report.outcome else { panic!("{report:?}") };
    assert_eq!((shortfall.usable, shortfall.quorum, shortfall.window), (2, 3, 5));
    assert_eq!(report.troubles.len(), 3);
}

#[test]
fn a_round_that_falls_short_is_planned_anew_without_the_failed() {
    // Three of four are needed; two die while they are being sent their shares.
    let mut story = Story::on(4);
    let prepared = lanes(&story.mapped(|number| Some(empty(number))));
    story.encoded();
    story.sealed(&prepared[0], empty(0));
    story.sealed(&prepared[1], empty(1));
    story.step(Event::Failed { message: prepared[2].message, failure: dead() });
    let anew = story.step(Event::Failed { message: prepared[3].message, failure: dead() });
    assert_eq!(released(&anew), [0, 1, 3].into(), "nothing is left promised");
    let ended = story.next_round(anew, |number| (number < 2).then(|| empty(number)));
    // Only two are left, which is no majority: it asks again, a bounded number of times.
    assert!(!ended.iter().any(|action| matches!(action, Action::Prepare { .. })));
}

#[test]
fn when_everybody_is_slow_alike_nobody_is_stalled() {
    let mut story = Story::on(3);
    let prepared = lanes(&story.mapped(|number| Some(empty(number))));
    let mut actions = Vec::new();
    for tenth in 1..=40 {
        story.now = tenth * 200;
        for lane in &prepared {
            story.step(Event::Progressed { message: lane.message });
            let waited = Millis(story.now);
            actions.extend(story.step(Event::Stalled { message: lane.message, waited }));
        }
    }
    assert_eq!(released(&actions), BTreeSet::new(), "the way there is slow, not they");
}

#[test]
fn whoever_gives_no_sign_of_life_at_all_is_dropped_even_if_everybody_does_not() {
    let mut story = Story::on(3);
    let prepared = lanes(&story.mapped(|number| Some(empty(number))));
    let mut actions = Vec::new();
    story.now = 20_000;
    for lane in &prepared {
        let waited = Millis(20_000);
        actions.extend(story.step(Event::Stalled { message: lane.message, waited }));
    }
    assert!(released(&actions).contains(&0), "{actions:?}");
}

#[test]
fn a_server_that_refuses_is_let_go_and_cannot_hold_up_the_pass() {
    let mut story = Story::on(3);
    let prepared = lanes(&story.mapped(|number| Some(empty(number))));
    for (lane, refusal) in prepared.iter().zip([Refusal::NoSpace, Refusal::Busy { wait_ms: 9 }]) {
        let actions = story.step(Event::Refused { message: lane.message, refusal, state: None });
        assert!(
            actions.contains(&Action::Release {
                server: lane.server,
                conversation: lane.conversation,
            })
        );
    }
}

#[test]
fn shares_encoded_again_that_come_out_otherwise_mean_that_the_source_changed() {
    let mut story = Story::of(4, |request| request.shape = Some(Shape::new(2, 2, 3).unwrap()));
    let prepared = lanes(&story.mapped(|number| Some(empty(number))));
    story.encoded();
    story.sealed(&prepared[0], empty(0));
    story.sealed(&prepared[1], empty(1));
    let failed = Event::Failed { message: prepared[2].message, failure: dead() };
    assert_eq!(lanes(&story.step(failed))[0].server, store(3));
    let draft = story.publish.draft.clone().unwrap();
    let other = SignedHeader::sign(&story.key, draft.complete(*draft.cut.room(), [8; 32], [0; 16]));
    let actions = story.step(Event::Encoded { header: other });
    assert_eq!(outcome(&actions), Outcome::SourceChanged);
}
