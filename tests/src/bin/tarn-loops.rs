//! Runs loops as long as they are told to, and prints a row for each. Ends with the first promise that is broken, and
//! says where the log of it is.
#![allow(clippy::print_stdout, reason = "the rows are what is asked for")]

use std::path::PathBuf;

use clap::Parser;
use tarn_tests::loops::{ALL, Loop, Options, Row};

/// Repeats a fault on real processes while a file is published and read, and checks what every client was told.
#[derive(Debug, Parser)]
#[command(after_help = loops())]
struct Args {
    /// The loop to run; all of them, one after the other, if that is what it says.
    #[arg(value_name = "NAME|all", value_parser = find)]
    name: Chosen,
    /// How many rounds [default: a few, as in the tests].
    #[arg(long, value_name = "NUMBER")]
    rounds: Option<u64>,
    /// Where chance begins.
    #[arg(long, value_name = "NUMBER", default_value_t = 1)]
    seed: u64,
    /// Keeps the log of one loop in this file.
    #[arg(long, value_name = "FILE")]
    log: Option<PathBuf>,
}

/// The loops to run.
#[derive(Debug, Clone)]
struct Chosen(Vec<Loop>);

fn main() {
    let args = Args::parse();
    println!("{}", Row::headings());
    for one in args.name.0 {
        let rounds = args.rounds.unwrap_or(one.few);
        let options = Options { rounds, seed: args.seed, log: args.log.clone() };
        match one.run(&options) {
            Ok(row) => println!("{row}"),
            Err(skipped) => println!("{:26}{skipped}", one.name),
        }
    }
}

fn find(name: &str) -> Result<Chosen, String> {
    if name == "all" {
        return Ok(Chosen(ALL.into()));
    }
    Loop::find(name).map(|one| Chosen(vec![one])).ok_or_else(|| "there is no such loop".to_owned())
}

fn loops() -> String {
    let lines = ALL.iter().map(|one| format!("\n  {:26}{}", one.name, one.about));
    format!("Loops:{}", lines.collect::<String>())
}
