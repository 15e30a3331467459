//! How servers fail: lifetimes, absences and zones, drawn from a seed. Knows no files.

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::files::ServerIndex;
use super::options::Options;
use super::queue::{Moment, Span};

/// What draws randomness; each has a stream of its own, so that one more draw in one does not shift the others.
#[derive(Debug, Clone, Copy)]
pub(super) enum Stream {
    Layout,
    Failures,
    Moves,
}

impl Stream {
    pub(super) fn rng(self, seed: u64) -> ChaCha8Rng {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        rng.set_stream(match self {
            Self::Layout => 1,
            Self::Failures => 2,
            Self::Moves => 3,
        });
        rng
    }
}

/// The zone of a server, if there are zones; a replacement stands where the lost server stood.
pub(super) const fn zone_of(server: ServerIndex, zones: u32) -> Option<u32> {
    if zones == 0 { None } else { Some(server.0 % zones) }
}

/// Whether a server's shares can be had.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Presence {
    Up,
    Away,
    Lost,
}

#[derive(Debug, Clone, Copy)]
struct Server {
    /// Reasons to be away: its own, its zone's.
    reasons: u8,
    /// When it was last up.
    away_since: Moment,
    lost: bool,
    zone: Option<u32>,
}

/// Every server there ever was.
pub(super) struct Servers {
    all: Vec<Server>,
    zones_down: Vec<bool>,
    up: Vec<bool>,
}

impl Servers {
    pub(super) fn new(options: &Options) -> Self {
        let server = |i| Server {
            reasons: 0,
            away_since: Moment::default(),
            lost: false,
            zone: zone_of(i, options.zones),
        };
        Self {
            all: (0..options.servers).map(|i| server(ServerIndex(i))).collect(),
            zones_down: vec![false; options.zones as usize],
            up: vec![true; options.servers as usize],
        }
    }

    pub(super) fn len(&self) -> usize {
        self.all.len()
    }

    /// Whether each server can be reached, by index.
    pub(super) fn up(&self) -> &[bool] {
        &self.up
    }

    pub(super) fn presence(&self, server: ServerIndex) -> Presence {
        match self.all[server.at()] {
            Server { lost: true, .. } => Presence::Lost,
            Server { reasons: 0, .. } => Presence::Up,
            Server { .. } => Presence::Away,
        }
    }

    pub(super) fn zone(&self, server: ServerIndex) -> Option<u32> {
        self.all[server.at()].zone
    }

    /// One more reason to be away. Says whether it was up.
    pub(super) fn leave(&mut self, now: Moment, server: ServerIndex) -> bool {
        let state = &mut self.all[server.at()];
        if state.reasons == 0 {
            state.away_since = now;
        }
        state.reasons += 1;
        std::mem::replace(&mut self.up[server.at()], false)
    }

    /// Since when it is away.
    pub(super) fn away_since(&self, server: ServerIndex) -> Moment {
        self.all[server.at()].away_since
    }

    /// One reason less. Says whether it is up again.
    pub(super) fn come_back(&mut self, server: ServerIndex) -> bool {
        let state = &mut self.all[server.at()];
        state.reasons -= 1;
        let back = state.reasons == 0 && !state.lost;
        self.up[server.at()] = back;
        back
    }

    /// Its disks are gone; an empty server takes its place, under a store id of its own.
    pub(super) fn lose(&mut self, now: Moment, server: ServerIndex) -> ServerIndex {
        let zone = self.all[server.at()].zone;
        self.all[server.at()].lost = true;
        self.up[server.at()] = false;
        let zone_down = zone.is_some_and(|zone| self.zones_down[zone as usize]);
        self.all.push(Server { reasons: u8::from(zone_down), away_since: now, lost: false, zone });
        self.up.push(!zone_down);
        ServerIndex(u32::try_from(self.all.len() - 1).unwrap_or(u32::MAX))
    }

    /// The zone goes down, or comes up. Names the servers in it that are not lost.
    pub(super) fn turn_zone(&mut self, zone: u32, down: bool) -> Vec<ServerIndex> {
        self.zones_down[zone as usize] = down;
        self.in_zone(zone)
    }

    /// The servers of a zone that are not lost.
    pub(super) fn in_zone(&self, zone: u32) -> Vec<ServerIndex> {
        self.present().filter(|server| self.zone(*server) == Some(zone)).collect()
    }

    /// The servers that are not lost.
    pub(super) fn present(&self) -> impl Iterator<Item = ServerIndex> {
        let all = (0..).map(ServerIndex).take(self.all.len());
        all.filter(|server| !self.all[server.at()].lost)
    }
}

/// When things happen.
pub(super) struct Failures {
    rng: ChaCha8Rng,
    loss_per_year: f64,
    weibull_shape: f64,
}

impl Failures {
    pub(super) fn new(options: &Options) -> Self {
        Self {
            rng: Stream::Failures.rng(options.seed),
            loss_per_year: options.loss_per_year,
            weibull_shape: options.weibull_shape,
        }
    }

    /// How long a new server lives; for ever if nothing is ever lost.
    pub(super) fn lifetime(&mut self) -> Option<Span> {
        let scale = lifetime_scale(self.loss_per_year, self.weibull_shape)?;
        Some(Span::years(scale * self.exponential().powf(1.0 / self.weibull_shape)))
    }

    /// How long until what happens so often a year happens next.
    pub(super) fn until_next(&mut self, per_year: f64) -> Option<Span> {
        (per_year > 0.0).then(|| Span::years(self.exponential() / per_year))
    }

    pub(super) fn hours(&mut self, mean: f64) -> Span {
        Span::hours(mean * self.exponential())
    }

    fn exponential(&mut self) -> f64 {
        -(1.0 - self.rng.random::<f64>()).ln()
    }
}

/// The scale of a Weibull distribution of lifetimes, in years, whose mean is one over the rate.
pub(super) fn lifetime_scale(loss_per_year: f64, weibull_shape: f64) -> Option<f64> {
    let mean = super::closed_form::gamma(1.0 + 1.0 / weibull_shape);
    (loss_per_year > 0.0).then(|| 1.0 / (loss_per_year * mean))
}
