//! What a person, or a program, is told of a publish: a table, one JSON object; in `why`, a sentence with its exit code.

mod why;

use std::collections::BTreeMap;

use serde_json::{Value, json};
use tarn_client::grid::Grid;
use tarn_client::publish::outcome::{During, Outcome, Published, Report, Trouble};
use tarn_client::quorum::Placement;
use tarn_proto::{ShareNumber, SignedHeader, StoreId};

use super::file::File;
use super::settle::Settled;
use crate::error::CommandError;
use crate::output::{self, Size, Span, list, short};
use crate::table::{Column, Table};

/// A report, and what it is about.
pub(super) struct Told<'a> {
    pub(super) report: &'a Report,
    pub(super) file: &'a File,
    pub(super) bytes: u64,
    /// Whether a publish that was cut off was taken up.
    pub(super) resumed: bool,
    /// Whether its content was lost, so that all that could be done was to ask what became of it.
    pub(super) lost: bool,
    /// Whether its input was read and can be had from nowhere again.
    pub(super) used_up: bool,
    /// Others that were cut off, and of which it is known now what became of them.
    pub(super) settled: &'a [Settled],
    pub(super) grid: &'a Grid,
}

impl Told<'_> {
    /// Prints what a person needs: of a success where every share went, of anything else which server failed how.
    pub(super) fn print(&self) -> Result<(), CommandError> {
        if let Some(published) = self.report.outcome.published() {
            self.print_published(published)?;
        }
        for settled in self.settled {
            output::say(settled.sentence());
        }
        self.say_troubles();
        Ok(())
    }

    fn print_published(&self, published: &Published) -> Result<(), CommandError> {
        let name =
            self.file.name.as_ref().map_or_else(|| "the file".to_owned(), ToString::to_string);
        output::print(format_args!("published {name}{}", self.how(published)))?;
        output::print(format_args!("version   {}", published.version))?;
        output::print(format_args!("read cap  {}", self.file.cap.read_cap().to_text().as_str()))?;
        let mut table =
            Table::new(&[Column::Text("SERVER"), Column::Text("ADDRESS"), Column::Text("SHARES")]);
        for (store, shares) in &published.placement {
            table.row([short(*store), self.address(*store), list(shares)]);
        }
        output::print(table)?;
        if !published.missing.is_empty() {
            output::say(format_args!(
                "missing   shares {}; the file is durable without them",
                list(&published.missing)
            ));
        }
        Ok(())
    }

    /// Which version it became, and how long that took.
    pub(super) fn how(&self, published: &Published) -> String {
        let number = published.header.as_ref().map(|header| header.header().sequence_number);
        let number = number.map_or_else(String::new, |number| format!(" {number}"));
        let repeated = if published.repeated { ", as an earlier try had done" } else { "" };
        let span = Span(self.report.elapsed.into());
        format!(", version{number}, {} in {span}{repeated}", Size(self.bytes))
    }

    /// What went wrong with each server, without when: a line each.
    pub(super) fn troubles(&self) -> impl Iterator<Item = String> {
        self.report.troubles.iter().map(|(store, trouble)| {
            let (server, address) = (short(*store), self.address(*store));
            let (failure, doing) = (&trouble.failure, doing(trouble.during));
            format!("  {server} at {address}: {failure} (while {doing})")
        })
    }

    fn say_troubles(&self) {
        for (store, trouble) in &self.report.troubles {
            output::say(format_args!(
                "  {} at {}: {} (while {}, after {})",
                short(*store),
                self.address(*store),
                trouble.failure,
                doing(trouble.during),
                trouble.at,
            ));
        }
    }

    /// The one JSON object of `--json`.
    pub(super) fn json(&self) -> Value {
        let outcome = &self.report.outcome;
        let header = header_of(outcome);
        let id = match outcome.published() {
            Some(published) => Some(published.version),
            None => header.map(SignedHeader::version),
        };
        let base = header.and_then(|header| header.header().predecessor);
        json!({
            "outcome": name(outcome),
            "name": self.file.name.as_ref().map(|name| name.as_str()),
            "read_cap": self.file.cap.read_cap().to_text().as_str(),
            "version": id.map(|id| json!({
                "seqnum": header.map(|header| header.header().sequence_number.get()),
                "id": id.to_string(),
            })),
            "base": base.map(|base| base.to_string()),
            "bytes": self.bytes,
            "seconds": std::time::Duration::from(self.report.elapsed).as_secs_f64(),
            "shares": shares_json(outcome),
            "servers": self.servers_json(),
            "resumed": self.resumed,
            "settled": self.settled.iter().map(Settled::json).collect::<Vec<_>>(),
            "error": self.sentence(),
        })
    }

    fn servers_json(&self) -> Vec<Value> {
        let placed = self.report.outcome.published().map(|published| &published.placement);
        let mut servers: BTreeMap<StoreId, Option<&Trouble>> =
            placed.into_iter().flat_map(BTreeMap::keys).map(|store| (*store, None)).collect();
        servers.extend(self.report.troubles.iter().map(|(store, trouble)| (*store, Some(trouble))));
        let server = |(store, trouble): (&StoreId, &Option<&Trouble>)| {
            json!({
                "server": store.to_string(),
                "address": self.grid.find(*store).map(|server| server.address.to_string()),
                "phase": trouble.map_or("done", |trouble| phase(trouble.during)),
                "error": trouble.map(|trouble| trouble.failure.to_string()),
                "elapsed": trouble.map(|t| std::time::Duration::from(t.at).as_secs_f64()),
            })
        };
        servers.iter().map(server).collect()
    }

    fn address(&self, store: StoreId) -> String {
        let listed = self.grid.find(store);
        listed.map_or_else(|| "no known address".to_owned(), |server| server.address.to_string())
    }
}

fn shares_json(outcome: &Outcome) -> Vec<Value> {
    let on = |placement: &Placement, state: &str| {
        let pairs = placement.iter().flat_map(|(store, shares)| {
            shares.iter().map(move |share| (*share, store.to_string()))
        });
        let mut pairs: Vec<_> = pairs.collect();
        pairs.sort();
        let share = |(share, server): (ShareNumber, String)| json!({ "share": share.get(), "server": server, "state": state });
        pairs.into_iter().map(share).collect::<Vec<Value>>()
    };
    match outcome {
        Outcome::Published(published) => {
            let mut shares = on(&published.placement, "placed");
            shares.extend(
                published.missing.iter().map(
                    |share| json!({ "share": share.get(), "server": null, "state": "missing" }),
                ),
            );
            shares
        }
        Outcome::Partial(landed) | Outcome::Unknown(landed) => {
            let state = |stores: &std::collections::BTreeSet<StoreId>, state: &str| {
                let share = |store: &StoreId| json!({ "share": null, "server": store.to_string(), "state": state });
                stores.iter().map(share).collect::<Vec<_>>()
            };
            [state(&landed.accepted, "placed"), state(&landed.unknown, "unknown")].concat()
        }
        Outcome::UncoordinatedWrite { .. }
        | Outcome::Stale { .. }
        | Outcome::Contended
        | Outcome::NotEnoughServers(_)
        | Outcome::BaseMissing(_)
        | Outcome::InputUsedUp
        | Outcome::Undecided(_)
        | Outcome::Cancelled
        | Outcome::SourceChanged
        | Outcome::Failed { .. } => Vec::new(),
    }
}

fn header_of(outcome: &Outcome) -> Option<&SignedHeader> {
    match outcome {
        Outcome::Published(published) => published.header.as_ref(),
        Outcome::UncoordinatedWrite { theirs: header } | Outcome::Stale { now: header } => {
            header.as_ref()
        }
        Outcome::Partial(landed) | Outcome::Unknown(landed) => Some(&landed.header),
        Outcome::Contended
        | Outcome::NotEnoughServers(_)
        | Outcome::BaseMissing(_)
        | Outcome::InputUsedUp
        | Outcome::Undecided(_)
        | Outcome::Cancelled
        | Outcome::SourceChanged
        | Outcome::Failed { .. } => None,
    }
}

const fn name(outcome: &Outcome) -> &'static str {
    match outcome {
        Outcome::Published(_) => "published",
        Outcome::UncoordinatedWrite { .. } => "uncoordinated_write",
        Outcome::Stale { .. } => "stale",
        Outcome::Contended => "contended",
        Outcome::NotEnoughServers(_) => "not_enough_servers",
        Outcome::BaseMissing(_) => "base_missing",
        Outcome::InputUsedUp => "input_used_up",
        Outcome::Undecided(_) => "undecided",
        Outcome::Partial(_) => "partial",
        Outcome::Unknown(_) => "unknown",
        Outcome::Cancelled => "cancelled",
        Outcome::SourceChanged => "source_changed",
        Outcome::Failed { .. } => "failed",
    }
}

const fn doing(during: During) -> &'static str {
    match during {
        During::Map => "asking what it holds",
        During::Prepare => "sending shares",
        During::Commit => "committing",
        During::Bring => "bringing shares",
        During::Finalize => "leaving the certificate",
    }
}

const fn phase(during: During) -> &'static str {
    match during {
        During::Map => "map",
        During::Prepare => "prepare",
        During::Commit => "commit",
        During::Bring => "bring",
        During::Finalize => "finalize",
    }
}
