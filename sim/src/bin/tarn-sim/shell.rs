//! `tarn-sim shell`: the shipped client and server over simulated connections.

use std::collections::BTreeMap;
use std::ops::Range;
use std::time::{Duration, Instant};

use tarn_sim::shell::{self, Options};

use crate::{Failure, Verdict, files, sweep};

#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// From this seed up to, not including, that one: `0..100`.
    #[arg(long, value_parser = sweep::range)]
    seeds: Range<u64>,
    /// Run each seed twice, and compare what happened.
    #[arg(long)]
    twice: bool,
}

#[expect(clippy::disallowed_methods, reason = "the command measures real time")]
pub(crate) fn shell(arguments: &Arguments) -> Result<Verdict, Failure> {
    let began = Instant::now();
    let (mut rpcs, mut elapsed) = (0, Duration::ZERO);
    let mut outcomes = BTreeMap::<String, u64>::new();
    for seed in arguments.seeds.clone() {
        let options = Options::draw(seed);
        let report = match shell::run(&options) {
            Ok(report) => report,
            Err(violation) => {
                println!("{options}\nseed {seed}: {violation}");
                let path = format!("shell-{seed}.log");
                files::write_text(path.as_ref(), &violation.log)?;
                println!("again: tarn-sim shell --seeds {seed}..{}    log: {path}", seed + 1);
                return Ok(Verdict::Broken);
            }
        };
        if arguments.twice && shell::run(&options).map(|again| again.log != report.log) != Ok(false)
        {
            println!("seed {seed}: the second run is not the first");
            return Ok(Verdict::Broken);
        }
        rpcs += report.rpcs;
        elapsed += report.elapsed;
        for (outcome, count) in &report.outcomes {
            *outcomes.entry(outcome.clone()).or_default() += count;
        }
    }
    let real = began.elapsed().as_secs_f64().max(0.001);
    println!(
        "{} seeds, {rpcs} calls in {real:.1} s; simulated {:.0} times real; told {outcomes:?}",
        arguments.seeds.end - arguments.seeds.start,
        elapsed.as_secs_f64() / real
    );
    println!("every promise held");
    Ok(Verdict::Clean)
}
