//! `tarn-sim queue`: the order of publishes on a gateway, from seeds.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use tarn_sim::queue::{self, Bug, COUNTED, Options, Report, bugs};

use crate::{Failure, Verdict, sweep};

#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// From this seed up to, not including, that one: `0..100000`.
    #[arg(long, value_parser = sweep::range, conflicts_with = "seed", required_unless_present = "seed")]
    seeds: Option<Range<u64>>,
    /// This seed alone, with its options.
    #[arg(long)]
    seed: Option<u64>,
    /// Tell the story of the seed, also if it is clean.
    #[arg(long, requires = "seed")]
    verbose: bool,
    /// Plant this bug first.
    #[arg(long)]
    bug: Option<String>,
    /// Run each seed twice: the two stories must be the same.
    #[arg(long)]
    twice: bool,
    /// How many threads.
    #[arg(long, default_value_t = 2)]
    jobs: usize,
}

pub(crate) fn queue(arguments: &Arguments) -> Result<Verdict, Failure> {
    let bug = match &arguments.bug {
        None => None,
        Some(name) => {
            Some(bugs::by_name(name).ok_or_else(|| format!("no bug of the queue is {name}"))?)
        }
    };
    let seeds = match (arguments.seed, arguments.seeds.clone()) {
        (Some(seed), _) => return Ok(tell(seed, bug, arguments)),
        (None, Some(seeds)) => seeds,
        (None, None) => return Err("name a seed or seeds".into()),
    };
    Ok(many(&seeds, bug, arguments))
}

/// One seed, for people.
fn tell(seed: u64, bug: Option<&'static Bug>, arguments: &Arguments) -> Verdict {
    let options = Options::draw(seed);
    println!("{options}\n");
    let report = queue::run(options, bug, true);
    if arguments.verbose || report.broken.is_some() {
        report.story.iter().for_each(|line| println!("{line}"));
    }
    println!("{} facts; {:?}", report.facts, report.counts);
    if arguments.twice && !repeats(seed, bug) {
        println!("seed {seed}: the second run is not the first");
        return Verdict::Broken;
    }
    match &report.broken {
        Some(broken) => {
            println!("seed {seed}: {broken}");
            Verdict::Broken
        }
        None => Verdict::Clean,
    }
}

#[derive(Default)]
struct Totals {
    seeds: u64,
    facts: u64,
    simulated: u64,
    counts: BTreeMap<&'static str, u64>,
    broken: Vec<u64>,
}

#[expect(clippy::disallowed_methods, reason = "the command measures real time")]
fn many(seeds: &Range<u64>, bug: Option<&'static Bug>, arguments: &Arguments) -> Verdict {
    let began = Instant::now();
    let (next, stop) = (AtomicU64::new(seeds.start), AtomicBool::new(false));
    let totals = Mutex::new(Totals::default());
    let worker = || {
        let mut own = Totals::default();
        while !stop.load(Ordering::Relaxed) {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= seeds.end {
                break;
            }
            let report = queue::run(Options::draw(seed), bug, false);
            let is_same = !arguments.twice || repeats(seed, bug);
            own.add(&report);
            if !is_same {
                println!("seed {seed}: the second run is not the first");
            }
            if let Some(broken) = &report.broken {
                let planted = bug.map(|bug| format!(" --bug {}", bug.name)).unwrap_or_default();
                let commit = env!("TARN_SIM_COMMIT");
                println!("seed {seed}: {broken}");
                println!("  again: tarn-sim queue --seed {seed}{planted} (at {commit})");
            }
            if !is_same || report.broken.is_some() {
                own.broken.push(seed);
                stop.store(true, Ordering::Relaxed);
            }
        }
        totals.lock().unwrap_or_else(PoisonError::into_inner).merge(own);
    };
    std::thread::scope(|scope| {
        for _ in 0..arguments.jobs.max(1) {
            scope.spawn(worker);
        }
    });
    let totals = totals.into_inner().unwrap_or_else(PoisonError::into_inner);
    let seconds = began.elapsed().as_secs_f64().max(0.001);
    println!(
        "{} seeds, {} facts in {seconds:.1} s, {:.0} seeds/s; simulated {:.0} times real",
        totals.seeds,
        totals.facts,
        totals.seeds as f64 / seconds,
        totals.simulated as f64 / 1000.0 / seconds
    );
    println!("{:?}", totals.counts);
    for kind in COUNTED.iter().filter(|kind| !totals.counts.contains_key(**kind)) {
        println!("not reached: {kind}");
    }
    if totals.broken.is_empty() {
        println!("every check was passed");
        Verdict::Clean
    } else {
        println!("broken by {:?}", totals.broken);
        Verdict::Broken
    }
}

/// Whether two runs of a seed have the same story.
fn repeats(seed: u64, bug: Option<&Bug>) -> bool {
    let story = || queue::run(Options::draw(seed), bug, true).story;
    story() == story()
}

impl Totals {
    fn add(&mut self, report: &Report) {
        self.seeds += 1;
        self.facts += report.facts;
        self.simulated += report.simulated;
        for (kind, count) in &report.counts {
            *self.counts.entry(kind).or_default() += count;
        }
    }

    fn merge(&mut self, other: Self) {
        self.seeds += other.seeds;
        self.facts += other.facts;
        self.simulated += other.simulated;
        for (kind, count) in other.counts {
            *self.counts.entry(kind).or_default() += count;
        }
        self.broken.extend(other.broken);
    }
}
