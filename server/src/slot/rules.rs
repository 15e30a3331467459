//! The rules that look at nothing but a manifest: tests, room for another generation, what may be replaced and what
//! may be discarded.

use std::collections::{BTreeMap, BTreeSet};

use tarn_proto::state::{Expected, GENERATIONS_MAX, Tests};
use tarn_proto::{Certificate, Refusal, ShareHealth, SignedHeader, VersionId};

use super::Claim;
use crate::manifest::Manifest;

/// Rule 3. Tests look at the first generation only; a share of the very version being written passes any of them.
pub(super) fn tests_pass(manifest: &Manifest, tests: &Tests, writing: Option<VersionId>) -> bool {
    let Some(current) = manifest.generations.first() else {
        return tests.shares.values().all(|expected| *expected == Expected::Absent);
    };
    let version = current.header.version();
    if Some(version) == writing {
        // What is held of this very version passes; what is not held must have been expected to be absent.
        return tests.shares.iter().all(|(share, expected)| {
            current.shares.contains_key(share) || *expected == Expected::Absent
        });
    }
    let passes = |held: Option<ShareHealth>, expected| match (held, expected) {
        (None, Expected::Absent) => true,
        (Some(_), Expected::Version(wanted)) => wanted == version,
        (Some(health), Expected::Damaged) => health == ShareHealth::Damaged,
        (Some(_), Expected::Absent) | (None, Expected::Version(_) | Expected::Damaged) => false,
    };
    let named = tests.shares.iter().all(|(share, expected)| {
        let held = current.shares.get(share).map(|held| held.health);
        passes(held, *expected)
    });
    let others = || {
        let mut held = current.shares.keys();
        held.any(|share| !tests.shares.contains_key(share))
    };
    named && !(tests.no_others && others())
}

/// Whether one more generation fits once these are dropped.
pub(super) fn has_room(manifest: &Manifest, discarded: &[VersionId]) -> Result<(), Refusal> {
    let kept = manifest
        .generations
        .iter()
        .filter(|generation| !discarded.contains(&generation.header.version()))
        .count();
    if kept < GENERATIONS_MAX { Ok(()) } else { Err(Refusal::TooManyGenerations) }
}

/// What a version that is brought may become current over: nothing, its own predecessor, or with its certificate
/// any older version (rule 4 has seen to *older*).
pub(super) fn may_replace_current(
    manifest: &Manifest,
    brought: &SignedHeader,
    certified: bool,
) -> Result<(), Refusal> {
    let Some(current) = manifest.generations.first() else {
        return Ok(());
    };
    if certified || brought.header().predecessor == Some(current.header.version()) {
        Ok(())
    } else {
        Err(Refusal::Conflict)
    }
}

/// A version that is not held and has no certificate may not be brought below what was sealed. Whoever sealed here
/// counted what this slot held, and may have published elsewhere on the word that no older version would gain a
/// holder; the last sealer fences a Commit only, and promises end, so the number itself must fence a Bring for good.
pub(super) fn not_below_sealed(manifest: &Manifest, brought: &SignedHeader) -> Result<(), Refusal> {
    match manifest.sealed {
        Some(sealed) if brought.header().sequence_number < sealed => Err(Refusal::Stale),
        Some(_) | None => Ok(()),
    }
}

/// No certified version may be discarded, nor the sealed one, its predecessor, or that one's ancestors back to the
/// newest certificate.
pub(super) fn may_discard(
    manifest: &Manifest,
    Claim { header: sealed, ancestors, .. }: &Claim,
    discarded: &[VersionId],
) -> Result<(), Refusal> {
    if discarded.is_empty() {
        return Ok(());
    }
    let certified = manifest.certificates.iter().map(Certificate::version);
    let mut kept: BTreeSet<VersionId> = certified.collect();
    kept.insert(sealed.version());
    let newest = newest_certificate(manifest).map(|certificate| certificate.version());
    let mut predecessors = predecessors(manifest);
    predecessors
        .extend(ancestors.iter().map(|header| (header.version(), header.header().predecessor)));
    let mut ancestor = sealed.header().predecessor;
    // A link can only lead to a version made before, but the walk must end even over links that lie.
    for _ in 0..=predecessors.len() {
        let Some(version) = ancestor else { break };
        kept.insert(version);
        if Some(version) == newest {
            break;
        }
        ancestor = predecessors.get(&version).copied().flatten();
    }
    if discarded.iter().any(|version| kept.contains(version)) {
        Err(Refusal::Conflict)
    } else {
        Ok(())
    }
}

/// The certificate of the version that is furthest on.
pub(super) fn newest_certificate(manifest: &Manifest) -> Option<&Certificate> {
    manifest
        .certificates
        .iter()
        .max_by_key(|certificate| (certificate.sequence_number(), certificate.version()))
}

/// Whether a certificate is about this version of this file.
pub(super) fn certifies(certificate: &Certificate, header: &SignedHeader) -> bool {
    certificate.version() == header.version()
        && certificate.sequence_number() == header.header().sequence_number
        && certificate.verify_key() == header.verify_key()
}

/// Of these headers, those that `version` was built on, newest first: each is named by the hash in the one before, so
/// no signature need be asked who says so. What is off that chain means nothing.
pub(super) fn chain_below<'a>(
    version: &SignedHeader,
    headers: impl Iterator<Item = &'a SignedHeader>,
) -> Vec<&'a SignedHeader> {
    let known: BTreeMap<VersionId, &SignedHeader> =
        headers.map(|header| (header.version(), header)).collect();
    let below = |header: &SignedHeader| known.get(&header.header().predecessor?).copied();
    std::iter::successors(below(version), |header| below(header)).collect()
}

/// Every predecessor link that the slot knows: from its history, its floor and its generations.
fn predecessors(manifest: &Manifest) -> BTreeMap<VersionId, Option<VersionId>> {
    let history =
        manifest.history.iter().map(|record| (record.entry.version, record.entry.predecessor));
    let held = manifest.generations.iter().map(|held| &held.header);
    let signed = manifest
        .floor
        .iter()
        .chain(held)
        .map(|header| (header.version(), header.header().predecessor));
    history.chain(signed).collect()
}
