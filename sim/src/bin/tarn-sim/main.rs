//! The `tarn-sim` command: parses, calls the library, prints. Exit codes: 0 clean, 1 a promise broken, 2 bad usage.

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use tarn_sim::options::Options;
use tarn_sim::schedule::Run;

mod sweep;

/// Runs tarn's own machines under every fault, and holds them to its promises.
#[derive(Debug, Parser)]
#[command(name = "tarn-sim", version)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run one seed.
    Run {
        /// The seed.
        #[arg(long)]
        seed: u64,
    },
    /// Run many seeds, until one breaks a promise.
    Sweep(sweep::Arguments),
}

#[allow(clippy::print_stdout, reason = "this is the command")]
fn main() -> ExitCode {
    match Arguments::parse().command {
        Command::Run { seed } => {
            let options = Options::draw(seed);
            println!("{options}");
            let report = Run::new(options, None).run();
            println!(
                "{} events, {} ms, told {:?}, faults {:?}",
                report.trace.events.len(),
                report.simulated,
                report.told,
                report.faults
            );
            match report.broken {
                None => ExitCode::SUCCESS,
                Some(broken) => {
                    for timed in &report.trace.events {
                        println!("{:>9} {:?}", timed.at, timed.event);
                    }
                    println!("{broken}");
                    ExitCode::FAILURE
                }
            }
        }
        Command::Sweep(arguments) => sweep::sweep(&arguments),
    }
}
