//! All tries to publish one content: by one client, one after the other. They are to take effect once, or never.

use std::collections::BTreeMap;

use super::{Act, Doing, Said};

/// What is known of the tries of one content.
#[derive(Debug)]
pub(super) struct Submission {
    /// The line on which the first began.
    pub(super) began_at: usize,
    /// The line on which the last ended.
    pub(super) ended_at: usize,
    /// What became of it.
    pub(super) fate: Fate,
}

/// What became of a submission.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fate {
    /// Somebody was told that it is published, first on this line.
    Published(usize),
    /// Every try was told that nothing was changed.
    Refused,
    /// Neither.
    Unknown,
}

impl Submission {
    /// The submissions of a file, by their contents.
    pub(super) fn gather<'a>(acts: &[&'a Act]) -> BTreeMap<&'a str, Self> {
        let mut tries = BTreeMap::<&str, Vec<&Act>>::new();
        for act in acts {
            if let Doing::Publish { content, .. } = &act.begins.doing {
                tries.entry(content).or_default().push(act);
            }
        }
        tries.into_iter().map(|(content, tries)| (content, Self::of(&tries))).collect()
    }

    fn of(tries: &[&Act]) -> Self {
        let published = |act: &&&Act| matches!(act.said(), Some(Said::Published { .. }));
        let refused = |act: &&Act| matches!(act.said(), Some(Said::Refused { .. }));
        let first = tries.iter().filter(published).map(|act| act.ended_at()).min();
        let fate = match first {
            Some(line) => Fate::Published(line),
            None if tries.iter().all(refused) => Fate::Refused,
            None => Fate::Unknown,
        };
        Self {
            began_at: tries.iter().map(|act| act.began_at).min().unwrap_or(0),
            ended_at: tries.iter().map(|act| act.ended_at()).max().unwrap_or(0),
            fate,
        }
    }

    /// The line from which on it cannot get in anybody's way any more. One whose fate is unknown can until somebody
    /// who began later is told Published: that version is built on it, or has ruled it out.
    pub(super) fn over_at(&self, all: &BTreeMap<&str, Self>) -> usize {
        match self.fate {
            Fate::Published(line) => line,
            Fate::Refused => self.ended_at,
            Fate::Unknown => {
                let later = all.values().filter(|other| other.began_at > self.ended_at);
                let published = later.filter_map(|other| match other.fate {
                    Fate::Published(line) => Some(line),
                    Fate::Refused | Fate::Unknown => None,
                });
                published.min().unwrap_or(usize::MAX)
            }
        }
    }
}
