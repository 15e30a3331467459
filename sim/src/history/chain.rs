//! The versions that certainly took effect, in the one order in which they can have.
//!
//! A version took effect if a caller was told that it is Published, if a read confirmed it, or if
//! it is an ancestor of one that did. No other version needs to: it could only stand at the chain's
//! end, where nobody saw it.

use std::collections::BTreeMap;

use tarn_proto::VersionId;

use super::{History, OperationId, PublishId, PublishTold, Signed, Violation};

/// The versions that took effect, oldest first.
pub(super) struct Chain {
    versions: Vec<VersionId>,
}

impl Chain {
    /// The chain, if these versions form one and every publish was told the truth about its own.
    pub(super) fn of(history: &History) -> Result<Self, Violation> {
        let effective = effective(history)?;
        let mut next = BTreeMap::new();
        for (&version, &(signed, shown_by)) in &effective {
            if let Some((other, other_shown_by)) =
                next.insert(signed.predecessor, (version, shown_by))
            {
                return Err(Violation::Forked {
                    predecessor: signed.predecessor,
                    siblings: [other, version],
                    operations: [other_shown_by, shown_by],
                });
            }
        }
        let mut versions = Vec::with_capacity(effective.len());
        while let Some(&(version, _)) = next.get(&versions.last().copied()) {
            versions.push(version);
        }
        judge_signers(history, &versions, &effective)?;
        Ok(Self { versions })
    }

    /// The versions, oldest first.
    pub(super) fn versions(&self) -> &[VersionId] {
        &self.versions
    }
}

/// Each version that took effect, as it was signed, with an operation that shows it did.
type Effective<'a> = BTreeMap<VersionId, (&'a Signed, OperationId)>;

fn effective(history: &History) -> Result<Effective<'_>, Violation> {
    let mut effective = Effective::new();
    for (id, publish) in history.publishes() {
        if let Some((_, PublishTold::Published(version))) = publish.ended {
            add_with_ancestors(history, &mut effective, version, OperationId::Publish(id))?;
            judge_told(history, id, version)?;
        }
    }
    for (id, _, _, found) in history.confirmed_reads() {
        if let Some(version) = found {
            add_with_ancestors(history, &mut effective, version, OperationId::Read(id))?;
        }
    }
    Ok(effective)
}

/// A predecessor was signed before its successor, so the walk ends.
fn add_with_ancestors<'a>(
    history: &'a History,
    effective: &mut Effective<'a>,
    version: VersionId,
    shown_by: OperationId,
) -> Result<(), Violation> {
    let mut next = Some(version);
    let mut before = u32::MAX;
    while let Some(version) = next {
        let signed = history
            .versions
            .get(&version)
            .filter(|signed| signed.order < before)
            .ok_or(Violation::NeverSigned { version, operation: shown_by })?;
        if effective.contains_key(&version) {
            break;
        }
        effective.insert(version, (signed, shown_by));
        before = signed.order;
        next = signed.predecessor;
    }
    Ok(())
}

/// A publish is told of a version of its own attempt, which follows what its caller named.
fn judge_told(history: &History, id: PublishId, version: VersionId) -> Result<(), Violation> {
    let publish = history.publish(id);
    let Some(signed) = history.versions.get(&version) else {
        return Err(Violation::NeverSigned { version, operation: OperationId::Publish(id) });
    };
    let signed_by = history.signer(signed);
    if history.publish(signed_by).attempt != publish.attempt {
        return Err(Violation::ForeignVersion { publish: id, version, signed_by });
    }
    if !publish.may_follow(signed.predecessor) {
        let predecessor = signed.predecessor;
        return Err(Violation::TicketIgnored { publish: id, version, predecessor });
    }
    Ok(())
}

/// Nobody whose version took effect was told that nothing was changed, or allowed another
/// predecessor; and an attempt has one version.
fn judge_signers(
    history: &History,
    versions: &[VersionId],
    effective: &Effective<'_>,
) -> Result<(), Violation> {
    let mut attempts = BTreeMap::new();
    for &version in versions {
        let (signed, shown_by) = effective[&version];
        let publish = history.signer(signed);
        let signer = history.publish(publish);
        if signer.told_unchanged() {
            return Err(Violation::ChangedAnyway { publish, version, shown_by });
        }
        if !signer.may_follow(signed.predecessor) {
            let predecessor = signed.predecessor;
            return Err(Violation::TicketIgnored { publish, version, predecessor });
        }
        if let Some((other, by)) = attempts.insert(signer.attempt, (version, publish)) {
            return Err(Violation::TookEffectTwice {
                attempt: signer.attempt,
                versions: [other, version],
                publishes: [by, publish],
            });
        }
    }
    Ok(())
}
