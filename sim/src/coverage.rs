//! What a sweep has reached: how often each server answered each kind of request with what, how often publishes and
//! reads heard what in answer to what, and how often callers were told what. Counts; what was never reached is for
//! people to judge. The phases of the machines are their own: which of their arms are reached, the compiler's coverage
//! tells.

use std::collections::BTreeMap;
use std::fmt;

use tarn_proto::Refusal;

use crate::event::Event;
use crate::ids::EnvelopeId;
use crate::trace::Trace;
use crate::world::{Body, Fact, Local, Machine, RequestKind, Said, World};

/// Counts over runs.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Coverage {
    /// What servers said to which kind of request.
    pub said: BTreeMap<(RequestKind, &'static str), u64>,
    /// What a publish or a read heard.
    pub heard: BTreeMap<(&'static str, String), u64>,
    /// What callers were told.
    pub told: BTreeMap<&'static str, u64>,
    /// Which events happened to the world.
    pub events: BTreeMap<&'static str, u64>,
}

/// A refusal that the slot, or what is around it in a world, gives to a kind of request: each must be reached.
pub const REFUSALS: &[(RequestKind, &str)] = &[
    (RequestKind::Seal, "conflict"),
    (RequestKind::Seal, "stale"),
    (RequestKind::Seal, "superseded"),
    (RequestKind::Seal, "busy"),
    (RequestKind::Seal, "no space"),
    (RequestKind::Seal, "read-only"),
    (RequestKind::Seal, "store failed"),
    (RequestKind::Extend, "promise lost"),
    (RequestKind::Commit, "promise lost"),
    (RequestKind::Commit, "conflict"),
    (RequestKind::Commit, "stale"),
    (RequestKind::Commit, "superseded"),
    (RequestKind::Commit, "store failed"),
    (RequestKind::Bring, "conflict"),
    (RequestKind::Bring, "stale"),
    (RequestKind::Bring, "busy"),
    (RequestKind::Bring, "no space"),
    (RequestKind::Bring, "read-only"),
    (RequestKind::Bring, "store failed"),
    (RequestKind::Finalize, "not held"),
    (RequestKind::Finalize, "store failed"),
];

impl Coverage {
    /// Plays a run again and counts what happens in it.
    pub fn play(&mut self, trace: &Trace) {
        let mut world = World::new(trace.setup.clone(), None);
        for timed in &trace.events {
            if let Event::Delivered { envelope } = timed.event {
                self.hear(&world, envelope);
            }
            if world.apply(timed) {
                *self.events.entry(name_of(&timed.event)).or_default() += 1;
                self.note(&world);
            }
        }
    }

    /// Counts what a machine is about to hear.
    fn hear(&mut self, world: &World, id: EnvelopeId) {
        let (Some(envelope), Some(client)) = (world.envelope(id), world.client(id.client)) else {
            return;
        };
        let machine = match client.machine() {
            Machine::Publish(_) => "publish",
            Machine::Read(_) => "read",
            Machine::Over => "ended",
            Machine::Killed => "killed",
        };
        let what = match &envelope.body {
            Body::Request { .. } => return,
            Body::Answer { request, reply, .. } => {
                let said = word_of(Said::from(reply.as_ref()));
                format!("{:?}: {said}", request.kind()).to_lowercase()
            }
            Body::Local(local) => match local {
                Local::Started => "started",
                Local::Encoded { .. } => "encoded",
                Local::Journaled => "journaled",
                Local::TimedOut(_) => "timed out",
                Local::Consumed { .. } => "consumed",
            }
            .to_owned(),
        };
        *self.heard.entry((machine, what)).or_default() += 1;
    }

    /// Counts what came of the last event.
    pub fn note(&mut self, world: &World) {
        for fact in world.facts() {
            match *fact {
                Fact::Served { kind, said, .. } => {
                    *self.said.entry((kind, word_of(said))).or_default() += 1;
                }
                Fact::Told { client } => {
                    if let Some(record) = world.oracle().task(client) {
                        *self.told.entry(record.told.name()).or_default() += 1;
                    }
                }
                Fact::Sent { .. }
                | Fact::Broke { .. }
                | Fact::Writing { .. }
                | Fact::Durable { .. }
                | Fact::Stepped { .. }
                | Fact::Over { .. } => {}
            }
        }
    }

    /// The refusals that were not reached.
    pub fn missing(&self) -> impl Iterator<Item = (RequestKind, &'static str)> {
        REFUSALS.iter().copied().filter(|refusal| !self.said.contains_key(refusal))
    }

    /// Adds what another has counted.
    pub fn add(&mut self, other: Self) {
        for (said, count) in other.said {
            *self.said.entry(said).or_default() += count;
        }
        for (heard, count) in other.heard {
            *self.heard.entry(heard).or_default() += count;
        }
        for (told, count) in other.told {
            *self.told.entry(told).or_default() += count;
        }
        for (event, count) in other.events {
            *self.events.entry(event).or_default() += count;
        }
    }
}

impl fmt::Display for Coverage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{:<12} {:<24} {:>10}", "asked", "said", "times")?;
        for ((kind, said), count) in &self.said {
            writeln!(f, "{:<12} {said:<24} {count:>10}", format!("{kind:?}").to_lowercase())?;
        }
        for (kind, said) in self.missing() {
            writeln!(f, "{:<12} {said:<24} {:>10}", format!("{kind:?}").to_lowercase(), "NEVER")?;
        }
        writeln!(f, "\n{:<12} {:<24} {:>10}", "who", "heard", "times")?;
        for ((who, heard), count) in &self.heard {
            writeln!(f, "{who:<12} {heard:<24} {count:>10}")?;
        }
        writeln!(f, "\n{:<37} {:>10}", "told", "times")?;
        for (told, count) in &self.told {
            writeln!(f, "{told:<37} {count:>10}")?;
        }
        writeln!(f, "\n{:<37} {:>10}", "event", "times")?;
        for (event, count) in &self.events {
            writeln!(f, "{event:<37} {count:>10}")?;
        }
        Ok(())
    }
}

const fn word_of(said: Said) -> &'static str {
    match said {
        Said::State => "state",
        Said::Sealed => "sealed",
        Said::Extended => "extended",
        Said::Written => "written",
        Said::Refused(refusal) => refusal_of(refusal),
        Said::Bytes => "bytes",
        Said::NoShare => "no share",
        Said::Dead => "nothing: dead",
        Said::Forged => "forged",
        Said::Waiting => "nothing yet: locked",
        Said::Ended => "nothing: ended",
    }
}

const fn refusal_of(refusal: Refusal) -> &'static str {
    match refusal {
        Refusal::Conflict => "conflict",
        Refusal::Stale => "stale",
        Refusal::Busy { .. } => "busy",
        Refusal::PromiseLost => "promise lost",
        Refusal::Superseded => "superseded",
        Refusal::BaseMissing => "base missing",
        Refusal::TooManyGenerations => "too many generations",
        Refusal::BadSignature => "bad signature",
        Refusal::BadShare => "bad share",
        Refusal::NoSpace => "no space",
        Refusal::OverQuota => "over quota",
        Refusal::ReadOnly => "read-only",
        Refusal::Unauthenticated => "unauthenticated",
        Refusal::TooLarge => "too large",
        Refusal::Unsupported => "unsupported",
        Refusal::NotHeld => "not held",
        Refusal::StoreFailed => "store failed",
    }
}

const fn name_of(event: &Event) -> &'static str {
    match event {
        Event::Began { .. } => "a task began",
        Event::Delivered { .. } => "a message was delivered",
        Event::Duplicated { .. } => "a message was doubled",
        Event::Lost { .. } => "a message was lost",
        Event::Stalled { .. } => "a pass stalled",
        Event::Progressed { .. } => "a pass went on",
        Event::SourceChanged { .. } => "a source changed",
        Event::JournalFailed { .. } => "a journal failed",
        Event::CancelRequested { .. } => "a task was cancelled",
        Event::ClientKilled { .. } => "a client was killed",
        Event::DiskSynced { .. } => "a disk synced",
        Event::DiskFailed { .. } => "a disk failed",
        Event::ServerCrashed { .. } => "a server crashed",
        Event::ServerRestarted { .. } => "a server restarted",
        Event::ServerReplaced { .. } => "a server was replaced",
        Event::ClockStepped { .. } => "a clock stepped",
        Event::ShareRotted { .. } => "a share rotted",
        Event::Turned { .. } => "a server turned",
        Event::Noted { .. } => "a note",
        Event::Healed => "all healed",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schedule;

    #[test]
    fn what_happened_is_counted_and_what_did_not_is_missing() {
        let mut coverage = Coverage::default();
        assert_eq!(coverage.missing().count(), REFUSALS.len());
        for seed in 0..20 {
            coverage.play(&schedule::run(seed).trace);
        }
        assert!(coverage.said[&(RequestKind::Commit, "written")] > 0);
        assert!(coverage.missing().count() < REFUSALS.len());
        assert!(coverage.to_string().contains("commit       written"));
    }
}
