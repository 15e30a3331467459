//! `tarn-sim sweep`: many seeds on several threads, with a line of progress.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tarn_sim::coverage::Coverage;
use tarn_sim::schedule::{Report, Run};
use tarn_sim::trace::Trace;

use crate::{Failure, Verdict, files, run};

/// What to sweep.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// From this seed up to, not including, that one: `0..1000`.
    #[arg(long, value_parser = range)]
    seeds: Range<u64>,
    /// How many threads.
    #[arg(long, default_value_t = 2)]
    jobs: usize,
    /// Stop after so many minutes, if the seeds have not run out.
    #[arg(long)]
    minutes: Option<u64>,
    /// Run each seed twice: the two traces must be the same, byte for byte.
    #[arg(long)]
    twice: bool,
    /// Go on after a seed that broke a promise.
    #[arg(long)]
    keep_going: bool,
    /// Count what is reached; a refusal that was not is an error.
    #[arg(long)]
    coverage: bool,
    /// Draw the worlds that this planted bug needs, without the bug.
    #[arg(long, value_name = "BUG")]
    like: Option<String>,
    /// Seconds between lines of progress.
    #[arg(long, default_value_t = 10)]
    progress: u64,
}

pub(crate) fn range(text: &str) -> Result<Range<u64>, String> {
    let parse = |number: &str| number.parse::<u64>().ok();
    text.split_once("..")
        .and_then(|(from, to)| Some(parse(from)?..parse(to)?))
        .filter(|range| !range.is_empty())
        .ok_or_else(|| "a range of seeds looks like 0..1000".to_owned())
}

#[derive(Default)]
struct Totals {
    seeds: u64,
    events: u64,
    simulated: u64,
    told: BTreeMap<&'static str, u64>,
    faults: BTreeMap<&'static str, u64>,
    broken: Vec<u64>,
    shown: u64,
    coverage: Coverage,
}

impl Totals {
    fn add(&mut self, report: &Report) {
        self.seeds += 1;
        self.events += report.trace.events.len() as u64;
        self.simulated += report.simulated;
        for (name, count) in &report.told {
            *self.told.entry(name).or_default() += count;
        }
        for (name, count) in &report.faults {
            *self.faults.entry(name).or_default() += count;
        }
    }

    fn line(&self, elapsed: Duration, jobs: usize) -> String {
        let seconds = elapsed.as_secs_f64().max(0.001);
        let faults: u64 = self.faults.values().sum();
        let per_core = self.simulated as f64 / 1000.0 / seconds / jobs as f64;
        format!(
            "{} seeds in {seconds:.0} s, {:.0} seeds/s, {:.0} events/s, simulated {per_core:.0} times real a core, \
             {faults} faults injected",
            self.seeds,
            self.seeds as f64 / seconds,
            self.events as f64 / seconds,
        )
    }
}

#[expect(clippy::disallowed_methods, reason = "the command measures real time")]
pub(crate) fn sweep(arguments: &Arguments) -> Result<Verdict, Failure> {
    let (began, jobs) = (Instant::now(), arguments.jobs.max(1));
    let deadline = arguments.minutes.map(|minutes| Duration::from_secs(60 * minutes));
    let next = AtomicU64::new(arguments.seeds.start);
    let stop = AtomicBool::new(false);
    let totals = Mutex::new(Totals::default());
    // A name that no bug has is told before the first run.
    run::drawn(arguments.like.as_deref(), 0)?;
    let worker = || {
        let mut coverage = Coverage::default();
        while !stop.load(Ordering::Relaxed) {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= arguments.seeds.end || deadline.is_some_and(|at| began.elapsed() >= at) {
                break;
            }
            let Ok(report) = arguments.simulate(seed, &mut coverage) else { break };
            let repeats = || arguments.simulate(seed, &mut Coverage::default());
            let is_same = !arguments.twice || repeats().is_ok_and(|again| same(&report, &again));
            let mut totals = lock(&totals);
            totals.add(&report);
            if !is_same {
                println!("seed {seed}: the second run is not the first");
            }
            if let Some(broken) = &report.broken {
                println!("seed {seed}: {broken}");
                arguments.leave(seed, &report.trace);
            }
            if !is_same || report.broken.is_some() {
                totals.broken.push(seed);
                stop.fetch_or(!arguments.keep_going, Ordering::Relaxed);
            }
            let due = began.elapsed().as_secs() / arguments.progress.max(1);
            if due > totals.shown {
                totals.shown = due;
                println!("{}", totals.line(began.elapsed(), jobs));
            }
        }
        lock(&totals).coverage.add(coverage);
    };
    std::thread::scope(|scope| {
        for _ in 0..jobs {
            scope.spawn(worker);
        }
    });
    let totals = totals.into_inner().unwrap_or_else(PoisonError::into_inner);
    println!("{}", totals.line(began.elapsed(), jobs));
    println!("told     {:?}\ninjected {:?}", totals.told, totals.faults);
    let unreached = arguments.coverage && {
        println!("\n{}", totals.coverage);
        totals.coverage.missing().next().is_some()
    };
    if totals.broken.is_empty() {
        println!("every promise held");
    } else {
        println!("broken by {:?}", totals.broken);
    }
    let is_clean = totals.broken.is_empty() && !unreached;
    Ok(if is_clean { Verdict::Clean } else { Verdict::Broken })
}

impl Arguments {
    fn simulate(&self, seed: u64, coverage: &mut Coverage) -> Result<Report, Failure> {
        let run = Run::new(run::drawn(self.like.as_deref(), seed)?, None);
        if !self.coverage {
            return Ok(run.run());
        }
        let (report, counted) = run.run_counting(std::mem::take(coverage));
        *coverage = counted;
        Ok(report)
    }

    /// Leaves the trace of a broken promise, and says how to have it again.
    fn leave(&self, seed: u64, trace: &Trace) {
        let path = format!("seed-{seed}.trace");
        if let Err(error) = files::write(path.as_ref(), trace) {
            eprintln!("tarn-sim: {error}");
        }
        let like = self.like.as_ref().map(|bug| format!(" --like {bug}")).unwrap_or_default();
        let commit = env!("TARN_SIM_COMMIT");
        println!(
            "  again: tarn-sim run --seed {seed}{like} (at {commit})    replay: tarn-sim replay {path}"
        );
    }
}

/// Whether two runs left the same trace, byte for byte.
fn same(one: &Report, other: &Report) -> bool {
    let bytes = |report: &Report| {
        let mut bytes = Vec::new();
        report.trace.write(&mut bytes).expect("memory takes everything");
        bytes
    };
    bytes(one) == bytes(other)
}

fn lock(totals: &Mutex<Totals>) -> MutexGuard<'_, Totals> {
    totals.lock().unwrap_or_else(PoisonError::into_inner)
}
