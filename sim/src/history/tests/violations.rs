//! Histories that contradict themselves: each must be found, for the right reason.

use super::*;

#[test]
fn a_confirmed_read_is_stale_after_a_later_publish_was_told() {
    let mut script = Script::default();
    script.whole_publish(1, 1, 0);
    let later = script.whole_publish(2, 2, 1);
    let read = script.whole_read(1);
    let violation = script.violation();
    assert_eq!(violation.promise(), "P15");
    assert_eq!(violation.operations(), [OperationId::Publish(later), OperationId::Read(read)]);
    assert_eq!(
        violation.to_string(),
        "at event 6 publish 1 was told that version 02020202 is Published; yet at event 7, which \
         is later, read 0 began, which confirmed version 01010101, older than that"
    );
}

#[test]
fn nothing_is_confirmed_after_a_first_version_was_published() {
    let mut script = Script::default();
    script.whole_publish(1, 1, 0);
    let read = script.whole_read(0);
    let violation = script.violation();
    assert_eq!(violation.promise(), "P15");
    assert!(violation.operations().contains(&OperationId::Read(read)));
}

#[test]
fn reads_go_backwards_while_the_publish_still_runs() {
    let mut script = Script::default();
    script.whole_publish(1, 1, 0);
    script.killed_publish(2, 2, 1);
    let newer = script.whole_read(2);
    let older = script.whole_read(1);
    let violation = script.violation();
    assert_eq!(violation.promise(), "P15");
    assert_eq!(violation.operations(), [newer, older].map(OperationId::Read));
}

#[test]
fn a_read_goes_back_by_two_versions() {
    let mut script = Script::default();
    script.whole_publish(1, 1, 0);
    script.killed_publish(2, 2, 1);
    script.killed_publish(3, 3, 2);
    let newest = script.whole_read(3);
    let oldest = script.whole_read(1);
    assert_eq!(script.violation().operations(), [newest, oldest].map(OperationId::Read));
}

#[test]
fn two_siblings_are_both_published() {
    let mut script = Script::default();
    script.whole_publish(1, 1, 0);
    let (one, other) = (script.publish(2), script.publish(3));
    script.sign(one, 2, 1);
    script.sign(other, 3, 1);
    script.published(one, 2);
    script.published(other, 3);
    let violation = script.violation();
    assert_eq!(violation.promise(), "P5");
    assert_eq!(violation.operations(), [one, other].map(OperationId::Publish));
    assert_eq!(
        violation.to_string(),
        "version 02020202 and version 03030303 both took effect after version 01010101: \
         publish 1 and publish 2 show it"
    );
}

#[test]
fn two_first_versions_are_both_read() {
    let mut script = Script::default();
    script.killed_publish(1, 1, 0);
    script.killed_publish(2, 2, 0);
    script.whole_read(1);
    script.whole_read(2);
    assert_eq!(script.violation().promise(), "P5");
}

#[test]
fn a_publish_is_told_from_a_base_that_was_superseded_before_it_began() {
    let mut script = Script::default();
    script.whole_publish(1, 1, 0);
    script.whole_publish(2, 2, 1);
    script.whole_publish(3, 3, 2);
    script.whole_publish(4, 4, 1);
    assert_eq!(script.violation().promise(), "P5");
}

#[test]
fn a_version_is_read_before_its_publish_began() {
    let mut script = Script::default();
    let read = script.whole_read(1);
    let publish = script.whole_publish(1, 1, 0);
    let violation = script.violation();
    assert_eq!(violation.promise(), "P15");
    assert_eq!(violation.operations(), [OperationId::Read(read), OperationId::Publish(publish)]);
}

#[test]
fn the_version_of_a_publish_told_that_nothing_was_changed_is_read() {
    for told in [PublishTold::Unchanged, PublishTold::Conflict] {
        let mut script = Script::default();
        let publish = script.killed_publish(1, 1, 0);
        script.told(publish, told);
        let read = script.whole_read(1);
        let violation = script.violation();
        assert_eq!(violation.promise(), "P4");
        assert_eq!(
            violation.operations(),
            [OperationId::Publish(publish), OperationId::Read(read)]
        );
    }
}

#[test]
fn the_version_of_a_publish_told_that_nothing_was_changed_is_built_on() {
    let mut script = Script::default();
    let publish = script.killed_publish(1, 1, 0);
    script.told(publish, PublishTold::Unchanged);
    script.whole_publish(2, 2, 1);
    assert_eq!(script.violation().promise(), "P4");
}

#[test]
fn a_repeated_submission_publishes_a_second_version() {
    let mut script = Script::default();
    script.whole_publish(1, 1, 0);
    script.whole_publish(2, 2, 1);
    script.whole_publish(1, 3, 2);
    let violation = script.violation();
    assert_eq!(violation.promise(), "P14");
    assert!(violation.to_string().starts_with("attempt 01010101 took effect twice"));
}

#[test]
fn a_repeated_submission_is_told_that_its_own_version_is_in_the_way() {
    let mut script = Script::default();
    let first = script.whole_publish(1, 1, 0);
    let repeat = script.publish(1);
    script.told(repeat, PublishTold::Conflict);
    let violation = script.violation();
    assert_eq!(violation.promise(), "P14");
    assert_eq!(violation.operations(), [first, repeat].map(OperationId::Publish));
}

#[test]
fn a_publish_is_told_of_somebody_elses_version() {
    let mut script = Script::default();
    script.whole_publish(1, 1, 0);
    let other = script.publish(2);
    script.published(other, 1);
    assert_eq!(script.violation().promise(), "P14");
}

#[test]
fn a_ticketed_publish_is_told_of_a_version_after_another_base() {
    let mut script = Script::default();
    script.whole_publish(1, 1, 0);
    script.whole_publish(2, 2, 1);
    let ticketed = script.publish_after(3, Follows::Version(version(1)));
    script.sign(ticketed, 3, 2);
    script.published(ticketed, 3);
    let violation = script.violation();
    assert_eq!(violation.promise(), "P15");
    assert_eq!(violation.operations(), [OperationId::Publish(ticketed)]);
}

#[test]
fn a_killed_publish_of_a_new_file_took_effect_after_a_version() {
    let mut script = Script::default();
    script.whole_publish(1, 1, 0);
    let create = script.publish_after(2, Follows::Nothing);
    script.sign(create, 2, 1);
    script.whole_read(2);
    assert_eq!(script.violation().operations(), [OperationId::Publish(create)]);
}

#[test]
fn a_version_nobody_signed_is_read_or_built_on() {
    let mut script = Script::default();
    let read = script.read();
    script.history.read_ended(2, read, ReadTold::Confirmed(state(9)));
    assert_eq!(script.history.check().expect_err("nobody signed it").promise(), "P9");

    let mut script = Script::default();
    script.whole_publish(1, 1, 9);
    assert_eq!(script.violation().promise(), "P9");
}

#[test]
fn versions_that_name_each_other_as_predecessor_are_nobodys_chain() {
    let mut script = Script::default();
    let publish = script.publish(1);
    script.sign(publish, 1, 2);
    script.sign(publish, 2, 1);
    script.published(publish, 2);
    assert_eq!(script.violation().promise(), "P9");
}

#[test]
fn an_operation_ends_twice() {
    let mut script = Script::default();
    let publish = script.whole_publish(1, 1, 0);
    script.published(publish, 1);
    let violation = script.history.check().expect_err("it ended twice");
    assert_eq!(violation.promise(), "P11");
    assert_eq!(violation.operations(), [OperationId::Publish(publish)]);

    let mut script = Script::default();
    let read = script.whole_read(0);
    script.confirmed(read, 0);
    assert_eq!(
        script.history.check(),
        Err(Violation::EndedTwice { operation: OperationId::Read(read) })
    );
}

#[test]
fn two_tries_signed_the_same_and_both_changed_nothing() {
    let mut script = Script::default();
    let (first, second) = (script.publish(1), script.publish(1));
    script.sign(first, 1, 0);
    script.sign(second, 1, 0);
    script.told(first, PublishTold::Unchanged);
    script.told(second, PublishTold::Unchanged);
    let read = script.whole_read(1);
    let shown_by = OperationId::Read(read);
    let broken = Violation::ChangedAnyway { publish: first, version: version(1), shown_by };
    assert_eq!(script.violation(), broken);
}
