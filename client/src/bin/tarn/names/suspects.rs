//! Which servers kept earlier commands waiting, kept between them. A hint: what is lost of it costs a short wait.

use std::collections::BTreeSet;
use std::time::Duration;

use rusqlite::{TransactionBehavior, named_params};
use tarn_client::suspects::{Heard, Suspects, Suspicion};
use tarn_proto::StoreId;

use super::record::{bytes, parsed, seconds, seconds_to_sql};
use super::{Names, NamesError};
use crate::clock::UnixSeconds;

impl Names {
    /// The servers that are not waited for now.
    pub(crate) fn suspected(&self) -> Result<BTreeSet<StoreId>, NamesError> {
        Ok(self.suspects()?.at(UnixSeconds::since_epoch()))
    }

    /// Remembers which servers kept a command waiting, and which did not. What the command did stands without it.
    pub(crate) fn note_suspects(&mut self, heard: &Heard) {
        let now = UnixSeconds::since_epoch();
        if let Err(error) = self.change_suspects(|suspects| suspects.note(now, heard)) {
            tracing::warn!(%error, "which servers were slow is not remembered");
        }
    }

    /// What is held against servers.
    pub(super) fn suspects(&self) -> Result<Suspects, NamesError> {
        let failed = NamesError::during("look up slow servers", &self.file);
        let mut statement = self
            .connection
            .prepare("SELECT store, strikes, until FROM suspect")
            .map_err(&failed)?;
        let rows = statement
            .query_map([], |row| {
                let strikes = parsed("strikes", u32::try_from(row.get::<_, i64>("strikes")?))?;
                let until = Duration::from_secs(seconds(row, "until")?.get());
                Ok((bytes(row, "store")?, Suspicion { strikes, until }))
            })
            .map_err(&failed)?;
        Ok(Suspects::remembered(rows.collect::<Result<Vec<_>, _>>().map_err(&failed)?))
    }

    /// Changes what is remembered of them.
    pub(super) fn change_suspects(
        &mut self,
        change: impl FnOnce(&mut Suspects),
    ) -> Result<(), NamesError> {
        let before = self.suspects()?;
        let mut suspects = before.clone();
        change(&mut suspects);
        if suspects == before {
            return Ok(());
        }
        let failed = NamesError::during("remember slow servers", &self.file);
        let transaction = self
            .connection
            .transaction_with_behavior(TransactionBehavior::Immediate)
            .map_err(&failed)?;
        transaction.execute("DELETE FROM suspect", []).map_err(&failed)?;
        for (store, suspicion) in suspects.iter() {
            transaction
                .execute(
                    "INSERT INTO suspect (store, strikes, until) VALUES (:store, :strikes, :until)",
                    named_params! {
                        ":store": store.as_bytes(),
                        ":strikes": suspicion.strikes,
                        ":until": seconds_to_sql(UnixSeconds::new(suspicion.until.as_secs())),
                    },
                )
                .map_err(&failed)?;
        }
        transaction.commit().map_err(&failed)
    }
}
