//! What a simulated server does about a request, stage by stage: what the shipped service does around the shipped slot.

use std::collections::BTreeSet;

use tarn_proto::{ConversationId, Refusal, ShareNumber, VersionId};
use tarn_server::slot::{Change, Claim, Damage, Now, Slot};

use super::{Handled, Server, Stage};
use crate::event::{Lie, Manner};
use crate::world::{Reply, Request};

impl Server {
    /// Handles one stage of a request. The slot is not locked.
    pub(in crate::world) fn handle(
        &mut self,
        world: u64,
        request: &Request,
        stage: &Stage,
    ) -> Handled {
        let now = self.now(world);
        if self.manner == Manner::Lying(Lie::ClaimsWritten)
            && let Some(reply) = self.claim_written(now, request)
        {
            return Handled::say(reply);
        }
        if let (None, Request::End { conversation }) = (&self.slot, request) {
            // A stream that ended while nobody listened does not come back to life.
            self.gone.insert(*conversation);
            return Handled::Silent;
        }
        let Some(slot) = &mut self.slot else {
            return Handled::say(Reply::Dead("nobody listens there".to_owned()));
        };
        match request {
            Request::Query { history, conversation } => {
                Handled::say(Reply::State(slot.state(now, *history, *conversation)))
            }
            Request::Seal { .. } => self.handle_seal(now, request, stage),
            Request::Extend { conversation } => {
                if !self.streams.contains(conversation) {
                    return gone();
                }
                match slot.extend(now, *conversation) {
                    Ok(promise) => Handled::say(Reply::Extended { promise: promise.get() }),
                    Err(refusal) => self.refuse(now, *conversation, refusal),
                }
            }
            Request::Commit { conversation, header } => {
                if *stage == Stage::Done {
                    self.end(*conversation);
                    return Handled::say(Reply::Written);
                }
                if !self.streams.contains(conversation) {
                    return gone();
                }
                match slot.commit(now, *conversation, header.signature()) {
                    Ok(Change::Becomes(manifest)) => Handled::write(manifest, Stage::Done),
                    Ok(Change::AlreadySo) => {
                        self.end(*conversation);
                        Handled::say(Reply::Written)
                    }
                    Err(refusal) => self.refuse(now, *conversation, refusal),
                }
            }
            Request::Bring { made, shares, certificate, ancestors } => {
                if *stage == Stage::Done {
                    return Handled::say(Reply::Written);
                }
                if let Some(refusal) = self.takes_nothing() {
                    return self.refuse_unary(now, refusal);
                }
                let Some(slot) = &self.slot else { return Handled::Silent };
                let write = made.write(shares);
                match slot.bring(now, made.header.clone(), write, *certificate, ancestors) {
                    Ok(Change::Becomes(manifest)) => Handled::write(manifest, Stage::Done),
                    Ok(Change::AlreadySo) => Handled::say(Reply::Written),
                    Err(refusal) => self.refuse_unary(now, refusal),
                }
            }
            Request::Finalize { certificate } => {
                if *stage == Stage::Done {
                    return Handled::say(Reply::State(slot.state(now, None, None)));
                }
                match slot.finalize(*certificate) {
                    Ok(Change::Becomes(manifest)) => Handled::write(manifest, Stage::Done),
                    Ok(Change::AlreadySo) => {
                        Handled::say(Reply::State(slot.state(now, None, None)))
                    }
                    Err(refusal) => self.refuse_unary(now, refusal),
                }
            }
            Request::End { conversation } => {
                self.end(*conversation);
                self.gone.insert(*conversation);
                Handled::Silent
            }
            Request::ReadRows { version, .. } => {
                let held = slot.manifest().generation(*version).is_some();
                Handled::say(if held { Reply::Rows } else { Reply::NoShare })
            }
            Request::ReadBlocks { .. } => self.handle_read(request, stage),
        }
    }

    fn handle_seal(&mut self, now: Now, request: &Request, stage: &Stage) -> Handled {
        let Request::Seal { conversation, shares, tests, base, made, finalize, ancestors } =
            request
        else {
            return Handled::Silent;
        };
        if self.gone.contains(conversation) {
            return gone();
        }
        if let Some(refusal) = self.takes_nothing() {
            return self.refuse(now, *conversation, refusal);
        }
        let Some(slot) = &mut self.slot else { return gone() };
        if *stage == Stage::Arrived
            && let Some(certificate) = finalize
            && let Ok(Change::Becomes(manifest)) = slot.finalize(*certificate)
        {
            return Handled::write(manifest, Stage::Opened);
        }
        if self.streams.insert(*conversation) && !slot.open(*conversation) {
            return gone();
        }
        if *stage != Stage::Fenced && base.is_some_and(|base| !has_whole(slot, base, shares)) {
            return self.refuse(now, *conversation, Refusal::BaseMissing);
        }
        let prepared = made.prepared(self.id.store());
        let claim = Claim {
            header: prepared,
            tests: tests.clone(),
            discard: None,
            ancestors: ancestors.clone(),
        };
        if *stage != Stage::Fenced {
            if let Err(refusal) = slot.judge_seal(now, *conversation, &claim) {
                return self.refuse(now, *conversation, refusal);
            }
            if let Change::Becomes(manifest) = slot.sealing(&claim) {
                return Handled::write(manifest, Stage::Fenced);
            }
        }
        match slot.seal(now, *conversation, claim, made.write(shares)) {
            Ok(promise) => {
                let history = Some(made.header.header().attempt.into());
                let state = slot.state(now, history, Some(*conversation));
                Handled::say(Reply::Sealed { state, promise: promise.get() })
            }
            Err(refusal) => self.refuse(now, *conversation, refusal),
        }
    }

    fn handle_read(&mut self, request: &Request, stage: &Stage) -> Handled {
        let Request::ReadBlocks { version, share, segments, .. } = request else {
            return Handled::Silent;
        };
        let Some(slot) = self.slot.as_ref().filter(|_| *stage != Stage::Done) else {
            return Handled::say(Reply::NoShare);
        };
        if self.rotted.remove(&(*version, *share))
            && let Change::Becomes(manifest) = slot.damaged(*version, Damage::Share(*share))
        {
            return Handled::write(manifest, Stage::Done);
        }
        let held = slot.manifest().generation(*version);
        let Some(stored) = held.filter(|held| held.is_whole(*share)) else {
            return Handled::say(Reply::NoShare);
        };
        let content = &stored.shares[share].content.0;
        let range = segments.start as usize..segments.end as usize;
        let blocks = content.get(range).unwrap_or_default().iter().map(|extent| match extent {
            tarn_server::manifest::Extent::Inline(bytes) => bytes.clone(),
            tarn_server::manifest::Extent::Chunk { .. } => bytes::Bytes::new(),
        });
        Handled::say(Reply::Blocks(blocks.collect()))
    }

    /// A refusal ends its conversation, except for a Conflict, after which other tests may follow.
    fn refuse(&mut self, now: Now, conversation: ConversationId, refusal: Refusal) -> Handled {
        if refusal != Refusal::Conflict {
            self.end(conversation);
            self.gone.insert(conversation);
        }
        self.refuse_unary(now, refusal)
    }

    fn refuse_unary(&self, now: Now, refusal: Refusal) -> Handled {
        let state = self.slot.as_ref().map(|slot| slot.state(now, None, None));
        Handled::say(Reply::Refused { refusal, state })
    }

    const fn takes_nothing(&self) -> Option<Refusal> {
        match self.manner {
            Manner::Full => Some(Refusal::NoSpace),
            Manner::ReadOnly => Some(Refusal::ReadOnly),
            Manner::Honest | Manner::Lying(_) => None,
        }
    }

    fn claim_written(&self, now: Now, request: &Request) -> Option<Reply> {
        let state = self.slot.as_ref()?.state(now, None, None);
        match request {
            Request::Seal { .. } => Some(Reply::Sealed { state, promise: 30_000 }),
            Request::Extend { .. } => Some(Reply::Extended { promise: 30_000 }),
            Request::Commit { .. } | Request::Bring { .. } => Some(Reply::Written),
            Request::Finalize { .. } => Some(Reply::State(state)),
            Request::Query { .. }
            | Request::End { .. }
            | Request::ReadRows { .. }
            | Request::ReadBlocks { .. } => None,
        }
    }
}

/// Whether the rest of what a change of this version sends of these shares can be taken from what is held.
fn has_whole(slot: &Slot, base: VersionId, shares: &BTreeSet<ShareNumber>) -> bool {
    let held = slot.manifest().generation(base);
    held.is_some_and(|held| shares.iter().all(|&share| held.is_whole(share)))
}

fn gone() -> Handled {
    Handled::say(Reply::Dead("the stream is gone".to_owned()))
}
