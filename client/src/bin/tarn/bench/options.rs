//! What can be asked of a bench, and the cells that follow from it.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::cell::Cell;
use super::operation::Operation;
use crate::size;

/// Larger files are worked on one at a time: one keeps every core busy.
const SIDE_BY_SIDE_MAX: u64 = 1 << 20;
/// Nobody waits for more, and ten servers on one disk have no room for it.
const SIZE_MAX: u64 = 8 << 30;
/// What is published and read over a slow network.
const LATENCY_SIZES: [u64; 2] = [1 << 10, 1 << 20];

/// Measures how fast this machine publishes and reads, beside how fast it does the parts of that one by one.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Ten servers are started as processes and stopped at the end, with their data in a new folder \
that goes with them; no grid is used. Let it lie on the disk that you would use: a folder in memory makes nothing \
durable. Should the bench itself be killed, `tarn cluster stop --dir FOLDER/servers` stops the servers; the folder \
is said at the start.

Examples:
  tarn bench
  tarn bench --sizes 1KiB,1MiB --at-once 1,64 --only update --seconds 10
  tarn bench --dir /srv --sizes 1GiB --json bench.json --svg bench.svg
  tarn bench --sizes 1KiB --latency 1,20,100
  tarn bench --sizes 1KiB,100MiB --only update,through      the library beside a gateway"
)]
pub(crate) struct Args {
    /// The folder below which everything is kept while it runs [default: the system's for temporary files].
    #[arg(long, value_name = "FOLDER")]
    dir: Option<PathBuf>,
    /// How large the files are.
    #[arg(
        long,
        value_name = "SIZES",
        value_delimiter = ',',
        value_parser = size_of_a_file,
        default_value = "1KiB,64KiB,1MiB,16MiB,100MiB"
    )]
    sizes: Vec<u64>,
    /// How many files are worked on at once; of files above 1 MiB, always one.
    #[arg(
        long,
        value_name = "NUMBERS",
        value_delimiter = ',',
        value_parser = clap::value_parser!(u16).range(1..=1024),
        default_value = "1,16,64"
    )]
    at_once: Vec<u16>,
    /// What is done with the files.
    #[arg(long, value_name = "OPERATIONS", value_delimiter = ',', value_enum)]
    only: Vec<Operation>,
    /// How long each operation is repeated, in seconds; at least three times it is done anyway.
    #[arg(long, value_name = "SECONDS", value_parser = seconds, default_value = "3")]
    seconds: Duration,
    /// Round trips, in milliseconds, of networks that are put before the servers for files of 1 KiB and 1 MiB.
    #[arg(
        long,
        value_name = "MILLISECONDS",
        value_delimiter = ',',
        value_parser = clap::value_parser!(u16).range(1..=10_000)
    )]
    latency: Vec<u16>,
    /// Write everything that was measured to this file.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Write a picture to this file: the parts beside the whole.
    #[arg(long, value_name = "FILE")]
    svg: Option<PathBuf>,
}

impl Args {
    pub(super) fn dir(&self) -> Option<&Path> {
        self.dir.as_deref()
    }

    pub(super) fn json(&self) -> Option<&Path> {
        self.json.as_deref()
    }

    pub(super) fn svg(&self) -> Option<&Path> {
        self.svg.as_deref()
    }

    pub(super) fn sizes(&self) -> &[u64] {
        &self.sizes
    }

    pub(super) fn latencies(&self) -> &[u16] {
        &self.latency
    }

    /// Whether a gateway is wanted.
    pub(super) fn wants_a_gateway(&self) -> bool {
        self.operations().contains(&Operation::Through)
    }

    /// How long a cell is measured.
    pub(super) const fn budget(&self) -> Duration {
        self.seconds
    }

    /// What is measured of files of this size, with nothing in the way.
    pub(super) fn cells(&self, size: u64) -> Vec<Cell> {
        let alone = [1];
        let at_once = if size <= SIDE_BY_SIDE_MAX { &self.at_once[..] } else { &alone };
        let cells = at_once.iter().flat_map(|&at_once| {
            let operations = self.operations().iter();
            operations.map(move |&operation| Cell { operation, size, at_once, latency: None })
        });
        cells.collect()
    }

    /// What is measured over a network whose round trip takes so many milliseconds.
    pub(super) fn latency_cells(&self, milliseconds: u16) -> Vec<Cell> {
        let cells = LATENCY_SIZES.into_iter().flat_map(|size| {
            let operations = self.operations().iter();
            operations.map(move |&operation| Cell {
                operation,
                size,
                at_once: 1,
                latency: Some(milliseconds),
            })
        });
        cells.collect()
    }

    fn operations(&self) -> &[Operation] {
        if self.only.is_empty() { &Operation::USUAL } else { &self.only }
    }
}

fn size_of_a_file(text: &str) -> Result<u64, String> {
    match size::parse(text)? {
        0 => Err("a file of nothing has nothing to measure".to_owned()),
        size if size > SIZE_MAX => Err("8 GiB are the most that is measured".to_owned()),
        size => Ok(size),
    }
}

fn seconds(text: &str) -> Result<Duration, String> {
    let number = text.parse::<f64>().ok().filter(|number| (0.0..=3600.0).contains(number));
    let number = number.ok_or("write a number of seconds, at most 3600")?;
    Ok(Duration::from_secs_f64(number))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, clap::Parser)]
    struct Typed {
        #[command(flatten)]
        args: Args,
    }

    fn typed(words: &[&str]) -> Result<Args, clap::Error> {
        let line = ["bench"].iter().chain(words);
        <Typed as clap::Parser>::try_parse_from(line).map(|typed| typed.args)
    }

    #[test]
    fn sizes_are_read_in_units_and_neither_nothing_nor_too_much_is_one() {
        let args = typed(&["--sizes", "1KiB,3,1GiB"]).unwrap();
        assert_eq!(args.sizes(), [1 << 10, 3, 1 << 30]);
        for sizes in ["", "0", "1KiB,0KiB", "1.5MiB", "many", "9GiB"] {
            assert!(typed(&["--sizes", sizes]).is_err(), "{sizes}");
        }
    }

    #[test]
    fn only_small_files_are_worked_on_side_by_side() {
        let args = typed(&["--at-once", "1,16"]).unwrap();
        let at_once = |size| {
            let cells = args.cells(size).into_iter();
            cells
                .filter(|cell| cell.operation == Operation::Update)
                .map(|cell| cell.at_once)
                .collect::<Vec<_>>()
        };
        assert_eq!(at_once(1 << 20), [1, 16]);
        assert_eq!(at_once((1 << 20) + 1), [1]);
    }

    #[test]
    fn only_what_was_asked_for_is_done() {
        let args = typed(&["--only", "read,update", "--at-once", "1"]).unwrap();
        let cells = args.cells(1).into_iter();
        let operations: Vec<_> = cells.map(|cell| cell.operation).collect();
        assert_eq!(operations, [Operation::Read, Operation::Update]);
        assert_eq!(args.latency_cells(20).len(), 4);
    }

    #[test]
    fn a_budget_is_a_number_of_seconds() {
        assert_eq!(typed(&["--seconds", "0.25"]).unwrap().budget(), Duration::from_millis(250));
        for text in ["-1", "NaN", "inf", "3601", "1s"] {
            assert!(typed(&[&format!("--seconds={text}")]).is_err(), "{text}");
        }
    }
}
