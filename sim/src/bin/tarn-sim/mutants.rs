//! `tarn-sim mutants`: every planted bug, what found it, and how long that took.

use std::time::Instant;

use tarn_sim::bugs::{self, Bug, Found};
use tarn_sim::explore;
use tarn_sim::queue;

use crate::{Failure, Verdict};

#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Only this bug.
    #[arg(long)]
    bug: Option<String>,
    /// Only run each on the seed that is known to find it.
    #[arg(long)]
    known: bool,
    /// How many searches, each from another seed, the median is taken of.
    #[arg(long, default_value_t = 5)]
    starts: u64,
    /// How many seeds one search may take.
    #[arg(long, default_value_t = 100_000)]
    seeds: u64,
}

pub(crate) fn mutants(arguments: &Arguments) -> Result<Verdict, Failure> {
    let wanted = |bug: &&Bug| arguments.bug.as_ref().is_none_or(|name| bug.name == name);
    let mut verdict = Verdict::Clean;
    let mut any = false;
    println!("{:<32} {:<10} {:>9} {:>9}", "bug", "caught by", "seeds", "seconds");
    for bug in bugs::all().filter(wanted) {
        any = true;
        let caught = match bug.found {
            Found::BySeed(seed) if arguments.known => known(bug, seed),
            Found::BySeed(_) => hunted(bug, arguments),
            Found::ByExplorer(scope) => explored(bug, scope),
            Found::Never(why) => {
                println!("{:<32} cannot be shown: {why}", bug.name);
                true
            }
        };
        if !caught {
            println!("{:<32} NOT FOUND", bug.name);
            verdict = Verdict::Broken;
        }
    }
    let wanted = |bug: &&queue::Bug| arguments.bug.as_ref().is_none_or(|name| bug.name == name);
    for bug in queue::bugs::all().filter(wanted) {
        any = true;
        let caught =
            if arguments.known { known_in_queue(bug) } else { hunted_in_queue(bug, arguments) };
        if !caught {
            println!("{:<32} NOT FOUND", bug.name);
            verdict = Verdict::Broken;
        }
    }
    if any {
        Ok(verdict)
    } else {
        Err("no bug is called that: `tarn-sim list` names them all".into())
    }
}

/// On the seed that finds it; and the same seed without it is clean.
fn known(bug: &Bug, seed: u64) -> bool {
    let Some(broken) = bug.run(seed).broken else { return false };
    if let Some(broken) = bug.run_without(seed).broken {
        println!("{:<32} seed {seed} is not clean without it: {broken}", bug.name);
        return false;
    }
    println!("{:<32} {:<10} seed {seed}, clean without it", bug.name, broken.promise.id);
    true
}

/// In a scope made for it, which is clean without it.
#[expect(clippy::disallowed_methods, reason = "the command measures real time")]
fn explored(bug: &Bug, name: &str) -> bool {
    let Some(named) = explore::named().into_iter().find(|named| named.name == name) else {
        return false;
    };
    let began = Instant::now();
    let found = explore::explore_planted(&named.scope, (bug.plant)().as_ref());
    let seconds = began.elapsed().as_secs_f64();
    let Some((_, broken)) = found.violation else { return false };
    let (promise, states) = (broken.promise.id, found.states);
    println!("{:<32} {promise:<10} {states} states of the scope {name}, {seconds:.2} s", bug.name);
    true
}

fn hunted(bug: &Bug, arguments: &Arguments) -> bool {
    let hunt = |from| {
        let (seed, broken) = bug.hunt(from, arguments.seeds)?;
        Some((seed, broken.promise.id))
    };
    median(bug.name, arguments, hunt)
}

/// On the seed that finds it, in the queue lane; and the same seed without it is clean.
fn known_in_queue(bug: &queue::Bug) -> bool {
    let (name, (_, seed)) = (bug.name, bug.found);
    let Some(broken) = bug.run(seed).broken else { return false };
    if let Some(broken) = bug.run_without(seed).broken {
        println!("{name:<32} seed {seed} is not clean without it: {broken}");
        return false;
    }
    println!("{name:<32} {:<10} seed {seed} of `queue`, clean without it", broken.check.id);
    true
}

fn hunted_in_queue(bug: &queue::Bug, arguments: &Arguments) -> bool {
    let hunt = |from| {
        let (seed, broken) = bug.hunt(from, arguments.seeds)?;
        Some((seed, broken.check.id))
    };
    median(bug.name, arguments, hunt)
}

/// The median of several searches, each from another seed.
#[expect(clippy::disallowed_methods, reason = "the command measures real time")]
fn median(
    name: &str,
    arguments: &Arguments,
    hunt: impl Fn(u64) -> Option<(u64, &'static str)>,
) -> bool {
    let mut hunts = Vec::new();
    let mut caught_by = std::collections::BTreeSet::new();
    for start in 0..arguments.starts.max(1) {
        let from = start * 10_000_000;
        let began = Instant::now();
        let Some((seed, by)) = hunt(from) else { return false };
        caught_by.insert(by);
        hunts.push((began.elapsed(), seed - from + 1));
    }
    hunts.sort();
    let (took, seeds) = hunts[hunts.len() / 2];
    let caught_by: Vec<&str> = caught_by.into_iter().collect();
    println!("{name:<32} {:<10} {seeds:>9} {:>9.2}", caught_by.join(" "), took.as_secs_f64());
    true
}
