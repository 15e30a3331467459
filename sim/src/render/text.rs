//! A run as lines of text: one per event, in fixed columns, one of them for every server, so that the eye can run down
//! one server's life. `sim/README.md` has the legend. It prints nothing.

use std::collections::BTreeMap;
use std::fmt::Write;

use crate::event::Manner;
use crate::ids::{ClientId, ServerId};
use crate::plant::Plant;
use crate::trace::{Ending, Player, Trace};

use super::story::{Moment, Sort, Story};
use super::view::{ClientView, Life, ServerView};
use super::words;

/// Plays the trace and draws it, every line ended.
pub fn render(trace: &Trace, plant: Option<Box<dyn Plant>>, ending: Ending) -> String {
    draw(&Story::tell(trace, Player::new(trace, plant, ending)))
}

pub(super) fn draw(story: &Story) -> String {
    let servers: Vec<ServerId> = story.servers().into_iter().collect();
    let clients: Vec<ClientId> = story.callers.iter().map(|caller| caller.client).collect();
    let mut text = format!("# {}\n", story.title);
    let _ = writeln!(text, "{}", heading(&clients, &servers));
    let mut mending = false;
    for (number, moment) in story.moments.iter().enumerate() {
        if !moment.own && !mending {
            mending = true;
            text.push_str("# the trace ends here; what follows brings the run to rest\n");
        }
        let _ = writeln!(text, "{}", line(number, moment, &clients, &servers));
    }
    match &story.broken {
        Some((number, broken)) => {
            let _ = writeln!(text, "# event {number}: {broken}");
        }
        None => text.push_str("# no promise is broken\n"),
    }
    text
}

fn heading(clients: &[ClientId], servers: &[ServerId]) -> String {
    let mut text = format!("{:>9} {:>5}   {:<12} {:<9} ", "time", "event", "what", "message");
    // One character each: the number's last digit stands for the client.
    let digits: String = clients.iter().map(|client| (client.0 % 10).to_string()).collect();
    let _ = write!(text, "c{digits}  ");
    for server in servers {
        let _ = write!(text, "{server:<3} ", server = server.to_string());
    }
    text + "detail"
}

fn line(number: usize, moment: &Moment, clients: &[ClientId], servers: &[ServerId]) -> String {
    let glyph = if moment.applied { glyph(moment.sort) } else { '-' };
    let envelope = moment.envelope.map(|id| id.to_string()).unwrap_or_default();
    let time = words::seconds(moment.at);
    let mut text = format!("{time:>9} {number:>5} {glyph} {:<12} {envelope:<9}  ", moment.what);
    text.extend(clients.iter().map(|id| moment.clients.get(id).map_or(' ', client_mark)));
    text.push_str("  ");
    for server in servers {
        text.extend(server_marks(&moment.servers, *server));
        text.push(' ');
    }
    text + &moment.detail
}

const fn glyph(sort: Sort) -> char {
    match sort {
        Sort::Began => '+',
        Sort::Arrived => '>',
        Sort::Answered => '<',
        Sort::Local => '=',
        Sort::Lost => 'x',
        Sort::Copied => '&',
        Sort::Fault => '!',
        Sort::Disk => 'd',
        Sort::Mended => 'o',
        Sort::Noted => '"',
    }
}

const fn client_mark(client: &ClientView) -> char {
    match client {
        ClientView::Running => '|',
        ClientView::Published => 'P',
        ClientView::Read => 'R',
        ClientView::Unchanged => '-',
        ClientView::InDoubt => '~',
        ClientView::Killed => '#',
        ClientView::Dropped => 'x',
    }
}

/// How a server stands: what it holds, what it is in the midst of, and whether it misbehaves.
fn server_marks(servers: &BTreeMap<ServerId, ServerView>, id: ServerId) -> [char; 3] {
    let Some(server) = servers.get(&id) else { return [' '; 3] };
    let holds = match server.life {
        Life::Gone => 'X',
        Life::Down => '#',
        Life::Up if server.newest => '*',
        Life::Up if server.holds.is_some() => 'o',
        Life::Up => '.',
    };
    let midst = match server.life {
        Life::Gone | Life::Down => ' ',
        Life::Up if server.writing => 'w',
        Life::Up if server.unknown => '~',
        Life::Up if server.promised.is_some() => 's',
        Life::Up if server.in_flight => '?',
        Life::Up => ' ',
    };
    let manner = match server.manner {
        Manner::Honest => ' ',
        Manner::Full | Manner::ReadOnly => 'f',
        Manner::Lying(_) => '!',
    };
    [holds, midst, manner]
}
