//! Messages on the chart: arrows from where they were sent to where they arrived, crosses where they were lost.

use std::fmt::Write;

use super::super::story::{Kind, Message, MessageEnd, Story};
use super::chart::text_width;
use super::escape;
use super::layout::Layout;

/// Draws all of them: names last, so that no line runs through one.
pub(super) fn draw(svg: &mut String, story: &Story, layout: &Layout) {
    for (number, message) in story.messages.iter().enumerate() {
        arrow(svg, layout, number, message);
    }
    for (number, message) in story.messages.iter().enumerate() {
        label(svg, layout, number, message);
    }
}

/// The chart's name for a kind of message.
pub(super) const fn class(kind: Kind) -> &'static str {
    match kind {
        Kind::Query => "query",
        Kind::Seal => "seal",
        Kind::Extend => "extend",
        Kind::Commit => "commit",
        Kind::Bring => "bring",
        Kind::Finalize => "finalize",
        Kind::End => "end",
        Kind::Read => "read",
        Kind::Answer => "answer",
        Kind::Refused => "refused",
        Kind::Dead => "dead",
    }
}

fn arrow(svg: &mut String, layout: &Layout, number: usize, message: &Message) {
    let (client, server) = (layout.client_x(message.id.client), layout.server_x(message.server));
    let (from_x, to_x) = if message.is_answer { (server, client) } else { (client, server) };
    let from = (from_x, layout.y(message.sent));
    let class = class(message.kind);
    let (end, fate) = match message.end {
        MessageEnd::Arrived(at) => (at.to_string(), format!("arrived at event {at}")),
        MessageEnd::Lost(at) => (at.to_string(), format!("lost at event {at}")),
        MessageEnd::UnderWay => (String::new(), "still on its way at the end".to_owned()),
    };
    let (sender, receiver) = match message.is_answer {
        true => (message.server.to_string(), message.id.client.to_string()),
        false => (message.id.client.to_string(), message.server.to_string()),
    };
    let _ = write!(
        svg,
        "<g class=\"m {class}\" data-m=\"{number}\" data-sent=\"{sent}\" data-end=\"{end}\"><title>{id} {sender} → {receiver}\n{says}\n\
         sent at event {sent}, {fate}</title>",
        sent = message.sent,
        id = escape(&message.id.to_string()),
        says = escape(&message.says),
    );
    match message.end {
        MessageEnd::Arrived(at) => {
            // Not quite to the lane, so that the bar on it stays whole.
            let way = if to_x > from_x { -5.0 } else { 5.0 };
            let to = (to_x + way, layout.y(at));
            line(svg, from, to);
            head(svg, from, to);
        }
        MessageEnd::Lost(at) => line(svg, from, (f64::midpoint(from_x, to_x), layout.y(at))),
        MessageEnd::UnderWay => {
            let way = if to_x > from_x { 26.0 } else { -26.0 };
            let to = (from_x + way, from.1 + 9.0);
            line(svg, from, to);
            let _ = write!(
                svg,
                "<circle class=\"open\" cx=\"{:.1}\" cy=\"{:.1}\" r=\"3\"/>",
                to.0, to.1
            );
        }
    }
    svg.push_str("</g>\n");
}

/// Names a message where it arrives, or marks where it was lost, over all lines: in as many words as fit between two
/// lanes.
fn label(svg: &mut String, layout: &Layout, number: usize, message: &Message) {
    let at = match message.end {
        MessageEnd::UnderWay => return,
        MessageEnd::Lost(at) => return cross(svg, layout, number, message, at),
        MessageEnd::Arrived(at) => at,
    };
    let (client, server) = (layout.client_x(message.id.client), layout.server_x(message.server));
    let (x, anchor) =
        if message.is_answer { (client + 14.0, "start") } else { (server - 14.0, "end") };
    let [two, one] = &message.brief;
    let brief = if text_width(two) < layout.lane + 8.0 { two } else { one };
    let _ = writeln!(
        svg,
        "<g class=\"m {}\" data-m=\"{number}\" data-sent=\"{}\" data-end=\"{at}\">\
         <text x=\"{x:.1}\" y=\"{:.1}\" text-anchor=\"{anchor}\">{}</text></g>",
        class(message.kind),
        message.sent,
        layout.y(at) + 11.0,
        escape(brief)
    );
}

fn cross(svg: &mut String, layout: &Layout, number: usize, message: &Message, at: usize) {
    let x = f64::midpoint(layout.client_x(message.id.client), layout.server_x(message.server));
    let y = layout.y(at);
    let _ = writeln!(
        svg,
        "<g class=\"m {}\" data-m=\"{number}\" data-sent=\"{}\" data-end=\"{at}\"><path class=\"cross\" \
         d=\"M{:.1} {:.1}l10 10m0 -10l-10 10\"/><text x=\"{:.1}\" y=\"{:.1}\">lost</text></g>",
        class(message.kind),
        message.sent,
        x - 5.0,
        y - 5.0,
        x + 9.0,
        y + 3.5
    );
}

fn line(svg: &mut String, from: (f64, f64), to: (f64, f64)) {
    let path = format!("M{:.1} {:.1}L{:.1} {:.1}", from.0, from.1, to.0, to.1);
    let _ = write!(svg, "<path class=\"hit\" d=\"{path}\"/><path class=\"l\" d=\"{path}\"/>");
}

/// The point of an arrow, turned the way it flies.
fn head(svg: &mut String, from: (f64, f64), to: (f64, f64)) {
    let (dx, dy) = (to.0 - from.0, to.1 - from.1);
    let length = dx.hypot(dy).max(1.0);
    let (ux, uy) = (dx / length, dy / length);
    let (back_x, back_y) = (to.0 - 8.0 * ux, to.1 - 8.0 * uy);
    let _ = write!(
        svg,
        "<polygon points=\"{:.1},{:.1} {:.1},{:.1} {:.1},{:.1}\"/>",
        to.0,
        to.1,
        back_x - 3.4 * uy,
        back_y + 3.4 * ux,
        back_x + 3.4 * uy,
        back_y - 3.4 * ux
    );
}
