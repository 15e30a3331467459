//! What a bench found, whole, and as JSON. Times are in seconds there, sizes in bytes.

use std::time::Duration;

use serde_json::{Value, json};

use super::cell::Cell;
use super::limits::{Limits, Part, Work};
use super::machine::{Machine, Peaks};
use super::options::Args;
use super::statistics::{Latencies, per_second, reached};
use crate::error::CommandError;

/// What must be known to read the figures.
pub(super) const NOTES: [&str; 7] = [
    "Each operation was done once unmeasured before it was measured, and files of the disk's trial are written over: \
     memory and disk blocks that were never used before are several times slower to come by on many machines.",
    "median and p99 are the times until the caller knew that it was published, or had all of it. Files a second are counted \
     by the clock on the wall, with the courtesies after a publish.",
    "limits are the times of the parts, done alone one after the other, added up; reached is that sum by the median, for \
     each of the files at once. Parts overlap in the whole, so more than 100 % is possible.",
    "The parts of a publish are salt (BLAKE3), cipher (AES-CTR), coding (Reed-Solomon, 3 of 10), hashing by the client, \
     the network (gRPC over loopback), hashing by the servers, and the disk; those of a read are cipher, hashing, network \
     and hashing by the servers, of 3 shares. All cores work on each as far as there are segments.",
    "The disk's part is one durable write for each of the ten servers, side by side: an SQLite transaction for shares up to \
     64 KiB, else a file that is written and synced. A publish makes more of them: it seals, commits and certifies.",
    "The client keeps no journal and no names here, which the command does.",
    "Memory is the most that a process had at once while its row was measured: the client's, and that of the largest server. \
     The client's includes what the bench itself had before.",
];

/// Everything that was found.
#[derive(Debug)]
pub(super) struct Results {
    pub(super) machine: Machine,
    seconds: Duration,
    pub(super) cells: Vec<Measured>,
    pub(super) limits: Vec<Limits>,
}

/// What was found in one cell.
#[derive(Debug)]
pub(super) struct Measured {
    pub(super) cell: Cell,
    pub(super) latencies: Latencies,
    elapsed: Duration,
    pub(super) peaks: Peaks,
}

impl Measured {
    pub(super) const fn new(
        cell: Cell,
        latencies: Latencies,
        elapsed: Duration,
        peaks: Peaks,
    ) -> Self {
        Self { cell, latencies, elapsed, peaks }
    }

    /// How many files were done with a second.
    pub(super) fn files_per_second(&self) -> f64 {
        per_second(self.latencies.count() as f64, self.elapsed)
    }

    /// How many bytes of files.
    pub(super) fn bytes_per_second(&self) -> f64 {
        self.files_per_second() * self.cell.size as f64
    }

    /// How many round trips take as long as the median; none if nothing was put before the servers.
    pub(super) fn round_trips(&self) -> Option<f64> {
        let round_trip = Duration::from_millis(self.cell.latency?.into());
        Some(per_second(self.latencies.median().as_secs_f64(), round_trip))
    }
}

impl Results {
    /// Nothing was found yet.
    pub(super) const fn new(machine: Machine, args: &Args) -> Self {
        Self { machine, seconds: args.budget(), cells: Vec::new(), limits: Vec::new() }
    }

    /// What the parts of this cell's work take together, if nothing else was put in its way.
    pub(super) fn limit_of(&self, measured: &Measured) -> Option<Duration> {
        let cell = &measured.cell;
        let limits = self.limits.iter().find(|limits| limits.size == cell.size);
        limits.filter(|_| cell.latency.is_none()).map(|limits| limits.sum(cell.operation.work()))
    }

    /// Which part of the limits' speed this cell reached.
    pub(super) fn reached(&self, measured: &Measured) -> Option<f64> {
        let limit = self.limit_of(measured)?;
        Some(reached(limit, measured.latencies.median(), measured.cell.at_once))
    }

    /// Everything, as one JSON object.
    pub(super) fn to_json(&self) -> Result<String, CommandError> {
        let cells: Vec<Value> =
            self.cells.iter().map(|measured| self.cell_json(measured)).collect();
        let limits: Vec<Value> = self.limits.iter().flat_map(limits_json).collect();
        let results = json!({
            "tarn": env!("CARGO_PKG_VERSION"),
            "machine": self.machine,
            "seconds": self.seconds.as_secs_f64(),
            "notes": NOTES,
            "cells": cells,
            "limits": limits,
        });
        serde_json::to_string_pretty(&results).map_err(CommandError::failed)
    }

    fn cell_json(&self, measured: &Measured) -> Value {
        let Measured { cell, latencies, elapsed, peaks } = measured;
        json!({
            "operation": cell.operation.name(),
            "size": cell.size,
            "at_once": cell.at_once,
            "round_trip": cell.latency.map(|milliseconds| f64::from(milliseconds) / 1000.0),
            "operations": latencies.count(),
            "elapsed": elapsed.as_secs_f64(),
            "median": latencies.median().as_secs_f64(),
            "p99": latencies.p99().as_secs_f64(),
            "files_per_second": measured.files_per_second(),
            "bytes_per_second": measured.bytes_per_second(),
            "round_trips": measured.round_trips(),
            "limits": self.limit_of(measured).map(|limit| limit.as_secs_f64()),
            "reached": self.reached(measured),
            "peak_memory": peaks,
        })
    }
}

fn limits_json(limits: &Limits) -> [Value; 3] {
    Work::ALL.map(|(work, _)| {
        let parts: Vec<Value> = limits.of(work).iter().map(part_json).collect();
        let sum = limits.sum(work).as_secs_f64();
        json!({ "work": work, "size": limits.size, "time": sum, "parts": parts })
    })
}

fn part_json(part: &Part) -> Value {
    json!({
        "part": part.stage,
        "time": part.time.as_secs_f64(),
        "bytes": part.bytes,
        "bytes_per_second": per_second(part.bytes as f64, part.time),
    })
}

#[cfg(test)]
pub(super) mod tests {
    use std::path::Path;

    use super::*;
    use crate::bench::limits::Stage;
    use crate::bench::operation::Operation;

    /// An update of 1 KiB in 10 ms whose parts take 6 ms, and one over a network.
    pub(in crate::bench) fn results() -> Results {
        let ms = Duration::from_millis;
        let part = |stage, time| Part { stage, time, bytes: 2048 };
        let cell = |latency| Cell { operation: Operation::Update, size: 1024, at_once: 1, latency };
        let measured = |latency, took| {
            let peaks = Peaks { client: Some(1 << 20), servers: vec![None, Some(2 << 20)] };
            Measured::new(cell(latency), Latencies::new(vec![took; 4]), ms(100), peaks)
        };
        Results {
            machine: Machine::look_at(Path::new("/")),
            seconds: ms(100),
            cells: vec![measured(None, ms(10)), measured(Some(20), ms(90))],
            limits: vec![Limits {
                size: 1024,
                publish: vec![part(Stage::Salt, ms(2)), part(Stage::Disk, ms(4))],
                change: vec![part(Stage::Salt, ms(1))],
                read: vec![part(Stage::Cipher, ms(1))],
            }],
        }
    }

    #[test]
    fn a_cell_is_told_with_its_rates_and_what_it_reached_of_its_limits() {
        let json: Value = serde_json::from_str(&results().to_json().unwrap()).unwrap();
        let cell = &json["cells"][0];
        assert_eq!(cell["operation"], "update");
        assert_eq!((&cell["size"], &cell["at_once"]), (&json!(1024), &json!(1)));
        assert_eq!((&cell["median"], &cell["p99"]), (&json!(0.01), &json!(0.01)));
        assert_eq!(cell["files_per_second"], 40.0);
        assert_eq!(cell["bytes_per_second"], 40.0 * 1024.0);
        assert_eq!(cell["limits"], 0.006);
        assert!((cell["reached"].as_f64().unwrap() - 0.6).abs() < 1e-9);
        assert_eq!(cell["round_trips"], Value::Null);
        let memory = json!({ "client": 1 << 20, "servers": [null, 2 << 20] });
        assert_eq!(cell["peak_memory"], memory);
    }

    #[test]
    fn a_cell_behind_a_network_is_told_in_round_trips() {
        let json: Value = serde_json::from_str(&results().to_json().unwrap()).unwrap();
        let cell = &json["cells"][1];
        assert_eq!((&cell["round_trip"], &cell["round_trips"]), (&json!(0.02), &json!(4.5)));
        assert_eq!((&cell["limits"], &cell["reached"]), (&Value::Null, &Value::Null));
    }

    #[test]
    fn limits_are_told_part_by_part() {
        let json: Value = serde_json::from_str(&results().to_json().unwrap()).unwrap();
        let [publish, change, read] = [0, 1, 2].map(|at| &json["limits"][at]);
        assert_eq!((&publish["work"], &publish["time"]), (&json!("publish"), &json!(0.006)));
        assert_eq!((&change["work"], &change["time"]), (&json!("change"), &json!(0.001)));
        assert_eq!((&read["work"], &read["parts"][0]["part"]), (&json!("read"), &json!("cipher")));
        let salt = &publish["parts"][0];
        assert_eq!(
            (&salt["bytes"], &salt["bytes_per_second"]),
            (&json!(2048), &json!(1_024_000.0))
        );
        assert!(json["machine"]["cores"].as_u64() >= Some(1));
    }
}
