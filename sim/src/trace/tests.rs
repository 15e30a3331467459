//! The format, and playing what it holds.

use proptest::prelude::*;

use crate::event::{Edit, Event, Fate, Follow, Lie, Manner, PublishTask, ReadTask, Task, Timed};
use crate::ids::{ClientId, EnvelopeId, Leg, ServerId, Submission};
use crate::setup::Setup;

use super::sample::{Recorder, message, publish, publish_and_read, read};
use super::{Ending, ReadError, Trace, replay};

fn written(trace: &Trace) -> String {
    let mut text = Vec::new();
    trace.write(&mut text).unwrap();
    String::from_utf8(text).unwrap()
}

fn refusal(text: &str) -> ReadError {
    Trace::read(text.as_bytes()).unwrap_err()
}

fn head() -> String {
    written(&Trace { title: "t".to_owned(), setup: Setup::default(), events: vec![] })
}

#[test]
fn a_person_can_read_the_file() {
    let setup = Setup {
        patience_floor: 2000,
        patience_factor: 8,
        patience_limit: 30_000,
        ..Setup::default()
    };
    let events = vec![
        Timed { at: 0, event: read(0) },
        Timed { at: 3, event: Event::Delivered { envelope: message(0, 1, Leg::Request) } },
        Timed { at: 9, event: Event::Healed },
    ];
    let text = written(&Trace { title: "one read".to_owned(), setup, events });
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(
        lines,
        [
            concat!(
                r#"{"tarn_trace":1,"title":"one read","setup":{"servers":3,"window":3,"promise":30000,"#,
                r#""patience_floor":2000,"patience_factor":8,"patience_limit":30000,"#,
                r#""instant_disk":true,"single_writer":false,"liars":false}}"#
            ),
            concat!(
                r#"{"at":0,"began":{"client":0,"task":{"read":"#,
                r#"{"caller":0,"strict":false,"cap_holder":false,"seed":0}}}}"#
            ),
            r#"{"at":3,"delivered":{"envelope":"c0.1>"}}"#,
            r#"{"at":9,"healed":null}"#,
        ]
    );
}

#[test]
fn lines_for_people_are_passed_over() {
    let text = format!("# why\n\n{}\n  # {{\"at\":1,\"healed\":null}}\n", head());
    assert_eq!(Trace::read(text.as_bytes()).unwrap().events, []);
}

#[test]
fn what_is_not_a_trace_is_refused_with_its_line_and_what_to_do() {
    let head = head();
    for (text, expected) in [
        (String::new(), "no trace: the first line must be a head"),
        ("{\"at\":0,\"healed\":null}".to_owned(), "line 1: not the head of a trace"),
        ("\n{\"tarn_trace\":2}".to_owned(), "line 2: format 2 is not known, only 1 is"),
        (head.replace("liars", "lairs"), "line 1: missing field `liars`"),
        (head.replace("\"liars\"", "\"lairs\":1,\"liars\""), "line 1: `setup.lairs` is not known"),
        (head.replace("\"servers\":3", "\"servers\":81"), "line 1: `setup.servers` is 81"),
        (head.replace("\"window\":3", "\"window\":4"), "line 1: `setup.window` is 4"),
        (format!("{head}{{\"at\":1}}"), "line 2: "),
        (
            format!("{head}{{\"at\":1,\"healed\":nul"),
            "line 2: EOF while parsing a value at column 20; mend",
        ),
        (format!("{head}{{\"at\":1,\"exploded\":{{}}}}"), "line 2: "),
        (
            format!("{head}{{\"at\":1,\"delivered\":{{\"envelope\":\"c1\"}}}}"),
            "line 2: not the name of a message",
        ),
        (
            format!("{head}{{\"at\":1,\"healed\":null,\"noted\":{{\"text\":\"\"}}}}"),
            "line 2: `noted` is not known",
        ),
        (
            format!("{head}{{\"at\":1,\"noted\":{{\"text\":\"\",\"by\":1}}}}"),
            "line 2: `noted.by` is not known",
        ),
        (
            format!("{head}{{\"at\":5,\"healed\":null}}\n{{\"at\":4,\"healed\":null}}"),
            "line 3: the time goes back from 5 to 4",
        ),
        (format!("{head}{{\"at\":{},\"healed\":null}}", u64::MAX), "line 2: `at` is 184467"),
    ] {
        let said = refusal(&text).to_string();
        assert!(said.starts_with(expected), "{text}\n{said}");
    }
}

#[test]
fn replaying_counts_what_could_not_happen() {
    let mut trace = publish_and_read();
    let whole = replay(&trace, None, Ending::AsItIs);
    assert_eq!((whole.applied, whole.ignored), (trace.events.len(), 0));
    assert!(whole.at_rest);
    assert!(whole.broken.is_none());
    trace.events.remove(0);
    let without_its_begin = replay(&trace, None, Ending::AsItIs);
    assert!(without_its_begin.ignored > 10, "{}", without_its_begin.ignored);
    assert_eq!(without_its_begin.applied + without_its_begin.ignored, trace.events.len());
}

#[test]
fn a_run_cut_short_is_brought_to_rest_by_events_that_can_be_played() {
    let mut recorder = Recorder::new(Setup { instant_disk: false, ..Setup::default() });
    recorder.then(publish(0));
    recorder.deliver(5);
    recorder.then(Event::ServerCrashed { server: ServerId(1), unsynced: Fate::Torn });
    let mut trace = recorder.trace();
    let cut = replay(&trace, None, Ending::AsItIs);
    assert!(!cut.at_rest);
    assert!(cut.drained.is_empty());
    let rested = replay(&trace, None, Ending::Drained);
    assert!(rested.at_rest);
    assert!(rested.drained.iter().any(|timed| matches!(timed.event, Event::DiskSynced { .. })));
    trace.events.extend(rested.drained);
    let again = replay(&trace, None, Ending::AsItIs);
    assert!(again.at_rest);
    assert_eq!(again.ignored, 0);
    assert_eq!(written(&trace), written(&Trace::read(written(&trace).as_bytes()).unwrap()));
}

fn event() -> impl Strategy<Value = Event> {
    let client = any::<u16>().prop_map(ClientId);
    let server = any::<u8>().prop_map(ServerId);
    let leg = prop_oneof![Just(Leg::Request), Just(Leg::Answer), Just(Leg::Local)];
    let envelope =
        (any::<u16>(), any::<u32>(), leg, any::<u8>()).prop_map(|(client, number, leg, copy)| {
            EnvelopeId { client: ClientId(client), number, leg, copy }
        });
    let manner = prop_oneof![
        Just(Manner::Honest),
        Just(Manner::Full),
        Just(Manner::ReadOnly),
        prop::sample::select(&Lie::ALL[..]).prop_map(Manner::Lying),
    ];
    let follows = prop_oneof![
        Just(Follow::Whatever),
        Just(Follow::Nothing),
        any::<u16>().prop_map(|client| Follow::ResultOf(ClientId(client))),
    ];
    let publish = (any::<(u8, u16, Option<(u8, u8, u8)>, bool, bool, u64)>(), 0..1000_u64, follows)
        .prop_map(|((caller, submission, shape, tombstone, cap_holder, seed), length, follows)| {
            let submission = Submission(submission);
            Task::Publish(PublishTask {
                caller,
                submission,
                shape,
                length,
                tombstone,
                follows,
                part: false,
                once: false,
                cap_holder,
                spent: tombstone.then_some(seed / 2),
                resumes: cap_holder.then_some(ClientId(7)),
                seed,
            })
        });
    let read = any::<(u8, bool, bool, u64)>().prop_map(|(caller, strict, cap_holder, seed)| {
        Task::Read(ReadTask { caller, strict, cap_holder, seed })
    });
    let fate = prop_oneof![Just(Fate::Lost), Just(Fate::Kept), Just(Fate::Torn)];
    let of_tasks = prop_oneof![
        (client.clone(), prop_oneof![publish, read])
            .prop_map(|(client, task)| Event::Began { client, task }),
        envelope.clone().prop_map(|envelope| Event::Delivered { envelope }),
        envelope.clone().prop_map(|envelope| Event::Duplicated { envelope }),
        envelope.prop_map(|envelope| Event::Lost { envelope }),
        (client.clone(), server.clone(), 0..90_000_u64)
            .prop_map(|(client, server, waited)| Event::Stalled { client, server, waited }),
        (client.clone(), server.clone())
            .prop_map(|(client, server)| Event::Progressed { client, server }),
        (
            client.clone(),
            prop_oneof![Just(Edit::Noticed), Just(Edit::BetweenPasses), Just(Edit::Unreadable)]
        )
            .prop_map(|(client, how)| Event::SourceChanged { client, how }),
        client.clone().prop_map(|client| Event::JournalFailed { client }),
        client.clone().prop_map(|client| Event::CancelRequested { client }),
        client.prop_map(|client| Event::ClientKilled { client }),
    ];
    let of_servers = prop_oneof![
        server.clone().prop_map(|server| Event::DiskSynced { server }),
        (server.clone(), any::<bool>())
            .prop_map(|(server, kept)| Event::DiskFailed { server, kept }),
        (server.clone(), fate)
            .prop_map(|(server, unsynced)| Event::ServerCrashed { server, unsynced }),
        server.clone().prop_map(|server| Event::ServerRestarted { server }),
        server.clone().prop_map(|server| Event::ServerReplaced { server }),
        (server.clone(), 0..90_000_u64, -90_000..90_000_i64)
            .prop_map(|(server, forward, wall)| Event::ClockStepped { server, forward, wall }),
        (server.clone(), any::<u8>())
            .prop_map(|(server, share)| Event::ShareRotted { server, share }),
        (server, manner).prop_map(|(server, manner)| Event::Turned { server, manner }),
        any::<String>().prop_map(|text| Event::Noted { text }),
        Just(Event::Healed),
    ];
    prop_oneof![of_tasks, of_servers]
}

proptest! {
    #[test]
    fn every_trace_reads_back(
        title: String,
        bug: Option<String>,
        setup: (bool, bool, bool),
        events in prop::collection::vec((0..5000_u64, event()), 0..40),
    ) {
        let (instant_disk, single_writer, liars) = setup;
        let setup = Setup { instant_disk, single_writer, liars, bug, ..Setup::default() };
        let mut at = 0;
        let timed = |(later, event)| {
            at += later;
            Timed { at, event }
        };
        let trace = Trace { title, setup, events: events.into_iter().map(timed).collect() };
        let read = Trace::read(written(&trace).as_bytes());
        prop_assert_eq!(read.ok(), Some(trace));
    }

    #[test]
    fn no_text_makes_the_reader_panic(text: String, tail: String) {
        let _ = Trace::read(text.as_bytes());
        let _ = Trace::read(format!("{}{tail}", head()).as_bytes());
    }
}
