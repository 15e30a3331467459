//! The promises that can be seen from outside, each as a rule over what was told. A rule that is broken names the
//! operations or versions that break it.

use std::collections::{BTreeMap, BTreeSet};

use super::chain::{Chain, Place};
use super::submission::{Fate, Submission};
use super::{Act, Doing, Op, Said};

/// What a history shows.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Report {
    /// How many operations ended how.
    pub counts: Counts,
    /// What cannot be true together.
    pub violations: Vec<Violation>,
}

/// How many operations ended how.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Counts {
    /// Publishes told Published.
    pub acknowledged: usize,
    /// Publishes told that nothing was changed.
    pub refused: usize,
    /// Publishes that were killed, or told that it is not known.
    pub unknown: usize,
    /// Versions told Published that somebody later did not find.
    pub lost: usize,
    /// Publishes told of another writer where there was none.
    pub false_conflicts: usize,
    /// Reads that were confirmed.
    pub reads: usize,
    /// Reads that were not, or failed.
    pub unconfirmed: usize,
}

/// A promise that was broken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Violation {
    /// P3: who began after it was told Published saw a version that it is not below.
    #[error("{version} was told Published and is lost: later, {seen} was there instead")]
    Lost {
        /// What was told Published.
        version: String,
        /// What was there.
        seen: String,
    },
    /// P15: who began after a confirmed read saw a version that what was read is not below.
    #[error("{version} was read, and later {seen} was there instead")]
    Reverted {
        /// What was read.
        version: String,
        /// What was there.
        seen: String,
    },
    /// P4: a publish said that nothing was changed, and it was.
    #[error("nothing was changed, it was said, and {version} holds its content {content}")]
    TookEffect {
        /// The version.
        version: String,
        /// What it holds.
        content: String,
    },
    /// P5: versions that took effect on one base.
    #[error("{versions:?} were all built on {base:?}")]
    Fork {
        /// The base; none if they were built on nothing.
        base: Option<String>,
        /// The versions.
        versions: Vec<String>,
    },
    /// P14: one submission took effect more than once.
    #[error("{content} took effect as each of {versions:?}")]
    Twice {
        /// What was published.
        content: String,
        /// The versions that hold it.
        versions: Vec<String>,
    },
    /// P9: nobody who had begun by then can have made the version.
    #[error("{version} was made by nobody who had begun")]
    FromNowhere {
        /// The version.
        version: String,
    },
    /// P7: one version, two contents or two bases.
    #[error("{version} was told to have two contents, or two bases")]
    Mixed {
        /// The version.
        version: String,
    },
    /// P2: a conflict with nobody.
    #[error("operation {op} was told of another writer, and there was none")]
    FalseConflict {
        /// The publish.
        op: Op,
    },
    /// Nobody was told what the version was built on, so that the rest cannot be judged.
    #[error("it is not known what {version} was built on")]
    Unlinked {
        /// The version.
        version: String,
    },
}

impl Violation {
    /// The version that is lost by it.
    fn lost(&self) -> Option<&str> {
        if let Self::Lost { version, .. } = self { Some(version) } else { None }
    }
}

/// One client's sight of the newest version, or its making.
struct Sight {
    version: Place,
    began_at: usize,
    /// The line from which on all must see it.
    ended_at: usize,
    is_write: bool,
}

/// Checks one file.
pub(super) fn check(acts: &[&Act]) -> Report {
    let submissions = Submission::gather(acts);
    let chain = Chain::of(acts);
    let mut violations = chain.mixed.clone();
    violations.extend(twice(&chain));
    violations.extend(unaccounted(&chain, &submissions));
    let false_conflicts = false_conflicts(acts, &submissions);
    let broken = chain.broken();
    let is_linked = broken.iter().all(|broken| !matches!(broken, Violation::Unlinked { .. }));
    violations.extend(broken);
    let mut counts = count(acts);
    counts.false_conflicts = false_conflicts.len();
    violations.extend(false_conflicts);
    if is_linked {
        let went_back = went_back(&chain, &sights(acts, &chain, &submissions));
        let lost = went_back.iter().filter_map(Violation::lost);
        counts.lost = lost.collect::<BTreeSet<_>>().len();
        violations.extend(went_back);
    }
    Report { counts, violations }
}

fn count(acts: &[&Act]) -> Counts {
    let mut counts = Counts::default();
    for act in acts {
        let is_read = act.begins.doing == Doing::Read;
        let count = match act.said() {
            Some(Said::Published { .. }) => &mut counts.acknowledged,
            Some(Said::Refused { .. }) => &mut counts.refused,
            Some(Said::Read { confirmed: true, .. }) => &mut counts.reads,
            Some(Said::Read { .. } | Said::Unread { .. }) => &mut counts.unconfirmed,
            Some(Said::Killed) | None if is_read => &mut counts.unconfirmed,
            Some(Said::Unsettled { .. } | Said::Killed) | None => &mut counts.unknown,
        };
        *count += 1;
    }
    counts
}

/// One content, more than one version that took effect.
fn twice(chain: &Chain<'_>) -> Vec<Violation> {
    let mut versions = BTreeMap::<&str, Vec<String>>::new();
    for version in chain.effective().map(|place| chain.version(place)) {
        if let Some(content) = version.content {
            versions.entry(content).or_default().push(version.id.to_owned());
        }
    }
    let more = versions.into_iter().filter(|(_, versions)| versions.len() > 1);
    more.map(|(content, versions)| Violation::Twice { content: content.to_owned(), versions })
        .collect()
}

/// Every version that was seen was made by a submission that had begun, and had not been refused. Where only the id is
/// known, it is one whose fate is unknown, and one for each.
fn unaccounted(chain: &Chain<'_>, submissions: &BTreeMap<&str, Submission>) -> Vec<Violation> {
    let mut violations = Vec::new();
    let mut nameless = Vec::new();
    for version in chain.all().map(|place| chain.version(place)) {
        let (Some(line), id) = (version.seen_at, version.id.to_owned()) else { continue };
        let Some(content) = version.content else {
            nameless.push((line, id));
            continue;
        };
        match submissions.get(content) {
            Some(made) if made.fate == Fate::Refused => {
                violations.push(Violation::TookEffect { version: id, content: content.to_owned() });
            }
            Some(made) if made.began_at < line => {}
            Some(_) | None => violations.push(Violation::FromNowhere { version: id }),
        }
    }
    let effective = chain.effective().filter_map(|place| chain.version(place).content);
    let known: BTreeSet<&str> = effective.collect();
    let unknown = |(content, made): &(&&str, &Submission)| {
        made.fate == Fate::Unknown && !known.contains(**content)
    };
    let mut began: Vec<usize> =
        submissions.iter().filter(unknown).map(|(_, made)| made.began_at).collect();
    began.sort_unstable();
    nameless.sort();
    for (taken, (line, version)) in nameless.into_iter().enumerate() {
        if began.get(taken).is_none_or(|&began_at| began_at > line) {
            violations.push(Violation::FromNowhere { version });
        }
    }
    violations
}

/// Whoever is told of another writer shared its time with one.
fn false_conflicts(acts: &[&Act], submissions: &BTreeMap<&str, Submission>) -> Vec<Violation> {
    let conflict = |act: &&&Act| match act.said() {
        Some(Said::Refused { outcome, .. }) => {
            ["uncoordinated_write", "contended"].contains(&outcome.as_str())
        }
        _ => false,
    };
    let alone = |act: &&&Act| {
        let Doing::Publish { content, .. } = &act.begins.doing else { return false };
        !submissions.iter().any(|(other, made)| {
            *other != content.as_str()
                && made.began_at < act.ended_at()
                && made.over_at(submissions) > act.began_at
        })
    };
    let false_ones = acts.iter().filter(conflict).filter(alone);
    false_ones.map(|act| Violation::FalseConflict { op: act.begins.op }).collect()
}

fn sights(
    acts: &[&Act],
    chain: &Chain<'_>,
    submissions: &BTreeMap<&str, Submission>,
) -> Vec<Sight> {
    let reads = acts.iter().filter_map(|act| match act.said() {
        Some(Said::Read { version, confirmed: true, .. }) => Some(Sight {
            version: chain.find(version)?,
            began_at: act.began_at,
            ended_at: act.ended_at(),
            is_write: false,
        }),
        _ => None,
    });
    let writes = chain.effective().filter_map(|version| {
        let made = submissions.get(chain.version(version).content?)?;
        let ended_at = match made.fate {
            Fate::Published(line) => line,
            Fate::Refused | Fate::Unknown => usize::MAX,
        };
        Some(Sight { version, began_at: made.began_at, ended_at, is_write: true })
    });
    reads.chain(writes).collect()
}

/// Of two operations of which one ended before the other began, the later one must not be below the earlier one. As the
/// versions form a chain, no order of all operations can be wrong if that of every two is right.
fn went_back(chain: &Chain<'_>, sights: &[Sight]) -> Vec<Violation> {
    let (mut by_begin, mut by_end) = (Vec::from_iter(sights), Vec::from_iter(sights));
    by_begin.sort_by_key(|sight| sight.began_at);
    by_end.sort_by_key(|sight| sight.ended_at);
    let mut violations = Vec::new();
    let mut ended = by_end.iter().peekable();
    let mut before = Vec::new();
    let mut highest = 0;
    for later in by_begin {
        while let Some(earlier) = ended.next_if(|earlier| earlier.ended_at < later.began_at) {
            highest = highest.max(chain.depth(earlier.version));
            before.push(earlier);
        }
        // The usual case, in which there is no need to look at every pair.
        if chain.is_line() && chain.depth(later.version) >= highest {
            continue;
        }
        let lost = before.iter().filter(|earlier| !chain.descends(later.version, earlier.version));
        violations.extend(lost.map(|earlier| {
            let id = |place| chain.version(place).id.to_owned();
            let (version, seen) = (id(earlier.version), id(later.version));
            if earlier.is_write {
                Violation::Lost { version, seen }
            } else {
                Violation::Reverted { version, seen }
            }
        }));
    }
    violations
}

impl Report {
    /// Both together.
    pub(super) fn plus(mut self, more: Self) -> Self {
        let Counts { acknowledged, refused, unknown, lost, false_conflicts, reads, unconfirmed } =
            more.counts;
        self.counts.acknowledged += acknowledged;
        self.counts.refused += refused;
        self.counts.unknown += unknown;
        self.counts.lost += lost;
        self.counts.false_conflicts += false_conflicts;
        self.counts.reads += reads;
        self.counts.unconfirmed += unconfirmed;
        self.violations.extend(more.violations);
        self
    }
}
