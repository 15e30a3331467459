//! What the callers of one file asked for and were told, and whether that is linearizable (P4, P5,
//! P14, P15).
//!
//! A [`History`] knows nothing of servers, shares or machines: only when each operation began and
//! ended, what its caller was told, and which versions were signed on its behalf.
//! [`History::check`] says whether one register, changed by compare-and-set on the version it
//! holds, could have told the same. It does not judge what a caller is told of the health of a
//! version, nor an outcome's reason beyond "another's version is in the way".
//!
//! ```text
//!  publish 0  ├───────signed a──────┤ Published a
//!  read 0        ├──┤ nothing           a came after read 0 began, before publish 0 was told
//!  publish 1            ├──signed b (after a)──╳ killed
//!  read 1                                   ├──┤ b       b came before read 1 ended
//! ```
//!
//! **The specification.** The register holds a version or nothing. A version takes effect at one
//! instant after its publish began, if the register then holds its predecessor and that is what the
//! caller allowed it to follow. A publish told Published had its version take effect before it was
//! told; the version may be that of an earlier publish of the same attempt. A publish told that
//! nothing was changed has no version that takes effect, ever, but one that another publish of the
//! same attempt signed too, byte for byte. Of a publish whose end is unknown
//! each version may take effect, late or never; readers may help it. A confirmed read returns what
//! the register holds at some instant between its beginning and its end.
//!
//! **The check is our own, the library is its judge.** Every version names its predecessor, so the
//! order in which versions take effect need not be searched for: it is the chain. What is left are
//! intervals on that chain, and the check in `chain` and `interval` is exact and no dearer than a
//! sort, so that it can run for each of a million seeds. A general checker searches orders,
//! exponentially many when publishes stay in flight. `stateright` 0.31 was taken to cross-validate
//! it in the tests: what is in flight may take effect or not, as the specification here asks, and
//! every operation may have a thread of its own. Of the others, `todc-utils` 0.1 has the better
//! algorithm but had its last release in 2023 and panics on an operation that has not ended;
//! `lincheck` 0.2 runs data structures on `loom` and takes no history from outside.

mod chain;
mod interval;
mod violation;

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use tarn_client::publish::Follows;
use tarn_proto::{AttemptId, VersionId};

pub use violation::{InEffect, NotYet, Violation};

/// The operations on one file, in the order in which they were recorded.
///
/// The order of the calls is the clock: an operation that is recorded as begun after another was
/// recorded as ended came after it. The event numbers given along are for people only.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct History {
    recorded: u32,
    publishes: Vec<Publish>,
    reads: Vec<Read>,
    versions: BTreeMap<VersionId, Signed>,
    ended_twice: Option<OperationId>,
}

impl History {
    /// Whether callers were told what one register could have told them.
    ///
    /// # Errors
    /// The first contradiction found; which one is found first is defined, but not that it is the
    /// earliest.
    pub fn check(&self) -> Result<(), Violation> {
        if let Some(operation) = self.ended_twice {
            return Err(Violation::EndedTwice { operation });
        }
        let chain = chain::Chain::of(self)?;
        interval::check(self, &chain)
    }

    /// A caller began to publish.
    pub fn publish_began(&mut self, event: u64, attempt: AttemptId, follows: Follows) -> PublishId {
        let began = self.moment(event);
        let id = PublishId(number(self.publishes.len()));
        self.publishes.push(Publish { attempt, follows, began, ended: None });
        id
    }

    /// A header was signed on behalf of a publish: from now on its version may take effect. A
    /// version that another publish signs again, byte for byte, is of the same attempt.
    pub fn signed(&mut self, by: PublishId, version: VersionId, predecessor: Option<VersionId>) {
        self.recorded += 1;
        let signed = Signed { by: BTreeSet::new(), predecessor, order: self.recorded };
        self.versions.entry(version).or_insert(signed).by.insert(by);
    }

    /// A publish ended, as its caller was told. One that was killed or still runs never ends.
    ///
    /// # Panics
    /// If the publish is another history's.
    pub fn publish_ended(&mut self, event: u64, id: PublishId, told: PublishTold) {
        let moment = self.moment(event);
        let publish = &mut self.publishes[id.0 as usize];
        if publish.ended.is_some() {
            self.ended_twice.get_or_insert(OperationId::Publish(id));
        } else {
            publish.ended = Some((moment, told));
        }
    }

    /// A caller began to read whatever is newest. A read of a version the caller named is no
    /// operation of a register.
    pub fn read_began(&mut self, event: u64) -> ReadId {
        let began = self.moment(event);
        let id = ReadId(number(self.reads.len()));
        self.reads.push(Read { began, ended: None });
        id
    }

    /// A read ended, as its caller was told. One that was killed or still runs never ends.
    ///
    /// # Panics
    /// If the read is another history's.
    pub fn read_ended(&mut self, event: u64, id: ReadId, told: ReadTold) {
        let moment = self.moment(event);
        let read = &mut self.reads[id.0 as usize];
        if read.ended.is_some() {
            self.ended_twice.get_or_insert(OperationId::Read(id));
        } else {
            read.ended = Some((moment, told));
        }
    }

    fn moment(&mut self, event: u64) -> Moment {
        self.recorded += 1;
        Moment { order: self.recorded, event }
    }

    fn publishes(&self) -> impl Iterator<Item = (PublishId, &Publish)> {
        self.publishes.iter().enumerate().map(|(at, publish)| (PublishId(number(at)), publish))
    }

    /// The reads that must fit: each with its end and what it confirmed.
    fn confirmed_reads(&self) -> impl Iterator<Item = (ReadId, &Read, Moment, Option<VersionId>)> {
        self.reads.iter().enumerate().filter_map(|(at, read)| match read.ended {
            Some((ended, ReadTold::Confirmed(found))) => {
                Some((ReadId(number(at)), read, ended, found))
            }
            Some((_, ReadTold::Unconfirmed | ReadTold::Failed)) | None => None,
        })
    }

    /// The publish that a version is due to if it took effect: the one that began first, of those that signed it and that
    /// can have made it. If none of them can, one that was not told that nothing was changed; if there is none, the first.
    fn signer(&self, signed: &Signed) -> PublishId {
        let changed = |id: &&PublishId| !self.publish(**id).told_unchanged();
        let can = |id: &&PublishId| self.publish(**id).may_follow(signed.predecessor);
        let signers = || signed.by.iter();
        let signer = signers().filter(changed).find(can).or_else(|| signers().find(changed));
        *signer.or_else(|| signed.by.first()).expect("somebody signed it")
    }

    fn publish(&self, id: PublishId) -> &Publish {
        &self.publishes[id.0 as usize]
    }
}

/// Names a publish of a history.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PublishId(u32);

/// Names a read of a history.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ReadId(u32);

/// Names an operation of a history.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum OperationId {
    /// A publish.
    Publish(PublishId),
    /// A read.
    Read(ReadId),
}

/// What the caller of a publish was told, as far as the register is concerned.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum PublishTold {
    /// This version is Published, by this publish or by an earlier one of the same attempt.
    Published(VersionId),
    /// Another writer's version is in the way and nothing was changed: UncoordinatedWrite, Stale.
    Conflict,
    /// Nothing was changed, for any other reason.
    Unchanged,
    /// Something may have been changed: Partial, Unknown.
    Unknown,
}

/// What the caller of a read was told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ReadTold {
    /// This version, confirmed; none if it is confirmed that there is no version.
    Confirmed(Option<VersionId>),
    /// Some version, without a promise.
    Unconfirmed,
    /// No version.
    Failed,
}

/// A point of the history.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Moment {
    order: u32,
    event: u64,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Publish {
    attempt: AttemptId,
    follows: Follows,
    began: Moment,
    ended: Option<(Moment, PublishTold)>,
}

impl Publish {
    fn may_follow(&self, predecessor: Option<VersionId>) -> bool {
        match self.follows {
            Follows::Whatever => true,
            Follows::Version(version) => predecessor == Some(version),
            Follows::Nothing => predecessor.is_none(),
        }
    }

    /// Whether the caller was told that nothing was changed.
    fn told_unchanged(&self) -> bool {
        match self.ended {
            Some((_, PublishTold::Conflict | PublishTold::Unchanged)) => true,
            Some((_, PublishTold::Published(_) | PublishTold::Unknown)) | None => false,
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Read {
    began: Moment,
    ended: Option<(Moment, ReadTold)>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Signed {
    by: BTreeSet<PublishId>,
    predecessor: Option<VersionId>,
    order: u32,
}

fn number(index: usize) -> u32 {
    u32::try_from(index).expect("the clock, which ticks twice an operation, counts in 32 bits too")
}

impl fmt::Display for OperationId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Publish(id) => id.fmt(f),
            Self::Read(id) => id.fmt(f),
        }
    }
}

impl fmt::Display for PublishId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "publish {}", self.0)
    }
}

impl fmt::Display for ReadId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "read {}", self.0)
    }
}

impl fmt::Display for Moment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "event {}", self.event)
    }
}
