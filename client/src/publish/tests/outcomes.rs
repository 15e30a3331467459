//! Ends that are neither a success nor another writer's doing.

use super::*;
use crate::base::Undecided;
use crate::publish::Phase;
use crate::publish::event::SourceFailure;

#[test]
fn cancelled_before_the_commit_releases_everything() {
    let mut story = Story::on(3);
    let prepared = lanes(&story.mapped(|number| Some(empty(number))));
    story.sealed(&prepared[0], empty(0));
    let actions = story.step(Event::CancelRequested);
    assert_eq!(released(&actions), [0, 1, 2].into());
    assert_eq!(outcome(&actions), Outcome::Cancelled);
    assert!(story.publish.is_over());
}

#[test]
fn cancelled_after_the_commit_waits_for_what_was_sent() {
    let mut story = Story::on(3);
    let prepared = lanes(&story.mapped(|number| Some(empty(number))));
    story.all_sealed(&prepared, empty);
    let messages = commits(&story.step(Event::Journaled));
    assert_eq!(story.step(Event::CancelRequested), []);
    let mut ended = Vec::new();
    for message in messages.values() {
        ended = story.step(Event::Written { message: *message });
    }
    assert!(matches!(outcome(&ended), Outcome::Published(_)));
}

#[test]
fn a_source_that_changes_ends_it_with_nothing_changed() {
    let mut story = Story::on(3);
    story.mapped(|number| Some(empty(number)));
    let actions = story.step(Event::SourceFailed(SourceFailure::Changed));
    assert_eq!(released(&actions), [0, 1, 2].into());
    assert_eq!(outcome(&actions), Outcome::SourceChanged);
}

#[test]
fn a_journal_that_cannot_be_written_ends_it_before_any_commit() {
    let mut story = Story::on(3);
    let prepared = lanes(&story.mapped(|number| Some(empty(number))));
    story.all_sealed(&prepared, empty);
    let actions = story.step(Event::JournalFailed { cause: "disk full".to_owned() });
    assert_eq!(released(&actions), [0, 1, 2].into());
    assert_eq!(outcome(&actions), Outcome::Failed { cause: "disk full".to_owned() });
}

#[test]
fn a_file_larger_than_a_table_can_describe_is_refused_before_anything_is_sent() {
    let mut story = Story::of(3, |request| request.input = Input::Whole { length: 1 << 50 });
    let ended = story.mapped(|number| Some(empty(number)));
    assert!(matches!(outcome(&ended), Outcome::Failed { .. }));
}

#[test]
fn a_cap_holder_who_finds_nothing_is_undecided() {
    let mut story = Story::of(3, |request| request.origin = Origin::CapHolder);
    let actions = story.mapped(|number| Some(empty(number)));
    let report = story.until_it_ends(actions, |number| Some(empty(number)));
    assert!(matches!(report.outcome, Outcome::Undecided(Undecided::NoHeader { .. })));
}

#[test]
fn a_cap_holder_who_finds_a_fragment_only_begins_in_its_window() {
    let mut story = Story::of(3, |request| request.origin = Origin::CapHolder);
    let fragment = story.version(1, 1, None);
    let says = |number| if number == 0 { holds(0, &[&fragment]) } else { empty(number) };
    let prepared = lanes(&story.mapped(|number| Some(says(number))));
    let draft = story.publish.draft.clone().unwrap();
    assert_eq!((draft.predecessor, draft.sequence_number.get()), (None, 2));
    assert_eq!((draft.window, prepared.len()), (fragment.header().window.clone(), 3));
}

#[test]
fn a_try_that_comes_back_from_its_journal_signs_another_header() {
    let journaled = tarn_proto::SequenceNumber::new(4);
    let mut story = Story::of(3, |request| request.spent = journaled);
    let v2 = story.version(2, 1, None);
    story.mapped(|number| Some(holds(number, &[&v2])));
    assert_eq!(story.publish.draft.unwrap().sequence_number.get(), 5);
}

#[test]
fn a_file_without_sequence_numbers_left_is_not_published() {
    let mut story = Story::on(3);
    let last = story.version(tarn_proto::SequenceNumber::LAST.get(), 1, None);
    let ended = story.mapped(|number| Some(holds(number, &[&last])));
    let Outcome::Failed { cause } = outcome(&ended) else { panic!("{ended:?}") };
    assert!(cause.contains("sequence numbers"), "{cause}");
}

#[test]
fn a_file_that_must_be_new_and_is_not_is_stale() {
    let mut story = Story::of(3, |request| request.follows = Follows::Nothing);
    let v1 = story.version(1, 1, None);
    let ended = story.mapped(|number| Some(holds(number, &[&v1])));
    assert_eq!(outcome(&ended), Outcome::Stale { now: Some(v1) });
}

#[test]
fn an_encoding_pass_of_an_earlier_round_does_not_complete_this_one() {
    let mut story = Story::on(3);
    let v1 = story.version(1, 1, None);
    story.mapped(|number| Some(holds(number, &[&v1])));
    let stray = story.version(1, 7, None);
    assert_eq!(story.step(Event::Encoded { header: stray }), []);
    assert!(matches!(story.publish.phase, Phase::Preparing { encoded: None, .. }));
}

#[test]
fn answers_to_messages_that_were_given_up_are_ignored() {
    let mut story = Story::on(3);
    let message = MessageId(77);
    assert!(story.step(Event::Started).len() > 1);
    for event in [
        Event::Mapped { message, state: empty(0) },
        Event::Sealed { message, state: empty(0), promise: Millis(1) },
        Event::Written { message },
        Event::Failed { message, failure: dead() },
        Event::Extended { message, promise: Millis(1) },
        Event::Progressed { message },
    ] {
        assert_eq!(story.step(event), []);
    }
}

fn brings(actions: &[Action]) -> BTreeMap<u8, MessageId> {
    let bring = |action: &Action| match action {
        Action::Bring { message, server, .. } => Some((server.as_bytes()[0], *message)),
        _ => None,
    };
    actions.iter().filter_map(bring).collect()
}

/// An earlier try of ours is on two of five stores, and is being brought to more.
fn bringing() -> (Story, BTreeMap<u8, MessageId>) {
    let mut story = Story::on(5);
    let ours = story.version(1, 7, None);
    let mut actions = story.mapped(|number| match number {
        0 | 1 => Some(holds(number, &[&ours])),
        2 => Some(empty(number)),
        _ => None,
    });
    if brings(&actions).is_empty() {
        actions = story.wait();
    }
    let sent = brings(&actions);
    assert!(sent.contains_key(&2), "{actions:?}");
    (story, sent)
}

#[test]
fn a_bring_whose_answer_is_lost_never_ends_as_nothing_changed() {
    let (mut story, sent) = bringing();
    let mut last = Vec::new();
    for &message in sent.values() {
        last = story.step(Event::Failed { message, failure: dead() });
    }
    let report = story.until_it_ends(last, |_| None);
    let Outcome::Unknown(landed) = report.outcome else { panic!("{report:?}") };
    assert!(landed.unknown.contains(&store(2)), "{landed:?}");
}

#[test]
fn cancelled_while_bringing_is_not_nothing_changed() {
    let (mut story, _) = bringing();
    let cancelled = story.step(Event::CancelRequested);
    assert!(matches!(outcome(&cancelled), Outcome::Unknown(_)), "{cancelled:?}");
}
