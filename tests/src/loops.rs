//! Loops: one kind of fault again and again, on real processes, while a file is published and read. What every client
//! was told is held to the promises after each round; the first that is broken ends the loop, and its log is kept.
//!
//! Here is which loops there are, and the row that each ends with. What they share is in `stage`.

mod clocks;
mod frozen;
mod full_disk;
mod killed_clients;
mod networks;
mod replaced;
mod restarts;
mod rolling;
mod stage;

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use crate::history::Counts;

/// One loop.
#[derive(Debug, Clone, Copy)]
pub struct Loop {
    /// What it is called.
    pub name: &'static str,
    /// What it does.
    pub about: &'static str,
    /// How many rounds are a few.
    pub few: u64,
    run: fn(&Options) -> Result<Row, Skipped>,
}

/// How a loop is to run.
#[derive(Debug, Clone)]
pub struct Options {
    /// How often.
    pub rounds: u64,
    /// Where its chance begins: when a fault comes and to whom. Processes race all the same.
    pub seed: u64,
    /// Where its log goes, to be kept.
    pub log: Option<PathBuf>,
}

/// Why a loop cannot run here.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("skipped: {0}")]
pub struct Skipped(pub String);

/// How a loop ended: well, or there would be no row.
#[derive(Debug, Clone)]
pub struct Row {
    name: &'static str,
    rounds: u64,
    counts: Counts,
    /// Shares that are not what their tables say, and slots that cannot be read.
    torn: usize,
    time: Duration,
    /// What happened how often.
    happened: BTreeMap<&'static str, u64>,
    /// What it would do and cannot here, and why.
    lacks: Option<String>,
}

/// All loops.
pub const ALL: [Loop; 10] = [
    Loop {
        name: "kill-and-replay",
        about: "a publishing process is killed, and its publish taken up",
        few: 8,
        run: killed_clients::run,
    },
    Loop {
        name: "restart-while-publishing",
        about: "servers are killed and started again during a publish",
        few: 8,
        run: restarts::one_writer,
    },
    Loop {
        name: "restart-while-racing",
        about: "the same while two users publish one file",
        few: 8,
        run: restarts::two_writers,
    },
    Loop {
        name: "rolling-restarts",
        about: "every server in turn is stopped and started again",
        few: 3,
        run: rolling::run,
    },
    Loop {
        name: "frozen",
        about: "servers are stopped where they are, and go on",
        few: 6,
        run: frozen::run,
    },
    Loop {
        name: "emptied",
        about: "a server begins anew with another store at its address",
        few: 3,
        run: replaced::emptied,
    },
    Loop {
        name: "old-copy",
        about: "a server is put back to what it was",
        few: 3,
        run: replaced::old_copy,
    },
    Loop {
        name: "full-disk",
        about: "servers have no space left, and then again",
        few: 1,
        run: full_disk::run,
    },
    Loop {
        name: "clock-steps",
        about: "the clocks of servers and client go back and forth",
        few: 6,
        run: clocks::run,
    },
    Loop {
        name: "networks",
        about: "packets are lost, late, out of order, or go nowhere",
        few: 4,
        run: networks::run,
    },
];

impl Loop {
    /// The loop of this name.
    pub fn find(name: &str) -> Option<Self> {
        ALL.into_iter().find(|one| one.name == name)
    }

    /// Runs it. A promise that is broken ends it with a panic that names the log.
    pub fn run(self, options: &Options) -> Result<Row, Skipped> {
        (self.run)(options)
    }
}

impl Row {
    /// What stands above the rows.
    pub fn headings() -> String {
        let headings = [
            "ROUNDS", "ACKED", "REFUSED", "UNKNOWN", "LOST", "FALSE", "TORN", "READS", "IN DOUBT",
            "SECONDS",
        ];
        let headings: String = headings.iter().map(|heading| format!("{heading:>10}")).collect();
        format!("{:26}{headings}  WHAT HAPPENED", "LOOP")
    }
}

impl fmt::Display for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Counts { acknowledged, refused, unknown, lost, false_conflicts, reads, unconfirmed } =
            self.counts;
        write!(f, "{:26}{:>10}", self.name, self.rounds)?;
        for count in
            [acknowledged, refused, unknown, lost, false_conflicts, self.torn, reads, unconfirmed]
        {
            write!(f, "{count:>10}")?;
        }
        let happened = self.happened.iter().map(|(what, often)| format!("{often} {what}"));
        let happened = happened.collect::<Vec<_>>().join(", ");
        write!(f, "{:>10.0}  {happened}", self.time.as_secs_f64())?;
        self.lacks.iter().try_for_each(|why| write!(f, "; not all of it: {why}"))
    }
}
