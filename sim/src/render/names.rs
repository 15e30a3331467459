//! Short names for versions: the sequence number and a letter for the submission, `v2b`. Names are given as things come
//! up, so they hold within one run only.

use std::collections::BTreeMap;

use tarn_proto::{AttemptId, VersionId};

use crate::ids::Submission;
use crate::made::Made;

#[derive(Debug, Default)]
pub(super) struct Names {
    letters: BTreeMap<AttemptId, String>,
    versions: BTreeMap<VersionId, String>,
}

impl Names {
    /// A submission's letter: the first one is `a`.
    pub(super) fn letter(&mut self, submission: Submission) -> &str {
        let next = self.letters.len();
        self.letters.entry(submission.attempt()).or_insert_with(|| letters(next))
    }

    /// Names every version that has none yet.
    pub(super) fn learn<'a>(&mut self, versions: impl Iterator<Item = &'a Made>) {
        for made in versions {
            let version = made.version();
            if self.versions.contains_key(&version) {
                continue;
            }
            let header = made.header.header();
            let letter = self.letter(Submission::of(header.attempt));
            let mut name = format!("v{}{letter}", header.sequence_number);
            // One submission can be built on two bases in turn: same number, another version.
            while self.versions.values().any(|taken| *taken == name) {
                name.push('\'');
            }
            self.versions.insert(version, name);
        }
    }

    /// A version's name. One that nobody in this world made shows its first bytes.
    pub(super) fn of(&self, version: VersionId) -> String {
        self.versions.get(&version).cloned().unwrap_or_else(|| {
            let [a, b, c, ..] = *version.as_bytes();
            format!("v?{a:02x}{b:02x}{c:02x}")
        })
    }
}

/// a … z, aa, ab …
fn letters(number: usize) -> String {
    let last = u8::try_from(number % 26).map_or('?', |n| char::from(b'a' + n));
    match number / 26 {
        0 => last.to_string(),
        more => letters(more - 1) + &last.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn letters_go_on_after_z() {
        let names: Vec<String> = [0, 25, 26, 27, 52].into_iter().map(letters).collect();
        assert_eq!(names, ["a", "z", "aa", "ab", "ba"]);
    }
}
