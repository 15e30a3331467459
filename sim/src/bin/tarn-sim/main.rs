//! The `tarn-sim` command: parses, calls the library, prints. Exit codes: 0 clean, 1 a promise is broken, 2 bad usage or
//! a file that cannot be read.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "this is the command")]

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

mod explore;
mod files;
mod grid;
mod list;
mod mutants;
mod play;
mod queue;
mod run;
mod scenario;
mod shell;
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
    /// Run one seed: its options first, then what happened if a promise was broken.
    Run(run::Arguments),
    /// Run many seeds, on several threads, until one breaks a promise.
    Sweep(sweep::Arguments),
    /// Play a trace file again.
    Replay(play::Arguments),
    /// Make a trace file that breaks a promise as short as it gets.
    Minimize {
        /// The trace.
        file: PathBuf,
        /// Where to write the shorter one; the trace's own name with `.min` before its ending by default.
        #[arg(long)]
        output: Option<PathBuf>,
        /// How often it may be played.
        #[arg(long, default_value_t = 20_000)]
        replays: usize,
    },
    /// Search every state that small scopes can reach.
    Explore(explore::Arguments),
    /// Run the shipped client and server over simulated connections, from seeds.
    Shell(shell::Arguments),
    /// Run a gateway's queue in a world of its own, from seeds.
    Queue(queue::Arguments),
    /// Plant every known bug, one at a time, and say what found it.
    Mutants(mutants::Arguments),
    /// Placement and durability of a whole grid over years.
    Grid(grid::Arguments),
    /// Tell a hazard of the design, H1 to H5, with its mistake planted and without.
    Scenario {
        /// Which.
        name: String,
    },
    /// List promises and planted bugs.
    List,
}

fn main() -> ExitCode {
    let done = match Arguments::parse().command {
        Command::Run(arguments) => run::run(&arguments),
        Command::Sweep(arguments) => sweep::sweep(&arguments),
        Command::Replay(arguments) => play::replay(&arguments),
        Command::Minimize { file, output, replays } => {
            play::minimize(&file, output.as_deref(), replays)
        }
        Command::Explore(arguments) => explore::explore(&arguments),
        Command::Shell(arguments) => shell::shell(&arguments),
        Command::Queue(arguments) => queue::queue(&arguments),
        Command::Mutants(arguments) => mutants::mutants(&arguments),
        Command::Grid(arguments) => grid::grid(&arguments),
        Command::Scenario { name } => scenario::scenario(&name),
        Command::List => {
            list::list();
            Ok(Verdict::Clean)
        }
    };
    match done {
        Ok(Verdict::Clean) => ExitCode::SUCCESS,
        Ok(Verdict::Broken) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("tarn-sim: {error}");
            ExitCode::from(2)
        }
    }
}

/// What a command found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verdict {
    /// Every promise held.
    Clean,
    /// A promise was broken, or a planted bug was not found.
    Broken,
}

/// A sentence for whoever typed the command.
type Failure = Box<dyn std::error::Error>;
