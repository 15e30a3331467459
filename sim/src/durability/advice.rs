//! Several shapes on one grid, side by side: what k, happy and n should one choose?

use std::fmt;

use tarn_proto::Shape;

use super::options::{Options, OptionsError};
use super::plot::{Mark, Panel, Series, page};
use super::report::Report;
use super::run;

const COLORS: [&str; 10] = [
    "#2b6cb0", "#c0392b", "#1e8449", "#8e44ad", "#dd8833", "#16a2a2", "#7f6000", "#d63384",
    "#555555", "#000000",
];
/// Points of a closed form's line.
const POINTS: u32 = 60;

/// The same grid with each of several shapes.
pub struct Advice {
    options: Options,
    rows: Vec<(Shape, Report)>,
}

/// Simulates the grid with each of these shapes, all else, the size of a file included, being the same: `share_kib`
/// is what a share of `options.shape` has. A repair threshold is each shape's default.
pub fn advise(options: &Options, shapes: &[Shape]) -> Result<Advice, OptionsError> {
    if shapes.is_empty() {
        return Err(OptionsError::NoShapes);
    }
    let of_shape = |shape: Shape| Options {
        shape,
        share_kib: share_kib(options, shape),
        repair_threshold: None,
        ..options.clone()
    };
    for &shape in shapes {
        of_shape(shape).check()?;
    }
    let rows = shapes.iter().map(|&shape| Ok((shape, run(&of_shape(shape))?)));
    Ok(Advice { options: options.clone(), rows: rows.collect::<Result<_, _>>()? })
}

/// The size of a share of the same file in another shape.
fn share_kib(options: &Options, shape: Shape) -> u32 {
    let file = options.share_kib.saturating_mul(u32::from(options.shape.k()));
    file.div_ceil(u32::from(shape.k())).max(1)
}

impl Advice {
    /// The shapes and what each showed.
    pub fn rows(&self) -> &[(Shape, Report)] {
        &self.rows
    }

    /// Plots of the comparison: a self-contained SVG page.
    pub fn svg(&self) -> String {
        let o = &self.options;
        let title = format!(
            "{} shapes compared: {} files on {} servers",
            self.rows.len(),
            o.files,
            o.servers
        );
        let subtitle = format!(
            "{} losses and {} absences of {} h per server and year; windows {}; seed {}",
            o.loss_per_year,
            o.absences_per_year,
            o.absence_mean_hours,
            if o.move_windows { "move" } else { "stay" },
            o.seed
        );
        let mut panels = vec![self.dots_panel()];
        if !o.move_windows {
            panels.insert(0, self.stuck_panel());
        }
        page(&title, &subtitle, &panels)
    }

    fn stuck_panel(&self) -> Panel {
        let years = |i| self.options.years * f64::from(i) / f64::from(POINTS);
        let line = |(i, (shape, report)): (usize, &(Shape, Report))| Series {
            name: shape.to_string(),
            color: COLORS[i % COLORS.len()].into(),
            mark: Mark::Line,
            points: (1..=POINTS).map(|i| (years(i), report.stuck_by(years(i)))).collect(),
        };
        Panel {
            title: "Never writable again, closed form".into(),
            x: "years".into(),
            y: "part of files".into(),
            log_from: Some(1e-9),
            series: self.rows.iter().enumerate().map(line).collect(),
        }
    }

    fn dots_panel(&self) -> Panel {
        let dot = |(i, (shape, report)): (usize, &(Shape, Report))| Series {
            name: shape.to_string(),
            color: COLORS[i % COLORS.len()].into(),
            mark: Mark::Dots,
            points: vec![(report.overhead(), report.unwritable_when_new())],
        };
        Panel {
            title: "No quorum at a moment, new window, against space".into(),
            x: "bytes stored a byte".into(),
            y: "part of the time".into(),
            log_from: Some(1e-12),
            series: self.rows.iter().enumerate().map(dot).collect(),
        }
    }
}

impl fmt::Display for Advice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let o = &self.options;
        writeln!(
            f,
            "{} servers, {} files, {} years, {} losses and {} absences of {} h a year, windows {}, seed {}",
            o.servers,
            o.files,
            o.years,
            o.loss_per_year,
            o.absences_per_year,
            o.absence_mean_hours,
            if o.move_windows { "move (not in tarn yet)" } else { "stay" },
            o.seed
        )?;
        writeln!(
            f,
            "{:<22}{:>7}{:>7}{:>7}{:>10}{:>18}{:>11}{:>12}{:>11}{:>13}{:>12}",
            "",
            "",
            "",
            "bytes",
            "lost",
            "",
            "by the",
            "stuck at",
            "no quorum",
            "no k shares",
            "repair MiB"
        )?;
        writeln!(
            f,
            "{:<22}{:>7}{:>7}{:>7}{:>10}{:>18}{:>11}{:>12}{:>11}{:>13}{:>12}",
            "shape",
            "window",
            "quorum",
            "a byte",
            "a year",
            "(95 %)",
            "chain",
            "the end",
            "at times",
            "at times",
            "srv x day"
        )?;
        for (shape, report) in &self.rows {
            write_row(f, *shape, report, o)?;
        }
        Ok(())
    }
}

fn write_row(
    f: &mut fmt::Formatter<'_>,
    shape: Shape,
    report: &Report,
    options: &Options,
) -> fmt::Result {
    let (window, quorum) = report.window_and_quorum();
    let (lost, low, high) = report.lost_per_year();
    let chain = match options.move_windows {
        true => "-".to_owned(),
        false => {
            let files = f64::from(options.files);
            format!("{:.1e}", report.lost_by_chain() * files / options.years)
        }
    };
    writeln!(
        f,
        "{:<22}{window:>7}{quorum:>7}{:>7.2}{lost:>10.1}{:>18}{chain:>11}{:>11.3}%{:>11.1e}{:>13.1e}{:>12.3}",
        shape.to_string(),
        report.overhead(),
        format!("({low:.1} - {high:.1})"),
        report.files_stuck() as f64 / f64::from(options.files) * 100.0,
        report.unwritable_fraction(),
        report.unreadable_fraction(),
        report.repair_mib_per_server_day(),
    )
}
