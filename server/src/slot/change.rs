//! What a slot's manifest becomes: pure functions from one manifest to the next. Whether a change is allowed is
//! decided before.

use std::collections::BTreeMap;

use tarn_proto::state::{ANCESTORS_MAX, HISTORY_MAX};
use tarn_proto::{
    Certificate, HistoryEntry, Origin, PageRoots, ShareHealth, ShareNumber, SignedHeader, VersionId,
};

use super::{Now, VerifiedWrite, rules};
use crate::manifest::{
    History, HistoryRecord, Manifest, Relocation, StoredGeneration, StoredShare,
};

/// A version is remembered at least so long, in seconds.
const HISTORY_KEPT_SECONDS: u64 = 7 * 24 * 60 * 60;
/// So many versions are remembered however old they are.
const HISTORY_KEPT: usize = 64;

/// Shares of one version on their way into the manifest.
pub(super) struct Write<'a> {
    pub(super) header: SignedHeader,
    pub(super) write: VerifiedWrite,
    pub(super) origin: Origin,
    pub(super) discarded: &'a [VersionId],
    pub(super) certificate: Option<Certificate>,
    /// What the version was built on, as far as whoever writes it says so.
    pub(super) ancestors: &'a [SignedHeader],
}

/// Which part of a version was found to be damaged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Damage {
    /// One share's bytes.
    Share(ShareNumber),
    /// The table: no share of the version can be checked any more.
    Table,
}

/// The manifest after a write: a version that is held gains the shares it lacked, any other becomes the current one.
pub(super) fn written(manifest: &Manifest, now: Now, write: Write<'_>) -> Manifest {
    let mut next = manifest.clone();
    next.generations.retain(|held| !write.discarded.contains(&held.header.version()));
    next.certificates.extend(write.certificate);
    let version = write.header.version();
    let held = next.generations.iter_mut().find(|held| held.header.version() == version);
    match held {
        Some(held) => add_shares(held, write.write, write.origin),
        None => add_generation(&mut next, now, write.header.clone(), write.write, write.origin),
    }
    for ancestor in rules::chain_below(&write.header, write.ancestors.iter()) {
        remember(&mut next.history, now, ancestor);
        next.ancestors.push(ancestor.clone());
    }
    forget(&mut next.history, now);
    keep_certificates(&mut next);
    keep_ancestors(&mut next);
    next
}

/// Whether every version that `header` is said to be built on is remembered already.
pub(super) fn is_linked(
    manifest: &Manifest,
    header: &SignedHeader,
    ancestors: &[SignedHeader],
) -> bool {
    let below = rules::chain_below(header, ancestors.iter());
    below.into_iter().all(|ancestor| {
        let (sequence_number, version) = ancestor.order();
        manifest.history.remembers(sequence_number, version)
    })
}

/// The manifest after a certificate was recorded: nothing older than its version is left.
pub(super) fn finalized(manifest: &Manifest, certificate: Certificate) -> Manifest {
    let mut next = manifest.clone();
    let order = (certificate.sequence_number(), certificate.version());
    next.generations.retain(|held| held.header.order() >= order);
    next.certificates.push(certificate);
    keep_certificates(&mut next);
    keep_ancestors(&mut next);
    next
}

/// The manifest after damage was found.
pub(super) fn damaged(manifest: &Manifest, version: VersionId, damage: Damage) -> Manifest {
    let mut next = manifest.clone();
    let held = next.generations.iter_mut().filter(|held| held.header.version() == version);
    for (share, stored) in held.flat_map(|held| held.shares.iter_mut()) {
        match damage {
            Damage::Share(bad) if bad != *share => {}
            Damage::Share(_) | Damage::Table => stored.health = ShareHealth::Damaged,
        }
    }
    next
}

/// The manifest after page roots were found for a version that is held.
pub(super) fn paged(manifest: &Manifest, version: VersionId, roots: &PageRoots) -> Manifest {
    let mut next = manifest.clone();
    let held = next.generations.iter_mut().filter(|held| held.header.version() == version);
    for held in held.filter(|held| held.header.header().table_root == roots.root()) {
        held.page_roots = roots.bytes();
    }
    next
}

/// The manifest after bytes were copied elsewhere.
pub(super) fn relocated(manifest: &Manifest, relocation: &Relocation) -> Manifest {
    let mut next = manifest.clone();
    for held in &mut next.generations {
        held.table = relocation.of(&held.table);
        for stored in held.shares.values_mut() {
            stored.content = relocation.of(&stored.content);
        }
    }
    next
}

fn add_generation(
    next: &mut Manifest,
    now: Now,
    header: SignedHeader,
    write: VerifiedWrite,
    origin: Origin,
) {
    let is_highest = |floor: &SignedHeader| header.order() > floor.order();
    if next.floor.as_ref().is_none_or(is_highest) {
        next.floor = Some(header.clone());
    }
    remember(&mut next.history, now, &header);
    let page_roots = write.page_roots().bytes();
    let (table, contents) = write.into_contents();
    let shares = contents.into_iter().map(|(share, content)| (share, StoredShare::whole(content)));
    let shares = shares.collect();
    next.generations.insert(0, StoredGeneration { header, origin, table, page_roots, shares });
}

/// A share that is held whole stays as it is. The table that came is known to be good, the one held may be damaged.
fn add_shares(held: &mut StoredGeneration, write: VerifiedWrite, origin: Origin) {
    held.page_roots = write.page_roots().bytes();
    let (table, contents) = write.into_contents();
    held.table = table;
    if matches!(origin, Origin::Committed(_)) {
        held.origin = origin;
    }
    for (share, content) in contents {
        if !held.is_whole(share) {
            held.shares.insert(share, StoredShare::whole(content));
        }
    }
}

/// Remembers a version at its place, once; its time begins anew.
fn remember(history: &mut History, now: Now, header: &SignedHeader) {
    let (sequence_number, version) = header.order();
    let entry = HistoryEntry {
        attempt: header.header().attempt,
        version,
        predecessor: header.header().predecessor,
        sequence_number,
    };
    history.remember(HistoryRecord { entry, committed_at: now.unix_seconds });
}

/// Forgets from the oldest version up to one that is to be remembered still.
fn forget(history: &mut History, now: Now) {
    let forgotten_before = now.unix_seconds.saturating_sub(HISTORY_KEPT_SECONDS);
    let old = history.iter().take_while(|record| record.committed_at < forgotten_before).count();
    let spare = history.len().saturating_sub(HISTORY_KEPT);
    let too_many = history.len().saturating_sub(HISTORY_MAX);
    history.forget(old.min(spare).max(too_many));
}

/// Keeps of the versions not held those that one held was built on, back to one known to have been Published: whoever
/// builds on what is held here hands them along.
fn keep_ancestors(next: &mut Manifest) {
    if next.ancestors.is_empty() {
        return;
    }
    let held = || next.generations.iter().map(|held| &held.header);
    let is_certified = |header: &&SignedHeader| {
        next.certificates.iter().any(|certificate| certificate.version() == header.version())
    };
    let mut kept = BTreeMap::new();
    for generation in held().filter(|header| !is_certified(header)) {
        let below = rules::chain_below(generation, held().chain(&next.ancestors));
        let unpublished = below.into_iter().take_while(|header| !is_certified(header));
        kept.extend(unpublished.map(|header| (header.order(), header.clone())));
    }
    kept.retain(|_, header| next.generation(header.version()).is_none());
    let too_many = kept.len().saturating_sub(ANCESTORS_MAX);
    next.ancestors = kept.into_values().skip(too_many).collect();
}

/// Keeps the certificates of held versions and the newest one, each once.
fn keep_certificates(next: &mut Manifest) {
    let newest = rules::newest_certificate(next).map(Certificate::version);
    let Manifest { certificates, generations, .. } = next;
    certificates.sort_by_key(|certificate| (certificate.sequence_number(), certificate.version()));
    certificates.dedup_by_key(|certificate| certificate.version());
    certificates.retain(|certificate| {
        let version = certificate.version();
        Some(version) == newest || generations.iter().any(|held| held.header.version() == version)
    });
}
