//! The rules of one slot: which Seal is accepted, which Commit, and what the slot's manifest becomes then. Pure:
//! time is an argument, nothing is read or written here, and nothing a decision says may be acknowledged before
//! the store has made it durable.
//!
//! ```text
//!            asks (takes &self)                          tells (takes &mut self)
//!   sealing, commit, bring, finalize, damaged    open, seal, extend, end    became
//!        │                                            │                        ▲
//!        ▼                                            ▼                        │
//!   Change::Becomes(next manifest) ──▶ store.replace(…) durable ───────────────┘
//! ```
//!
//! What is durable is the [`Manifest`], the highest sequence number ever sealed with it. Everything else (who is
//! being served, who holds the promise, who sealed last) is lost when the server stops: after a restart every
//! Commit of a conversation from before is refused.

mod base;
mod change;
mod claim;
mod rules;
mod telling;
mod time;
mod upkeep;
mod verified;

use std::collections::BTreeMap;

use tarn_proto::state::Tests;
use tarn_proto::{
    Certificate, ConversationId, Origin, Refusal, SequenceNumber, Signature, SignedHeader,
    StorageIndex, StoreId,
};

use crate::manifest::Manifest;

pub use base::Base;
pub use change::Damage;
pub use claim::{Claim, Discard, PreparedHeader};
pub use time::{Millis, Now};
pub use verified::{
    Columns, HashedBlocks, HashedRows, Mismatch, TableDigest, UpdateCheck, Verdict, VerifiedWrite,
};

pub(crate) use claim::refusal_of_header;

use change::Write;

/// So many certificates are noted at once; any more are recorded by themselves.
const NOTED_MAX: usize = 4;

/// One slot: what is durable of it, and what the server knows while it runs.
#[derive(Debug, Clone)]
pub struct Slot {
    store: StoreId,
    storage_index: StorageIndex,
    promise_length: Millis,
    manifest: Manifest,
    conversations: BTreeMap<ConversationId, Option<Sealed>>,
    promise: Option<Promise>,
    last_sealer: Option<ConversationId>,
    /// Certificates that the next commit records.
    noted: Vec<Certificate>,
}

/// What a conversation sealed and may commit.
#[derive(Debug, Clone)]
struct Sealed {
    claim: Claim,
    write: VerifiedWrite,
}

/// "Nobody else seals or commits this slot until then."
#[derive(Debug, Clone, Copy)]
struct Promise {
    holder: ConversationId,
    until: Millis,
}

/// What an accepted request makes of the slot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// The manifest to make durable. Give it to [`Slot::became`] once it is.
    Becomes(Manifest),
    /// What was asked is so already: every share is held whole, the certificate is recorded, what the version was built on
    /// is remembered.
    AlreadySo,
}

impl Slot {
    /// A slot as it is after the server started: nobody is being served, nobody has sealed.
    pub const fn new(
        store: StoreId,
        storage_index: StorageIndex,
        promise_length: Millis,
        manifest: Manifest,
    ) -> Self {
        Self {
            store,
            storage_index,
            promise_length,
            manifest,
            conversations: BTreeMap::new(),
            promise: None,
            last_sealer: None,
            noted: Vec::new(),
        }
    }

    /// What is durable of the slot.
    pub const fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// The conversations being served.
    pub fn conversations(&self) -> impl Iterator<Item = ConversationId> {
        self.conversations.keys().copied()
    }

    /// Whom the slot is promised to, if the promise still holds.
    pub fn promised_to(&self, now: Now) -> Option<ConversationId> {
        let lives = |promise: &Promise| promise.until.after(now.elapsed).is_some();
        self.promise.filter(lives).map(|promise| promise.holder)
    }

    /// Begins to serve a conversation. False when one of this id is being served already: ids are to be fresh.
    #[must_use]
    pub fn open(&mut self, conversation: ConversationId) -> bool {
        if self.conversations.contains_key(&conversation) {
            return false;
        }
        self.conversations.insert(conversation, None);
        true
    }

    /// Judges tests before the version that is to be written is known.
    pub fn judge_tests(&self, tests: &Tests) -> Result<(), Refusal> {
        if rules::tests_pass(&self.manifest, tests, None) { Ok(()) } else { Err(Refusal::Conflict) }
    }

    /// Whether a Seal would be accepted now. Changes nothing: large data need not be made durable for a Seal that
    /// is refused anyway.
    pub fn judge_seal(
        &self,
        now: Now,
        conversation: ConversationId,
        claim: &Claim,
    ) -> Result<(), Refusal> {
        if !self.conversations.contains_key(&conversation) {
            return Err(Refusal::PromiseLost);
        }
        if !claim.header.is_for(self.store, self.storage_index) {
            return Err(Refusal::BadSignature);
        }
        self.judge_claim(claim)?;
        self.refuse_promised(now, Some(conversation))
    }

    /// What a Seal makes of the slot: the sequence number it seals is remembered, unless nothing that the floor admits
    /// lies below it. To be durable before the Seal is answered, as [`Slot::bring`] is to obey it also after a restart.
    pub fn sealing(&self, claim: &Claim) -> Change {
        let sealed = claim.header.header().sequence_number;
        let floor = self.manifest.floor.as_ref().map(|floor| floor.header().sequence_number);
        let least = floor.map_or(Some(SequenceNumber::FIRST), SequenceNumber::next);
        if least >= Some(sealed) || self.manifest.sealed >= Some(sealed) {
            return Change::AlreadySo;
        }
        Change::Becomes(Manifest { sealed: Some(sealed), ..self.manifest.clone() })
    }

    /// Seals: until the promise runs out or the conversation ends, nobody else seals or commits this slot. Answers
    /// how long the promise holds. What [`Slot::sealing`] says is durable by then.
    pub fn seal(
        &mut self,
        now: Now,
        conversation: ConversationId,
        claim: Claim,
        write: VerifiedWrite,
    ) -> Result<Millis, Refusal> {
        if write.version() != claim.header.version() {
            return Err(Refusal::BadShare);
        }
        self.judge_seal(now, conversation, &claim)?;
        self.conversations.insert(conversation, Some(Sealed { claim, write }));
        self.last_sealer = Some(conversation);
        Ok(self.promise_to(conversation, now))
    }

    /// Renews a promise, also one that ran out with no Seal since.
    pub fn extend(&mut self, now: Now, conversation: ConversationId) -> Result<Millis, Refusal> {
        self.sealed_last(conversation)?;
        Ok(self.promise_to(conversation, now))
    }

    /// What the Commit of a conversation makes of the slot. All shares named in the write change together.
    pub fn commit(
        &self,
        now: Now,
        conversation: ConversationId,
        signature: Signature,
    ) -> Result<Change, Refusal> {
        let Sealed { claim, write } = self.sealed_last(conversation)?;
        if self.refuse_promised(now, Some(conversation)).is_err() {
            return Err(Refusal::PromiseLost);
        }
        let header = claim.header.signed(signature)?;
        self.judge_claim(claim)?;
        if self.holds_whole(write) && change::is_linked(&self.manifest, &header, &claim.ancestors) {
            return Ok(Change::AlreadySo);
        }
        let write = Write {
            header,
            write: write.clone(),
            origin: Origin::Committed(conversation),
            discarded: claim.discard.as_ref().map_or(&[], Discard::versions),
            certificate: None,
            ancestors: &claim.ancestors,
        };
        let written = change::written(&self.manifest, now, write);
        Ok(Change::Becomes(self.noted.iter().fold(written, |written, certificate| {
            let is_held = written.generation(certificate.version()).is_some();
            if is_held { change::finalized(&written, *certificate) } else { written }
        })))
    }

    /// What bringing a version that is signed already makes of the slot: it may replace nothing, a damaged share of
    /// the same version, or its own predecessor; with its certificate, anything older. Needs no conversation and is
    /// no Seal. Without its certificate, a version not held is stale below the highest sequence number sealed.
    /// `ancestors` are what it was built on, as far as whoever brings it says so.
    pub fn bring(
        &self,
        now: Now,
        header: SignedHeader,
        write: VerifiedWrite,
        certificate: Option<Certificate>,
        ancestors: &[SignedHeader],
    ) -> Result<Change, Refusal> {
        if header.header().storage_index != self.storage_index
            || certificate.is_some_and(|certificate| !rules::certifies(&certificate, &header))
        {
            return Err(Refusal::BadSignature);
        }
        if write.version() != header.version() {
            return Err(Refusal::BadShare);
        }
        if self.manifest.generation(header.version()).is_none() {
            self.refuse_stale(header.header().sequence_number)?;
            if certificate.is_none() {
                rules::not_below_sealed(&self.manifest, &header)?;
            }
            rules::may_replace_current(&self.manifest, &header, certificate.is_some())?;
            rules::has_room(&self.manifest, &[])?;
        }
        self.refuse_promised(now, None)?;
        let is_recorded = |certificate| self.manifest.certificates.contains(certificate);
        if self.holds_whole(&write)
            && certificate.as_ref().is_none_or(is_recorded)
            && change::is_linked(&self.manifest, &header, ancestors)
        {
            return Ok(Change::AlreadySo);
        }
        Ok(Change::Becomes(change::written(
            &self.manifest,
            now,
            Write {
                header,
                write,
                origin: Origin::Brought,
                discarded: &[],
                certificate,
                ancestors,
            },
        )))
    }

    /// What a certificate makes of the slot: it is recorded and everything older than its version is dropped. May
    /// run under a promise, as it changes no current version.
    pub fn finalize(&self, certificate: Certificate) -> Result<Change, Refusal> {
        let generation = self.manifest.generation(certificate.version()).ok_or(Refusal::NotHeld)?;
        if !rules::certifies(&certificate, &generation.header) {
            return Err(Refusal::BadSignature);
        }
        let next = change::finalized(&self.manifest, certificate);
        Ok(if next == self.manifest { Change::AlreadySo } else { Change::Becomes(next) })
    }

    /// Notes a certificate that [`Slot::finalize`] is about to record: a commit that comes first records it too, so that
    /// both are one change. Answers whether it is recorded already.
    pub fn note(&mut self, certificate: Certificate) -> Result<bool, Refusal> {
        if self.finalize(certificate)? == Change::AlreadySo {
            return Ok(true);
        }
        if !self.noted.contains(&certificate) && self.noted.len() < NOTED_MAX {
            self.noted.push(certificate);
        }
        Ok(false)
    }

    /// The store has made this manifest durable, or was found to hold it.
    pub fn became(&mut self, manifest: Manifest) {
        self.noted.retain(|certificate| {
            let is_held = manifest.generation(certificate.version()).is_some();
            is_held && !manifest.certificates.contains(certificate)
        });
        self.manifest = manifest;
    }

    /// A conversation is over. Its promise ends with it; that it sealed last is remembered.
    pub fn end(&mut self, conversation: ConversationId) {
        self.conversations.remove(&conversation);
        if self.promise.is_some_and(|promise| promise.holder == conversation) {
            self.promise = None;
        }
    }

    /// Rules 3 and 4, and room for one more generation: what a Seal and its Commit both need.
    fn judge_claim(&self, claim: &Claim) -> Result<(), Refusal> {
        let version = claim.header.version();
        let held = self.manifest.generation(version).is_some();
        if held && !self.manifest.is_current(version) {
            return Err(Refusal::Superseded);
        }
        if !rules::tests_pass(&self.manifest, &claim.tests, Some(version)) {
            return Err(Refusal::Conflict);
        }
        let discarded = claim.discard.as_ref().map_or(&[][..], Discard::versions);
        if !held {
            self.refuse_stale(claim.header.header().sequence_number)?;
            rules::has_room(&self.manifest, discarded)?;
        }
        rules::may_discard(&self.manifest, claim, discarded)
    }

    fn refuse_stale(&self, sequence_number: SequenceNumber) -> Result<(), Refusal> {
        match &self.manifest.floor {
            Some(floor) if sequence_number <= floor.header().sequence_number => Err(Refusal::Stale),
            Some(_) | None => Ok(()),
        }
    }

    /// Rule 5: no conversation but `except` holds the promise.
    fn refuse_promised(&self, now: Now, except: Option<ConversationId>) -> Result<(), Refusal> {
        let lives = self
            .promise
            .filter(|promise| Some(promise.holder) != except)
            .and_then(|promise| promise.until.after(now.elapsed));
        match lives {
            Some(wait) => Err(Refusal::Busy { wait_ms: wait.get() }),
            None => Ok(()),
        }
    }

    fn promise_to(&mut self, holder: ConversationId, now: Now) -> Millis {
        self.promise = Some(Promise { holder, until: now.elapsed.plus(self.promise_length) });
        self.promise_length
    }

    /// What this conversation sealed, if nobody sealed the slot since.
    fn sealed_last(&self, conversation: ConversationId) -> Result<&Sealed, Refusal> {
        self.conversations
            .get(&conversation)
            .and_then(Option::as_ref)
            .filter(|_| self.last_sealer == Some(conversation))
            .ok_or(Refusal::PromiseLost)
    }

    fn holds_whole(&self, write: &VerifiedWrite) -> bool {
        self.manifest
            .generation(write.version())
            .is_some_and(|held| write.shares().keys().all(|share| held.is_whole(*share)))
    }
}

#[cfg(test)]
mod tests;
