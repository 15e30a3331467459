//! Promises that run out, or are lost at the last moment.

use super::*;

#[test]
fn promises_are_renewed_for_as_long_as_it_takes() {
    let mut story = Story::on(5);
    let prepared = lanes(&story.mapped(|number| Some(empty(number))));
    story.encoded();
    story.sealed(&prepared[0], empty(0));
    let mut renewed = Vec::new();
    for second in 1..60 {
        story.now = second * 1_000;
        let mut actions = story.step(Event::Progressed { message: prepared[1].message });
        actions.extend(story.step(Event::Progressed { message: prepared[2].message }));
        for action in actions {
            if let Action::Extend { message, .. } = action {
                renewed.push(second);
                story.step(Event::Extended { message, promise: Millis(30_000) });
            }
        }
    }
    assert_eq!(renewed, [10, 20, 30, 40, 50]);
}

#[test]
fn a_quorum_that_is_lost_while_the_journal_is_written_commits_nothing() {
    let mut story = Story::on(3);
    let prepared = lanes(&story.mapped(|number| Some(empty(number))));
    story.encoded();
    story.sealed(&prepared[0], empty(0));
    story.now = 10_000;
    let actions = story.step(Event::Progressed { message: prepared[1].message });
    let extended = actions.iter().find_map(|action| match action {
        Action::Extend { message, .. } => Some(*message),
        _ => None,
    });
    story.sealed(&prepared[1], empty(1));
    let decided = story.step(Event::Failed { message: prepared[2].message, failure: dead() });
    assert!(decided.iter().any(|action| matches!(action, Action::Journal { .. })), "{decided:?}");
    story.step(Event::Failed { message: extended.expect("a renewal"), failure: dead() });
    let anew = story.step(Event::Journaled);
    assert_eq!((commits(&anew), released(&anew)), (BTreeMap::new(), [1].into()));
}
