//! Stories of one slot: a state, one request, the exact answer.

use tarn_proto::VersionId;

use super::*;
use crate::manifest::HistoryRecord;
use crate::testing::{STORE, Version, Writer, conversation};

mod ancestors;
mod bring;
mod commit;
mod discard;
mod finalize;
mod seal;
mod state;
mod upkeep;

const PROMISE: Millis = Millis::new(30_000);
const WEEK_SECONDS: u64 = 7 * 24 * 60 * 60;

fn at(milliseconds: u64) -> Now {
    Now { elapsed: Millis::new(milliseconds), unix_seconds: 1_000_000_000 + milliseconds / 1000 }
}

fn writer() -> Writer {
    Writer::new(7)
}

fn slot() -> Slot {
    Slot::new(STORE, writer().storage_index(), PROMISE, Manifest::default())
}

/// A slot that holds share 0 of each of these versions, the last one current, and was restarted since.
fn holding(versions: &[&Version]) -> Slot {
    let mut slot = slot();
    for version in versions {
        publish(&mut slot, 99, version, &[0]);
    }
    Slot::new(STORE, slot.storage_index, PROMISE, slot.manifest)
}

/// Makes a change durable.
fn accept(slot: &mut Slot, change: Change) {
    match change {
        Change::Becomes(manifest) => slot.became(manifest),
        Change::AlreadySo => panic!("nothing would change"),
    }
}

/// Opens a conversation and seals with it, without tests; what is to be durable then is.
fn seal(slot: &mut Slot, number: u8, version: &Version, shares: &[u8]) -> Result<Millis, Refusal> {
    seal_at(slot, at(0), number, version.claim(Default::default()), version, shares)
}

fn seal_at(
    slot: &mut Slot,
    now: Now,
    number: u8,
    claim: Claim,
    version: &Version,
    shares: &[u8],
) -> Result<Millis, Refusal> {
    assert!(slot.open(conversation(number)));
    if slot.judge_seal(now, conversation(number), &claim).is_ok()
        && let Change::Becomes(manifest) = slot.sealing(&claim)
    {
        slot.became(manifest);
    }
    slot.seal(now, conversation(number), claim, version.verified(shares))
}

fn commit(slot: &Slot, number: u8, version: &Version) -> Result<Change, Refusal> {
    slot.commit(at(0), conversation(number), version.signature())
}

/// A whole conversation: open, seal, commit, end.
fn publish(slot: &mut Slot, number: u8, version: &Version, shares: &[u8]) {
    seal(slot, number, version, shares).unwrap();
    let change = commit(slot, number, version).unwrap();
    accept(slot, change);
    slot.end(conversation(number));
}

fn held_versions(manifest: &Manifest) -> Vec<VersionId> {
    let held = manifest.generations.iter();
    held.map(|generation| generation.header.version()).collect()
}

fn first_record(manifest: &Manifest) -> &HistoryRecord {
    manifest.history.iter().next().unwrap()
}

fn next(change: Change) -> Manifest {
    match change {
        Change::Becomes(manifest) => manifest,
        Change::AlreadySo => panic!("nothing would change"),
    }
}

fn held_shares(manifest: &Manifest, generation: usize) -> Vec<u8> {
    let shares = manifest.generations[generation].shares.keys();
    shares.map(|share| share.get()).collect()
}
