//! Bugs of servers, and of what is around them.

mod answers;
mod disk;
mod fences;
mod instances;
mod leaks;

use std::collections::BTreeMap;

use tarn_proto::{ConversationId, Refusal, Signature};
use tarn_server::manifest::Manifest;
use tarn_server::slot::{Change, Claim, Millis, Now, Slot, VerifiedWrite};

use super::Bug;
use crate::ids::ServerId;
use crate::options::{Faults, Habit, Network, Options};
use crate::setup::file;
use crate::world::{Reply, Request, Server};

/// Every one.
pub(super) static BUGS: &[Bug] = &[
    instances::STALE_OVERWRITE,
    instances::LOAD_BEFORE_LOCK,
    leaks::LEAKED_PROMISE,
    leaks::LEAKED_TRANSACTION,
    leaks::PROMISE_OUTLIVES_STREAM,
    leaks::PROMISE_IGNORED,
    disk::ACKNOWLEDGED_BEFORE_SYNC,
    disk::PREVIOUS_DROPPED_AT_COMMIT,
    disk::FLOOR_FORGOTTEN_AT_RESTART,
    disk::SHARES_COMMITTED_SEPARATELY,
    disk::EMPTIED_COUNTS_AS_OLD_MEMBER,
    disk::DAMAGED_SERVED,
    fences::COMMIT_AFTER_ANOTHERS_SEAL,
    fences::SEALED_FENCE_FORGOTTEN,
    fences::WRITE_BACK_OVER_ANYTHING_OLDER,
    answers::SUPERSEDED_COMMITS,
    answers::ALREADY_HELD_WITHOUT_PROMISE,
    answers::REFUSED_BUT_WRITTEN,
];

/// A world in which writers and readers meet all the time, and promises lapse under them.
pub(super) fn crowd(options: &mut Options) {
    let Options { setup, network, disk, faults, .. } = options;
    (setup.servers, setup.window) = if setup.window < 5 { (3, 3) } else { (5, 5) };
    (setup.single_writer, setup.liars) = (false, false);
    options.callers = vec![Habit::Overwrites; 3];
    options.callers.extend([Habit::Reads; 2]);
    options.shapes = match setup.window {
        3 => vec![(1, 2, 3), (2, 2, 3)],
        _ => vec![(1, 3, 5), (2, 3, 5)],
    };
    options.pause = 10;
    *network = Network {
        latency: (1, 50),
        instant: 0,
        delayed: 100,
        lost: 30,
        duplicated: 0,
        outlived: 30,
        reorders: true,
        slow: None,
        partitions: Some((2_000, 500)),
        lingering: None,
    };
    disk.failed = 0;
    *faults =
        Faults { clocks: Some(300), kills: Some(500), crashes: Some(3_000), ..Faults::default() };
}

/// What was sealed where, to be committed by other rules than the slot's.
#[derive(Debug, Clone, Default)]
struct Seals(BTreeMap<(ServerId, ConversationId), (Claim, VerifiedWrite)>);

impl Seals {
    /// Remembers what a server has just sealed.
    fn said(&mut self, server: &Server, request: &Request, reply: &Reply) {
        if let Request::Seal { conversation, shares, tests, made, ancestors, .. } = request
            && let Reply::Sealed { .. } = reply
        {
            let header = made.prepared(server.id().store());
            let (tests, ancestors) = (tests.clone(), ancestors.clone());
            let claim = Claim { header, tests, discard: None, ancestors };
            self.0.insert((server.id(), *conversation), (claim, made.write(shares)));
        }
    }

    fn of(&self, server: &Server, conversation: ConversationId) -> Option<&(Claim, VerifiedWrite)> {
        self.0.get(&(server.id(), conversation))
    }

    /// What the Commit would make of this manifest if its conversation were the only one there ever was.
    fn commit_alone(
        &self,
        now: Now,
        server: &Server,
        manifest: &Manifest,
        (conversation, signature): (ConversationId, Signature),
    ) -> Option<Result<Change, Refusal>> {
        let (claim, write) = self.of(server, conversation)?.clone();
        let (store, promise) = (server.id().store(), Millis::new(1));
        let mut alone = Slot::new(store, file(), promise, manifest.clone());
        let sealed = alone.open(conversation).then(|| alone.seal(now, conversation, claim, write));
        Some(sealed?.and_then(|_| alone.commit(now, conversation, signature)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bugs::Found;

    #[test]
    fn each_is_found_on_its_seed_which_is_clean_without_it() {
        for bug in BUGS {
            if let Found::BySeed(seed) = bug.found {
                assert!(bug.run(seed).broken.is_some(), "{} is not found", bug.name);
                let without = bug.run_without(seed).broken;
                assert!(without.is_none(), "{}: {}", bug.name, without.expect("some"));
            }
        }
    }
}
