//! Asking every server what it holds of a file, for `tarn status` and check. Chooses and changes nothing, and needs no
//! more than the storage index.

use std::collections::BTreeSet;
use std::time::Duration;

use tarn_proto::{AttemptId, HistoryQuery, StorageIndex, StoreId};
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::base::{Choice, Origin};
use crate::fetch::driver::Clients;
use crate::publish::Roster;
use crate::servermap::{Failure, Mapping, Patience, ServerMap, stores_to_ask};
use crate::time::Millis;

/// What each server says of the file, or why it does not: those of its window, if the caller knows it or some header
/// names it, and a few beyond. Once the answers tell the file's newest version, nobody is waited for who is late by
/// comparison; until then everybody is, up to the limit of `patience`. No server is waited for less because it kept
/// somebody waiting before: whoever looks wants to see whether it is there again. Dropping the future ends every call.
pub async fn survey(
    file: StorageIndex,
    origin: &Origin,
    clients: &Clients,
    roster: &Roster,
    patience: Patience,
) -> ServerMap {
    let survey = Survey { file, origin, attempt: None, suspects: &BTreeSet::new() };
    let enough = |map: &ServerMap| matches!(map.choose(origin), Choice::Chosen { .. });
    survey.ask(clients, roster, patience, enough).await
}

/// What is asked, and of whom.
pub(crate) struct Survey<'a> {
    pub(crate) file: StorageIndex,
    pub(crate) origin: &'a Origin,
    /// The submission whose history is asked for.
    pub(crate) attempt: Option<AttemptId>,
    /// Servers that kept somebody waiting before: nobody waits for them while the others suffice.
    pub(crate) suspects: &'a BTreeSet<StoreId>,
}

impl Survey<'_> {
    /// Asks. When the answers so far are `enough`, nobody is waited for who is late by comparison.
    pub(crate) async fn ask(
        &self,
        clients: &Clients,
        roster: &Roster,
        patience: Patience,
        enough: impl Fn(&ServerMap) -> bool,
    ) -> ServerMap {
        let began = Instant::now();
        let now = || Millis(u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX));
        let window = match self.origin {
            Origin::Creator(window) => Some(window),
            Origin::CapHolder => None,
        };
        let reachable: BTreeSet<StoreId> = clients.keys().copied().collect();
        let asked = stores_to_ask(window, &roster.0);
        let mut mapping =
            Mapping::begin(now(), asked, reachable, patience).suspecting(self.suspects.clone());
        let mut queries = JoinSet::new();
        let (file, history) = (self.file, self.attempt.map(HistoryQuery::from));
        let query = |queries: &mut JoinSet<_>, store: StoreId| {
            if let Some(client) = clients.get(&store).cloned() {
                let deadline = Duration::from(patience.limit);
                queries.spawn(async move {
                    (store, client.read_slot(file, history, None, deadline).await)
                });
            }
        };
        for &store in mapping.pending() {
            query(&mut queries, store);
        }
        loop {
            let enough = enough(mapping.map());
            if mapping.is_over(now(), enough) {
                break;
            }
            let looks_again = began + Duration::from(mapping.wake_at(enough));
            tokio::select! {
                biased;
                Some(answered) = queries.join_next() => match answered {
                    Ok((store, Ok(state))) => {
                        for named in mapping.answered(now(), store, state) {
                            query(&mut queries, named);
                        }
                    }
                    Ok((store, Err(error))) => mapping.failed(now(), store, Failure::from(error)),
                    Err(error) => match error.try_into_panic() {
                        Ok(panic) => std::panic::resume_unwind(panic),
                        Err(_cancelled) => break,
                    },
                },
                () = tokio::time::sleep_until(looks_again) => {}
            }
        }
        mapping.give_up(now());
        mapping.into_map()
    }
}
