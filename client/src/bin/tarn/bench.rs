//! `tarn bench`: how fast this machine publishes and reads, beside how fast it does the parts of that one by one. Starts
//! ten storage servers as processes and stops them again, uses the client library in this process, and touches nothing
//! of the user's: no names, no grid, no journal.
//!
//! ```text
//!  options ─▶ plan ─▶ for each size: a cell for each operation and number of files at once ─▶ results ─▶ table, JSON, SVG
//!                                    limits: salt, cipher, coding, hashing, network, disk
//!                     for each latency: cells through proxies that hold everything up
//! ```

mod cell;
mod file;
mod limits;
mod machine;
mod operation;
mod options;
mod picture;
mod place;
mod proxy;
mod report;
mod results;
mod statistics;
mod through;

use std::panic::AssertUnwindSafe;
use std::path::Path;
use std::time::Duration;

use futures::FutureExt;
use futures::future::try_join_all;
use tarn_client::client::Client;
use tarn_client::grid::{Grid, GridServer};
use tarn_client::servermap::Patience;
use tarn_client::time::Millis;

use crate::cli::Global;
use crate::cluster::OwnCluster;
use crate::error::CommandError;
use crate::{output, server};
use cell::Cell;
use file::Target;
use machine::Machine;
use operation::Operation;
pub(crate) use options::Args;
use place::Place;
use proxy::Proxy;
use results::Results;
use through::Through;

/// How many servers there are: one for each share of the default shape.
const SERVERS: usize = 10;

/// Runs the command. Whatever happens, no server outlives it, and its folder goes.
pub(crate) async fn run(args: &Args, global: &Global) -> Result<(), CommandError> {
    let stop = server::stop_signal()?;
    let place = Place::make(args.dir())?;
    output::say(format_args!("starting {SERVERS} servers below {}", place.path().display()));
    let servers = OwnCluster::start(&place.servers(), SERVERS).await?;
    let bench = Bench { args, patience: global.patience, place: &place, servers: &servers };
    let measured = tokio::select! {
        () = stop.cancelled() => Ok(Err(CommandError::failed("interrupted"))),
        measured = AssertUnwindSafe(bench.measure()).catch_unwind() => measured,
    };
    let stopped = servers.stop().await;
    let measured = measured.unwrap_or_else(|panic| std::panic::resume_unwind(panic));
    // Servers that still run are worse than figures that lack.
    stopped?;
    let results = measured?;
    if let Some(file) = args.json() {
        write(file, &results.to_json()?)?;
    }
    if let Some(file) = args.svg() {
        write(file, &picture::draw(&results)?)?;
    }
    report::print(&results)
}

fn write(file: &Path, text: &str) -> Result<(), CommandError> {
    std::fs::write(file, text).map_err(|error| CommandError::file("write", file, &error))
}

/// A run under way.
struct Bench<'a> {
    args: &'a Args,
    /// In milliseconds.
    patience: Option<u64>,
    place: &'a Place,
    servers: &'a OwnCluster,
}

impl Bench<'_> {
    async fn measure(&self) -> Result<Results, CommandError> {
        let mut results = Results::new(Machine::look_at(self.place.path()), self.args);
        let client = self.client(&Grid::new(self.listed()).map_err(CommandError::failed)?)?;
        let gateway = self.gateway().await?;
        let target = Target { client, gateway: gateway.as_ref().map(Through::calls) };
        for &size in self.args.sizes() {
            for cell in self.args.cells(size) {
                results.cells.push(self.cell(cell, &target).await?);
            }
            results.limits.push(self.limits(size).await?);
        }
        for &milliseconds in self.args.latencies() {
            let (proxies, grid) = self.delayed(milliseconds).await?;
            // The network is between client and servers; a gateway would be beside it.
            let target = Target { client: self.client(&grid)?, gateway: None };
            let cells = self.args.latency_cells(milliseconds).into_iter();
            for cell in cells.filter(|cell| cell.operation != Operation::Through) {
                results.cells.push(self.cell(cell, &target).await?);
            }
            drop(proxies);
        }
        Ok(results)
    }

    /// A gateway, if one is wanted.
    async fn gateway(&self) -> Result<Option<Through>, CommandError> {
        if !self.args.wants_a_gateway() {
            return Ok(None);
        }
        let folder = self.place.path().join("gateway");
        let grid = self.place.servers().join("grid.toml");
        Through::start(&folder, &grid).await.map(Some)
    }

    async fn cell(&self, cell: Cell, on: &Target) -> Result<results::Measured, CommandError> {
        output::say(cell);
        let inputs = self.place.inputs(cell.size).await?;
        cell.measure(on, &inputs, self.args.budget(), &self.servers.processes()).await
    }

    async fn limits(&self, size: u64) -> Result<limits::Limits, CommandError> {
        output::say(format_args!("the limits for {}", output::Size(size)));
        limits::measure(size, &self.place.scratch()?).await
    }

    fn listed(&self) -> Vec<GridServer> {
        self.servers
            .servers()
            .map(|(store, address)| GridServer::new(store, address.into()))
            .collect()
    }

    /// The servers behind proxies that hold every byte up for half of so many milliseconds.
    async fn delayed(&self, milliseconds: u16) -> Result<(Vec<Proxy>, Grid), CommandError> {
        let half = Duration::from_millis(milliseconds.into()) / 2;
        let starts = self.servers.servers().map(|(_, address)| Proxy::before(address, half));
        let proxies = try_join_all(starts).await.map_err(|error| {
            CommandError::failed(format_args!("cannot listen on loopback: {error}"))
        })?;
        let stores = self.servers.servers().map(|(store, _)| store);
        let listed = stores
            .zip(&proxies)
            .map(|(store, proxy)| GridServer::new(store, proxy.address().into()));
        let grid = Grid::new(listed.collect()).map_err(CommandError::failed)?;
        Ok((proxies, grid))
    }

    fn client(&self, grid: &Grid) -> Result<Client, CommandError> {
        let client = Client::connect(grid).map_err(CommandError::failed)?;
        Ok(match self.patience.map(Millis) {
            Some(floor) => client.with_patience(Patience { floor, ..Patience::default() }),
            None => client,
        })
    }
}
