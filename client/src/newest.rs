//! The newest version of a file as something to build on: what a change of it must follow, and its content. Chooses
//! nothing: the retrieve does.

use std::collections::BTreeSet;
use std::ops::Range;

use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use tarn_proto::{SignedHeader, StoreId};

use crate::base::{HighWater, Origin};
use crate::caps::ReadCap;
use crate::client::Client;
use crate::publish::Follows;
use crate::retrieve::reading::{Reading, RetrieveError, RetrieveFailure, RetrieveRequest};

/// What is wanted of the newest version, and with what right.
pub(crate) struct Wanted<'a> {
    pub(crate) cap: ReadCap,
    pub(crate) origin: &'a Origin,
    pub(crate) high_water: Option<HighWater>,
    pub(crate) suspects: &'a BTreeSet<StoreId>,
    /// The bytes wanted of its content, all if none.
    pub(crate) range: Option<Range<u64>>,
}

/// The newest version.
pub(crate) struct Newest {
    /// Its header; none if there is no version.
    pub(crate) header: Option<SignedHeader>,
    /// What a change of it follows.
    pub(crate) follows: Follows,
    /// The high-water mark from now on.
    pub(crate) high_water: Option<HighWater>,
}

impl Client {
    /// Finds the newest version and begins to read it. There is nothing to read if it deletes the file, or if there is
    /// none and the caller may begin from nothing.
    pub(crate) async fn newest(
        &self,
        wanted: Wanted<'_>,
        rng: ChaCha8Rng,
    ) -> Result<(Newest, Option<Reading>), RetrieveError> {
        let request = RetrieveRequest {
            cap: wanted.cap,
            origin: wanted.origin.clone(),
            version: None,
            range: wanted.range,
            // Whether it is the newest is found out by publishing on top of it.
            strict: false,
            allow_rollback: false,
            high_water: wanted.high_water,
            suspects: wanted.suspects.clone(),
        };
        match self.retrieve(request, rng).await {
            Ok(reading) => {
                let found = reading.found().clone();
                Ok((Newest::of(found.header, found.high_water), Some(reading)))
            }
            Err(error) => match (error.failure, wanted.origin) {
                (RetrieveFailure::Deleted { header, high_water, .. }, _) => {
                    Ok((Newest::of(header, high_water), None))
                }
                (RetrieveFailure::NotFound { .. }, Origin::Creator(_)) => {
                    let (follows, high_water) = (Follows::Nothing, wanted.high_water);
                    Ok((Newest { header: None, follows, high_water }, None))
                }
                (failure, _) => Err(RetrieveError { failure, ..error }),
            },
        }
    }
}

impl Newest {
    fn of(header: SignedHeader, high_water: Option<HighWater>) -> Self {
        let follows = Follows::Version(header.version());
        Self { header: Some(header), follows, high_water }
    }
}

/// A stream of random numbers of its own.
pub(crate) fn split(rng: &mut ChaCha8Rng) -> ChaCha8Rng {
    ChaCha8Rng::from_rng(rng)
}
