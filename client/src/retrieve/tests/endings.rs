//! Ends without bytes: nothing to read, nothing that may be read, nothing that can be read.

use super::*;

#[test]
fn an_empty_file_needs_no_rows_and_no_blocks() {
    let mut story = Story::on(3);
    let v1 = story.version(1, 0, None);
    let ended = story.mapped(|number| Some(holds(number, &[&v1])));
    let [Action::Announce(found), Action::Finish(report)] = ended.as_slice() else {
        panic!("{ended:?}")
    };
    assert_eq!(report.outcome, Outcome::Retrieved(found.clone()));
    assert_eq!((&found.header, found.range.clone()), (&v1, 0..0));
}

#[test]
fn a_range_beyond_the_end_is_empty() {
    let mut story = Story::of(3, |request| request.range = 1 << 40..1 << 41);
    let v1 = story.version(1, 1, None);
    let ended = story.mapped(|number| Some(holds(number, &[&v1])));
    let Outcome::Retrieved(found) = outcome(&ended) else { panic!("{ended:?}") };
    assert_eq!(found.range, 2 << 20..2 << 20);
}

#[test]
fn a_tombstone_is_told_as_deleted() {
    let mut story = Story::on(3);
    let v1 = story.version_with(1, 0, None, |header| header.tombstone = true);
    let ended = story.mapped(|number| Some(holds(number, &[&v1])));
    let Outcome::Deleted(found) = outcome(&ended) else { panic!("{ended:?}") };
    assert!(found.confirmed && found.header == v1);
}

#[test]
fn a_creator_who_finds_nothing_knows_that_nothing_is_there() {
    let mut story = Story::of(3, |request| {
        request.origin = Origin::Creator(Window::new((0..3).map(store).collect()).unwrap());
    });
    let ended = story.mapped(|number| (number < 2).then(|| empty(number)));
    assert_eq!(outcome(&ended), Outcome::NotFound { silent: [store(2)].into() });
}

#[test]
fn a_wrong_read_key_is_noticed_before_anything_is_read() {
    let mut story = Story::of(3, |request| request.key_check = [5; 16]);
    let v1 = story.version(1, 1, None);
    let ended = story.mapped(|number| Some(holds(number, &[&v1])));
    assert_eq!(outcome(&ended), Outcome::WrongReadKey { header: v1 });
}

#[test]
fn a_published_version_whose_shares_are_lost_is_told_with_what_is_left() {
    let mut story = Story::on(3);
    let v1 = story.version(1, 1, None);
    let certificate = story.certified(&v1);
    let ended = story.mapped(|number| {
        let mut state = if number == 0 { holds(0, &[&v1]) } else { empty(number) };
        state.certificates = vec![certificate];
        Some(state)
    });
    let Outcome::NotEnoughShares { header, shortage } = outcome(&ended) else {
        panic!("{ended:?}")
    };
    assert_eq!((header, shortage.have, shortage.need), (v1, 1, 2));
}

#[test]
fn a_segment_that_does_not_decode_ends_it_with_the_version_named() {
    let mut story = Story::on(3);
    let v1 = story.version(1, 1, None);
    let asked = story.reading(|number| Some(holds(number, &[&v1])));
    for run in &asked {
        story.arrived(run, 0);
    }
    let cause = "no code word".to_owned();
    let ended = story.step(Event::Undecodable { cause: cause.clone() });
    assert_eq!(outcome(&ended), Outcome::Undecodable { header: v1, cause });
    assert_eq!(story.step(Event::Consumed { segment: 0 }), [], "it ends once");
}

#[test]
fn a_version_asked_for_that_nobody_knows_is_not_found() {
    let story = Story::on(3);
    let v1 = story.version(1, 1, None);
    let v2 = story.version(2, 1, Some(&v1));
    let mut story = Story::of(3, |request| request.version = Some(v2.version()));
    let ended = story.mapped(|number| Some(holds(number, &[&v1])));
    assert_eq!(outcome(&ended), Outcome::NotFound { silent: BTreeSet::new() });
}
