//! After the outcome: what this program remembers of the file, and what became of publishes of it that were cut off.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use tarn_client::base::{Evidence, Origin};
use tarn_client::publish::outcome::{Outcome, Report};
use tarn_proto::{SignedHeader, VersionId};

use super::file::File;
use crate::clock::UnixSeconds;
use crate::error::CommandError;
use crate::home::Home;
use crate::names::{HighWater, Names};
use crate::session::Session;
use crate::unfinished::{Running, Unfinished};

/// A publish that was cut off, and of which it is known now what became of it.
pub(super) struct Settled {
    version: SignedHeader,
    /// Whether it was published; it never will be otherwise.
    published: bool,
}

impl Settled {
    /// For people.
    pub(super) fn sentence(&self) -> String {
        let number = self.version.header().sequence_number;
        if self.published {
            format!("an earlier publish that was cut off had taken effect, as version {number}")
        } else {
            "an earlier publish that was cut off had not taken effect, and will not".to_owned()
        }
    }

    /// For programs.
    pub(super) fn json(&self) -> Value {
        json!({
            "version": {
                "seqnum": self.version.header().sequence_number.get(),
                "id": self.version.version().to_string(),
            },
            "outcome": if self.published { "published" } else { "not_published" },
        })
    }
}

/// Remembers which servers kept this publish waiting, and which did not.
pub(super) fn note_suspects(names: &mut Names, report: &Report) -> Result<(), CommandError> {
    let placed = report.outcome.published().map(|published| &published.placement);
    let troubled = report.troubles.keys();
    let asked = placed.into_iter().flat_map(BTreeMap::keys).chain(troubled).copied();
    let now = UnixSeconds::since_epoch();
    names.change_suspects(|suspects| suspects.note(now, asked, &report.silent))?;
    Ok(())
}

/// Raises the file's high-water mark, and takes this submission off the record if its outcome is known.
pub(super) fn remember(
    names: &mut Names,
    file: &File,
    running: &mut Running,
    outcome: &Outcome,
) -> Result<(), CommandError> {
    if let Outcome::Published(published) = outcome
        && let Some(header) = &published.header
    {
        names.raise_high_water(file.storage_index(), HighWater::of(header))?;
    }
    if matches!(outcome, Outcome::Partial(_) | Outcome::Unknown(_)) {
        running.keep();
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
    names: &mut Names,
    file: &File,
    published: VersionId,
    session: &Session,
    home: &Home,
) -> Result<Vec<Settled>, CommandError> {
    let mut unfinished = Unfinished::list(names, home, Some(file.storage_index()))?;
    unfinished.retain(|unfinished| unfinished.runs.is_none());
    if unfinished.is_empty() {
        return Ok(Vec::new());
    }
    let window = match &file.origin {
        Origin::Creator(window) => Some(window),
        Origin::CapHolder => None,
    };
    let evidence = session.client.survey(file.storage_index(), window).await.evidence();
    let mut settled = Vec::new();
    for unfinished in unfinished {
        let Some(became) = became(&unfinished, published, &evidence) else { continue };
        // Whoever has taken it up meanwhile tells its outcome.
        let Some(mut running) = unfinished.take_up(names, home)? else { continue };
        unfinished.take_off(names)?;
        running.forget();
        settled.push(became);
    }
    Ok(settled)
}

/// What became of a publish, if that is known: a version of it is below this one, or none is nor can be any more.
fn became(unfinished: &Unfinished, newest: VersionId, evidence: &Evidence) -> Option<Settled> {
    let versions = || unfinished.entries.iter().map(|entry| &entry.signed);
    let mut lineage = evidence.lineage_with_history(newest);
    let took_effect = lineage.find_map(|below| versions().find(|signed| signed.version() == below));
    if let Some(version) = took_effect {
        return Some(Settled { version: version.clone(), published: true });
    }
    let is_ruled_out = versions().all(|signed| evidence.rules_out(Some(newest), signed));
    let version = unfinished.newest.signed.clone();
    is_ruled_out.then_some(Settled { version, published: false })
}
