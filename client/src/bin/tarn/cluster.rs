//! `tarn cluster`: storage servers as processes of their own on this machine, for people who want to kill one.
//! Each is a `tarn server run`; nothing here serves anything.

mod folder;
mod own;
mod process;
mod start;
mod status;
mod stop;

use std::path::PathBuf;

use crate::error::CommandError;
use crate::home::Home;

pub(crate) use own::OwnCluster;

/// Storage servers as processes on this machine: to try tarn out, and to kill one.
#[derive(Debug, clap::Args)]
#[command(
    arg_required_else_help = true,
    after_help = "Examples:
  tarn cluster start
  eval \"$(tarn cluster start --servers 5 --dir /tmp/five)\"
  tarn cluster status
  kill -9 PID; tarn cluster start      a killed server comes back with its data
  tarn cluster stop"
)]
pub(crate) struct Args {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, clap::Subcommand)]
enum Action {
    /// Starts the servers that do not run, on their old addresses and data; prints how to use them.
    Start {
        #[command(flatten)]
        place: Place,
        /// How many servers there are to be: 10 in a new cluster, as many as there are in an old one.
        #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(u16).range(1..=511))]
        servers: Option<u16>,
    },
    /// Stops the servers; their data stays.
    Stop {
        #[command(flatten)]
        place: Place,
    },
    /// Shows which servers run and answer.
    Status {
        #[command(flatten)]
        place: Place,
        /// Print one JSON object.
        #[arg(long)]
        json: bool,
    },
}

/// Where a cluster lies.
#[derive(Debug, clap::Args)]
struct Place {
    /// The cluster's folder [default: cluster/ in your data folder].
    #[arg(long, value_name = "FOLDER")]
    dir: Option<PathBuf>,
}

/// Runs the command.
pub(crate) async fn run(args: &Args, home: &Home) -> Result<(), CommandError> {
    match &args.action {
        Action::Start { place, servers } => start::run(&place.find(home)?, *servers).await,
        Action::Stop { place } => stop::run(&place.find(home)?).await,
        Action::Status { place, json } => status::run(&place.find(home)?, *json).await,
    }
}

impl Place {
    fn find(&self, home: &Home) -> Result<PathBuf, CommandError> {
        match &self.dir {
            None => Ok(home.cluster()),
            Some(folder) => std::path::absolute(folder)
                .map_err(|error| CommandError::file("find", folder, &error)),
        }
    }
}
