//! The run: takes the next event from the queue and changes servers and files by it. Decides nothing about placement.

use rand::RngExt;
use rand_chacha::ChaCha8Rng;

use super::files::{Condition, FileIndex, Files, ServerIndex, ShareSet, happiness};
use super::measures::Measures;
use super::options::{Options, Terms};
use super::queue::{Moment, Queue, Span};
use super::repair::{Bandwidth, Planner, Repair};
use super::servers::{Failures, Presence, Servers, Stream};

/// The files are checked in so many parts, one after the other, in each interval.
const SLICES: u64 = 24;
/// How often the state of all files is written down, in the whole run.
const SAMPLES: u64 = 60;
/// How many servers are considered for a place in a window.
const TRIES: usize = 64;

/// What can happen.
#[derive(Debug)]
enum Event {
    Lost(ServerIndex),
    Left(ServerIndex),
    Returned(ServerIndex),
    ZoneLeft(u32),
    ZoneReturned(u32),
    ZoneLost(u32),
    CheckDue { slice: u64 },
    Repaired(Repair),
    SampleDue,
}

/// A grid on its way through the years.
pub(super) struct Simulation<'a> {
    options: &'a Options,
    terms: Terms,
    queue: Queue<Event>,
    failures: Failures,
    servers: Servers,
    files: Files,
    planner: Planner,
    bandwidth: Bandwidth,
    moves: ChaCha8Rng,
    measures: Measures,
    /// Room for what a check hears, kept from one to the next.
    asked: (Vec<Member>, Vec<ShareSet>),
}

/// A place in a window, its server, and what that has.
type Member = (usize, ServerIndex, ShareSet);

/// What is left of a grid at the end.
pub(super) struct Ended {
    pub(super) measures: Measures,
    pub(super) shares_at_start: Vec<u64>,
    /// Of the servers that are not lost.
    pub(super) shares_at_end: Vec<u64>,
    /// Bytes moved for repairs by each server that was there at the start or came later.
    pub(super) moved: Vec<u64>,
    pub(super) longest_repair: Span,
}

impl<'a> Simulation<'a> {
    pub(super) fn new(options: &'a Options, terms: Terms, files: Files) -> Self {
        let happiness = files.all().next().map_or(0, |file| files.standing(file).happiness);
        let mut simulation = Self {
            options,
            terms,
            queue: Queue::until(Moment::default() + terms.duration),
            failures: Failures::new(options),
            servers: Servers::new(options),
            measures: Measures::new(files.len() as u64, happiness, terms.window),
            files,
            planner: Planner::new(terms.shape, terms.quorum),
            bandwidth: Bandwidth::new(options.share_kib, options.bandwidth_mib),
            moves: Stream::Moves.rng(options.seed),
            asked: (Vec::new(), Vec::new()),
        };
        simulation.schedule_first();
        simulation
    }

    pub(super) fn run(mut self) -> Ended {
        let shares_at_start = self.files.shares_by_server(self.servers.len());
        self.measures.sample(0);
        while let Some((now, event)) = self.queue.next() {
            self.measures.advance(now);
            self.measures.events += 1;
            self.step(now, event);
        }
        let shares = self.files.shares_by_server(self.servers.len());
        let mut moved = self.bandwidth.moved().to_vec();
        moved.resize(self.servers.len(), 0);
        Ended {
            shares_at_start,
            shares_at_end: self.servers.present().map(|server| shares[server.at()]).collect(),
            moved,
            longest_repair: self.bandwidth.longest,
            measures: self.measures,
        }
    }

    fn schedule_first(&mut self) {
        let start = Moment::default();
        for server in (0..self.options.servers).map(ServerIndex) {
            self.schedule_life(start, server);
        }
        for zone in 0..self.options.zones {
            self.schedule_zone(start, zone);
            let lost = self.failures.until_next(self.options.zone_loss_per_year);
            self.schedule_in(start, lost, Event::ZoneLost(zone));
        }
        let Span(duration) = self.terms.duration;
        for sample in 1..=SAMPLES {
            self.queue.schedule(Moment(duration * sample / SAMPLES), Event::SampleDue);
        }
        if let Some(Span(interval)) = self.terms.interval {
            for slice in 0..SLICES {
                let first = Moment(interval * (slice + 1) / SLICES);
                self.queue.schedule(first, Event::CheckDue { slice });
            }
        }
    }

    fn schedule_life(&mut self, now: Moment, server: ServerIndex) {
        let lifetime = self.failures.lifetime();
        self.schedule_in(now, lifetime, Event::Lost(server));
        self.schedule_absence(now, server);
    }

    fn schedule_absence(&mut self, now: Moment, server: ServerIndex) {
        let left = self.failures.until_next(self.options.absences_per_year);
        self.schedule_in(now, left, Event::Left(server));
    }

    fn schedule_zone(&mut self, now: Moment, zone: u32) {
        let left = self.failures.until_next(self.options.zone_absences_per_year);
        self.schedule_in(now, left, Event::ZoneLeft(zone));
    }

    fn schedule_in(&mut self, now: Moment, span: Option<Span>, event: Event) {
        if let Some(span) = span {
            self.queue.schedule(now + span, event);
        }
    }

    fn step(&mut self, now: Moment, event: Event) {
        match event {
            Event::Lost(server) => self.lost(now, server),
            Event::Left(server) => {
                if self.servers.presence(server) != Presence::Lost {
                    self.left(now, server);
                    let back = now + self.failures.hours(self.options.absence_mean_hours);
                    self.queue.schedule(back, Event::Returned(server));
                }
            }
            Event::Returned(server) => {
                if self.servers.presence(server) != Presence::Lost {
                    self.returned(server);
                    self.schedule_absence(now, server);
                }
            }
            Event::ZoneLeft(zone) => {
                for server in self.servers.turn_zone(zone, true) {
                    self.left(now, server);
                }
                let back = now + self.failures.hours(self.options.zone_absence_mean_hours);
                self.queue.schedule(back, Event::ZoneReturned(zone));
            }
            Event::ZoneReturned(zone) => {
                for server in self.servers.turn_zone(zone, false) {
                    self.returned(server);
                }
                self.schedule_zone(now, zone);
            }
            Event::ZoneLost(zone) => {
                for server in self.servers.in_zone(zone) {
                    self.lost(now, server);
                }
                let next = self.failures.until_next(self.options.zone_loss_per_year);
                self.schedule_in(now, next, Event::ZoneLost(zone));
            }
            Event::CheckDue { slice } => self.check_slice(now, slice),
            Event::Repaired(repair) => self.repaired(&repair),
            Event::SampleDue => self.measures.sample(self.bandwidth.moved().iter().sum()),
        }
    }

    fn left(&mut self, now: Moment, server: ServerIndex) {
        if !self.servers.leave(now, server) {
            return;
        }
        let kept = self.files.take_kept(server);
        for &file in &kept {
            let standing = self.files.standing_mut(file);
            standing.up -= 1;
            standing.touched = true;
            if standing.up < standing.ease {
                self.reassess(file);
            }
        }
        self.files.keep(server, kept);
    }

    fn returned(&mut self, server: ServerIndex) {
        if !self.servers.come_back(server) {
            return;
        }
        let kept = self.files.take_kept(server);
        for &file in &kept {
            let standing = self.files.standing_mut(file);
            standing.up += 1;
            standing.touched = true;
            if standing.condition != Condition::Writable {
                self.reassess(file);
            }
        }
        self.files.keep(server, kept);
    }

    /// The files of a lost server have one server less in their windows, for good; its replacement is no member.
    fn lost(&mut self, now: Moment, server: ServerIndex) {
        let presence = self.servers.presence(server);
        if presence == Presence::Lost {
            return;
        }
        self.measures.servers_lost += 1;
        let replacement = self.servers.lose(now, server);
        for file in self.files.take_kept(server) {
            let standing = self.files.standing_mut(file);
            standing.up -= u8::from(presence == Presence::Up);
            standing.touched = true;
            let was_lost = standing.condition == Condition::Lost;
            let happiness = standing.happiness;
            self.files.lose(file, server);
            if was_lost {
                continue;
            }
            let standing = *self.files.standing(file);
            if usize::from(standing.live) + 1 == self.terms.quorum {
                self.measures.got_stuck();
            }
            self.reassess(file);
            self.measures.happiness_changed(happiness, self.files.standing(file));
        }
        self.schedule_life(now, replacement);
    }

    /// Looks closely at a file.
    fn reassess(&mut self, file: FileIndex) {
        let after = self.files.assess(file, self.servers.up());
        let quorum = self.terms.quorum;
        let standing = self.files.standing_mut(file);
        let before = standing.condition;
        if before != after && before != Condition::Lost {
            standing.condition = after;
            let stuck = usize::from(standing.live) < quorum;
            self.measures.condition_changed(before, after, stuck);
        }
    }

    fn check_slice(&mut self, now: Moment, slice: u64) {
        let count = self.files.len() as u64;
        let narrow = |file: u64| u32::try_from(file).unwrap_or(u32::MAX);
        for file in narrow(count * slice / SLICES)..narrow(count * (slice + 1) / SLICES) {
            self.check(now, FileIndex(file));
        }
        self.schedule_in(now, self.terms.interval, Event::CheckDue { slice });
    }

    /// A check asks the servers of the window. Those that do not answer count for nothing, but that it has patience
    /// with the ones that went away only lately.
    fn check(&mut self, now: Moment, file: FileIndex) {
        let standing = self.files.standing_mut(file);
        if !standing.touched || standing.repairing {
            return;
        }
        standing.touched = false;
        if self.options.move_windows {
            self.move_window(file);
        }
        let standing = *self.files.standing(file);
        // An absent server takes at most one from the happiness.
        let at_least = standing.happiness.saturating_sub(standing.live - standing.up);
        let healthy = usize::from(at_least) >= self.terms.threshold;
        if healthy || standing.condition >= Condition::Unreadable {
            return;
        }
        let up = self.servers.up();
        let (mut reachable, mut counted) = std::mem::take(&mut self.asked);
        reachable.clear();
        counted.clear();
        for (slot, server, shares) in self.files.live(file) {
            if up[server.at()] {
                reachable.push((slot, server, shares));
                counted.push(shares);
            } else if now.since(self.servers.away_since(server)) < self.terms.grace {
                counted.push(shares);
            }
        }
        if self.needs_nothing(&counted) {
            self.files.standing_mut(file).touched = counted.len() > reachable.len();
        } else {
            self.repair(now, file, &reachable);
        }
        self.asked = (reachable, counted);
    }

    fn needs_nothing(&self, held: &[ShareSet]) -> bool {
        self.planner.adds_nothing(held) || happiness(held) >= self.terms.threshold
    }

    /// Begins to bring what the plan says is missing of the servers that answer.
    fn repair(&mut self, now: Moment, file: FileIndex, reachable: &[Member]) {
        let held: Vec<ShareSet> = reachable.iter().map(|&(_, _, shares)| shares).collect();
        let added = reachable.iter().zip(self.planner.additions(&held));
        let brought: Vec<_> = added
            .filter(|(_, added)| !added.is_empty())
            .map(|(&(slot, server, _), &added)| (slot, server, added))
            .collect();
        if brought.is_empty() {
            return;
        }
        let repair = Repair { file, brought };
        let k = usize::from(self.terms.shape.k());
        let done = self.bandwidth.spend(now, k, reachable, &repair);
        self.files.standing_mut(file).repairing = true;
        self.measures.repairs += 1;
        self.queue.schedule(done, Event::Repaired(repair));
    }

    /// Shares arrive at those servers that are still there, if the file could be read to the end.
    fn repaired(&mut self, repair: &Repair) {
        let file = repair.file;
        let standing = self.files.standing_mut(file);
        standing.repairing = false;
        let happiness = standing.happiness;
        let mut complete = standing.condition < Condition::Unreadable;
        if complete {
            for &(slot, server, shares) in &repair.brought {
                let up = self.servers.presence(server) == Presence::Up;
                complete &= up && self.files.give(file, slot, server, shares);
            }
            self.reassess(file);
            self.measures.happiness_changed(happiness, self.files.standing(file));
        }
        if !complete {
            self.measures.repairs_failed += 1;
            self.files.standing_mut(file).touched = true;
        }
    }

    /// Gives the places of lost servers to others, as long as a write could say so.
    fn move_window(&mut self, file: FileIndex) {
        let standing = *self.files.standing(file);
        if standing.condition != Condition::Writable {
            return;
        }
        for _ in usize::from(standing.live)..self.terms.window {
            if let Some(server) = self.draw_member(file) {
                self.files.join(file, server);
                self.measures.moves += 1;
            }
        }
    }

    /// A server that is up and not in the window, of a zone that it uses least. The next in rendezvous order is any,
    /// each as likely.
    fn draw_member(&mut self, file: FileIndex) -> Option<ServerIndex> {
        let (servers, files) = (&self.servers, &self.files);
        let used = |zone: Option<u32>| {
            let same = |&(_, member, _): &Member| zone.is_some() && servers.zone(member) == zone;
            files.live(file).filter(same).count()
        };
        let count = u32::try_from(servers.len()).unwrap_or(u32::MAX);
        let mut best: Option<(usize, ServerIndex)> = None;
        for _ in 0..TRIES {
            let server = ServerIndex(self.moves.random_range(0..count));
            let is_new = files.live(file).all(|(_, member, _)| member != server);
            if servers.presence(server) == Presence::Up && is_new {
                let usage = used(servers.zone(server));
                if best.is_none_or(|(least, _)| usage < least) {
                    best = Some((usage, server));
                }
                if usage == 0 || self.options.zones == 0 {
                    break;
                }
            }
        }
        best.map(|(_, server)| server)
    }
}
