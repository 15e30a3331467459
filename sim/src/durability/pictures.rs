//! The plots of a report.

use super::measures::Sample;
use super::plot::{Mark, Panel, Series, page};
use super::report::Report;

/// Bars of a histogram.
const BARS: usize = 40;

impl Report {
    /// Plots of the run: a self-contained SVG page.
    pub fn svg(&self) -> String {
        let o = &self.options;
        let title = format!("{}: {} files on {} servers", o.shape, o.files, o.servers);
        let subtitle = format!(
            "window {}, write quorum {}; {} losses and {} absences of {} h per server and year; seed {}",
            self.terms.window,
            self.terms.quorum,
            o.loss_per_year,
            o.absences_per_year,
            o.absence_mean_hours,
            o.seed
        );
        let panels = [
            self.balance_panel(),
            self.happiness_panel(),
            self.stuck_panel(),
            self.lost_panel(),
            self.unwritable_panel(),
            self.traffic_panel(),
        ];
        page(&title, &subtitle, &panels)
    }

    fn balance_panel(&self) -> Panel {
        let start = histogram(&self.ended.shares_at_start);
        let end = histogram(&self.ended.shares_at_end);
        Panel {
            title: "Shares per server".into(),
            x: "shares".into(),
            y: "servers".into(),
            log_from: None,
            series: vec![
                series("at the start", "#2b6cb0", Mark::Bars, start),
                series("at the end (replacements included)", "#dd8833", Mark::Line, end),
            ],
        }
    }

    /// Areas one behind the other: the hindmost is files of any happiness, each next one only of less.
    fn happiness_panel(&self) -> Panel {
        let timeline = &self.ended.measures.timeline;
        let most =
            timeline.iter().filter_map(|s| s.by_happiness.iter().rposition(|c| *c > 0)).max();
        let most = most.unwrap_or(0);
        let files = f64::from(self.options.files);
        let upto = |top: usize| {
            let part = |s: &Sample| {
                let below: u64 = s.by_happiness[..=top].iter().sum();
                (below + s.lost) as f64 / files * 100.0
            };
            timeline.iter().map(|s| (s.at.in_years(), part(s))).collect()
        };
        let band = |happiness: usize| {
            let shade = 210.0 * happiness as f64 / most.max(1) as f64;
            let color = format!("hsl({shade:.0},55%,58%)");
            let named = [0, most / 2, most].contains(&happiness);
            let name = if named { format!("happiness {happiness}") } else { String::new() };
            series(&name, &color, Mark::Area, upto(happiness))
        };
        Panel {
            title: "Files by happiness of the servers left".into(),
            x: "years".into(),
            y: "% of files".into(),
            log_from: None,
            series: (0..=most).rev().map(band).collect(),
        }
    }

    fn stuck_panel(&self) -> Panel {
        let files = f64::from(self.options.files);
        let simulated = self.over_time(|s| (s.stuck + s.lost) as f64 / files * 100.0);
        let mut series_drawn = vec![series("simulated", "#c0392b", Mark::Line, simulated)];
        if !self.options.move_windows {
            let closed = self.ended.measures.timeline.iter().map(|s| {
                let years = s.at.in_years();
                (years, self.stuck_by(years) * 100.0)
            });
            series_drawn.push(series("closed form", "#555", Mark::Dashed, closed.collect()));
        }
        Panel {
            title: "Files that can never be written again".into(),
            x: "years".into(),
            y: "% of files".into(),
            log_from: None,
            series: series_drawn,
        }
    }

    fn lost_panel(&self) -> Panel {
        Panel {
            title: "Files lost".into(),
            x: "years".into(),
            y: "files".into(),
            log_from: None,
            series: vec![series("", "#c0392b", Mark::Line, self.over_time(|s| s.lost as f64))],
        }
    }

    fn unwritable_panel(&self) -> Panel {
        let ppm = 1e6 / f64::from(self.options.files);
        let points = self.over_time(|s| s.unwritable as f64 * ppm);
        Panel {
            title: "Files without a quorum for the moment".into(),
            x: "years".into(),
            y: "files per million".into(),
            log_from: None,
            series: vec![series("", "#8e44ad", Mark::Line, points)],
        }
    }

    fn traffic_panel(&self) -> Panel {
        let timeline = &self.ended.measures.timeline;
        let points = timeline
            .windows(2)
            .map(|pair| (pair[1].at.in_years(), self.traffic(&pair[0], &pair[1])));
        Panel {
            title: "Repair traffic".into(),
            x: "years".into(),
            y: "MiB per server and day".into(),
            log_from: None,
            series: vec![series("", "#1e8449", Mark::Line, points.collect())],
        }
    }

    fn over_time(&self, value: impl Fn(&Sample) -> f64) -> Vec<(f64, f64)> {
        let timeline = self.ended.measures.timeline.iter();
        timeline.map(|s| (s.at.in_years(), value(s))).collect()
    }
}

fn series(name: &str, color: &str, mark: Mark, points: Vec<(f64, f64)>) -> Series {
    Series { name: name.into(), color: color.into(), mark, points }
}

/// How many values lie around each of some evenly spaced ones.
fn histogram(values: &[u64]) -> Vec<(f64, f64)> {
    let (least, most) = (values.iter().min().copied(), values.iter().max().copied());
    let (Some(least), Some(most)) = (least, most) else {
        return Vec::new();
    };
    let width = (most - least + 1).div_ceil(BARS as u64);
    let mut bars = [0_u32; BARS];
    for value in values {
        let bar = usize::try_from((value - least) / width).unwrap_or(BARS);
        bars[bar.min(BARS - 1)] += 1;
    }
    let used = bars.iter().rposition(|count| *count > 0).map_or(0, |last| last + 1);
    let middle = |bar: usize| least as f64 + (bar as f64 + 0.5) * width as f64;
    (0..used).map(|bar| (middle(bar), f64::from(bars[bar]))).collect()
}
