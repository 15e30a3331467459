//! A run as a self-contained page: a message sequence chart, with time down, a lane for every client and server, and
//! every event in words. It needs no network and no other file; it writes none itself.

mod chart;
mod layout;
mod messages;

use std::fmt::Write;

use crate::plant::Plant;
use crate::trace::{Ending, Player, Trace};

use super::story::{Kind, Sort, Story};
use super::view::ClientView;
use super::words;
use chart::client_colour;
use layout::{Layout, ROW, is_split, waited};
use messages::class;

/// Plays the trace and draws the page.
pub fn render(trace: &Trace, plant: Option<Box<dyn Plant>>, ending: Ending) -> String {
    draw(&Story::tell(trace, Player::new(trace, plant, ending)))
}

pub(super) fn draw(story: &Story) -> String {
    let layout = Layout::of(story);
    let title = escape(&story.title);
    let mut page = format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\"/>\n<title>{title}</title>\n\
         <meta name=\"viewport\" content=\"width=device-width\"/>\n<style>\n{}</style>\n</head>\n<body>\n\
         <h1>{title}</h1>\n",
        include_str!("html/page.css")
    );
    setup(&mut page, story);
    verdict(&mut page, story);
    page.push_str("<div class=\"panels\">\n");
    callers(&mut page, story);
    legend(&mut page);
    let width = layout.width;
    let _ = writeln!(page, "</div>\n<div id=\"chart\" style=\"width:{width:.0}px\">");
    headings(&mut page, story, &layout);
    let _ = writeln!(page, "<div id=\"field\" style=\"height:{:.0}px\">", layout.height);
    rows(&mut page, story, &layout);
    page.push_str(&chart::draw(story, &layout));
    let _ = write!(
        page,
        "</div>\n</div>\n<script>\n{}</script>\n</body>\n</html>\n",
        include_str!("html/page.js")
    );
    page
}

/// Text that stays text within a page.
fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\n' | '\t' => escaped.push(character),
            _ if character.is_control() => escaped.push('\u{fffd}'),
            _ => escaped.push(character),
        }
    }
    escaped
}

fn setup(page: &mut String, story: &Story) {
    let setup = &story.setup;
    let _ = write!(
        page,
        "<p>{} servers, {} of them the file's window · promises hold {} s · {} events, {} messages",
        setup.servers,
        setup.window,
        words::seconds(setup.promise),
        story.moments.len(),
        story.messages.len()
    );
    if let Some(bug) = &setup.bug {
        let _ = write!(page, " · planted bug: {}", escape(bug));
    }
    page.push_str("</p>\n");
}

fn verdict(page: &mut String, story: &Story) {
    let _ = match &story.broken {
        Some((at, broken)) => writeln!(
            page,
            "<p class=\"verdict bad\"><strong>{} is broken</strong> at <a href=\"#e{at}\">event {at}</a>: {}<br/>{}</p>",
            broken.promise.id,
            escape(broken.promise.sentence),
            escape(&broken.detail)
        ),
        None => writeln!(page, "<p class=\"verdict\">No promise is broken.</p>"),
    };
}

fn callers(page: &mut String, story: &Story) {
    page.push_str(
        "<div class=\"panel callers\">\n<h2>What callers asked for and were told</h2>\n<table>\n",
    );
    for caller in &story.callers {
        let (class, words) = match (&caller.told, caller.view) {
            (Some((_, words)), ClientView::Published | ClientView::Read) => {
                ("good", words.as_str())
            }
            (Some((_, words)), _) => ("bad-word", words.as_str()),
            (None, ClientView::Killed) => ("bad-word", "killed"),
            (None, ClientView::Dropped) => ("soft", "let go"),
            (None, _) => ("soft", "not told anything"),
        };
        let end = caller
            .told
            .as_ref()
            .map_or_else(String::new, |(at, _)| format!("<a href=\"#e{at}\">event {at}</a>"));
        let _ = writeln!(
            page,
            "<tr><td style=\"color:{}\">{}</td><td>{}</td><td><a href=\"#e{began}\">event {began}</a></td>\
             <td class=\"{class}\">{}</td><td>{end}</td></tr>",
            client_colour(caller.client),
            caller.client,
            escape(&caller.asked),
            escape(words),
            began = caller.began,
        );
    }
    page.push_str("</table>\n</div>\n");
}

fn legend(page: &mut String) {
    let kinds = [
        Kind::Query,
        Kind::Seal,
        Kind::Extend,
        Kind::Commit,
        Kind::Bring,
        Kind::Finalize,
        Kind::End,
        Kind::Read,
        Kind::Answer,
        Kind::Refused,
        Kind::Dead,
    ];
    page.push_str("<div class=\"panel legend\">\n<h2>Messages; untick to hide</h2>\n<ul>\n");
    for kind in kinds {
        let class = class(kind);
        let name = if kind == Kind::Dead { "no answer" } else { class };
        let _ = writeln!(
            page,
            "<li><label><input type=\"checkbox\" checked=\"checked\" data-kind=\"{class}\"/>\
             <svg width=\"26\" height=\"10\"><g class=\"m {class}\"><path class=\"l\" d=\"M0 5H20\"/>\
             <polygon points=\"26,5 18,1.6 18,8.4\"/></g></svg>{name}</label></li>"
        );
    }
    page.push_str("</ul>\n<ul>\n");
    for (drawing, name) in [
        (
            "<path d=\"M8 0l10 10m0 -10l-10 10\" style=\"stroke:var(--fault);stroke-width:2.4\"/>",
            "message lost",
        ),
        (
            "<g class=\"m answer\"><path class=\"l\" d=\"M0 5H17\"/><circle class=\"open\" cx=\"20\" cy=\"5\" r=\"3\"/></g>",
            "never arrived here",
        ),
        (
            "<rect x=\"9\" width=\"8\" height=\"10\" class=\"held\" style=\"fill:hsl(205 62% 50%)\"/>",
            "promise held, by client",
        ),
        ("<rect x=\"7\" y=\".5\" width=\"13\" height=\"9\" class=\"writes\"/>", "disk is writing"),
        ("<path d=\"M13 0V10\" class=\"lane down\"/>", "server is down"),
        ("<rect x=\"11\" width=\"3\" height=\"10\" class=\"liar\"/>", "server lies"),
        ("<rect x=\"11\" width=\"3\" height=\"10\" class=\"full\"/>", "full or read-only"),
        ("<text x=\"1\" y=\"9\" class=\"label stored\">v1a</text>", "now holds {shares}"),
    ] {
        let _ = writeln!(page, "<li><svg width=\"26\" height=\"10\">{drawing}</svg>{name}</li>");
    }
    page.push_str("</ul>\n</div>\n");
}

fn headings(page: &mut String, story: &Story, layout: &Layout) {
    page.push_str(
        "<div id=\"lanes\"><i style=\"left:32px\">time, s</i><i style=\"left:88px\">ev</i>\n",
    );
    let mut heading = |x: f64, name: &str, more: &str, colour: &str| {
        let _ = writeln!(
            page,
            "<span style=\"left:{x:.1}px;max-width:{:.0}px;color:{colour}\">{}<small>{}</small></span>",
            layout.lane - 6.0,
            escape(name),
            escape(more)
        );
    };
    for clients in layout.client_headings().values() {
        let [first, .., last] = clients.as_slice() else {
            let Some(only) = clients.first() else { continue };
            let asked = story.callers.iter().find(|caller| caller.client == *only);
            let asked = asked.map_or("", |caller| caller.asked.as_str());
            let brief = asked.split([':', ',']).next().unwrap_or_default();
            let brief = brief.split(" by ").next().unwrap_or_default();
            heading(layout.client_x(*only), &only.to_string(), brief, &client_colour(*only));
            continue;
        };
        heading(layout.client_x(*first), &format!("{first}…{last}"), "in turn", "inherit");
    }
    for server in story.servers() {
        let more = if server.0 < story.setup.window { "window" } else { "" };
        heading(layout.server_x(server), &server.to_string(), more, "inherit");
    }
    page.push_str("</div>\n");
}

fn rows(page: &mut String, story: &Story, layout: &Layout) {
    let words = layout.words_x();
    for (event, moment) in story.moments.iter().enumerate() {
        let top = layout.y(event) - ROW / 2.0;
        if let Some(waited) = waited(story, event) {
            let waited = words::seconds(waited);
            let _ = writeln!(
                page,
                "<div class=\"gap\" style=\"top:{:.0}px\">⋮ {waited} s later</div>",
                top - ROW
            );
        }
        if is_split(story, event) {
            let _ = writeln!(
                page,
                "<div class=\"split\" style=\"top:{:.0}px\">the trace ends here; what follows brings the run to rest</div>",
                top - 1.5 * ROW
            );
        }
        let broken = story.broken.as_ref().filter(|(at, _)| *at == event);
        let class = match (broken.is_some(), moment.applied) {
            (true, _) => "r broken",
            (false, false) => "r ignored",
            (false, true) => row_class(moment.sort),
        };
        let _ = writeln!(
            page,
            "<div class=\"{class}\" id=\"e{event}\" style=\"top:{top:.0}px\" title=\"{detail}\"><b>{}</b><i>{event}</i>\
             <span style=\"left:{:.0}px\"><em>{}</em>  {detail}</span></div>",
            words::seconds(moment.at),
            words + 8.0,
            escape(&moment.what),
            detail = escape(&moment.detail)
        );
        if let Some((_, broken)) = broken {
            let under = if moment.told.is_empty() { 0.0 } else { layout::UNDER };
            let _ = writeln!(
                page,
                "<div class=\"sentence\" style=\"top:{:.0}px\">{}</div>",
                top + ROW + under + 4.0,
                escape(&broken.to_string())
            );
        }
    }
}

const fn row_class(sort: Sort) -> &'static str {
    match sort {
        Sort::Began => "r began",
        Sort::Fault => "r fault",
        Sort::Lost => "r lost",
        Sort::Mended => "r mended",
        Sort::Noted => "r noted",
        Sort::Arrived | Sort::Answered | Sort::Local | Sort::Copied | Sort::Disk => "r",
    }
}
