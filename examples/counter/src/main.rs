//! A number kept in a file of tarn's, served to callers that may vanish in the middle of anything. See the README beside
//! this for the story.
//!
//! - [`count`]: what the file holds
//! - [`counter`]: read, bump, reset: the file, changed by [`Client::modify`]
//! - [`service`]: one line in, one line out, over TCP; a caller that hangs up takes its request along

mod count;
mod counter;
mod service;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use tarn_client::caps::{CapError, WriteCap};
use tarn_client::client::Client;
use tarn_client::grid::{Grid, GridError};
use tarn_client::transport::AddressError;
use tokio::net::TcpListener;

use crate::counter::Counter;

/// Serves a counter: a file of tarn's that holds two numbers. Any number of these may serve the same one.
#[derive(Debug, Parser)]
struct Args {
    /// The grid file that lists the storage servers.
    #[arg(long, value_name = "FILE", env = "TARN_GRID")]
    grid: PathBuf,
    /// A file with the write cap of the counter, as `tarn cap NAME --write` prints it.
    #[arg(long, value_name = "FILE")]
    cap: PathBuf,
    /// Where to listen; port 0 takes any that is free.
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:0")]
    listen: SocketAddr,
}

/// Why the counter is not served, or not any more.
#[derive(Debug, thiserror::Error)]
enum Error {
    #[error(transparent)]
    Grid(#[from] GridError),
    #[error("{0}")]
    Address(#[from] AddressError),
    #[error("the cap file {} cannot be read: {source}", file.display())]
    CapFile { file: PathBuf, source: std::io::Error },
    #[error("{} holds no write cap: {source}", file.display())]
    Cap { file: PathBuf, source: CapError },
    #[error("cannot listen on {address}: {source}")]
    Listen { address: SocketAddr, source: std::io::Error },
    #[error("no more callers can be accepted: {0}")]
    Accept(std::io::Error),
}

#[tokio::main]
async fn main() -> ExitCode {
    match run(Args::parse()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            say(format_args!("counter: {error}"));
            ExitCode::FAILURE
        }
    }
}

async fn run(args: Args) -> Result<(), Error> {
    let client = Client::connect(&Grid::read(&args.grid)?)?;
    let cap = read_cap(args.cap)?;
    let failed = |source| Error::Listen { address: args.listen, source };
    let listener = TcpListener::bind(args.listen).await.map_err(failed)?;
    say(format_args!("listening on {}", listener.local_addr().map_err(failed)?));
    let stopped = async { drop(tokio::signal::ctrl_c().await) };
    service::serve(listener, Counter::new(client, cap), stopped).await.map_err(Error::Accept)
}

fn read_cap(file: PathBuf) -> Result<WriteCap, Error> {
    match std::fs::read_to_string(&file) {
        Ok(text) => text.parse().map_err(|source| Error::Cap { file, source }),
        Err(source) => Err(Error::CapFile { file, source }),
    }
}

/// Talks to the person who started it.
#[expect(clippy::print_stderr, reason = "this is the edge")]
fn say(what: std::fmt::Arguments<'_>) {
    eprintln!("{what}");
}
