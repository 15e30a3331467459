//! Where everything is on the page, in pixels. Time runs down, a row for every event; clients stand on the left, servers
//! on the right of them, words on the right of all. Draws nothing.

use std::collections::BTreeMap;

use crate::ids::{ClientId, ServerId};

use super::super::story::Story;

/// Made for a window 1400 px wide, less its margins.
const WIDTH: f64 = 1352.0;
/// Time and number of an event, and what the first client tells itself.
const GUTTER: f64 = 190.0;
/// Between clients and servers, and from the last server to the words, in lanes.
const BETWEEN: f64 = 0.5;
const BEHIND: f64 = 0.9;
/// What the words need at least.
const WORDS: f64 = 440.0;
const LANE_MIN: f64 = 36.0;
const LANE_MAX: f64 = 104.0;
/// The height of a row.
pub(super) const ROW: f64 = 20.0;
/// Room under a row for what a caller is told.
pub(super) const UNDER: f64 = 26.0;
/// Room for a promise's sentence.
pub(super) const SENTENCE: f64 = 58.0;
/// A wait that is shown as a gap, in milliseconds.
const WAIT: u64 = 1000;
/// With more clients than this, one that begins takes the lane of one that is over.
const LANES_OWN: usize = 6;

#[derive(Debug)]
pub(super) struct Layout {
    rows: Vec<f64>,
    clients: BTreeMap<ClientId, usize>,
    client_lanes: usize,
    servers: BTreeMap<ServerId, usize>,
    pub(super) lane: f64,
    pub(super) width: f64,
    pub(super) height: f64,
}

impl Layout {
    pub(super) fn of(story: &Story) -> Self {
        let clients = client_lanes(story);
        let client_lanes = clients.values().max().map_or(0, |last| last + 1);
        let servers: BTreeMap<ServerId, usize> = story.servers().into_iter().zip(0..).collect();
        let lanes = float(client_lanes + servers.len()) - 1.0 + BETWEEN + BEHIND;
        let lane = ((WIDTH - GUTTER - WORDS) / lanes).clamp(LANE_MIN, LANE_MAX);
        let (rows, height) = rows(story);
        let width = (GUTTER + lane * lanes + WORDS).max(WIDTH);
        Self { rows, clients, client_lanes, servers, lane, width, height }
    }

    /// The middle of an event's row.
    pub(super) fn y(&self, event: usize) -> f64 {
        self.rows.get(event).map_or(self.height, |top| top + ROW / 2.0)
    }

    pub(super) fn client_x(&self, client: ClientId) -> f64 {
        self.x(self.clients.get(&client).copied().unwrap_or(0))
    }

    pub(super) fn server_x(&self, server: ServerId) -> f64 {
        let lane = self.servers.get(&server).copied().unwrap_or(0);
        self.x(self.client_lanes + lane) + self.lane * BETWEEN
    }

    /// Where words begin.
    pub(super) fn words_x(&self) -> f64 {
        self.x(self.client_lanes + self.servers.len() - 1) + self.lane * (BETWEEN + BEHIND)
    }

    /// Clients that stand on one lane, for its heading.
    pub(super) fn client_headings(&self) -> BTreeMap<usize, Vec<ClientId>> {
        let mut headings: BTreeMap<usize, Vec<ClientId>> = BTreeMap::new();
        for (&client, &lane) in &self.clients {
            headings.entry(lane).or_default().push(client);
        }
        headings
    }

    fn x(&self, lane: usize) -> f64 {
        GUTTER + self.lane * float(lane)
    }
}

/// Whether so long passed before this event that a gap is shown.
pub(super) fn waited(story: &Story, event: usize) -> Option<u64> {
    let at = |event: usize| story.moments.get(event).map(|moment| moment.at);
    let before = event.checked_sub(1).map_or(Some(0), at)?;
    let waited = at(event)?.saturating_sub(before);
    (waited >= WAIT).then_some(waited)
}

/// Whether this event is the first of those that bring the run to rest.
pub(super) fn is_split(story: &Story, event: usize) -> bool {
    let own = |event: usize| story.moments.get(event).is_some_and(|moment| moment.own);
    event > 0 && own(event - 1) && !own(event)
}

/// The top of each row, and the height of all.
fn rows(story: &Story) -> (Vec<f64>, f64) {
    let mut top = 12.0;
    let mut rows = Vec::new();
    for (event, moment) in story.moments.iter().enumerate() {
        top += if waited(story, event).is_some() { ROW } else { 0.0 };
        top += if is_split(story, event) { 2.0 * ROW } else { 0.0 };
        rows.push(top);
        top += ROW;
        top += if moment.told.is_empty() { 0.0 } else { UNDER };
        let is_broken = story.broken.as_ref().is_some_and(|(at, _)| *at == event);
        top += if is_broken { SENTENCE } else { 0.0 };
    }
    (rows, top + ROW)
}

/// A lane for each client: its own while there are few.
fn client_lanes(story: &Story) -> BTreeMap<ClientId, usize> {
    let mut ends: BTreeMap<ClientId, usize> = BTreeMap::new();
    for message in &story.messages {
        let end = ends.entry(message.id.client).or_default();
        *end = (*end).max(message.last_event());
    }
    let mut free_from: Vec<usize> = Vec::new();
    let mut lanes = BTreeMap::new();
    for caller in &story.callers {
        let told = caller.told.as_ref().map_or(0, |(at, _)| *at);
        let end = ends.get(&caller.client).copied().unwrap_or(caller.began).max(told);
        let free = free_from.iter().position(|&from| from < caller.began);
        let lane = match free {
            Some(lane) if story.callers.len() > LANES_OWN => lane,
            Some(_) | None => {
                free_from.push(0);
                free_from.len() - 1
            }
        };
        free_from[lane] = end;
        lanes.insert(caller.client, lane);
    }
    lanes
}

#[expect(clippy::cast_precision_loss, reason = "a number of lanes or rows is small")]
const fn float(number: usize) -> f64 {
    number as f64
}
