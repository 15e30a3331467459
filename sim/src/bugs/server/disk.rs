//! What is on a disk and should not be, or is not there and should be.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use tarn_proto::VersionId;
use tarn_server::manifest::Manifest;

use crate::bugs::{Bug, Found};
use crate::ids::ServerId;
use crate::plant::Plant;
use crate::world::{Handled, Reply, Request, Server, Stage};

pub(super) const ACKNOWLEDGED_BEFORE_SYNC: Bug = Bug {
    name: "acknowledged-before-sync",
    hazard: None,
    sentence: "a change is acknowledged before it is durable",
    plant: || Box::new(AcknowledgedBeforeSync),
    tune: |_| (),
    found: Found::BySeed(0),
};

pub(super) const PREVIOUS_DROPPED_AT_COMMIT: Bug = Bug {
    name: "previous-dropped-at-commit",
    hazard: None,
    sentence: "a version is dropped when the next one is committed, certificate or not",
    plant: || Box::new(PreviousDroppedAtCommit),
    tune: |_| (),
    found: Found::BySeed(0),
};

pub(super) const FLOOR_FORGOTTEN_AT_RESTART: Bug = Bug {
    name: "floor-forgotten-at-restart",
    hazard: None,
    sentence: "a server that restarts no longer knows the highest version it ever had",
    plant: || Box::new(FloorForgottenAtRestart),
    tune: |_| (),
    found: Found::BySeed(8),
};

pub(super) const SHARES_COMMITTED_SEPARATELY: Bug = Bug {
    name: "shares-committed-separately",
    hazard: None,
    sentence: "the shares of one server become visible one after the other",
    plant: || Box::new(SharesCommittedSeparately::default()),
    tune: |_| (),
    found: Found::BySeed(2376),
};

pub(super) const EMPTIED_COUNTS_AS_OLD_MEMBER: Bug = Bug {
    name: "emptied-counts-as-old-member",
    hazard: None,
    sentence: "a server that lost its disk comes back empty under the id of the old one",
    plant: || Box::new(EmptiedCountsAsOldMember),
    tune: |_| (),
    found: Found::BySeed(51),
};

pub(super) const DAMAGED_SERVED: Bug = Bug {
    name: "damaged-served",
    hazard: None,
    sentence: "a damaged share is served as if it were whole",
    plant: || Box::new(DamagedServed),
    tune: |_| (),
    found: Found::Never(
        "whoever reads holds every block against its row, as any server may lie: the scope `rotted` is exhausted and \
         breaks nothing. It stays as it saves readers the bytes and lets the damage be repaired",
    ),
};

#[derive(Debug, Clone)]
struct AcknowledgedBeforeSync;

impl Plant for AcknowledgedBeforeSync {
    fn acknowledges_before_sync(&self) -> bool {
        true
    }
}

#[derive(Debug, Clone)]
struct PreviousDroppedAtCommit;

impl Plant for PreviousDroppedAtCommit {
    fn changes(&mut self, _server: ServerId, _old: &Manifest, next: &mut Manifest) {
        next.generations.truncate(1);
    }
}

#[derive(Debug, Clone)]
struct FloorForgottenAtRestart;

impl Plant for FloorForgottenAtRestart {
    fn restarts(&mut self, server: &mut Server) {
        server.disk_mut().floor = None;
        let forgotten = server.disk().clone();
        if let Some(slot) = server.slot_mut() {
            slot.became(forgotten);
        }
    }
}

/// What each slot is to become once its first new share is durable.
#[derive(Debug, Clone, Default)]
struct SharesCommittedSeparately {
    second: BTreeMap<ServerId, Manifest>,
}

impl Plant for SharesCommittedSeparately {
    fn handles(
        &mut self,
        _now: u64,
        server: &mut Server,
        _request: &Request,
        stage: &Stage,
    ) -> Option<Handled> {
        let whole = self.second.remove(&server.id())?;
        (*stage == Stage::Done).then(|| Handled::write(whole, Stage::Done))
    }

    fn changes(&mut self, server: ServerId, old: &Manifest, next: &mut Manifest) {
        let had = |version: VersionId| old.generation(version).is_some();
        let whole = next.clone();
        if let Some(new) = next.generations.first_mut()
            && !had(new.header.version())
            && new.shares.len() > 1
        {
            let first: BTreeSet<_> = new.shares.keys().take(1).copied().collect();
            new.shares.retain(|share, _| first.contains(share));
            self.second.insert(server, whole);
        }
    }

    fn restarts(&mut self, server: &mut Server) {
        self.second.remove(&server.id());
    }
}

#[derive(Debug, Clone)]
struct EmptiedCountsAsOldMember;

impl Plant for EmptiedCountsAsOldMember {
    fn empties_in_place(&self) -> bool {
        true
    }
}

#[derive(Debug, Clone)]
struct DamagedServed;

impl Plant for DamagedServed {
    fn handles(
        &mut self,
        _now: u64,
        server: &mut Server,
        request: &Request,
        _stage: &Stage,
    ) -> Option<Handled> {
        let Request::ReadBlocks { version, share, segments, .. } = request else { return None };
        let damaged = server.is_up() && server.has_damaged(*version, *share);
        let junk = segments.clone().map(|_| Bytes::from_static(b"junk"));
        damaged.then(|| Handled::say(Reply::Blocks(junk.collect())))
    }
}
