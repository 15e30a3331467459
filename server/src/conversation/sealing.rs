//! Seal: everything that was staged is checked against the header, made durable, and promised or brought.

use tarn_proto::header::SignedHeaderError;
use tarn_proto::state::Tests;
use tarn_proto::{Refusal, Signature, SignedHeader, VersionId, wire};
use wire::seal::Authority;
use wire::write_answer::Answer;

use super::{Conversation, End, Refused, Stream, Talk};
use crate::parse;
use crate::slot::{Base, Claim, Discard, PreparedHeader, refusal_of_header};
use crate::slots::Outcome;
use crate::store::Store;

/// Most generations that one Discard names.
const DISCARDS_MAX: usize = tarn_proto::state::GENERATIONS_MAX;

/// How a Seal ended, unless it ended the conversation.
pub(super) enum SealOutcome {
    /// It was answered with Sealed.
    Promised,
    /// It was refused for a Conflict: other tests may follow.
    TryAgain,
    /// The version was brought, and the conversation is over.
    Brought,
}

impl<S: Store> Conversation<S> {
    pub(super) async fn seal(
        &mut self,
        stream: &mut Stream,
        seal: wire::Seal,
    ) -> Result<SealOutcome, End> {
        let wire::Seal { header, authority, tests, discard } = seal;
        match authority.ok_or_else(|| End::malformed("a Seal needs a signature"))? {
            Authority::PrepareSignature(signature) => {
                match tests {
                    Some(tests) => {
                        self.talk.tests = Tests::try_from(&tests).map_err(End::malformed)?;
                        self.talk.tests_refused = false;
                    }
                    // Each set of tests is answered once, so that a Seal sent together with Open is.
                    None if self.talk.tests_refused => return Ok(SealOutcome::TryAgain),
                    None => {}
                }
                let signature = signature_of(&signature)?;
                let store = self.talk.server.store.id();
                let prepared =
                    PreparedHeader::verify(store, self.talk.verify_key, header, &signature)?;
                let discard =
                    discard.map(|discard| parse_discard(&prepared, &discard)).transpose()?;
                let claim = Claim {
                    header: prepared,
                    tests: self.talk.tests.clone(),
                    discard,
                    ancestors: self.talk.ancestors.clone(),
                };
                self.promise(stream, claim).await
            }
            Authority::Bring(bring) => {
                if tests.is_some() || discard.is_some() {
                    return Err(End::malformed(
                        "what is brought has no tests and discards nothing",
                    ));
                }
                if self.staging.base().is_some() {
                    let why = "what is brought is sent whole: name no base";
                    return Err(End::refused(Refusal::Unsupported, why));
                }
                self.bring(stream, header, bring).await
            }
        }
    }

    async fn promise(&mut self, stream: &mut Stream, claim: Claim) -> Result<SealOutcome, End> {
        let (header, version) = (claim.header.header().clone(), claim.header.version());
        self.talk.attempt = Some(header.attempt);
        let verdict = self.staging.check(&header, version).await?;
        if let Some(refused) = self.talk.judge(&claim, self.staging.base()).await? {
            return conflict(stream, refused).await;
        }
        let write = self.staging.keep(&verdict).await?;

        let talk = &self.talk;
        let mut slot = talk.lock().await?;
        let fenced = slot.change(|slot, now| {
            slot.judge_seal(now, talk.id, &claim)?;
            Ok(slot.sealing(&claim))
        });
        let fenced = fenced.await;
        let now = slot.now();
        let promise = match fenced.and_then(|_| slot.slot_mut().seal(now, talk.id, claim, write)) {
            Ok(promise) => promise,
            Err(refusal) => {
                let refused = talk.evidence(&slot, refusal);
                drop(slot);
                return conflict(stream, refused).await;
            }
        };
        let state = talk.state(&slot).as_ref().map(Into::into);
        let sealed = wire::Sealed { state, promise_ms: promise.get() };
        drop(slot);
        stream.answers.send(Answer::Sealed(sealed)).await?;
        Ok(SealOutcome::Promised)
    }

    async fn bring(
        &mut self,
        stream: &mut Stream,
        header: bytes::Bytes,
        bring: wire::Bring,
    ) -> Result<SealOutcome, End> {
        let storage_index = self.talk.served.handle().storage_index();
        let signature = signature_of(&bring.header_signature)?;
        let signed = SignedHeader::verify(storage_index, header, self.talk.verify_key, signature)
            .map_err(refusal_of_signed)?;
        let certificate = bring
            .certificate
            .map(|certificate| parse::certificate(storage_index, &certificate))
            .transpose()?;
        self.talk.attempt = Some(signed.header().attempt);
        let verdict = self.staging.check(signed.header(), signed.version()).await?;
        let write = self.staging.keep(&verdict).await?;

        let talk = &self.talk;
        let mut slot = talk.lock().await?;
        let outcome = slot
            .change(|slot, now| {
                slot.bring(now, signed.clone(), write.clone(), certificate, &talk.ancestors)
            })
            .await
            .map_err(|refusal| talk.evidence(&slot, refusal))?;
        let state = talk.state(&slot).as_ref().map(Into::into);
        drop(slot);
        tracing::debug!(?outcome, "brought");
        let answer = match outcome {
            Outcome::Changed => Answer::Written(wire::Written { state }),
            Outcome::AlreadySo => Answer::AlreadyHeld(wire::AlreadyHeld { state }),
        };
        stream.answers.send(answer).await?;
        Ok(SealOutcome::Brought)
    }
}

impl<S: Store> Talk<S> {
    /// A Seal that is refused as things stand need not wait for its data to be durable.
    async fn judge(&self, claim: &Claim, base: Option<&Base>) -> Result<Option<Refused>, End> {
        let slot = self.lock().await?;
        let judged = slot.slot().judge_seal(slot.now(), self.id, claim);
        let judged = judged.and_then(|()| match base {
            None => Ok(()),
            Some(base) => slot.slot().judge_base(base),
        });
        Ok(judged.err().map(|refusal| self.evidence(&slot, refusal)))
    }
}

/// A Conflict is answered and the conversation goes on; any other refusal ends it.
async fn conflict(stream: &mut Stream, refused: Refused) -> Result<SealOutcome, End> {
    if refused.refusal != Refusal::Conflict {
        return Err(refused.into());
    }
    stream.answers.send(refused.into_answer()).await?;
    Ok(SealOutcome::TryAgain)
}

fn signature_of(bytes: &[u8]) -> Result<Signature, End> {
    Signature::try_from(bytes).map_err(End::malformed)
}

fn parse_discard(sealed: &PreparedHeader, message: &wire::Discard) -> Result<Discard, End> {
    if message.version_ids.len() > DISCARDS_MAX {
        return Err(End::malformed("a Discard names at most 16 versions"));
    }
    let versions: Result<Vec<_>, _> =
        message.version_ids.iter().map(|id| VersionId::try_from(id.as_ref())).collect();
    let versions = versions.map_err(End::malformed)?;
    let signature = signature_of(&message.signature)?;
    Ok(Discard::verify(sealed, versions, &signature)?)
}

fn refusal_of_signed(error: SignedHeaderError) -> End {
    match error {
        SignedHeaderError::Header(error) => refusal_of_header(error).into(),
        SignedHeaderError::Signing(_) => Refusal::BadSignature.into(),
    }
}
