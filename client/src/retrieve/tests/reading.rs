//! The version is chosen; its segments come, or do not.

use super::*;

#[test]
fn it_begins_by_asking_every_store_it_knows() {
    let mut story = Story::on(3);
    let query = |n: u8| Action::Query { message: MessageId(n.into()), server: store(n) };
    let wait = Action::WaitUntil { timer: Timer(0), when: Millis(5_000), why: Why::Lateness };
    assert_eq!(story.step(Event::Started), [query(0), query(1), query(2), wait]);
}

#[test]
fn a_certain_version_is_read_without_waiting_for_the_rest() {
    let mut story = Story::on(3);
    let v1 = story.version(1, 2, None);
    story.step(Event::Started);
    story.step(Event::Mapped { message: MessageId(0), state: holds(0, &[&v1]) });
    let rows = Action::ReadRows {
        message: MessageId(3),
        server: store(0),
        header: v1.clone(),
        segments: 0..2,
    };
    let actions = story.step(Event::Mapped { message: MessageId(1), state: holds(1, &[&v1]) });
    let wait = Action::WaitUntil { timer: Timer(1), when: Millis(2_000), why: Why::Lateness };
    let blocks = [read(0, 0, 0), read(1, 1, 0), read(2, 0, 1), read(3, 1, 1)];
    let [a, b, c, d] = blocks.map(Action::ReadBlocks);
    assert_eq!(actions, [rows, a, b, c, d, wait], "rows and blocks at the same time");
    assert_eq!(story.step(Event::RowsArrived { message: MessageId(3) }), []);
}

#[test]
fn segments_are_announced_delivered_in_order_and_done_when_the_caller_took_them() {
    let mut story = Story::on(3);
    let v1 = story.version(1, 2, None);
    let asked = story.reading(|number| Some(holds(number, &[&v1])));
    let wait = Action::WaitUntil { timer: Timer(2), when: Millis(500), why: Why::Lateness };
    assert_eq!(story.arrived(&asked[0], 0), [wait]);
    let first = story.arrived(&asked[1], 0);
    let [Action::Announce(found), Action::Deliver { segment: 0 }] = first.as_slice() else {
        panic!("{first:?}")
    };
    assert!(found.confirmed && found.newer_unrecoverable.is_empty());
    assert_eq!((&found.header, found.range.clone()), (&v1, 0..4 << 20));
    assert_eq!(found.high_water, Some(HighWater::of(&v1)));
    story.arrived(&asked[2], 1);
    assert_eq!(story.arrived(&asked[3], 1), [Action::Deliver { segment: 1 }]);
    assert_eq!(story.step(Event::Consumed { segment: 0 }), []);
    let last = story.step(Event::Consumed { segment: 1 });
    assert_eq!(outcome(&last), Outcome::Retrieved(found.clone()));
    assert!(story.retrieve.is_over());
}

#[test]
fn only_the_segments_of_the_range_are_read() {
    let mut story = Story::of(3, |request| request.range = (5 << 20)..u64::MAX);
    let v1 = story.version(1, 4, None);
    let asked = story.reading(|number| Some(holds(number, &[&v1])));
    assert_eq!(asked, [read(0, 0, 2), read(1, 1, 2), read(2, 0, 3), read(3, 1, 3)]);
}

#[test]
fn nothing_is_asked_for_beyond_the_window_of_the_caller() {
    let mut story = Story::on(2);
    let v1 = story.version(1, 9, None);
    let asked = story.reading(|number| Some(holds(number, &[&v1])));
    for run in &asked {
        story.arrived(run, run.segments.start);
    }
    let more = story.step(Event::Consumed { segment: 0 });
    assert_eq!(runs(&more), [read(4, 0, 2), read(5, 1, 2)]);
}

#[test]
fn a_bad_block_is_replaced_from_another_share() {
    let mut story = Story::on(3);
    let v1 = story.version(1, 1, None);
    let asked = story.reading(|number| Some(holds(number, &[&v1])));
    // The third server answered the map after the choice: it is a source all the same.
    let failure = RunFailure::Share(Failure::Broken("bent".to_owned()));
    let actions = story.step(Event::RunFailed { run: asked[0].id, failure });
    assert_eq!(runs(&actions), [read(2, 2, 0)]);
}

#[test]
fn a_server_that_dies_in_mid_run_is_replaced_from_there_on() {
    let mut story = Story::on(3);
    let v1 = story.version(1, 2, None);
    let asked = story.reading(|number| Some(holds(number, &[&v1])));
    story.arrived(&asked[0], 0);
    let failure = RunFailure::Server(dead());
    let actions = story.step(Event::RunFailed { run: asked[2].id, failure });
    assert_eq!(runs(&actions), [read(4, 2, 1)]);
}

#[test]
fn a_slow_server_is_replaced_and_still_listened_to() {
    let mut story = Story::on(3);
    let v1 = story.version(1, 1, None);
    let asked = story.reading(|number| Some(holds(number, &[&v1])));
    story.now = 10;
    story.arrived(&asked[1], 0);
    assert_eq!(runs(&story.wait()), [read(2, 2, 0)]);
    assert!(story.now >= 500, "never before the floor");
    let late = story.arrived(&asked[0], 0);
    let [Action::Announce(_), Action::Deliver { segment: 0 }, Action::Abandon(RunId(2))] =
        late.as_slice()
    else {
        panic!("{late:?}")
    };
    assert_eq!(story.arrived(&read(2, 2, 0), 0), [], "and what was abandoned is ignored");
}

#[test]
fn rows_are_asked_of_the_next_holder_when_one_fails_or_is_slow() {
    let mut story = Story::on(3);
    let v1 = story.version(1, 1, None);
    let actions = story.mapped(|number| Some(holds(number, &[&v1])));
    let first = rows(&actions);
    assert_eq!(runs(&actions), [read(0, 0, 0), read(1, 1, 0)]);
    let second = story.wait();
    assert_eq!(story.now, 2_000);
    let second = rows(&second);
    let instead = story.step(Event::Failed { message: first, failure: dead() });
    let blocks = Action::ReadBlocks(read(2, 2, 0));
    assert_eq!(instead, [Action::Abandon(RunId(0)), blocks], "who failed is no source");
    let too_few = story.step(Event::Failed { message: second, failure: dead() });
    assert_eq!(too_few.first(), Some(&Action::Abandon(RunId(1))));
    let again = story.rounds(vec![], |number| Some(holds(number, &[&v1])));
    assert_eq!(runs(&again), [read(3, 0, 0)], "until it answers again");
    rows(&again);
}

#[test]
fn whoever_fails_with_the_rows_is_done_without_at_once() {
    let mut story = Story::on(3);
    let v1 = story.version(1, 1, None);
    let message = rows(&story.mapped(|number| Some(holds(number, &[&v1]))));
    let instead = story.step(Event::Failed { message, failure: dead() });
    let rows = Action::ReadRows {
        message: MessageId(4),
        server: store(1),
        header: v1.clone(),
        segments: 0..1,
    };
    let blocks = Action::ReadBlocks(read(2, 2, 0));
    assert_eq!(instead, [rows, Action::Abandon(RunId(0)), blocks]);
}

#[test]
fn nobody_is_late_with_blocks_whose_rows_are_not_here() {
    let mut story = Story::on(3);
    let v1 = story.version(1, 1, None);
    let actions = story.mapped(|number| Some(holds(number, &[&v1])));
    let (first, asked) = (rows(&actions), runs(&actions));
    assert_eq!(runs(&story.wait()), []);
    assert_eq!(runs(&story.wait()), []);
    story.now = 4_100;
    let came = story.step(Event::RowsArrived { message: first });
    assert_eq!(runs(&came), [], "who was faster with the rows than nobody is not late either");
    // From here on they are waited for, by what the rows took.
    story.arrived(&asked[1], 0);
    assert_eq!(runs(&story.wait()), [], "that was for the rows");
    assert_eq!(runs(&story.wait()), [read(2, 2, 0)]);
    assert_eq!(story.now, 4_100 + 4 * 937);
}

#[test]
fn rows_of_a_long_file_are_asked_for_in_stretches_ahead_of_its_blocks() {
    let mut story = Story::on(2);
    let v1 = story.version(1, 1_025, None);
    let stretch = |actions: &[Action]| {
        actions.iter().find_map(|action| match action {
            Action::ReadRows { message, segments, .. } => Some((*message, segments.clone())),
            _ => None,
        })
    };
    let actions = story.mapped(|number| Some(holds(number, &[&v1])));
    assert_eq!(stretch(&actions), Some((MessageId(2), 0..256)));
    let mut asked = story.rows_come(&actions);
    let mut taken = 0;
    let wanted = loop {
        for run in std::mem::take(&mut asked) {
            story.arrived(&run, run.segments.start);
        }
        let more = story.step(Event::Consumed { segment: taken });
        taken += 1;
        asked.extend(runs(&more));
        if let Some(wanted) = stretch(&more) {
            break wanted;
        }
    };
    assert_eq!((taken, wanted), (126, (MessageId(3), 256..512)), "half a stretch ahead");
}

#[test]
fn a_version_dropped_before_anything_was_handed_over_makes_way_for_its_successor() {
    let mut story = Story::on(3);
    let v1 = story.version(1, 1, None);
    let v2 = story.version(2, 1, Some(&v1));
    let asked = story.reading(|number| Some(holds(number, &[&v1])));
    let gone = || RunFailure::Server(Failure::Refused(tarn_proto::Refusal::NotHeld));
    story.step(Event::RunFailed { run: asked[0].id, failure: gone() });
    let waits = story.step(Event::RunFailed { run: asked[1].id, failure: gone() });
    let again = story.rounds(waits, |number| Some(holds(number, &[&v2])));
    let Some(Action::Abandon(_)) = again.first() else { panic!("{again:?}") };
    let asked = story.rows_come(&again);
    assert_eq!(asked, [read(3, 0, 0), read(4, 1, 0)], "runs are never numbered twice");
    story.arrived(&asked[0], 0);
    let done = story.arrived(&asked[1], 0);
    let Some(Action::Announce(found)) = done.first() else { panic!("{done:?}") };
    assert_eq!(found.header, v2);
}

#[test]
fn a_version_dropped_in_the_middle_is_looked_for_again_and_no_other_takes_its_place() {
    let mut story = Story::on(3);
    let v1 = story.version(1, 2, None);
    let v2 = story.version(2, 2, Some(&v1));
    let asked = story.reading(|number| Some(holds(number, &[&v1])));
    story.arrived(&asked[0], 0);
    story.arrived(&asked[1], 0);
    let gone = || RunFailure::Server(Failure::Refused(tarn_proto::Refusal::NotHeld));
    story.step(Event::RunFailed { run: asked[2].id, failure: gone() });
    story.step(Event::RunFailed { run: asked[3].id, failure: gone() });
    let waits = story.step(Event::RunFailed { run: RunId(4), failure: gone() });
    let still_there = |number| Some(holds(number, &[&v2, &v1][..1 + usize::from(number > 0)]));
    let again = story.rounds(waits, still_there);
    assert_eq!(runs(&again), [read(5, 1, 1), read(6, 2, 1)]);
    for run in [5, 6] {
        story.step(Event::RunFailed { run: RunId(run), failure: gone() });
    }
    let ended = story.rounds(vec![], |number| Some(holds(number, &[&v2])));
    let Outcome::NotEnoughShares { header, shortage } = outcome(&ended) else {
        panic!("{ended:?}")
    };
    assert_eq!((header, shortage.have, shortage.need), (v1, 0, 2));
}
