//! Draws the options of a run from its seed. Newer ones are drawn last, so that a seed keeps its world.

use rand::{Rng, RngExt};

use super::{Disk, Faults, Habit, Lingering, Network, Oddities, Options, Stream};
use crate::event::Lie;
use crate::setup::Setup;

impl Options {
    /// Everything that follows from a seed.
    pub fn draw(seed: u64) -> Self {
        let rng = &mut Stream::Options.of(seed);
        let single_writer = rng.random_bool(0.15);
        let window = pick(rng, &[1, 2, 3, 3, 3, 4, 4, 5, 5, 5, 6, 7, 10]);
        let strays = if rng.random_bool(0.2) { rng.random_range(1..=3) } else { 0 };
        let faults = draw_faults(rng, window, single_writer);
        let setup = Setup {
            servers: window + strays,
            window,
            window_last: false,
            remembers: false,
            hands_maps_on: false,
            promise: pick(rng, &[2_000, 30_000, 30_000]),
            patience_floor: pick(rng, &[50, 500, 500]),
            patience_factor: 4,
            patience_limit: pick(rng, &[1_000, 5_000, 5_000]),
            instant_disk: rng.random_bool(0.3),
            single_writer,
            liars: !faults.liars.is_empty(),
            bug: None,
        };
        let mut options = Self {
            seed,
            horizon: pick(rng, &[2_000, 10_000, 30_000, 60_000]),
            callers: draw_callers(rng, single_writer),
            shapes: draw_shapes(rng, window),
            keeps_shape: rng.random_bool(0.3),
            lengths: draw_lengths(rng),
            pause: pick(rng, &[10, 300, 3_000]),
            expects_nothing: false,
            double_submits: if single_writer { 0 } else { pick(rng, &[0, 0, 100]) },
            network: draw_network(rng, window),
            disk: Disk {
                sync: pick(rng, &[(0, 1), (1, 10), (5, 100)]),
                failed: pick(rng, &[0, 0, 0, 20]),
            },
            faults,
            oddities: Oddities::default(),
            parts: 0,
            once: 0,
            setup,
        };
        options.network.outlived = pick(rng, &[0, 0, 0, 10, 50]);
        options.network.lingering = rng.random_bool(0.15).then(|| Lingering {
            often: pick(rng, &[20, 100, 300]),
            longest: pick(rng, &[1_000, 5_000, 20_000]),
            lapses: pick(rng, &[0, 500, 1_000]),
        });
        // Drawn last, and not with the others, so that the seeds from before still give the same worlds.
        if let Some((_, lie)) = options.faults.liars.first_mut().filter(|_| rng.random_bool(0.2)) {
            *lie = Lie::AnswersOutOfTurn;
        }
        options.expects_nothing = rng.random_bool(0.05);
        options.oddities = draw_oddities(rng);
        if rng.random_bool(0.004) {
            options.setup.servers = options.setup.window + rng.random_range(61..=65);
            options.setup.window_last = true;
        }
        options.setup.remembers = rng.random_bool(0.05);
        let rng = &mut Stream::Parts.of(seed);
        if rng.random_bool(0.1) {
            options.parts = pick(rng, &[200, 500, 1_000]);
        }
        let rng = &mut Stream::Once.of(seed);
        if rng.random_bool(0.1) {
            options.once = pick(rng, &[200, 500, 1_000]);
        }
        options.setup.hands_maps_on = Stream::Maps.of(seed).random_bool(0.1);
        options
    }
}

fn pick<T: Clone>(rng: &mut impl Rng, of: &[T]) -> T {
    of[rng.random_range(0..of.len())].clone()
}

/// Off as often as not.
fn sometimes(rng: &mut impl Rng, means: &[u64]) -> Option<u64> {
    rng.random_bool(0.4).then(|| pick(rng, means))
}

fn draw_callers(rng: &mut impl Rng, single_writer: bool) -> Vec<Habit> {
    let habits = [Habit::Overwrites, Habit::Overwrites, Habit::Tickets, Habit::Modifies];
    let writers = if single_writer { 1 } else { rng.random_range(1..=4) };
    let readers = pick(rng, &[0, 1, 1, 2]);
    let mut callers: Vec<Habit> = (0..writers).map(|_| pick(rng, &habits)).collect();
    callers.extend(std::iter::repeat_n(Habit::Reads, readers));
    callers
}

fn draw_shapes(rng: &mut impl Rng, window: u8) -> Vec<(u8, u8, u8)> {
    let count = pick(rng, &[1, 1, 2, 3]);
    (0..count).map(|_| draw_shape(rng, window)).collect()
}

fn draw_shape(rng: &mut impl Rng, window: u8) -> (u8, u8, u8) {
    let n = match rng.random_range(0..6) {
        0 => rng.random_range(1..=window),
        1 => rng.random_range(window..=window.saturating_mul(2)),
        _ => window,
    };
    (rng.random_range(1..=n), rng.random_range(1..=n.min(window)), n)
}

fn draw_lengths(rng: &mut impl Rng) -> Vec<u64> {
    let mut lengths = vec![pick(rng, &[1, 8, 100])];
    if rng.random_bool(0.2) {
        lengths.push(0);
    }
    if rng.random_bool(0.02) {
        lengths.push(pick(rng, &[70_000, 300_000]));
    }
    lengths
}

fn draw_network(rng: &mut impl Rng, window: u8) -> Network {
    let slow = rng.random_bool(0.25);
    Network {
        latency: pick(rng, &[(0, 1), (1, 5), (1, 50), (20, 200)]),
        instant: pick(rng, &[0, 0, 50, 300]),
        delayed: pick(rng, &[0, 0, 10, 100]),
        lost: pick(rng, &[0, 0, 5, 30, 150]),
        duplicated: pick(rng, &[0, 0, 20]),
        outlived: 0,
        lingering: None,
        reorders: rng.random_bool(0.3),
        slow: slow.then(|| (rng.random_range(0..window), pick(rng, &[10, 100, 1_000]))),
        partitions: sometimes(rng, &[2_000, 10_000]).map(|mean| (mean, pick(rng, &[500, 5_000]))),
    }
}

fn draw_oddities(rng: &mut impl Rng) -> Oddities {
    if rng.random_bool(0.9) {
        return Oddities::default();
    }
    Oddities {
        sources: pick(rng, &[0, 50, 200]),
        too_long: pick(rng, &[0, 50]),
        worn_out: rng.random_bool(0.1),
        journals: rng.random_bool(0.5),
    }
}

fn draw_faults(rng: &mut impl Rng, window: u8, single_writer: bool) -> Faults {
    if rng.random_bool(0.1) {
        return Faults::default();
    }
    let mut faults = Faults {
        crashes: sometimes(rng, &[300, 3_000, 20_000]),
        replacements: rng.random_bool(0.1).then(|| pick(rng, &[3_000, 20_000])),
        rot: rng.random_bool(0.1).then(|| pick(rng, &[1_000, 10_000])),
        clocks: sometimes(rng, &[300, 5_000]),
        refusals: sometimes(rng, &[2_000, 10_000]),
        kills: sometimes(rng, &[500, 5_000]),
        cancels: sometimes(rng, &[500, 5_000]),
        stalls: sometimes(rng, &[100, 1_000]),
        source_changes: pick(rng, &[0, 0, 30]),
        journal_failures: pick(rng, &[0, 0, 30]),
        liars: Vec::new(),
        kill_at: rng.random_bool(0.15).then(|| rng.random_range(0..60)),
    };
    if rng.random_bool(0.08) {
        let count = rng.random_range(1..=window.div_ceil(2));
        let liar = |_| (rng.random_range(0..window), pick(rng, &Lie::ALL[..6]));
        faults.liars = (0..count).map(liar).collect();
    }
    if single_writer {
        faults.cancels = None;
    }
    faults
}
