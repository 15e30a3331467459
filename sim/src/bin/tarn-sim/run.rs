//! `tarn-sim run`: one seed.

use std::path::PathBuf;

use tarn_sim::options::Options;
use tarn_sim::render;
use tarn_sim::schedule::Run;
use tarn_sim::trace::Ending;
use tarn_sim::{bugs, schedule};

use crate::{Failure, Verdict, files};

#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// The seed.
    #[arg(long)]
    seed: u64,
    /// Plant this bug first.
    #[arg(long)]
    bug: Option<String>,
    /// Draw the world that this planted bug needs, without the bug.
    #[arg(long, value_name = "BUG", conflicts_with = "bug")]
    like: Option<String>,
    /// Write the trace to this file, whatever came of the run.
    #[arg(long)]
    trace: Option<PathBuf>,
    /// Draw the run as a page in this file.
    #[arg(long)]
    html: Option<PathBuf>,
    /// Show every event, also of a clean run.
    #[arg(long)]
    verbose: bool,
}

pub(crate) fn run(arguments: &Arguments) -> Result<Verdict, Failure> {
    let seed = arguments.seed;
    let (options, plant) = match &arguments.bug {
        None => (drawn(arguments.like.as_deref(), seed)?, None),
        Some(name) => {
            let bug = named(name)?;
            (bug.options(seed), Some((bug.plant)()))
        }
    };
    println!("{options}");
    let report = Run::new(options, plant.clone()).run();
    let trace = &report.trace;
    if arguments.verbose || report.broken.is_some() {
        print!("{}", render::text::render(trace, plant.clone(), Ending::AsItIs));
    }
    println!("{}", summary(&report));
    if let Some(path) = &arguments.html {
        files::write_text(path, &render::html::render(trace, plant, Ending::AsItIs))?;
        println!("drawn in {}", path.display());
    }
    let Some(broken) = &report.broken else {
        if let Some(path) = &arguments.trace {
            files::write(path, trace)?;
        }
        return Ok(Verdict::Clean);
    };
    let path = arguments.trace.clone().unwrap_or_else(|| format!("seed-{seed}.trace").into());
    files::write(&path, trace)?;
    let planted = match (&arguments.bug, &arguments.like) {
        (Some(bug), _) => format!(" --bug {bug}"),
        (None, Some(bug)) => format!(" --like {bug}"),
        (None, None) => String::new(),
    };
    println!("\n{broken}");
    println!("again:   tarn-sim run --seed {seed}{planted}    (at {})", env!("TARN_SIM_COMMIT"));
    println!("replay:  tarn-sim replay {0}\nshorter: tarn-sim minimize {0}", path.display());
    Ok(Verdict::Broken)
}

/// What a seed draws; with `like`, narrowed as for the planted bug of that name.
pub(crate) fn drawn(like: Option<&str>, seed: u64) -> Result<Options, Failure> {
    Ok(match like {
        None => Options::draw(seed),
        Some(name) => named(name)?.options_without(seed),
    })
}

fn named(name: &str) -> Result<&'static bugs::Bug, Failure> {
    let bug = bugs::by_name(name);
    Ok(bug.ok_or_else(|| format!("no bug is called {name}: `tarn-sim list` names them all"))?)
}

fn summary(report: &schedule::Report) -> String {
    format!(
        "{} events in {:.1} simulated seconds; told {:?}; injected {:?}",
        report.trace.events.len(),
        report.simulated as f64 / 1000.0,
        report.told,
        report.faults
    )
}
