//! What a sweep has reached: how often each server answered each kind of request with what, how often publishes and
//! reads heard what in answer to what, and how often callers were told what. Counts; what was never reached is for
//! people to judge. The phases of the machines are their own: which of their arms are reached, the compiler's coverage
//! tells.

use std::collections::BTreeMap;
use std::fmt;

use tarn_proto::Refusal;

use crate::event::{Event, Timed};
use crate::ids::EnvelopeId;
use crate::world::{Body, Fact, Local, Machine, RequestKind, Said, World};

/// Counts over runs.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Coverage {
    /// What servers said to which kind of request.
    pub said: BTreeMap<(RequestKind, &'static str), Times>,
    /// What a publish or a read heard.
    pub heard: BTreeMap<(&'static str, String), u64>,
    /// What callers were told.
    pub told: BTreeMap<&'static str, u64>,
    /// Which events happened to the world.
    pub events: BTreeMap<&'static str, u64>,
    /// The seed of the run that is being counted.
    seed: u64,
}

/// How often servers said something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Times {
    /// So often.
    pub times: u64,
    /// In the run with this seed, the lowest of those that were counted.
    pub seed: u64,
}

/// Refusals that the slot, or what is around it in a world, gives to a kind of request, each with a seed that reaches it:
/// each must be reached.
pub const REFUSALS: &[(RequestKind, &str, u64)] = &[
    (RequestKind::Seal, "conflict", 1),
    (RequestKind::Seal, "stale", 379),
    (RequestKind::Seal, "superseded", 2720),
    (RequestKind::Seal, "busy", 14),
    (RequestKind::Seal, "no space", 6),
    (RequestKind::Seal, "read-only", 26),
    (RequestKind::Seal, "store failed", 230),
    (RequestKind::Extend, "promise lost", 60),
    (RequestKind::Commit, "promise lost", 60),
    (RequestKind::Commit, "conflict", 634),
    (RequestKind::Commit, "store failed", 35),
    (RequestKind::Bring, "conflict", 8677),
    (RequestKind::Bring, "stale", 68),
    (RequestKind::Bring, "busy", 21),
    (RequestKind::Bring, "no space", 60),
    (RequestKind::Bring, "read-only", 238),
    (RequestKind::Bring, "store failed", 370),
    (RequestKind::Finalize, "not held", 80),
    (RequestKind::Finalize, "store failed", 20),
];

/// Refusals of the slot that no sweep is asked for, each with why. The slot's own tests have them all.
pub const NOT_DEMANDED: &[(RequestKind, &str, &str)] = &[
    (
        RequestKind::Commit,
        "stale",
        "what raises a floor becomes the current generation, and a commit may only follow if nobody sealed since: so it was \
         brought, whole, after the promise lapsed. The tests of the shipped client name every share it found and no \
         others, so they fail first, and it is a conflict; unless all that it found was damaged, and what was brought in \
         those places is found to be damaged too before the commit arrives",
    ),
    (
        RequestKind::Commit,
        "superseded",
        "the version that is committed and then its successor must both be brought to the server, after the promise lapsed \
         and with nobody sealing there, while the commit is on its way: both readers must find too few servers that \
         answer, and the successor's writer must have done without this one",
    ),
    (
        RequestKind::Seal,
        "too many generations",
        "16 versions without a certificate on one server: a run has 14 tasks",
    ),
    (RequestKind::Commit, "too many generations", "the same"),
    (RequestKind::Bring, "too many generations", "the same"),
    (
        RequestKind::Seal,
        "promise lost",
        "a conversation is opened by the message that brings its Seal",
    ),
    (RequestKind::Seal, "bad signature", "the shipped client signs for the server it sends to"),
    (RequestKind::Seal, "bad share", "the shipped client sends the version that it claims"),
    (RequestKind::Commit, "bad signature", "the shipped client signs what it sealed"),
    (RequestKind::Bring, "bad signature", "the shipped client brings what it has verified"),
    (RequestKind::Bring, "bad share", "the same"),
    (
        RequestKind::Finalize,
        "bad signature",
        "the shipped client certifies versions it has verified",
    ),
];

impl Coverage {
    /// From here on a run with this seed is counted.
    pub const fn begin(&mut self, seed: u64) {
        self.seed = seed;
    }

    /// As [`World::apply`], and counts what happens.
    pub fn apply(&mut self, world: &mut World, timed: &Timed) -> bool {
        if let Event::Delivered { envelope } = timed.event {
            self.hear(world, envelope);
        }
        let happened = world.apply(timed);
        if happened {
            *self.events.entry(name_of(&timed.event)).or_default() += 1;
            self.note(world);
        }
        happened
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
    fn note(&mut self, world: &World) {
        for fact in world.facts() {
            match *fact {
                Fact::Served { kind, said, .. } => {
                    self.say((kind, word_of(said)), Times { times: 1, seed: self.seed });
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

    fn say(&mut self, said: (RequestKind, &'static str), Times { times, seed }: Times) {
        let entry = self.said.entry(said).or_insert(Times { times: 0, seed });
        entry.times += times;
        entry.seed = entry.seed.min(seed);
    }

    /// The refusals that were not reached.
    pub fn missing(&self) -> impl Iterator<Item = (RequestKind, &'static str)> {
        let refusals = REFUSALS.iter().map(|&(kind, said, _)| (kind, said));
        refusals.filter(|refusal| !self.said.contains_key(refusal))
    }

    /// Adds what another has counted.
    pub fn add(&mut self, other: Self) {
        for (said, times) in other.said {
            self.say(said, times);
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
        writeln!(f, "{:<12} {:<24} {:>10} {:>10}", "asked", "said", "times", "first seed")?;
        for ((kind, said), Times { times, seed }) in &self.said {
            let kind = format!("{kind:?}").to_lowercase();
            writeln!(f, "{kind:<12} {said:<24} {times:>10} {seed:>10}")?;
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
    use crate::options::Options;
    use crate::schedule::Run;

    fn count(seed: u64) -> Coverage {
        Run::new(Options::draw(seed), None).run_counting(Coverage::default()).1
    }

    #[test]
    fn what_happened_is_counted_and_what_did_not_is_missing() {
        let mut coverage = Coverage::default();
        assert_eq!(coverage.missing().count(), REFUSALS.len());
        (0..20).for_each(|seed| coverage.add(count(seed)));
        assert!(coverage.said[&(RequestKind::Commit, "written")].times > 20);
        assert!(coverage.missing().count() < REFUSALS.len());
        assert!(coverage.to_string().contains("commit       written"));
    }

    #[test]
    fn every_demanded_refusal_is_reached_by_its_seed() {
        let unreached: Vec<_> = REFUSALS
            .iter()
            .filter(|(kind, said, seed)| !count(*seed).said.contains_key(&(*kind, *said)))
            .collect();
        assert!(unreached.is_empty(), "{unreached:?}");
    }

    #[test]
    fn what_is_not_demanded_is_demanded_nowhere() {
        for (kind, said, _) in NOT_DEMANDED {
            assert!(!REFUSALS.iter().any(|(other, word, _)| (other, word) == (kind, said)));
        }
    }
}
