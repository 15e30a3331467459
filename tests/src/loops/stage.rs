//! What a loop works with: servers, a log, chance, and a count of what happened. Knows no fault.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use rand::RngExt;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;
use serde_json::Value;

use super::{Options, Row};
use crate::content::Content;
use crate::fleet::Fleet;
use crate::history::{Counts, Log};
use crate::home::Home;
use crate::rounds::rng;
use crate::told::Told;
use crate::witness::Witness;

/// How many servers there are where nothing else is said.
pub(super) const SERVERS: usize = 10;

/// Lengths of contents: kept in a server's database, or in a chunk of its own.
const SMALL: usize = 4_000;
const LARGE: usize = 400_000;
/// About what a process takes until it begins to work.
const START: Duration = Duration::from_millis(30);
/// How many violations are shown.
const SHOWN: usize = 10;

/// What a loop works with.
pub(super) struct Stage {
    name: &'static str,
    options: Options,
    pub(super) fleet: Fleet,
    pub(super) log: Arc<Log>,
    pub(super) rng: ChaCha8Rng,
    pub(super) contents: Contents,
    /// How long the last publish took.
    publish: Duration,
    happened: BTreeMap<&'static str, u64>,
    /// What it would do and cannot here, and why.
    pub(super) lacks: Option<String>,
    began: Instant,
}

impl Stage {
    #[expect(clippy::disallowed_methods, reason = "how long a loop took is only shown")]
    pub(super) fn new(name: &'static str, options: &Options, fleet: Fleet) -> Self {
        Self {
            name,
            fleet,
            log: Arc::new(Log::create(options.log.as_deref(), name)),
            rng: rng(options.seed),
            options: options.clone(),
            contents: Contents { seed: options.seed, made: 0 },
            publish: Duration::ZERO,
            happened: BTreeMap::new(),
            lacks: None,
            began: Instant::now(),
        }
    }

    /// A new user who makes the file of this name, and publishes its first version.
    pub(super) fn owner(&mut self, home: Home, file: &str) -> Witness {
        let owner = Witness::owner(home, Arc::clone(&self.log), file);
        let told = owner.publish(&self.contents.fresh()).published();
        self.took(&told);
        owner
    }

    /// Remembers how long a publish took.
    pub(super) fn took(&mut self, told: &Told) {
        self.publish = Duration::from_secs_f64(told.seconds);
    }

    /// A moment in a publish that has just been started, or a little after its end.
    pub(super) fn moment(&mut self) -> Duration {
        (self.publish + START).mul_f64(self.rng.random::<f64>() * 1.2)
    }

    /// Between one and so many servers.
    pub(super) fn some_servers(&mut self, most: usize) -> Vec<usize> {
        let mut servers: Vec<usize> = (0..self.fleet.len()).collect();
        servers.shuffle(&mut self.rng);
        servers.truncate(self.rng.random_range(1..=most));
        servers
    }

    /// Something happened so often.
    pub(super) fn happens(&mut self, what: &'static str, often: usize) {
        *self.happened.entry(what).or_default() += u64::try_from(often).unwrap();
    }

    /// Holds all that was told so far to what was promised. Nothing is under way.
    pub(super) fn check(&self) -> Counts {
        let report = self.log.history().check();
        let shown: Vec<String> =
            report.violations.iter().take(SHOWN).map(ToString::to_string).collect();
        assert!(
            shown.is_empty(),
            "{}, seed {}: {:?} and {} more, see {}",
            self.name,
            self.options.seed,
            shown,
            report.violations.len() - shown.len(),
            self.log.path().display()
        );
        report.counts
    }

    /// Ends the loop: with all servers up everybody reads the file confirmed, every slot is whole, and what was told is
    /// true; and what is on the disks fits its tables.
    pub(super) fn end(&mut self, witnesses: &[&Witness]) -> Row {
        self.fleet.serve_all();
        for witness in witnesses {
            assert!(witness.read(), "the file cannot be read confirmed by {witness:?}");
            slots_are_whole(&witness.status_of_all_but(&[]), &[]);
        }
        let counts = self.check();
        self.fleet.stop_all();
        let torn = self.fleet.torn();
        assert_eq!(torn, 0, "see {}", self.log.path().display());
        let (name, rounds, time) = (self.name, self.options.rounds, self.began.elapsed());
        let (happened, lacks) = (std::mem::take(&mut self.happened), self.lacks.take());
        Row { name, rounds, counts, torn, time, happened, lacks }
    }
}

/// Contents that were never published, small and large.
pub(super) struct Contents {
    seed: u64,
    pub(super) made: u64,
}

impl Contents {
    pub(super) fn fresh(&mut self) -> Content {
        self.made += 1;
        let length = if self.made.is_multiple_of(3) { SMALL } else { LARGE };
        self.make(length)
    }

    /// A large one.
    pub(super) fn large(&mut self) -> Content {
        self.made += 1;
        self.make(LARGE)
    }

    fn make(&self, length: usize) -> Content {
        Content::new(self.seed.wrapping_add(self.made << 20), length)
    }
}

/// Expects that every server of the file answers, but for these stores, which are gone, and has whole shares of each of
/// its versions.
pub(super) fn slots_are_whole(status: &Value, gone: &[&str]) {
    assert_eq!(status["confirmed"], true, "{status:#}");
    let mut asked = 0;
    for server in status["servers"].as_array().unwrap() {
        if gone.iter().any(|gone| server["server"] == *gone) {
            continue;
        }
        assert!(server["error"].is_null(), "{status:#}");
        let versions = server["versions"].as_array().unwrap();
        let count = |version: &Value, key: &str| version[key].as_array().unwrap().len();
        let is_whole =
            |version: &Value| count(version, "shares") > 0 && count(version, "damaged") == 0;
        assert!(versions.iter().all(is_whole), "{status:#}");
        asked += 1;
    }
    assert!(asked > 0, "{status:#}");
}

/// Whether a publish was told that this store has a share.
pub(super) fn has_a_share(told: &Told, store: &str) -> bool {
    let shares = told.json["shares"].as_array().unwrap();
    shares.iter().any(|share| share["server"] == store)
}

/// Says that it is over when it goes, also when a loop fails: threads beside it must end.
pub(super) struct Over<'a>(pub(super) &'a AtomicBool);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Does something while this user reads the file again and again, once at least; answers what came of it.
pub(super) fn while_reading<T>(reader: &Witness, work: impl FnOnce() -> T) -> T {
    let over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            loop {
                reader.read();
                if over.load(Ordering::Relaxed) {
                    break;
                }
            }
        });
        let _over = Over(&over);
        work()
    })
}
