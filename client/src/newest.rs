//! The newest version of a file as something to build on: what a change of it must follow, and its content. Chooses
//! nothing: the retrieve does.

use std::collections::BTreeSet;
use std::ops::Range;

use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use tarn_proto::{AttemptId, Shape, SignedHeader, StoreId};

use crate::base::{Base, Choice, HighWater, Origin};
use crate::caps::ReadCap;
use crate::client::Client;
use crate::publish::Follows;
use crate::retrieve::reading::{Reading, RetrieveError, RetrieveFailure, RetrieveRequest};
use crate::servermap::ServerMap;
use crate::survey::Survey;

/// What is wanted of the newest version, and with what right.
pub(crate) struct Wanted<'a> {
    pub(crate) cap: ReadCap,
    pub(crate) origin: &'a Origin,
    pub(crate) high_water: Option<HighWater>,
    pub(crate) suspects: &'a BTreeSet<StoreId>,
    /// The bytes wanted of its content, all if none.
    pub(crate) range: Option<Range<u64>>,
}

impl Wanted<'_> {
    /// The newest version of this map, if it can be changed as it is.
    fn changeable(&self, map: &ServerMap) -> Option<SignedHeader> {
        let Choice::Chosen { base: Base::Version(header), certain: true } = map.choose(self.origin)
        else {
            return None;
        };
        let is_readable = header.header().key_check == self.cap.key_check();
        let is_newest = self.high_water.is_none_or(|seen| seen.admits(&header));
        (is_readable && is_newest).then_some(header)
    }
}

/// The newest version.
pub(crate) struct Newest {
    /// Its header; none if there is no version.
    pub(crate) header: Option<SignedHeader>,
    /// What a change of it follows.
    pub(crate) follows: Follows,
    /// The high-water mark from now on.
    pub(crate) high_water: Option<HighWater>,
    /// What servers said, where it can be built on as it is.
    pub(crate) map: Option<ServerMap>,
    /// Whether that is only what this client remembers.
    pub(crate) remembered: bool,
}

impl Client {
    /// The newest version as an earlier publish of this client left it, if that was a moment ago and it can be changed as it is.
    pub(crate) fn newest_remembered(&self, wanted: &Wanted<'_>) -> Option<Newest> {
        let map = self.lately.look(wanted.cap.verify_cap().storage_index())?;
        let header = wanted.changeable(&map)?;
        let high_water = wanted.high_water.max(Some(HighWater::of(&header)));
        Some(Newest { map: Some(map), remembered: true, ..Newest::of(header, high_water) })
    }

    /// Finds the newest version for a change of it. Servers are asked as the publish of the change would, and what they say is
    /// handed on; but if it leaves the version in doubt, which is then brought to a quorum first.
    pub(crate) async fn newest_to_change(
        &self,
        wanted: Wanted<'_>,
        attempt: AttemptId,
        first_shape: Shape,
        rng: ChaCha8Rng,
    ) -> Result<Newest, RetrieveError> {
        let survey = Survey {
            file: wanted.cap.verify_cap().storage_index(),
            origin: wanted.origin,
            attempt: Some(attempt),
            suspects: wanted.suspects,
        };
        let map = self.survey_to_publish(survey, first_shape).await;
        match wanted.changeable(&map) {
            Some(header) => {
                let high_water = wanted.high_water.max(Some(HighWater::of(&header)));
                Ok(Newest { map: Some(map), ..Newest::of(header, high_water) })
            }
            None => self.newest(wanted, rng).await.map(|(newest, _)| newest),
        }
    }

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
            map: None,
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
                    let remembered = false;
                    Ok((Newest { header: None, follows, high_water, map: None, remembered }, None))
                }
                (failure, _) => Err(RetrieveError { failure, ..error }),
            },
        }
    }
}

impl Newest {
    fn of(header: SignedHeader, high_water: Option<HighWater>) -> Self {
        let follows = Follows::Version(header.version());
        Self { header: Some(header), follows, high_water, map: None, remembered: false }
    }
}

/// A stream of random numbers of its own.
pub(crate) fn split(rng: &mut ChaCha8Rng) -> ChaCha8Rng {
    ChaCha8Rng::from_rng(rng)
}
