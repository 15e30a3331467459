//! Histories that look wrong at first sight and are not.

use super::*;

#[test]
fn nothing_happened() {
    assert_eq!(Script::default().verdict(), Ok(()));
}

#[test]
fn one_after_the_other() {
    let mut script = Script::default();
    script.whole_read(0);
    script.whole_publish(1, 1, 0);
    script.whole_read(1);
    script.whole_publish(2, 2, 1);
    script.whole_read(2);
    assert_eq!(script.verdict(), Ok(()));
}

#[test]
fn reads_that_overlap_a_publish_see_either_version() {
    let mut script = Script::default();
    script.whole_publish(1, 1, 0);
    let publish = script.publish(2);
    script.sign(publish, 2, 1);
    let (early, late) = (script.read(), script.read());
    script.confirmed(late, 2);
    script.confirmed(early, 1);
    script.published(publish, 2);
    assert_eq!(script.verdict(), Ok(()));
}

#[test]
fn a_read_that_began_before_the_publish_was_told_may_end_with_the_old_version_after_it() {
    let mut script = Script::default();
    script.whole_publish(1, 1, 0);
    let read = script.read();
    script.whole_publish(2, 2, 1);
    script.confirmed(read, 1);
    assert_eq!(script.verdict(), Ok(()));
}

#[test]
fn a_killed_publish_takes_effect_late() {
    let mut script = Script::default();
    script.whole_publish(1, 1, 0);
    script.killed_publish(2, 2, 1);
    script.whole_read(1);
    script.whole_read(1);
    script.whole_read(2);
    assert_eq!(script.verdict(), Ok(()));
}

#[test]
fn a_killed_publish_never_takes_effect() {
    let mut script = Script::default();
    script.whole_publish(1, 1, 0);
    script.killed_publish(2, 2, 1);
    script.whole_publish(3, 3, 1);
    script.whole_read(3);
    assert_eq!(script.verdict(), Ok(()));
}

#[test]
fn a_publish_told_unknown_became_the_base_of_the_next() {
    let mut script = Script::default();
    script.whole_publish(1, 1, 0);
    let partial = script.killed_publish(2, 2, 1);
    script.told(partial, PublishTold::Unknown);
    script.whole_publish(3, 3, 2);
    assert_eq!(script.verdict(), Ok(()));
}

#[test]
fn a_reader_completes_a_version_while_its_publish_runs() {
    let mut script = Script::default();
    let publish = script.publish(1);
    script.sign(publish, 1, 0);
    script.whole_read(1);
    script.whole_publish(2, 2, 1);
    script.published(publish, 1);
    assert_eq!(script.verdict(), Ok(()));
}

#[test]
fn a_submission_repeated_after_a_crash_reports_the_version_of_the_first_try() {
    let mut script = Script::default();
    script.killed_publish(1, 1, 0);
    script.whole_publish(2, 2, 1);
    let repeat = script.publish(1);
    script.published(repeat, 1);
    script.whole_read(2);
    assert_eq!(script.verdict(), Ok(()));
}

#[test]
fn both_halves_of_a_double_submission_report_one_version() {
    let mut script = Script::default();
    let (first, second) = (script.publish(1), script.publish(1));
    script.sign(first, 1, 0);
    script.sign(second, 2, 0);
    script.published(second, 1);
    script.published(first, 1);
    assert_eq!(script.verdict(), Ok(()));
}

#[test]
fn a_publish_signs_anew_after_its_first_version_was_ruled_out() {
    let mut script = Script::default();
    let publish = script.publish(1);
    script.sign(publish, 1, 0);
    script.sign(publish, 2, 0);
    script.published(publish, 2);
    script.whole_read(2);
    assert_eq!(script.verdict(), Ok(()));
}

#[test]
fn of_two_racing_writers_one_is_told_of_the_conflict() {
    let mut script = Script::default();
    script.whole_publish(1, 1, 0);
    let winner = script.publish_after(2, Follows::Version(version(1)));
    let loser = script.publish_after(3, Follows::Version(version(1)));
    script.sign(loser, 3, 1);
    script.sign(winner, 2, 1);
    script.told(loser, PublishTold::Conflict);
    script.published(winner, 2);
    assert_eq!(script.verdict(), Ok(()));
}

#[test]
fn a_repeat_that_began_before_its_version_was_in_effect_may_be_told_of_a_conflict() {
    let mut script = Script::default();
    let first = script.killed_publish(1, 1, 0);
    let repeat = script.publish(1);
    script.told(repeat, PublishTold::Conflict);
    script.published(first, 1);
    assert_eq!(script.verdict(), Ok(()));
}

#[test]
fn a_repeat_that_was_called_off_says_nothing_of_the_first_try() {
    let mut script = Script::default();
    script.whole_publish(1, 1, 0);
    let repeat = script.publish(1);
    script.told(repeat, PublishTold::Unchanged);
    script.whole_read(1);
    assert_eq!(script.verdict(), Ok(()));
}

#[test]
fn what_is_unconfirmed_may_be_old() {
    let mut script = Script::default();
    script.whole_publish(1, 1, 0);
    script.whole_publish(2, 2, 1);
    let (unconfirmed, failed) = (script.read(), script.read());
    script.history.read_ended(90, unconfirmed, ReadTold::Unconfirmed);
    script.history.read_ended(91, failed, ReadTold::Failed);
    script.read();
    assert_eq!(script.verdict(), Ok(()));
}

#[test]
fn of_two_tries_that_signed_the_same_one_changed_nothing() {
    let mut script = Script::default();
    let (first, second) = (script.publish(1), script.publish(1));
    script.sign(first, 1, 0);
    script.sign(second, 1, 0);
    script.told(first, PublishTold::Unchanged);
    script.published(second, 1);
    script.whole_read(1);
    assert_eq!(script.verdict(), Ok(()));
}
