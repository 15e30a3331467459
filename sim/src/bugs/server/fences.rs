//! Rules of the slot that keep an older writer or bringer out, left out.

use tarn_proto::Refusal;
use tarn_proto::state::ConversationStatus;
use tarn_server::manifest::Manifest;
use tarn_server::slot::Change;

use super::Seals;
use crate::bugs::{Bug, Found};
use crate::ids::ServerId;
use crate::plant::Plant;
use crate::world::{Handled, Reply, Request, Server, Stage};

pub(super) const COMMIT_AFTER_ANOTHERS_SEAL: Bug = Bug {
    name: "commit-after-anothers-seal",
    hazard: None,
    sentence: "a commit is accepted though another has sealed the slot since",
    plant: || Box::new(CommitAfterAnothersSeal::default()),
    tune: super::crowd,
    found: Found::BySeed(17380),
};

pub(super) const SEALED_FENCE_FORGOTTEN: Bug = Bug {
    name: "sealed-fence-forgotten",
    hazard: None,
    sentence: "a slot does not remember what it sealed, and may be brought an older version later",
    plant: || Box::new(SealedFenceForgotten),
    tune: |_| (),
    found: Found::ByExplorer("siblings"),
};

pub(super) const WRITE_BACK_OVER_ANYTHING_OLDER: Bug = Bug {
    name: "write-back-over-anything-older",
    hazard: None,
    sentence: "a version without a certificate may be brought over anything older",
    plant: || Box::new(WriteBackOverAnythingOlder),
    tune: |_| (),
    found: Found::ByExplorer("leftover"),
};

#[derive(Debug, Clone, Default)]
struct CommitAfterAnothersSeal {
    seals: Seals,
}

impl Plant for CommitAfterAnothersSeal {
    fn says(&mut self, _now: u64, server: &mut Server, request: &Request, reply: &mut Reply) {
        self.seals.said(server, request, reply);
    }

    fn handles(
        &mut self,
        now: u64,
        server: &mut Server,
        request: &Request,
        stage: &Stage,
    ) -> Option<Handled> {
        let Request::Commit { conversation, header } = request else { return None };
        let (now, slot) = (server.now(now), server.slot()?);
        let status = slot.state(now, None, Some(*conversation)).conversation;
        let promised = slot.promised_to(now).is_some_and(|holder| holder != *conversation);
        if *stage != Stage::Arrived || status != Some(ConversationStatus::Open) || promised {
            return None;
        }
        let commit = (*conversation, header.signature());
        match self.seals.commit_alone(now, server, slot.manifest(), commit)?.ok()? {
            Change::Becomes(manifest) => Some(Handled::write(manifest, Stage::Done)),
            Change::AlreadySo => Some(Handled::say(Reply::Written)),
        }
    }
}

#[derive(Debug, Clone)]
struct SealedFenceForgotten;

impl Plant for SealedFenceForgotten {
    fn changes(&mut self, _server: ServerId, _old: &Manifest, next: &mut Manifest) {
        next.sealed = None;
    }
}

#[derive(Debug, Clone)]
struct WriteBackOverAnythingOlder;

impl Plant for WriteBackOverAnythingOlder {
    fn handles(
        &mut self,
        now: u64,
        server: &mut Server,
        request: &Request,
        stage: &Stage,
    ) -> Option<Handled> {
        let Request::Bring { made, shares, certificate: None, ancestors } = request else {
            return None;
        };
        let (now, slot) = (server.now(now), server.slot()?);
        let bring = |certificate| {
            slot.bring(now, made.header.clone(), made.write(shares), certificate, ancestors)
        };
        if *stage != Stage::Arrived || bring(None) != Err(Refusal::Conflict) {
            return None;
        }
        // As if it were certified; but nobody said so.
        match bring(Some(made.certificate)).ok()? {
            Change::Becomes(mut manifest) => {
                manifest.certificates.clone_from(&slot.manifest().certificates);
                Some(Handled::write(manifest, Stage::Done))
            }
            Change::AlreadySo => None,
        }
    }
}
