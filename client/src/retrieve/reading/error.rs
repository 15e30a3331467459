//! What a caller of retrieve may have to deal with.

use std::collections::{BTreeMap, BTreeSet};

use tarn_proto::{SignedHeader, StoreId};

use crate::base::{HighWater, Undecided};
use crate::fetch::NotEnoughShares;
use crate::retrieve::outcome::{Outcome, Report, Shortfall, Trouble};
use crate::suspects::Heard;

/// Why nothing, or no more, was read, with what went wrong at each server.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{failure}")]
pub struct RetrieveError {
    /// Why.
    pub failure: RetrieveFailure,
    /// What went wrong last with each server, whether or not it mattered.
    pub troubles: BTreeMap<StoreId, Trouble>,
    /// Who kept it waiting, and who did not.
    pub heard: Heard,
}

/// Why nothing, or no more, was read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RetrieveFailure {
    /// Ask for an older version, if it is wanted still.
    #[error("the file was deleted in version {}", header.header().sequence_number)]
    Deleted {
        /// The version that deletes it.
        header: SignedHeader,
        /// Whether it is known to be Published.
        confirmed: bool,
        /// The high-water mark from now on.
        high_water: Option<HighWater>,
    },
    /// Check the cap and the grid.
    #[error("there is no such file or version; {} servers did not answer", silent.len())]
    NotFound {
        /// Who did not answer and might know better.
        silent: BTreeSet<StoreId>,
    },
    /// Bring servers that hold shares back.
    #[error("version {}: {shortage}", header.header().sequence_number)]
    NotEnoughShares {
        /// The version.
        header: SignedHeader,
        /// How many there are.
        shortage: NotEnoughShares,
    },
    /// Bring servers of the window back, or read unconfirmed.
    #[error(
        "only {} of {} servers answered, {} must", shortfall.answered, shortfall.window,
        shortfall.majority
    )]
    NotEnoughServers {
        /// What is missing.
        shortfall: Shortfall,
    },
    /// Bring the servers named back, or read unconfirmed.
    #[error("it cannot be told which version is the newest")]
    Undecided(Undecided),
    /// Find out why servers lost what they had; or accept the older version.
    #[error("version {} was seen before and is not there now", seen.sequence_number)]
    RolledBack {
        /// What was seen before.
        seen: HighWater,
        /// The newest version now.
        now: Option<SignedHeader>,
    },
    /// Use the right cap.
    #[error("the read key is not this file's")]
    WrongReadKey {
        /// The version that says so.
        header: SignedHeader,
    },
    /// The writer is broken or lies: ask for an older version.
    #[error("version {}: {cause}", header.header().sequence_number)]
    Undecodable {
        /// The version.
        header: SignedHeader,
        /// Why, for people.
        cause: String,
    },
    /// The program is ending.
    #[error("the program is stopping")]
    Stopping,
}

impl RetrieveError {
    pub(super) fn of(report: Report) -> Self {
        let Report { outcome, troubles, heard, elapsed: _ } = report;
        Self { failure: outcome.into(), troubles, heard }
    }

    pub(super) fn stopping() -> Self {
        let (troubles, heard) = (BTreeMap::new(), Heard::default());
        Self { failure: RetrieveFailure::Stopping, troubles, heard }
    }
}

impl From<Outcome> for RetrieveFailure {
    fn from(outcome: Outcome) -> Self {
        match outcome {
            // Not a failure. Whoever got it got the reading before, so only a program that ends sees this.
            Outcome::Retrieved(_) => Self::Stopping,
            Outcome::Deleted(found) => Self::Deleted {
                header: found.header,
                confirmed: found.confirmed,
                high_water: found.high_water,
            },
            Outcome::NotFound { silent } => Self::NotFound { silent },
            Outcome::NotEnoughShares { header, shortage } => {
                Self::NotEnoughShares { header, shortage }
            }
            Outcome::NotEnoughServers(shortfall) => Self::NotEnoughServers { shortfall },
            Outcome::Undecided(undecided) => Self::Undecided(undecided),
            Outcome::RolledBack { seen, now } => Self::RolledBack { seen, now },
            Outcome::WrongReadKey { header } => Self::WrongReadKey { header },
            Outcome::Undecodable { header, cause } => Self::Undecodable { header, cause },
        }
    }
}
