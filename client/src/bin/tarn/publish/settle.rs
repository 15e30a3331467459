//! After the outcome: what this program remembers of the file, and what became of publishes of it that were cut off.

use serde_json::{Value, json};
use tarn_client::base::Evidence;
use tarn_client::publish::outcome::Outcome;
use tarn_proto::{SignedHeader, VersionId};

use super::file::File;
use crate::error::CommandError;
use crate::home::Home;
use crate::names::{HighWater, Names, SharedNames};
use crate::session::Session;
use crate::unfinished::{Running, Unfinished};

/// A publish that was cut off, and of which it is known now what became of it.
pub(super) struct Settled {
    /// The version that it became, or was going to.
    pub(super) version: VersionId,
    /// That version's header; none if only its id is known.
    pub(super) header: Option<SignedHeader>,
    /// Whether it was published; it never will be otherwise.
    pub(super) published: bool,
}

impl Settled {
    /// For people.
    pub(super) fn sentence(&self) -> String {
        if !self.published {
            return "an earlier publish that was cut off had not taken effect, and will not"
                .to_owned();
        }
        let number = self.header.as_ref().map(|header| header.header().sequence_number);
        let version = number.map_or_else(|| self.version.to_string(), |number| number.to_string());
        format!("an earlier publish that was cut off had taken effect, as version {version}")
    }

    /// For programs.
    pub(super) fn json(&self) -> Value {
        let number = self.header.as_ref().map(|header| header.header().sequence_number.get());
        json!({
            "version": { "seqnum": number, "id": self.version.to_string() },
            "outcome": if self.published { "published" } else { "not_published" },
        })
    }
}

/// Raises the file's high-water mark.
pub(super) fn remember(
    names: &mut Names,
    file: &File,
    outcome: &Outcome,
) -> Result<(), CommandError> {
    if let Outcome::Published(published) = outcome
        && let Some(header) = &published.header
    {
        names.raise_high_water(file.storage_index(), HighWater::of(header))?;
    }
    Ok(())
}

/// Takes this submission off the record, now that it has been told how it ended; unless that is not known.
pub(super) fn take_off_record(
    names: &mut Names,
    file: &File,
    running: &mut Running,
    outcome: &Outcome,
) -> Result<(), CommandError> {
    if matches!(outcome, Outcome::Partial(_) | Outcome::Unknown(_)) {
        return Ok(());
    }
    for entry in names.journal_pending(Some(file.storage_index()))? {
        if entry.signed.header().attempt == running.attempt() {
            names.journal_clear(entry.signed.version())?;
        }
    }
    running.forget();
    Ok(())
}

/// Finds out what became of publishes of the file that were cut off, now that this version of it is Published.
pub(super) async fn settle_others(
    names: &SharedNames,
    file: &File,
    published: VersionId,
    session: &Session,
    home: &Home,
) -> Result<Vec<Settled>, CommandError> {
    let mut unfinished = Unfinished::list(&names.lock(), home, Some(file.storage_index()))?;
    unfinished.retain(|unfinished| unfinished.runs.is_none());
    if unfinished.is_empty() {
        return Ok(Vec::new());
    }
    let map = session.client.survey(file.storage_index(), &file.origin).await;
    settle(unfinished, Some(published), &map.evidence(), &mut names.lock(), home)
}

/// Takes those off the record of which it is known now what became of them, by what servers say and by a version that
/// was just published, if there is one.
pub(super) fn settle(
    unfinished: Vec<Unfinished>,
    published: Option<VersionId>,
    evidence: &Evidence,
    names: &mut Names,
    home: &Home,
) -> Result<Vec<Settled>, CommandError> {
    let mut settled = Vec::new();
    for unfinished in unfinished {
        let mut certain = published.into_iter().chain(evidence.newest_certain());
        let Some(became) = certain.find_map(|version| became(&unfinished, version, evidence))
        else {
            continue;
        };
        // Whoever has taken it up meanwhile tells its outcome.
        let Some(mut running) = unfinished.take_up(names, home)? else { continue };
        unfinished.take_off(names)?;
        running.forget();
        settled.push(became);
    }
    Ok(settled)
}

/// What became of a publish, if this Published version tells: a version of it is below, or none is nor can be any more.
pub(super) fn became(
    unfinished: &Unfinished,
    published: VersionId,
    evidence: &Evidence,
) -> Option<Settled> {
    let versions = || unfinished.entries.iter().map(|entry| &entry.signed);
    let journaled = |version| versions().find(|signed| signed.version() == version);
    // A try of somebody else who had the same journal is one of it, too.
    let is_of_it = |version| {
        journaled(version).is_some() || evidence.attempt(version) == Some(unfinished.attempt)
    };
    let mut lineage = evidence.lineage_with_history(published);
    if let Some(version) = lineage.find(|&version| is_of_it(version)) {
        let seen = || evidence.seen(version).map(|seen| &seen.header);
        let header = journaled(version).or_else(seen).cloned();
        return Some(Settled { version, header, published: true });
    }
    // What was built on it is not below it, and may be the next one yet.
    let is_ruled_out = |signed: &SignedHeader| {
        signed.header().predecessor != Some(published)
            && evidence.rules_out(Some(published), signed)
    };
    let newest = &unfinished.newest.signed;
    versions().all(is_ruled_out).then(|| Settled {
        version: newest.version(),
        header: Some(newest.clone()),
        published: false,
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use ed25519_dalek::SigningKey;
    use tarn_proto::{
        AttemptId, ConversationId, Generation, Geometry, Header, Origin, Shape, ShareHealth,
        ShareNumber, SlotState, StoreId, VerifyKey, Window,
    };

    use super::*;
    use crate::clock::UnixSeconds;
    use crate::names::JournalEntry;

    const STORE: StoreId = StoreId::new([1; 16]);

    /// A version of a 1-of-1 file; `attempt` tells siblings apart.
    fn version(seqnum: u64, attempt: u8, on: Option<&SignedHeader>) -> SignedHeader {
        let key = SigningKey::from_bytes(&[1; 32]);
        let shape = Shape::new(1, 1, 1).unwrap();
        let header = Header {
            tombstone: false,
            storage_index: VerifyKey::of(&key).storage_index(),
            sequence_number: seqnum.try_into().unwrap(),
            predecessor: on.map(SignedHeader::version),
            shape,
            geometry: Geometry::choose(shape, 100).unwrap(),
            table_root: [attempt; 32],
            attempt: AttemptId::new([attempt; 16]),
            key_check: [0; 16],
            window: Window::new(vec![STORE]).unwrap(),
            joint: None,
        };
        SignedHeader::sign(&key, header)
    }

    fn cut_off(signed: &SignedHeader) -> Unfinished {
        let newest = JournalEntry {
            signed: signed.clone(),
            placement: Value::Null,
            written_at: UnixSeconds::new(0),
            input: None,
            part: false,
        };
        let attempt = signed.header().attempt;
        Unfinished { attempt, entries: vec![newest.clone()], newest, runs: None }
    }

    /// What it shows when these versions are held.
    fn evidence(versions: &[&SignedHeader]) -> Evidence {
        let mut state = SlotState::empty(STORE);
        state.generations = versions
            .iter()
            .map(|&header| Generation {
                header: header.clone(),
                shares: BTreeMap::from([(ShareNumber::new(0).unwrap(), ShareHealth::Whole)]),
                origin: Origin::Committed(ConversationId::new([9; 16])),
            })
            .collect();
        Evidence::gather(&BTreeMap::from([(STORE, state)]))
    }

    /// Whether the first of these versions was published, given that the second was; none if that is not known.
    fn took_effect(
        signed: &SignedHeader,
        published: &SignedHeader,
        seen: &[&SignedHeader],
    ) -> Option<bool> {
        let became = became(&cut_off(signed), published.version(), &evidence(seen));
        became.map(|became| became.published)
    }

    #[test]
    fn what_is_at_or_below_a_published_version_was_published() {
        let v1 = version(1, 1, None);
        let v2 = version(2, 2, Some(&v1));
        for signed in [&v1, &v2] {
            assert_eq!(took_effect(signed, &v2, &[&v2, &v1]), Some(true));
        }
    }

    #[test]
    fn another_try_of_the_same_submission_counts() {
        let v1 = version(1, 1, None);
        let (first, second) = (version(2, 2, Some(&v1)), version(3, 2, Some(&v1)));
        let above = version(4, 3, Some(&second));
        let became = became(&cut_off(&first), above.version(), &evidence(&[&above, &second, &v1]));
        let became = became.unwrap();
        assert_eq!((became.version, became.header), (second.version(), Some(second)));
        assert!(became.published);
    }

    #[test]
    fn what_has_a_published_sibling_never_will_be() {
        let v1 = version(1, 1, None);
        let (ours, theirs) = (version(2, 2, Some(&v1)), version(2, 3, Some(&v1)));
        let above = version(3, 4, Some(&theirs));
        for published in [&theirs, &above] {
            assert_eq!(took_effect(&ours, published, &[&above, &theirs, &v1]), Some(false));
        }
        assert_eq!(took_effect(&version(1, 5, None), &theirs, &[&theirs, &v1]), Some(false));
    }

    #[test]
    fn what_was_built_on_a_published_version_may_be_yet() {
        let v1 = version(1, 1, None);
        let v2 = version(2, 2, Some(&v1));
        assert_eq!(took_effect(&v2, &v1, &[&v1]), None);
        assert_eq!(took_effect(&version(3, 3, Some(&v2)), &v1, &[&v2, &v1]), None);
    }

    #[test]
    fn where_the_way_down_is_not_known_nothing_is() {
        let v1 = version(1, 1, None);
        let between = version(2, 2, Some(&v1));
        let v3 = version(3, 3, Some(&between));
        assert_eq!(took_effect(&version(2, 4, Some(&v1)), &v3, &[&v3, &v1]), None);
    }
}
