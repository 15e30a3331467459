//! `tarn-sim grid`: placement and durability of a whole grid over years.

use std::path::PathBuf;

use tarn_proto::Shape;
use tarn_sim::durability::{self, Options};

use crate::{Failure, Verdict, files};

#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// How many servers.
    #[arg(long, default_value_t = 1_000)]
    servers: u32,
    /// How many files.
    #[arg(long, default_value_t = 100_000)]
    files: u32,
    /// For how long.
    #[arg(long, default_value_t = 10.0)]
    years: f64,
    /// Shares that bring a file back.
    #[arg(long, default_value_t = 3)]
    k: u32,
    /// Servers that must take distinct shares; half way from k to n by default.
    #[arg(long)]
    happy: Option<u32>,
    /// Shares made.
    #[arg(long, default_value_t = 10)]
    n: u32,
    /// Compare these shapes instead, each as k/happy/n, with files of the same size.
    #[arg(long, value_delimiter = ',', value_name = "K/HAPPY/N")]
    compare: Vec<String>,
    /// The part of all servers that lose their disk in a year.
    #[arg(long)]
    loss_per_year: Option<f64>,
    /// How often a server is away in a year.
    #[arg(long)]
    absences_per_year: Option<f64>,
    /// For how long, on average.
    #[arg(long)]
    absence_mean_hours: Option<f64>,
    /// How long a server may be away before its shares are repaired elsewhere.
    #[arg(long)]
    absence_grace_hours: Option<f64>,
    /// Servers share this many zones, which are away and lost as a whole; 0 for none.
    #[arg(long)]
    zones: Option<u32>,
    /// The part of all zones that are lost in a year.
    #[arg(long)]
    zone_loss_per_year: Option<f64>,
    /// How often a file is looked at; never by 0.
    #[arg(long)]
    repair_interval_hours: Option<f64>,
    /// Repair when fewer shares than this are there.
    #[arg(long)]
    repair_threshold: Option<u8>,
    /// What a server can spare for repair, in MiB a second.
    #[arg(long)]
    bandwidth_mib: Option<f64>,
    /// The size of a share, in KiB.
    #[arg(long)]
    share_kib: Option<u32>,
    /// As if a file could be moved to another window when its own has shrunk: tarn cannot do that yet.
    #[arg(long)]
    move_windows: bool,
    /// Decides everything that is drawn.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Draw the result in this file.
    #[arg(long)]
    svg: Option<PathBuf>,
}

pub(crate) fn grid(arguments: &Arguments) -> Result<Verdict, Failure> {
    let options = options(arguments)?;
    let (text, svg) = if arguments.compare.is_empty() {
        let report = durability::run(&options)?;
        (report.to_string(), report.svg())
    } else {
        let shapes: Result<Vec<Shape>, Failure> =
            arguments.compare.iter().map(|text| shape(text)).collect();
        let advice = durability::advise(&options, &shapes?)?;
        (advice.to_string(), advice.svg())
    };
    print!("{text}");
    if let Some(path) = &arguments.svg {
        files::write_text(path, &svg)?;
        println!("drawn in {}", path.display());
    }
    Ok(Verdict::Clean)
}

fn options(arguments: &Arguments) -> Result<Options, Failure> {
    let shape = match arguments.happy {
        Some(happy) => Shape::new(arguments.k, happy, arguments.n)?,
        None => Shape::with_default_happy(arguments.k, arguments.n)?,
    };
    let usual = Options::default();
    let interval = match arguments.repair_interval_hours {
        Some(0.0) => None,
        Some(hours) => Some(hours),
        None => usual.repair_interval_hours,
    };
    Ok(Options {
        servers: arguments.servers,
        files: arguments.files,
        years: arguments.years,
        shape,
        loss_per_year: arguments.loss_per_year.unwrap_or(usual.loss_per_year),
        absences_per_year: arguments.absences_per_year.unwrap_or(usual.absences_per_year),
        absence_mean_hours: arguments.absence_mean_hours.unwrap_or(usual.absence_mean_hours),
        absence_grace_hours: arguments.absence_grace_hours.unwrap_or(usual.absence_grace_hours),
        zones: arguments.zones.unwrap_or(usual.zones),
        zone_loss_per_year: arguments.zone_loss_per_year.unwrap_or(usual.zone_loss_per_year),
        repair_interval_hours: interval,
        repair_threshold: arguments.repair_threshold.or(usual.repair_threshold),
        bandwidth_mib: arguments.bandwidth_mib.unwrap_or(usual.bandwidth_mib),
        share_kib: arguments.share_kib.unwrap_or(usual.share_kib),
        move_windows: arguments.move_windows,
        seed: arguments.seed,
        ..usual
    })
}

fn shape(text: &str) -> Result<Shape, Failure> {
    let numbers: Option<Vec<u32>> = text.split('/').map(|number| number.parse().ok()).collect();
    match numbers.as_deref() {
        Some(&[k, happy, n]) => Ok(Shape::new(k, happy, n)?),
        _ => Err(format!("{text} is no shape: one looks like 3/7/10, for k, happy and n").into()),
    }
}
