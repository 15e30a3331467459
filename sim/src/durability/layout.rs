//! Where the files are at the start. A sample of them is placed by the shipped functions. The rest is drawn from the
//! distribution these have when the hash is a random function, because a million files on a thousand servers would be
//! a billion hashes; a test holds the two against each other.

use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use tarn_client::placement::{Candidate, choose_window, rendezvous_order};
use tarn_proto::hash::tagged;
use tarn_proto::{Shape, StorageIndex, StoreId};

use super::files::{Files, ServerIndex};
use super::options::{Options, Terms};
use super::repair::Planner;
use super::servers::{Stream, zone_of};

/// How many files the shipped functions place themselves.
const SHIPPED_MAX: u32 = 2_000;

/// Draws every file's window and gives every share its first home.
pub(super) fn place(options: &Options, terms: Terms) -> Files {
    let shares = Planner::new(terms.shape, terms.quorum).first(terms.window);
    let mut files = Files::new(options.files, terms, options.servers);
    let shipped = ShippedLayout::new(options);
    let mut rng = Stream::Layout.rng(options.seed);
    let mut sampler = WindowSampler::new(options.servers, options.zones);
    let mut window = Vec::with_capacity(terms.window);
    for file in 0..options.files {
        if file < SHIPPED_MAX {
            window = shipped.window(file, terms.shape);
        } else {
            sampler.draw(terms.window, &mut rng, &mut window);
        }
        files.place(&window, &shares);
    }
    files.index();
    files
}

/// The grid as the shipped functions see it.
pub(super) struct ShippedLayout {
    grid: Vec<Candidate>,
    seed: u64,
}

impl ShippedLayout {
    pub(super) fn new(options: &Options) -> Self {
        let candidate = |server| Candidate {
            store: store_id(ServerIndex(server)),
            zone: zone_of(ServerIndex(server), options.zones).map(|zone| format!("{zone}")),
            weight: 1,
        };
        Self { grid: (0..options.servers).map(candidate).collect(), seed: options.seed }
    }

    /// The window that tarn gives this file, in rendezvous order: the order in which a plan hands out shares.
    pub(super) fn window(&self, file: u32, shape: Shape) -> Vec<ServerIndex> {
        let hash = tagged("sim/file", &[&self.seed.to_be_bytes(), &file.to_be_bytes()]);
        let storage_index = StorageIndex::new(hash);
        let Ok(window) = choose_window(storage_index, shape, &self.grid) else {
            return Vec::new();
        };
        rendezvous_order(storage_index, &self.grid)
            .into_iter()
            .filter(|candidate| window.contains(candidate.store))
            .map(|candidate| server_index(candidate.store))
            .collect()
    }
}

fn store_id(server: ServerIndex) -> StoreId {
    StoreId::new(u128::from(server.0).to_be_bytes())
}

fn server_index(store: StoreId) -> ServerIndex {
    let [.., a, b, c, d] = *store.as_bytes();
    ServerIndex(u32::from_be_bytes([a, b, c, d]))
}

/// Draws windows as the shipped rule does when every server's place in the order is random: each server has a uniform
/// key, and the least key among the least used zones comes next. A zone's keys are drawn smallest first, and only as
/// many as are needed.
pub(super) struct WindowSampler {
    zones: Vec<Zone>,
    zoned: bool,
}

struct Zone {
    /// Its servers; the first `picked` are in the window being drawn.
    servers: Vec<ServerIndex>,
    picked: usize,
    /// The smallest key of those not picked; none when all are.
    next_key: Option<f64>,
}

impl WindowSampler {
    pub(super) fn new(servers: u32, zones: u32) -> Self {
        let mut members: Vec<Vec<ServerIndex>> = vec![Vec::new(); zones.max(1) as usize];
        for server in (0..servers).map(ServerIndex) {
            members[zone_of(server, zones).unwrap_or(0) as usize].push(server);
        }
        let zone = |servers| Zone { servers, picked: 0, next_key: None };
        Self { zones: members.into_iter().map(zone).collect(), zoned: zones > 0 }
    }

    /// Draws a window in rendezvous order.
    pub(super) fn draw(
        &mut self,
        size: usize,
        rng: &mut ChaCha8Rng,
        window: &mut Vec<ServerIndex>,
    ) {
        window.clear();
        if !self.zoned {
            let zone = &mut self.zones[0];
            zone.picked = 0;
            window.extend((0..size).filter_map(|_| zone.pick(rng)));
            return;
        }
        for zone in &mut self.zones {
            zone.picked = 0;
            zone.next_key = Some(0.0);
            zone.draw_key(rng);
        }
        let mut keyed: Vec<(f64, ServerIndex)> = Vec::with_capacity(size);
        while keyed.len() < size {
            let waiting = self.zones.iter_mut().filter(|zone| zone.next_key.is_some());
            let rank = |zone: &Zone| (zone.picked, zone.next_key.unwrap_or(1.0));
            let next = waiting.min_by(|one, other| {
                let ((used, key), (other_used, other_key)) = (rank(one), rank(other));
                used.cmp(&other_used).then(key.total_cmp(&other_key))
            });
            let Some((zone, key)) = next.and_then(|zone| zone.next_key.map(|key| (zone, key)))
            else {
                break;
            };
            keyed.extend(zone.pick(rng).map(|server| (key, server)));
            zone.draw_key(rng);
        }
        keyed.sort_by(|(one, _), (other, _)| one.total_cmp(other));
        window.extend(keyed.into_iter().map(|(_, server)| server));
    }
}

impl Zone {
    /// Any server not picked yet, each as likely.
    fn pick(&mut self, rng: &mut ChaCha8Rng) -> Option<ServerIndex> {
        if self.picked == self.servers.len() {
            return None;
        }
        let drawn = rng.random_range(self.picked..self.servers.len());
        self.servers.swap(self.picked, drawn);
        self.picked += 1;
        Some(self.servers[self.picked - 1])
    }

    /// The next key after the last: the least of the m keys left, which are uniform above it.
    fn draw_key(&mut self, rng: &mut ChaCha8Rng) {
        let left = self.servers.len() - self.picked;
        self.next_key = self.next_key.filter(|_| left > 0).map(|last| {
            let above = 1.0 - rng.random::<f64>().powf(1.0 / left as f64);
            last + (1.0 - last) * above
        });
    }
}
