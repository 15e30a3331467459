//! The chart itself, as SVG: lanes, what is held and written on them, and marks. Wording is the story's,
//! places are the layout's.

use std::fmt::Write;

use crate::event::Manner;
use crate::ids::{ClientId, ServerId};

use super::super::story::{Moment, Place, Sort, Story};
use super::super::view::{ClientView, Life, ServerView};
use super::layout::{Layout, UNDER};
use super::{escape, messages};

/// Draws the whole chart.
pub(super) fn draw(story: &Story, layout: &Layout) -> String {
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{:.0}\" height=\"{:.0}\">\n",
        layout.width, layout.height
    );
    for caller in &story.callers {
        client_lane(&mut svg, story, layout, caller.client, caller.began);
    }
    for server in story.servers() {
        server_lane(&mut svg, story, layout, server);
    }
    messages::draw(&mut svg, story, layout);
    for (event, moment) in story.moments.iter().enumerate() {
        marks(&mut svg, story, layout, event, moment);
    }
    svg.push_str("</svg>\n");
    svg
}

/// A colour of its own for each client.
pub(super) fn client_colour(client: ClientId) -> String {
    // Far from the red of faults.
    const HUES: [u16; 8] = [212, 276, 34, 168, 318, 62, 196, 244];
    format!("hsl({} 58% 52%)", HUES[usize::from(client.0) % HUES.len()])
}

fn client_lane(svg: &mut String, story: &Story, layout: &Layout, client: ClientId, began: usize) {
    let own = story.messages.iter().filter(|message| message.id.client == client);
    let told = story.moments.iter().rposition(|moment| moment.told.contains(&client));
    // What it sends last may arrive when it is long over.
    let last =
        own.map(|message| if message.is_answer { message.last_event() } else { message.sent });
    let last = last.chain(told).max().unwrap_or(began);
    let (x, from, to) = (layout.client_x(client), layout.y(began), layout.y(last));
    let colour = client_colour(client);
    let _ = writeln!(
        svg,
        "<path class=\"lane\" style=\"stroke:{colour}\" d=\"M{x:.1} {from:.1}V{to:.1}\"/>"
    );
}

fn server_lane(svg: &mut String, story: &Story, layout: &Layout, server: ServerId) {
    let x = layout.server_x(server);
    for stretch in stretches(story, server, |view| Some(view.life)) {
        let (from, to) = (layout.y(stretch.from), stretch.end(story, layout));
        let class = match stretch.value {
            Life::Up => "lane",
            Life::Down => "lane down",
            Life::Gone => continue,
        };
        let from = if stretch.from == 0 { 0.0 } else { from };
        let _ = writeln!(svg, "<path class=\"{class}\" d=\"M{x:.1} {from:.1}V{to:.1}\"/>");
    }
    for stretch in stretches(story, server, |view| view.promised) {
        let client = stretch.value;
        let style = format!("held\" style=\"fill:{}", client_colour(client));
        let title = format!("{server} holds its slot for {client}");
        bar(svg, story, layout, &stretch, (x - 4.0, 8.0), &style, &title);
    }
    for stretch in stretches(story, server, |view| view.writing.then_some(())) {
        let title = format!("{server}'s disk makes a change durable");
        bar(svg, story, layout, &stretch, (x - 6.5, 13.0), "writes", &title);
    }
    for stretch in stretches(story, server, |view| misbehaves(view.manner)) {
        let class = if stretch.value.is_lying() { "liar" } else { "full" };
        let title = format!("{server} is {}", super::super::words::manner(stretch.value));
        bar(svg, story, layout, &stretch, (x - 10.5, 3.0), class, &title);
    }
}

const fn misbehaves(manner: Manner) -> Option<Manner> {
    match manner {
        Manner::Honest => None,
        Manner::Full | Manner::ReadOnly | Manner::Lying(_) => Some(manner),
    }
}

/// Events during which something stays the same.
struct Stretch<T> {
    value: T,
    from: usize,
    /// The event that made an end of it; none when nothing did.
    until: Option<usize>,
}

impl<T> Stretch<T> {
    fn end(&self, story: &Story, layout: &Layout) -> f64 {
        self.until.map_or_else(|| layout.y(story.moments.len()), |until| layout.y(until))
    }
}

fn stretches<T: PartialEq + Copy>(
    story: &Story,
    server: ServerId,
    of: impl Fn(&ServerView) -> Option<T>,
) -> Vec<Stretch<T>> {
    let mut stretches: Vec<Stretch<T>> = Vec::new();
    let mut current: Option<(T, usize)> = None;
    for (event, moment) in story.moments.iter().enumerate() {
        let now = moment.servers.get(&server).and_then(&of);
        if now == current.map(|(value, _)| value) {
            continue;
        }
        if let Some((value, from)) = current {
            stretches.push(Stretch { value, from, until: Some(event) });
        }
        current = now.map(|value| (value, event));
    }
    stretches.extend(current.map(|(value, from)| Stretch { value, from, until: None }));
    stretches
}

fn bar<T>(
    svg: &mut String,
    story: &Story,
    layout: &Layout,
    stretch: &Stretch<T>,
    (x, width): (f64, f64),
    class: &str,
    title: &str,
) {
    let from = layout.y(stretch.from);
    let height = (stretch.end(story, layout) - from).max(2.0);
    let until = stretch.until.map_or_else(|| "the end".to_owned(), |until| until.to_string());
    let _ = writeln!(
        svg,
        "<rect x=\"{x:.1}\" y=\"{from:.1}\" width=\"{width}\" height=\"{height:.1}\" rx=\"2\" class=\"{class}\">\
         <title>{} (event {} to {until})</title></rect>",
        escape(title),
        stretch.from
    );
}

/// What an event leaves on the lanes besides messages.
fn marks(svg: &mut String, story: &Story, layout: &Layout, event: usize, moment: &Moment) {
    let y = layout.y(event);
    let x = match moment.place {
        Place::Nowhere => None,
        Place::Client(client) => Some(layout.client_x(client)),
        Place::Server(server) => Some(layout.server_x(server)),
    };
    if let (Some(x), true) = (x, moment.applied) {
        match moment.sort {
            Sort::Began => {
                let name = match moment.place {
                    Place::Client(client) => client.to_string(),
                    Place::Nowhere | Place::Server(_) => String::new(),
                };
                pill(svg, x, y, "plain", &name, &moment.detail);
            }
            Sort::Local => {
                let _ = writeln!(
                    svg,
                    "<circle class=\"dot\" cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"3\"/><text class=\"label\" \
                     text-anchor=\"end\" x=\"{:.1}\" y=\"{:.1}\">{}</text>",
                    x - 8.0,
                    y + 3.5,
                    escape(&moment.what)
                );
            }
            Sort::Fault => pill(svg, x, y, "fault", &moment.what, &moment.detail),
            Sort::Mended => pill(svg, x, y, "good", &moment.what, &moment.detail),
            Sort::Arrived
            | Sort::Answered
            | Sort::Lost
            | Sort::Copied
            | Sort::Disk
            | Sort::Noted => {}
        }
    }
    stored(svg, story, layout, event, moment);
    for client in &moment.told {
        let Some(caller) = story.callers.iter().find(|caller| caller.client == *client) else {
            continue;
        };
        let Some((_, words)) = &caller.told else { continue };
        let class = match caller.view {
            ClientView::Published | ClientView::Read => "good",
            ClientView::Unchanged | ClientView::InDoubt => "fault",
            ClientView::Running | ClientView::Killed | ClientView::Dropped => "plain",
        };
        pill(svg, layout.client_x(*client), y + UNDER - 2.0, class, words, &moment.detail);
    }
}

/// What a server holds since this event, if it held something else before.
fn stored(svg: &mut String, story: &Story, layout: &Layout, event: usize, moment: &Moment) {
    let before = event.checked_sub(1).and_then(|before| story.moments.get(before));
    for (server, view) in &moment.servers {
        let then = before.and_then(|before| before.servers.get(server));
        let Some(holds) = view.holds.as_ref() else { continue };
        if then.is_some_and(|then| then.holds.as_ref() == Some(holds)) {
            continue;
        }
        let _ = writeln!(
            svg,
            "<text class=\"label stored\" x=\"{:.1}\" y=\"{:.1}\">{}</text>",
            layout.server_x(*server) + 9.0,
            layout.y(event) + 3.5,
            escape(holds)
        );
    }
}

fn pill(svg: &mut String, x: f64, y: f64, class: &str, text: &str, title: &str) {
    let width = text_width(text) + 13.0;
    let _ = writeln!(
        svg,
        "<g class=\"pill {class}\"><title>{}</title><rect x=\"{:.1}\" y=\"{:.1}\" width=\"{width:.1}\" height=\"16\" \
         rx=\"8\"/><text x=\"{x:.1}\" y=\"{:.1}\">{}</text></g>",
        escape(title),
        x - width / 2.0,
        y - 8.0,
        y + 3.7,
        escape(text)
    );
}

/// About how wide a small text is.
pub(super) fn text_width(text: &str) -> f64 {
    6.5 * f64::from(u32::try_from(text.chars().count()).unwrap_or(u32::MAX))
}
