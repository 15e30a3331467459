//! The story of Tahoe-LAFS ticket #877, for which this project exists.
//!
//! There, a server whose connection was dead answered while the loop was still sending: the error came back inside the
//! send, re-entered the loop, and the servers not reached yet got their shares twice. The second copy failed its test
//! against the first, and the publish ended in an uncoordinated-write error with no other writer in the world.

use super::*;

#[test]
fn a_dead_reference_in_the_middle_of_a_send_pass_sends_nothing_twice() {
    let mut story = Story::on(4);
    let actions = story.mapped(|number| Some(empty(number)));
    let prepared = lanes(&actions);
    assert_eq!(prepared.len(), 4, "one message a server, all decided in one step");

    // The reference to server 1 is dead, and its failure is there before the driver has sent to servers 2 and 3. All
    // the driver can do is queue it: when it is stepped, the whole pass is outstanding already.
    let outstanding: Vec<_> = story.publish.outstanding.keys().copied().collect();
    assert_eq!(outstanding, prepared.iter().map(|lane| lane.message).collect::<Vec<_>>());
    let next = story.step(Event::Failed { message: prepared[1].message, failure: dead() });
    let release = Action::Release { server: store(1), conversation: prepared[1].conversation };
    assert_eq!(next, [release], "no other server stands by, and nobody is sent anything again");

    let (header, _) = story.encoded();
    assert_eq!(story.sealed(&prepared[0], empty(0)), []);
    story.sealed(&prepared[2], empty(2));
    let decided = story.sealed(&prepared[3], empty(3));
    let placement = [0, 2, 3].map(|n| (store(n), shares(&[n]))).into();
    assert!(decided.contains(&Action::Journal { header: header.clone(), placement }));

    let committing = story.step(Event::Journaled);
    let messages = commits(&committing);
    assert_eq!(messages.keys().copied().collect::<Vec<_>>(), [0, 2, 3]);
    story.step(Event::Written { message: messages[&0] });
    story.step(Event::Written { message: messages[&2] });
    let ended = story.step(Event::Written { message: messages[&3] });
    let Outcome::Published(published) = outcome(&ended) else { panic!("{ended:?}") };
    assert_eq!(published.header, Some(header));
    assert_eq!(published.missing, shares(&[1]));
}

#[test]
fn an_answer_that_is_there_before_the_send_pass_ends_changes_nothing() {
    // Every answer is available at once, in whatever order: the machine sees them one by one after the pass.
    let mut story = Story::on(3);
    let prepared = lanes(&story.mapped(|number| Some(empty(number))));
    let (_, mut last) = story.encoded();
    for lane in prepared.iter().rev() {
        last = story.sealed(lane, empty(lane.server.as_bytes()[0]));
    }
    assert!(matches!(last.as_slice(), [Action::Journal { .. }]));
    let mut messages = BTreeSet::new();
    for action in &story.asked {
        if let Action::Prepare { lanes, .. } = action {
            for lane in lanes {
                assert!(messages.insert((lane.server, lane.shares.clone())), "sent twice");
            }
        }
    }
    assert_eq!(messages.len(), 3);
}

#[test]
fn our_own_version_found_on_a_server_is_success_and_never_a_surprise() {
    // The write was applied and its answer lost, in an earlier try of this submission: all three servers have it.
    let mut story = Story::on(3);
    let ours = story.version(1, 7, None);
    let ended = story.mapped(|number| Some(holds(number, &[&ours])));
    let Outcome::Published(published) = outcome(&ended) else { panic!("{ended:?}") };
    assert_eq!((published.version, published.repeated), (ours.version(), true));
}

#[test]
fn our_own_version_in_doubt_is_brought_to_a_quorum_and_never_built_on() {
    let mut story = Story::on(5);
    let v1 = story.version(1, 1, None);
    let ours = story.version(2, 7, Some(&v1));
    let actions = story.mapped(|number| match number {
        0 | 1 => Some(holds(number, &[&ours, &v1])),
        2 | 3 => Some(holds(number, &[&v1])),
        _ => None,
    });
    let brought: Vec<(StoreId, MessageId)> = actions
        .iter()
        .filter_map(|action| match action {
            Action::Bring { server, message, header, .. } if *header == ours => {
                Some((*server, *message))
            }
            _ => None,
        })
        .collect();
    let servers: Vec<_> = brought.iter().map(|(server, _)| *server).collect();
    assert_eq!(servers, [store(0), store(2), store(3)], "and the share of dead server 4 to 0");
    let ended = story.step(Event::Written { message: brought[1].1 });
    let Outcome::Published(published) = outcome(&ended) else { panic!("{ended:?}") };
    assert_eq!(published.version, ours.version());
}
