//! Answers that are not true.

use tarn_proto::Refusal;
use tarn_server::slot::Change;

use super::Seals;
use crate::bugs::{Bug, Found};
use crate::event::Manner;
use crate::plant::Plant;
use crate::world::{Handled, Reply, Request, Server, Stage};

pub(super) const SUPERSEDED_COMMITS: Bug = Bug {
    name: "superseded-commits",
    hazard: None,
    sentence: "the commit of a version that is held only as an older generation is answered Written",
    plant: || Box::new(SupersededCommits),
    tune: |_| (),
    found: Found::ByExplorer("overtaken"),
};

pub(super) const ALREADY_HELD_WITHOUT_PROMISE: Bug = Bug {
    name: "already-held-without-promise",
    hazard: None,
    sentence: "a commit of what is held already is answered Written though its promise was lost",
    plant: || Box::new(AlreadyHeldWithoutPromise::default()),
    tune: |_| (),
    found: Found::Never(
        "the version is there when it is counted. Whoever sealed the slot since either saw it, and then no slot that it \
         sealed takes more of it, as its number is below the one sealed; or did not, and then a slot takes its commit or \
         that version, never both, and as quorums meet only one of them reaches one. The scope `resealed`, in which it \
         happens, is exhausted and breaks nothing. The rule stays: it costs nothing, and what makes up for it is a \
         fence against bringing only",
    ),
};

pub(super) const REFUSED_BUT_WRITTEN: Bug = Bug {
    name: "refused-but-written",
    hazard: None,
    sentence: "a commit on a server that has become full or read-only is refused after it was written",
    plant: || Box::new(RefusedButWritten),
    tune: |_| (),
    found: Found::BySeed(15319),
};

#[derive(Debug, Clone)]
struct SupersededCommits;

impl Plant for SupersededCommits {
    fn says(&mut self, _now: u64, _server: &mut Server, request: &Request, reply: &mut Reply) {
        if let Request::Commit { .. } = request
            && let Reply::Refused { refusal: Refusal::Superseded, .. } = reply
        {
            *reply = Reply::Written;
        }
    }
}

#[derive(Debug, Clone, Default)]
struct AlreadyHeldWithoutPromise {
    seals: Seals,
}

impl Plant for AlreadyHeldWithoutPromise {
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
        let commit = (*conversation, header.signature());
        let lost = slot.commit(now, commit.0, commit.1) == Err(Refusal::PromiseLost);
        if *stage != Stage::Arrived || !lost {
            return None;
        }
        let held = slot.manifest().is_current(header.version())
            && self.seals.commit_alone(now, server, slot.manifest(), commit)?
                == Ok(Change::AlreadySo);
        held.then(|| Handled::say(Reply::Written))
    }
}

#[derive(Debug, Clone)]
struct RefusedButWritten;

impl Plant for RefusedButWritten {
    fn says(&mut self, now: u64, server: &mut Server, request: &Request, reply: &mut Reply) {
        let refusal = match server.manner() {
            Manner::Full => Refusal::NoSpace,
            Manner::ReadOnly => Refusal::ReadOnly,
            Manner::Honest | Manner::Lying(_) => return,
        };
        if let (Request::Commit { .. }, Reply::Written) = (&request, &reply) {
            *reply = Reply::Refused { refusal, state: server.state(now) };
        }
    }
}
