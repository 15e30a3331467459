//! Servers that keep a reader waiting: which are waited for, and what is remembered of them.

use super::*;

/// Five stores: 0 and 1 hold a version that nobody knows to be Published, 2 and 3 the one before. Whatever 4 says, the
/// newer one is chosen; until it has said it, that is in doubt.
struct Doubt {
    story: Story,
    v1: SignedHeader,
    v2: SignedHeader,
}

impl Doubt {
    fn of(change: impl FnOnce(&mut Request)) -> Self {
        let story = Story::of(5, change);
        let v1 = story.version(1, 1, None);
        let v2 = story.version(2, 1, Some(&v1));
        Self { story, v1, v2 }
    }

    fn state(&self, number: u8) -> SlotState {
        match number {
            0 | 1 => holds(number, &[&self.v2, &self.v1]),
            _ => holds(number, &[&self.v1]),
        }
    }

    /// Begins, and lets all but server 4 answer; returns what the last answer led to, and what 4 was asked.
    fn all_but_one_answer(&mut self) -> (Vec<Action>, MessageId) {
        self.story.step(Event::Started);
        let mut queries = std::mem::take(&mut self.story.queries);
        let (last, server) = queries.pop().expect("somebody is asked");
        assert_eq!(server, 4, "a suspect is asked as well");
        let mut actions = Vec::new();
        for (message, server) in queries {
            let state = self.state(server);
            actions = self.story.step(Event::Mapped { message, state });
        }
        (actions, last)
    }

    /// Reads to the end, from what the map led to; `meanwhile` happens once the version is being read.
    fn read(mut self, mut actions: Vec<Action>, meanwhile: Option<Event>) -> Report {
        for (message, _) in brings(&actions) {
            let led_to = self.story.step(Event::Brought { message });
            if !led_to.is_empty() {
                actions = led_to;
            }
        }
        if let Some(event) = meanwhile {
            self.story.step(event);
        }
        let asked = self.story.rows_come(&actions);
        for run in &asked {
            self.story.arrived(run, 0);
        }
        report(&self.story.step(Event::Consumed { segment: 0 }))
    }
}

fn report(actions: &[Action]) -> Report {
    let [Action::Finish(report)] = actions else { panic!("{actions:?}") };
    assert!(matches!(report.outcome, Outcome::Retrieved(_)), "{report:?}");
    report.clone()
}

#[test]
fn a_suspect_is_asked_and_nobody_waits_for_it_while_the_others_suffice() {
    let mut doubt = Doubt::of(|request| request.suspects = [store(4)].into());
    let (actions, _) = doubt.all_but_one_answer();
    assert_eq!(doubt.story.now, 0);
    assert!(!brings(&actions).is_empty(), "the version is chosen without it: {actions:?}");
    let heard = doubt.read(actions, None).heard;
    assert_eq!(
        (heard.asked, heard.silent),
        ((0..4).map(store).collect(), [].into()),
        "nothing new"
    );
}

#[test]
fn a_suspect_is_waited_for_when_the_others_do_not_suffice() {
    let mut story = Story::of(3, |request| request.suspects = [store(1), store(2)].into());
    let v1 = story.version(1, 1, None);
    story.step(Event::Started);
    let queries = std::mem::take(&mut story.queries);
    let answer = |number: u8| Event::Mapped {
        message: queries[usize::from(number)].0,
        state: holds(number, &[&v1]),
    };
    assert_eq!(story.step(answer(0)), [], "one of three is no majority");
    rows(&story.step(answer(1)));
}

#[test]
fn whoever_kept_a_reader_waiting_to_the_end_is_told() {
    let mut doubt = Doubt::of(|_| {});
    let (actions, _) = doubt.all_but_one_answer();
    assert!(brings(&actions).is_empty(), "it may answer yet");
    let actions = doubt.story.wait();
    assert_eq!(doubt.story.now, 500);
    let heard = doubt.read(actions, None).heard;
    assert_eq!((heard.asked, heard.silent), ((0..5).map(store).collect(), [store(4)].into()));
}

#[test]
fn whoever_answers_while_the_version_is_read_already_is_not_silent() {
    let mut doubt = Doubt::of(|_| {});
    let (_, message) = doubt.all_but_one_answer();
    let actions = doubt.story.wait();
    let state = doubt.state(4);
    let heard = doubt.read(actions, Some(Event::Mapped { message, state })).heard;
    assert_eq!((heard.asked, heard.silent), ((0..5).map(store).collect(), BTreeSet::new()));
}

#[test]
fn nothing_is_said_of_a_server_that_nobody_waited_for() {
    let mut story = Story::on(3);
    let v1 = story.version(1, 0, None);
    story.step(Event::Started);
    let mut actions = Vec::new();
    for (message, server) in std::mem::take(&mut story.queries).into_iter().take(2) {
        actions = story.step(Event::Mapped { message, state: holds(server, &[&v1]) });
    }
    let [Action::Announce(_), finish] = actions.as_slice() else { panic!("{actions:?}") };
    let heard = report(std::slice::from_ref(finish)).heard;
    assert_eq!((heard.asked, heard.silent), ([store(0), store(1)].into(), BTreeSet::new()));
}

#[test]
fn a_server_that_owes_rows_or_blocks_for_too_long_is_silent_until_it_gives_them() {
    for gives in [false, true] {
        let mut story = Story::on(3);
        let v1 = story.version(1, 1, None);
        let asked = runs(&story.mapped(|number| Some(holds(number, &[&v1]))));
        assert_eq!(asked, [read(0, 0, 0), read(1, 1, 0)]);
        let message = rows(&story.wait());
        assert_eq!(story.retrieve.heard.silent, [store(0)].into(), "it owes the rows");
        let instead = runs(&story.step(Event::RowsArrived { message }));
        assert_eq!(instead, [read(2, 2, 0)], "nor is its block waited for");
        story.now += 10;
        story.arrived(&asked[0], 0);
        assert_eq!(story.retrieve.heard.silent, BTreeSet::new(), "it gives a block");
        story.wait();
        let both = [store(1), store(2)].into();
        assert_eq!(story.retrieve.heard.silent, both, "each owes a block");
        story.arrived(if gives { &asked[1] } else { &instead[0] }, 0);
        let heard = report(&story.step(Event::Consumed { segment: 0 })).heard;
        assert_eq!(heard.silent, [store(if gives { 2 } else { 1 })].into());
    }
}
