//! Promises and transactions that nobody ends, and promises that nobody keeps.

use std::collections::{BTreeMap, BTreeSet};

use tarn_proto::ConversationId;
use tarn_server::manifest::Manifest;

use crate::bugs::{Bug, Found};
use crate::ids::ServerId;
use crate::plant::Plant;
use crate::world::{Reply, Request, Server};

pub(super) const LEAKED_PROMISE: Bug = Bug {
    name: "leaked-promise",
    hazard: Some("H3"),
    sentence: "a conversation whose task is dropped while the slot is locked is never ended",
    plant: || Box::new(LeakedPromise::default()),
    tune: |_| (),
    found: Found::BySeed(5),
};

pub(super) const LEAKED_TRANSACTION: Bug = Bug {
    name: "leaked-transaction",
    hazard: Some("H3"),
    sentence: "a task dropped in the midst of a commit leaves its transaction open: what is committed \
               after it is acknowledged, and gone after a restart",
    plant: || Box::new(LeakedTransaction::default()),
    tune: |_| (),
    found: Found::BySeed(135),
};

pub(super) const PROMISE_OUTLIVES_STREAM: Bug = Bug {
    name: "promise-outlives-stream",
    hazard: None,
    sentence: "the promise is kept until it lapses, though its stream has ended",
    plant: || Box::new(PromiseOutlivesStream::default()),
    tune: |_| (),
    found: Found::BySeed(8),
};

pub(super) const PROMISE_IGNORED: Bug = Bug {
    name: "promise-ignored",
    hazard: None,
    sentence: "others may seal and bring as if the slot were promised to nobody",
    plant: || Box::new(PromiseIgnored::default()),
    tune: |_| (),
    found: Found::Never(
        "a promise may lapse at any moment, as when a clock jumps, so no safety rests on it: what keeps writers apart is \
         that the last to seal alone may commit. The scope `siblings` is exhausted and breaks nothing. It stays as it \
         keeps writers from undoing each other's rounds",
    ),
};

/// Ends that found the slot locked.
#[derive(Debug, Clone, Default)]
struct LeakedPromise {
    dropped: BTreeSet<(ServerId, ConversationId)>,
}

impl Plant for LeakedPromise {
    fn waits(&mut self, server: &mut Server, request: &Request) {
        if let Request::End { conversation } = request {
            self.dropped.insert((server.id(), *conversation));
        }
    }

    fn serves(&mut self, _now: u64, server: &mut Server, request: &mut Request) -> bool {
        let Request::End { conversation } = request else { return true };
        let dropped = self.dropped.remove(&(server.id(), *conversation));
        if dropped {
            server.leak(*conversation);
        }
        !dropped
    }
}

/// What is durable, for ever, of the servers whose transaction was left open.
#[derive(Debug, Clone, Default)]
struct LeakedTransaction {
    durable: BTreeMap<ServerId, Manifest>,
}

impl Plant for LeakedTransaction {
    fn waits(&mut self, server: &mut Server, request: &Request) {
        if let Request::End { conversation } = request
            && let Some(pending) = server.pending()
            && pending.request.conversation() == Some(*conversation)
        {
            self.durable.entry(server.id()).or_insert_with(|| server.disk().clone());
        }
    }

    fn restarts(&mut self, server: &mut Server) {
        if let Some(durable) = self.durable.remove(&server.id()) {
            server.disk_mut().clone_from(&durable);
            if let Some(slot) = server.slot_mut() {
                slot.became(durable);
            }
        }
    }
}

/// Streams that have ended, and until when their promises last.
#[derive(Debug, Clone, Default)]
struct PromiseOutlivesStream {
    kept: BTreeMap<(ServerId, ConversationId), u64>,
}

impl Plant for PromiseOutlivesStream {
    fn serves(&mut self, now: u64, server: &mut Server, request: &mut Request) -> bool {
        let moment = server.now(now);
        self.kept.retain(|&(id, conversation), until| {
            let over = id == server.id() && *until <= moment.elapsed.get();
            if over {
                server.end(conversation);
            }
            !over
        });
        let Request::End { conversation } = request else { return true };
        let Some(slot) = server.slot() else { return true };
        if slot.promised_to(moment) != Some(*conversation) {
            return true;
        }
        let lasts = slot.state(moment, None, None).promised_ms.unwrap_or(0);
        self.kept.insert((server.id(), *conversation), moment.elapsed.get() + lasts);
        server.leak(*conversation);
        false
    }

    fn restarts(&mut self, server: &mut Server) {
        self.kept.retain(|(id, _), _| *id != server.id());
    }
}

/// What a promise is said to last, in milliseconds.
const SAID: u64 = 30_000;

/// Servers whose slots promise for no time at all.
#[derive(Debug, Clone, Default)]
struct PromiseIgnored {
    prepared: BTreeSet<ServerId>,
}

impl Plant for PromiseIgnored {
    fn serves(&mut self, _now: u64, server: &mut Server, _request: &mut Request) -> bool {
        if server.is_up() && self.prepared.insert(server.id()) {
            server.reload(0);
        }
        true
    }

    fn says(&mut self, _now: u64, _server: &mut Server, _request: &Request, reply: &mut Reply) {
        if let Reply::Sealed { promise, .. } | Reply::Extended { promise } = reply {
            *promise = SAID;
        }
    }

    fn restarts(&mut self, server: &mut Server) {
        server.reload(0);
    }
}
