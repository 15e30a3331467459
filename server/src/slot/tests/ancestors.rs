//! What a version was built on, handed along with it: what is remembered of that, for how long, and what is not
//! believed.

use tarn_proto::state::ANCESTORS_MAX;

use super::*;

/// A chain of versions, each built on the one before, from sequence number 1.
fn chain(length: u64) -> Vec<Version> {
    let mut versions: Vec<Version> = Vec::new();
    for number in 1..=length {
        let predecessor = versions.last().map(Version::id);
        versions.push(writer().version(u8::try_from(number).unwrap(), number, predecessor));
    }
    versions
}

fn headers(versions: &[Version]) -> Vec<SignedHeader> {
    versions.iter().map(|version| version.signed.clone()).collect()
}

/// Publishes share 0 of the last of a chain, built on the others.
fn publish_on(slot: &mut Slot, number: u8, version: &Version, ancestors: &[Version]) {
    let claim = Claim { ancestors: headers(ancestors), ..version.claim(Default::default()) };
    seal_at(slot, at(0), number, claim, version, &[0]).unwrap();
    let change = commit(slot, number, version).unwrap();
    accept(slot, change);
    slot.end(conversation(number));
}

fn remembered(slot: &Slot) -> Vec<VersionId> {
    slot.manifest().history.iter().map(|record| record.entry.version).collect()
}

fn ids(versions: &[Version]) -> Vec<VersionId> {
    versions.iter().map(Version::id).collect()
}

#[test]
fn what_a_version_was_built_on_is_remembered_with_it() {
    let chain = chain(3);
    let mut slot = slot();
    publish_on(&mut slot, 1, &chain[2], &chain[..2]);
    assert_eq!(remembered(&slot), ids(&chain), "at its place, whatever order it came in");
    assert_eq!(slot.manifest().ancestors, headers(&chain[..2]));
    let told = slot.state(at(0), Some(chain[0].header().attempt.into()), None);
    assert_eq!(told.history.len(), 3, "a repeated submission finds itself and the way down to it");
    assert_eq!(told.ancestors, headers(&chain[..2]));
}

#[test]
fn what_is_brought_is_linked_like_what_is_committed() {
    let chain = chain(2);
    let mut slot = slot();
    let (header, write) = (chain[1].signed.clone(), chain[1].verified(&[0]));
    let change = slot.bring(at(0), header, write, None, &headers(&chain[..1])).unwrap();
    accept(&mut slot, change);
    assert_eq!(remembered(&slot), ids(&chain));
    assert_eq!(slot.manifest().ancestors, headers(&chain[..1]));
}

#[test]
fn what_is_off_the_chain_means_nothing() {
    let chain = chain(3);
    let stranger = writer().version(9, 1, None);
    let mut slot = slot();
    // The middle of the chain is missing, so nothing says that its first version belongs to it.
    let said = [chain[0].clone(), stranger];
    publish_on(&mut slot, 1, &chain[2], &said);
    assert_eq!(remembered(&slot), [chain[2].id()]);
    assert_eq!(slot.manifest().ancestors, []);
}

#[test]
fn what_is_held_is_no_ancestor_beside_and_is_remembered_once() {
    let chain = chain(3);
    let mut slot = holding(&[&chain[1]]);
    publish_on(&mut slot, 1, &chain[2], &chain[..2]);
    assert_eq!(remembered(&slot), ids(&chain));
    assert_eq!(slot.manifest().ancestors, headers(&chain[..1]));
}

#[test]
fn what_came_without_its_links_is_given_them_by_whoever_has_them() {
    let chain = chain(2);
    let newest = &chain[1];
    let bring = |slot: &Slot, ancestors: &[Version]| {
        let (header, write) = (newest.signed.clone(), newest.verified(&[0]));
        slot.bring(at(0), header, write, None, &headers(ancestors)).unwrap()
    };
    let mut unlinked = slot();
    let change = bring(&unlinked, &[]);
    accept(&mut unlinked, change);
    assert_eq!(remembered(&unlinked), [newest.id()]);

    let mut brought = unlinked.clone();
    let change = bring(&brought, &chain[..1]);
    accept(&mut brought, change);
    assert_eq!(remembered(&brought), ids(&chain));
    assert_eq!(bring(&brought, &chain[..1]), Change::AlreadySo);

    publish_on(&mut unlinked, 1, newest, &chain[..1]);
    assert_eq!(remembered(&unlinked), ids(&chain), "by its own writer's commit");
}

#[test]
fn a_young_link_below_an_old_version_is_not_forgotten_before_its_week() {
    let chain = chain(4);
    let mut slot = slot();
    publish_on(&mut slot, 1, &chain[2], &[]);
    // The third is old; the second comes to be remembered below it, with a version that was built on it.
    let fork = writer().version(90, 90, Some(chain[1].id()));
    let late = Now { elapsed: Millis::new(0), unix_seconds: at(0).unix_seconds + WEEK_SECONDS + 1 };
    let ancestors = headers(&chain[..2]);
    let claim = Claim { ancestors, ..fork.claim(Default::default()) };
    seal_at(&mut slot, late, 2, claim, &fork, &[0]).unwrap();
    let change = slot.commit(late, conversation(2), fork.signature()).unwrap();
    accept(&mut slot, change);
    slot.end(conversation(2));
    for number in 100..170 {
        let next = writer().version(number, number.into(), None);
        slot.manifest.generations.clear();
        seal_at(&mut slot, late, 3, next.claim(Default::default()), &next, &[0]).unwrap();
        let change = slot.commit(late, conversation(3), next.signature()).unwrap();
        accept(&mut slot, change);
        slot.end(conversation(3));
    }
    assert!(remembered(&slot).contains(&chain[1].id()));
}

#[test]
fn a_certificate_drops_what_lies_below_and_history_keeps_it() {
    let chain = chain(3);
    let mut slot = slot();
    publish_on(&mut slot, 1, &chain[2], &chain[..2]);
    let change = slot.finalize(chain[2].certificate()).unwrap();
    accept(&mut slot, change);
    assert_eq!(slot.manifest().ancestors, []);
    assert_eq!(remembered(&slot), ids(&chain));
}

#[test]
fn a_long_way_down_is_cut_at_its_far_end() {
    let chain = chain(ANCESTORS_MAX as u64 + 3);
    let (newest, below) = chain.split_last().unwrap();
    let mut slot = slot();
    publish_on(&mut slot, 1, newest, below);
    assert_eq!(slot.manifest().ancestors, headers(&below[below.len() - ANCESTORS_MAX..]));
}
