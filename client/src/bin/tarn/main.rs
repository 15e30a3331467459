//! The `tarn` command: parses, runs one command, prints its error and ends with its exit code. Every command is a
//! file of this folder; decisions about files and servers are the library's.

mod abandon;
mod bench;
mod cap;
mod cli;
mod clock;
mod cluster;
mod embedded;
mod error;
mod forget;
mod gateway;
mod get;
mod grids;
mod home;
mod lock;
mod ls;
mod names;
mod output;
mod publish;
mod remote;
mod resume;
mod server;
mod servers;
mod session;
mod size;
mod status;
mod table;
mod target;
mod tasks;
mod unfinished;
mod watch;

use std::num::NonZeroUsize;
use std::process::ExitCode;

use clap::Parser;
use tokio::runtime::{Builder, Runtime};

use crate::cli::{Cli, Global};
use crate::error::CommandError;
use crate::home::Home;

fn main() -> ExitCode {
    let cli = Cli::parse();
    start_tracing(cli.global());
    match run(cli) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            output::say(&error);
            ExitCode::from(error.exit() as u8)
        }
    }
}

fn run(cli: Cli) -> Result<(), CommandError> {
    tarn_client::encode::cpu::check().map_err(CommandError::failed)?;
    let home = Home::locate(std::env::var_os(home::TARN_HOME).as_deref())?;
    let runtime = start_runtime(cli.threads())
        .map_err(|error| CommandError::failed(format_args!("cannot start threads: {error}")))?;
    runtime.block_on(cli.run(&home))
}

/// One thread is this one: nothing is ever handed from one to another then. None said is one for every core.
fn start_runtime(threads: Option<NonZeroUsize>) -> std::io::Result<Runtime> {
    let mut builder = match threads.map(NonZeroUsize::get) {
        Some(1) => Builder::new_current_thread(),
        Some(threads) => {
            let mut builder = Builder::new_multi_thread();
            builder.worker_threads(threads);
            builder
        }
        None => Builder::new_multi_thread(),
    };
    builder.enable_all().build()
}

/// Events go to standard error: warnings, and more for each `-v`; `RUST_LOG` chooses freely.
fn start_tracing(global: &Global) {
    let level = match global.verbose {
        0 => "warn",
        1 => "info,h2=warn,hyper=warn,tower=warn",
        2 => "debug,h2=warn,hyper=warn,tower=warn",
        3.. => "trace",
    };
    let filter = tracing_subscriber::EnvFilter::try_from_default_env()
        .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new(level));
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    if global.log_json { log.json().init() } else { log.init() }
}
