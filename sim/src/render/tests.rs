//! What is drawn: lines of text to the character, and pages by their form.

use std::fmt::Write;

use crate::event::{Event, Timed};
use crate::ids::Leg;
use crate::promises::{Broken, Demanded, Promise};
use crate::trace::sample::{Recorder, publish, publish_and_read, read};
use crate::trace::{Ending, Judge, Player, Trace};
use crate::world::World;

use super::story::Story;
use super::{html, text};

static NOBODY_IS_TOLD: Promise = Promise {
    id: "P99",
    sentence: "nobody is told <anything> & \"nothing\"",
    source: "a test",
    against_liars: true,
    demanded: Demanded::Always,
    concerns: |_| true,
    check: |world| match world.oracle().tasks().find(|(_, record)| record.times_told > 0) {
        None => Ok(()),
        Some((client, _)) => Err(format!("{client} was")),
    },
};

fn judge() -> Judge {
    fn check(world: &World) -> Result<(), Broken> {
        let promise = &NOBODY_IS_TOLD;
        (promise.check)(world).map_err(|detail| Broken { promise, detail })
    }
    Judge { always: check, at_rest: check }
}

fn broken_story(trace: &Trace) -> Story {
    Story::tell(trace, Player::judged(trace, None, Ending::AsItIs, judge()))
}

/// Compares with a file beside this one, or writes it when `TARN_REWRITE` is set; look at the difference then.
fn assert_drawn(name: &str, drawn: &str) {
    let file = format!("{}/src/render/tests/{name}", env!("CARGO_MANIFEST_DIR"));
    if std::env::var_os("TARN_REWRITE").is_some() {
        std::fs::write(&file, drawn).unwrap();
    }
    assert_eq!(drawn, std::fs::read_to_string(&file).unwrap(), "\n{drawn}");
}

#[test]
fn a_read_of_nothing_is_drawn_line_by_line() {
    let mut recorder = Recorder::new(crate::setup::Setup::default());
    recorder.then(read(0));
    let drawn = text::render(&recorder.at_rest(), None, Ending::AsItIs);
    assert_drawn("read.txt", &drawn);
}

#[test]
fn a_publish_through_a_crash_is_drawn_line_by_line() {
    let drawn = text::render(&publish_and_read(), None, Ending::AsItIs);
    assert_drawn("publish_and_read.txt", &drawn);
}

#[test]
fn the_same_trace_is_drawn_the_same_twice() {
    let trace = publish_and_read();
    let twice = || text::render(&trace, None, Ending::Drained);
    assert_eq!(twice(), twice());
    let twice = || html::render(&trace, None, Ending::Drained);
    assert_eq!(twice(), twice());
}

#[test]
fn columns_stay_where_they_are() {
    let drawn = text::render(&publish_and_read(), None, Ending::AsItIs);
    let mut lines = drawn.lines().filter(|line| !line.starts_with('#'));
    let heading = lines.next().unwrap();
    let servers = heading.find("s0").unwrap()..heading.find("detail").unwrap();
    for line in lines {
        let columns: String = line.chars().skip(servers.start).take(servers.len()).collect();
        let known = |c| ".*o#X w~s?f!".contains(c);
        assert!(columns.chars().all(known), "{columns:?} in {line}");
    }
}

#[test]
fn nothing_is_drawn_after_the_broken_promise() {
    let trace = publish_and_read();
    let story = broken_story(&trace);
    let (at, _) = story.broken.as_ref().expect("it is broken");
    assert_eq!(story.moments.len(), at + 1);
    assert!(text::draw(&story).ends_with(&format!(
        "# event {at}: P99 is broken: nobody is told <anything> & \"nothing\" (c0 was)\n"
    )));
}

#[test]
fn a_page_is_well_formed_and_text_stays_text() {
    let mut trace = publish_and_read();
    trace.title = "</title><script>alert(1)</script> & \u{7}".to_owned();
    let text = "<b>\"quoted\" & bold</b>".to_owned();
    trace.events.insert(3, Timed { at: trace.events[2].at, event: Event::Noted { text } });
    for story in
        [broken_story(&trace), Story::tell(&trace, Player::new(&trace, None, Ending::Drained))]
    {
        let page = html::draw(&story);
        assert_eq!(unbalanced(&page), None);
        assert_eq!(page.matches("<script>").count(), 1);
        assert!(!page.contains("<b>\"quoted\""));
        assert!(!page.contains("src=") && !page.contains("url("), "it asks for nothing else");
        assert_eq!(page.contains("P99 is broken"), story.broken.is_some());
    }
}

#[test]
fn every_message_of_a_run_is_on_the_page() {
    let trace = publish_and_read();
    let page = html::render(&trace, None, Ending::AsItIs);
    let mut count = 0;
    for timed in &trace.events {
        if let Event::Delivered { envelope } = &timed.event
            && envelope.leg != Leg::Local
        {
            let name = envelope.to_string().replace('<', "&lt;").replace('>', "&gt;");
            assert!(page.contains(&format!("<title>{name} ")), "{name}");
            count += 1;
        }
    }
    assert!(count > 20, "{count}");
    assert!(page.contains("class=\"pill fault\""), "the crash is marked");
}

#[test]
fn a_run_of_many_events_is_drawn() {
    let mut recorder =
        Recorder::new(crate::setup::Setup { servers: 7, window: 7, ..Default::default() });
    for client in 0..12 {
        recorder.then(if client % 3 == 0 { read(client) } else { publish(client) });
    }
    let trace = recorder.at_rest();
    assert!(trace.events.len() > 500, "{}", trace.events.len());
    let page = html::render(&trace, None, Ending::AsItIs);
    assert_eq!(unbalanced(&page), None);
}

/// The first tag that does not fit, if there is one.
fn unbalanced(page: &str) -> Option<String> {
    let mut open: Vec<&str> = Vec::new();
    let mut rest = page.strip_prefix("<!doctype html>").expect("a page");
    while let Some(start) = rest.find('<') {
        let end = rest[start..].find('>').map(|end| start + end)?;
        let tag = &rest[start + 1..end];
        rest = &rest[end + 1..];
        let name = tag.trim_start_matches('/').split([' ', '/', '\n']).next().unwrap_or_default();
        if tag.starts_with('/') {
            if open.pop() != Some(name) {
                return Some(tag.to_owned());
            }
        } else if !tag.ends_with('/') {
            open.push(name);
        }
        // Their text is no markup.
        if !tag.starts_with('/') && (name == "script" || name == "style") {
            rest = &rest[rest.find("</")?..];
        }
    }
    let mut left = String::new();
    for tag in open {
        let _ = write!(left, "<{tag}>");
    }
    (!left.is_empty()).then_some(left)
}
