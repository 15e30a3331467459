//! The results as tables for people.

use std::fmt;
use std::time::Duration;

use super::limits::Work;
use super::results::{Measured, NOTES, Results};
use super::statistics::per_second;
use crate::error::CommandError;
use crate::output::{self, Size};
use crate::table::{Column, Table};

/// Prints everything.
pub(super) fn print(results: &Results) -> Result<(), CommandError> {
    let machine = &results.machine;
    let known = |fact: &Option<String>| fact.clone().unwrap_or_else(|| "?".to_owned());
    output::print(format_args!(
        "tarn {} on {} cores, {}; {}; data on {}\n",
        env!("CARGO_PKG_VERSION"),
        machine.cores,
        known(&machine.cpu),
        known(&machine.kernel),
        known(&machine.file_system),
    ))?;
    output::print(cells(results))?;
    output::print(format_args!("\nThe parts of one file, alone:\n{}", limits(results)))?;
    if results.cells.iter().any(|measured| measured.cell.latency.is_some()) {
        output::print(format_args!("\nOver a network:\n{}", latencies(results)))?;
    }
    output::print(format_args!("\n{}", NOTES.join("\n")))
}

fn cells(results: &Results) -> Table {
    let mut table = Table::new(&[
        Column::Text("OPERATION"),
        Column::Number("SIZE"),
        Column::Number("AT ONCE"),
        Column::Number("MEDIAN"),
        Column::Number("P99"),
        Column::Number("FILES/S"),
        Column::Number("RATE"),
        Column::Number("LIMITS"),
        Column::Number("REACHED"),
        Column::Number("CLIENT"),
        Column::Number("SERVER"),
    ]);
    for measured in results.cells.iter().filter(|measured| measured.cell.latency.is_none()) {
        let Measured { cell, latencies, peaks, .. } = measured;
        table.row([
            cell.operation.to_string(),
            Size(cell.size).to_string(),
            cell.at_once.to_string(),
            Time(latencies.median()).to_string(),
            Time(latencies.p99()).to_string(),
            digits(measured.files_per_second()),
            rate(measured.bytes_per_second()),
            or_dash(results.limit_of(measured).map(Time)),
            or_dash(results.reached(measured).map(|reached| format!("{:.0} %", reached * 100.0))),
            or_dash(peaks.client.map(Size)),
            or_dash(peaks.most_of_a_server().map(Size)),
        ]);
    }
    table
}

fn limits(results: &Results) -> Table {
    let mut table = Table::new(&[
        Column::Text("WORK"),
        Column::Number("SIZE"),
        Column::Text("PART"),
        Column::Number("TIME"),
        Column::Number("BYTES"),
        Column::Number("RATE"),
        Column::Number("OF ALL"),
    ]);
    for limits in &results.limits {
        for (work, name) in Work::ALL {
            let sum = limits.sum(work);
            for part in limits.of(work) {
                let share = per_second(part.time.as_secs_f64() * 100.0, sum);
                table.row([
                    name.to_owned(),
                    Size(limits.size).to_string(),
                    part.stage.name().to_owned(),
                    Time(part.time).to_string(),
                    Size(part.bytes).to_string(),
                    rate(per_second(part.bytes as f64, part.time)),
                    format!("{share:.0} %"),
                ]);
            }
            table.row([
                name.to_owned(),
                Size(limits.size).to_string(),
                "all".to_owned(),
                Time(sum).to_string(),
                String::new(),
                rate(per_second(limits.size as f64, sum)),
                String::new(),
            ]);
        }
    }
    table
}

fn latencies(results: &Results) -> Table {
    let mut table = Table::new(&[
        Column::Number("ROUND TRIP"),
        Column::Text("OPERATION"),
        Column::Number("SIZE"),
        Column::Number("MEDIAN"),
        Column::Number("P99"),
        Column::Number("ROUND TRIPS"),
    ]);
    for measured in &results.cells {
        let Measured { cell, latencies, .. } = measured;
        let Some((milliseconds, trips)) = cell.latency.zip(measured.round_trips()) else {
            continue;
        };
        table.row([
            format!("{milliseconds} ms"),
            cell.operation.to_string(),
            Size(cell.size).to_string(),
            Time(latencies.median()).to_string(),
            Time(latencies.p99()).to_string(),
            format!("{trips:.1}"),
        ]);
    }
    table
}

fn or_dash(value: Option<impl fmt::Display>) -> String {
    value.map_or_else(|| "-".to_owned(), |value| value.to_string())
}

#[expect(clippy::cast_possible_truncation, reason = "more than 2^64 bytes a second are none")]
fn rate(bytes_per_second: f64) -> String {
    format!("{}/s", Size(bytes_per_second as u64))
}

/// A number with three digits, or as many as it has before the point.
fn digits(number: f64) -> String {
    match number {
        ..10.0 => format!("{number:.2}"),
        ..100.0 => format!("{number:.1}"),
        _ => format!("{number:.0}"),
    }
}

/// A span of time in one unit, with three digits: `84.0 µs`, `1.23 ms`, `12.3 s`.
#[derive(Debug, Clone, Copy)]
pub(super) struct Time(pub(super) Duration);

impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.0.as_secs_f64();
        let (number, unit) = match seconds {
            ..1e-3 => (seconds * 1e6, "µs"),
            ..1.0 => (seconds * 1e3, "ms"),
            _ => (seconds, "s"),
        };
        write!(f, "{} {unit}", digits(number))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::results::tests::results;

    #[test]
    fn times_read_with_three_digits() {
        for (nanoseconds, text) in [
            (50, "0.05 µs"),
            (84_000, "84.0 µs"),
            (1_234_000, "1.23 ms"),
            (123_400_000, "123 ms"),
            (12_340_000_000, "12.3 s"),
        ] {
            assert_eq!(Time(Duration::from_nanos(nanoseconds)).to_string(), text);
        }
    }

    #[test]
    fn a_row_says_what_was_reached_and_a_network_has_a_table_of_its_own() {
        let results = results();
        let table = cells(&results).to_string();
        let [heading, row] = table.lines().collect::<Vec<_>>()[..] else { panic!("{table}") };
        assert!(heading.contains("REACHED"), "{table}");
        for word in ["update", "1.00 KiB", "10.0 ms", "40.0 KiB/s", "6.00 ms", "60 %", "2.00 MiB"] {
            assert!(row.contains(word), "{word}: {table}");
        }
        let table = latencies(&results).to_string();
        assert!(table.contains("20 ms") && table.contains("4.5"), "{table}");
    }
}
