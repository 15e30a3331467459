//! The results as a picture: for each size, the parts in a row beside the whole. A self-contained SVG page.

use std::fmt::Write;
use std::time::Duration;

use super::limits::{Limits, Stage, Work};
use super::report::Time;
use super::results::{Measured, Results};
use crate::error::CommandError;
use crate::output::Size;

const WIDTH: f64 = 900.0;
const LEFT: f64 = 130.0;
const RIGHT: f64 = 90.0;
const HEAD: f64 = 84.0;
const BAR: f64 = 16.0;
const STEP: f64 = 22.0;
const GAP: f64 = 34.0;
const STAGES: [(Stage, &str); 7] = [
    (Stage::Salt, "#6b7fd7"),
    (Stage::Cipher, "#2b6cb0"),
    (Stage::Coding, "#38a3a5"),
    (Stage::Hashing, "#57a773"),
    (Stage::Network, "#dd8833"),
    (Stage::ServerHashing, "#a3b04b"),
    (Stage::Disk, "#b04a5a"),
];
const WHOLE: &str = "#555";

/// Draws the cells of one file at once that were measured without a network.
pub(super) fn draw(results: &Results) -> Result<String, CommandError> {
    let mut svg = String::new();
    let bottom = draw_page(results, &mut svg).map_err(CommandError::failed)?;
    Ok(format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {bottom}\" width=\"{WIDTH}\" \
         height=\"{bottom}\" font-family=\"sans-serif\" font-size=\"11\" fill=\"#333\">\n\
         <rect width=\"100%\" height=\"100%\" fill=\"#fff\"/>\n{svg}</svg>\n"
    ))
}

/// Returns where the page ends.
fn draw_page(results: &Results, svg: &mut String) -> Result<f64, std::fmt::Error> {
    let machine = &results.machine;
    let cpu = machine.cpu.as_deref().unwrap_or("unknown processor");
    text(svg, 16.0, 24.0, "font-size=\"17\" font-weight=\"bold\"", "The whole beside its parts")?;
    let facts = format!("one file at once; {} cores, {cpu}", machine.cores);
    text(svg, 16.0, 42.0, "fill=\"#666\"", &facts)?;
    draw_legend(svg)?;
    let mut top = HEAD;
    for limits in &results.limits {
        top = draw_size(results, limits, top, svg)?;
    }
    Ok(top)
}

fn draw_legend(svg: &mut String) -> std::fmt::Result {
    for (number, (stage, color)) in STAGES.into_iter().enumerate() {
        let x = 16.0 + 110.0 * number as f64;
        bar(svg, x, 54.0, 10.0, color)?;
        text(svg, x + 15.0, 66.0, "", stage.name())?;
    }
    Ok(())
}

/// One size: a bar for each operation, and above those of one kind the bar of their parts. Returns where it ends.
fn draw_size(
    results: &Results,
    limits: &Limits,
    top: f64,
    svg: &mut String,
) -> Result<f64, std::fmt::Error> {
    let shown = |measured: &&Measured| {
        let cell = &measured.cell;
        cell.size == limits.size && cell.at_once == 1 && cell.latency.is_none()
    };
    let wholes: Vec<&Measured> = results.cells.iter().filter(shown).collect();
    let sums = Work::ALL.map(|(work, _)| limits.sum(work));
    let longest = wholes.iter().map(|measured| measured.latencies.median()).chain(sums).max();
    let scale = Scale(longest.unwrap_or_default());
    text(
        svg,
        16.0,
        top + 14.0,
        "font-size=\"13\" font-weight=\"bold\"",
        &Size(limits.size).to_string(),
    )?;
    let mut y = top + 22.0;
    for (work, name) in Work::ALL {
        let mut done = Duration::ZERO;
        for part in limits.of(work) {
            bar(svg, scale.place(done), y, scale.width(part.time), color(part.stage))?;
            done += part.time;
        }
        label(svg, &format!("parts of a {name}"), y, scale.place(done), &Time(done).to_string())?;
        y += STEP;
        for measured in wholes.iter().filter(|whole| whole.cell.operation.work() == work) {
            let median = measured.latencies.median();
            bar(svg, LEFT, y, scale.width(median), WHOLE)?;
            let reached = results.reached(measured).unwrap_or_default() * 100.0;
            let value = format!("{}, {reached:.0} %", Time(median));
            label(svg, measured.cell.operation.name(), y, scale.place(median), &value)?;
            y += STEP;
        }
    }
    Ok(y + GAP - STEP)
}

/// The longest time of a size, which fills the width.
struct Scale(Duration);

impl Scale {
    fn width(&self, time: Duration) -> f64 {
        let longest = self.0.max(Duration::from_nanos(1));
        time.as_secs_f64() / longest.as_secs_f64() * (WIDTH - LEFT - RIGHT)
    }

    fn place(&self, time: Duration) -> f64 {
        LEFT + self.width(time)
    }
}

fn color(stage: Stage) -> &'static str {
    let found = STAGES.into_iter().find(|(known, _)| *known == stage);
    found.map_or(WHOLE, |(_, color)| color)
}

fn bar(svg: &mut String, x: f64, y: f64, width: f64, color: &str) -> std::fmt::Result {
    writeln!(
        svg,
        "<rect x=\"{x:.1}\" y=\"{y:.1}\" width=\"{width:.1}\" height=\"{BAR}\" fill=\"{color}\"/>"
    )
}

fn label(svg: &mut String, name: &str, y: f64, end: f64, value: &str) -> std::fmt::Result {
    text(svg, LEFT - 8.0, y + 12.0, "text-anchor=\"end\"", name)?;
    text(svg, end + 6.0, y + 12.0, "fill=\"#666\"", value)
}

fn text(svg: &mut String, x: f64, y: f64, style: &str, words: &str) -> std::fmt::Result {
    let words = words.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
    writeln!(svg, "<text x=\"{x:.1}\" y=\"{y:.1}\" {style}>{words}</text>")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::results::tests::results;

    #[test]
    fn every_part_and_every_whole_has_its_bar() {
        let svg = draw(&results()).unwrap();
        for (stage, color) in STAGES {
            assert!(svg.contains(stage.name()) && svg.contains(color), "{svg}");
        }
        // The parts of three kinds of work, one whole, and the legend.
        assert_eq!(svg.matches("<rect x").count(), STAGES.len() + 4 + 1);
        assert!(svg.contains("10.0 ms, 60 %"), "{svg}");
        assert!(svg.starts_with("<svg ") && svg.ends_with("</svg>\n"));
    }
}
