//! How a retrieve ends: exactly one [`Outcome`], with the evidence for it.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use tarn_proto::{SignedHeader, StoreId};

use crate::base::{HighWater, Undecided};
use crate::fetch::NotEnoughShares;
use crate::servermap::Failure;
use crate::suspects::Heard;
use crate::time::Millis;

/// What the caller is told when it is over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// How it ended.
    pub outcome: Outcome,
    /// What went wrong with which server, whether or not it mattered.
    pub troubles: BTreeMap<StoreId, Trouble>,
    /// Who kept it waiting, and who did not.
    pub heard: Heard,
    /// How long it took.
    pub elapsed: Millis,
}

/// What went wrong last with one server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trouble {
    /// What it was asked to do.
    pub during: During,
    /// What went wrong.
    pub failure: Failure,
    /// When, since the retrieve began.
    pub at: Millis,
}

/// What a server was asked to do when it failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum During {
    /// Telling its slot's state.
    Map,
    /// Being brought shares.
    Bring,
    /// Giving rows of the table.
    Rows,
    /// Giving blocks.
    Blocks,
}

/// How a retrieve ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// Every byte asked for was handed over.
    Retrieved(Found),
    /// The newest version deletes the file.
    Deleted(Found),
    /// There is no such file, or no such version of it.
    NotFound {
        /// Servers that did not answer and might know better.
        silent: BTreeSet<StoreId>,
    },
    /// The version is there, and too few of its shares can be read.
    NotEnoughShares {
        /// The version.
        header: SignedHeader,
        /// How many there are.
        shortage: NotEnoughShares,
    },
    /// Too few servers answered to tell which version is the newest.
    NotEnoughServers(Shortfall),
    /// It cannot be told which version is the newest.
    Undecided(Undecided),
    /// What is there is older than what was seen before: servers lost it, or went back.
    RolledBack {
        /// What was seen before.
        seen: HighWater,
        /// The newest version now.
        now: Option<SignedHeader>,
    },
    /// The read key is not this file's.
    WrongReadKey {
        /// The version that says so.
        header: SignedHeader,
    },
    /// Its writer signed blocks that are no code word: no set of servers can bring the version back.
    Undecodable {
        /// The version.
        header: SignedHeader,
        /// Why, for people.
        cause: String,
    },
}

/// The version that is read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// The version.
    pub header: SignedHeader,
    /// Whether it is known to be Published. If not, a later reader may see an older version.
    pub confirmed: bool,
    /// Newer versions of which something is left, yet too little; newest first.
    pub newer_unrecoverable: Vec<Unrecoverable>,
    /// The high-water mark from now on: raised by what is confirmed, never lowered.
    pub high_water: Option<HighWater>,
    /// The bytes that are read, cut to the version's length.
    pub range: Range<u64>,
}

/// A version that cannot be recovered from the servers that answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unrecoverable {
    /// The version.
    pub header: SignedHeader,
    /// How many of its shares there are.
    pub shortage: NotEnoughShares,
}

/// What a majority lacks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shortfall {
    /// How many servers of the window answered.
    pub answered: usize,
    /// How many must.
    pub majority: usize,
    /// How many the window names.
    pub window: usize,
    /// Who did not.
    pub silent: BTreeSet<StoreId>,
}
