//! `tarn resume`: goes on with a publish that was cut off, from the file it was reading or from what was kept of its
//! pipe. Finds out which that is; the rest is `tarn publish`'s, also what becomes of one whose content is lost.

use crate::cli::Global;
use crate::error::CommandError;
use crate::home::Home;
use crate::names::Names;
use crate::publish::{self, Source};
use crate::target::TargetText;
use crate::unfinished::Unfinished;

/// Goes on with a publish that was cut off, and says how it ends. It takes effect once, whatever had been done.
///
/// Publishing the same content again does the same. If its content is gone or was changed, or if it was to change a part
/// of the file, it is settled as far as servers tell: whether it took effect, or never will, or that this is not known yet.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  tarn resume report.pdf")]
pub(crate) struct Args {
    /// The file: a name, as `tarn ls` lists them, or its write cap.
    #[arg(value_name = "NAME|CAP")]
    file: TargetText,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

/// Runs the command.
pub(crate) async fn run(args: &Args, global: &Global, home: &Home) -> Result<(), CommandError> {
    let file = args.file.parse()?;
    let names = Names::open(home.data())?;
    let mut unfinished = Unfinished::of(&file, &names, home)?;
    let running = unfinished.iter().find_map(|unfinished| unfinished.runs);
    unfinished.retain(|unfinished| unfinished.runs.is_none());
    let Some(last) = unfinished.last() else {
        return Err(match running {
            Some(pid) => CommandError::failed(format_args!("process {pid} still publishes it"))
                .hint("wait for its end"),
            None => CommandError::usage("no publish of it was cut off")
                .hint("`tarn status` lists those that were"),
        });
    };
    let source = match (&last.newest.input, last.kept_input(home)) {
        _ if last.is_part() => Source::Part,
        (_, Some(kept)) => Source::Kept(kept),
        (Some(path), None) => Source::File(path.clone()),
        (None, None) => Source::Lost,
    };
    publish::run(&publish::Args::resuming(source, file, args.json), global, home).await
}
