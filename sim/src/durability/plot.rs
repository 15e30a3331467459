//! A page of small plots as a self-contained SVG. Knows nothing of what it draws.

use std::fmt::Write;

const WIDTH: f64 = 460.0;
const HEIGHT: f64 = 260.0;
const LEFT: f64 = 62.0;
const RIGHT: f64 = 18.0;
const TOP: f64 = 34.0;
const BOTTOM: f64 = 44.0;
const COLUMNS: usize = 2;
const HEAD: f64 = 52.0;
const TICKS: u32 = 4;

/// How points are drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mark {
    Line,
    Dashed,
    /// A rectangle from zero up, as wide as the points are apart.
    Bars,
    /// The area between zero and the line.
    Area,
    Dots,
}

/// One set of points.
#[derive(Debug, Clone)]
pub(super) struct Series {
    pub(super) name: String,
    pub(super) color: String,
    pub(super) mark: Mark,
    pub(super) points: Vec<(f64, f64)>,
}

/// One plot.
#[derive(Debug, Clone)]
pub(super) struct Panel {
    pub(super) title: String,
    pub(super) x: String,
    pub(super) y: String,
    /// Whether the y axis is logarithmic, and from where.
    pub(super) log_from: Option<f64>,
    pub(super) series: Vec<Series>,
}

/// A page of these plots.
pub(super) fn page(title: &str, subtitle: &str, panels: &[Panel]) -> String {
    let rows = panels.len().div_ceil(COLUMNS);
    let (width, height) = (WIDTH * COLUMNS as f64, HEAD + HEIGHT * rows as f64);
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" \
         width=\"{width}\" height=\"{height}\" font-family=\"sans-serif\" font-size=\"11\" \
         fill=\"#333\">\n<rect width=\"100%\" height=\"100%\" fill=\"#fff\"/>\n\
         <text x=\"16\" y=\"24\" font-size=\"17\" font-weight=\"bold\">{}</text>\n\
         <text x=\"16\" y=\"42\" fill=\"#666\">{}</text>\n",
        escape(title),
        escape(subtitle)
    );
    for (i, panel) in panels.iter().enumerate() {
        let x = WIDTH * (i % COLUMNS) as f64;
        let y = HEAD + HEIGHT * (i / COLUMNS) as f64;
        // Writing to a String cannot fail.
        let _ = writeln!(svg, "<g transform=\"translate({x},{y})\">{}</g>", panel.draw());
    }
    svg.push_str("</svg>\n");
    svg
}

/// The axes of a plot.
struct Scale {
    x: (f64, f64),
    y: (f64, f64),
    log: bool,
}

impl Panel {
    fn draw(&self) -> String {
        let scale = self.scale();
        let mut svg = format!(
            "<text x=\"{LEFT}\" y=\"20\" font-size=\"13\" font-weight=\"bold\">{}</text>",
            escape(&self.title)
        );
        self.draw_axes(&scale, &mut svg);
        for series in &self.series {
            series.draw(&scale, &mut svg);
        }
        self.draw_legend(&mut svg);
        svg
    }

    fn scale(&self) -> Scale {
        let points = || self.series.iter().flat_map(|series| &series.points);
        let least = points().map(|p| p.0).fold(f64::INFINITY, f64::min);
        let most = points().map(|p| p.0).fold(f64::NEG_INFINITY, f64::max);
        let x = match least < most {
            true => (least, most),
            false if least.is_finite() => (least - 0.5, least + 0.5),
            false => (0.0, 1.0),
        };
        let top = points().map(|p| p.1).fold(0.0, f64::max);
        match self.log_from {
            Some(from) => {
                Scale { x, y: (from.log10(), top.max(from * 10.0).log10().ceil()), log: true }
            }
            None => Scale { x, y: (0.0, nice_above(top)), log: false },
        }
    }

    fn draw_axes(&self, scale: &Scale, svg: &mut String) {
        let (right, bottom) = (WIDTH - RIGHT, HEIGHT - BOTTOM);
        let ticks = if scale.log { decades(scale.y) } else { even(scale.y) };
        for (tick, label) in ticks {
            let y = scale.place_y(tick);
            let _ = write!(
                svg,
                "<line x1=\"{LEFT}\" x2=\"{right}\" y1=\"{y:.1}\" y2=\"{y:.1}\" \
                 stroke=\"#e4e4e4\"/><text x=\"{:.1}\" y=\"{:.1}\" \
                 text-anchor=\"end\">{label}</text>",
                LEFT - 6.0,
                y + 4.0
            );
        }
        for (tick, label) in even(scale.x) {
            let _ = write!(
                svg,
                "<text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{label}</text>",
                scale.place_x(tick),
                bottom + 15.0
            );
        }
        let _ = write!(
            svg,
            "<line x1=\"{LEFT}\" x2=\"{right}\" y1=\"{bottom}\" y2=\"{bottom}\" stroke=\"#888\"/>\
             <text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"middle\" fill=\"#666\">{}</text>\
             <text transform=\"translate(13,{:.1}) rotate(-90)\" text-anchor=\"middle\" \
             fill=\"#666\">{}</text>",
            (LEFT + right) / 2.0,
            bottom + 32.0,
            escape(&self.x),
            (TOP + bottom) / 2.0,
            escape(&self.y)
        );
    }

    /// Names the series, the last one drawn first, in the upper left corner.
    fn draw_legend(&self, svg: &mut String) {
        let named = self.series.iter().rev().filter(|series| !series.name.is_empty());
        for (i, series) in named.enumerate() {
            let y = TOP + 12.0 + 14.0 * i as f64;
            let _ = write!(
                svg,
                "<rect x=\"{:.1}\" y=\"{:.1}\" width=\"10\" height=\"10\" fill=\"{}\" \
                 stroke=\"#fff\"/><text x=\"{:.1}\" y=\"{y:.1}\" stroke=\"#fff\" stroke-width=\"3\" \
                 paint-order=\"stroke\">{}</text>",
                LEFT + 8.0,
                y - 9.0,
                series.color,
                LEFT + 23.0,
                escape(&series.name)
            );
        }
    }
}

impl Series {
    fn draw(&self, scale: &Scale, svg: &mut String) {
        let base = HEIGHT - BOTTOM;
        let at = |(x, y): (f64, f64)| (scale.place_x(x), scale.place_y(scale.value(y)));
        let path = || {
            let point = |point| {
                let (x, y) = at(point);
                format!("{x:.1},{y:.1}")
            };
            self.points.iter().map(|&p| point(p)).collect::<Vec<_>>().join(" ")
        };
        let color = &self.color;
        let (Some(&first), Some(&last)) = (self.points.first(), self.points.last()) else {
            return;
        };
        let _ = match self.mark {
            Mark::Line | Mark::Dashed => write!(
                svg,
                "<polyline points=\"{}\" fill=\"none\" stroke=\"{color}\" stroke-width=\"1.8\"{}/>",
                path(),
                if self.mark == Mark::Dashed { " stroke-dasharray=\"5 4\"" } else { "" }
            ),
            Mark::Area => write!(
                svg,
                "<polygon points=\"{:.1},{base} {} {:.1},{base}\" fill=\"{color}\"/>",
                at(first).0,
                path(),
                at(last).0
            ),
            Mark::Dots => {
                let dot = |(x, y)| format!("<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"5\"/>");
                let dots: String = self.points.iter().map(|&point| dot(at(point))).collect();
                write!(svg, "<g fill=\"{color}\">{dots}</g>")
            }
            Mark::Bars => {
                let step = (at(last).0 - at(first).0) / (self.points.len().max(2) - 1) as f64;
                let mut bars = String::new();
                for &point in &self.points {
                    let (x, y) = at(point);
                    let _ = write!(
                        bars,
                        "<rect x=\"{:.1}\" y=\"{y:.1}\" width=\"{:.1}\" height=\"{:.1}\"/>",
                        x - step / 2.0,
                        step.max(1.0),
                        base - y
                    );
                }
                write!(svg, "<g fill=\"{color}\" fill-opacity=\"0.65\">{bars}</g>")
            }
        };
    }
}

impl Scale {
    fn place_x(&self, x: f64) -> f64 {
        LEFT + (x - self.x.0) / (self.x.1 - self.x.0) * (WIDTH - RIGHT - LEFT)
    }

    /// Where a value of the axis is; on a logarithmic one, its logarithm.
    fn place_y(&self, y: f64) -> f64 {
        let up = ((y - self.y.0) / (self.y.1 - self.y.0)).clamp(0.0, 1.0);
        HEIGHT - BOTTOM - up * (HEIGHT - BOTTOM - TOP)
    }

    fn value(&self, y: f64) -> f64 {
        if self.log { y.max(1e-300).log10() } else { y }
    }
}

fn even((low, high): (f64, f64)) -> Vec<(f64, String)> {
    let tick = |i| low + (high - low) * f64::from(i) / f64::from(TICKS);
    (0..=TICKS).map(|i| (tick(i), short(tick(i)))).collect()
}

fn decades((low, high): (f64, f64)) -> Vec<(f64, String)> {
    let step = ((high - low) / 6.0).ceil().max(1.0);
    let ticks = std::iter::successors(Some(low.ceil()), |tick| Some(tick + step));
    ticks.take_while(|tick| *tick <= high).map(|tick| (tick, format!("1e{tick}"))).collect()
}

/// The next of 1, 2, 4, 5, 10 times a power of ten: four ticks of it are short.
fn nice_above(top: f64) -> f64 {
    if top <= 0.0 {
        return 1.0;
    }
    let power = 10_f64.powf(top.log10().floor());
    let steps = [1.0, 2.0, 4.0, 6.0, 8.0, 10.0];
    steps.into_iter().map(|step| step * power).find(|step| *step >= top).unwrap_or(top)
}

fn short(value: f64) -> String {
    match value.abs() {
        0.0 => "0".to_owned(),
        a if a >= 1e6 => format!("{}M", trim(value / 1e6)),
        a if a >= 1e4 => format!("{}k", trim(value / 1e3)),
        a if a < 1e-3 => format!("{value:.0e}"),
        _ => trim(value),
    }
}

fn trim(value: f64) -> String {
    let text = format!("{value:.3}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}
