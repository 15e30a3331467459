//! `tarn-sim sweep`: many seeds on several threads, with a line of progress.

use std::collections::BTreeMap;
use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Instant;

use tarn_sim::schedule;

/// What to sweep.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// From this seed up to, not including, that one: `0..1000`.
    #[arg(long)]
    seeds: String,
    /// How many threads.
    #[arg(long, default_value_t = 2)]
    jobs: usize,
    /// Go on after a seed that broke a promise.
    #[arg(long)]
    keep_going: bool,
}

#[derive(Default)]
struct Totals {
    seeds: u64,
    events: u64,
    simulated: u64,
    told: BTreeMap<&'static str, u64>,
    faults: BTreeMap<&'static str, u64>,
    broken: Vec<(u64, String)>,
}

#[allow(clippy::print_stdout, reason = "this is the command")]
#[expect(clippy::disallowed_methods, reason = "the command measures real time")]
pub(crate) fn sweep(arguments: &Arguments) -> ExitCode {
    let Some((from, to)) = arguments
        .seeds
        .split_once("..")
        .and_then(|(from, to)| Some((from.parse::<u64>().ok()?, to.parse::<u64>().ok()?)))
    else {
        println!("--seeds takes a range like 0..1000");
        return ExitCode::from(2);
    };
    let began = Instant::now();
    let (next, stop, totals) = (AtomicU64::new(from), AtomicBool::new(false), Mutex::default());
    std::thread::scope(|scope| {
        for _ in 0..arguments.jobs.max(1) {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= to || stop.load(Ordering::Relaxed) {
                        return;
                    }
                    let report = schedule::run(seed);
                    let mut totals: std::sync::MutexGuard<'_, Totals> =
                        totals.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
                    totals.seeds += 1;
                    totals.events += report.trace.events.len() as u64;
                    totals.simulated += report.simulated;
                    for (name, count) in report.told {
                        *totals.told.entry(name).or_default() += count;
                    }
                    for (name, count) in report.faults {
                        *totals.faults.entry(name).or_default() += count;
                    }
                    if let Some(broken) = report.broken {
                        println!("seed {seed}: {broken}");
                        totals.broken.push((seed, broken.to_string()));
                        if !arguments.keep_going {
                            stop.store(true, Ordering::Relaxed);
                        }
                    }
                }
            });
        }
    });
    let totals = totals.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner);
    let seconds = began.elapsed().as_secs_f64();
    println!(
        "{} seeds, {} events in {seconds:.1} s: {:.0} seeds/s, {:.0} events/s, simulated {:.0} times real",
        totals.seeds,
        totals.events,
        totals.seeds as f64 / seconds,
        totals.events as f64 / seconds,
        totals.simulated as f64 / 1000.0 / seconds
    );
    println!("told {:?}\nfaults {:?}", totals.told, totals.faults);
    if totals.broken.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
