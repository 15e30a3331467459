//! `tarn forget`: drops a name and its caps. What lies on the servers stays there.

use crate::error::CommandError;
use crate::home::Home;
use crate::names::{FileName, Names};
use crate::output;

/// Forgets a name and its caps. The file stays on its servers.
///
/// Whoever has a cap can go on using the file. If nobody has one, it is out of reach for ever: print the write cap
/// first if you may want it again.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  tarn cap report.pdf --write > report.cap && tarn forget report.pdf"
)]
pub(crate) struct Args {
    /// The file's name; `tarn ls` lists them.
    name: FileName,
}

/// Runs the command.
pub(crate) fn run(args: &Args, home: &Home) -> Result<(), CommandError> {
    let forgotten = Names::open(home.data())?.forget(&args.name)?;
    output::say(format_args!(
        "forgot \"{}\"; its data stays on the servers for whoever has a cap",
        forgotten.name
    ));
    Ok(())
}
