//! The command line: what can be typed, and which file of this folder does it.

use std::num::NonZeroUsize;
use std::path::PathBuf;

use clap::{ArgAction, Parser, Subcommand};

use crate::clock::UnixSeconds;
use crate::error::CommandError;
use crate::home::Home;
use crate::{
    abandon, bench, cap, cluster, forget, gateway, get, ls, publish, remote, resume, server,
    status, tasks, watch,
};

/// Mutable files on servers that nobody has to trust: encrypted and signed here, cut into shares of which a few
/// bring the file back.
#[derive(Debug, Parser)]
#[command(
    name = "tarn",
    version,
    max_term_width = 100,
    arg_required_else_help = true,
    subcommand_required = true
)]
#[command(after_help = "Exit codes:
  0  done
  1  not done, and nothing was changed
  2  the command line, a grid file or a name is wrong
  3  another writer came first; nothing was changed
  4  too few servers answered; nothing was changed
  5  a publish stopped half way; `tarn resume` goes on with it

Everything is kept below your data and config folders, or below $TARN_HOME if it is set.")]
pub(crate) struct Cli {
    #[command(flatten)]
    global: Global,
    #[command(subcommand)]
    command: Command,
}

/// Options of every command.
#[derive(Debug, clap::Args)]
pub(crate) struct Global {
    /// The servers to use [default: grid.toml in your config folder, else ten servers inside the process].
    #[arg(long, global = true, value_name = "FILE", env = "TARN_GRID", hide_env_values = true)]
    pub(crate) grid: Option<PathBuf>,
    /// Have a gateway do it: http://HOST:PORT or unix:FILE.
    #[arg(long, global = true, value_name = "URL", env = "TARN_GATEWAY", hide_env_values = true)]
    pub(crate) gateway: Option<remote::Url>,
    /// A file whose first line is the gateway's token.
    #[arg(
        long,
        global = true,
        value_name = "FILE",
        env = "TARN_GATEWAY_TOKEN_FILE",
        hide_env_values = true
    )]
    pub(crate) gateway_token_file: Option<PathBuf>,
    /// How long, in milliseconds, nobody takes a server for hung, however much slower than the others it is.
    #[arg(
        long,
        global = true,
        value_name = "MILLISECONDS",
        env = "TARN_PATIENCE",
        hide_env_values = true
    )]
    pub(crate) patience: Option<u64>,
    /// Say it as JSON, one object a line.
    #[arg(long, global = true)]
    pub(crate) log_json: bool,
    /// Say more on standard error; twice for debugging.
    #[arg(short, long, global = true, action = ArgAction::Count)]
    pub(crate) verbose: u8,
}

#[derive(Debug, Subcommand)]
enum Command {
    Publish(Box<publish::Args>),
    Get(get::Args),
    Status(status::Args),
    Resume(resume::Args),
    Abandon(abandon::Args),
    Ls(ls::Args),
    Cap(cap::Args),
    Forget(forget::Args),
    Cluster(cluster::Args),
    Server(server::Args),
    Gateway(gateway::Args),
    Tasks(tasks::Args),
    Watch(watch::Args),
    Bench(bench::Args),
}

impl Cli {
    /// Options of every command.
    pub(crate) const fn global(&self) -> &Global {
        &self.global
    }

    /// How many threads serve connections, if that was said.
    pub(crate) fn threads(&self) -> Option<NonZeroUsize> {
        match &self.command {
            Command::Server(args) => args.threads(),
            Command::Publish(_)
            | Command::Get(_)
            | Command::Status(_)
            | Command::Resume(_)
            | Command::Abandon(_)
            | Command::Ls(_)
            | Command::Cap(_)
            | Command::Forget(_)
            | Command::Cluster(_)
            | Command::Gateway(_)
            | Command::Tasks(_)
            | Command::Watch(_)
            | Command::Bench(_) => None,
        }
    }

    /// Does what was typed.
    pub(crate) async fn run(self, home: &Home) -> Result<(), CommandError> {
        match &self.command {
            Command::Publish(args) => publish::run(args, &self.global, home).await,
            Command::Get(args) => get::run(args, &self.global, home).await,
            Command::Status(args) => status::run(args, &self.global, home).await,
            Command::Resume(args) => Box::pin(resume::run(args, &self.global, home)).await,
            Command::Abandon(args) => abandon::run(args, home),
            Command::Ls(args) => ls::run(args, home, UnixSeconds::now()),
            Command::Cap(args) => cap::run(args, home),
            Command::Forget(args) => forget::run(args, home),
            Command::Cluster(args) => cluster::run(args, home).await,
            Command::Server(args) => server::run(args).await,
            Command::Gateway(args) => Box::pin(gateway::run(args, &self.global, home)).await,
            Command::Tasks(args) => tasks::run(args, &self.global, home).await,
            Command::Watch(args) => watch::run(args, &self.global, home).await,
            Command::Bench(args) => Box::pin(bench::run(args, &self.global)).await,
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }
}
