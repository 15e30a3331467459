//! A publish that was cut off and whose content is lost here: nothing of it can be sent again. What servers have of it is
//! brought to a quorum where it can be read, as every reader does; what they say then is told, and no more.

use std::collections::{BTreeMap, BTreeSet};

use tarn_client::base::Seen;
use tarn_client::publish::outcome::{During, Landed, Outcome, Published, Report, Trouble};
use tarn_client::retrieve::reading::RetrieveRequest;
use tarn_client::servermap::ServerMap;
use tarn_client::time::Millis;
use tarn_proto::StoreId;
use tokio::time::Instant;

use super::file::File;
use super::settle::{became, remember, settle, take_off_record};
use super::told::Told;
use crate::error::CommandError;
use crate::home::Home;
use crate::names::Names;
use crate::output;
use crate::session::Session;
use crate::unfinished::Unfinished;

/// Settles the last publish of the file that was cut off, as far as servers tell, and says how it ended; the others too.
/// `why` says what is wrong with its content.
pub(super) async fn tell(
    file: &File,
    why: &str,
    json: bool,
    names: &mut Names,
    session: &Session,
    home: &Home,
) -> Result<(), CommandError> {
    let began = Instant::now();
    let mut unfinished = Unfinished::list(names, home, Some(file.storage_index()))?;
    unfinished.retain(|unfinished| unfinished.runs.is_none());
    let taken_up = || CommandError::failed("another process has taken it up meanwhile");
    let last = unfinished.pop().ok_or_else(taken_up)?;
    let mut running = last.take_up(names, home)?.ok_or_else(taken_up)?;
    output::say(format_args!("{why}; asking the servers what became of it"));

    let suspects = names.suspected()?;
    bring(file, suspects, session).await;
    let map = session.client.survey(file.storage_index(), &file.origin).await;
    names.note_suspects(&map.heard());
    let elapsed = Millis(u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX));
    let report = report(&last, &map, elapsed);
    remember(names, file, &report.outcome)?;
    let settled = settle(unfinished, None, &map.evidence(), names, home)?;
    let told = Told {
        report: &report,
        file,
        bytes: last.newest.signed.header().geometry.length(),
        resumed: true,
        lost: true,
        used_up: false,
        settled: &settled,
        grid: session.grid(),
    };
    let printed = if json { output::print(told.json()) } else { told.print() };
    if printed.is_ok() {
        take_off_record(names, file, &mut running, &report.outcome)?;
    }
    printed.and(told.ended())
}

/// Reads none of the newest version's bytes. If it is in doubt, it is at a quorum afterwards, or cannot be brought there.
async fn bring(file: &File, suspects: BTreeSet<StoreId>, session: &Session) {
    let request = RetrieveRequest {
        cap: file.cap.read_cap(),
        origin: file.origin.clone(),
        version: None,
        range: Some(0..0),
        strict: false,
        allow_rollback: false,
        high_water: file.high_water,
        suspects,
        map: None,
    };
    if let Err(error) = session.client.retrieve(request, rand::make_rng()).await {
        // Whatever hinders it shows in what servers are going to say.
        tracing::debug!(%error, "what is in doubt was not brought to a quorum");
    }
}

/// How the publish ended, as the one who made it would have been told.
fn report(last: &Unfinished, map: &ServerMap, elapsed: Millis) -> Report {
    let trouble = |failure| Trouble { during: During::Map, failure, at: elapsed };
    let failures = map.failures.iter();
    let troubles: BTreeMap<_, _> =
        failures.map(|(&store, failure)| (store, trouble(failure.clone()))).collect();
    Report { outcome: outcome(last, map), troubles, heard: map.heard(), rounds: 1, elapsed }
}

fn outcome(last: &Unfinished, map: &ServerMap) -> Outcome {
    let evidence = map.evidence();
    let newest = evidence.newest_certain();
    let Some(became) = newest.and_then(|newest| became(last, newest, &evidence)) else {
        let header = last.newest.signed.clone();
        let seen = evidence.seen(header.version());
        let mut unknown = last.newest.servers();
        unknown.retain(|store| !map.answers.contains_key(store));
        let accepted = seen.into_iter().flat_map(|seen| seen.holders.keys()).copied().collect();
        return Outcome::Unknown(Landed { header, accepted, unknown });
    };
    if !became.published {
        let theirs = newest.and_then(|newest| evidence.seen(newest));
        return Outcome::UncoordinatedWrite { theirs: theirs.map(|seen| seen.header.clone()) };
    }
    Outcome::Published(Published {
        placement: evidence.seen(became.version).map(Seen::placement).unwrap_or_default(),
        header: became.header,
        version: became.version,
        missing: BTreeSet::new(),
        repeated: true,
    })
}
