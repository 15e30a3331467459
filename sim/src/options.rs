//! From one number to everything that a run is drawn from: how many servers and callers, what they do, what fails and
//! how often. Each is drawn, "never" included, so that runs differ in kind and not only in order.

use std::fmt;

use rand::{Rng, RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::event::Lie;
use crate::setup::Setup;

/// The subsystems that draw. Each has a stream of its own: one more draw in one does not shift the others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stream {
    /// The options themselves.
    Options,
    /// What callers do, and when.
    Workload,
    /// Latency, loss, duplicates, partitions.
    Network,
    /// How long disks take, and when they fail.
    Disk,
    /// Crashes, clocks, rot, lies, kills.
    Faults,
    /// Requests that linger.
    Lingering,
    /// What hardly ever happens to a caller.
    Oddities,
}

impl Stream {
    /// The stream of this subsystem in the run with this seed.
    pub fn of(self, seed: u64) -> ChaCha8Rng {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        rng.set_stream(match self {
            Self::Options => 0,
            Self::Workload => 1,
            Self::Network => 2,
            Self::Disk => 3,
            Self::Faults => 4,
            Self::Lingering => 5,
            Self::Oddities => 6,
        });
        rng
    }
}

/// Everything a run is drawn from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// The seed it was all drawn from.
    pub seed: u64,
    /// The world before its first event.
    pub setup: Setup,
    /// When everything heals, in milliseconds.
    pub horizon: u64,
    /// What each caller does.
    pub callers: Vec<Habit>,
    /// The shapes that publishes use: k, happy, n.
    pub shapes: Vec<(u8, u8, u8)>,
    /// Whether a publish may leave the shape to its base.
    pub keeps_shape: bool,
    /// Bytes of content.
    pub lengths: Vec<u64>,
    /// The mean pause between the tasks of a caller, in milliseconds.
    pub pause: u64,
    /// Whether whoever names what a publish follows says of the first that there is no file yet.
    pub expects_nothing: bool,
    /// Of a thousand submissions, how many are made twice at once.
    pub double_submits: u32,
    /// The network.
    pub network: Network,
    /// The disks.
    pub disk: Disk,
    /// What befalls servers and clients.
    pub faults: Faults,
    /// What hardly ever happens to a caller, and must be right when it does.
    pub oddities: Oddities,
}

/// What hardly ever happens to a caller.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Oddities {
    /// Of a thousand passes, how many find that their source cannot be read, or is not as the pass before read it.
    pub sources: u32,
    /// Of a thousand publishes, how many are longer than a version can be.
    pub too_long: u32,
    /// Whether the file comes to the last of its sequence numbers.
    pub worn_out: bool,
    /// Whether a writer that was killed comes back with its journal.
    pub journals: bool,
}

/// What a caller does, over and over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Habit {
    /// Publishes after whatever is there.
    Overwrites,
    /// Publishes after what it published last, and nothing else.
    Tickets,
    /// Reads, and publishes after what it read.
    Modifies,
    /// Reads.
    Reads,
}

/// How messages fare.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Network {
    /// The shortest and longest time on the way, in milliseconds.
    pub latency: (u64, u64),
    /// Of a thousand messages, how many take no time at all: the answer is ready before the send returns.
    pub instant: u32,
    /// Of a thousand, how many take twenty times as long.
    pub delayed: u32,
    /// Of a thousand, how many are lost, and their connection with them.
    pub lost: u32,
    /// Of a thousand, how many arrive twice.
    pub duplicated: u32,
    /// Of a thousand, how many arrive though their connection broke first: whoever sent one was told that no answer
    /// will come, and it is still on its way.
    pub outlived: u32,
    /// Whether messages of one stream overtake each other.
    pub reorders: bool,
    /// Servers that take so many times as long, if any.
    pub slow: Option<(u8, u64)>,
    /// The mean time between partitions, if there are any, and how long one lasts, in milliseconds.
    pub partitions: Option<(u64, u64)>,
    /// Requests that arrive when others have published meanwhile, if any do.
    pub lingering: Option<Lingering>,
}

/// How requests linger that change a slot. A promise protects a commit on its way for a while only: what comes later meets
/// what was brought meanwhile.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lingering {
    /// Of a thousand, how many do.
    pub often: u32,
    /// The longest time, in milliseconds.
    pub longest: u64,
    /// Of a thousand that do, during how many their server's clock jumps, so that its promises lapse.
    pub lapses: u32,
}

/// How disks fare.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Disk {
    /// The shortest and longest time until a change is durable, in milliseconds.
    pub sync: (u64, u64),
    /// Of a thousand changes, how many fail.
    pub failed: u32,
}

/// The mean time between events of each kind, in milliseconds; none is never.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Faults {
    /// A server crashes, and restarts after a while.
    pub crashes: Option<u64>,
    /// A server's disk is lost.
    pub replacements: Option<u64>,
    /// A share's bytes change on a disk.
    pub rot: Option<u64>,
    /// A server's clocks jump: its promises lapse.
    pub clocks: Option<u64>,
    /// A server becomes full or read-only for a while.
    pub refusals: Option<u64>,
    /// A client is killed.
    pub kills: Option<u64>,
    /// A caller loses interest.
    pub cancels: Option<u64>,
    /// An encoding pass is reported to be held up.
    pub stalls: Option<u64>,
    /// Of a thousand passes, how many find that their source has changed.
    pub source_changes: u32,
    /// Of a thousand journal entries, how many cannot be written.
    pub journal_failures: u32,
    /// Which servers lie from the beginning, and how.
    pub liars: Vec<(u8, Lie)>,
    /// The writer is killed at exactly this message of its first publish, if at all.
    pub kill_at: Option<u32>,
}

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

impl fmt::Display for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { setup, network, disk, faults, oddities, .. } = self;
        writeln!(f, "seed {}", self.seed)?;
        writeln!(
            f,
            "  servers    {} of which {} in the window{}; promise {} ms; disk {}",
            setup.servers,
            setup.window,
            if setup.window_last { ", asked last" } else { "" },
            setup.promise,
            if setup.instant_disk {
                "instant".to_owned()
            } else {
                format!("{}..{} ms, {} ‰ fail", disk.sync.0, disk.sync.1, disk.failed)
            }
        )?;
        writeln!(
            f,
            "  callers    {:?}, pause {} ms; {} ‰ submit twice at once; the first ticket names {}",
            self.callers,
            self.pause,
            self.double_submits,
            if self.expects_nothing { "nothing" } else { "whatever is there" }
        )?;
        let keeps = if self.keeps_shape { ", now and then the shape that is there" } else { "" };
        writeln!(f, "  shapes     {:?}{keeps}, lengths {:?}", self.shapes, self.lengths)?;
        writeln!(
            f,
            "  network    {}..{} ms; instant {} ‰, delayed {} ‰, lost {} ‰, twice {} ‰, late {} ‰{}",
            network.latency.0,
            network.latency.1,
            network.instant,
            network.delayed,
            network.lost,
            network.duplicated,
            network.outlived,
            if network.reorders { ", reordered" } else { "" }
        )?;
        if let Some((server, factor)) = network.slow {
            writeln!(f, "             s{server} {factor} times slower")?;
        }
        if let Some((every, lasts)) = network.partitions {
            writeln!(f, "             a partition of {lasts} ms every {every} ms")?;
        }
        if let Some(Lingering { often, longest, lapses }) = network.lingering {
            writeln!(
                f,
                "             writes linger {often} ‰ for up to {longest} ms, {lapses} ‰ past their promise"
            )?;
        }
        write!(f, "  faults    ")?;
        let kinds = [
            ("crash", faults.crashes),
            ("replace", faults.replacements),
            ("rot", faults.rot),
            ("clock", faults.clocks),
            ("full or read-only", faults.refusals),
            ("kill", faults.kills),
            ("cancel", faults.cancels),
            ("stall", faults.stalls),
        ];
        for (kind, every) in kinds {
            if let Some(every) = every {
                write!(f, " {kind} every {every} ms;")?;
            }
        }
        for (server, lie) in &faults.liars {
            write!(f, " s{server} lies: {lie:?};")?;
        }
        if let Some(message) = faults.kill_at {
            write!(f, " the writer dies at its message {message};")?;
        }
        writeln!(
            f,
            " source changes {} ‰, journal fails {} ‰; all heals at {} ms",
            faults.source_changes, faults.journal_failures, self.horizon
        )?;
        write!(
            f,
            "  oddities   source unreadable or edited between passes {} ‰, too long {} ‰{}{}{}",
            oddities.sources,
            oddities.too_long,
            if oddities.worn_out { "; sequence numbers run out" } else { "" },
            if oddities.journals { "; killed writers have their journals" } else { "" },
            if setup.remembers { "; callers remember slow servers" } else { "" }
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_gives_the_same_options_and_another_others() {
        assert_eq!(Options::draw(7), Options::draw(7));
        assert_ne!(Options::draw(7).to_string(), Options::draw(8).to_string());
    }

    #[test]
    fn every_kind_of_fault_is_drawn_now_and_then_and_now_and_then_not() {
        let drawn: Vec<Options> = (0..500).map(Options::draw).collect();
        let kinds: [fn(&Options) -> bool; 21] = [
            |o| o.expects_nothing,
            |o| o.setup.remembers,
            |o| o.setup.window_last,
            |o| o.oddities.sources > 0,
            |o| o.oddities.too_long > 0,
            |o| o.oddities.worn_out,
            |o| o.oddities.journals,
            |o| o.faults.crashes.is_some(),
            |o| o.faults.replacements.is_some(),
            |o| o.faults.rot.is_some(),
            |o| o.faults.clocks.is_some(),
            |o| o.faults.refusals.is_some(),
            |o| o.faults.kills.is_some(),
            |o| o.faults.cancels.is_some(),
            |o| !o.faults.liars.is_empty(),
            |o| o.network.lost > 0,
            |o| o.network.duplicated > 0,
            |o| o.network.outlived > 0,
            |o| o.network.partitions.is_some(),
            |o| o.network.lingering.is_some(),
            |o| o.setup.single_writer,
        ];
        for (index, kind) in kinds.iter().enumerate() {
            let on = drawn.iter().filter(|options| kind(options)).count();
            assert!(on > 0 && on < drawn.len(), "kind {index}: {on} of {}", drawn.len());
        }
    }
}
