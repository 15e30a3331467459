//! From one number to everything that a run is drawn from: how many servers and callers, what they do, what fails and
//! how often. Each is drawn, "never" included, so that runs differ in kind and not only in order.

use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

use crate::event::Lie;
use crate::setup::Setup;

mod draw;
mod show;

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
    /// Which publishes change a part of a version.
    Parts,
    /// Which publishes can read their content only once.
    Once,
    /// Whether publishes begin with a map of their callers'.
    Maps,
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
            Self::Parts => 7,
            Self::Once => 8,
            Self::Maps => 9,
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
    /// Of a thousand publishes, how many change a part of the version that they follow, if they follow one.
    pub parts: u32,
    /// Of a thousand publishes, how many can read their content only once.
    pub once: u32,
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
        let kinds: [fn(&Options) -> bool; 24] = [
            |o| o.expects_nothing,
            |o| o.setup.remembers,
            |o| o.setup.hands_maps_on,
            |o| o.setup.window_last,
            |o| o.oddities.sources > 0,
            |o| o.oddities.too_long > 0,
            |o| o.oddities.worn_out,
            |o| o.oddities.journals,
            |o| o.parts > 0,
            |o| o.once > 0,
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
