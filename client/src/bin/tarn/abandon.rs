//! `tarn abandon`: drops the record of a publish that was cut off. Changes nothing on servers.

use crate::error::CommandError;
use crate::home::Home;
use crate::names::Names;
use crate::output;
use crate::target::TargetText;
use crate::unfinished::Unfinished;

/// Drops what is known of publishes of a file that were cut off. What they did on servers stays as it is.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  tarn abandon report.pdf")]
pub(crate) struct Args {
    /// The file: a name, as `tarn ls` lists them, or any cap.
    #[arg(value_name = "NAME|CAP")]
    file: TargetText,
}

/// Runs the command.
pub(crate) fn run(args: &Args, home: &Home) -> Result<(), CommandError> {
    let file = args.file.parse()?;
    let mut names = Names::open(home.data())?;
    let unfinished = Unfinished::of(&file, &names, home)?;
    let running = unfinished.iter().find_map(|unfinished| unfinished.runs);
    let mut dropped = 0;
    for unfinished in unfinished.iter().filter(|unfinished| unfinished.runs.is_none()) {
        let Some(mut running) = unfinished.take_up(&names, home)? else { continue };
        unfinished.take_off(&mut names)?;
        running.forget();
        dropped += 1;
        output::say(format_args!(
            "dropped the publish of version {} ({}): it may have taken effect, or may yet",
            unfinished.newest.signed.header().sequence_number,
            unfinished.newest.signed.version(),
        ));
    }
    match (dropped, running) {
        (0, Some(pid)) => {
            Err(CommandError::failed(format_args!("process {pid} still publishes it"))
                .hint("end it first"))
        }
        (0, None) => Err(CommandError::usage("no publish of it was cut off")
            .hint("`tarn status` lists those that were")),
        (_, _) => Ok(()),
    }
}
