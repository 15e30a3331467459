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
    let told = slot.state(at(0), Some(chain[0].header().attempt), None);
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
