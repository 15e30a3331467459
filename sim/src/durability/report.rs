//! What a simulated grid showed: a table for people, and plots.

use std::fmt;

use super::closed_form::{fewer_than, lost_with_repair, poisson_interval};
use super::measures::Sample;
use super::options::{Options, Terms};
use super::servers::lifetime_scale;
use super::simulation::Ended;

/// The samples of a run that the table shows.
const ROWS: usize = 10;
const MIB: f64 = (1 << 20) as f64;

/// What a simulated grid showed.
pub struct Report {
    pub(super) options: Options,
    pub(super) terms: Terms,
    pub(super) ended: Ended,
}

/// The least, the most and what lies between.
struct Spread {
    sorted: Vec<u64>,
}

impl Report {
    pub(super) fn new(options: &Options, terms: Terms, ended: Ended) -> Self {
        Self { options: options.clone(), terms, ended }
    }

    /// Files that can no longer be recovered at the end.
    pub fn files_lost(&self) -> u64 {
        self.ended.measures.lost()
    }

    /// Files, not lost, that can never be written again, because too few servers of their window are left.
    pub fn files_stuck(&self) -> u64 {
        self.ended.measures.stuck()
    }

    /// Files lost per year, and a 95 % confidence interval of it. It treats files as independent.
    pub fn lost_per_year(&self) -> (f64, f64, f64) {
        let (low, high) = poisson_interval(self.files_lost());
        let years = self.options.years;
        (self.files_lost() as f64 / years, low / years, high / years)
    }

    /// The part of the files' time in which a file that is neither lost nor stuck had no quorum up.
    pub fn unwritable_fraction(&self) -> f64 {
        self.ended.measures.fractions().unwritable
    }

    /// The part of the files' time in which a file that is not lost had fewer than k distinct shares up.
    pub fn unreadable_fraction(&self) -> f64 {
        self.ended.measures.fractions().unreadable
    }

    /// What is stored for each byte of a file.
    pub fn overhead(&self) -> f64 {
        let shares: u64 = self.ended.shares_at_start.iter().sum();
        shares as f64 / f64::from(self.options.files) / f64::from(self.terms.shape.k())
    }

    /// What is stored at the end for each byte of a file. Repair takes no share away, so it can be more.
    pub fn overhead_at_end(&self) -> f64 {
        let shares: u64 = self.ended.shares_at_end.iter().sum();
        shares as f64 / f64::from(self.options.files) / f64::from(self.terms.shape.k())
    }

    /// Servers of a window, and how many of them a write needs.
    pub const fn window_and_quorum(&self) -> (usize, usize) {
        (self.terms.window, self.terms.quorum)
    }

    /// MiB read and written for repairs by a server in a day, on average.
    pub fn repair_mib_per_server_day(&self) -> f64 {
        let moved: u64 = self.ended.moved.iter().sum();
        moved as f64 / MIB / f64::from(self.options.servers) / self.terms.duration.in_days()
    }

    /// Servers lost.
    pub const fn servers_lost(&self) -> u64 {
        self.ended.measures.servers_lost
    }

    /// How likely a file has too few servers left after so many years: exact where servers are independent and
    /// windows do not move.
    pub fn stuck_by(&self, years: f64) -> f64 {
        let gone = self.gone_by(years);
        fewer_than(self.terms.quorum, self.terms.window, 1.0 - gone)
    }

    /// How likely a file is lost at the end if servers are independent and do not age, none is ever away, and every
    /// check repairs all that is missing at once.
    pub fn lost_by_chain(&self) -> f64 {
        let Terms { shape, window, quorum, duration, interval, .. } = self.terms;
        match interval {
            Some(interval) => {
                let steps = duration.0.div_ceil(interval.0.max(1));
                let loss = 1.0 - (-self.options.loss_per_year * interval.in_years()).exp();
                lost_with_repair(shape, window, quorum, loss, steps)
            }
            None => {
                let gone = self.gone_by(self.options.years);
                lost_with_repair(shape, window, quorum, gone, 1)
            }
        }
    }

    /// How likely no quorum of a window of which nothing is lost is up at a moment.
    pub fn unwritable_when_new(&self) -> f64 {
        fewer_than(self.terms.quorum, self.terms.window, self.availability())
    }

    /// How likely a server that is not lost is up.
    fn availability(&self) -> f64 {
        let up = |per_year: f64, hours: f64| 1.0 / (1.0 + per_year * hours / 8_766.0);
        let o = &self.options;
        let zone = up(o.zone_absences_per_year, o.zone_absence_mean_hours);
        up(o.absences_per_year, o.absence_mean_hours) * if o.zones > 0 { zone } else { 1.0 }
    }

    /// MiB moved for repairs per server and day between two samples.
    pub(super) fn traffic(&self, from: &Sample, to: &Sample) -> f64 {
        let days = to.at.since(from.at).in_days();
        (to.moved - from.moved) as f64 / MIB / f64::from(self.options.servers) / days
    }

    fn gone_by(&self, years: f64) -> f64 {
        let scale = lifetime_scale(self.options.loss_per_year, self.options.weibull_shape);
        let gone = |scale: f64| 1.0 - (-(years / scale).powf(self.options.weibull_shape)).exp();
        let own = scale.map_or(0.0, gone);
        let zone = if self.options.zones > 0 { self.options.zone_loss_per_year } else { 0.0 };
        1.0 - (1.0 - own) * (-zone * years).exp()
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.write_terms(f)?;
        self.write_balance(f)?;
        self.write_years(f)?;
        self.write_summary(f)
    }
}

impl Report {
    fn write_terms(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (o, t) = (&self.options, &self.terms);
        let stores = self.overhead();
        let up = self.availability() * 100.0;
        writeln!(
            f,
            "grid     {} servers, {} files, {} years, seed {}",
            o.servers, o.files, o.years, o.seed
        )?;
        writeln!(
            f,
            "files    {}: window {}, write quorum {}, {stores:.2} bytes stored a byte",
            t.shape, t.window, t.quorum
        )?;
        writeln!(
            f,
            "servers  lost {}/year (Weibull shape {}), away {}/year for {} h, up {up:.2} %",
            o.loss_per_year, o.weibull_shape, o.absences_per_year, o.absence_mean_hours
        )?;
        if o.zones > 0 {
            writeln!(
                f,
                "zones    {}, each away {}/year for {} h, lost {}/year",
                o.zones, o.zone_absences_per_year, o.zone_absence_mean_hours, o.zone_loss_per_year
            )?;
        }
        match o.repair_interval_hours {
            Some(hours) => writeln!(
                f,
                "repair   every {hours} h below happiness {}, absences under {} h forgiven, {} MiB/s a \
                 server, shares of {} KiB, windows {}",
                t.threshold,
                o.absence_grace_hours,
                o.bandwidth_mib,
                o.share_kib,
                if o.move_windows { "move (not in tarn yet)" } else { "stay" }
            ),
            None => writeln!(f, "repair   never"),
        }
    }

    fn write_balance(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f)?;
        writeln!(
            f,
            "{:<26}{:>10}{:>10}{:>10}{:>10}{:>10}{:>10}",
            "shares per server", "min", "1 %", "median", "99 %", "max", "mean"
        )?;
        let rows = [
            ("at the start", &self.ended.shares_at_start),
            ("at the end, with new ones", &self.ended.shares_at_end),
        ];
        for (name, counts) in rows {
            let spread = Spread::of(counts);
            write!(f, "{name:<26}")?;
            for part in [0.0, 0.01, 0.5, 0.99, 1.0] {
                write!(f, "{:>10}", spread.at(part))?;
            }
            writeln!(f, "{:>10.0}", spread.mean())?;
        }
        Ok(())
    }

    fn write_years(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f)?;
        writeln!(
            f,
            "{:>6}  {:^17}{:>13}{:>13}{:>10}{:>13}{:>14}",
            "", "happiness left", "never again", "closed form", "", "without a", "repair MiB"
        )?;
        writeln!(
            f,
            "{:>6}  {:>5}{:>5}{:>7}{:>13}{:>13}{:>10}{:>13}{:>14}",
            "year", "min", "1 %", "median", "writable", "", "lost", "quorum now", "server x day"
        )?;
        let timeline = &self.ended.measures.timeline;
        let step = (timeline.len() - 1).div_ceil(ROWS).max(1);
        let shown: Vec<&Sample> = timeline.iter().step_by(step).collect();
        for (i, sample) in shown.iter().enumerate() {
            let years = sample.at.in_years();
            let [least, low, median] = happiness_quantiles(sample);
            let closed = match self.options.move_windows {
                true => "-".to_owned(),
                false => format!("{:.1}", self.stuck_by(years) * f64::from(self.options.files)),
            };
            let traffic =
                i.checked_sub(1).map_or(0.0, |before| self.traffic(shown[before], sample));
            writeln!(
                f,
                "{years:>6.1}  {least:>5}{low:>5}{median:>7}{:>13}{closed:>13}{:>10}{:>13}{traffic:>14.3}",
                sample.stuck, sample.lost, sample.unwritable
            )?;
        }
        Ok(())
    }

    fn write_summary(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let m = &self.ended.measures;
        let (lost, low, high) = self.lost_per_year();
        let years = self.options.years;
        let chain = self.lost_by_chain() * f64::from(self.options.files) / years;
        let part = m.fractions();
        writeln!(f)?;
        writeln!(f, "files lost a year          {lost:.3}  (95 %: {low:.3} to {high:.3})")?;
        if !self.options.move_windows {
            writeln!(
                f,
                "  by a Markov chain        {chain:.2e}  (independent servers, every check repairs all)"
            )?;
        }
        writeln!(
            f,
            "never again writable       {:.3} files a year",
            self.files_stuck() as f64 / years
        )?;
        writeln!(
            f,
            "no quorum for the moment   {:.2e} of the time, {:.1} times a year; a new window {:.2e}",
            part.unwritable,
            m.episodes_unwritable as f64 / years,
            self.unwritable_when_new()
        )?;
        writeln!(
            f,
            "not readable at a moment   {:.2e} of the time, {:.1} times a year",
            part.unreadable,
            m.episodes_unreadable as f64 / years
        )?;
        let moved = Spread::of(&self.ended.moved);
        writeln!(
            f,
            "repairs                    {} ({} cut short), {:.3} MiB per server and day, the longest {:.1} h",
            m.repairs,
            m.repairs_failed,
            self.repair_mib_per_server_day(),
            self.ended.longest_repair.in_days() * 24.0
        )?;
        writeln!(
            f,
            "  the busiest server       {:.1} MiB in all; half moved less than {:.1}",
            moved.at(1.0) as f64 / MIB,
            moved.at(0.5) as f64 / MIB
        )?;
        writeln!(
            f,
            "bytes stored a byte        {:.2} at the start, {:.2} at the end",
            self.overhead(),
            self.overhead_at_end()
        )?;
        writeln!(f, "servers lost               {}", m.servers_lost)?;
        if self.options.move_windows {
            writeln!(f, "places in windows moved    {}", m.moves)?;
        }
        writeln!(f, "events                     {}", m.events)
    }
}

impl Spread {
    fn of(values: &[u64]) -> Self {
        let mut sorted = values.to_vec();
        sorted.sort_unstable();
        Self { sorted }
    }

    /// The value below which this part of all lies.
    fn at(&self, part: f64) -> u64 {
        let last = self.sorted.len().saturating_sub(1);
        let rank = (0..last).filter(|&i| (i as f64) < part * last as f64).count();
        self.sorted.get(rank).copied().unwrap_or(0)
    }

    fn mean(&self) -> f64 {
        self.sorted.iter().sum::<u64>() as f64 / self.sorted.len().max(1) as f64
    }
}

/// The least, the hundredth part and the median of the happiness of the files that are not lost.
fn happiness_quantiles(sample: &Sample) -> [usize; 3] {
    let files: u64 = sample.by_happiness.iter().sum();
    [0, files / 100, files / 2].map(|rank| {
        let mut below = 0;
        let holds = |count: &u64| {
            below += count;
            below > rank
        };
        sample.by_happiness.iter().position(holds).unwrap_or(0)
    })
}
