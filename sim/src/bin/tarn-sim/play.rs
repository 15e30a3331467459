//! `tarn-sim replay` and `tarn-sim minimize`: runs from files.

use std::path::{Path, PathBuf};

use tarn_sim::minimize;
use tarn_sim::render;
use tarn_sim::trace::{self, Ending};

use crate::{Failure, Verdict, files};

#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// The trace.
    file: PathBuf,
    /// Leave the world as the last event left it; else everything heals and comes to rest.
    #[arg(long)]
    as_it_is: bool,
    /// Draw the run as a page in this file.
    #[arg(long)]
    html: Option<PathBuf>,
    /// Only say whether a promise is broken.
    #[arg(long)]
    quiet: bool,
}

pub(crate) fn replay(arguments: &Arguments) -> Result<Verdict, Failure> {
    let trace = files::read(&arguments.file)?;
    let plant = files::plant_of(&trace)?;
    let ending = if arguments.as_it_is { Ending::AsItIs } else { Ending::Drained };
    if !arguments.quiet {
        print!("{}", render::text::render(&trace, plant.clone(), ending));
    }
    if let Some(path) = &arguments.html {
        files::write_text(path, &render::html::render(&trace, plant.clone(), ending))?;
    }
    let replay = trace::replay(&trace, plant, ending);
    println!("{} events applied, {} could not happen", replay.applied, replay.ignored);
    match replay.broken {
        None => {
            println!("every promise held");
            Ok(Verdict::Clean)
        }
        Some((at, broken)) => {
            println!("event {at}: {broken}");
            Ok(Verdict::Broken)
        }
    }
}

pub(crate) fn minimize(
    file: &Path,
    output: Option<&Path>,
    replays: usize,
) -> Result<Verdict, Failure> {
    let trace = files::read(file)?;
    let plant = files::plant_of(&trace)?;
    // A promise that is broken only at rest needs the drain to show.
    let shown = |ending| minimize::minimize(&trace, plant.as_deref(), ending, replays);
    let shorter = shown(Ending::AsItIs).or_else(|_| shown(Ending::Drained))?;
    let path = output.map_or_else(|| file.with_extension("min.trace"), Path::to_path_buf);
    files::write(&path, &shorter.trace)?;
    println!(
        "{} of {} events are left after {} replays{}; {} is still broken; written to {}",
        shorter.trace.events.len(),
        trace.events.len(),
        shorter.replays,
        if shorter.is_minimal { "" } else { " (there may be fewer: allow more replays)" },
        shorter.promise,
        path.display()
    );
    Ok(Verdict::Broken)
}
